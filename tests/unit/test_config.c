/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_config.c - pipe/config.c: limits of every field, and messages that name it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipe/config.h"

#define MIB ((uint64_t)1 << 20)

static const char *const uris[] = {"/data", "/more"};

static struct penstock_channel_config good_channel(void)
{
    struct penstock_channel_config channel;

    penstock_channel_config_init(&channel);
    channel.uris = uris;
    channel.uri_count = 2;
    channel.content_type = "text/csv";
    return channel;
}

static struct penstock_config good_config(const struct penstock_channel_config *channels,
                                          size_t count)
{
    struct penstock_config config;

    penstock_config_init(&config);
    config.channels = channels;
    config.channel_count = count;
    return config;
}

/* Resolves, and looks for `names` in the message of a refusal. */
static int resolve(const struct penstock_config *config, struct penstock_config *out,
                   const char *names)
{
    struct penstock_error error;
    int rc = ps_config_resolve(config, out, &error);

    if (rc == PENSTOCK_OK)
        return rc;
    assert_int_equal(rc, error.rc);
    assert_non_null(strstr(error.message, names));
    return rc;
}

static void test_defaults_are_the_documented_ones(void **state)
{
    struct penstock_channel_config channel = good_channel();
    struct penstock_config zeros = {.channels = &channel, .channel_count = 1};
    struct penstock_config out;

    (void)state;
    assert_string_equal(channel.name, "train");
    assert_int_equal(channel.batch_rows, 1000);
    assert_int_equal(channel.feature_dim, 0);
    assert_int_equal(channel.epochs, 1);
    assert_false(channel.shuffle);
    assert_int_equal(channel.shard_index, 0);
    assert_int_equal(channel.shard_count, 1);
    assert_int_equal(channel.row_share_count, 1);

    unsetenv("PENSTOCK_IO");
    assert_int_equal(resolve(&zeros, &out, ""), PENSTOCK_OK);
    assert_int_equal(out.memory_limit_bytes, 1024 * MIB);
    assert_in_range(out.decode_threads, 1, 8);
    assert_int_equal(out.io_threads, 1);
    assert_int_equal(out.max_connections, 0);
    assert_int_equal(out.part_bytes, 0);
    assert_null(out.io_backend);

    struct penstock_config initialised = good_config(&channel, 1);
    struct penstock_config same;

    assert_int_equal(resolve(&initialised, &same, ""), PENSTOCK_OK);
    assert_int_equal(same.memory_limit_bytes, out.memory_limit_bytes);
    assert_int_equal(same.decode_threads, out.decode_threads);
}

static void test_environment_chooses_the_backend_unless_told(void **state)
{
    struct penstock_channel_config channel = good_channel();
    struct penstock_config config = good_config(&channel, 1);
    struct penstock_config out;

    (void)state;
    assert_int_equal(setenv("PENSTOCK_IO", "epoll", 1), 0);
    assert_int_equal(resolve(&config, &out, ""), PENSTOCK_OK);
    assert_string_equal(out.io_backend, "epoll");
    config.io_backend = "uring";
    assert_int_equal(resolve(&config, &out, ""), PENSTOCK_OK);
    assert_string_equal(out.io_backend, "uring");
    unsetenv("PENSTOCK_IO");
}

static void put(struct penstock_config *config, size_t offset, size_t size, uint64_t value)
{
    uint32_t narrow = (uint32_t)value;

    memcpy((char *)config + offset, size == sizeof narrow ? (void *)&narrow : (void *)&value, size);
}

static void test_numbers_have_limits_and_messages_name_them(void **state)
{
#define FIELD(name) #name, offsetof(struct penstock_config, name), sizeof(config.name)
    struct penstock_channel_config channel = good_channel();
    struct penstock_config config;
    const struct {
        const char *name;
        size_t offset, size;
        uint64_t below, least, most, above; /* below 0: there is nothing below */
    } fields[] = {
        {FIELD(memory_limit_bytes), 16 * MIB - 1, 16 * MIB, SIZE_MAX / 2, SIZE_MAX / 2 + 1},
        {FIELD(decode_threads), 0, 1, 256, 257},
        {FIELD(io_threads), 0, 1, 64, 65},
        {FIELD(max_connections), 0, 1, 256, 257},
        {FIELD(part_bytes), (64 << 10) - 1, 64 << 10, 1024 * MIB, 1024 * MIB + 1},
    };
    struct penstock_config out;

    (void)state;
    for (size_t f = 0; f < sizeof fields / sizeof *fields; f++) {
        config = good_config(&channel, 1);
        put(&config, fields[f].offset, fields[f].size, fields[f].least);
        assert_int_equal(resolve(&config, &out, fields[f].name), PENSTOCK_OK);
        put(&config, fields[f].offset, fields[f].size, fields[f].most);
        assert_int_equal(resolve(&config, &out, fields[f].name), PENSTOCK_OK);
        put(&config, fields[f].offset, fields[f].size, fields[f].above);
        assert_int_equal(resolve(&config, &out, fields[f].name), PENSTOCK_E_ARGUMENT);
        put(&config, fields[f].offset, fields[f].size, fields[f].size == 4 ? UINT32_MAX : SIZE_MAX);
        assert_int_equal(resolve(&config, &out, fields[f].name), PENSTOCK_E_ARGUMENT);
        if (fields[f].below == 0)
            continue;
        put(&config, fields[f].offset, fields[f].size, fields[f].below);
        assert_int_equal(resolve(&config, &out, fields[f].name), PENSTOCK_E_ARGUMENT);
    }
#undef FIELD
}

static void test_channels_are_one_to_twenty(void **state)
{
    struct penstock_channel_config channels[21];
    struct penstock_config config;
    struct penstock_config out;

    (void)state;
    for (size_t i = 0; i < 21; i++)
        channels[i] = good_channel();
    config = good_config(channels, 20);
    assert_int_equal(resolve(&config, &out, ""), PENSTOCK_OK);
    config.channel_count = 21;
    assert_int_equal(resolve(&config, &out, "channel_count"), PENSTOCK_E_ARGUMENT);
    config.channel_count = 0;
    assert_int_equal(resolve(&config, &out, "channel_count"), PENSTOCK_E_ARGUMENT);
    config.channel_count = SIZE_MAX;
    assert_int_equal(resolve(&config, &out, "channel_count"), PENSTOCK_E_ARGUMENT);
    config = good_config(NULL, 1);
    assert_int_equal(resolve(&config, &out, "channels"), PENSTOCK_E_ARGUMENT);
}

/* 16 MiB for each channel. */
static void test_memory_grows_with_the_channels(void **state)
{
    struct penstock_channel_config channels[3] = {good_channel(), good_channel(), good_channel()};
    struct penstock_config config = good_config(channels, 3);
    struct penstock_config out;

    (void)state;
    config.memory_limit_bytes = 48 * MIB;
    assert_int_equal(resolve(&config, &out, ""), PENSTOCK_OK);
    config.memory_limit_bytes = 48 * MIB - 1;
    assert_int_equal(resolve(&config, &out, "memory_limit_bytes"), PENSTOCK_E_ARGUMENT);
}

/* Resolves a configuration of a good and the given channel. */
static int resolve_channel(const struct penstock_channel_config *channel, const char *names)
{
    const struct penstock_channel_config channels[2] = {good_channel(), *channel};
    struct penstock_config config = good_config(channels, 2);
    struct penstock_config out;

    return resolve(&config, &out, names);
}

static void test_channel_names(void **state)
{
    static const char *const good[] = {
        "a", "validation", "Az09.-_",
        "0123456789012345678901234567890123456789012345678901234567890123"};
    static const char *const bad[] = {
        "",         " ",
        "a b",      "a/b",
        "\xc3\xa9", "a\n",
        "%s%n",     "01234567890123456789012345678901234567890123456789012345678901234"};
    struct penstock_channel_config channel = good_channel();

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        channel.name = good[i];
        assert_int_equal(resolve_channel(&channel, "name"), PENSTOCK_OK);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        channel.name = bad[i];
        assert_int_equal(resolve_channel(&channel, "channel 1: name"), PENSTOCK_E_ARGUMENT);
    }
    channel.name = NULL;
    assert_int_equal(resolve_channel(&channel, ""), PENSTOCK_OK);
}

static void test_channel_fields(void **state)
{
    static const char *const hole[] = {"/data", NULL};
    struct penstock_channel_config channel = good_channel();

    (void)state;
    channel.name = "odd";
    channel.batch_rows = 1;
    assert_int_equal(resolve_channel(&channel, ""), PENSTOCK_OK);
    channel.batch_rows = 1u << 24;
    assert_int_equal(resolve_channel(&channel, ""), PENSTOCK_OK);
    channel.batch_rows++;
    assert_int_equal(resolve_channel(&channel, "channel odd: batch_rows"), PENSTOCK_E_ARGUMENT);
    channel.batch_rows = 0;
    assert_int_equal(resolve_channel(&channel, "channel odd: batch_rows"), PENSTOCK_E_ARGUMENT);

    channel = good_channel();
    channel.name = "odd";
    channel.uri_count = 0;
    assert_int_equal(resolve_channel(&channel, "channel odd: it has no URI"), PENSTOCK_E_ARGUMENT);
    channel.uri_count = 1;
    channel.uris = NULL;
    assert_int_equal(resolve_channel(&channel, "channel odd: it has no URI"), PENSTOCK_E_ARGUMENT);
    channel.uris = hole;
    assert_int_equal(resolve_channel(&channel, ""), PENSTOCK_OK);
    channel.uri_count = 2;
    assert_int_equal(resolve_channel(&channel, "channel odd: uris[1]"), PENSTOCK_E_ARGUMENT);

    channel = good_channel();
    channel.name = "odd";
    channel.content_type = NULL;
    assert_int_equal(resolve_channel(&channel, "channel odd: content_type"), PENSTOCK_E_ARGUMENT);

    channel = good_channel();
    channel.name = "odd";
    channel.shard_count = 3;
    channel.shard_index = 2;
    assert_int_equal(resolve_channel(&channel, ""), PENSTOCK_OK);
    channel.shard_index = 3;
    assert_int_equal(resolve_channel(&channel, "channel odd: shard_index 3"), PENSTOCK_E_ARGUMENT);
    channel.shard_index = channel.shard_count = 0;
    assert_int_equal(resolve_channel(&channel, "shard_count 0"), PENSTOCK_E_ARGUMENT);

    channel = good_channel();
    channel.name = "odd";
    channel.batch_rows = 12;
    channel.row_share_count = 3;
    channel.row_share_index = 2;
    assert_int_equal(resolve_channel(&channel, ""), PENSTOCK_OK);
    channel.row_share_index = 3;
    assert_int_equal(resolve_channel(&channel, "channel odd: row_share_index 3"),
                     PENSTOCK_E_ARGUMENT);
    channel.row_share_count = 5;
    assert_int_equal(resolve_channel(&channel, "channel odd: batch_rows is 12, no multiple of "
                                               "row_share_count, which is 5"),
                     PENSTOCK_E_ARGUMENT);
    channel.row_share_index = channel.row_share_count = 0;
    assert_int_equal(resolve_channel(&channel, "row_share_count 0"), PENSTOCK_E_ARGUMENT);
}

/* What penstock_open refuses beyond ps_config_resolve, with no thread left behind. */
static void test_open_refuses_what_cannot_work(void **state)
{
    static const struct {
        const char *uri, *content_type, *io_backend, *names, *verify;
    } cases[] = {
        {"/data", "image/png", NULL, "channel train: content type \"image/png\"", NULL},
        {"/data", "text/csv;label_size=x", NULL, "label_size", NULL},
        {"/data", "text/csv;header=1", NULL, "header", NULL},
        {"/data", "", NULL, "content type", NULL},
        {"", "text/csv", NULL, "URI is empty", NULL},
        {"ftp://host/x", "text/csv", NULL, "ftp://host/x", NULL},
        {"/data", "text/csv", "kqueue", "kqueue", NULL},
        {"/data", "text/csv", NULL, "verify is \"on\": use auto, always or off", "on"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct penstock_channel_config channel = good_channel();
        struct penstock_config config = good_config(&channel, 1);
        struct penstock *stream = (struct penstock *)&config;
        struct penstock_error error;

        channel.uris = &cases[i].uri;
        channel.uri_count = 1;
        channel.content_type = cases[i].content_type;
        config.io_backend = cases[i].io_backend;
        config.verify = cases[i].verify;
        assert_int_equal(penstock_open(&config, &stream, &error), PENSTOCK_E_ARGUMENT);
        assert_null(stream);
        assert_int_equal(error.rc, PENSTOCK_E_ARGUMENT);
        assert_non_null(strstr(error.message, cases[i].names));
        assert_int_equal(penstock_open(&config, &stream, NULL), PENSTOCK_E_ARGUMENT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_are_the_documented_ones),
        cmocka_unit_test(test_environment_chooses_the_backend_unless_told),
        cmocka_unit_test(test_numbers_have_limits_and_messages_name_them),
        cmocka_unit_test(test_channels_are_one_to_twenty),
        cmocka_unit_test(test_memory_grows_with_the_channels),
        cmocka_unit_test(test_channel_names),
        cmocka_unit_test(test_channel_fields),
        cmocka_unit_test(test_open_refuses_what_cannot_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
