/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_retry.c - pipe/retry.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "pipe/retry.h"

static void test_statuses_and_codes(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *code;
        enum ps_retry_verdict verdict;
        int rc;
        bool throttle;
    } table[] = {
        {200, "", PS_RETRY_DONE, PENSTOCK_OK, false},
        {206, "", PS_RETRY_DONE, PENSTOCK_OK, false},
        {200, "InternalError", PS_RETRY_AGAIN, PENSTOCK_E_HTTP, false},
        {200, "SlowDown", PS_RETRY_AGAIN, PENSTOCK_E_HTTP, true},
        {200, "NoSuchThing", PS_RETRY_FATAL, PENSTOCK_E_HTTP, false},
        {500, "", PS_RETRY_AGAIN, PENSTOCK_E_HTTP, false},
        {500, "InternalError", PS_RETRY_AGAIN, PENSTOCK_E_HTTP, false},
        {502, "", PS_RETRY_AGAIN, PENSTOCK_E_HTTP, false},
        {503, "", PS_RETRY_AGAIN, PENSTOCK_E_HTTP, true},
        {503, "SlowDown", PS_RETRY_AGAIN, PENSTOCK_E_HTTP, true},
        {504, "", PS_RETRY_AGAIN, PENSTOCK_E_HTTP, false},
        {408, "", PS_RETRY_AGAIN, PENSTOCK_E_HTTP, false},
        {429, "", PS_RETRY_AGAIN, PENSTOCK_E_HTTP, true},
        {509, "BandwidthLimitExceeded", PS_RETRY_AGAIN, PENSTOCK_E_HTTP, true},
        {400, "RequestTimeout", PS_RETRY_AGAIN, PENSTOCK_E_HTTP, false},
        {400, "ThrottlingException", PS_RETRY_AGAIN, PENSTOCK_E_HTTP, true},
        {400, "ExpiredToken", PS_RETRY_FATAL, PENSTOCK_E_CREDENTIALS, false},
        {403, "ExpiredToken", PS_RETRY_FATAL, PENSTOCK_E_CREDENTIALS, false},
        {400, "InvalidToken", PS_RETRY_FATAL, PENSTOCK_E_CREDENTIALS, false},
        {400, "AuthorizationHeaderMalformed", PS_RETRY_FATAL, PENSTOCK_E_HTTP, false},
        {400, "", PS_RETRY_FATAL, PENSTOCK_E_HTTP, false},
        {401, "", PS_RETRY_FATAL, PENSTOCK_E_DENIED, false},
        {403, "AccessDenied", PS_RETRY_FATAL, PENSTOCK_E_DENIED, false},
        {403, "SignatureDoesNotMatch", PS_RETRY_FATAL, PENSTOCK_E_DENIED, false},
        {404, "NoSuchKey", PS_RETRY_FATAL, PENSTOCK_E_NOT_FOUND, false},
        {404, "NoSuchBucket", PS_RETRY_FATAL, PENSTOCK_E_NOT_FOUND, false},
        {412, "PreconditionFailed", PS_RETRY_FATAL, PENSTOCK_E_CHANGED, false},
        {416, "InvalidRange", PS_RETRY_FATAL, PENSTOCK_E_CHANGED, false},
        {301, "PermanentRedirect", PS_RETRY_FATAL, PENSTOCK_E_HTTP, false},
        {304, "", PS_RETRY_FATAL, PENSTOCK_E_HTTP, false},
        {405, "", PS_RETRY_FATAL, PENSTOCK_E_HTTP, false},
        {501, "", PS_RETRY_FATAL, PENSTOCK_E_HTTP, false},
        {0, "", PS_RETRY_FATAL, PENSTOCK_E_HTTP, false},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const struct ps_attempt_outcome outcome = {PS_TRANSFER_OK, table[i].status, table[i].code};
        struct ps_retry_decision got = ps_retry_classify(&outcome);
        if (got.verdict != table[i].verdict || got.rc != table[i].rc ||
            got.throttle != table[i].throttle)
            fail_msg("%d %s: verdict %d, rc %d, throttle %d", table[i].status, table[i].code,
                     (int)got.verdict, got.rc, got.throttle);
    }
}

static void test_transfers(void **state)
{
    (void)state;
    static const struct {
        enum ps_transfer transfer;
        enum ps_retry_verdict verdict;
        int rc;
    } table[] = {
        {PS_TRANSFER_RESOLVE, PS_RETRY_AGAIN, PENSTOCK_E_NETWORK},
        {PS_TRANSFER_CONNECT, PS_RETRY_AGAIN, PENSTOCK_E_NETWORK},
        {PS_TRANSFER_TLS, PS_RETRY_AGAIN, PENSTOCK_E_NETWORK},
        {PS_TRANSFER_CERTIFICATE, PS_RETRY_FATAL, PENSTOCK_E_NETWORK},
        {PS_TRANSFER_RESET, PS_RETRY_AGAIN, PENSTOCK_E_NETWORK},
        {PS_TRANSFER_STALL, PS_RETRY_AGAIN, PENSTOCK_E_NETWORK},
        {PS_TRANSFER_BAD_ANSWER, PS_RETRY_AGAIN, PENSTOCK_E_NETWORK},
        {PS_TRANSFER_NO_MEMORY, PS_RETRY_FATAL, PENSTOCK_E_MEMORY},
        {PS_TRANSFER_LOCAL_FAILURE, PS_RETRY_FATAL, PENSTOCK_E_SYSTEM},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        /* A status that arrived before the connection broke does not make the transfer good. */
        const struct ps_attempt_outcome outcome = {table[i].transfer, 206, ""};
        struct ps_retry_decision got = ps_retry_classify(&outcome);
        assert_int_equal(got.verdict, table[i].verdict);
        assert_int_equal(got.rc, table[i].rc);
        assert_false(got.throttle);
    }
}

static void test_delay_has_full_jitter_and_a_cap(void **state)
{
    (void)state;
    assert_int_equal(ps_retry_delay_ms(1, false, 0), 0);
    assert_int_equal(ps_retry_delay_ms(1, false, UINT64_MAX), 50);
    assert_int_equal(ps_retry_delay_ms(1, false, UINT64_MAX / 2), 25);
    assert_int_equal(ps_retry_delay_ms(2, false, UINT64_MAX), 100);
    assert_int_equal(ps_retry_delay_ms(9, false, UINT64_MAX), 12800);
    assert_int_equal(ps_retry_delay_ms(10, false, UINT64_MAX), 20000);
    assert_int_equal(ps_retry_delay_ms(UINT32_MAX, false, UINT64_MAX), 20000);
    assert_int_equal(ps_retry_delay_ms(1, true, UINT64_MAX), 1000);
    assert_int_equal(ps_retry_delay_ms(4, true, UINT64_MAX), 8000);
    assert_int_equal(ps_retry_delay_ms(6, true, UINT64_MAX), 20000);
    assert_int_equal(ps_retry_delay_ms(6, true, 0), 0);
}

static void test_retry_after(void **state)
{
    const time_t now = 784111777; /* Sun, 06 Nov 1994 08:49:37 GMT */
    static const struct {
        const char *value;
        uint32_t wait_ms;
    } table[] = {
        {"0", 0},
        {"1", 1000},
        {"7", 7000},
        {"60", 60000},
        {"61", 60000},
        {"99999999999999999999999999", 60000},
        {"Sun, 06 Nov 1994 08:49:41 GMT", 4000},
        {"Sun, 06 Nov 1994 08:49:37 GMT", 0},
        {"Sun, 06 Nov 1994 08:49:36 GMT", 0},
        {"Fri, 31 Dec 1999 23:59:59 GMT", 60000},
        {"", 0},
        {"-5", 0},
        {"soon", 0},
        {"5s", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_int_equal(ps_retry_after_ms(table[i].value, now), table[i].wait_ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statuses_and_codes),
        cmocka_unit_test(test_transfers),
        cmocka_unit_test(test_delay_has_full_jitter_and_a_cap),
        cmocka_unit_test(test_retry_after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
