/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/custom.c - a model that is a shared object of the user's: see trainer/penstock_model.h.
 */
#include "trainer/call.h"
#include "trainer/custom_hyper.h"
#include "trainer/device_use.h"
#include "trainer/model.h"
#include "trainer/penstock_model.h"
#include "trainer/symbols.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 41U
#define ERROR_BYTES 1024U
#define ABI_MIN 1U
#define ABI_RANKS 2U
#define ARRAYS_MAX (TR_TENSORS_MAX - 2U) /* a checkpoint holds two more */
_Static_assert(ARRAYS_MAX == 94, "put says how many");

/* An array that the library's save gave: kept until the next save, or to be loaded. */
struct kept {
    char name[NAME_BYTES];
    enum penstock_model_type type;
    uint32_t dim_count;
    uint64_t shape[FMT_TENSOR_DIMS_MAX];
    size_t len_bytes;
    void *data;
};

enum callback { CALLBACK_STEP, CALLBACK_EVAL };

struct custom {
    struct tr_model base; /* first: the table is given a struct tr_model */
    struct tr_custom_hyper hyper;
    void *library;
    const struct penstock_model_ops *ops;
    void *model;
    bool waits; /* the device computes in host memory: callbacks have to be waited for */
    struct tr_event *ready;
    double rows[TR_SUMS_COUNT];
    struct tr_error sum_error; /* why ranks could not add up; empty text: they could */
    struct kept kept[ARRAYS_MAX];
    size_t kept_count;
    const char *refused;                                        /* why an array was not taken */
    char parameters[sizeof((struct tr_custom_hyper *)0)->text]; /* a checkpoint's */
    /* The call that is under way: written here, read where the device calls. */
    enum callback callback;
    struct penstock_model_batch batch;
    int rc;
    char error[ERROR_BYTES];
};

static struct custom *of(struct tr_model *model)
{
    return (struct custom *)(void *)model;
}

static const struct custom *seen(const struct tr_model *model)
{
    return (const struct custom *)(const void *)model;
}

/* What a callback said, after its name. */
static int callback_failed(struct custom *m, const char *callback, struct tr_error *error)
{
    if (m->sum_error.text[0]) {
        *error = m->sum_error;
        return -1;
    }
    m->error[sizeof m->error - 1] = '\0';
    return tr_fail(error, "%s: %s of %s failed: %s", m->hyper.library, callback,
                   m->ops->name ? m->ops->name : "the model",
                   m->error[0] ? m->error : "it does not say why");
}

/* --- arrays --------------------------------------------------------------------------------------
 */

static void drop_kept(struct custom *m)
{
    while (m->kept_count > 0)
        free(m->kept[--m->kept_count].data);
}

static struct kept *find_kept(struct custom *m, const char *name)
{
    for (size_t i = 0; i < m->kept_count; i++) {
        if (strcmp(m->kept[i].name, name) == 0)
            return &m->kept[i];
    }
    return NULL;
}

static bool is_name(const char *name)
{
    size_t len = name ? strnlen(name, NAME_BYTES) : 0;
    return len > 0 && len < NAME_BYTES &&
           name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.")] ==
               '\0';
}

/* A penstock_model_put_fn. */
static int put(void *cookie, const char *name, enum penstock_model_type type, uint32_t dim_count,
               const uint64_t *shape, const void *data)
{
    struct custom *m = cookie;
    size_t most = SIZE_MAX / 2;
    if (!is_name(name))
        m->refused = "an array's name is not of 1 to 40 letters, digits, '_' and '.'";
    else if (find_kept(m, name))
        m->refused = "two arrays have the same name";
    else if (m->kept_count == ARRAYS_MAX)
        m->refused = "there are more than 94 arrays";
    else if (dim_count > FMT_TENSOR_DIMS_MAX || (type == PENSTOCK_MODEL_STATE && dim_count != 1) ||
             !data)
        m->refused =
            "an array has no data, more than 4 dimensions, or is a state of other than one";
    if (m->refused)
        return -1;
    struct kept *kept = &m->kept[m->kept_count];
    *kept = (struct kept){.type = type, .dim_count = dim_count};
    memcpy(kept->name, name, strlen(name) + 1);
    kept->len_bytes = type == PENSTOCK_MODEL_FLOAT32 ? sizeof(float) : 1;
    for (uint32_t i = 0; i < dim_count; i++) {
        kept->shape[i] = shape[i];
        if (shape[i] == 0 || shape[i] > most / kept->len_bytes) {
            m->refused = "an array's shape has a zero, or is too large";
            return -1;
        }
        kept->len_bytes *= shape[i];
    }
    kept->data = malloc(kept->len_bytes);
    if (!kept->data) {
        m->refused = "there is no memory for an array";
        return -1;
    }
    memcpy(kept->data, data, kept->len_bytes);
    m->kept_count++;
    return 0;
}

/* A penstock_model_get_fn. */
static const void *get(void *cookie, const char *name, size_t *len_bytes)
{
    const struct kept *kept = find_kept(cookie, name);
    *len_bytes = kept ? kept->len_bytes : 0;
    return kept ? kept->data : NULL;
}

static int save(struct custom *m, struct tr_error *error)
{
    drop_kept(m);
    m->refused = NULL;
    m->error[0] = '\0';
    int rc = m->ops->save(m->model, put, m, m->error, sizeof m->error);
    if (m->refused && !m->error[0])
        snprintf(m->error, sizeof m->error, "%s", m->refused);
    return rc != 0 || m->refused ? callback_failed(m, "save", error) : 0;
}

/* --- life ----------------------------------------------------------------------------------------
 */

static uint64_t head_rows(const void *values)
{
    (void)values;
    return 1;
}

static int open_library(struct custom *m, struct tr_error *error)
{
    const struct penstock_model_ops *(*entry)(void);
    m->library = dlopen(m->hyper.library, RTLD_NOW | RTLD_LOCAL);
    if (!m->library)
        return tr_fail(error, "hyperparameter library: %s", dlerror());
    const struct tr_symbol symbol = {"penstock_model", &entry};
    const struct penstock_model_ops *ops = tr_symbols_find(m->library, &symbol, 1) ? NULL : entry();
    if (!ops)
        return tr_fail(error, "hyperparameter library: %s gives no penstock_model",
                       m->hyper.library);
    if (ops->abi < ABI_MIN || ops->abi > PENSTOCK_MODEL_ABI)
        return tr_fail(error,
                       "hyperparameter library: %s was compiled with version %u of "
                       "penstock_model.h; this program has version %u",
                       m->hyper.library, ops->abi, PENSTOCK_MODEL_ABI);
    if (tr_group_count(m->base.group) > 1 &&
        (ops->abi < ABI_RANKS || !(ops->takes & PENSTOCK_MODEL_RANKS)))
        return tr_fail(error,
                       "hyperparameter library: %s is a model for one rank, and this run has %u: "
                       "PENSTOCK_MODEL_RANKS of penstock_model.h says what it takes",
                       m->hyper.library, tr_group_count(m->base.group));
    if (!ops->init || !ops->step || !ops->eval || !ops->results || !ops->save || !ops->free ||
        !ops->objective)
        return tr_fail(error, "hyperparameter library: %s lacks a callback or the objective's name",
                       m->hyper.library);
    m->ops = ops;
    return 0;
}

static void free_custom(struct tr_model *model)
{
    struct custom *m = of(model);
    m->base.device->ops->drain(m->base.device);
    if (m->model)
        m->ops->free(m->model);
    m->base.device->ops->event_free(m->base.device, m->ready);
    drop_kept(m);
    if (m->library)
        dlclose(m->library);
    free(m);
}

/* A penstock_model_sum_fn. Where callbacks are waited for, it is the device that calls. */
static int sum(void *cookie, void *numbers, size_t count, enum penstock_model_number type)
{
    struct custom *m = cookie;
    enum tr_number number = type == PENSTOCK_MODEL_FLOATS ? TR_NUMBER_FLOAT : TR_NUMBER_DOUBLE;
    return m->waits ? tr_group_sum(m->base.group, numbers, count, number, &m->sum_error)
                    : tr_group_sum_on(m->base.group, m->base.device, numbers, count, number,
                                      &m->sum_error);
}

static int init_library(struct custom *m, const struct tr_setup *setup,
                        const struct penstock_batch *first, struct tr_error *error)
{
    struct penstock_model_parameter parameters[TR_CUSTOM_PARAMETERS_MAX];
    const char *text = m->hyper.text;
    for (uint32_t i = 0; i < m->hyper.parameter_count; i++) {
        parameters[i].name = text;
        parameters[i].value = text + strlen(text) + 1;
        text = parameters[i].value + strlen(parameters[i].value) + 1;
    }
    const struct penstock_model_setup given = {
        .abi = m->ops->abi,
        .device = m->waits ? "cpu" : "cuda",
        .feature_dim = first->feature_dim,
        .label_dim = first->label_dim,
        .mini_batch_size = m->hyper.common.mini_batch_size,
        .epochs = m->hyper.common.epochs,
        .seed = setup->seed,
        .parameter_count = m->hyper.parameter_count,
        .parameters = parameters,
        .rank = tr_group_rank(m->base.group),
        .rank_count = tr_group_count(m->base.group),
        .sum = sum,
        .sum_cookie = m,
    };
    if (m->ops->init(&given, &m->model, m->error, sizeof m->error) == 0 && m->model)
        return 0;
    m->model = NULL;
    return callback_failed(m, "init", error);
}

static int make(struct custom *m, const struct tr_setup *setup, struct tr_error *error)
{
    const struct penstock_batch *first = tr_head_batch(setup->head, 0);
    m->waits = strcmp(setup->device->ops->name, "cuda") != 0;
    if (m->base.device->ops->event_new(m->base.device, &m->ready) < 0)
        return tr_device_failed(m->base.device, error);
    if (open_library(m, error) < 0 || tr_model_custom.check(&m->base, "train", first, error) < 0)
        return -1;
    return init_library(m, setup, first, error);
}

static int create(const struct tr_setup *setup, struct tr_model **out, struct tr_error *error)
{
    struct custom *m = calloc(1, sizeof *m);
    *out = NULL;
    if (!m)
        return tr_fail(error, "no memory");
    m->base = (struct tr_model){&tr_model_custom, setup->device, setup->group};
    m->hyper = *(const struct tr_custom_hyper *)setup->hyper;
    if (make(m, setup, error) < 0) {
        free_custom(&m->base);
        return -1;
    }
    *out = &m->base;
    return 0;
}

static void describe(const struct tr_model *model, char *text, size_t text_bytes)
{
    const struct custom *m = seen(model);
    snprintf(text, text_bytes, "%s (%s)", m->ops->name ? m->ops->name : "model", m->hyper.library);
}

/* --- batches -------------------------------------------------------------------------------------
 */

static int check(const struct tr_model *model, const char *channel,
                 const struct penstock_batch *batch, struct tr_error *error)
{
    const struct custom *m = seen(model);
    uint32_t takes = m->ops->takes;
    const char *what = NULL;
    if (batch->row_offsets && !(takes & PENSTOCK_MODEL_SPARSE))
        what = "is sparse";
    else if ((batch->features || batch->run_count > 0) && !(takes & PENSTOCK_MODEL_DENSE))
        what = "has float32 features";
    else if (batch->type == PENSTOCK_UINT8 && batch->data && !(takes & PENSTOCK_MODEL_BYTES))
        what = "has uint8 features";
    else if (batch->weights && !(takes & PENSTOCK_MODEL_WEIGHTS))
        what = "has weights";
    else if (batch->label_dim == 0 && (takes & PENSTOCK_MODEL_LABELS))
        what = "has no labels";
    return what ? tr_fail(error, "the %s channel %s, which %s does not take", channel, what,
                          m->hyper.library)
                : 0;
}

static void call(void *cookie, void *stream)
{
    struct custom *m = cookie;
    m->rc = m->callback == CALLBACK_STEP
                ? m->ops->step(m->model, &m->batch, stream, m->error, sizeof m->error)
                : m->ops->eval(m->model, &m->batch, stream, m->error, sizeof m->error);
}

static int give(struct custom *m, enum callback callback, const struct tr_device_batch *batch,
                struct tr_error *error)
{
    const struct penstock_batch *host = batch->host;
    const struct tr_call_args args = {call, m};
    m->callback = callback;
    m->rc = 0;
    m->error[0] = '\0';
    m->batch = (struct penstock_model_batch){
        .rows = host->rows,
        .feature_dim = host->feature_dim,
        .label_dim = host->label_dim,
        .epoch = host->epoch,
        .position = host->position,
        .features = batch->features,
        .bytes = host->type == PENSTOCK_UINT8 ? batch->data : NULL,
        .labels = batch->labels,
        .weights = batch->weights,
        .row_offsets = batch->row_offsets,
        .columns = batch->columns,
        .values = batch->values,
        .first_row = host->first_row,
        .all_rows = host->rows + host->rows_elsewhere,
    };
    int rc = tr_launch_call(m->base.device, &args);
    if (rc == 0 && m->waits &&
        tr_device_wait(m->base.device, m->ready, TR_STREAM_COMPUTE, error) < 0)
        return -1;
    if (m->rc != 0 || m->sum_error.text[0])
        return callback_failed(m, callback == CALLBACK_STEP ? "step" : "eval", error);
    return rc < 0 ? tr_device_failed(m->base.device, error) : 0;
}

static int step(struct tr_model *model, const struct tr_device_batch *batch, struct tr_error *error)
{
    if (batch->host->rows + batch->host->rows_elsewhere == 0)
        return 0;
    of(model)->rows[TR_SUMS_TRAIN] += (double)batch->host->rows;
    return give(of(model), CALLBACK_STEP, batch, error);
}

static int evaluate(struct tr_model *model, const struct tr_device_batch *batch,
                    struct tr_error *error)
{
    if (batch->host->rows == 0)
        return 0;
    of(model)->rows[TR_SUMS_EVALUATE] += (double)batch->host->rows;
    return give(of(model), CALLBACK_EVAL, batch, error);
}

/* --- results -------------------------------------------------------------------------------------
 */

static const char *objective(const struct tr_model *model)
{
    return seen(model)->ops->objective;
}

static enum penstock_model_pass pass_of(enum tr_sums which)
{
    return which == TR_SUMS_TRAIN ? PENSTOCK_MODEL_TRAIN : PENSTOCK_MODEL_HELD_OUT;
}

/* The library's sums of a pass; NULL where there are none. */
static double *sums_of(struct custom *m, enum tr_sums which, size_t *count)
{
    bool has = m->ops->abi >= ABI_RANKS && m->ops->sums;
    *count = 0;
    return has ? m->ops->sums(m->model, pass_of(which), count) : NULL;
}

/* Together: the rows of a pass and the library's sums over them become those of all ranks. */
static int add_up(struct custom *m, enum tr_sums which, struct tr_error *error)
{
    struct tr_group *group = m->base.group;
    size_t count;
    if (!group)
        return 0;
    double *sums = sums_of(m, which, &count);
    if (tr_group_sum(group, &m->rows[which], 1, TR_NUMBER_DOUBLE, error) < 0)
        return -1;
    if (!sums)
        return 0;
    if (m->waits)
        return tr_group_sum(group, sums, count, TR_NUMBER_DOUBLE, error);
    if (tr_group_sum_on(group, m->base.device, sums, count, TR_NUMBER_DOUBLE, error) < 0)
        return -1;
    return tr_device_wait(m->base.device, m->ready, TR_STREAM_COMPUTE, error);
}

/* What was folded, or restored everywhere, stays rank 0's alone. */
static int let_go_sums(struct custom *m, struct tr_error *error)
{
    struct tr_device *device = m->base.device;
    for (int which = 0; which < TR_SUMS_COUNT && tr_group_rank(m->base.group) > 0; which++) {
        size_t count;
        double *sums = sums_of(m, (enum tr_sums)which, &count);
        m->rows[which] = 0.0;
        if (sums && m->waits)
            memset(sums, 0, count * sizeof *sums);
        else if (sums && device->ops->zero(device, sums, count * sizeof *sums) < 0)
            return tr_device_failed(device, error);
    }
    return tr_device_wait(device, m->ready, TR_STREAM_COMPUTE, error);
}

static int results(struct tr_model *model, enum tr_sums which, struct tr_results *out,
                   struct tr_error *error)
{
    struct custom *m = of(model);
    struct penstock_model_results got = {0};
    m->error[0] = '\0';
    if (tr_device_wait(m->base.device, m->ready, TR_STREAM_COMPUTE, error) < 0 ||
        add_up(m, which, error) < 0)
        return -1;
    if (m->ops->results(m->model, pass_of(which), &got, m->error, sizeof m->error) != 0)
        return callback_failed(m, "results", error);
    *out = (struct tr_results){.rows = m->rows[which], .loss = got.loss};
    m->rows[which] = 0.0;
    for (uint32_t i = 0; i < got.score_count && i < PENSTOCK_MODEL_SCORES_MAX; i++) {
        got.scores[i].name[sizeof got.scores[i].name - 1] = '\0';
        tr_results_add(out, got.scores[i].name, got.scores[i].is_loss != 0, got.scores[i].value);
    }
    return 0;
}

static int export_arrays(struct tr_model *model, struct tr_export *out, struct tr_error *error)
{
    struct custom *m = of(model);
    if (tr_device_wait(m->base.device, m->ready, TR_STREAM_COMPUTE, error) < 0 ||
        save(m, error) < 0)
        return -1;
    for (size_t i = 0; i < m->kept_count; i++) {
        const struct kept *kept = &m->kept[i];
        if (kept->type != PENSTOCK_MODEL_FLOAT32)
            continue;
        float *data = tr_export_add(out, kept->name, kept->dim_count, kept->shape, error);
        if (!data)
            return -1;
        memcpy(data, kept->data, kept->len_bytes);
    }
    out->prediction = m->ops->prediction ? m->ops->prediction : "as the library says";
    return 0;
}

static void put_config(const struct tr_model *model, struct tr_json *json)
{
    const struct custom *m = seen(model);
    const char *text = m->hyper.text;
    tr_json_text(json, "library", m->hyper.library);
    tr_json_text(json, "model", m->ops->name ? m->ops->name : "");
    for (uint32_t i = 0; i < m->hyper.parameter_count; i++) {
        const char *value = text + strlen(text) + 1;
        tr_json_text(json, text, value);
        text = value + strlen(value) + 1;
    }
}

/* --- checkpoints ---------------------------------------------------------------------------------
 */

static size_t state(struct tr_model *model, struct tr_state_item *items)
{
    struct custom *m = of(model);
    struct tr_error error;
    if (tr_device_wait(m->base.device, m->ready, TR_STREAM_COMPUTE, &error) < 0 ||
        save(m, &error) < 0)
        drop_kept(m); /* restored() says so, and the model's files are not written either */
    for (size_t i = 0; i < m->kept_count; i++) {
        items[i] =
            (struct tr_state_item){.memory = m->kept[i].data, .len_bytes = m->kept[i].len_bytes};
        memcpy(items[i].name, m->kept[i].name, NAME_BYTES);
    }
    memcpy(m->parameters, m->hyper.text, sizeof m->parameters);
    items[m->kept_count] =
        (struct tr_state_item){"library.parameters", m->parameters, sizeof m->parameters, false};
    items[m->kept_count + 1] =
        (struct tr_state_item){"library.rows", m->rows, sizeof m->rows, false};
    return m->kept_count + 2;
}

/* The library's parameters are as they were when the checkpoint was written. */
static int compare_parameters(const struct custom *m, struct tr_error *error)
{
    const char *now = m->hyper.text;
    if (memcmp(m->parameters, now, sizeof m->parameters) == 0)
        return 0;
    for (uint32_t i = 0; i < m->hyper.parameter_count; i++) {
        const char *value = now + strlen(now) + 1;
        size_t len = (size_t)(value - now) + strlen(value) + 1;
        if (memcmp(m->parameters + (now - m->hyper.text), now, len) != 0)
            return tr_fail(error,
                           "the checkpoint was written with another value, or place, of the "
                           "library's hyperparameter %s than %s",
                           now, value);
        now += len;
    }
    return tr_fail(error, "the checkpoint was written with more hyperparameters for the library");
}

static int restored(struct tr_model *model, struct tr_error *error)
{
    struct custom *m = of(model);
    m->error[0] = '\0';
    if (compare_parameters(m, error) < 0)
        return -1;
    if (!m->ops->load || m->kept_count == 0)
        return tr_fail(error, "%s cannot go on from a checkpoint: it has no load, or saves nothing",
                       m->hyper.library);
    if (m->ops->load(m->model, get, m, m->error, sizeof m->error) != 0)
        return callback_failed(m, "load", error);
    return let_go_sums(m, error);
}

static int fold(struct tr_model *model, struct tr_error *error)
{
    struct custom *m = of(model);
    if (tr_device_wait(m->base.device, m->ready, TR_STREAM_COMPUTE, error) < 0)
        return -1;
    for (int which = 0; which < TR_SUMS_COUNT; which++) {
        if (add_up(m, (enum tr_sums)which, error) < 0)
            return -1;
    }
    return let_go_sums(m, error);
}

const struct tr_model_ops tr_model_custom = {
    .name = "custom",
    .title = "Custom",
    .hyper = &tr_custom_hyper_table,
    .takes = TR_TAKES_DENSE | TR_TAKES_SPARSE | TR_TAKES_BYTES | TR_TAKES_WEIGHTS,
    .waits_in_step = true,
    .head_rows = head_rows,
    .create = create,
    .free = free_custom,
    .describe = describe,
    .check = check,
    .step = step,
    .evaluate = evaluate,
    .objective = objective,
    .results = results,
    .export_arrays = export_arrays,
    .put_config = put_config,
    .state = state,
    .restored = restored,
    .fold = fold,
};
