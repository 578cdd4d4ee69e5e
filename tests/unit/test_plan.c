/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_plan.c - pipe/plan.c: which object comes when. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipe/error.h"
#include "pipe/permute.h"
#include "pipe/plan.h"

static struct ps_plan *new_plan(struct ps_plan_config config)
{
    if (config.shard_count == 0)
        config.shard_count = 1;
    struct ps_plan *plan = ps_plan_new(&config);

    assert_non_null(plan);
    return plan;
}

/* Object i has a key, an etag and a size that tell i. */
static int add_numbered(struct ps_plan *plan, uint64_t i)
{
    char key[32];
    char etag[32];

    snprintf(key, sizeof key, "key-%llu", (unsigned long long)i);
    snprintf(etag, sizeof etag, "\"%llx\"", (unsigned long long)i);
    return ps_plan_add(plan, (uint32_t)(i % 7), key, etag, i + 1);
}

static bool is_numbered(const struct ps_object *object, uint64_t i)
{
    char key[32];
    char etag[32];

    snprintf(key, sizeof key, "key-%llu", (unsigned long long)i);
    snprintf(etag, sizeof etag, "\"%llx\"", (unsigned long long)i);
    return strcmp(object->key, key) == 0 && strcmp(object->etag, etag) == 0 &&
           object->size_bytes == i + 1 && object->source_no == i % 7;
}

static void add_many(struct ps_plan *plan, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        assert_int_equal(add_numbered(plan, i), PENSTOCK_OK);
}

static enum ps_plan_answer ask(struct ps_plan *plan, uint32_t epoch, uint64_t index,
                               const struct ps_object **object)
{
    const struct ps_cursor cursor = {.epoch = epoch, .index = index};

    return ps_plan_at(plan, &cursor, object);
}

static void test_plan_keeps_listing_order_and_copies(void **state)
{
    struct ps_plan *plan = new_plan((struct ps_plan_config){.epochs = 1});
    const struct ps_object *object;
    char key[] = "volatile";

    (void)state;
    assert_int_equal(ps_plan_add(plan, 3, key, key, 9), PENSTOCK_OK);
    memset(key, 'x', sizeof key - 1);
    assert_int_equal(ask(plan, 0, 0, &object), PS_PLAN_OBJECT);
    assert_string_equal(object->key, "volatile");
    assert_string_equal(object->etag, "volatile");
    assert_int_equal(object->source_no, 3);
    assert_int_equal(object->size_bytes, 9);
    ps_plan_free(plan);
    ps_plan_free(NULL);
}

static void test_plan_skips_empty_objects_and_directory_keys(void **state)
{
    struct ps_plan *plan = new_plan((struct ps_plan_config){.epochs = 1});
    const struct ps_object *object;

    (void)state;
    assert_int_equal(ps_plan_add(plan, 0, "empty", "e", 0), PENSTOCK_OK);
    assert_int_equal(ps_plan_add(plan, 0, "dir/", "e", 5), PENSTOCK_OK);
    assert_int_equal(ps_plan_add(plan, 0, "/", "e", 5), PENSTOCK_OK);
    assert_int_equal(ps_plan_add(plan, 0, "dir/a", "e", 5), PENSTOCK_OK);
    assert_int_equal(ps_plan_add(plan, 0, "dir//", "e", 5), PENSTOCK_OK);
    assert_int_equal(ps_plan_add(plan, 0, "b", "", 1), PENSTOCK_OK);
    ps_plan_complete(plan);
    assert_int_equal(ps_plan_count(plan), 2);
    assert_int_equal(ask(plan, 0, 0, &object), PS_PLAN_OBJECT);
    assert_string_equal(object->key, "dir/a");
    assert_int_equal(ask(plan, 0, 1, &object), PS_PLAN_OBJECT);
    assert_string_equal(object->key, "b");
    assert_string_equal(object->etag, "");
    assert_int_equal(ask(plan, 0, 2, &object), PS_PLAN_EPOCH_END);
    ps_plan_free(plan);
}

static void test_plan_keeps_empty_objects_if_asked(void **state)
{
    struct ps_plan *plan = new_plan((struct ps_plan_config){.epochs = 1, .empty_items = true});
    const struct ps_object *object;

    (void)state;
    assert_int_equal(ps_plan_add(plan, 0, "a", "", 0), PENSTOCK_OK);
    assert_int_equal(ps_plan_add(plan, 0, "dir/", "", 0), PENSTOCK_OK);
    assert_int_equal(ps_plan_add(plan, 0, "b", "", 3), PENSTOCK_OK);
    assert_int_equal(ps_plan_count(plan), 2);
    assert_int_equal(ask(plan, 0, 0, &object), PS_PLAN_OBJECT);
    assert_string_equal(object->key, "a");
    assert_int_equal(object->size_bytes, 0);
    assert_int_equal(ask(plan, 0, 1, &object), PS_PLAN_OBJECT);
    assert_string_equal(object->key, "b");
    ps_plan_free(plan);
}

static void test_plan_waits_until_the_object_is_listed(void **state)
{
    struct ps_plan *plan = new_plan((struct ps_plan_config){.epochs = 2});
    const struct ps_object *object;

    (void)state;
    assert_int_equal(ask(plan, 0, 0, &object), PS_PLAN_WAIT);
    add_many(plan, 2);
    assert_int_equal(ask(plan, 0, 1, &object), PS_PLAN_OBJECT);
    assert_int_equal(ask(plan, 0, 2, &object), PS_PLAN_WAIT);
    assert_int_equal(ask(plan, 1, 2, &object), PS_PLAN_WAIT);
    ps_plan_complete(plan);
    assert_int_equal(ask(plan, 0, 2, &object), PS_PLAN_EPOCH_END);
    ps_plan_free(plan);
}

static void test_shuffled_plan_waits_for_the_whole_listing(void **state)
{
    struct ps_plan *plan = new_plan((struct ps_plan_config){.epochs = 1, .shuffle = true});
    const struct ps_object *object;

    (void)state;
    add_many(plan, 5);
    for (uint64_t i = 0; i < 6; i++)
        assert_int_equal(ask(plan, 0, i, &object), PS_PLAN_WAIT);
    ps_plan_complete(plan);
    assert_int_equal(ask(plan, 0, 4, &object), PS_PLAN_OBJECT);
    assert_int_equal(ask(plan, 0, 5, &object), PS_PLAN_EPOCH_END);
    ps_plan_free(plan);
}

static void test_epochs_end_and_repeat(void **state)
{
    struct ps_plan *plan = new_plan((struct ps_plan_config){.epochs = 3});
    struct ps_plan *endless = new_plan((struct ps_plan_config){.epochs = 0});
    const struct ps_object *object;

    (void)state;
    add_many(plan, 4);
    add_many(endless, 4);
    ps_plan_complete(plan);
    ps_plan_complete(endless);
    for (uint32_t epoch = 0; epoch < 3; epoch++) {
        assert_int_equal(ask(plan, epoch, 3, &object), PS_PLAN_OBJECT);
        assert_true(is_numbered(object, 3));
        assert_int_equal(ask(plan, epoch, 4, &object), PS_PLAN_EPOCH_END);
        assert_int_equal(ask(plan, epoch, UINT64_MAX / 2, &object), PS_PLAN_EPOCH_END);
    }
    assert_int_equal(ask(plan, 3, 0, &object), PS_PLAN_END);
    assert_int_equal(ask(endless, UINT32_MAX, 3, &object), PS_PLAN_OBJECT);
    ps_plan_free(plan);
    ps_plan_free(endless);
}

static void test_epochs_are_over_even_while_the_listing_runs(void **state)
{
    struct ps_plan *plan = new_plan((struct ps_plan_config){.epochs = 1, .shuffle = true});
    const struct ps_object *object;

    (void)state;
    assert_int_equal(ask(plan, 1, 0, &object), PS_PLAN_END);
    ps_plan_free(plan);
}

static void test_empty_plan_ends_its_epoch(void **state)
{
    (void)state;
    for (int shuffle = 0; shuffle < 2; shuffle++) {
        struct ps_plan *plan =
            new_plan((struct ps_plan_config){.epochs = 1, .shuffle = shuffle != 0});
        const struct ps_object *object;

        ps_plan_complete(plan);
        assert_int_equal(ask(plan, 0, 0, &object), PS_PLAN_EPOCH_END);
        assert_int_equal(ps_plan_count(plan), 0);
        ps_plan_free(plan);
    }
}

static void test_failed_listing_is_told_after_what_was_listed(void **state)
{
    struct ps_plan *plan = new_plan((struct ps_plan_config){.epochs = 2});
    struct ps_plan *shuffled = new_plan((struct ps_plan_config){.epochs = 2, .shuffle = true});
    struct penstock_error error;
    const struct ps_object *object;

    (void)state;
    add_many(plan, 3);
    add_many(shuffled, 3);
    ps_fail(&error, PENSTOCK_E_DENIED, "no entry");
    ps_plan_fail(plan, &error);
    ps_plan_fail(shuffled, &error);
    assert_int_equal(ask(plan, 0, 2, &object), PS_PLAN_OBJECT);
    assert_int_equal(ask(plan, 0, 3, &object), PS_PLAN_FAILED);
    assert_int_equal(ask(shuffled, 0, 0, &object), PS_PLAN_FAILED);
    assert_int_equal(ps_plan_error(plan)->rc, PENSTOCK_E_DENIED);
    assert_string_equal(ps_plan_error(plan)->message, "no entry");
    ps_plan_free(plan);
    ps_plan_free(shuffled);
}

/* The number of the object a plan gives; UINT64_MAX when it gives none. */
static uint64_t number_at(struct ps_plan *plan, uint32_t epoch, uint64_t index, uint64_t count)
{
    const struct ps_object *object;

    if (ask(plan, epoch, index, &object) != PS_PLAN_OBJECT)
        return UINT64_MAX;
    uint64_t number = object->size_bytes - 1;

    assert_in_range(number, 0, count - 1);
    assert_true(is_numbered(object, number));
    return number;
}

static void check_shards(uint64_t count, uint32_t shard_count, bool shuffle, uint32_t epoch)
{
    const uint64_t seed = 1000 + count;
    uint64_t seen = 0;
    uint64_t total = 0;

    for (uint32_t shard = 0; shard < shard_count; shard++) {
        struct ps_plan *plan = new_plan((struct ps_plan_config){.epochs = 9,
                                                                .shuffle = shuffle,
                                                                .seed = seed,
                                                                .shard_index = shard,
                                                                .shard_count = shard_count});
        uint64_t index = 0;
        uint64_t number;

        add_many(plan, count);
        ps_plan_complete(plan);
        for (; (number = number_at(plan, epoch, index, count)) != UINT64_MAX; index++) {
            uint64_t order_no = index * shard_count + shard;
            uint64_t expected =
                shuffle ? ps_permute(order_no, count, ps_permute_key(seed, epoch)) : order_no;

            assert_int_equal(number, expected);
            assert_false(seen >> number & 1); /* disjoint */
            seen |= UINT64_C(1) << number;
        }
        /* Shards differ by one object at most. */
        assert_in_range(index, count / shard_count, (count + shard_count - 1) / shard_count);
        total += index;
        ps_plan_free(plan);
    }
    assert_int_equal(total, count);
}

static void test_shards_partition_the_order(void **state)
{
    static const uint64_t counts[] = {0, 1, 2, 3, 16, 17, 63};

    (void)state;
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
        for (uint32_t shard_count = 1; shard_count <= 20; shard_count++)
            for (uint32_t epoch = 0; epoch < 2; epoch++) {
                check_shards(counts[c], shard_count, false, epoch);
                check_shards(counts[c], shard_count, true, epoch);
            }
    check_shards(5, 1000, true, 0);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MANY_KEYS 100000
#else
#define MANY_KEYS 1000000
#endif

/* One host's share of many keys: exactly the places of the common order that are its own. */
static void check_host(uint32_t host, uint32_t host_count, uint8_t *owners)
{
    const uint64_t seed = 42;
    struct ps_plan *plan = new_plan((struct ps_plan_config){
        .shuffle = true, .seed = seed, .shard_index = host, .shard_count = host_count});

    add_many(plan, MANY_KEYS);
    ps_plan_complete(plan);
    for (uint32_t epoch = 0; epoch < 3; epoch++) {
        uint64_t key = ps_permute_key(seed, epoch);
        uint64_t index = 0;
        const struct ps_object *object;

        for (; ask(plan, epoch, index, &object) == PS_PLAN_OBJECT; index++) {
            uint64_t number = object->size_bytes - 1;

            assert_true(number < MANY_KEYS);
            if (number != ps_permute(index * host_count + host, MANY_KEYS, key))
                fail_msg("host %u of %u, epoch %u, place %llu", host, host_count, epoch,
                         (unsigned long long)index);
            if (owners) {
                assert_false(owners[number] >> epoch & 1);
                owners[number] |= (uint8_t)(1u << epoch);
            }
        }
        assert_int_equal(index, (MANY_KEYS + host_count - 1 - host) / host_count);
    }
    ps_plan_free(plan);
}

/* Of 1 to 64 hosts; all of three, whose shares are disjoint and complete in each epoch. */
static void test_a_million_keys_are_shared_among_hosts(void **state)
{
    static const uint32_t host_counts[] = {1, 2, 7, 64};
    uint8_t *owners = calloc(MANY_KEYS, 1);

    (void)state;
    assert_non_null(owners);
    for (uint32_t host = 0; host < 3; host++)
        check_host(host, 3, owners);
    for (uint64_t i = 0; i < MANY_KEYS; i++)
        assert_int_equal(owners[i], 7);
    for (size_t c = 0; c < sizeof host_counts / sizeof *host_counts; c++)
        check_host(host_counts[c] - 1, host_counts[c], NULL);
    free(owners);
}

static void test_hundred_thousand_objects_never_move(void **state)
{
    enum { COUNT = 100000, LANDMARKS = 12 };
    /* Around the borders of the blocks, which hold 256, 512, 1024 ... objects. */
    static const uint64_t landmarks[LANDMARKS] = {0,   1,    255,  256,   257,   767,
                                                  768, 1791, 1792, 65279, 65280, 99999};
    const struct ps_object *early[LANDMARKS] = {NULL};
    struct ps_plan *plan = new_plan((struct ps_plan_config){.epochs = 1});
    const struct ps_object *object;
    size_t next = 0;

    (void)state;
    for (uint64_t i = 0; i < COUNT; i++) {
        assert_int_equal(add_numbered(plan, i), PENSTOCK_OK);
        if (i == landmarks[next]) {
            assert_int_equal(ask(plan, 0, i, &early[next]), PS_PLAN_OBJECT);
            next++;
        }
    }
    assert_int_equal(ps_plan_count(plan), COUNT);
    for (uint64_t i = 0; i < COUNT; i++) {
        assert_int_equal(ask(plan, 0, i, &object), PS_PLAN_OBJECT);
        assert_true(is_numbered(object, i));
    }
    for (size_t l = 0; l < LANDMARKS; l++) {
        assert_int_equal(ask(plan, 0, landmarks[l], &object), PS_PLAN_OBJECT);
        assert_ptr_equal(object, early[l]);
    }
    ps_plan_free(plan);
}

/* Texts of every length, also longer than the blocks they are kept in. */
static void test_long_texts_are_kept_whole(void **state)
{
    static const size_t lengths[] = {0,     1,     1024,  4095,  65534, 65535,
                                     65536, 65537, 70000, 65535, 30000, 40000};
    enum { COUNT = sizeof lengths / sizeof *lengths };
    struct ps_plan *plan = new_plan((struct ps_plan_config){.epochs = 1});
    const struct ps_object *object;
    char *text = malloc(80000);

    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < COUNT; i++) {
        memset(text, (int)('a' + i), lengths[i]);
        text[lengths[i]] = '\0';
        assert_int_equal(ps_plan_add(plan, 0, text, text, 1), PENSTOCK_OK);
    }
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(ask(plan, 0, i, &object), PS_PLAN_OBJECT);
        memset(text, (int)('a' + i), lengths[i]);
        text[lengths[i]] = '\0';
        assert_string_equal(object->key, text);
        assert_string_equal(object->etag, text);
    }
    free(text);
    ps_plan_free(plan);
}

/* ---- one lister, several readers ---- */

enum { CONCURRENT_COUNT = 20000, READERS = 3 };

struct reading {
    struct ps_plan *plan;
    uint64_t passed;
    bool wrong;
};

static void *read_along(void *cookie)
{
    struct reading *reading = cookie;

    for (;;) {
        const struct ps_object *object;

        switch (ask(reading->plan, 0, reading->passed, &object)) {
        case PS_PLAN_OBJECT:
            reading->wrong |= !is_numbered(object, reading->passed);
            reading->passed++;
            break;
        case PS_PLAN_WAIT:
            sched_yield();
            break;
        case PS_PLAN_EPOCH_END:
            return NULL;
        case PS_PLAN_END:
        case PS_PLAN_FAILED:
            reading->wrong = true;
            return NULL;
        }
    }
}

static void test_objects_are_read_while_others_are_added(void **state)
{
    struct ps_plan *plan = new_plan((struct ps_plan_config){.epochs = 1});
    struct reading readings[READERS];
    pthread_t threads[READERS];

    (void)state;
    for (size_t i = 0; i < READERS; i++) {
        readings[i] = (struct reading){.plan = plan};
        assert_int_equal(pthread_create(&threads[i], NULL, read_along, &readings[i]), 0);
    }
    add_many(plan, CONCURRENT_COUNT);
    ps_plan_complete(plan);
    for (size_t i = 0; i < READERS; i++) {
        pthread_join(threads[i], NULL);
        assert_false(readings[i].wrong);
        assert_int_equal(readings[i].passed, CONCURRENT_COUNT);
    }
    ps_plan_free(plan);
}

static void test_fifos_are_an_epoch_each_and_end_later(void **state)
{
    struct ps_plan *plan = new_plan((struct ps_plan_config){.epochs = 3, .fifos = true});
    const struct penstock_error error = {.rc = PENSTOCK_E_SYSTEM};
    const struct ps_object *object;

    (void)state;
    assert_int_equal(ask(plan, 0, 0, &object), PS_PLAN_WAIT);
    for (uint32_t epoch = 0; epoch < 2; epoch++) {
        assert_int_equal(ps_plan_add(plan, 0, epoch ? "c_1" : "c_0", "", PS_SIZE_UNKNOWN),
                         PENSTOCK_OK);
        assert_int_equal(ask(plan, epoch, 0, &object), PS_PLAN_OBJECT);
        assert_string_equal(object->key, epoch ? "c_1" : "c_0");
        assert_true(object->size_bytes == PS_SIZE_UNKNOWN);
        assert_int_equal(ask(plan, epoch, 1, &object), PS_PLAN_EPOCH_END);
        assert_int_equal(ask(plan, epoch + 1, 0, &object), PS_PLAN_WAIT);
        ps_plan_end_fifo(plan, epoch * 7);
        assert_int_equal(ask(plan, epoch, 0, &object), PS_PLAN_OBJECT);
        assert_int_equal(object->size_bytes, epoch * 7);
    }
    ps_plan_fail(plan, &error);
    assert_int_equal(ask(plan, 1, 0, &object), PS_PLAN_OBJECT);
    assert_int_equal(ask(plan, 2, 0, &object), PS_PLAN_FAILED);
    assert_int_equal(ask(plan, 3, 0, &object), PS_PLAN_END);
    ps_plan_free(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan_keeps_listing_order_and_copies),
        cmocka_unit_test(test_plan_skips_empty_objects_and_directory_keys),
        cmocka_unit_test(test_plan_keeps_empty_objects_if_asked),
        cmocka_unit_test(test_plan_waits_until_the_object_is_listed),
        cmocka_unit_test(test_shuffled_plan_waits_for_the_whole_listing),
        cmocka_unit_test(test_epochs_end_and_repeat),
        cmocka_unit_test(test_epochs_are_over_even_while_the_listing_runs),
        cmocka_unit_test(test_empty_plan_ends_its_epoch),
        cmocka_unit_test(test_failed_listing_is_told_after_what_was_listed),
        cmocka_unit_test(test_shards_partition_the_order),
        cmocka_unit_test(test_a_million_keys_are_shared_among_hosts),
        cmocka_unit_test(test_hundred_thousand_objects_never_move),
        cmocka_unit_test(test_long_texts_are_kept_whole),
        cmocka_unit_test(test_objects_are_read_while_others_are_added),
        cmocka_unit_test(test_fifos_are_an_epoch_each_and_end_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
