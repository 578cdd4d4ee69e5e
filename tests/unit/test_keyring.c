/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_keyring.c - pipe/keyring.c: what a refused request is told while keys are
 * renewed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "pipe/error.h"
#include "pipe/keyring.h"
#include "pipe/text.h"

/* A place that hands out keys when it is told to. */
struct place {
    atomic_int searches;
    atomic_bool may_answer;
    const char *id; /* NULL: it fails */
};

static void pause_ms(long ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    nanosleep(&pause, NULL);
}

static int find(void *cookie, struct ps_credentials *out, struct penstock_error *error)
{
    struct place *place = cookie;

    atomic_fetch_add(&place->searches, 1);
    while (!atomic_load(&place->may_answer))
        pause_ms(1);
    memset(out, 0, sizeof *out);
    ps_text_copy(out->origin, sizeof out->origin, "the test");
    if (!place->id)
        return ps_fail(error, PENSTOCK_E_CREDENTIALS, "nobody answers");
    ps_text_copy(out->keys.access_key_id, sizeof out->keys.access_key_id, place->id);
    return PENSTOCK_OK;
}

static struct ps_retry_decision refuse(struct ps_keyring *keyring)
{
    struct ps_retry_decision decision = {.verdict = PS_RETRY_FATAL, .rc = PENSTOCK_E_CREDENTIALS};

    ps_keyring_reconsider(keyring, &decision);
    return decision;
}

/* Refuses until the renewal has ended, and returns the first decision after it. */
static struct ps_retry_decision refuse_to_the_end(struct ps_keyring *keyring, struct place *place)
{
    struct ps_retry_decision decision = refuse(keyring);

    assert_int_equal(decision.verdict, PS_RETRY_AGAIN);
    assert_true(decision.renewing);
    for (int i = 0; i < 20; i++) /* however long it takes, and once however many ask */
        assert_true(refuse(keyring).renewing);
    atomic_store(&place->may_answer, true);
    for (int i = 0; i < 10000 && decision.renewing; i++) {
        pause_ms(1);
        decision = refuse(keyring);
    }
    assert_int_equal(atomic_load(&place->searches), 1);
    return decision;
}

static void test_others_are_tried(void **state)
{
    struct place place = {.id = "NEW"};
    struct ps_credentials in_use = {.keys = {.access_key_id = "OLD"}};
    struct ps_keyring *keyring;
    char trouble[200];
    (void)state;

    assert_int_equal(ps_keyring_open(&in_use, false, find, NULL, &place, &keyring, NULL),
                     PENSTOCK_OK);
    struct ps_retry_decision decision = refuse_to_the_end(keyring, &place);

    assert_int_equal(decision.verdict, PS_RETRY_AGAIN);
    ps_keyring_lock(keyring);
    assert_string_equal(in_use.keys.access_key_id, "NEW");
    ps_keyring_unlock(keyring);
    ps_keyring_trouble(keyring, trouble, sizeof trouble);
    assert_string_equal(trouble, "");
    ps_keyring_close(keyring);
}

static void test_no_others_end_it(void **state)
{
    static const struct {
        const char *id, *trouble;
    } table[] = {{"OLD", "the test gives the same keys again"}, {NULL, "nobody answers"}};
    (void)state;

    for (size_t i = 0; i < 2; i++) {
        struct place place = {.id = table[i].id};
        struct ps_credentials in_use = {.keys = {.access_key_id = "OLD"}};
        struct ps_keyring *keyring;
        char trouble[200];

        assert_int_equal(ps_keyring_open(&in_use, false, find, NULL, &place, &keyring, NULL),
                         PENSTOCK_OK);
        struct ps_retry_decision decision = refuse_to_the_end(keyring, &place);

        assert_int_equal(decision.verdict, PS_RETRY_FATAL);
        assert_int_equal(decision.rc, PENSTOCK_E_CREDENTIALS);
        ps_keyring_trouble(keyring, trouble, sizeof trouble);
        assert_string_equal(trouble, table[i].trouble);
        ps_keyring_close(keyring);
    }
}

static void test_other_decisions_stay(void **state)
{
    struct place place = {.id = "NEW", .may_answer = true};
    struct ps_credentials in_use = {.keys = {.access_key_id = "OLD"}};
    struct ps_keyring *keyring;
    (void)state;

    struct ps_retry_decision denied = {.verdict = PS_RETRY_FATAL, .rc = PENSTOCK_E_DENIED};
    assert_int_equal(ps_keyring_open(&in_use, false, find, NULL, &place, &keyring, NULL),
                     PENSTOCK_OK);
    ps_keyring_reconsider(keyring, &denied);
    assert_int_equal(denied.verdict, PS_RETRY_FATAL);
    ps_keyring_close(keyring);
    assert_int_equal(atomic_load(&place.searches), 0);
    assert_int_equal(refuse(NULL).verdict, PS_RETRY_FATAL); /* keys that never change */
    ps_keyring_close(NULL);
}

/* ---- the first keys ---- */

static void test_the_first_keys_are_waited_for(void **state)
{
    struct place place = {.id = "NEW"};
    struct ps_credentials in_use = {.anonymous = false};
    struct ps_keyring *keyring;
    struct penstock_error error;
    atomic_bool stop = true;
    (void)state;

    assert_int_equal(ps_keyring_open(&in_use, true, find, NULL, &place, &keyring, NULL),
                     PENSTOCK_OK);
    assert_int_equal(ps_keyring_wait(keyring, &stop, &error), PENSTOCK_E_STOPPED);
    atomic_store(&stop, false);
    atomic_store(&place.may_answer, true);
    assert_int_equal(ps_keyring_wait(keyring, &stop, &error), PENSTOCK_OK);
    ps_keyring_lock(keyring);
    assert_string_equal(in_use.keys.access_key_id, "NEW");
    ps_keyring_unlock(keyring);
    assert_int_equal(ps_keyring_wait(keyring, &stop, &error), PENSTOCK_OK);
    assert_int_equal(ps_keyring_wait(NULL, &stop, &error), PENSTOCK_OK);
    ps_keyring_close(keyring);
    assert_int_equal(atomic_load(&place.searches), 1);
}

static void test_no_first_keys_is_everybodys_error(void **state)
{
    struct place place = {.may_answer = true};
    struct ps_credentials in_use = {.anonymous = false};
    struct ps_keyring *keyring;
    struct penstock_error error;
    atomic_bool stop = false;
    (void)state;

    assert_int_equal(ps_keyring_open(&in_use, true, find, NULL, &place, &keyring, NULL),
                     PENSTOCK_OK);
    for (int i = 0; i < 2; i++) {
        memset(&error, 0, sizeof error);
        assert_int_equal(ps_keyring_wait(keyring, &stop, &error), PENSTOCK_E_CREDENTIALS);
        assert_int_equal(error.rc, PENSTOCK_E_CREDENTIALS);
        assert_string_equal(error.message, "nobody answers");
    }
    ps_keyring_close(keyring);
    assert_int_equal(atomic_load(&place.searches), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_others_are_tried),
        cmocka_unit_test(test_no_others_end_it),
        cmocka_unit_test(test_other_decisions_stay),
        cmocka_unit_test(test_the_first_keys_are_waited_for),
        cmocka_unit_test(test_no_first_keys_is_everybodys_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
