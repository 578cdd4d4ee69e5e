/* SPDX-License-Identifier: Apache-2.0 */
/* bench/serve_fault.c - faults on purpose. */
#include "bench/serve_fault.h"

#include "formats/mix.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char serve_fault_help[] =
    "Faults, in a fixed rhythm or by chance (each counts the requests it applies to):\n"
    "  status=CODE           answer with this HTTP status instead; with code=NAME for S3's\n"
    "                        error code, retry-after=S, region=NAME and location=URL for\n"
    "                        what S3 says in a redirect\n"
    "  cut=BYTES             right head, connection closed after BYTES of the body\n"
    "  reset=BYTES           the same, with a TCP reset\n"
    "  stall=MS              the body pauses for MS milliseconds; with after=BYTES where\n"
    "  delay=MS              the answer begins MS milliseconds late\n"
    "  trickle=BYTES         the body comes at BYTES a second\n"
    "  etag                  another entity tag, whatever If-Match asks for\n"
    "  flip=BYTES            the lowest bit of the body's byte at BYTES is flipped\n"
    "  badrange              Content-Range starts one byte later than asked\n"
    "  full                  200 with the whole object for a ranged request\n"
    "  short=BYTES           a body BYTES shorter than asked, and announced so\n"
    "  extra=BYTES           BYTES more than announced\n"
    "  chunk                 a chunked body with a chunk size that is none\n"
    "  changed               from then on the object seems overwritten: another entity tag\n"
    "and with each:\n"
    "  every=N               on every N-th request (default 1)\n"
    "  prob=P                by chance, with probability P, the same in every run of a --seed\n"
    "  from=N                not before the N-th request\n"
    "  times=N               N times at most\n"
    "  credential=TEXT       only with this access key id or session token\n"
    "  key=TEXT              only for keys that hold TEXT\n"
    "  op=get|list           for GETs of objects (default) or for listings\n"
    "e.g. --fault status=503,code=SlowDown,every=7 --fault cut=4096,every=5,times=3\n";

static const char *const kind_names[] = {
    [SERVE_FAULT_STATUS] = "status",     [SERVE_FAULT_CUT] = "cut",
    [SERVE_FAULT_RESET] = "reset",       [SERVE_FAULT_STALL] = "stall",
    [SERVE_FAULT_BADRANGE] = "badrange", [SERVE_FAULT_FULL] = "full",
    [SERVE_FAULT_FLIP] = "flip",         [SERVE_FAULT_DELAY] = "delay",
    [SERVE_FAULT_TRICKLE] = "trickle",   [SERVE_FAULT_ETAG] = "etag",
    [SERVE_FAULT_SHORT] = "short",       [SERVE_FAULT_EXTRA] = "extra",
    [SERVE_FAULT_CHANGED] = "changed",   [SERVE_FAULT_CHUNK] = "chunk",
};

enum { KIND_COUNT = sizeof kind_names / sizeof kind_names[0] };

const char *serve_fault_name(enum serve_fault_kind kind)
{
    return kind_names[kind];
}

/* S3's usual code for a status, when the fault names none. */
static const char *default_code(int http_status)
{
    switch (http_status) {
    case 400:
        return "BadRequest";
    case 403:
        return "AccessDenied";
    case 404:
        return "NoSuchKey";
    case 412:
        return "PreconditionFailed";
    case 429:
        return "TooManyRequests";
    case 500:
        return "InternalError";
    case 503:
        return "SlowDown";
    default:
        return "InjectedFault";
    }
}

static bool read_number(const char *text, uint64_t most, uint64_t *number)
{
    char *end;
    unsigned long long value;

    errno = 0;
    value = strtoull(text, &end, 10);
    if (errno || *text < '0' || *text > '9' || *end != '\0' || value > most)
        return false;
    *number = value;
    return true;
}

static bool read_text(const char *text, char *out, size_t out_bytes)
{
    int len_bytes = snprintf(out, out_bytes, "%s", text);

    return len_bytes > 0 && (size_t)len_bytes < out_bytes;
}

static bool read_chance(const char *text, uint64_t *chance)
{
    char *end;
    double probability = strtod(text, &end);

    if (*text < '0' || *text > '9' || *end != '\0' || !(probability <= 1))
        return false;
    *chance = probability < 1 ? (uint64_t)(probability * 0x1p64) : UINT64_MAX;
    return true;
}

static bool set_modifier(struct serve_fault *fault, const char *name, const char *value)
{
    uint64_t number = 0;

    if (strcmp(name, "every") == 0)
        return read_number(value, UINT64_MAX, &fault->every) && fault->every > 0;
    if (strcmp(name, "prob") == 0)
        return read_chance(value, &fault->chance);
    if (strcmp(name, "region") == 0)
        return read_text(value, fault->region, sizeof fault->region);
    if (strcmp(name, "location") == 0)
        return read_text(value, fault->location, sizeof fault->location);
    if (strcmp(name, "from") == 0)
        return read_number(value, UINT64_MAX, &fault->from);
    if (strcmp(name, "credential") == 0)
        return read_text(value, fault->credential, sizeof fault->credential);
    if (strcmp(name, "times") == 0)
        return read_number(value, UINT64_MAX, &fault->times);
    if (strcmp(name, "after") == 0)
        return read_number(value, INT64_MAX, &fault->bytes);
    if (strcmp(name, "code") == 0)
        return read_text(value, fault->code, sizeof fault->code);
    if (strcmp(name, "key") == 0)
        return read_text(value, fault->key, sizeof fault->key);
    if (strcmp(name, "retry-after") == 0 && read_number(value, 86400, &number)) {
        fault->retry_after_s = (uint32_t)number;
        return true;
    }
    if (strcmp(name, "op") == 0) {
        fault->op = strcmp(value, "list") == 0 ? SERVE_FAULT_OP_LIST : SERVE_FAULT_OP_GET;
        return strcmp(value, "list") == 0 || strcmp(value, "get") == 0;
    }
    return false;
}

static bool set_kind(struct serve_fault *fault, enum serve_fault_kind kind, const char *value)
{
    uint64_t number = 0;

    fault->kind = kind;
    switch (kind) {
    case SERVE_FAULT_STATUS:
        if (!read_number(value, 599, &number) || number < 300)
            return false;
        fault->http_status = (int)number;
        return true;
    case SERVE_FAULT_CUT:
    case SERVE_FAULT_RESET:
    case SERVE_FAULT_FLIP:
    case SERVE_FAULT_SHORT:
    case SERVE_FAULT_EXTRA:
        return read_number(value, INT64_MAX, &fault->bytes);
    case SERVE_FAULT_TRICKLE:
        return read_number(value, INT64_MAX, &fault->bytes) && fault->bytes > 0;
    case SERVE_FAULT_STALL:
    case SERVE_FAULT_DELAY:
        if (!read_number(value, 3600 * 1000, &number))
            return false;
        fault->stall_ms = (uint32_t)number;
        return true;
    case SERVE_FAULT_BADRANGE:
    case SERVE_FAULT_FULL:
    case SERVE_FAULT_ETAG:
    case SERVE_FAULT_CHANGED:
    case SERVE_FAULT_CHUNK:
        return *value == '\0';
    }
    return false;
}

static bool set_one(struct serve_fault *fault, const char *name, const char *value, bool *kind_seen)
{
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        if (strcmp(name, kind_names[kind]) != 0)
            continue;
        if (*kind_seen)
            return false;
        *kind_seen = true;
        return set_kind(fault, (enum serve_fault_kind)kind, value);
    }
    return set_modifier(fault, name, value);
}

static bool fits_listings(enum serve_fault_kind kind)
{
    return kind == SERVE_FAULT_STATUS || kind == SERVE_FAULT_CUT || kind == SERVE_FAULT_RESET ||
           kind == SERVE_FAULT_STALL || kind == SERVE_FAULT_DELAY || kind == SERVE_FAULT_TRICKLE ||
           kind == SERVE_FAULT_FLIP;
}

bool serve_fault_parse(const char *spec, struct serve_fault *fault, char *error, size_t error_bytes)
{
    bool kind_seen = false;

    *fault = (struct serve_fault){.every = 1, .times = UINT64_MAX, .chance = UINT64_MAX};
    while (*spec) {
        char item[320];
        size_t len_bytes = strcspn(spec, ",");
        char *equals;

        if (len_bytes >= sizeof item) {
            snprintf(error, error_bytes, "'%.40s...' is too long", spec);
            return false;
        }
        memcpy(item, spec, len_bytes);
        item[len_bytes] = '\0';
        equals = strchr(item, '=');
        if (equals)
            *equals++ = '\0';
        if (!set_one(fault, item, equals ? equals : "", &kind_seen)) {
            snprintf(error, error_bytes, "'%.*s' is not understood", (int)len_bytes, spec);
            return false;
        }
        spec += len_bytes + (spec[len_bytes] == ',');
    }
    if (!kind_seen) {
        snprintf(error, error_bytes, "it names no fault, such as status, cut, reset or stall");
        return false;
    }
    if (fault->op == SERVE_FAULT_OP_LIST && !fits_listings(fault->kind)) {
        snprintf(error, error_bytes, "%s does not apply to listings", kind_names[fault->kind]);
        return false;
    }
    if (fault->code[0] == '\0')
        snprintf(fault->code, sizeof fault->code, "%s", default_code(fault->http_status));
    return true;
}

uint64_t serve_fault_mix(uint64_t x)
{
    return fmt_mix(x + FMT_MIX_STEP);
}

void serve_fault_seed(struct serve_fault *faults, size_t fault_count, uint64_t seed)
{
    for (size_t i = 0; i < fault_count; i++)
        faults[i].seed = serve_fault_mix(seed + serve_fault_mix(i));
}

static bool applies(const struct serve_fault *fault, const struct serve_fault_subject *subject)
{
    if (fault->op != subject->op || !strstr(subject->key, fault->key))
        return false;
    return fault->credential[0] == '\0' ||
           (subject->authorization && strstr(subject->authorization, fault->credential)) ||
           (subject->session_token && strcmp(subject->session_token, fault->credential) == 0);
}

const struct serve_fault *serve_fault_changed(const struct serve_fault *faults, size_t fault_count,
                                              const char *key)
{
    for (size_t i = 0; i < fault_count; i++)
        if (faults[i].kind == SERVE_FAULT_CHANGED && atomic_load(&faults[i].fired_count) > 0 &&
            strstr(key, faults[i].key))
            return &faults[i];
    return NULL;
}

const struct serve_fault *serve_fault_pick(struct serve_fault *faults, size_t fault_count,
                                           const struct serve_fault_subject *subject)
{
    const struct serve_fault *picked = NULL;

    for (size_t i = 0; i < fault_count; i++) {
        struct serve_fault *fault = &faults[i];
        uint64_t number;

        if (!applies(fault, subject))
            continue;
        number = atomic_fetch_add(&fault->seen_count, 1) + 1;
        if (picked || number < fault->from || number % fault->every != 0 ||
            (fault->chance != UINT64_MAX && serve_fault_mix(fault->seed + number) >= fault->chance))
            continue;
        if (atomic_fetch_add(&fault->fired_count, 1) < fault->times)
            picked = fault;
    }
    return picked;
}
