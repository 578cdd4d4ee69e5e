/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/tls_record.c - see tls_record.h. */
#include "pipe/tls_record.h"

#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <string.h>

#define KEY_BYTES_MAX 32

/* HKDF-Expand-Label (RFC 8446, 7.1) with an empty context, for at most a digest's length: then it
 * is one HMAC. */
static bool expand_label(const struct ps_tls_keys *keys, const char *label, uint8_t *out,
                         size_t len)
{
    static const char prefix[] = "tls13 ";
    const size_t prefix_bytes = sizeof prefix - 1;
    size_t label_bytes = strlen(label);
    uint8_t info[40] = {0, (uint8_t)len, (uint8_t)(prefix_bytes + label_bytes)};
    uint8_t all[EVP_MAX_MD_SIZE];
    size_t end = 3;
    unsigned all_bytes = 0;

    memcpy(info + end, prefix, prefix_bytes);
    end += prefix_bytes;
    memcpy(info + end, label, label_bytes);
    end += label_bytes;
    info[end++] = 0; /* no context */
    info[end++] = 1; /* HKDF's count of blocks */
    bool done =
        HMAC(keys->digest, keys->secret, (int)keys->secret_bytes, info, end, all, &all_bytes) &&
        len <= all_bytes;

    if (done)
        memcpy(out, all, len);
    OPENSSL_cleanse(all, sizeof all);
    return done;
}

static bool derive_key(const struct ps_tls_keys *keys, uint8_t key[static KEY_BYTES_MAX])
{
    return expand_label(keys, "key", key, (size_t)EVP_CIPHER_get_key_length(keys->cipher));
}

static bool derive(struct ps_tls_keys *keys)
{
    uint8_t key[KEY_BYTES_MAX];
    bool done = derive_key(keys, key) && expand_label(keys, "iv", keys->iv, sizeof keys->iv) &&
                EVP_DecryptInit_ex(keys->opener, keys->cipher, NULL, key, keys->iv) == 1;

    OPENSSL_cleanse(key, sizeof key);
    keys->record_no = 0;
    keys->sealer_is_keyed = false;
    return done;
}

bool ps_tls_keys_set(struct ps_tls_keys *keys, unsigned suite, const uint8_t *secret,
                     size_t secret_bytes)
{
    keys->digest = suite == 0x1302 ? EVP_sha384() : EVP_sha256();
    keys->cipher = suite == 0x1301   ? EVP_aes_128_gcm()
                   : suite == 0x1302 ? EVP_aes_256_gcm()
                   : suite == 0x1303 ? EVP_chacha20_poly1305()
                                     : NULL;
    if (!keys->opener)
        keys->opener = EVP_CIPHER_CTX_new();
    if (!keys->opener || !keys->cipher || secret_bytes != (size_t)EVP_MD_get_size(keys->digest))
        return false;
    memcpy(keys->secret, secret, secret_bytes);
    keys->secret_bytes = secret_bytes;
    return derive(keys);
}

bool ps_tls_keys_next(struct ps_tls_keys *keys)
{
    uint8_t secret[PS_TLS_SECRET_BYTES_MAX];
    bool done = expand_label(keys, "traffic upd", secret, keys->secret_bytes);

    if (done)
        memcpy(keys->secret, secret, keys->secret_bytes);
    OPENSSL_cleanse(secret, sizeof secret);
    return done && derive(keys);
}

void ps_tls_keys_clear(struct ps_tls_keys *keys)
{
    EVP_CIPHER_CTX_free(keys->opener);
    EVP_CIPHER_CTX_free(keys->sealer);
    OPENSSL_cleanse(keys, sizeof *keys);
}

bool ps_tls_record_is_sealed(const uint8_t header[static PS_TLS_HEADER_BYTES])
{
    size_t len_bytes = ps_tls_record_bytes(header);

    return header[0] == PS_TLS_APPLICATION_DATA && header[1] == 3 && header[2] == 3 &&
           len_bytes > PS_TLS_HEADER_BYTES + PS_TLS_TAG_BYTES &&
           len_bytes <= PS_TLS_RECORD_BYTES_MAX;
}

static void make_nonce(const struct ps_tls_keys *keys, uint64_t record_no,
                       uint8_t nonce[static PS_TLS_NONCE_BYTES])
{
    memcpy(nonce, keys->iv, PS_TLS_NONCE_BYTES);
    for (int i = 0; i < 8; i++)
        nonce[PS_TLS_NONCE_BYTES - 1 - i] ^= (uint8_t)(record_no >> (8 * i));
}

/* Finds the type, which is the last byte that is not padding (RFC 8446, 5.4). */
static struct ps_tls_inner look_inside(const uint8_t *into, size_t into_bytes, const uint8_t *spill,
                                       size_t spill_bytes)
{
    while (spill_bytes > 0 && spill[spill_bytes - 1] == 0)
        spill_bytes--;
    if (spill_bytes > 0)
        return (struct ps_tls_inner){.type = spill[spill_bytes - 1],
                                     .len_bytes = into_bytes + spill_bytes - 1};
    while (into_bytes > 0 && into[into_bytes - 1] == 0)
        into_bytes--;
    if (into_bytes > 0)
        return (struct ps_tls_inner){.type = into[into_bytes - 1], .len_bytes = into_bytes - 1};
    return (struct ps_tls_inner){.type = 0};
}

bool ps_tls_record_open(struct ps_tls_keys *keys, const uint8_t *record, uint8_t *into, size_t room,
                        uint8_t *spill, struct ps_tls_inner *inner)
{
    const uint8_t *sealed = record + PS_TLS_HEADER_BYTES;
    size_t inner_bytes = ps_tls_record_bytes(record) - PS_TLS_HEADER_BYTES - PS_TLS_TAG_BYTES;
    size_t into_bytes = inner_bytes < room ? inner_bytes : room;
    size_t spill_bytes = inner_bytes - into_bytes;
    uint8_t nonce[PS_TLS_NONCE_BYTES];
    uint8_t tag[PS_TLS_TAG_BYTES];
    int len;

    make_nonce(keys, keys->record_no, nonce);
    memcpy(tag, sealed + inner_bytes, sizeof tag);
    if (EVP_DecryptInit_ex(keys->opener, NULL, NULL, NULL, nonce) != 1 ||
        EVP_DecryptUpdate(keys->opener, NULL, &len, record, PS_TLS_HEADER_BYTES) != 1 ||
        (into_bytes > 0 &&
         EVP_DecryptUpdate(keys->opener, into, &len, sealed, (int)into_bytes) != 1) ||
        (spill_bytes > 0 && EVP_DecryptUpdate(keys->opener, spill, &len, sealed + into_bytes,
                                              (int)spill_bytes) != 1) ||
        EVP_CIPHER_CTX_ctrl(keys->opener, EVP_CTRL_AEAD_SET_TAG, sizeof tag, tag) != 1 ||
        EVP_DecryptFinal_ex(keys->opener, nonce, &len) != 1) /* which writes nothing */
        return false;
    keys->record_no++;
    *inner = look_inside(into, into_bytes, spill, spill_bytes);
    return true;
}

static bool key_sealer(struct ps_tls_keys *keys)
{
    uint8_t key[KEY_BYTES_MAX];

    if (!keys->sealer)
        keys->sealer = EVP_CIPHER_CTX_new();
    keys->sealer_is_keyed =
        keys->sealer && derive_key(keys, key) &&
        EVP_EncryptInit_ex(keys->sealer, keys->cipher, NULL, key, keys->iv) == 1;
    OPENSSL_cleanse(key, sizeof key);
    return keys->sealer_is_keyed;
}

size_t ps_tls_record_seal(struct ps_tls_keys *keys, uint64_t record_no, const uint8_t *inner,
                          size_t inner_bytes, uint8_t *out)
{
    size_t sealed_bytes = inner_bytes + PS_TLS_TAG_BYTES;
    uint8_t *sealed = out + PS_TLS_HEADER_BYTES;
    uint8_t nonce[PS_TLS_NONCE_BYTES];
    int len;

    out[0] = PS_TLS_APPLICATION_DATA;
    out[1] = out[2] = 3;
    out[3] = (uint8_t)(sealed_bytes >> 8);
    out[4] = (uint8_t)sealed_bytes;
    make_nonce(keys, record_no, nonce);
    if (!(keys->sealer_is_keyed || key_sealer(keys)) ||
        EVP_EncryptInit_ex(keys->sealer, NULL, NULL, NULL, nonce) != 1 ||
        EVP_EncryptUpdate(keys->sealer, NULL, &len, out, PS_TLS_HEADER_BYTES) != 1 ||
        EVP_EncryptUpdate(keys->sealer, sealed, &len, inner, (int)inner_bytes) != 1 ||
        EVP_EncryptFinal_ex(keys->sealer, sealed + inner_bytes, &len) != 1 ||
        EVP_CIPHER_CTX_ctrl(keys->sealer, EVP_CTRL_AEAD_GET_TAG, PS_TLS_TAG_BYTES,
                            sealed + inner_bytes) != 1)
        return 0;
    return PS_TLS_HEADER_BYTES + sealed_bytes;
}
