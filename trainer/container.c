/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/container.c - see trainer/container.h. */
#include "trainer/container.h"

#include "trainer/output.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FAILURE_BYTES_MAX 1024 /* CreateTrainingJob's FailureReason */
#define DATA "input/data"
#define CHANNELS_FILE "input/config/inputdataconfig.json"
#define HYPERPARAMETERS_FILE "input/config/hyperparameters.json"
#define HOSTS_FILE "input/config/resourceconfig.json"

/* --- files ---------------------------------------------------------------------------------------
 */

static void path_of(const struct tr_container *container, const char *name, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/%s", container->base, name);
}

int tr_container_find(struct tr_container *container, const char *base, struct tr_error *error)
{
    char path[PATH_MAX];
    const char *environment = getenv("SAGEMAKER_BASE_DIR");
    if (!base && environment && *environment)
        base = environment;
    int len = snprintf(container->base, sizeof container->base, "%s", base ? base : "/opt/ml");
    if (len <= 0 || (size_t)len >= sizeof container->base)
        return tr_fail(error, "--base: '%.200s' is no directory's path", base ? base : "");
    while (len > 1 && container->base[len - 1] == '/')
        container->base[--len] = '\0';
    path_of(container, CHANNELS_FILE, path);
    return base || access(path, F_OK) == 0;
}

/* Reads a file that holds a JSON object. *object is NULL if there is no such file. */
static int load(const struct tr_container *container, const char *name, char path[PATH_MAX],
                json_t **object, struct tr_error *error)
{
    json_error_t why;
    path_of(container, name, path);
    *object = NULL;
    FILE *file = fopen(path, "re");
    if (!file && errno == ENOENT)
        return 0;
    if (!file)
        return tr_fail(error, "cannot read %s: %s", path, strerror(errno));
    *object = json_loadf(file, JSON_REJECT_DUPLICATES, &why);
    fclose(file);
    if (!*object)
        return tr_fail(error, "%s, line %d: %s", path, why.line, why.text);
    if (json_is_object(*object))
        return 0;
    json_decref(*object);
    return tr_fail(error, "%s holds no JSON object", path);
}

/* --- channels ------------------------------------------------------------------------------------
 */

static int channel_of(const char *name)
{
    for (int i = 0; i < TR_CHANNEL_COUNT; i++) {
        if (strcmp(name, tr_channel_name((enum tr_channel)i)) == 0)
            return i;
    }
    return -1;
}

/* Pipe mode comes through FIFOs; in the other two the objects are files below a directory. */
static int read_mode(const json_t *channel, const char **scheme)
{
    const char *mode = json_string_value(json_object_get(channel, "TrainingInputMode"));
    *scheme = mode && strcmp(mode, "Pipe") == 0 ? "pipe" : "file";
    return mode && (strcmp(mode, "Pipe") == 0 || strcmp(mode, "File") == 0 ||
                    strcmp(mode, "FastFile") == 0)
               ? 0
               : -1;
}

/* What each host is given: all of the channel, or objects of its own. */
static int read_distribution(const json_t *channel, enum tr_share *share)
{
    const char *type = json_string_value(json_object_get(channel, "S3DistributionType"));
    if (!type || strcmp(type, "FullyReplicated") == 0)
        *share = TR_SHARE_ROWS;
    else if (strcmp(type, "ShardedByS3Key") == 0)
        *share = TR_SHARE_OWN;
    else
        return -1;
    return 0;
}

/* A FIFO and a file are opened by an absolute path. */
static int absolute_base(const struct tr_container *container, char path[PATH_MAX],
                         struct tr_error *error)
{
    if (realpath(container->base, path))
        return 0;
    return tr_fail(error, "cannot open the directory %s: %s", container->base, strerror(errno));
}

/* Objects wrapped whole would be taken for rows. */
static bool is_wrapped_text(const json_t *channel, const char *option_type, const char *type)
{
    const char *wrapper = json_string_value(json_object_get(channel, "RecordWrapperType"));
    const char *mode = json_string_value(json_object_get(channel, "TrainingInputMode"));
    type = option_type ? option_type : type;
    return wrapper && strcmp(wrapper, "RecordIO") == 0 && mode && strcmp(mode, "Pipe") == 0 &&
           type && strcasestr(type, "csv") != NULL;
}

static int read_channel(struct tr_container *container, const char *path, const char *name,
                        const json_t *channel, struct tr_train_options *options,
                        struct tr_error *error)
{
    const char *type = json_string_value(json_object_get(channel, "ContentType"));
    char base[PATH_MAX];
    const char *scheme;
    int i = channel_of(name);
    if (i < 0)
        return tr_fail(error,
                       "%s: there is no use for channel %s: penstock train takes train, "
                       "validation and test",
                       path, name);
    if (read_mode(channel, &scheme) < 0)
        return tr_fail(error, "%s: channel %s: TrainingInputMode is not Pipe, File or FastFile",
                       path, name);
    if (type && strlen(type) >= sizeof container->content_types[i])
        return tr_fail(error, "%s: channel %s: ContentType is longer than 256 characters", path,
                       name);
    if (is_wrapped_text(channel, options->channels[i].content_type, type))
        return tr_fail(error,
                       "%s: channel %s: each of its objects comes wrapped in RecordIO, but a row "
                       "of CSV is not: leave out the channel's RecordWrapperType",
                       path, name);
    if (read_distribution(channel, &options->channels[i].share) < 0)
        return tr_fail(error,
                       "%s: channel %s: S3DistributionType is not FullyReplicated or "
                       "ShardedByS3Key",
                       path, name);
    if (absolute_base(container, base, error) < 0)
        return -1;
    struct tr_channel_options *to = &options->channels[i];
    snprintf(container->uris[i], sizeof container->uris[i], "%s://%s/" DATA "/%s", scheme, base,
             name);
    snprintf(container->content_types[i], sizeof container->content_types[i], "%s",
             type ? type : "");
    to->uris[0] = container->uris[i];
    to->uri_count = 1;
    if (!to->content_type && type && *type)
        to->content_type = container->content_types[i];
    return 0;
}

static int read_channels(struct tr_container *container, struct tr_train_options *options,
                         struct tr_error *error)
{
    char path[PATH_MAX];
    json_t *channels;
    json_t *channel;
    const char *name;
    int rc = 0;
    if (load(container, CHANNELS_FILE, path, &channels, error) < 0)
        return -1;
    if (!channels)
        return tr_fail(error,
                       "%s does not exist: give the channels as --train URI, or another "
                       "--base DIR",
                       path);
    json_object_foreach(channels, name, channel)
    {
        if (rc == 0)
            rc = read_channel(container, path, name, channel, options, error);
    }
    json_decref(channels);
    if (rc == 0 && options->channels[TR_CHANNEL_TRAIN].uri_count == 0)
        return tr_fail(error, "%s names no channel train", path);
    return rc;
}

/* --- hyperparameters -------------------------------------------------------------------
 */

/* What SageMaker and its SDK put beside the algorithm's own. */
static bool is_foreign(const char *name)
{
    return name[0] == '_' || strncmp(name, "sagemaker_", 10) == 0;
}

/* "name=value"; the SDK puts some values as JSON into the JSON string. */
static int take_hyperparameter(const char *name, const json_t *value,
                               struct tr_train_options *options, struct tr_error *error)
{
    char assignment[4096]; /* CreateTrainingJob: names of 256 characters, values of 2500 */
    const char *text = json_string_value(value);
    json_t *inner = text && *text == '"' ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
    int rc = -1;
    if (json_is_string(inner))
        text = json_string_value(inner);
    if (!text)
        tr_fail(error, "hyperparameter %s is not a string", name);
    else if ((size_t)snprintf(assignment, sizeof assignment, "%s=%s", name, text) >=
             sizeof assignment)
        tr_fail(error, "hyperparameter '%.64s' is too long", name);
    else
        rc = tr_hyper_set(options->model->hyper, options->hyper, assignment, error);
    json_decref(inner);
    return rc;
}

static int read_hyperparameters(const struct tr_container *container,
                                struct tr_train_options *options, struct tr_error *error)
{
    char path[PATH_MAX];
    struct tr_error why;
    json_t *values;
    json_t *value;
    const char *name;
    int rc = 0;
    if (load(container, HYPERPARAMETERS_FILE, path, &values, error) < 0)
        return -1;
    json_object_foreach(values, name, value)
    {
        if (rc == 0 && !is_foreign(name) && take_hyperparameter(name, value, options, &why) < 0)
            rc = tr_fail(error, "%.512s: %.1400s", path, why.text);
    }
    json_decref(values);
    return rc;
}

void tr_container_resources(const struct tr_container *container, char path[PATH_MAX])
{
    path_of(container, HOSTS_FILE, path);
}

int tr_container_read(struct tr_container *container, struct tr_train_options *options,
                      struct tr_error *error)
{
    for (int i = 0; i < TR_CHANNEL_COUNT; i++) {
        if (options->channels[i].uri_count > 0)
            return tr_fail(error,
                           "--%s: without --train URI, channels are what %s/" CHANNELS_FILE " says",
                           tr_channel_name((enum tr_channel)i), container->base);
    }
    if (read_channels(container, options, error) < 0)
        return -1;
    path_of(container, "model", container->model_dir);
    if (!options->model_dir)
        options->model_dir = container->model_dir;
    path_of(container, "checkpoints", container->checkpoint_dir);
    if (!options->checkpoint_dir && access(container->checkpoint_dir, F_OK) == 0)
        options->checkpoint_dir = container->checkpoint_dir;
    options->base = container->base;
    return read_hyperparameters(container, options, error);
}

/* --- failure -------------------------------------------------------------------------------------
 */

/* The longest beginning of `text` of whole characters (UTF-8) that fits. */
static size_t fitting_bytes(const char *text, size_t most_bytes)
{
    size_t len = strlen(text);
    if (len <= most_bytes)
        return len;
    for (len = most_bytes; len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80;)
        len--;
    return len;
}

void tr_container_failure(const struct tr_container *container, const char *message)
{
    char directory[PATH_MAX];
    struct tr_output output;
    path_of(container, "output", directory);
    if (tr_output_directory(directory, NULL) < 0 ||
        tr_output_open(&output, directory, "failure", NULL) < 0)
        return;
    if (tr_output_sink(&output, message, fitting_bytes(message, FAILURE_BYTES_MAX)) == 0 &&
        tr_output_close(&output, NULL) == 0)
        tr_output_commit(&output, NULL);
    tr_output_discard(&output);
}
