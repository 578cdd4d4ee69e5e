/* SPDX-License-Identifier: Apache-2.0 */
/* bench/serve_delay.c - a heap of sleeping connections and the thread that wakes them. */
#include "bench/serve_delay.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct sleeper {
    int64_t due_ns;
    struct MHD_Connection *connection;
};

struct serve_delay {
    pthread_t thread;
    pthread_mutex_t mutex;    /* guards all that follows */
    pthread_cond_t changed;   /* an earlier sleeper came, or `stopping` was set */
    struct sleeper *sleepers; /* binary heap, the earliest first */
    size_t count;
    size_t cap;
    bool stopping;
};

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void push(struct serve_delay *delay, struct sleeper sleeper)
{
    size_t i = delay->count++;

    for (; i > 0 && delay->sleepers[(i - 1) / 2].due_ns > sleeper.due_ns; i = (i - 1) / 2)
        delay->sleepers[i] = delay->sleepers[(i - 1) / 2];
    delay->sleepers[i] = sleeper;
}

static struct sleeper pop(struct serve_delay *delay)
{
    struct sleeper first = delay->sleepers[0];
    struct sleeper last = delay->sleepers[--delay->count];
    size_t i = 0;

    for (;;) {
        size_t child = 2 * i + 1;

        if (child >= delay->count)
            break;
        if (child + 1 < delay->count &&
            delay->sleepers[child + 1].due_ns < delay->sleepers[child].due_ns)
            child++;
        if (delay->sleepers[child].due_ns >= last.due_ns)
            break;
        delay->sleepers[i] = delay->sleepers[child];
        i = child;
    }
    delay->sleepers[i] = last;
    return first;
}

static void *wake_sleepers(void *cookie)
{
    struct serve_delay *delay = cookie;

    pthread_mutex_lock(&delay->mutex);
    while (delay->count > 0 || !delay->stopping) {
        struct sleeper first;

        if (delay->count == 0) {
            pthread_cond_wait(&delay->changed, &delay->mutex);
            continue;
        }
        if (!delay->stopping && delay->sleepers[0].due_ns > now_ns()) {
            struct timespec due = {.tv_sec = delay->sleepers[0].due_ns / 1000000000,
                                   .tv_nsec = delay->sleepers[0].due_ns % 1000000000};
            pthread_cond_timedwait(&delay->changed, &delay->mutex, &due);
            continue;
        }
        first = pop(delay);
        pthread_mutex_unlock(&delay->mutex);
        MHD_resume_connection(first.connection);
        pthread_mutex_lock(&delay->mutex);
    }
    pthread_mutex_unlock(&delay->mutex);
    return NULL;
}

struct serve_delay *serve_delay_start(void)
{
    struct serve_delay *delay = calloc(1, sizeof *delay);
    pthread_condattr_t monotonic;

    if (!delay)
        return NULL;
    pthread_mutex_init(&delay->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&delay->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (pthread_create(&delay->thread, NULL, wake_sleepers, delay) != 0) {
        serve_delay_free(delay);
        return NULL;
    }
    pthread_setname_np(delay->thread, "serve-delay");
    return delay;
}

bool serve_delay_sleep(struct serve_delay *delay, struct MHD_Connection *connection,
                       uint32_t sleep_ms)
{
    int64_t due_ns = now_ns() + (int64_t)sleep_ms * 1000000;
    bool asleep = false;

    pthread_mutex_lock(&delay->mutex);
    if (delay->count == delay->cap) {
        size_t cap = delay->cap ? 2 * delay->cap : 64;
        struct sleeper *grown = realloc(delay->sleepers, cap * sizeof *grown);

        if (grown) {
            delay->sleepers = grown;
            delay->cap = cap;
        }
    }
    if (!delay->stopping && delay->count < delay->cap) {
        /* Under the mutex, so that the waking thread cannot resume before the suspension. */
        MHD_suspend_connection(connection);
        push(delay, (struct sleeper){due_ns, connection});
        if (delay->sleepers[0].connection == connection)
            pthread_cond_signal(&delay->changed);
        asleep = true;
    }
    pthread_mutex_unlock(&delay->mutex);
    return asleep;
}

void serve_delay_stop(struct serve_delay *delay)
{
    pthread_mutex_lock(&delay->mutex);
    delay->stopping = true;
    pthread_cond_signal(&delay->changed);
    pthread_mutex_unlock(&delay->mutex);
    pthread_join(delay->thread, NULL);
}

void serve_delay_free(struct serve_delay *delay)
{
    if (!delay)
        return;
    pthread_cond_destroy(&delay->changed);
    pthread_mutex_destroy(&delay->mutex);
    free(delay->sleepers);
    free(delay);
}
