/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/custom_hyper.c - see trainer/custom_hyper.h. */
#include "trainer/custom_hyper.h"

#include <string.h>

#define AT(field) offsetof(struct tr_custom_hyper, field)

static const struct tr_hyper_parameter parameters[] = {
    {"library", TR_HYPER_TEXT, AT(library), false, 0, sizeof((struct tr_custom_hyper *)0)->library,
     NULL},
    {"feature_dim", TR_HYPER_COUNT, AT(common.feature_dim), true, 1, 16777216, NULL},
    {"epochs", TR_HYPER_COUNT, AT(common.epochs), false, 1, 1e6, NULL},
    {"mini_batch_size", TR_HYPER_COUNT, AT(common.mini_batch_size), true, 1, 16777216, NULL},
    {"seed", TR_HYPER_COUNT, AT(common.seed), false, 0, 4294967295.0, NULL},
    {NULL, TR_HYPER_WORD, 0, false, 0, 0, NULL},
};

static void init(void *values)
{
    *(struct tr_custom_hyper *)values =
        (struct tr_custom_hyper){.common = {.epochs = 1, .mini_batch_size = 1000}};
}

static int other(void *values, const char *name, const char *value, struct tr_error *error)
{
    struct tr_custom_hyper *hyper = values;
    size_t name_bytes = strlen(name) + 1;
    size_t value_bytes = strlen(value) + 1;
    const char *at = hyper->text;
    for (uint32_t i = 0; i < hyper->parameter_count; i++) {
        if (strcmp(at, name) == 0)
            return tr_fail(error, "hyperparameter %s is given twice", name);
        at += strlen(at) + 1;
        at += strlen(at) + 1;
    }
    if (hyper->parameter_count == TR_CUSTOM_PARAMETERS_MAX ||
        name_bytes + value_bytes > sizeof hyper->text - hyper->text_bytes)
        return tr_fail(error,
                       "hyperparameter %s: more than %u for the library, or more than %zu bytes",
                       name, TR_CUSTOM_PARAMETERS_MAX, sizeof hyper->text);
    memcpy(hyper->text + hyper->text_bytes, name, name_bytes);
    memcpy(hyper->text + hyper->text_bytes + name_bytes, value, value_bytes);
    hyper->text_bytes += (uint32_t)(name_bytes + value_bytes);
    hyper->parameter_count++;
    return 0;
}

static int check(const void *values, struct tr_error *error)
{
    const struct tr_custom_hyper *hyper = values;
    if (!hyper->library[0])
        return tr_fail(error, "hyperparameter library is required: the path of a shared object "
                              "that exports penstock_model, see penstock_model.h");
    return 0;
}

const struct tr_hyper_table tr_custom_hyper_table = {
    .parameters = parameters,
    .fixed = NULL,
    .values_bytes = sizeof(struct tr_custom_hyper),
    .init = init,
    .check = check,
    .other = other,
};
