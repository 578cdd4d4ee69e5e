/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/mesh_address.c - see trainer/mesh_address.h. */
#include "trainer/mesh_address.h"

#include "trainer/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BACKLOG 1024

static struct sockaddr_in *v4(const struct tr_address *address)
{
    return (struct sockaddr_in *)(void *)&address->at;
}

static struct sockaddr_in6 *v6(const struct tr_address *address)
{
    return (struct sockaddr_in6 *)(void *)&address->at;
}

static struct tr_address make(const void *at, socklen_t len_bytes)
{
    struct tr_address address = {.len_bytes = len_bytes};
    memcpy(&address.at, at, len_bytes);
    return address;
}

/* An IPv4 address that came through a socket of both families is IPv4 again. */
static struct tr_address plain(struct tr_address address)
{
    const struct sockaddr_in6 *mapped = v6(&address);
    if (address.at.ss_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&mapped->sin6_addr))
        return address;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = mapped->sin6_port};
    memcpy(&at.sin_addr, mapped->sin6_addr.s6_addr + 12, 4);
    return make(&at, sizeof at);
}

int tr_address_local(const char *name, struct tr_address *address, struct tr_error *error)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    struct ifaddrs *all = NULL;
    *address = (struct tr_address){0};
    if (getaddrinfo(name, NULL, &hints, &found) == 0) {
        *address = make(found->ai_addr, found->ai_addrlen);
        freeaddrinfo(found);
        return 0;
    }
    if (getifaddrs(&all) < 0)
        return tr_fail(error, "cannot list network interfaces: %s", strerror(errno));
    for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
        int family = i->ifa_addr ? i->ifa_addr->sa_family : AF_UNSPEC;
        if (strcmp(i->ifa_name, name) != 0)
            continue;
        if (family == AF_INET)
            *address = make(i->ifa_addr, sizeof(struct sockaddr_in));
        else if (family == AF_INET6 && address->len_bytes == 0)
            *address = make(i->ifa_addr, sizeof(struct sockaddr_in6));
        if (family == AF_INET)
            break;
    }
    freeifaddrs(all);
    if (address->len_bytes == 0)
        return tr_fail(error, "'%s' is no address, and no network interface that has one", name);
    return 0;
}

static int find_one(const char *host, const char *service, struct tr_address *addresses, int room,
                    struct tr_error *error)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int count = 0;
    int rc = getaddrinfo(host, service, &hints, &found);
    if (rc != 0)
        return tr_fail(error, "%s", rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
    for (const struct addrinfo *i = found; i && count < room; i = i->ai_next)
        addresses[count++] = make(i->ai_addr, i->ai_addrlen);
    freeaddrinfo(found);
    return count;
}

int tr_address_find(const char *hosts, uint16_t port, struct tr_address *addresses, int room,
                    struct tr_error *error)
{
    char service[8];
    char host[NI_MAXHOST];
    int count = 0;
    int found = -1;
    snprintf(service, sizeof service, "%u", (unsigned)port);
    for (const char *end = ","; *end; hosts = end + 1) {
        end = hosts + strcspn(hosts, ",");
        snprintf(host, sizeof host, "%.*s", (int)(end - hosts), hosts);
        found = find_one(host, service, addresses + count, room - count, error);
        count += found > 0 ? found : 0;
    }
    return count > 0 ? count : found;
}

/* That of the default route. No packet is sent. */
static struct tr_address address_of_route(void)
{
    const struct sockaddr_in outside = {
        .sin_family = AF_INET,
        .sin_port = htons(9),
        .sin_addr = {htonl(0xc0000201)}, /* 192.0.2.1, of RFC 5737: nobody's */
    };
    struct tr_address own = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return own;
    if (connect(fd, (const struct sockaddr *)&outside, sizeof outside) == 0)
        own = tr_address_of_own(fd);
    tr_address_set_port(&own, 0);
    close(fd);
    return own;
}

/* 0 where others have no use for it. */
static socklen_t length_for_others(const struct ifaddrs *i)
{
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)i->ifa_addr;
    if (!i->ifa_addr || !(i->ifa_flags & IFF_UP) || (i->ifa_flags & IFF_LOOPBACK))
        return 0;
    if (i->ifa_addr->sa_family == AF_INET)
        return sizeof(struct sockaddr_in);
    bool has = i->ifa_addr->sa_family == AF_INET6 && !IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr);
    return has ? sizeof(struct sockaddr_in6) : 0;
}

int tr_address_of_host(struct tr_address *addresses, int room)
{
    struct tr_address route = address_of_route();
    struct ifaddrs *all = NULL;
    int count = 0;
    if (route.len_bytes > 0 && !tr_address_is_loopback(&route) && room > 0)
        addresses[count++] = route;
    if (getifaddrs(&all) < 0)
        return count;
    for (const struct ifaddrs *i = all; i && count < room; i = i->ifa_next) {
        socklen_t len_bytes = length_for_others(i);
        if (len_bytes == 0)
            continue;
        struct tr_address one = make(i->ifa_addr, len_bytes);
        if (one.len_bytes != route.len_bytes || memcmp(&one.at, &route.at, len_bytes) != 0)
            addresses[count++] = one;
    }
    freeifaddrs(all);
    return count;
}

struct tr_address tr_address_of_peer(int fd)
{
    struct tr_address address = {.len_bytes = sizeof address.at};
    if (getpeername(fd, (struct sockaddr *)&address.at, &address.len_bytes) < 0)
        return (struct tr_address){0};
    return plain(address);
}

struct tr_address tr_address_of_own(int fd)
{
    struct tr_address address = {.len_bytes = sizeof address.at};
    if (getsockname(fd, (struct sockaddr *)&address.at, &address.len_bytes) < 0)
        return (struct tr_address){0};
    return plain(address);
}

uint16_t tr_address_port(const struct tr_address *address)
{
    if (address->at.ss_family == AF_INET)
        return ntohs(v4(address)->sin_port);
    return address->at.ss_family == AF_INET6 ? ntohs(v6(address)->sin6_port) : 0;
}

void tr_address_set_port(struct tr_address *address, uint16_t port)
{
    if (address->at.ss_family == AF_INET)
        v4(address)->sin_port = htons(port);
    else if (address->at.ss_family == AF_INET6)
        v6(address)->sin6_port = htons(port);
}

bool tr_address_is_loopback(const struct tr_address *address)
{
    if (address->at.ss_family == AF_INET)
        return ntohl(v4(address)->sin_addr.s_addr) >> 24 == 127;
    return address->at.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6(address)->sin6_addr);
}

const char *tr_address_text(const struct tr_address *address, char text[TR_ADDRESS_TEXT_BYTES])
{
    const struct sockaddr *at = (const struct sockaddr *)&address->at;
    if (address->len_bytes == 0 || getnameinfo(at, address->len_bytes, text, TR_ADDRESS_TEXT_BYTES,
                                               NULL, 0, NI_NUMERICHOST) != 0)
        text[0] = '\0';
    return text;
}

uint8_t tr_address_bytes(const struct tr_address *address, uint8_t bytes[16])
{
    memset(bytes, 0, 16);
    if (address->at.ss_family == AF_INET) {
        memcpy(bytes, &v4(address)->sin_addr, 4);
        return 4;
    }
    if (address->at.ss_family != AF_INET6)
        return 0;
    memcpy(bytes, &v6(address)->sin6_addr, 16);
    return 6;
}

struct tr_address tr_address_from_bytes(uint8_t family, const uint8_t bytes[16], uint16_t port,
                                        const struct tr_address *near)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (family == 4) {
        memcpy(&in.sin_addr, bytes, 4);
        return make(&in, sizeof in);
    }
    memcpy(&in6.sin6_addr, bytes, 16);
    if (IN6_IS_ADDR_LINKLOCAL(&in6.sin6_addr) && near->at.ss_family == AF_INET6)
        in6.sin6_scope_id = v6(near)->sin6_scope_id;
    return make(&in6, sizeof in6);
}

static int give_up(int fd)
{
    int number = errno;
    close(fd);
    errno = number;
    return -1;
}

static int listen_at(const struct tr_address *at, bool both_families)
{
    int yes = 1;
    int no = 0;
    int fd = socket(at->at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (both_families)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
    if (bind(fd, (const struct sockaddr *)&at->at, at->len_bytes) < 0 || listen(fd, BACKLOG) < 0)
        return give_up(fd);
    return fd;
}

int tr_address_listen(const struct tr_address *at)
{
    return listen_at(at, false);
}

int tr_address_listen_anywhere(uint16_t port)
{
    struct sockaddr_in6 in6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_any};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct tr_address at = make(&in6, sizeof in6);
    int fd = listen_at(&at, true);
    if (fd >= 0 || errno == EADDRINUSE || errno == EACCES)
        return fd;
    at = make(&in, sizeof in);
    return listen_at(&at, false);
}

/* Frames are small and waited for; a host that is gone is noticed at last by the kernel too. */
static void tune(int fd)
{
    int yes = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
}

static int wait_connected(int fd, double until_s)
{
    struct pollfd polled = {.fd = fd, .events = POLLOUT};
    socklen_t len_bytes = sizeof errno;
    int number = 0;
    for (;;) {
        double left_s = until_s - tr_now_s();
        int ready = left_s > 0.0 ? poll(&polled, 1, (int)(left_s * 1000.0) + 1) : 0;
        if (ready == 0)
            errno = ETIMEDOUT;
        if (ready > 0)
            break;
        if (ready == 0 || errno != EINTR)
            return -1;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &len_bytes) < 0)
        return -1;
    errno = number;
    return number == 0 ? 0 : -1;
}

int tr_address_connect(const struct tr_address *to, const struct tr_address *from, double until_s)
{
    int fd = socket(to->at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (from && from->at.ss_family == to->at.ss_family &&
        bind(fd, (const struct sockaddr *)&from->at, from->len_bytes) < 0)
        return give_up(fd);
    if (connect(fd, (const struct sockaddr *)&to->at, to->len_bytes) < 0 &&
        (errno != EINPROGRESS || wait_connected(fd, until_s) < 0))
        return give_up(fd);
    struct tr_address own = tr_address_of_own(fd);
    struct tr_address peer = tr_address_of_peer(fd);
    if (own.len_bytes == peer.len_bytes && memcmp(&own.at, &peer.at, own.len_bytes) == 0) {
        errno = ECONNREFUSED; /* nobody listens: the kernel chose that very port for this end */
        return give_up(fd);
    }
    tune(fd);
    return fd;
}

int tr_address_accept(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        tune(fd);
    return fd;
}
