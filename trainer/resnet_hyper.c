/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/resnet_hyper.c - see trainer/resnet_hyper.h. Names and defaults: "Image classification
 * hyperparameters" in the Amazon SageMaker developer guide.
 */
#include "trainer/resnet_hyper.h"

#include <math.h>
#include <stdio.h>

/* SageMaker's 0.1 is for batch normalisation: without it, units die of such steps. */
#define AUTO_SGD_LEARNING_RATE 0.01
#define AUTO_ADAM_LEARNING_RATE 0.003

#define STAGES 3U
#define LAYERS_MOST 32U /* what TR_LAYERS_MAX has room for */

static const struct tr_hyper_word optimizers[] = {
    {"sgd", TR_RESNET_SGD}, {"adam", TR_RESNET_ADAM}, {NULL, 0}};

#define AT(field) offsetof(struct tr_resnet_hyper, field)

static const struct tr_hyper_parameter parameters[] = {
    {"num_classes", TR_HYPER_COUNT, AT(num_classes), false, 2, 1e6, NULL},
    {"num_training_samples", TR_HYPER_COUNT, AT(num_training_samples), false, 1, 4e9, NULL},
    {"num_layers", TR_HYPER_COUNT, AT(num_layers), false, 8, LAYERS_MOST, NULL},
    {"num_filters", TR_HYPER_COUNT, AT(num_filters), false, 1, 1024, NULL},
    {"image_shape", TR_HYPER_COUNTS, AT(image_shape), false, 1, 4096, NULL},
    {"epochs", TR_HYPER_COUNT, AT(common.epochs), false, 1, 1e6, NULL},
    {"mini_batch_size", TR_HYPER_COUNT, AT(common.mini_batch_size), false, 1, 65536, NULL},
    {"seed", TR_HYPER_COUNT, AT(common.seed), false, 0, 4294967295.0, NULL},
    {"optimizer", TR_HYPER_WORD, AT(optimizer), false, 0, 0, optimizers},
    {"learning_rate", TR_HYPER_REAL, AT(learning_rate), true, 1e-30, 1e6, NULL},
    {"momentum", TR_HYPER_REAL, AT(momentum), false, 0, TR_HYPER_BELOW_ONE, NULL},
    {"weight_decay", TR_HYPER_REAL, AT(weight_decay), false, 0, 1e6, NULL},
    {"beta_1", TR_HYPER_REAL, AT(beta_1), false, 0, TR_HYPER_BELOW_ONE, NULL},
    {"beta_2", TR_HYPER_REAL, AT(beta_2), false, 0, TR_HYPER_BELOW_ONE, NULL},
    {"eps", TR_HYPER_REAL, AT(eps), false, 1e-30, 1, NULL},
    {"lr_scheduler_step", TR_HYPER_COUNTS, AT(lr_scheduler_step), false, 1, 1e6, NULL},
    {"lr_scheduler_factor", TR_HYPER_REAL, AT(lr_scheduler_factor), false, 1e-6, 1, NULL},
    {NULL, TR_HYPER_WORD, 0, false, 0, 0, NULL},
};

/* SageMaker's others: the value given here is what penstock does; any other is refused. Pictures
 * are resized, cut and mirrored as the content type says. */
static const struct tr_hyper_fixed fixed[] = {
    {"early_stopping", "false"},
    {"multi_label", "0"},
    {"precision_dtype", "float32"},
    {"top_k", "1"},
    {"use_pretrained_model", "0"},
    {"use_weighted_loss", "0"},
    {"kv_store", "dist_sync"},
    {"early_stopping_min_epochs", "10"},
    {"early_stopping_patience", "5"},
    {"early_stopping_tolerance", "0.0"},
    {"gamma", "0.9"},
    {NULL, NULL},
};

static void init(void *values)
{
    *(struct tr_resnet_hyper *)values = (struct tr_resnet_hyper){
        .common = {.epochs = 30, .mini_batch_size = 32},
        .num_layers = 20,
        .num_filters = 16,
        .learning_rate = NAN,
        .momentum = 0.9,
        .weight_decay = 0.0001,
        .beta_1 = 0.9,
        .beta_2 = 0.999,
        .eps = 1e-8,
        .lr_scheduler_factor = 0.1,
    };
}

static int check(const void *values, struct tr_error *error)
{
    const struct tr_resnet_hyper *hyper = values;
    const struct tr_hyper_counts *shape = &hyper->image_shape;
    if (hyper->num_classes == 0)
        return tr_fail(error, "hyperparameter num_classes is required");
    if (hyper->num_layers % 6 != 2)
        return tr_fail(error,
                       "hyperparameter num_layers: %u is none of 8, 14, 20, 26, 32: networks for "
                       "larger pictures are not there as yet",
                       hyper->num_layers);
    if (shape->count != 3)
        return tr_fail(error, "hyperparameter image_shape is required: channels,height,width, as "
                              "in 3,32,32");
    if ((uint64_t)shape->at[0] * shape->at[1] * shape->at[2] > 1U << 24)
        return tr_fail(error, "hyperparameter image_shape: a picture of more than 16777216 values");
    return 0;
}

static struct tr_layer conv(const char *name, uint32_t input, uint32_t outputs, uint32_t kernel,
                            uint32_t stride, uint32_t residual)
{
    struct tr_layer layer = {.op = TR_LAYER_CONV,
                             .activation = TR_ACTIVATION_RELU,
                             .input = input,
                             .residual = residual,
                             .outputs = outputs,
                             .kernel = kernel,
                             .stride = stride};
    snprintf(layer.name, sizeof layer.name, "%s", name);
    return layer;
}

/* Two convolutions around which the input goes as it is, or, where the size changes, through one of
 * 1 x 1. `narrow`, L^(-1/2) for L blocks, is the factor of the second one's weights: what blocks
 * add up to then keeps its size, whatever the depth. */
static uint32_t add_block(struct tr_plan *plan, uint32_t number, uint32_t input, uint32_t outputs,
                          float narrow)
{
    const struct tr_extent *in = &plan->layers[input - 1].out;
    uint32_t channels = in->channels;
    bool changes = channels != outputs;
    uint32_t stride = changes ? 2 : 1;
    uint32_t side = input;
    char name[TR_LAYER_NAME_BYTES];
    if (changes) {
        snprintf(name, sizeof name, "block_%u.shortcut", number);
        struct tr_layer shortcut = conv(name, input, outputs, 1, stride, 0);
        shortcut.activation = TR_ACTIVATION_NONE;
        shortcut.init_bound = tr_init_even(channels, outputs);
        side = tr_plan_add(plan, shortcut);
    }
    snprintf(name, sizeof name, "block_%u.conv_1", number);
    struct tr_layer first = conv(name, input, outputs, 3, stride, 0);
    first.init_bound = tr_init_relu(9 * channels);
    uint32_t middle = tr_plan_add(plan, first);
    snprintf(name, sizeof name, "block_%u.conv_2", number);
    struct tr_layer second = conv(name, middle, outputs, 3, 1, side);
    second.init_bound = tr_init_relu(9 * outputs) * narrow;
    return tr_plan_add(plan, second);
}

static void make_plan(const struct tr_resnet_hyper *hyper, struct tr_plan *plan)
{
    const uint32_t *shape = hyper->image_shape.at;
    uint32_t blocks = (hyper->num_layers - 2) / (2 * STAGES);
    float narrow = 1.0F / sqrtf((float)(blocks * STAGES));
    uint32_t number = 0;
    tr_plan_init(plan, (struct tr_extent){shape[1], shape[2], shape[0]});
    struct tr_layer stem = conv("stem", 0, hyper->num_filters, 3, 1, 0);
    stem.init_bound = tr_init_relu(9 * shape[0]);
    uint32_t last = tr_plan_add(plan, stem);
    for (uint32_t stage = 0; stage < STAGES; stage++) {
        for (uint32_t i = 0; i < blocks; i++)
            last = add_block(plan, ++number, last, hyper->num_filters << stage, narrow);
    }
    tr_plan_add(plan, (struct tr_layer){.name = "output",
                                        .op = TR_LAYER_DENSE,
                                        .input = last,
                                        .outputs = hyper->num_classes});
}

void tr_resnet_hyper_config(const struct tr_resnet_hyper *hyper, struct tr_net_config *config,
                            struct tr_net_rate *rate)
{
    *config = (struct tr_net_config){
        .loss = TR_LOSS_SOFTMAX,
        .batch_rows = hyper->common.mini_batch_size,
        .optimizer = hyper->optimizer == TR_RESNET_SGD ? TR_OPTIMIZER_SGD : TR_OPTIMIZER_ADAM,
        .momentum = hyper->momentum,
        .beta1 = hyper->beta_1,
        .beta2 = hyper->beta_2,
        .epsilon = hyper->eps,
        .wd = hyper->weight_decay,
        .label_std = 1.0,
    };
    make_plan(hyper, &config->plan);
    double automatic =
        hyper->optimizer == TR_RESNET_SGD ? AUTO_SGD_LEARNING_RATE : AUTO_ADAM_LEARNING_RATE;
    *rate = (struct tr_net_rate){.start = tr_hyper_or_auto(hyper->learning_rate, automatic),
                                 .factor = hyper->lr_scheduler_factor,
                                 .at_epochs = hyper->lr_scheduler_step};
}

const struct tr_hyper_table tr_resnet_hyper_table = {
    .parameters = parameters,
    .fixed = fixed,
    .values_bytes = sizeof(struct tr_resnet_hyper),
    .init = init,
    .check = check,
};
