/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/model_fixture.h - a model of trainer/model.h driven as the training loop does, with
 * rows from memory: made from the head, stepped batch by batch from device memory.
 */
#ifndef MODEL_FIXTURE_H
#define MODEL_FIXTURE_H

#include "tests/unit/trainer_fixture.h"

#include "trainer/model.h"

struct model_rows {
    const float *features; /* (rows, dim) */
    const float *labels;   /* (rows), or NULL */
    uint32_t rows;
    uint32_t dim;
    uint32_t batch_rows;
    /* Where the source is. */
    uint32_t at;
    struct penstock_batch batch;
    float slot[4096]; /* of a batch with labels: features, and labels after them */
};

static inline struct penstock_batch model_batch(struct model_rows *rows, uint32_t at)
{
    uint32_t left = rows->rows - at;
    uint32_t n = left < rows->batch_rows ? left : rows->batch_rows;
    const float *features = rows->features + (size_t)at * rows->dim;
    size_t floats = (size_t)n * rows->dim;
    struct penstock_batch batch = {.features = features,
                                   .data = features,
                                   .base = (void *)(uintptr_t)features,
                                   .len_bytes = floats * sizeof(float),
                                   .rows = n,
                                   .feature_dim = rows->dim,
                                   .position = at};
    if (rows->labels) {
        assert_true(floats + n <= sizeof rows->slot / sizeof *rows->slot);
        memcpy(rows->slot, features, floats * sizeof *features);
        memcpy(rows->slot + floats, rows->labels + at, n * sizeof *features);
        batch.base = rows->slot;
        batch.data = batch.features = rows->slot;
        batch.labels = rows->slot + floats;
        batch.label_dim = 1;
        batch.len_bytes += n * sizeof(float);
    }
    return batch;
}

static inline int model_rows_next(void *cookie, int timeout_ms, const struct penstock_batch **batch)
{
    struct model_rows *rows = cookie;
    (void)timeout_ms;
    *batch = NULL;
    if (rows->at == rows->rows)
        return PENSTOCK_EPOCH_END;
    rows->batch = model_batch(rows, rows->at);
    rows->at += rows->batch.rows;
    *batch = &rows->batch;
    return PENSTOCK_OK;
}

static inline void model_rows_release(void *cookie, const struct penstock_batch *batch)
{
    (void)cookie;
    (void)batch;
}

/* The worked example of a model of one's own: it lies beside the tests in the build's directory. */
static inline const char *model_example(void)
{
    static char path[400];
    ssize_t len = readlink("/proc/self/exe", path, 360);
    assert_true(len > 0);
    path[len] = '\0';
    for (int i = 0; i < 3; i++)
        *strrchr(path, '/') = '\0';
    strncat(path, "/trainer/example_custom.so", sizeof path - strlen(path) - 1);
    return path;
}

/* Makes a model from the hyperparameters "a=1 b=2". NULL, with *error, where create fails. */
static inline struct tr_model *model_new(const struct tr_model_ops *ops, struct tr_device *device,
                                         struct tr_group *group, const char *hyper,
                                         struct model_rows *rows, struct tr_error *error)
{
    _Alignas(double) char values[TR_HYPER_BYTES_MAX];
    const struct tr_source source = {rows, model_rows_next, model_rows_release, NULL};
    char words[512] = "";
    char *rest = NULL;
    struct tr_model *model = NULL;
    strncat(words, hyper, sizeof words - 1);
    ops->hyper->init(values);
    for (char *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        if (tr_hyper_set(ops->hyper, values, word, error) < 0)
            fail_msg("%s", error->text);
    }
    if (ops->hyper->check(values, error) < 0)
        fail_msg("%s", error->text);
    rows->at = 0;
    struct tr_head *head = tr_head_new(device, &source);
    assert_non_null(head);
    assert_int_equal(tr_head_fill(head, ops->head_rows(values), (size_t)32 << 20, error), 0);
    const struct tr_setup setup = {
        device, values, head, ((const struct tr_hyper_common *)(const void *)values)->seed, group};
    int rc = ops->create(&setup, &model, error);
    tr_head_free(&head);
    assert_true((rc == 0) == (model != NULL));
    return model;
}

/* One pass over the rows: every batch from device memory of its own. */
static inline void model_pass(struct tr_model *model, struct model_rows *rows, bool learn)
{
    struct tr_error error;
    for (uint32_t at = 0; at < rows->rows;) {
        struct penstock_batch host = model_batch(rows, at);
        size_t n = (size_t)host.rows * rows->dim;
        float *features = fixture_array(model->device, host.features, n);
        float *labels = host.labels ? fixture_array(model->device, host.labels, host.rows) : NULL;
        const struct tr_device_batch batch = {
            .features = features, .labels = labels, .data = features, .host = &host};
        int rc = learn ? model->ops->step(model, &batch, &error)
                       : model->ops->evaluate(model, &batch, &error);
        if (rc < 0)
            fail_msg("%s", error.text);
        fixture_take(model->device, features, NULL, n); /* waits for the device */
        if (labels)
            fixture_take(model->device, labels, NULL, host.rows);
        at += host.rows;
    }
}

#endif
