/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/sizer.c - see sizer.h. */
#include "pipe/sizer.h"

#include "pipe/engine.h"
#include "pipe/error.h"
#include "pipe/list_files.h"
#include "pipe/lister.h"
#include "pipe/manifest.h"
#include "pipe/s3_ask.h"
#include "pipe/state.h"

#include <errno.h>

/* HEADs under way: 2,000 a second at 60 ms each. Few at first, and one more for each answer, for a
 * burst of new connections is slow; half as many when some have to be asked again. */
#define ASKS_MAX 128
#define ASKS_FIRST 16
/* How far ahead of the fetching: so that it never waits, and little is asked in vain. */
#define AHEAD_ITEMS 4096
#define POLL_MS 20 /* how often the fetching is looked at */

/* What was asked. */
struct question {
    struct ps_cursor cursor;
    const struct ps_object *object;
    uint64_t seq; /* counts up in stream order */
    bool open;
};

struct sizer {
    struct ps_channel *ch;
    struct ps_s3_asker *asker; /* NULL: files */
    struct ps_cursor cursor;   /* what is asked next */
    uint64_t epoch_items;      /* of this shard; known once the cursor has been there */
    bool walked;               /* past everything */
    struct question questions[ASKS_MAX];
    uint32_t open_count;
    uint32_t limit; /* of open_count */
    uint64_t seq;
    uint64_t requests, retries; /* counted so far */
    bool news;                  /* the plan knows more than others were told */
    bool failed;
    uint64_t fail_seq;
    struct penstock_error *error;
};

/* ---- answers ---- */

/* Whether an object that cannot be had makes its line a bad one; anything else is trouble with the
 * service, and no line's fault. */
static bool is_bad_line(const struct ps_channel *ch, int rc)
{
    return ch->skip_bad_lines &&
           (rc == PENSTOCK_E_NOT_FOUND || rc == PENSTOCK_E_DENIED || rc == PENSTOCK_E_FORMAT);
}

static void fail(struct sizer *sizer, const struct question *question,
                 const struct penstock_error *cause)
{
    const struct ps_object *object = question->object;

    if (sizer->failed && sizer->fail_seq <= question->seq)
        return;
    sizer->failed = true;
    sizer->fail_seq = question->seq;
    ps_manifest_fail(sizer->ch, object->uri_no, object->line_no, cause, sizer->error);
}

static void answer(struct sizer *sizer, const struct question *question, uint64_t size_bytes,
                   const char *etag, const struct penstock_error *cause)
{
    struct ps_plan *plan = sizer->ch->plan;
    const struct ps_object *object = question->object;
    struct penstock_error error;

    sizer->news = true;
    if (!cause) {
        if (ps_plan_size(plan, &question->cursor, size_bytes, etag) == PENSTOCK_OK)
            return;
        ps_fail(&error, PENSTOCK_E_MEMORY, "out of memory for entity tags");
        cause = &error;
    }
    if (!is_bad_line(sizer->ch, cause->rc))
        fail(sizer, question, cause);
    else if (ps_plan_leave_out(plan, &question->cursor))
        ps_manifest_skip(sizer->ch, object->uri_no, object->line_no, cause->message);
}

static void told(void *cookie, const struct ps_s3_told *told)
{
    struct sizer *sizer = cookie;
    struct question *question = &sizer->questions[told->tag];

    question->open = false;
    sizer->open_count--;
    if (sizer->limit < ASKS_MAX)
        sizer->limit++;
    answer(sizer, question, told->size_bytes, told->etag, told->error);
}

/* ---- questions ---- */

static void look_at_file(struct sizer *sizer, const struct question *question)
{
    const char *path = question->object->key;
    char identity[PS_FILE_IDENTITY_BYTES];
    struct penstock_error error;
    struct stat status;

    if (stat(path, &status) != 0)
        ps_fail_errno(&error, ps_file_rc(errno), errno, "cannot look at %s", path);
    else if (!S_ISREG(status.st_mode))
        ps_fail(&error, PENSTOCK_E_FORMAT, "%s is no regular file", path);
    else {
        ps_file_identity(&status, identity);
        answer(sizer, question, (uint64_t)status.st_size, identity, NULL);
        return;
    }
    ps_error_object(&error, NULL, path, 0);
    answer(sizer, question, 0, "", &error);
}

static void ask(struct sizer *sizer, const struct ps_object *object)
{
    struct question *question = sizer->questions;

    while (question->open)
        question++; /* there are as many as the asker has room for */
    *question = (struct question){.cursor = sizer->cursor, .object = object, .seq = sizer->seq++};
    if (sizer->ch->sources[object->source_no].uri.kind != PS_URI_S3) {
        look_at_file(sizer, question);
        return;
    }
    question->open = true;
    sizer->open_count++;
    ps_s3_ask(sizer->asker, &sizer->ch->sources[object->source_no].site, object->key,
              (uint64_t)(question - sizer->questions));
}

/* How many more items there may be asked for now. */
static uint64_t items_ahead(struct sizer *sizer)
{
    struct ps_channel *ch = sizer->ch;
    uint64_t ahead;

    pthread_mutex_lock(&ch->lock);
    struct ps_cursor fetch = ch->fetch_cursor;

    pthread_mutex_unlock(&ch->lock);
    /* The fetching has skipped epochs. */
    if (fetch.epoch > sizer->cursor.epoch)
        sizer->cursor = fetch;
    if (sizer->cursor.epoch == fetch.epoch)
        ahead = sizer->cursor.index > fetch.index ? sizer->cursor.index - fetch.index : 0;
    else if (sizer->cursor.epoch == fetch.epoch + 1)
        ahead = sizer->epoch_items - fetch.index + sizer->cursor.index;
    else
        ahead = AHEAD_ITEMS;
    return ahead < AHEAD_ITEMS ? AHEAD_ITEMS - ahead : 0;
}

/* Goes on along the plan, as far as there may be asked. */
static void go_on(struct sizer *sizer)
{
    uint32_t room = sizer->limit > sizer->open_count ? sizer->limit - sizer->open_count : 0;
    uint64_t left = items_ahead(sizer);
    const struct ps_object *object;
    bool unsized;

    while (left > 0 && room > 0 && !sizer->failed && !sizer->walked) {
        switch (ps_plan_ask(sizer->ch->plan, &sizer->cursor, &object, &unsized)) {
        case PS_PLAN_OBJECT:
            if (unsized) {
                ask(sizer, object);
                room--;
            }
            sizer->cursor.index++;
            left--;
            break;
        case PS_PLAN_EPOCH_END:
            sizer->walked = sizer->cursor.index == 0; /* an empty shard is one in every epoch */
            sizer->epoch_items = sizer->cursor.index;
            sizer->cursor = (struct ps_cursor){.epoch = sizer->cursor.epoch + 1};
            left = items_ahead(sizer);
            break;
        case PS_PLAN_WAIT:
        case PS_PLAN_END:
        case PS_PLAN_FAILED:
            sizer->walked = true;
            break;
        }
    }
}

/* Whether an answer that is still to come may lie before the failure. */
static bool waits_for_earlier(const struct sizer *sizer)
{
    for (uint32_t i = 0; i < ASKS_MAX; i++)
        if (sizer->questions[i].open && sizer->questions[i].seq < sizer->fail_seq)
            return true;
    return false;
}

static bool has_ended(struct sizer *sizer)
{
    struct ps_channel *ch = sizer->ch;

    if (atomic_load(&ch->stream->stopping))
        return true;
    if (sizer->failed)
        return !waits_for_earlier(sizer);
    if (sizer->open_count > 0)
        return false;
    return sizer->walked || ps_plan_unsized(ch->plan) == 0;
}

static void count_requests(struct sizer *sizer)
{
    struct ps_channel *ch = sizer->ch;
    uint64_t requests, retries;

    ps_s3_asker_counters(sizer->asker, &requests, &retries);
    atomic_fetch_add(&ch->counts.head_requests, requests - sizer->requests);
    atomic_fetch_add(&ch->counts.retries[PS_CAUSE_OTHER], retries - sizer->retries);
    if (retries > sizer->retries && sizer->limit > ASKS_FIRST)
        sizer->limit /= 2;
    sizer->requests = requests;
    sizer->retries = retries;
}

int ps_sizer_run(struct ps_channel *ch, struct penstock_error *error)
{
    struct sizer sizer = {.ch = ch,
                          .cursor = ps_state_begin(ch),
                          .limit = ch->stream->has_s3 ? ASKS_FIRST : ASKS_MAX,
                          .error = error};
    const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
    int rc = PENSTOCK_OK;

    if (ch->stream->has_s3)
        rc = ps_s3_asker_open(ASKS_MAX, told, &sizer, &sizer.asker, error);
    while (rc == PENSTOCK_OK && !has_ended(&sizer)) {
        go_on(&sizer);
        if (sizer.asker) {
            ps_s3_asker_run(sizer.asker, sizer.news ? 0 : POLL_MS);
            count_requests(&sizer);
        } else if (!sizer.news) {
            nanosleep(&pause, NULL);
        }
        if (sizer.news)
            ps_lister_tell(ch);
        sizer.news = false;
    }
    ps_s3_asker_close(&sizer.asker);
    return sizer.failed ? error->rc : rc;
}
