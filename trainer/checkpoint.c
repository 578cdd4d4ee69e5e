/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/checkpoint.c - see trainer/checkpoint.h. */
#include "trainer/checkpoint.h"

#include "formats/crc.h"
#include "trainer/checkpoint_files.h"
#include "trainer/device_use.h"
#include "trainer/output.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define VERSION_NAME "penstock_checkpoint"
#define VERSION "1"
#define CHECKSUM_HEAD "\"checksum\":\""
#define CHECKSUM_NONE "0000000000000000" /* where it will stand, when it is computed */
#define CHECKSUM_DIGITS 16U
#define PIECE_BYTES ((size_t)64 << 20)
#define HEAD_BYTES 8U /* the header's length, little-endian */

int tr_checkpoint_prepare(const char *directory, struct tr_error *error)
{
    if (tr_output_directory(directory, error) < 0)
        return -1;
    tr_checkpoint_sweep(directory);
    return 0;
}

/* Of all of the file, with the checksum's digits as zeros. */
static uint64_t checksum(const uint8_t *bytes, size_t len_bytes)
{
    return fmt_crc(FMT_CRC64NVME, 0, bytes, len_bytes);
}

/* --- writing -------------------------------------------------------------------------------------
 */

static json_t *make_metadata(const struct tr_checkpoint *c)
{
    json_t *metadata = json_object();
    json_object_set_new(metadata, VERSION_NAME, json_string(VERSION));
    json_object_set_new(metadata, "checksum", json_string(CHECKSUM_NONE));
    for (size_t i = 0; i < c->mark_count; i++)
        json_object_set_new(metadata, c->marks[i].name, json_string(c->marks[i].text));
    for (size_t i = 0; i < c->place_count; i++)
        json_object_set_new(metadata, c->places[i].name, json_string(c->places[i].text));
    return metadata;
}

/* The header as text, filled up with blanks to a multiple of 8; NULL when memory is out. */
static char *make_header(const struct tr_checkpoint *c, size_t *data_bytes)
{
    json_t *root = json_object();
    size_t at = 0;
    json_object_set_new(root, "__metadata__", make_metadata(c));
    for (size_t i = 0; i < c->item_count; i++) {
        const struct tr_state_item *item = &c->items[i];
        if (!item->memory)
            continue;
        json_object_set_new(root, item->name,
                            json_pack("{s:s, s:[I], s:[I, I]}", "dtype", "U8", "shape",
                                      (json_int_t)item->len_bytes, "data_offsets", (json_int_t)at,
                                      (json_int_t)(at + item->len_bytes)));
        at += item->len_bytes;
    }
    char *text = json_dumps(root, JSON_COMPACT);
    size_t len = text ? strlen(text) : 0;
    size_t padded = (len + 7) / 8 * 8;
    char *header = text ? realloc(text, padded + 1) : NULL;
    json_decref(root);
    *data_bytes = at;
    if (!header) {
        free(text);
        return NULL;
    }
    memset(header + len, ' ', padded - len);
    header[padded] = '\0';
    return header;
}

/* Copies all items behind the header. The device is idle. */
static int gather(const struct tr_checkpoint *c, uint8_t *to, struct tr_error *error)
{
    struct tr_device *device = c->device;
    int rc = 0;
    for (size_t i = 0; i < c->item_count && rc == 0; i++) {
        const struct tr_state_item *item = &c->items[i];
        if (!item->memory)
            continue;
        if (!item->on_device)
            memcpy(to, item->memory, item->len_bytes);
        else if (item->len_bytes > 0)
            rc = device->ops->download(device, to, item->memory, item->len_bytes);
        to += item->len_bytes;
    }
    device->ops->drain(device);
    return rc < 0 ? tr_device_failed(device, error) : 0;
}

static int write_file(const struct tr_checkpoint *c, const char *name, const uint8_t *bytes,
                      size_t len_bytes, struct tr_error *error)
{
    struct tr_output output;
    if (tr_output_open(&output, c->directory, name, error) < 0)
        return -1;
    /* A slow disk is no rank that has failed: piece by piece, with a sign of life. What a sign of
     * life tells of other ranks, their next call says as well. */
    for (size_t at = 0; at < len_bytes; at += PIECE_BYTES) {
        size_t left = len_bytes - at;
        tr_output_sink(&output, bytes + at, left < PIECE_BYTES ? left : PIECE_BYTES);
        if (c->group)
            tr_output_flush(&output);
        tr_group_beat(c->group, NULL);
    }
    int rc = tr_output_close(&output, error);
    if (rc == 0)
        rc = tr_output_commit(&output, error);
    tr_output_discard(&output);
    return rc;
}

int tr_checkpoint_write(const struct tr_checkpoint *c, uint32_t epoch, uint64_t batch,
                        struct tr_error *error)
{
    char name[TR_CHECKPOINT_NAME_BYTES];
    char digits[CHECKSUM_DIGITS + 1];
    size_t data_bytes;
    char *header = make_header(c, &data_bytes);
    size_t header_bytes = header ? strlen(header) : 0;
    size_t len_bytes = HEAD_BYTES + header_bytes + data_bytes;
    uint8_t *bytes = header ? malloc(len_bytes) : NULL;
    if (!bytes) {
        free(header);
        return tr_fail(error, "no memory for a checkpoint of %zu bytes", len_bytes);
    }
    for (unsigned i = 0; i < HEAD_BYTES; i++)
        bytes[i] = (uint8_t)((uint64_t)header_bytes >> (8 * i));
    memcpy(bytes + HEAD_BYTES, header, header_bytes);
    c->device->ops->drain(c->device);
    int rc = gather(c, bytes + HEAD_BYTES + header_bytes, error);
    snprintf(digits, sizeof digits, "%016" PRIx64, checksum(bytes, len_bytes));
    size_t at = (size_t)(strstr(header, CHECKSUM_HEAD) - header) + strlen(CHECKSUM_HEAD);
    memcpy(bytes + HEAD_BYTES + at, digits, CHECKSUM_DIGITS);
    tr_checkpoint_name(name, epoch, batch);
    if (rc == 0)
        rc = write_file(c, name, bytes, len_bytes, error);
    if (rc == 0)
        tr_checkpoint_prune(c->directory, c->keep);
    free(bytes);
    free(header);
    return rc;
}

/* --- reading -------------------------------------------------------------------------------------
 */

struct tr_loaded {
    char path[PATH_MAX];
    uint8_t *bytes;
    size_t len_bytes;
    size_t data_at;
    json_t *header;
};

void tr_loaded_free(struct tr_loaded **loaded)
{
    if (*loaded) {
        json_decref((*loaded)->header);
        free((*loaded)->bytes);
        free(*loaded);
    }
    *loaded = NULL;
}

const char *tr_loaded_path(const struct tr_loaded *loaded)
{
    return loaded->path;
}

const char *tr_loaded_text(const struct tr_loaded *loaded, const char *name)
{
    const json_t *metadata = json_object_get(loaded->header, "__metadata__");
    const char *text = json_string_value(json_object_get(metadata, name));
    return text ? text : "";
}

const void *tr_loaded_item(const struct tr_loaded *loaded, const char *name, size_t *len_bytes)
{
    const json_t *offsets = json_object_get(json_object_get(loaded->header, name), "data_offsets");
    json_int_t from = json_integer_value(json_array_get(offsets, 0));
    json_int_t to = json_integer_value(json_array_get(offsets, 1));
    size_t data_bytes = loaded->len_bytes - loaded->data_at;
    if (json_array_size(offsets) != 2 || from < 0 || to < from || (uint64_t)to > data_bytes)
        return NULL;
    *len_bytes = (size_t)(to - from);
    return loaded->bytes + loaded->data_at + from;
}

static int read_bytes(struct tr_loaded *loaded, struct tr_error *error)
{
    struct stat status;
    FILE *file = fopen(loaded->path, "re");
    if (!file || fstat(fileno(file), &status) < 0) {
        int sys_errno = errno;
        if (file)
            fclose(file);
        return tr_fail(error, "cannot read it: %s", strerror(sys_errno));
    }
    loaded->len_bytes = (size_t)status.st_size;
    loaded->bytes = malloc(loaded->len_bytes + 1);
    size_t got = loaded->bytes ? fread(loaded->bytes, 1, loaded->len_bytes, file) : 0;
    fclose(file);
    return got == loaded->len_bytes ? 0 : tr_fail(error, "cannot read all of it");
}

/* The checksum that the file has is compared with that of its bytes, and zeros stay in its place.
 */
static bool has_its_checksum(struct tr_loaded *loaded, size_t header_bytes)
{
    char digits[CHECKSUM_DIGITS + 1];
    uint8_t *header = loaded->bytes + HEAD_BYTES;
    uint8_t *at = memmem(header, header_bytes, CHECKSUM_HEAD, strlen(CHECKSUM_HEAD));
    if (!at || (size_t)(header + header_bytes - at) < strlen(CHECKSUM_HEAD) + CHECKSUM_DIGITS)
        return false;
    at += strlen(CHECKSUM_HEAD);
    char *has = (char *)at;
    char was[CHECKSUM_DIGITS + 1] = "";
    memcpy(was, has, CHECKSUM_DIGITS);
    memcpy(has, CHECKSUM_NONE, CHECKSUM_DIGITS);
    snprintf(digits, sizeof digits, "%016" PRIx64, checksum(loaded->bytes, loaded->len_bytes));
    return strcmp(digits, was) == 0;
}

/* The file's bytes are whole. */
static int read_header(struct tr_loaded *loaded, size_t header_bytes, struct tr_error *error)
{
    loaded->data_at = HEAD_BYTES + header_bytes;
    loaded->header = json_loadb((const char *)loaded->bytes + HEAD_BYTES, header_bytes, 0, NULL);
    return loaded->header ? 0 : tr_fail(error, "its header is no JSON");
}

/* Whether the file is whole: 0, or -1 with why not. */
static int check_whole(struct tr_loaded *loaded, struct tr_error *error)
{
    uint64_t header_bytes = 0;
    if (read_bytes(loaded, error) < 0)
        return -1;
    for (unsigned i = 0; i < HEAD_BYTES && loaded->len_bytes >= HEAD_BYTES; i++)
        header_bytes |= (uint64_t)loaded->bytes[i] << (8 * i);
    if (loaded->len_bytes < HEAD_BYTES || header_bytes > loaded->len_bytes - HEAD_BYTES)
        return tr_fail(error, "it is cut off");
    if (!has_its_checksum(loaded, (size_t)header_bytes))
        return tr_fail(error, "it does not have its checksum: it is cut off or damaged");
    return read_header(loaded, (size_t)header_bytes, error);
}

/* What a file is about, before its bytes. */
struct announced {
    uint64_t len_bytes; /* 0: there is none */
    uint64_t header_bytes;
    char path[PATH_MAX];
};

int tr_loaded_broadcast(struct tr_loaded **loaded, struct tr_group *group, struct tr_error *error)
{
    struct announced told = {0};
    if (!group)
        return 0;
    if (*loaded) {
        told.len_bytes = (*loaded)->len_bytes;
        told.header_bytes = (*loaded)->data_at - HEAD_BYTES;
        memcpy(told.path, (*loaded)->path, sizeof told.path);
    }
    if (tr_group_broadcast(group, &told, sizeof told, error) < 0)
        return -1;
    if (told.len_bytes == 0)
        return 0;
    bool is_first = tr_group_rank(group) == 0;
    if (!is_first) {
        *loaded = calloc(1, sizeof **loaded);
        if (!*loaded || !((*loaded)->bytes = malloc(told.len_bytes + 1)))
            return tr_fail(error, "no memory for a checkpoint of %llu bytes",
                           (unsigned long long)told.len_bytes);
        (*loaded)->len_bytes = told.len_bytes;
        memcpy((*loaded)->path, told.path, sizeof told.path);
    }
    if (tr_group_broadcast(group, (*loaded)->bytes, told.len_bytes, error) < 0)
        return -1;
    return is_first ? 0 : read_header(*loaded, told.header_bytes, error);
}

static int compare(const struct tr_loaded *loaded, const struct tr_mark *marks, size_t count,
                   struct tr_error *error)
{
    const char *version = tr_loaded_text(loaded, VERSION_NAME);
    if (strcmp(version, VERSION) != 0)
        return tr_fail(error, "%s: %s is '%s': this release reads version %s alone", loaded->path,
                       VERSION_NAME, version, VERSION);
    for (size_t i = 0; i < count; i++) {
        const char *text = tr_loaded_text(loaded, marks[i].name);
        if (strcmp(text, marks[i].text) != 0)
            return tr_fail(
                error,
                "%s is of a run with %s = '%s', and this one has '%s': set it as it was, "
                "or give another --checkpoint-dir",
                loaded->path, marks[i].name, text, marks[i].text);
    }
    return 0;
}

int tr_checkpoint_load(const char *directory, const struct tr_mark *marks, size_t mark_count,
                       tr_checkpoint_warn_fn warn, void *cookie, struct tr_loaded **out,
                       struct tr_error *error)
{
    struct tr_checkpoint_names names;
    int rc = tr_checkpoint_list(directory, &names, error);
    *out = NULL;
    for (size_t i = 0; i < names.count && rc == 0 && !*out; i++) {
        struct tr_error why;
        char line[PATH_MAX + sizeof why.text + 80];
        *out = calloc(1, sizeof **out);
        if (!*out) {
            rc = tr_fail(error, "no memory");
            break;
        }
        snprintf((*out)->path, sizeof(*out)->path, "%s/%s", directory, names.names[i]);
        if (check_whole(*out, &why) == 0) {
            rc = compare(*out, marks, mark_count, error);
            break;
        }
        snprintf(line, sizeof line, "the checkpoint %s is passed over: %s", (*out)->path, why.text);
        warn(cookie, line);
        tr_loaded_free(out);
    }
    tr_checkpoint_names_free(&names);
    if (rc < 0)
        tr_loaded_free(out);
    return rc;
}

int tr_loaded_restore(const struct tr_loaded *loaded, struct tr_device *device,
                      const struct tr_state_item *items, size_t count, struct tr_error *error)
{
    int rc = 0;
    if (device)
        device->ops->drain(device);
    for (size_t i = 0; i < count && rc == 0; i++) {
        const struct tr_state_item *item = &items[i];
        size_t len_bytes = 0;
        const void *bytes = tr_loaded_item(loaded, item->name, &len_bytes);
        if (!item->memory)
            continue;
        if (!bytes || len_bytes != item->len_bytes)
            rc = tr_fail(error, "%s: %s has %zu bytes, and the model wants %zu", loaded->path,
                         item->name, len_bytes, item->len_bytes);
        else if (!item->on_device)
            memcpy(item->memory, bytes, len_bytes);
        else if (len_bytes > 0 && device->ops->upload(device, item->memory, bytes, len_bytes) < 0)
            rc = tr_device_failed(device, error);
    }
    if (device)
        device->ops->drain(device); /* uploads are from memory that is freed */
    return rc;
}
