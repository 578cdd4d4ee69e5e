/* SPDX-License-Identifier: Apache-2.0 */
/* bench/serve_link.c - see serve_link.h. */
#include "bench/serve_link.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

/* A link that was idle catches up on so much, as a router with a queue does: else a server that is
 * late to wake on a busy machine carries less than its rate. */
#define CATCH_UP_NS 20e6

struct serve_link {
    double rate_bytes_ns;
    uint32_t slow_beyond;
    pthread_mutex_t mutex; /* guards what follows */
    uint32_t answers;
    double free_ns; /* when all that is booked will have been sent */
};

struct serve_link *serve_link_new(uint64_t rate_bits_s, uint32_t slow_beyond)
{
    struct serve_link *link = calloc(1, sizeof *link);

    if (!link)
        return NULL;
    link->rate_bytes_ns = (double)rate_bits_s / 8e9;
    link->slow_beyond = slow_beyond;
    pthread_mutex_init(&link->mutex, NULL);
    return link;
}

void serve_link_free(struct serve_link *link)
{
    if (!link)
        return;
    pthread_mutex_destroy(&link->mutex);
    free(link);
}

void serve_link_enter(struct serve_link *link)
{
    pthread_mutex_lock(&link->mutex);
    link->answers++;
    pthread_mutex_unlock(&link->mutex);
}

void serve_link_leave(struct serve_link *link)
{
    pthread_mutex_lock(&link->mutex);
    link->answers--;
    pthread_mutex_unlock(&link->mutex);
}

uint32_t serve_link_take_ms(struct serve_link *link, size_t len_bytes)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    double now_ns = (double)time.tv_sec * 1e9 + (double)time.tv_nsec;

    pthread_mutex_lock(&link->mutex);
    double rate_bytes_ns = link->rate_bytes_ns;

    if (link->slow_beyond > 0 && link->answers > link->slow_beyond)
        rate_bytes_ns *= (double)link->slow_beyond / link->answers;
    if (link->free_ns < now_ns - CATCH_UP_NS)
        link->free_ns = now_ns - CATCH_UP_NS;
    double wait_ns = link->free_ns > now_ns ? link->free_ns - now_ns : 0;

    link->free_ns += (double)len_bytes / rate_bytes_ns;
    pthread_mutex_unlock(&link->mutex);
    return (uint32_t)(wait_ns / 1e6);
}
