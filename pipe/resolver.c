/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/resolver.c - see resolver.h. */
#include "pipe/resolver.h"

#include "pipe/clock.h"
#include "pipe/error.h"
#include "pipe/text.h"
#include "pipe/thread.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOSTS_MAX 64
#define HOST_NAME_BYTES 400
#define FRESH_NS (5 * PS_NS_PER_S) /* S3's answers live about as long */

struct host {
    char name[HOST_NAME_BYTES];
    uint16_t port;
    struct ps_addresses addresses;
    bool numeric; /* its name is its address */
    bool wanted;  /* look it up */
    bool failed;  /* the last look-up did, and nobody has been told yet */
    int failure;  /* of getaddrinfo */
    uint64_t looked_up_ns;
};

struct ps_resolver {
    void (*changed)(void *cookie);
    void *cookie;
    pthread_t thread;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t asked;
    bool stopping;
    bool busy;     /* a look-up is under way, with the lock released */
    bool stopped;  /* by ps_resolver_stop, which has joined the thread, or left it alone */
    bool ended;    /* the thread has, or nearly: it does not touch the resolver any more */
    bool orphaned; /* closed meanwhile: the thread frees the resolver */
    struct host hosts[HOSTS_MAX];
    unsigned host_count;
};

/* Lock held. */
static void take_answers(struct host *host, const struct addrinfo *answers)
{
    struct ps_address found[PS_ADDRESSES_MAX];
    uint32_t count = 0;

    for (; answers && count < PS_ADDRESSES_MAX; answers = answers->ai_next) {
        struct ps_address *address = &found[count++];

        *address = (struct ps_address){.len_bytes = answers->ai_addrlen};
        memcpy(&address->sockaddr, answers->ai_addr, answers->ai_addrlen);
        if (getnameinfo(answers->ai_addr, answers->ai_addrlen, address->text, sizeof address->text,
                        NULL, 0, NI_NUMERICHOST) != 0)
            ps_text_copy(address->text, sizeof address->text, "?");
    }
    ps_addresses_update(&host->addresses, found, count, ps_now_ns());
}

/* An address given as digits needs no name server. */
static void take_numeric(struct host *host)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *answers = NULL;
    char port[8];

    snprintf(port, sizeof port, "%u", host->port);
    if (getaddrinfo(host->name, port, &hints, &answers) != 0)
        return;
    take_answers(host, answers);
    freeaddrinfo(answers);
    host->numeric = true;
}

static struct host *find_host(struct ps_resolver *resolver, const char *name, uint16_t port)
{
    for (unsigned i = 0; i < resolver->host_count; i++)
        if (resolver->hosts[i].port == port && strcmp(resolver->hosts[i].name, name) == 0)
            return &resolver->hosts[i];
    if (resolver->host_count == HOSTS_MAX)
        return NULL;
    struct host *host = &resolver->hosts[resolver->host_count++];

    *host = (struct host){.port = port};
    ps_text_copy(host->name, sizeof host->name, name);
    take_numeric(host);
    return host;
}

enum ps_resolve_rc ps_resolver_take(struct ps_resolver *resolver, const char *name, uint16_t port,
                                    const char *unlike, struct ps_address *address,
                                    const char **why)
{
    enum ps_resolve_rc rc = PS_RESOLVE_WAIT;

    pthread_mutex_lock(&resolver->lock);
    struct host *host = find_host(resolver, name, port);

    if (!host) {
        *why = "too many hosts in one stream";
        rc = PS_RESOLVE_FAILED;
    } else if (host->failed) {
        host->failed = false;
        *why = gai_strerror(host->failure);
        rc = PS_RESOLVE_FAILED;
    } else {
        const struct ps_address *taken = ps_addresses_take(&host->addresses, unlike, ps_now_ns());

        if (taken) {
            *address = *taken;
            address->host_no = (uint32_t)(host - resolver->hosts);
            rc = PS_RESOLVED;
        }
        if (!host->numeric && !host->wanted && ps_now_ns() - host->looked_up_ns > FRESH_NS) {
            host->wanted = true;
            pthread_cond_signal(&resolver->asked);
        }
    }
    pthread_mutex_unlock(&resolver->lock);
    return rc;
}

void ps_resolver_give_back(struct ps_resolver *resolver, const struct ps_address *address)
{
    pthread_mutex_lock(&resolver->lock);
    ps_addresses_give_back(&resolver->hosts[address->host_no].addresses, address);
    pthread_mutex_unlock(&resolver->lock);
}

void ps_resolver_dead(struct ps_resolver *resolver, const struct ps_address *address)
{
    pthread_mutex_lock(&resolver->lock);
    ps_addresses_dead(&resolver->hosts[address->host_no].addresses, address, ps_now_ns());
    pthread_mutex_unlock(&resolver->lock);
}

bool ps_resolver_has_other(struct ps_resolver *resolver, const struct ps_address *address)
{
    pthread_mutex_lock(&resolver->lock);
    bool has =
        ps_addresses_has_other(&resolver->hosts[address->host_no].addresses, address, ps_now_ns());

    pthread_mutex_unlock(&resolver->lock);
    return has;
}

bool ps_resolver_served(struct ps_resolver *resolver, const struct ps_address *address,
                        uint64_t len_bytes, uint64_t took_ns)
{
    pthread_mutex_lock(&resolver->lock);
    bool good = ps_addresses_served(&resolver->hosts[address->host_no].addresses, address,
                                    len_bytes, took_ns, ps_now_ns());

    pthread_mutex_unlock(&resolver->lock);
    return good;
}

void ps_resolver_failed(struct ps_resolver *resolver, const struct ps_address *address)
{
    pthread_mutex_lock(&resolver->lock);
    ps_addresses_failed(&resolver->hosts[address->host_no].addresses, address, ps_now_ns());
    pthread_mutex_unlock(&resolver->lock);
}

/* Looks one host up, with the lock released meanwhile. Lock held before and after. */
static void look_up(struct ps_resolver *resolver, struct host *host)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *answers = NULL;
    char port[8];

    snprintf(port, sizeof port, "%u", host->port);
    resolver->busy = true;
    pthread_mutex_unlock(&resolver->lock);
    int failure = getaddrinfo(host->name, port, &hints, &answers);

    if (failure == EAI_NONAME || failure == EAI_ADDRFAMILY) {
        /* Loopback only, or an address of a family that no interface has. */
        const struct addrinfo any = {.ai_socktype = SOCK_STREAM};

        failure = getaddrinfo(host->name, port, &any, &answers);
    }
    pthread_mutex_lock(&resolver->lock);
    resolver->busy = false;
    host->wanted = false;
    host->looked_up_ns = ps_now_ns();
    if (failure == 0) {
        take_answers(host, answers);
        freeaddrinfo(answers);
    } else if (host->addresses.count == 0) { /* old addresses are better than none */
        host->failed = true;
        host->failure = failure;
        host->looked_up_ns = 0;
    }
}

static void free_resolver(struct ps_resolver *resolver)
{
    pthread_mutex_destroy(&resolver->lock);
    pthread_cond_destroy(&resolver->asked);
    free(resolver);
}

/* Looks up what is wanted; true if anything was. Lock held. */
static bool look_up_wanted(struct ps_resolver *resolver)
{
    bool looked = false;

    for (unsigned i = 0; i < resolver->host_count && !resolver->stopping; i++)
        if (resolver->hosts[i].wanted) {
            look_up(resolver, &resolver->hosts[i]);
            looked = true;
        }
    return looked;
}

static void *resolver_main(void *cookie)
{
    struct ps_resolver *resolver = cookie;

    pthread_mutex_lock(&resolver->lock);
    while (!resolver->stopping) {
        if (!look_up_wanted(resolver)) {
            pthread_cond_wait(&resolver->asked, &resolver->lock);
        } else if (!resolver->stopping) {
            pthread_mutex_unlock(&resolver->lock);
            resolver->changed(resolver->cookie);
            pthread_mutex_lock(&resolver->lock);
        }
    }
    bool orphaned = resolver->orphaned;

    resolver->ended = true;
    pthread_mutex_unlock(&resolver->lock);
    if (orphaned)
        free_resolver(resolver);
    return NULL;
}

int ps_resolver_open(struct ps_resolver **out, void (*changed)(void *cookie), void *cookie,
                     struct penstock_error *error)
{
    struct ps_resolver *resolver = calloc(1, sizeof *resolver);

    if (!resolver)
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
    resolver->changed = changed;
    resolver->cookie = cookie;
    pthread_mutex_init(&resolver->lock, NULL);
    pthread_cond_init(&resolver->asked, NULL);
    int rc = ps_thread_start(&resolver->thread, "ps-resolve", resolver_main, resolver, error);

    if (rc == PENSTOCK_OK)
        *out = resolver;
    else
        free(resolver);
    return rc;
}

void ps_resolver_stop(struct ps_resolver *resolver)
{
    if (!resolver || resolver->stopped)
        return;
    resolver->stopped = true;
    pthread_mutex_lock(&resolver->lock);
    resolver->stopping = true;
    /* A name server may take half a minute to not answer. */
    bool busy = resolver->busy;

    pthread_cond_signal(&resolver->asked);
    pthread_mutex_unlock(&resolver->lock);
    if (busy)
        pthread_detach(resolver->thread);
    else
        pthread_join(resolver->thread, NULL);
}

void ps_resolver_close(struct ps_resolver *resolver)
{
    if (!resolver)
        return;
    ps_resolver_stop(resolver);
    pthread_mutex_lock(&resolver->lock);
    bool ended = resolver->ended;

    resolver->orphaned = !ended;
    pthread_mutex_unlock(&resolver->lock);
    if (ended)
        free_resolver(resolver);
}
