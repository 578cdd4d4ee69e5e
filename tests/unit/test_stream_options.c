/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_stream_options.c - what the commands' common options take and refuse. */
#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pipe/size.h"
#include "pipe/stream_options.h"

static const struct option table[] = {PS_STREAM_LONG_OPTIONS, {NULL, 0, NULL, 0}};
static const struct option batch_table[] = {PS_BATCH_LONG_OPTIONS, {NULL, 0, NULL, 0}};

static int take(struct ps_stream_options *options, const char *name, const char *value,
                struct penstock_error *error)
{
    for (size_t i = 0; table[i].name; i++)
        if (strcmp(table[i].name, name) == 0)
            return ps_stream_options_take(options, table[i].val, name, value, error);
    for (size_t i = 0; batch_table[i].name; i++)
        if (strcmp(batch_table[i].name, name) == 0)
            return ps_stream_options_take(options, batch_table[i].val, name, value, error);
    fail_msg("there is no --%s", name);
    return 0;
}

static void test_every_option_reaches_its_field(void **state)
{
    struct ps_stream_options options;
    struct penstock_channel_config channel;
    struct penstock_error error;
    const char *const given[][2] = {
        {"shuffle-seed", "18446744073709551615"},
        {"shard", "2/5"},
        {"memory-limit", "64MiB"},
        {"connections", "7"},
        {"part-size", "1MiB"},
        {"io", "epoll"},
        {"verify", "always"},
        {"endpoint-url", "http://h:1"},
        {"region", "r"},
        {"requester-pays", NULL},
        {"expected-bucket-owner", "123456789012"},
        {"addressing-style", "path"},
        {"sse-c-key-file", "/k"},
        {"anonymous", NULL},
    };

    (void)state;
    ps_stream_options_init(&options);
    assert_int_equal(sizeof given / sizeof *given, sizeof table / sizeof *table - 1);
    for (size_t i = 0; i < sizeof given / sizeof *given; i++)
        assert_int_equal(take(&options, given[i][0], given[i][1], &error), 1);
    assert_int_equal(options.config.memory_limit_bytes, 64 << 20);
    assert_int_equal(options.config.max_connections, 7);
    assert_int_equal(options.config.part_bytes, 1 << 20);
    assert_string_equal(options.config.io_backend, "epoll");
    assert_string_equal(options.config.verify, "always");
    assert_string_equal(options.config.endpoint_url, "http://h:1");
    assert_string_equal(options.config.region, "r");
    assert_true(options.config.requester_pays);
    assert_string_equal(options.config.expected_bucket_owner, "123456789012");
    assert_string_equal(options.config.addressing_style, "path");
    assert_string_equal(options.config.sse_customer_key_file, "/k");
    assert_true(options.config.anonymous);
    penstock_channel_config_init(&channel);
    ps_stream_options_order(&options, &channel);
    assert_true(channel.shuffle);
    assert_true(channel.seed == UINT64_MAX);
    assert_int_equal(channel.shard_index, 2);
    assert_int_equal(channel.shard_count, 5);
    assert_int_equal(ps_stream_options_take(&options, 'x', "x", NULL, &error), 0);
}

static void test_options_of_batches_reach_their_fields(void **state)
{
    static const char *const given[][2] = {
        {"bad-records", "warn"}, {"max-bad", "7"},         {"max-bad-fraction", "0.25"},
        {"last-batch", "drop"},  {"shuffle-rows", "5000"}, {"sample", "0.125-.5"},
        {"sample-seed", "9"},    {"key-suffix", ".rec"},   {"split-objects", "bytes"}};
    struct ps_stream_options options;
    struct penstock_channel_config channel;
    struct penstock_error error;

    (void)state;
    ps_stream_options_init(&options);
    penstock_channel_config_init(&channel);
    ps_stream_options_batches(&options, &channel);
    assert_true(channel.sample_from == 0 && channel.sample_to == 1);
    for (size_t i = 0; i < sizeof given / sizeof *given; i++)
        assert_int_equal(take(&options, given[i][0], given[i][1], &error), 1);
    ps_stream_options_bad(&options, &channel);
    ps_stream_options_batches(&options, &channel);
    assert_string_equal(channel.bad_records, "warn");
    assert_int_equal(channel.bad_records_max, 7);
    assert_true(channel.bad_fraction_max == 0.25);
    assert_string_equal(channel.last_batch, "drop");
    assert_int_equal(channel.shuffle_rows, 5000);
    assert_true(channel.sample_from == 0.125 && channel.sample_to == 0.5);
    assert_int_equal(channel.sample_seed, 9);
    assert_string_equal(channel.key_suffix, ".rec");
    assert_string_equal(channel.split_objects, "bytes");
}

static void test_nonsense_is_refused_by_name(void **state)
{
    static const char *const bad[][3] = {
        {"shuffle-seed", "-1", "'-1' is not a whole number"},
        {"shuffle-seed", "18446744073709551616", "is not a whole number"},
        {"shard", "5/5", "is not H/N"},
        {"shard", "1", "is not H/N"},
        {"shard", "1/2x", "is not H/N"},
        {"shard", "/2", "is not H/N"},
        {"memory-limit", "0", "'0' is not a size"},
        {"memory-limit", "1.5GiB", "is not a size"},
        {"connections", "0", "is not a whole number from 1"},
        {"connections", "1e2", "is not a whole number from 1"},
        {"part-size", "", "is not a size"},
        {"max-bad", "0", "is not a whole number from 1"},
        {"max-bad-fraction", "1.5", "is not a number from 0 to 1"},
        {"max-bad-fraction", "nan", "is not a number from 0 to 1"},
        {"max-bad-fraction", "-0", "is not a number from 0 to 1"},
        {"last-batch", "wrap", "is not keep or drop"},
        {"shuffle-rows", "0", "is not a whole number from 1"},
        {"sample", "0.9-0.9", "is not FROM-TO"},
        {"sample", "0.5-1.1", "is not FROM-TO"},
        {"sample", "0.5", "is not FROM-TO"},
        {"sample", "0-1x", "is not FROM-TO"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct ps_stream_options options;
        struct penstock_error error;

        ps_stream_options_init(&options);
        assert_int_equal(take(&options, bad[i][0], bad[i][1], &error), PENSTOCK_E_ARGUMENT);
        if (!strstr(error.message, bad[i][2]) || !strstr(error.message, bad[i][0]))
            fail_msg("--%s %s: %s", bad[i][0], bad[i][1], error.message);
    }
}

static void test_sizes(void **state)
{
    (void)state;
    size_t n = 7;
    const struct {
        const char *text;
        size_t want;
    } good[] = {{"0", 0},           {"500000", 500000},  {"8MiB", 8U << 20},
                {"1GiB", 1U << 30}, {"2GB", 2000000000}, {"64kib", 64U << 10},
                {"3KB", 3000},      {"9B", 9},           {"1TiB", (size_t)1 << 40}};
    const char *const bad[] = {"",
                               "MiB",
                               "-1",
                               " 1",
                               "1 MiB",
                               "1.5GiB",
                               "1M",
                               "1XiB",
                               "0x10",
                               "99999999999999999999",
                               "99999999999GiB"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(ps_parse_size(good[i].text, &n));
        assert_true(n == good[i].want);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(ps_parse_size(bad[i], &n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_option_reaches_its_field),
        cmocka_unit_test(test_options_of_batches_reach_their_fields),
        cmocka_unit_test(test_nonsense_is_refused_by_name),
        cmocka_unit_test(test_sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
