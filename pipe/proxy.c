/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/proxy.c - see proxy.h. */
#include "pipe/proxy.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* An entry of a list, not terminated. */
struct entry {
    const char *at;
    size_t len;
};

static const char *first_set(const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *value = getenv(names[i]);

        if (value && *value)
            return value;
    }
    return NULL;
}
#define FIRST_SET(...)                                                                             \
    first_set((const char *const[]){__VA_ARGS__},                                                  \
              sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

/* "example.com" and ".example.com" stand for example.com and all below it. */
static bool names_host(struct entry entry, const char *host)
{
    size_t host_len = strlen(host);

    if (host_len > 0 && host[host_len - 1] == '.')
        host_len--;
    if (entry.len > 0 && entry.at[entry.len - 1] == '.')
        entry.len--;
    if (entry.len > 0 && *entry.at == '.')
        entry.at++, entry.len--;
    if (entry.len == 0 || entry.len > host_len ||
        strncasecmp(entry.at, host + (host_len - entry.len), entry.len) != 0)
        return false;
    return entry.len == host_len || host[host_len - entry.len - 1] == '.';
}

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;

    return memcmp(a, b, whole) == 0 &&
           (rest == 0 || ((a[whole] ^ b[whole]) & (0xff << (8 - rest)) & 0xff) == 0);
}

/* "ADDRESS" or "ADDRESS/BITS"; no bits, or none of them, stand for all. */
static bool names_address(struct entry entry, int family, const uint8_t *address)
{
    unsigned bits_max = family == AF_INET ? 32 : 128;
    unsigned long bits = 0;
    uint8_t network[16];
    char text[64];

    if (entry.len >= sizeof text)
        return false;
    memcpy(text, entry.at, entry.len);
    text[entry.len] = '\0';
    char *slash = strchr(text, '/');

    if (slash) {
        *slash = '\0';
        bits = strtoul(slash + 1, NULL, 10);
    }
    if (bits > bits_max || inet_pton(family, text, network) != 1)
        return false;
    return same_bits(address, network, bits ? (unsigned)bits : bits_max);
}

bool ps_proxy_excepts(const char *no_proxy, const char *host)
{
    static const char separators[] = ", \t";
    uint8_t address[16];
    int family = inet_pton(AF_INET, host, address) == 1    ? AF_INET
                 : inet_pton(AF_INET6, host, address) == 1 ? AF_INET6
                                                           : AF_UNSPEC;

    if (strcmp(no_proxy, "*") == 0)
        return true;
    for (const char *at = no_proxy + strspn(no_proxy, separators); *at;) {
        struct entry entry = {at, strcspn(at, separators)};

        if (family == AF_UNSPEC ? names_host(entry, host) : names_address(entry, family, address))
            return true;
        at += entry.len;
        at += strspn(at, separators);
    }
    return false;
}

bool ps_proxy_is_set(bool tls, const char *host)
{
    /* HTTP_PROXY in capitals could be a header that a CGI program was sent. */
    const char *proxy = tls ? FIRST_SET("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
                            : FIRST_SET("http_proxy", "all_proxy", "ALL_PROXY");
    const char *no_proxy = FIRST_SET("no_proxy", "NO_PROXY");

    return proxy && !(no_proxy && ps_proxy_excepts(no_proxy, host));
}
