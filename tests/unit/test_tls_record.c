/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_tls_record.c - records of TLS 1.3: RFC 8448's, every split, every flipped bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "pipe/tls_record.h"

static const unsigned suites[] = {0x1301, 0x1302, 0x1303};

static struct ps_tls_keys some_keys(unsigned suite)
{
    struct ps_tls_keys keys = {.opener = NULL};
    uint8_t secret[PS_TLS_SECRET_BYTES_MAX];

    for (size_t i = 0; i < sizeof secret; i++)
        secret[i] = (uint8_t)(7 * i + suite);
    assert_true(ps_tls_keys_set(&keys, suite, secret, suite == 0x1302 ? 48 : 32));
    return keys;
}

/* RFC 8448, 3: the simple 1-RTT handshake's server application traffic secret and the keys from
 * it; then the server's application data, which is record 1, behind a ticket. */
static void test_keys_and_record_of_rfc_8448(void **state)
{
    static const uint8_t secret[] = {0xa1, 0x1a, 0xf9, 0xf0, 0x55, 0x31, 0xf8, 0x56,
                                     0xad, 0x47, 0x11, 0x6b, 0x45, 0xa9, 0x50, 0x32,
                                     0x82, 0x04, 0xb4, 0xf4, 0x4b, 0xfb, 0x6b, 0x3a,
                                     0x4b, 0x4f, 0x1f, 0x3f, 0xcb, 0x63, 0x16, 0x43};
    static const uint8_t iv[] = {0xcf, 0x78, 0x2b, 0x88, 0xdd, 0x83,
                                 0x54, 0x9a, 0xad, 0xf1, 0xe9, 0x84};
    static const uint8_t record[] = {
        0x17, 0x03, 0x03, 0x00, 0x43, 0x2e, 0x93, 0x7e, 0x11, 0xef, 0x4a, 0xc7, 0x40, 0xe5, 0x38,
        0xad, 0x36, 0x00, 0x5f, 0xc4, 0xa4, 0x69, 0x32, 0xfc, 0x32, 0x25, 0xd0, 0x5f, 0x82, 0xaa,
        0x1b, 0x36, 0xe3, 0x0e, 0xfa, 0xf9, 0x7d, 0x90, 0xe6, 0xdf, 0xfc, 0x60, 0x2d, 0xcb, 0x50,
        0x1a, 0x59, 0xa8, 0xfc, 0xc4, 0x9c, 0x4b, 0xf2, 0xe5, 0xf0, 0xa2, 0x1c, 0x00, 0x47, 0xc2,
        0xab, 0xf3, 0x32, 0x54, 0x0d, 0xd0, 0x32, 0xe1, 0x67, 0xc2, 0x95, 0x5d};
    struct ps_tls_keys keys = {.opener = NULL};
    static uint8_t spill[PS_TLS_INNER_BYTES_MAX];
    struct ps_tls_inner inner;
    uint8_t text[64];

    (void)state;
    assert_true(ps_tls_keys_set(&keys, 0x1301, secret, sizeof secret));
    assert_memory_equal(keys.iv, iv, sizeof iv);
    assert_int_equal(ps_tls_record_bytes(record), sizeof record);
    assert_true(ps_tls_record_is_sealed(record));
    assert_false(ps_tls_record_open(&keys, record, text, sizeof text, spill, &inner));
    assert_int_equal(keys.record_no, 0);
    keys.record_no = 1;
    assert_true(ps_tls_record_open(&keys, record, text, sizeof text, spill, &inner));
    assert_int_equal(keys.record_no, 2);
    assert_int_equal(inner.type, PS_TLS_APPLICATION_DATA);
    assert_int_equal(inner.len_bytes, 50);
    for (uint8_t i = 0; i < 50; i++)
        assert_int_equal(text[i], i);
    ps_tls_keys_clear(&keys);
}

static void test_secrets_and_suites_that_do_not_fit_are_refused(void **state)
{
    const uint8_t secret[PS_TLS_SECRET_BYTES_MAX] = {1};
    struct ps_tls_keys keys = {.opener = NULL};

    (void)state;
    assert_false(ps_tls_keys_set(&keys, 0x1304, secret, 32)); /* AES-128-CCM */
    assert_false(ps_tls_keys_set(&keys, 0xc02f, secret, 32)); /* of TLS 1.2 */
    assert_false(ps_tls_keys_set(&keys, 0x1301, secret, 48));
    assert_false(ps_tls_keys_set(&keys, 0x1302, secret, 32));
    assert_false(ps_tls_keys_set(&keys, 0x1303, secret, 0));
    ps_tls_keys_clear(&keys);
}

/* Text, type and padding, wherever the room ends; and nothing is written behind it. */
static void test_what_does_not_fit_is_spilt(void **state)
{
    enum { TEXT = 40, PADDING = 9, INNER = TEXT + 1 + PADDING };
    static uint8_t spill[PS_TLS_INNER_BYTES_MAX];

    (void)state;
    for (size_t s = 0; s < sizeof suites / sizeof *suites; s++)
        for (size_t room = 0; room <= INNER + 3; room++) {
            struct ps_tls_keys keys = some_keys(suites[s]);
            uint8_t plain[INNER] = {0}, sealed[INNER + 21], into[INNER + 8];
            struct ps_tls_inner inner;
            size_t fits = room < INNER ? room : INNER;

            for (uint8_t i = 0; i < TEXT; i++)
                plain[i] = i; /* a 0 among them */
            plain[TEXT] = PS_TLS_APPLICATION_DATA;
            assert_int_equal(ps_tls_record_seal(&keys, 5, plain, INNER, sealed), sizeof sealed);
            keys.record_no = 5;
            memset(into, 0xee, sizeof into);
            assert_true(ps_tls_record_open(&keys, sealed, into, room, spill, &inner));
            assert_int_equal(inner.type, PS_TLS_APPLICATION_DATA);
            assert_int_equal(inner.len_bytes, TEXT);
            assert_memory_equal(into, plain, fits);
            assert_memory_equal(spill, plain + fits, INNER - fits);
            for (size_t i = fits; i < sizeof into; i++)
                assert_int_equal(into[i], 0xee);
            ps_tls_keys_clear(&keys);
        }
}

static void test_a_record_of_padding_has_no_type(void **state)
{
    struct ps_tls_keys keys = some_keys(0x1301);
    static uint8_t spill[PS_TLS_INNER_BYTES_MAX];
    uint8_t sealed[64], into[4];
    const uint8_t zeros[20] = {0};
    struct ps_tls_inner inner = {.type = 1, .len_bytes = 1};

    (void)state;
    assert_int_equal(ps_tls_record_seal(&keys, 0, zeros, sizeof zeros, sealed), 41);
    assert_true(ps_tls_record_open(&keys, sealed, into, sizeof into, spill, &inner));
    assert_int_equal(inner.type, 0);
    assert_int_equal(inner.len_bytes, 0);
    ps_tls_keys_clear(&keys);
}

static void test_every_flipped_bit_is_noticed(void **state)
{
    static uint8_t spill[PS_TLS_INNER_BYTES_MAX];
    const uint8_t plain[] = {'h', 'e', 'l', 'l', 'o', PS_TLS_APPLICATION_DATA, 0};
    uint8_t sealed[sizeof plain + 21], into[sizeof plain];
    struct ps_tls_inner inner;

    (void)state;
    for (size_t s = 0; s < sizeof suites / sizeof *suites; s++) {
        struct ps_tls_keys keys = some_keys(suites[s]);

        assert_int_equal(ps_tls_record_seal(&keys, 0, plain, sizeof plain, sealed), sizeof sealed);
        for (size_t bit = 0; bit < 8 * sizeof sealed; bit++) {
            if (bit / 8 == 3 || bit / 8 == 4)
                continue; /* the length: another record, as long as it says */
            sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_false(ps_tls_record_open(&keys, sealed, into, sizeof into, spill, &inner));
            sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        assert_int_equal(keys.record_no, 0);
        assert_true(ps_tls_record_open(&keys, sealed, into, sizeof into, spill, &inner));
        assert_memory_equal(into, plain, sizeof plain);
        assert_false(
            ps_tls_record_open(&keys, sealed, into, sizeof into, spill, &inner)); /* again */
        ps_tls_keys_clear(&keys);
    }
}

static void test_the_next_generation_of_keys_is_another(void **state)
{
    static uint8_t spill[PS_TLS_INNER_BYTES_MAX];
    const uint8_t plain[] = {'x', PS_TLS_APPLICATION_DATA};
    struct ps_tls_inner inner;
    uint8_t sealed[32], into[2];

    (void)state;
    for (size_t s = 0; s < sizeof suites / sizeof *suites; s++) {
        struct ps_tls_keys keys = some_keys(suites[s]), old = some_keys(suites[s]);

        keys.record_no = 77;
        assert_true(ps_tls_keys_next(&keys));
        assert_int_equal(keys.record_no, 0);
        ps_tls_record_seal(&old, 0, plain, sizeof plain, sealed);
        assert_false(ps_tls_record_open(&keys, sealed, into, sizeof into, spill, &inner));
        ps_tls_record_seal(&keys, 0, plain, sizeof plain, sealed);
        assert_true(ps_tls_record_open(&keys, sealed, into, sizeof into, spill, &inner));
        ps_tls_keys_clear(&old);
        ps_tls_keys_clear(&keys);
    }
}

static void test_headers(void **state)
{
    static const struct {
        uint8_t header[PS_TLS_HEADER_BYTES];
        bool is_sealed;
    } cases[] = {
        {{23, 3, 3, 0, 17}, true},          {{23, 3, 3, 0, 16}, false},
        {{23, 3, 3, 0x41, 0}, true},        {{23, 3, 3, 0x41, 1}, false},
        {{22, 3, 3, 0, 100}, false},        {{21, 3, 3, 0, 100}, false},
        {{23, 3, 1, 0, 100}, false},        {{23, 2, 3, 0, 100}, false},
        {{'H', 'T', 'T', 'P', '/'}, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(ps_tls_record_is_sealed(cases[i].header), cases[i].is_sealed);
    assert_int_equal(ps_tls_record_bytes(cases[2].header), PS_TLS_RECORD_BYTES_MAX);
}

static void test_nothing_secret_is_left(void **state)
{
    static const struct ps_tls_keys none;
    struct ps_tls_keys keys = some_keys(0x1302);

    (void)state;
    ps_tls_keys_clear(&keys);
    assert_memory_equal(&keys, &none, sizeof keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_and_record_of_rfc_8448),
        cmocka_unit_test(test_secrets_and_suites_that_do_not_fit_are_refused),
        cmocka_unit_test(test_what_does_not_fit_is_spilt),
        cmocka_unit_test(test_a_record_of_padding_has_no_type),
        cmocka_unit_test(test_every_flipped_bit_is_noticed),
        cmocka_unit_test(test_the_next_generation_of_keys_is_another),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_nothing_secret_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
