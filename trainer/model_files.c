/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/model_files.c - see trainer/model_files.h. */
#include "trainer/model_files.h"

#include "formats/npz_write.h"
#include "formats/safetensors_write.h"
#include "pipe/penstock.h"
#include "trainer/json.h"
#include "trainer/output.h"

enum { FILE_SAFETENSORS, FILE_NPZ, FILE_CONFIG, FILE_COUNT };

static const char *const names[FILE_COUNT] = {"model.safetensors", "model.npz", "config.json"};

static const char *prediction_of(const struct tr_model_info *info)
{
    switch (info->config->loss) {
    case TR_LOSS_SOFTMAX:
        return "argmax(x @ weights + bias), x raw features";
    case TR_LOSS_LOGISTIC:
        return "1 if x @ weights + bias > 0 else 0, x raw features";
    case TR_LOSS_SQUARED:
        return "x @ weights + bias, x raw features";
    }
    return "";
}

static void write_config(const struct tr_model_info *info, FILE *out)
{
    const struct tr_linear_config *c = info->config;
    struct tr_json json = {out, false};
    tr_json_open(&json, NULL, '{');
    tr_json_text(&json, "algorithm", "linear-learner");
    tr_json_text(&json, "predictor_type", tr_hyper_predictor_name(info->hyper));
    tr_json_text(&json, "penstock_version", PENSTOCK_VERSION);
    tr_json_count(&json, "feature_dim", c->dim);
    tr_json_count(&json, "outputs", c->outputs);
    tr_json_text(&json, "prediction", prediction_of(info));
    tr_json_open(&json, "hyperparameters", '{');
    tr_json_text(&json, "optimizer", c->optimizer == TR_OPTIMIZER_ADAM ? "adam" : "sgd");
    tr_json_count(&json, "epochs", info->hyper->epochs);
    tr_json_count(&json, "mini_batch_size", c->batch_rows);
    tr_json_number(&json, "learning_rate", c->learning_rate);
    if (c->optimizer == TR_OPTIMIZER_ADAM) {
        tr_json_number(&json, "beta_1", c->beta1);
        tr_json_number(&json, "beta_2", c->beta2);
    } else {
        tr_json_number(&json, "momentum", c->momentum);
    }
    tr_json_truth(&json, "use_lr_scheduler", c->lr_step > 0);
    if (c->lr_step > 0) {
        tr_json_count(&json, "lr_scheduler_step", c->lr_step);
        tr_json_number(&json, "lr_scheduler_factor", c->lr_factor);
        tr_json_number(&json, "lr_scheduler_minimum_lr", c->lr_minimum);
    }
    tr_json_number(&json, "wd", c->wd);
    tr_json_number(&json, "l1", c->l1);
    tr_json_truth(&json, "use_bias", c->use_bias);
    tr_json_truth(&json, "normalize_data", info->hyper->normalize_data != TR_FALSE);
    tr_json_close(&json, '}');
    tr_json_open(&json, "training", '{');
    tr_json_text(&json, "device", info->device);
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
    const struct tr_linear_config *c = info->config;
    const struct fmt_tensor tensors[] = {{"weights", info->weights, 2, {c->dim, c->outputs}},
                                         {"bias", info->bias, 1, {c->outputs}}};
    const struct fmt_metadata metadata[] = {
        {"format", "penstock"},
        {"penstock_version", PENSTOCK_VERSION},
        {"algorithm", "linear-learner"},
        {"predictor_type", tr_hyper_predictor_name(info->hyper)},
        {"prediction", prediction_of(info)},
        {"feature_scaling", "folded into weights and bias"},
    };
    /* Their failures are remembered by the output: tr_output_close reports them. */
    (void)fmt_safetensors_write(tensors, 2, metadata, sizeof metadata / sizeof *metadata,
                                tr_output_sink, safetensors);
    (void)fmt_npz_write(tensors, 2, tr_output_sink, npz);
}

static int check_size(const struct tr_model_info *info, struct tr_error *error)
{
    const struct fmt_tensor weights = {
        "weights", info->weights, 2, {info->config->dim, info->config->outputs}};
    if (fmt_npz_bytes(&weights, 1) > FMT_NPZ_BYTES_MAX / 2)
        return tr_fail(error, "a model of %u x %u weights is too large for model.npz",
                       info->config->dim, info->config->outputs);
    return 0;
}

int tr_model_save(const char *directory, const struct tr_model_info *info, struct tr_error *error)
{
    struct tr_output outputs[FILE_COUNT];
    int opened = 0;
    int rc = check_size(info, error);
    while (rc == 0 && opened < FILE_COUNT) {
        rc = tr_output_open(&outputs[opened], directory, names[opened], error);
        opened += rc == 0 ? 1 : 0;
    }
    if (rc == 0) {
        write_arrays(info, &outputs[FILE_SAFETENSORS], &outputs[FILE_NPZ]);
        write_config(info, outputs[FILE_CONFIG].file);
    }
    for (int i = 0; i < FILE_COUNT && rc == 0; i++)
        rc = tr_output_close(&outputs[i], error);
    for (int i = 0; i < FILE_COUNT && rc == 0; i++)
        rc = tr_output_commit(&outputs[i], error);
    while (opened > 0)
        tr_output_discard(&outputs[--opened]);
    return rc;
}
