/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/outlet.c - see outlet.h. */
#include "pipe/outlet.h"

#include "pipe/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE_BYTES                                                                                 \
    ((uintptr_t)4096) /* of x86-64 and most arm64; larger ones are refused at open                 \
                       */
#define HUGE_PAGE_BYTES ((uintptr_t)2 << 20)
/* Shorter pieces are cheaper to copy than to map. */
#define SPLICE_BYTES_MIN ((size_t)16 << 10)
/* Enough to be worth a system call. */
#define SEND_BYTES ((uint64_t)512 << 10)
#define VECTORS 64
/* The most that a process without CAP_SYS_RESOURCE may ask for, unless the machine says otherwise.
 */
#define PIPE_BYTES (1 << 20)

static struct ps_outlet_piece *piece_at(struct ps_outlet *o, unsigned number)
{
    return &o->pieces[number % PS_OUTLET_PIECES];
}

static const uint8_t *piece_data(const struct ps_outlet_piece *piece)
{
    return (piece->data ? piece->data : piece->own) + piece->from_bytes;
}

static size_t piece_left(const struct ps_outlet_piece *piece)
{
    return piece->len_bytes - piece->from_bytes;
}

/* Whether memory can be replaced as end_run does: not where it is locked. */
static bool can_replace_memory(void)
{
    void *page;

    if (sysconf(_SC_PAGESIZE) != (long)PAGE_BYTES)
        return false;
    page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return false;
    bool can = madvise(page, PAGE_BYTES, MADV_DONTNEED) == 0;

    munmap(page, PAGE_BYTES);
    return can;
}

void ps_outlet_open(struct ps_outlet *o, struct penstock *stream, bool may_splice)
{
    memset(o, 0, sizeof *o);
    o->stream = stream;
    o->fd = -1;
    o->may_splice = may_splice && can_replace_memory();
}

void ps_outlet_into(struct ps_outlet *o, int fd)
{
    o->fd = fd;
    fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES); /* refusal only costs speed */
}

bool ps_outlet_is_full(const struct ps_outlet *o)
{
    /* An object put in a record takes three pieces: head, span, pad. */
    return o->put_bytes - o->sent_bytes >= SEND_BYTES ||
           o->piece_next - o->piece_first > PS_OUTLET_PIECES - 3 ||
           o->span_next - o->span_first == PS_OUTLET_SPANS;
}

void ps_outlet_put(struct ps_outlet *o, const struct penstock_span *span)
{
    const uint8_t *data = span->data;
    bool in_ring = ps_span_is_in_ring(span);
    struct ps_outlet_piece *last =
        o->piece_next > o->piece_first ? piece_at(o, o->piece_next - 1) : NULL;

    if (last && last->in_ring && in_ring && last->data + last->len_bytes == data)
        last->len_bytes += span->len_bytes;
    else if (span->len_bytes > 0)
        *piece_at(o, o->piece_next++) = (struct ps_outlet_piece){
            .data = data, .len_bytes = span->len_bytes, .in_ring = in_ring};
    o->put_bytes += span->len_bytes;
    o->spans[o->span_next++ % PS_OUTLET_SPANS] =
        (struct ps_outlet_span){.span = span, .end_bytes = o->put_bytes};
}

void ps_outlet_put_bytes(struct ps_outlet *o, const void *bytes, size_t len_bytes)
{
    struct ps_outlet_piece *piece = piece_at(o, o->piece_next++);

    *piece = (struct ps_outlet_piece){.len_bytes = len_bytes};
    memcpy(piece->own, bytes, len_bytes);
    o->put_bytes += len_bytes;
}

void ps_outlet_put_memory(struct ps_outlet *o, const void *bytes, size_t len_bytes)
{
    if (len_bytes > 0)
        *piece_at(o, o->piece_next++) =
            (struct ps_outlet_piece){.data = bytes, .len_bytes = len_bytes};
    o->put_bytes += len_bytes;
}

/* ---- the lifetime of pages ---- */

static void release_sent(struct ps_outlet *o)
{
    uint64_t safe_bytes = o->spliced ? o->safe_bytes : o->sent_bytes;

    while (o->span_first < o->span_next) {
        const struct ps_outlet_span *held = &o->spans[o->span_first % PS_OUTLET_SPANS];

        if (held->end_bytes > safe_bytes)
            return;
        penstock_release_span(o->stream, held->span);
        o->span_first++;
    }
}

/* The pages of the run are the readers' now: other memory takes their place. The last page, if it
 * is sent in part, was copied. */
static void end_run(struct ps_outlet *o)
{
    uintptr_t from = (uintptr_t)o->run_from;
    uintptr_t to = (uintptr_t)o->sent_at / PAGE_BYTES * PAGE_BYTES;

    if (o->spliced && to > from)
        madvise((void *)from, to - from, MADV_DONTNEED);
    o->spliced = false;
}

/* ---- sending ---- */

/* How many bytes from `data` on have to be copied before others can go by their pages. A run begins
 * with a huge page: memory that is replaced in smaller parts is no huge page from then on, and
 * costs a fault for each 4 KiB. Once it has begun it goes on at any page. */
static size_t bytes_to_splice(const uint8_t *data, bool run_goes_on)
{
    uintptr_t unit = run_goes_on ? PAGE_BYTES : HUGE_PAGE_BYTES;

    return (unit - (uintptr_t)data % unit) % unit;
}

static size_t least_to_splice(bool run_goes_on)
{
    return run_goes_on ? PAGE_BYTES : SPLICE_BYTES_MIN;
}

/* How much of the first piece can go by its pages now: whole ones, within one huge page. */
static size_t spliceable_bytes(struct ps_outlet *o, uint64_t limit_bytes)
{
    const struct ps_outlet_piece *piece = piece_at(o, o->piece_first);
    const uint8_t *data = piece_data(piece);
    bool goes_on = o->spliced && data == o->sent_at;
    size_t len = piece_left(piece) < limit_bytes ? piece_left(piece) : (size_t)limit_bytes;
    size_t to_huge_end = HUGE_PAGE_BYTES - (uintptr_t)data % HUGE_PAGE_BYTES;

    if (!o->may_splice || !piece->in_ring || bytes_to_splice(data, goes_on) > 0 ||
        len < least_to_splice(goes_on))
        return 0;
    return len < to_huge_end ? len / PAGE_BYTES * PAGE_BYTES : to_huge_end;
}

static ssize_t splice_some(struct ps_outlet *o, size_t len_bytes)
{
    const uint8_t *data = piece_data(piece_at(o, o->piece_first));
    struct iovec vector = {.iov_base = (void *)(uintptr_t)data, .iov_len = len_bytes};
    ssize_t sent = vmsplice(o->fd, &vector, 1, SPLICE_F_NONBLOCK);

    if (sent > 0 && !o->spliced) {
        o->spliced = true;
        o->run_from = data;
        o->safe_bytes = o->sent_bytes;
    }
    return sent;
}

/* Gathers pieces to be copied, up to where one can go by its pages. */
static int gather(struct ps_outlet *o, struct iovec *vectors, uint64_t limit_bytes)
{
    const uint8_t *end = o->sent_at;
    int count = 0;

    for (unsigned p = o->piece_first; p < o->piece_next && limit_bytes > 0 && count < VECTORS;
         p++) {
        const struct ps_outlet_piece *piece = piece_at(o, p);
        const uint8_t *data = piece_data(piece);
        bool goes_on = o->spliced && data == end;
        size_t to_splice = bytes_to_splice(data, goes_on);
        size_t len = piece_left(piece) < limit_bytes ? piece_left(piece) : (size_t)limit_bytes;
        bool splices =
            o->may_splice && piece->in_ring && len >= to_splice + least_to_splice(goes_on);

        /* A run of pages ends where the next span is elsewhere: that comes first. */
        if (o->spliced && piece->in_ring && data != end && count > 0)
            break;
        if (splices && to_splice == 0 && count > 0)
            break;
        if (splices && to_splice > 0)
            len = to_splice;
        vectors[count++] = (struct iovec){.iov_base = (void *)(uintptr_t)data, .iov_len = len};
        limit_bytes -= len;
        if (piece->in_ring)
            end = data + len;
        if (len < piece_left(piece))
            break;
    }
    return count;
}

static ssize_t write_some(struct ps_outlet *o, uint64_t limit_bytes)
{
    struct iovec vectors[VECTORS];
    int count = gather(o, vectors, limit_bytes);

    return writev(o->fd, vectors, count);
}

static void advance(struct ps_outlet *o, size_t len_bytes)
{
    o->sent_bytes += len_bytes;
    while (len_bytes > 0) {
        struct ps_outlet_piece *piece = piece_at(o, o->piece_first);
        size_t sent = len_bytes < piece_left(piece) ? len_bytes : piece_left(piece);

        piece->from_bytes += sent;
        len_bytes -= sent;
        if (piece->in_ring)
            o->sent_at = piece_data(piece);
        if (piece_left(piece) == 0)
            o->piece_first++;
    }
}

/* One system call. Returns 0 or an errno. */
static int send_some(struct ps_outlet *o, uint64_t limit_bytes)
{
    const struct ps_outlet_piece *piece = piece_at(o, o->piece_first);

    if (piece->in_ring && piece_data(piece) != o->sent_at)
        end_run(o);
    size_t by_pages = spliceable_bytes(o, limit_bytes);
    ssize_t sent = by_pages > 0 ? splice_some(o, by_pages) : write_some(o, limit_bytes);

    if (sent < 0 && by_pages > 0 && errno != EAGAIN && errno != EPIPE && errno != EINTR) {
        o->may_splice = false; /* not a pipe, or not allowed: written from now on */
        return 0;
    }
    if (sent < 0)
        return errno;
    advance(o, (size_t)sent);
    if ((uintptr_t)o->sent_at % HUGE_PAGE_BYTES == 0 ||
        o->span_next - o->span_first > PS_OUTLET_SPANS / 2)
        end_run(o);
    release_sent(o);
    return 0;
}

int ps_outlet_send(struct ps_outlet *o, uint64_t keep_bytes)
{
    int sys_errno = 0;

    while (sys_errno == 0 && ps_outlet_pending_bytes(o) > keep_bytes)
        sys_errno = send_some(o, ps_outlet_pending_bytes(o) - keep_bytes);
    if (ps_outlet_pending_bytes(o) == 0) { /* there may be spans without bytes */
        if (ps_outlet_is_full(o))
            end_run(o);
        release_sent(o);
    }
    return sys_errno;
}

void ps_outlet_settle(struct ps_outlet *o)
{
    end_run(o);
    o->piece_first = o->piece_next;
    o->sent_bytes = o->put_bytes;
    o->sent_at = NULL;
    release_sent(o);
}
