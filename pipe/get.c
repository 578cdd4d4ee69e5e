/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/get.c - see get.h. */
#include "pipe/get.h"

#include "pipe/error.h"
#include "pipe/s3_explain.h"
#include "pipe/session.h"
#include "pipe/stream.h"
#include "pipe/verify.h"

#include "pipe/text.h"

#include <stdio.h>
#include <string.h>

const struct ps_source *ps_part_source(const struct ps_part *part)
{
    return &part->channel->sources[part->object->source_no];
}

const char *ps_get_method(const struct ps_part *part)
{
    return part->asks ? "HEAD" : "GET";
}

/* A whole object is asked for without a range: only such an answer has the object's checksum. */
int ps_get_build(const struct ps_part *part, const struct ps_s3_place *place, uint64_t from_bytes,
                 struct ps_sigv4_cache *signing, struct ps_s3_request *request,
                 struct penstock_error *error)
{
    const char *etag = part->object->etag;
    bool whole = from_bytes == 0 && part->object_sum && ps_verify_part_is_whole(part);
    const struct ps_s3_request_spec spec = {.place = place,
                                            .method = ps_get_method(part),
                                            .key = part->object->key,
                                            .ranged = !whole && !part->asks,
                                            .first = part->object_offset + from_bytes,
                                            .last = part->object_offset + part->len_bytes - 1,
                                            .if_match = etag[0] && !part->unpinned ? etag : NULL,
                                            .checksum = part->asks || whole};

    return ps_s3_request_build(&ps_part_source(part)->site, &spec, time(NULL), signing, request,
                               error);
}

static enum ps_get_body judge_whole(const struct ps_part *part, int64_t content_length, char *why,
                                    size_t why_size)
{
    uint64_t size_bytes = part->object->size_bytes;

    if (content_length == (int64_t)size_bytes || (part->asks && content_length < 0))
        return PS_BODY_WANTED;
    snprintf(why, why_size, "it was listed with %llu bytes and has %lld",
             (unsigned long long)size_bytes, (long long)content_length);
    return content_length < 0 ? PS_BODY_WRONG : PS_BODY_CHANGED;
}

struct etag {
    const char *at;
    size_t len;
};

/* What is between the quotes, which some servers leave out in listings. */
static struct etag bare_etag(const char *etag)
{
    if (etag[0] == 'W' && etag[1] == '/')
        etag += 2;
    size_t len = strlen(etag);

    if (len >= 2 && etag[0] == '"' && etag[len - 1] == '"')
        return (struct etag){etag + 1, len - 2};
    return (struct etag){etag, len};
}

/* Whether the head tells of another version of the object; says so. */
static bool is_changed(const struct ps_part *part, const struct ps_get_head *head, char *why,
                       size_t why_size)
{
    struct etag listed = bare_etag(part->object->etag);
    struct etag now = bare_etag(head->etag);
    uint64_t size_bytes = part->object->size_bytes;
    struct ps_text words = ps_text_in(why, why_size);

    if (head->has_range && head->range.total_bytes != size_bytes)
        ps_text_addf(&words, "it was listed with %llu bytes and has %llu",
                     (unsigned long long)size_bytes, (unsigned long long)head->range.total_bytes);
    if (listed.len > 0 && now.len > 0 &&
        (listed.len != now.len || memcmp(listed.at, now.at, now.len) != 0))
        ps_text_addf(&words, "%sit was listed with ETag \"%.*s\" and has \"%.*s\"",
                     why[0] ? ", " : "", (int)listed.len, listed.at, (int)now.len, now.at);
    else if (part->unpinned && now.len == 0)
        ps_text_addf(&words, "%sits ETag is not the listed \"%.*s\" any more", why[0] ? ", " : "",
                     (int)listed.len, listed.at);
    return why[0] != '\0';
}

enum ps_get_body ps_get_judge(const struct ps_part *part, uint64_t from_bytes,
                              const struct ps_get_head *head, char *why, size_t why_size)
{
    uint64_t first = part->object_offset + from_bytes;
    uint64_t last = part->object_offset + part->len_bytes - 1;
    const struct ps_content_range *range = &head->range;

    why[0] = '\0';
    if ((head->status == 200 || head->status == 206) && is_changed(part, head, why, why_size))
        return PS_BODY_CHANGED;
    if (head->status == 200) {
        if (part->asks || (first == 0 && ps_verify_part_is_whole(part)))
            return judge_whole(part, head->content_length, why, why_size);
        snprintf(why, why_size, "the server ignored the range and sent 200 with %lld bytes",
                 (long long)head->content_length);
        return PS_BODY_WRONG;
    }
    if (head->status >= 200 && head->status < 300 && head->status != 206) {
        snprintf(why, why_size, "the server sent %d, which has none of the bytes asked for",
                 head->status);
        return PS_BODY_WRONG;
    }
    if (head->status != 206)
        return PS_BODY_ERROR;
    if (!head->has_range) {
        snprintf(why, why_size, "206 without a usable Content-Range");
        return PS_BODY_WRONG;
    }
    if (range->first != first || range->last != last) {
        snprintf(why, why_size, "bytes %llu-%llu came for %llu-%llu",
                 (unsigned long long)range->first, (unsigned long long)range->last,
                 (unsigned long long)first, (unsigned long long)last);
        return PS_BODY_WRONG;
    }
    if (head->content_length >= 0 && (uint64_t)head->content_length != last - first + 1) {
        snprintf(why, why_size, "%lld bytes were announced for a range of %llu",
                 (long long)head->content_length, (unsigned long long)(last - first + 1));
        return PS_BODY_WRONG;
    }
    return PS_BODY_WANTED;
}

static void explain_changed(const struct ps_part *part, const struct ps_get_failure *failure,
                            struct penstock_error *error)
{
    const struct ps_source *source = ps_part_source(part);
    uint64_t offset = part->object_offset + part->filled_bytes;

    ps_fail(
        error, PENSTOCK_E_CHANGED,
        "channel %s: s3://%s/%s was replaced while it was streamed, seen at byte %llu: %s; start "
        "again with data that stays as it is",
        part->channel->name, source->uri.bucket, part->object->key, (unsigned long long)offset,
        failure->why);
    ps_error_object(error, source->uri.bucket, part->object->key, offset);
    ps_error_answer(error, failure->status, NULL, failure->said->request_id, failure->remote_ip,
                    part->attempts);
}

static void explain(const struct ps_part *part, const struct ps_get_failure *failure,
                    const struct ps_attempt_outcome *outcome, struct penstock_error *error)
{
    const struct ps_s3_failure words = {.site = &ps_part_source(part)->site,
                                        .place = failure->sent.place,
                                        .key = part->object->key,
                                        .head = part->asks,
                                        .offset_bytes = part->object_offset + part->filled_bytes,
                                        .attempts = part->attempts,
                                        .outcome = *outcome,
                                        .detail = failure->why,
                                        .s3_message = failure->said->message,
                                        .s3_region = failure->said->region,
                                        .s3_location = failure->said->location,
                                        .request_id = failure->said->request_id,
                                        .remote_ip = failure->remote_ip};

    ps_s3_explain(&words, error);
}

struct ps_retry_decision ps_get_decide(const struct ps_part *part,
                                       const struct ps_get_failure *failure,
                                       struct penstock_error *error)
{
    struct ps_attempt_outcome outcome = {.transfer = failure->transfer,
                                         .http_status = failure->status,
                                         .s3_code = failure->said->code};

    if (failure->body == PS_BODY_CHANGED) {
        explain_changed(part, failure, error);
        return (struct ps_retry_decision){.verdict = PS_RETRY_FATAL, .rc = PENSTOCK_E_CHANGED};
    }
    if (failure->body == PS_BODY_WRONG)
        outcome.transfer = PS_TRANSFER_BAD_ANSWER;
    else if (failure->body == PS_BODY_WANTED && outcome.transfer == PS_TRANSFER_OK &&
             ps_part_left_bytes(part) > 0)
        outcome.transfer = PS_TRANSFER_RESET; /* the body ended early, in good order */
    struct ps_retry_decision decision = ps_retry_classify(&outcome);

    if (outcome.transfer == PS_TRANSFER_OK && decision.verdict == PS_RETRY_FATAL &&
        part->lessons < PS_S3_LESSONS_MAX &&
        ps_s3_learn(&part->channel->sources[part->object->source_no].site, &failure->sent,
                    failure->status, failure->said, time(NULL))) {
        decision.verdict = PS_RETRY_AGAIN;
        decision.learnt = true;
    }
    decision.wait_ms = failure->said->retry_after_ms;
    ps_keyring_reconsider(ps_session_keyring(&ps_part_source(part)->site, false), &decision);
    if (failure->status == 412 && outcome.transfer == PS_TRANSFER_OK && !part->unpinned) {
        decision.verdict = PS_RETRY_AGAIN;
        decision.unpin = true;
    }
    if (decision.verdict != PS_RETRY_DONE)
        explain(part, failure, &outcome, error);
    return decision;
}
