/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_hyperparameters.c - names, defaults, refusals, and the configuration made of
 * them.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "trainer/linear_hyper.h"

static int set(struct tr_linear_hyper *hyper, const char *assignment, struct tr_error *error)
{
    return tr_hyper_set(&tr_linear_hyper_table, hyper, assignment, error);
}

static int check(const struct tr_linear_hyper *hyper, struct tr_error *error)
{
    return tr_linear_hyper_table.check(hyper, error);
}

static void set_all(struct tr_linear_hyper *hyper, const char *const *assignments)
{
    struct tr_error error;
    for (; *assignments; assignments++) {
        if (set(hyper, *assignments, &error) < 0)
            fail_msg("%s: %s", *assignments, error.text);
    }
}

static void test_defaults_are_sagemakers(void **state)
{
    (void)state;
    struct tr_linear_hyper hyper;
    struct tr_linear_config config;
    struct tr_error error;
    tr_linear_hyper_init(&hyper);
    assert_int_equal(hyper.predictor.common.epochs, 15);
    assert_int_equal(hyper.predictor.common.mini_batch_size, 1000);
    assert_int_equal(hyper.predictor.num_point_for_scaler, 10000);
    assert_true(hyper.predictor.normalize_data != TR_FALSE);
    set_all(&hyper,
            (const char *const[]){"predictor_type=multiclass_classifier", "num_classes=10", NULL});
    assert_int_equal(check(&hyper, &error), 0);
    assert_string_equal(tr_predictor_name(hyper.predictor.type), "multiclass_classifier");
    tr_linear_hyper_config(&hyper, 784, &config);
    assert_int_equal(config.loss, TR_LOSS_SOFTMAX);
    assert_int_equal(config.outputs, 10);
    assert_int_equal(config.dim, 784);
    assert_int_equal(config.batch_rows, 1000);
    assert_int_equal(config.optimizer, TR_OPTIMIZER_ADAM);
    assert_true(config.learning_rate == 0.001);
    assert_true(config.beta1 == 0.9 && config.beta2 == 0.999);
    assert_true(config.wd == 0.0 && config.l1 == 0.0 && config.momentum == 0.0);
    assert_true(config.use_bias && config.bias_lr_mult == 1.0 && config.bias_wd_mult == 0.0);
    assert_int_equal(config.lr_step, 100);
    assert_true(config.lr_factor == 0.99 && config.lr_minimum == 1e-5);
    assert_true(config.label_mean == 0.0 && config.label_std == 1.0);
    assert_null(config.mean);
}

static void test_every_value_reaches_the_model(void **state)
{
    (void)state;
    struct tr_linear_hyper hyper;
    struct tr_linear_config config;
    struct tr_error error;
    tr_linear_hyper_init(&hyper);
    set_all(&hyper, (const char *const[]){"predictor_type=binary_classifier",
                                          "optimizer=sgd",
                                          "learning_rate=0.25",
                                          "momentum=0.5",
                                          "beta_1=0.1",
                                          "beta_2=0.2",
                                          "wd=0.3",
                                          "l1=0.4",
                                          "use_bias=False",
                                          "bias_lr_mult=3",
                                          "bias_wd_mult=4",
                                          "mini_batch_size=7",
                                          "epochs=2",
                                          "lr_scheduler_step=5",
                                          "lr_scheduler_factor=0.5",
                                          "lr_scheduler_minimum_lr=1e-3",
                                          "normalize_data=false",
                                          "feature_dim=9",
                                          "num_point_for_scaler=11",
                                          "loss=logistic",
                                          "num_classes=2",
                                          NULL});
    assert_int_equal(check(&hyper, &error), 0);
    assert_int_equal(hyper.predictor.common.epochs, 2);
    assert_int_equal(hyper.predictor.common.feature_dim, 9);
    assert_int_equal(hyper.predictor.num_point_for_scaler, 11);
    assert_int_equal(hyper.predictor.normalize_data, TR_FALSE);
    tr_linear_hyper_config(&hyper, 9, &config);
    assert_int_equal(config.loss, TR_LOSS_LOGISTIC);
    assert_int_equal(config.outputs, 1);
    assert_int_equal(config.optimizer, TR_OPTIMIZER_SGD);
    assert_true(config.learning_rate == 0.25 && config.momentum == 0.5);
    assert_true(config.beta1 == 0.1 && config.beta2 == 0.2);
    assert_true(config.wd == 0.3 && config.l1 == 0.4);
    assert_true(!config.use_bias && config.bias_lr_mult == 3.0 && config.bias_wd_mult == 4.0);
    assert_int_equal(config.batch_rows, 7);
    assert_int_equal(config.lr_step, 5);
    assert_true(config.lr_factor == 0.5 && config.lr_minimum == 1e-3);

    set_all(&hyper, (const char *const[]){"use_lr_scheduler=false", "learning_rate=auto",
                                          "use_bias=auto", "mini_batch_size=auto", NULL});
    tr_linear_hyper_config(&hyper, 16, &config);
    assert_int_equal(config.lr_step, 0);
    assert_true(config.learning_rate == 0.25); /* sgd, logistic: 1 / (dim / 4) */
    assert_true(config.use_bias);
    assert_int_equal(config.batch_rows, 1000);
}

static void test_losses_go_with_predictors(void **state)
{
    (void)state;
    static const struct {
        const char *predictor, *loss;
        double parameter;
    } good[] = {
        {"predictor_type=binary_classifier", "loss=hinge_loss", 2.0},
        {"predictor_type=regressor", "loss=absolute_loss", 0.0},
        {"predictor_type=regressor", "loss=huber_loss", 3.0},
        {"predictor_type=regressor", "loss=quantile_loss", 0.9},
        {"predictor_type=regressor", "loss=eps_insensitive_squared_loss", 0.5},
        {"predictor_type=regressor", "loss=eps_insensitive_absolute_loss", 0.5},
    };
    struct tr_linear_hyper hyper;
    struct tr_linear_config config;
    struct tr_error error;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        tr_linear_hyper_init(&hyper);
        set_all(&hyper,
                (const char *const[]){good[i].predictor, good[i].loss, "margin=2", "huber_delta=3",
                                      "quantile=0.9", "loss_insensitivity=0.5", NULL});
        assert_int_equal(check(&hyper, &error), 0);
        tr_linear_hyper_config(&hyper, 4, &config);
        assert_true(config.loss_parameter == good[i].parameter);
        assert_string_equal(tr_linear_loss_name(config.loss), good[i].loss + 5);
        bool binary = config.loss == TR_LOSS_HINGE;
        set_all(&hyper,
                (const char *const[]){binary ? good[1].predictor : good[0].predictor, NULL});
        assert_int_equal(check(&hyper, &error), -1);
        assert_non_null(strstr(error.text, "does not go with predictor_type"));
    }
    tr_linear_hyper_init(&hyper);
    set_all(&hyper,
            (const char *const[]){"predictor_type=binary_classifier", "num_models=32",
                                  "positive_example_weight_mult=balanced",
                                  "binary_classifier_model_selection_criteria=f_beta", NULL});
    assert_int_equal(check(&hyper, &error), 0);
    assert_true(hyper.positive_example_weight_mult == TR_LINEAR_BALANCED);
    set_all(&hyper, (const char *const[]){"positive_example_weight_mult=2.5", NULL});
    assert_true(hyper.positive_example_weight_mult == 2.5);
    set_all(&hyper, (const char *const[]){"predictor_type=regressor", NULL});
    assert_int_equal(check(&hyper, &error), -1);
}

static void test_auto_and_what_penstock_does_anyway_are_accepted(void **state)
{
    (void)state;
    struct tr_linear_hyper hyper;
    tr_linear_hyper_init(&hyper);
    set_all(&hyper,
            (const char *const[]){
                "learning_rate=auto", "optimizer=auto", "loss=auto", "wd=auto",
                "normalize_label=auto", "num_models=1", "num_models=auto", "accuracy_top_k=auto",
                "huber_delta=auto", "init_method=auto", "balance_multiclass_weights=False",
                "early_stopping_patience=auto", "feature_dim=auto", "unbias_data=auto", NULL});
}

static void assert_refused(const char *assignment, const char *sentence)
{
    struct tr_linear_hyper hyper;
    struct tr_linear_hyper before;
    struct tr_error error = {""};
    tr_linear_hyper_init(&hyper);
    memcpy(&before, &hyper, sizeof hyper);
    assert_int_equal(set(&hyper, assignment, &error), -1);
    assert_string_equal(error.text, sentence);
    assert_memory_equal(&hyper, &before, sizeof hyper);
}

static void test_unknown_names_are_refused_with_the_nearest(void **state)
{
    (void)state;
    assert_refused("epoch=3", "hyperparameter 'epoch' is unknown: the nearest name is 'epochs'");
    assert_refused(
        "learning-rate=3",
        "hyperparameter 'learning-rate' is unknown: the nearest name is 'learning_rate'");
    assert_refused("batch_size=3",
                   "hyperparameter 'batch_size' is unknown: the nearest name is 'mini_batch_size'");
    assert_refused("mini_batchsize=3", "hyperparameter 'mini_batchsize' is unknown: the nearest "
                                       "name is 'mini_batch_size'");
    assert_refused("Wd=3", "hyperparameter 'Wd' is unknown: the nearest name is 'wd'");
    assert_refused("epochs", "hyperparameter 'epochs' is not of the form name=value");
    assert_refused("=3", "hyperparameter '=3' is not of the form name=value");
    assert_refused("a_name_that_is_longer_than_any_that_there_is_by_a_good_deal_of_letters=3",
                   "hyperparameter 'a_name_that_is_longer_than_any_that_there_is_by_a_good_deal_of_"
                   "letters' is unknown");
    assert_refused("num_models=33",
                   "hyperparameter num_models: '33' is not a whole number from 1 to 32 or auto");
    assert_refused("init_method=normal", "hyperparameter init_method: penstock has no other value "
                                         "than 'auto': leave it out");
}

static void test_bad_values_are_refused(void **state)
{
    (void)state;
    assert_refused("epochs=ten",
                   "hyperparameter epochs: 'ten' is not a whole number from 1 to 1000000");
    const char *const counts[] = {"epochs=0",   "epochs=1.5", "epochs=-1",  "epochs= 3",
                                  "epochs=3 ",  "epochs=",    "epochs=nan", "epochs=inf",
                                  "epochs=0x5", "epochs=1e9", "epochs=auto"};
    const char *const reals[] = {"learning_rate=0",   "learning_rate=-1", "learning_rate=fast",
                                 "learning_rate=nan", "momentum=1",       "beta_1=1",
                                 "wd=-0.1",           "l1=1,5",           "lr_scheduler_factor=0"};
    const char *const words[] = {
        "predictor_type=classifier", "optimizer=rmsprop", "loss=hinge",
        "normalize_data=yes",        "use_bias=",         "predictor_type="};
    struct tr_linear_hyper hyper;
    tr_linear_hyper_init(&hyper);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        assert_int_equal(set(&hyper, counts[i], NULL), -1);
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++)
        assert_int_equal(set(&hyper, reals[i], NULL), -1);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        assert_int_equal(set(&hyper, words[i], NULL), -1);
    assert_refused("optimizer=rmsprop",
                   "hyperparameter optimizer: 'rmsprop' is none of: auto, adam, sgd");
    assert_refused("wd=x", "hyperparameter wd: 'x' is not a number from 0 to 1000000 or auto");
    assert_refused("use_bias=yes", "hyperparameter use_bias: 'yes' is not true, false or auto");
}

static void assert_unfit(const char *const *assignments, const char *sentence)
{
    struct tr_linear_hyper hyper;
    struct tr_error error = {""};
    tr_linear_hyper_init(&hyper);
    set_all(&hyper, assignments);
    assert_int_equal(check(&hyper, &error), -1);
    assert_string_equal(error.text, sentence);
}

static void test_values_that_do_not_go_together_are_refused(void **state)
{
    (void)state;
    assert_unfit((const char *const[]){NULL},
                 "hyperparameter predictor_type is required: regressor, binary_classifier or "
                 "multiclass_classifier");
    assert_unfit((const char *const[]){"predictor_type=multiclass_classifier", NULL},
                 "hyperparameter num_classes is required for multiclass_classifier");
    assert_unfit((const char *const[]){"predictor_type=regressor", "num_classes=3", NULL},
                 "hyperparameter num_classes is for multiclass_classifier: leave it out");
    assert_unfit((const char *const[]){"predictor_type=regressor", "loss=softmax_loss", NULL},
                 "hyperparameter loss: 'softmax_loss' does not go with predictor_type regressor");
    assert_unfit(
        (const char *const[]){"predictor_type=binary_classifier", "normalize_label=true", NULL},
        "hyperparameter normalize_label is for predictor_type regressor");
    assert_unfit((const char *const[]){"predictor_type=regressor", "momentum=0.9", NULL},
                 "hyperparameter momentum is for optimizer sgd");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_are_sagemakers),
        cmocka_unit_test(test_every_value_reaches_the_model),
        cmocka_unit_test(test_losses_go_with_predictors),
        cmocka_unit_test(test_auto_and_what_penstock_does_anyway_are_accepted),
        cmocka_unit_test(test_unknown_names_are_refused_with_the_nearest),
        cmocka_unit_test(test_bad_values_are_refused),
        cmocka_unit_test(test_values_that_do_not_go_together_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
