/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_serve_link.c - the link that penstock serve's connections share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/serve_link.h"

enum { BITS_S = 8000000, SECOND_BYTES = BITS_S / 8 }; /* 1 MB a second */

/* Time passes while we look: waits are shorter by that, and by no more than 5 s. */
static void assert_waits_about(struct serve_link *link, uint32_t wait_ms)
{
    assert_in_range(serve_link_take_ms(link, 0), wait_ms - 5000, wait_ms);
}

static void test_an_idle_link_catches_up_on_20_ms(void **state)
{
    struct serve_link *link = serve_link_new(BITS_S, 0);

    (void)state;
    assert_non_null(link);
    assert_int_equal(serve_link_take_ms(link, 10 * SECOND_BYTES), 0);
    assert_waits_about(link, 9980);
    (void)serve_link_take_ms(link, 10 * SECOND_BYTES);
    assert_waits_about(link, 19980);
    serve_link_free(link);
}

static void test_a_crowded_link_is_slower(void **state)
{
    struct serve_link *link = serve_link_new(BITS_S, 2);

    (void)state;
    assert_non_null(link);
    for (int i = 0; i < 4; i++)
        serve_link_enter(link);
    assert_int_equal(serve_link_take_ms(link, 10 * SECOND_BYTES), 0);
    assert_waits_about(link, 19980); /* four where two may be: half the rate */
    serve_link_leave(link);
    serve_link_leave(link);
    (void)serve_link_take_ms(link, 10 * SECOND_BYTES);
    assert_waits_about(link, 29980);
    serve_link_free(link);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_idle_link_catches_up_on_20_ms),
        cmocka_unit_test(test_a_crowded_link_is_slower),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
