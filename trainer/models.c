/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/models.c - the list of models, and what is the same for all: see trainer/model.h. */
#include "trainer/model.h"

#include "trainer/device_use.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct tr_model_ops *const tr_models[] = {&tr_model_linear, &tr_model_fm,  &tr_model_pca,
                                                &tr_model_kmeans, &tr_model_mlp, &tr_model_resnet,
                                                &tr_model_custom, NULL};

const struct tr_model_ops *tr_model_find(const char *name)
{
    for (const struct tr_model_ops *const *model = tr_models; *model; model++) {
        if (strcmp((*model)->name, name) == 0)
            return *model;
    }
    return NULL;
}

int tr_model_step(struct tr_model *model, const struct tr_device_batch *batch,
                  struct tr_error *error)
{
    struct tr_device *device = model->device;
    const struct tr_device_ops *ops = device->ops;
    if (model->ops->prepare && model->ops->prepare(model, batch, error) < 0)
        return -1;
    if (!ops->step_begin || model->ops->waits_in_step || model->group)
        return model->ops->step(model, batch, error);
    if (ops->step_begin(device) < 0)
        return tr_device_failed(device, error);
    int rc = model->ops->step(model, batch, error);
    if (ops->step_end(device, batch->slot, rc == 0) < 0 && rc == 0)
        rc = tr_device_failed(device, error);
    return rc;
}

void tr_model_free(struct tr_model **model)
{
    if (!model || !*model)
        return;
    (*model)->ops->free(*model);
    *model = NULL;
}

void tr_results_add(struct tr_results *out, const char *name, bool is_loss, double value)
{
    struct tr_score *score = &out->scores[out->score_count++];
    *score = (struct tr_score){.is_loss = is_loss, .value = value};
    snprintf(score->name, sizeof score->name, "%s", name);
}

struct tr_state_item tr_state_on_device(const char *name, void *memory, size_t len_bytes)
{
    struct tr_state_item item = {.memory = memory, .len_bytes = len_bytes, .on_device = true};
    snprintf(item.name, sizeof item.name, "%s", name);
    return item;
}

float *tr_export_add(struct tr_export *out, const char *name, uint32_t dim_count,
                     const uint64_t *shape, struct tr_error *error)
{
    struct fmt_tensor *tensor = &out->tensors[out->tensor_count];
    if (out->tensor_count == TR_TENSORS_MAX) {
        tr_fail(error, "a model has more than %u arrays", TR_TENSORS_MAX);
        return NULL;
    }
    *tensor = (struct fmt_tensor){.name = name, .dim_count = dim_count};
    memcpy(tensor->shape, shape, dim_count * sizeof *shape);
    float *data = calloc(1, fmt_tensor_bytes(tensor));
    if (!data) {
        tr_fail(error, "no memory for the model");
        return NULL;
    }
    tensor->data = data;
    out->tensor_count++;
    return data;
}

void tr_export_fact(struct tr_export *out, const char *name, uint64_t value)
{
    out->facts[out->fact_count++] = (struct tr_fact){name, value};
}

void tr_export_free(struct tr_export *out)
{
    while (out->tensor_count > 0)
        free((void *)(uintptr_t)out->tensors[--out->tensor_count].data);
}
