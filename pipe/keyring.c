/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/keyring.c - see keyring.h. */
#include "pipe/keyring.h"

#include "pipe/clock.h"
#include "pipe/error.h"
#include "pipe/text.h"
#include "pipe/thread.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define AHEAD_S 600 /* as botocore's mandatory refresh */
#define RENEWED_S 5 /* a refusal so soon after a renewal was signed with the old keys */
#define RETRY_S_MAX 60
#define REFUSED_WAIT_MS 500
#define STOP_POLL_MS 50

struct ps_keyring {
    struct ps_credentials *in_use; /* guarded by keys_lock */
    pthread_rwlock_t keys_lock;
    ps_keyring_find_fn find;
    void (*log)(void *cookie, int level, const char *line);
    void *cookie;
    pthread_t thread;

    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t wakes;
    pthread_cond_t told;
    bool first; /* keys: they are still being searched for */
    struct penstock_error first_error;
    bool stopping;
    bool asked;    /* a request was refused */
    bool futile;   /* asking brought the same keys */
    int64_t due_s; /* when to ask by itself */
    int64_t renewed_s;
    unsigned failures; /* one after another */
    char trouble[sizeof((struct penstock_error *)0)->message];
};

int64_t ps_keyring_due_s(int64_t expires_s, int64_t now_s)
{
    if (expires_s == 0)
        return INT64_MAX;
    if (expires_s - now_s > 2 * AHEAD_S)
        return expires_s - AHEAD_S;
    return expires_s > now_s ? now_s + (expires_s - now_s) / 2 : now_s + 1;
}

void ps_keyring_lock(struct ps_keyring *keyring)
{
    if (keyring)
        pthread_rwlock_rdlock(&keyring->keys_lock);
}

void ps_keyring_unlock(struct ps_keyring *keyring)
{
    if (keyring)
        pthread_rwlock_unlock(&keyring->keys_lock);
}

static void say(struct ps_keyring *keyring, int level, const char *what, const char *why)
{
    char line[2400];

    if (!keyring->log)
        return;
    snprintf(line, sizeof line, "%s%.2200s", what, why);
    keyring->log(keyring->cookie, level, line);
}

/* The first search, on the keyring's thread. Lock held, but not during the search. */
static void find_first(struct ps_keyring *keyring)
{
    struct ps_credentials *found = calloc(1, sizeof *found);
    struct penstock_error error = {.rc = PENSTOCK_OK};

    pthread_mutex_unlock(&keyring->lock);
    int rc = found ? keyring->find(keyring->cookie, found, &error)
                   : ps_fail(&error, PENSTOCK_E_MEMORY, "out of memory");

    if (rc == PENSTOCK_OK) {
        pthread_rwlock_wrlock(&keyring->keys_lock);
        *keyring->in_use = *found;
        pthread_rwlock_unlock(&keyring->keys_lock);
    }
    pthread_mutex_lock(&keyring->lock);
    if (rc == PENSTOCK_OK)
        keyring->due_s = ps_keyring_due_s(found->expires_s, time(NULL));
    keyring->first_error = error;
    keyring->first = false;
    pthread_cond_broadcast(&keyring->told);
    if (found)
        ps_credentials_wipe(found);
    free(found);
}

/* Asks once. Returns whether keys came, else fills *error; *same: they are the ones in use. */
static bool renew(struct ps_keyring *keyring, bool *same, int64_t *expires_s,
                  struct penstock_error *error)
{
    struct ps_credentials *fresh = calloc(1, sizeof *fresh);
    int rc = fresh ? keyring->find(keyring->cookie, fresh, error)
                   : ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");

    if (rc == PENSTOCK_OK) {
        pthread_rwlock_wrlock(&keyring->keys_lock);
        *same = memcmp(&fresh->keys, &keyring->in_use->keys, sizeof fresh->keys) == 0;
        *keyring->in_use = *fresh;
        pthread_rwlock_unlock(&keyring->keys_lock);
        *expires_s = fresh->expires_s;
        if (*same)
            ps_fail(error, PENSTOCK_E_CREDENTIALS, "%.1000s gives the same keys again",
                    fresh->origin);
        else
            say(keyring, 0, "new credentials from ", fresh->origin);
    } else {
        say(keyring, 1, "cannot renew the credentials: ", error->message);
    }
    if (fresh)
        ps_credentials_wipe(fresh);
    free(fresh);
    return rc == PENSTOCK_OK;
}

/* Lock held, but not while keys are asked for. */
static void renew_now(struct ps_keyring *keyring)
{
    bool asked = keyring->asked;
    bool same = false;
    int64_t expires_s = 0;
    struct penstock_error error = {.rc = PENSTOCK_OK};

    pthread_mutex_unlock(&keyring->lock);
    bool came = renew(keyring, &same, &expires_s, &error);

    pthread_mutex_lock(&keyring->lock);
    int64_t now_s = time(NULL);

    ps_text_copy(keyring->trouble, sizeof keyring->trouble, error.message);
    keyring->asked = false;
    keyring->futile = asked && (!came || same);
    if (came) {
        keyring->failures = 0;
        keyring->renewed_s = now_s;
        keyring->due_s = ps_keyring_due_s(expires_s, now_s);
        return;
    }
    unsigned pause_s = 1u << (keyring->failures < 6 ? keyring->failures : 6);

    keyring->failures++;
    keyring->due_s = now_s + (pause_s < RETRY_S_MAX ? pause_s : RETRY_S_MAX);
}

static void *keyring_main(void *cookie)
{
    struct ps_keyring *keyring = cookie;

    pthread_mutex_lock(&keyring->lock);
    if (keyring->first)
        find_first(keyring);
    while (!keyring->stopping) {
        struct timespec until;

        if (keyring->asked || time(NULL) >= keyring->due_s) {
            renew_now(keyring);
            continue;
        }
        /* In short steps: the time of day may be set. */
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += keyring->due_s - time(NULL) < 30 ? 1 : 30;
        pthread_cond_timedwait(&keyring->wakes, &keyring->lock, &until);
    }
    pthread_mutex_unlock(&keyring->lock);
    return NULL;
}

int ps_keyring_open(struct ps_credentials *in_use, bool first, ps_keyring_find_fn find,
                    void (*log)(void *cookie, int level, const char *line), void *cookie,
                    struct ps_keyring **out, struct penstock_error *error)
{
    struct ps_keyring *keyring = calloc(1, sizeof *keyring);
    pthread_condattr_t attributes;

    if (!keyring)
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
    keyring->in_use = in_use;
    keyring->find = find;
    keyring->log = log;
    keyring->cookie = cookie;
    keyring->first = first;
    keyring->due_s = first ? INT64_MAX : ps_keyring_due_s(in_use->expires_s, time(NULL));
    pthread_rwlock_init(&keyring->keys_lock, NULL);
    pthread_mutex_init(&keyring->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&keyring->wakes, &attributes);
    pthread_cond_init(&keyring->told, &attributes);
    pthread_condattr_destroy(&attributes);
    int rc = ps_thread_start(&keyring->thread, "ps-keys", keyring_main, keyring, error);

    if (rc == PENSTOCK_OK)
        *out = keyring;
    else
        free(keyring);
    return rc;
}

int ps_keyring_wait(struct ps_keyring *keyring, const atomic_bool *stop,
                    struct penstock_error *error)
{
    if (!keyring)
        return PENSTOCK_OK;
    pthread_mutex_lock(&keyring->lock);
    while (keyring->first && !atomic_load(stop)) {
        const struct timespec until = ps_timespec(ps_now_ns() + STOP_POLL_MS * PS_NS_PER_MS);

        pthread_cond_timedwait(&keyring->told, &keyring->lock, &until);
    }
    int rc = keyring->first ? ps_fail(error, PENSTOCK_E_STOPPED, "waiting for keys was stopped")
                            : keyring->first_error.rc;

    if (!keyring->first && rc != PENSTOCK_OK && error)
        *error = keyring->first_error;
    pthread_mutex_unlock(&keyring->lock);
    return rc;
}

void ps_keyring_close(struct ps_keyring *keyring)
{
    if (!keyring)
        return;
    pthread_mutex_lock(&keyring->lock);
    keyring->stopping = true;
    pthread_cond_signal(&keyring->wakes);
    pthread_mutex_unlock(&keyring->lock);
    pthread_join(keyring->thread, NULL);
    pthread_rwlock_destroy(&keyring->keys_lock);
    pthread_mutex_destroy(&keyring->lock);
    pthread_cond_destroy(&keyring->wakes);
    pthread_cond_destroy(&keyring->told);
    free(keyring);
}

void ps_keyring_reconsider(struct ps_keyring *keyring, struct ps_retry_decision *decision)
{
    if (!keyring || decision->verdict != PS_RETRY_FATAL || decision->rc != PENSTOCK_E_CREDENTIALS)
        return;
    pthread_mutex_lock(&keyring->lock);
    bool renewed = time(NULL) - keyring->renewed_s <= RENEWED_S;
    bool again = !keyring->futile;

    if (again && !renewed) {
        keyring->asked = true;
        pthread_cond_signal(&keyring->wakes);
    }
    decision->renewing = again && keyring->asked;
    pthread_mutex_unlock(&keyring->lock);
    if (!again)
        return;
    decision->verdict = PS_RETRY_AGAIN;
    decision->wait_ms = REFUSED_WAIT_MS;
}

void ps_keyring_trouble(struct ps_keyring *keyring, char *out, size_t size)
{
    out[0] = '\0';
    if (!keyring)
        return;
    pthread_mutex_lock(&keyring->lock);
    ps_text_copy(out, size, keyring->trouble);
    pthread_mutex_unlock(&keyring->lock);
}
