/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/model_files.c - see trainer/model_files.h. */
#include "trainer/model_files.h"

#include "formats/npz_write.h"
#include "formats/onnx_write.h"
#include "formats/safetensors_write.h"
#include "pipe/penstock.h"
#include "trainer/json.h"
#include "trainer/output.h"

#include <stdlib.h>
#include <unistd.h>

_Static_assert(TR_TENSORS_MAX <= FMT_NPZ_TENSORS_MAX, "model.npz holds all arrays");

/* More than the nodes and names of a graph come to, without its arrays. */
#define GRAPH_BYTES_MAX (UINT64_C(1) << 20)

/* The last one is for models that have a graph. */
enum { FILE_SAFETENSORS, FILE_NPZ, FILE_CONFIG, FILE_ONNX, FILE_COUNT };

static const char *const names[FILE_COUNT] = {"model.safetensors", "model.npz", "config.json",
                                              "model.onnx"};

static void write_config(const struct tr_model_info *info, FILE *out)
{
    const struct tr_export *arrays = info->arrays;
    struct tr_json json = {out, false};
    tr_json_open(&json, NULL, '{');
    tr_json_text(&json, "algorithm", info->model->ops->name);
    if (arrays->variant)
        tr_json_text(&json, "predictor_type", arrays->variant);
    tr_json_text(&json, "penstock_version", PENSTOCK_VERSION);
    for (size_t i = 0; i < arrays->fact_count; i++)
        tr_json_count(&json, arrays->facts[i].name, arrays->facts[i].value);
    tr_json_text(&json, "prediction", arrays->prediction);
    tr_json_open(&json, "hyperparameters", '{');
    tr_json_count(&json, "epochs", info->common->epochs);
    tr_json_count(&json, "mini_batch_size", info->common->mini_batch_size);
    info->model->ops->put_config(info->model, &json);
    tr_json_close(&json, '}');
    tr_json_open(&json, "training", '{');
    tr_json_text(&json, "device", info->model->device->ops->name);
    tr_json_count(&json, "epochs", info->epochs);
    tr_json_count(&json, "rows", info->rows);
    tr_json_close(&json, '}');
    tr_json_open(&json, "scores", '{');
    for (size_t i = 0; i < info->score_count; i++)
        tr_json_number(&json, info->scores[i].name, info->scores[i].value);
    tr_json_close(&json, '}');
    tr_json_close(&json, '}');
    putc('\n', out);
}

static void write_arrays(const struct tr_model_info *info, struct tr_output *safetensors,
                         struct tr_output *npz)
{
    const struct tr_export *arrays = info->arrays;
    const struct fmt_metadata metadata[] = {
        {"format", "penstock"},
        {"penstock_version", PENSTOCK_VERSION},
        {"algorithm", info->model->ops->name},
        {"prediction", arrays->prediction},
        {"predictor_type", arrays->variant},
    };
    size_t count = sizeof metadata / sizeof *metadata - (arrays->variant ? 0 : 1);
    /* Their failures are remembered by the output: tr_output_close reports them. */
    (void)fmt_safetensors_write(arrays->tensors, arrays->tensor_count, metadata, count,
                                tr_output_sink, safetensors);
    (void)fmt_npz_write(arrays->tensors, arrays->tensor_count, tr_output_sink, npz);
}

bool tr_model_has_graph(const struct tr_model_ops *ops, const struct tr_export *arrays)
{
    return ops->onnx && fmt_npz_bytes(arrays->tensors, arrays->tensor_count) <=
                            FMT_ONNX_BYTES_MAX - GRAPH_BYTES_MAX;
}

/* NULL, with *error, where memory is out. */
static struct fmt_onnx_graph *make_graph(const struct tr_model_info *info, struct tr_error *error)
{
    const struct tr_export *arrays = info->arrays;
    struct fmt_onnx_graph *graph = calloc(1, sizeof *graph);
    if (!graph) {
        tr_fail(error, "no memory for the model");
        return NULL;
    }
    graph->name = info->model->ops->name;
    graph->producer = "penstock";
    graph->producer_version = PENSTOCK_VERSION;
    graph->doc = arrays->prediction;
    graph->initializers = arrays->tensors;
    graph->initializer_count = arrays->tensor_count;
    info->model->ops->onnx(info->model, arrays, graph);
    return graph;
}

static int check_size(const struct tr_model_info *info, struct tr_error *error)
{
    uint64_t len_bytes = fmt_npz_bytes(info->arrays->tensors, info->arrays->tensor_count);
    if (len_bytes > FMT_NPZ_BYTES_MAX)
        return tr_fail(error, "a model of %llu bytes is too large for model.npz",
                       (unsigned long long)len_bytes);
    return 0;
}

int tr_model_prepare(const char *directory, struct tr_error *error)
{
    struct tr_output output;
    int rc = tr_output_directory(directory, error);
    for (int i = 0; i < FILE_COUNT && rc == 0; i++) {
        rc = tr_output_open(&output, directory, names[i], error);
        if (rc == 0)
            tr_output_discard(&output);
    }
    return rc;
}

/* One of an earlier run would be taken for this model's. */
static void remove_graph(const char *directory)
{
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", directory, names[FILE_ONNX]) < sizeof path)
        unlink(path);
}

int tr_model_save(const char *directory, const struct tr_model_info *info, struct tr_error *error)
{
    struct tr_output outputs[FILE_COUNT];
    struct fmt_onnx_graph *graph = NULL;
    bool has_graph = tr_model_has_graph(info->model->ops, info->arrays);
    int count = has_graph ? FILE_COUNT : FILE_ONNX;
    int opened = 0;
    int rc = check_size(info, error);
    if (rc == 0 && has_graph) {
        graph = make_graph(info, error);
        rc = graph ? 0 : -1;
    }
    while (rc == 0 && opened < count) {
        rc = tr_output_open(&outputs[opened], directory, names[opened], error);
        opened += rc == 0 ? 1 : 0;
    }
    if (rc == 0) {
        write_arrays(info, &outputs[FILE_SAFETENSORS], &outputs[FILE_NPZ]);
        write_config(info, outputs[FILE_CONFIG].file);
        if (graph)
            (void)fmt_onnx_write(graph, tr_output_sink, &outputs[FILE_ONNX]);
    }
    for (int i = 0; i < count && rc == 0; i++)
        rc = tr_output_close(&outputs[i], error);
    for (int i = 0; i < count && rc == 0; i++)
        rc = tr_output_commit(&outputs[i], error);
    if (rc == 0 && !has_graph)
        remove_graph(directory);
    free(graph);
    while (opened > 0)
        tr_output_discard(&outputs[--opened]);
    return rc;
}
