/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_tls_record.c - records of TLS 1.3: what was sealed is opened, whatever it holds
 * and wherever the room for it ends; nothing else is, and nothing outside is written.
 *
 * Input: a byte that chooses the suite, two for the room, one for the bit to flip, then the text,
 * type and padding; the same bytes are opened as if they were a record, too.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pipe/tls_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool held)
{
    if (!held)
        abort();
}

static void check_content(const uint8_t *plain, size_t len, struct ps_tls_inner inner)
{
    while (len > 0 && plain[len - 1] == 0)
        len--;
    check(inner.type == (len > 0 ? plain[len - 1] : 0));
    check(inner.len_bytes == (len > 0 ? len - 1 : 0));
}

static void fuzz_sealed(struct ps_tls_keys *keys, size_t room, size_t bit, const uint8_t *plain,
                        size_t len)
{
    size_t fits = room < len ? room : len;
    uint8_t *sealed = malloc(PS_TLS_RECORD_BYTES_MAX);
    uint8_t *into = malloc(fits ? fits : 1); /* the sanitizer sees what is written behind it */
    uint8_t *spill = malloc(PS_TLS_INNER_BYTES_MAX);
    struct ps_tls_inner inner;

    check(sealed && into && spill);
    size_t sealed_bytes = ps_tls_record_seal(keys, 0, plain, len, sealed);

    check(ps_tls_record_is_sealed(sealed) && ps_tls_record_bytes(sealed) == sealed_bytes);
    sealed[5 + bit / 8 % (sealed_bytes - 5)] ^= (uint8_t)(1u << bit % 8);
    check(!ps_tls_record_open(keys, sealed, into, fits, spill, &inner) && keys->record_no == 0);
    sealed[5 + bit / 8 % (sealed_bytes - 5)] ^= (uint8_t)(1u << bit % 8);
    check(ps_tls_record_open(keys, sealed, into, fits, spill, &inner) && keys->record_no == 1);
    check(memcmp(into, plain, fits) == 0 && memcmp(spill, plain + fits, len - fits) == 0);
    check_content(plain, len, inner);
    free(sealed);
    free(into);
    free(spill);
}

static void fuzz_raw(struct ps_tls_keys *keys, const uint8_t *data, size_t size)
{
    static uint8_t spill[PS_TLS_INNER_BYTES_MAX];
    struct ps_tls_inner inner;

    if (size >= PS_TLS_HEADER_BYTES && ps_tls_record_is_sealed(data) &&
        ps_tls_record_bytes(data) <= size)
        check(!ps_tls_record_open(keys, data, NULL, 0, spill, &inner));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t secret[PS_TLS_SECRET_BYTES_MAX] = "a secret that no input can know";
    struct ps_tls_keys keys = {.opener = NULL};

    if (size < 5 || size > 4 + PS_TLS_INNER_BYTES_MAX)
        return 0;
    unsigned suite = 0x1301 + data[0] % 3;
    size_t room = (size_t)data[1] << 8 | data[2];

    check(ps_tls_keys_set(&keys, suite, secret, suite == 0x1302 ? 48 : 32));
    fuzz_raw(&keys, data + 4, size - 4);
    fuzz_sealed(&keys, room, data[3] * (size_t)37, data + 4, size - 4);
    ps_tls_keys_clear(&keys);
    return 0;
}
