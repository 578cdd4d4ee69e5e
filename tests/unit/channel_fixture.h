/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/channel_fixture.h - a channel without threads, driven step by step by a test. */
#ifndef TESTS_UNIT_CHANNEL_FIXTURE_H
#define TESTS_UNIT_CHANNEL_FIXTURE_H

#include "pipe/clock.h"
#include "pipe/engine.h"
#include "pipe/tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fixture {
    struct penstock stream;
    struct ps_channel *ch;
};

/* A channel of 16 MiB whose plan is empty and whose listing runs. */
static inline struct fixture *fixture_open(size_t part_bytes, uint32_t epochs)
{
    static const char *const uri = "/nowhere";
    struct fixture *f = calloc(1, sizeof *f);
    struct penstock_channel_config config;
    struct penstock_error error;

    assert_non_null(f);
    f->stream.config.part_bytes = part_bytes;
    f->stream.opened_ns = ps_now_ns() - 1;
    penstock_channel_config_init(&config);
    config.uris = &uri;
    config.uri_count = 1;
    config.content_type = "text/csv;label_size=0";
    config.epochs = epochs;
    assert_int_equal(ps_channel_open(&f->stream, &config, 16 << 20, &f->ch, &error), PENSTOCK_OK);
    return f;
}

static inline void fixture_add(struct fixture *f, const char *key, uint64_t size_bytes)
{
    assert_int_equal(ps_plan_add(f->ch->plan, 0, key, "etag", size_bytes), PENSTOCK_OK);
}

/* Waits until head is past `pos`, or never will be; *head_pos receives it. */
static inline enum ps_head_answer fixture_wait_head(struct ps_channel *ch, uint64_t pos,
                                                    uint64_t *head_pos)
{
    struct ps_view view = {.object = NULL};
    enum ps_head_answer answer = ps_tap_wait(ch, pos, &view);

    *head_pos = view.head_pos;
    return answer;
}

static inline void fixture_wake_all(struct fixture *f)
{
    pthread_mutex_lock(&f->ch->lock);
    ps_channel_wake_all(f->ch);
    pthread_mutex_unlock(&f->ch->lock);
}

static inline void fixture_stop(struct fixture *f)
{
    atomic_store(&f->stream.stopping, true);
    fixture_wake_all(f);
}

static inline void fixture_close(struct fixture *f)
{
    ps_channel_close(f->ch);
    free(f);
}

#endif
