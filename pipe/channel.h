/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/channel.h - one channel's stream, from ranged reads to batches, and the lock that guards it.
 *
 *   position:  released        framed                head           reserved
 *   ring:   ...   |  being decoded  |  received, whole  |  in flight   |  free ...
 *
 *   I/O threads claim a part (reserving ring space in plan order), receive it in place, advance it.
 *   head moves over parts without a gap. The framer cuts [framed, head) into chunks of whole
 * records and gives each a place in a batch slot. Decode threads decode chunks, in any order;
 * released moves over decoded chunks without a gap, and the space is free again. Free space is the
 * only credit: no space, no request.
 *
 * Stream positions count from 0 at penstock_open and never restart; each object of each epoch
 * occupies size_bytes of them, in plan order; values from a manifest occupy none.
 *
 * Where a row's place is not known before it is decoded (rows of no fixed size, bad records that
 * are left out, samples, windows of shuffled rows) the channel is staged: decode threads decode
 * into memory of their own (stage.h), and rows get their places afterwards, in stream order
 * (place.h).
 *
 * A channel of plain bytes ("application/octet-stream") has neither framer nor decoders: its
 * consumer takes [released, head) in spans (spans.c).
 *
 * Of a compressed channel an inflater (inflater.h) consumes the stream ring, and makes of it a
 * second stream in a ring of its own: that is what framer, decoders and spans then see (tap.h).
 *
 * Owner: struct penstock. Threads: `lock` guards every field without another note; it is held for
 * short, bounded work and never across a system call that can block.
 */
#ifndef PIPE_CHANNEL_H
#define PIPE_CHANNEL_H

#include "formats/crc.h"
#include "formats/fmt.h"
#include "formats/inflate.h"
#include "pipe/config.h"
#include "pipe/histogram.h"
#include "pipe/penstock.h"
#include "pipe/plan.h"
#include "pipe/retry.h"
#include "pipe/ring.h"
#include "pipe/shaping.h"
#include "pipe/source.h"
#include "pipe/wait.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

enum {
    PS_PARTS_MAX = 1024, /* parts between head and reserved; powers of two */
    PS_CHUNKS_MAX = 128, /* chunks between released and framed */
    PS_EVENTS_MAX = 64,  /* batches and flow marks waiting for penstock_next */
    PS_SLOTS_MAX = 32,   /* but for channels whose rows are shuffled */
    PS_WINDOW_SLOTS_MAX = 1024,
    PS_EVENT_PLACES = PS_EVENTS_MAX + PS_WINDOW_SLOTS_MAX + 2, /* batches never wait for one */
    PS_SPANS_MAX = 64,                                         /* spans on loan */
    PS_ENDS_MAX = 1024, /* objects inflated to their end that the consumer has not passed */
    PS_BAD_LISTED_MAX = 64,
    PS_RUNS_MAX = 2,
};

enum ps_sum_state {
    PS_SUM_UNKNOWN, /* no answer told yet */
    PS_SUM_KNOWN,   /* kind and expected are */
    PS_SUM_NONE,    /* there is nothing to compare with, and none is demanded */
    PS_SUM_MISSING, /* verify=always, and the object has none */
};

/* What verify.c knows of an object under way. */
struct ps_object_sum {
    atomic_int state; /* enum ps_sum_state; leaves UNKNOWN once, after what it speaks of is set */
    enum fmt_crc_kind kind;
    uint64_t expected;
    uint64_t sum; /* of the parts that head has passed */
};

/* One ranged read, from the claim until head has passed it. */
struct ps_part {
    struct ps_channel *channel; /* constant while claimed, down to len_bytes */
    const struct ps_object *object;
    uint64_t pos;           /* stream position of the first byte */
    uint64_t object_offset; /* and its offset in the object */
    uint64_t len_bytes;
    struct ps_object_sum *object_sum; /* NULL: the object is not verified */
    bool asks; /* for the object's checksum, by HEAD: a part of no bytes before its first */
    bool held; /* head passes it once it is done, but for one that turns out to have no checksum */
    _Atomic uint64_t filled_bytes; /* bytes received; written by the part's I/O thread */
    bool done;
    bool refused; /* it is done, and head must not pass it */

    /* Used by the I/O thread that claimed the part, and by its transport, alone. */
    uint32_t attempts;      /* in all */
    uint32_t vain_attempts; /* since the last one that brought bytes */
    uint32_t lessons;       /* attempts that failed for what was learnt from them */
    uint64_t attempt_from;  /* filled_bytes when the attempt began */
    uint64_t asked_ns;      /* when that was */
    uint64_t first_byte_ns; /* when its first byte came; 0: not yet */
    uint64_t *meter;        /* counts the bytes that the I/O thread received; NULL: nobody does */
    uint64_t started_ns;    /* when its first attempt began */
    uint64_t due_ns;        /* when to try again */
    bool unpinned;          /* asked for without If-Match, to learn what replaced the object */
    enum fmt_crc_kind sum_kind;
    uint64_t sum; /* of filled_bytes, if object_sum wants one */
    bool fetched_again;
    struct ps_part *next;
    void *transfer;
};

enum ps_chunk_kind {
    PS_CHUNK_RECORDS,
    PS_CHUNK_BROKEN, /* bytes in which no record can be found; rows is 1 where such a place begins
                      */
    PS_CHUNK_EPOCH_END,
    PS_CHUNK_END,
    PS_CHUNK_ERROR, /* frame_error */
};

/* A place between two records of an epoch: behind one that is in a batch, or at its beginning. */
struct ps_anchor {
    uint32_t epoch;
    uint64_t index;                 /* of the object, as in struct ps_cursor */
    uint64_t object_row;            /* records of the object that lie before */
    uint64_t position;              /* and of the epoch */
    uint64_t drop;                  /* so many batches that begin behind it are out already */
    uint64_t window_no;             /* in the epoch, of the window that begins behind it */
    uint64_t bad_records;           /* of the epoch, before it */
    const struct ps_object *object; /* NULL: no record lies before */
    uint64_t offset;     /* where a record of the object begins, before which lie offset_row */
    uint64_t offset_row; /* at most object_row */
};

/* Whole records of one object, contiguous in memory, with their place in a batch; of a staged
 * channel without one, and then what is no record is a chunk too. */
struct ps_chunk {
    const uint8_t *in;
    size_t len_bytes;
    uint64_t end_pos;       /* released moves here when this chunk and all before it are done */
    uint64_t object_offset; /* of in[0] */
    const struct ps_object *object;
    const struct ps_object *value; /* the next item of its line in a manifest; NULL: none */
    uint32_t epoch;
    uint64_t index;    /* of the object, as in struct ps_cursor */
    uint64_t position; /* of the first row in the epoch */
    struct ps_slot *slot;
    uint32_t first_row;
    uint32_t rows;
    bool elsewhere; /* the rows are in other shares of the batch: they are not decoded */
    bool done;

    bool staged; /* and so are these */
    enum ps_chunk_kind kind;
    uint64_t order;      /* it is the so-manieth staged chunk */
    uint64_t object_row; /* index of the first row in its object */
    char cause[240];     /* of BROKEN */
};

/* Where a slot's arrays begin, in bytes from its base; what the shape lacks takes no room. Features
 * are at 0. Behind those that have a fixed size lies what grows with the rows. */
struct ps_layout {
    size_t labels;
    size_t weights;
    size_t groups;
    size_t row_offsets;
    size_t text_offsets;
    size_t entries;       /* three times entries_max words: see slot_rows.h */
    uint32_t entries_max; /* in a batch; a multiple of 16 */
    size_t texts;
    uint32_t texts_max; /* bytes in a batch */
    size_t begins;      /* of each row, of a window: see slot_rows.h; 0: there are none */
    size_t end;
};

enum ps_slot_state { PS_SLOT_FREE, PS_SLOT_FILLING, PS_SLOT_LENT };

/* Memory of one batch. */
struct ps_slot {
    struct ps_channel *channel;
    struct penstock_batch batch; /* what the caller sees; rows is set when the slot is sealed */
    enum ps_slot_state state;
    uint32_t rows_framed;  /* rows given a place */
    uint32_t rows_decoded; /* rows done, well or badly */
    bool sealed;           /* of a staged channel: rows_framed is final; */
    bool unfinished;       /* it may not be lent yet, even if all rows are done */
    bool first;            /* of its epoch, to be kept for the last one: see ps_placing.kept */
    bool dropped;          /* it is not delivered: the last batch, not full */
    bool whole; /* the rows of all shares get places, until it is finished: see ps_slot_narrow */
    uint32_t whole_rows; /* of the batch, all shares, without padding; set before it is queued */
    uint32_t entries;    /* given a place */
    uint32_t texts;
    uint32_t values_at; /* where values begin: see slot_rows.h */
    bool bad;           /* a record was malformed: `error` is the earliest in row order */
    uint32_t bad_row;
    struct penstock_error error;
    struct ps_anchor after; /* set before it is queued: the stream goes on here behind it */

    bool pinned; /* its memory is, which batch.pinned need not be about */

    /* Of a channel that lends records where they lie: see framed.h. */
    bool lends;      /* this batch does; framer, before its first chunk with rows, */
                     /* and whoever decodes it after all, when no other has it */
    bool has_odd;    /* some of its records lie otherwise than the first one's values; lock */
    bool was_to_pin; /* framer */
    struct penstock_run runs[PS_RUNS_MAX];
    uint64_t from_pos; /* stream position of the first record; UINT64_MAX: there is none yet */
};

enum ps_event_kind { PS_EVENT_BATCH, PS_EVENT_EPOCH_END, PS_EVENT_END, PS_EVENT_ERROR };

struct ps_event {
    enum ps_event_kind kind;
    struct ps_slot *slot; /* BATCH: the batch; ERROR: the batch the error cut short, or NULL */
    const struct penstock_error *error; /* ERROR */
};

/* Batches that are filled all at once, with rows in any order. */
struct ps_block {
    struct ps_slot **slots;
    uint64_t key; /* of the permutation */
    struct ps_anchor before;
    uint64_t copied; /* rows in place; lock */
    bool used;       /* not all of its slots are finished; lock */
};

/* How far rows of a staged channel have their places. What is not noted otherwise belongs to the
 * thread that has the turn. */
struct ps_placing {
    uint64_t pushed; /* staged chunks in all; lock */
    uint64_t turn;   /* order of the chunk whose rows get their places now; lock */
    bool failed;     /* none do from now on; lock */
    struct penstock_error error;
    struct ps_slot *slot; /* being filled, or NULL */
    uint32_t rows;        /* placed in it */
    uint64_t epoch_rows;  /* placed in this epoch, and in sealed batches or the one being filled */
    uint32_t entries_guess; /* of a batch */
    struct ps_anchor after; /* the last row that has its place */
    uint64_t epoch_batches; /* sealed in this epoch, where last_batch is "wrap" */

    /* The window: see window.h. */
    struct ps_block *blocks; /* block_places of them; NULL: no window */
    struct ps_slot **block_slots;
    uint32_t block_places;
    struct ps_block *block; /* being filled, or NULL */
    uint64_t block_rows;    /* placed in it */
    uint64_t block_no;      /* in the epoch, of the next one */

    /* The first batch of the epoch, of which the last one is filled up. */
    struct ps_slot kept;
    bool kept_whole; /* lock */
};

/* What was bad. As above; `list` and `listed` are guarded by the lock. */
struct ps_bad {
    uint64_t records; /* of the epoch, as the next two */
    uint64_t bytes;
    uint64_t objects;
    const struct ps_object *object; /* that had the last one */
    struct penstock_bad_record list[PS_BAD_LISTED_MAX];
    uint32_t listed;
};

/* A run of an object's bytes on loan. */
struct ps_span {
    struct ps_channel *channel;
    struct penstock_span span; /* what the caller sees */
    uint64_t end_pos;          /* released moves here when this span and all before it are back */
    uint32_t source_no;        /* of its object */
    bool lent;
};

/* What the caller's span is a part of. */
static inline struct ps_span *ps_span_of(const struct penstock_span *lent)
{
    return (struct ps_span *)((char *)(uintptr_t)lent - offsetof(struct ps_span, span));
}

/* How far the consumer sees, from a place in the object it is at. */
struct ps_view {
    const struct ps_object *object;
    uint64_t object_pos;     /* of its first byte */
    uint64_t object_end_pos; /* UINT64_MAX: not before head_pos, and not known yet */
    uint64_t head_pos;       /* bytes before it are there */
};

/* Between the stream ring and the consumer of a compressed channel. Positions of what is inflated
 * count from 0 at penstock_open, as stream positions do. */
struct ps_inflater {
    enum fmt_codec codec;        /* constant after open, as is the ring's place */
    struct fmt_inflate *inflate; /* its thread's own */
    struct ps_team *team;        /* that helps it; NULL: nobody does */
    struct ps_ring ring;
    pthread_cond_t wakes; /* stream head, plan, room, a skipped epoch, stop */

    struct ps_cursor cursor;
    const struct ps_object *object; /* whose bytes are next; NULL: ask the plan */
    uint64_t object_pos;            /* stream position of its first byte */
    uint64_t in_pos;                /* next byte of the stream to inflate */
    uint64_t skip_pos;   /* bytes of the stream before it are let go: their epoch was skipped */
    uint64_t skips;      /* how often that was: what was being made meanwhile is dropped */
    bool fresh;          /* nothing of the object has been inflated */
    bool found_in_epoch; /* the cursor's epoch has had an object to inflate */
    bool wants_in;       /* nothing more can be made without another byte */

    uint64_t object_made_pos; /* where what is made of the object begins */
    uint64_t made_pos;        /* what has been made ends here; */
    uint64_t head_pos; /* what is shown: an object's last byte waits until all of it was right */
    uint64_t released_pos;
    struct ps_end {
        uint64_t pos;
        uint32_t epoch;
    } ends[PS_ENDS_MAX]; /* where objects end, for the consumer, which walks the same plan */
    uint64_t end_first;
    uint64_t end_next;
    bool hungry; /* the consumer waits for more than there is */
    bool failed; /* nothing comes after head: `error` tells why */
    struct penstock_error error;

    pthread_t thread;
    bool started;
};

/* The consumer's end of a channel of plain bytes: the stream from [pos, head) goes out in spans. */
struct ps_bytes {
    struct ps_cursor cursor;
    struct ps_view
        view; /* as last seen; no object: ask the plan for the one whose bytes are next */
    uint64_t object_bytes; /* told with each span of the object at hand */
    uint64_t value_offset; /* next byte to lend of an object that takes no ring space */
    uint64_t epoch_pos;    /* of the epoch's first byte */
    uint64_t pos;          /* next byte to lend */
    uint64_t skip_pos;     /* bytes before it are let go unseen: the epoch was skipped */
    struct ps_span spans[PS_SPANS_MAX];
    uint64_t span_first; /* oldest not released */
    uint64_t span_next;
    bool freed; /* ring space, of which the I/O threads have not been told */
};

struct ps_channel {
    struct penstock *stream;
    char *key_suffix; /* keys that are listed end in one of these; NULL: in anything */
    char *name;       /* constant after open, down to slot_budget_bytes */
    struct penstock_channel_config config;
    struct fmt_options options;
    struct ps_source *sources;
    size_t source_count;
    size_t reference_count; /* further sources behind them: see references.h; the lister's own */
    enum ps_data_type data_type;
    char **attribute_names; /* of an augmented manifest, in the order of delivery */
    size_t attribute_count;
    bool skip_bad_lines;
    struct ps_plan *plan;
    struct ps_state *state;      /* what is told of the configuration, and where the stream began */
    struct ps_pipe_reader *pipe; /* fills the ring from FIFOs, instead of parts; NULL: no FIFOs */
    struct ps_ring ring;         /* bytes are guarded by positions, not by the lock */
    size_t part_bytes;           /* 0: the I/O threads choose */
    size_t part_bytes_most;
    size_t slot_budget_bytes;
    struct ps_shaping shaping;
    enum ps_split split;          /* what shards are made of */
    bool plain;                   /* bytes as they are: no framer, no decoders, no slots */
    struct ps_inflater *inflater; /* NULL: the objects are not compressed */

    pthread_mutex_t lock;
    pthread_cond_t framer_wakes;   /* head, plan, free slot, chunk or event room, stop */
    pthread_cond_t decoder_wakes;  /* a chunk, stop */
    pthread_cond_t consumer_wakes; /* an event, decoded rows, stop */
    pthread_cond_t place_wakes;    /* the turn, free slot, copied rows, event room, stop */
    pthread_cond_t *head_wakes;    /* whoever waits for head: framer_wakes, or the inflater's */

    /* Fetching. */
    struct ps_cursor fetch_cursor;
    const struct ps_object *fetch_object; /* being cut into parts */
    uint64_t fetch_offset;
    bool fetch_begun;                /* the first object has been found */
    bool fetched_in_epoch;           /* the epoch of fetch_cursor has had bytes to fetch */
    uint32_t consumed_epoch;         /* the epoch that framer or consumer of plain bytes is in */
    struct ps_object_sum *fetch_sum; /* of fetch_object, or NULL */
    struct ps_object_sum object_sums[PS_PARTS_MAX];
    uint64_t object_sum_next;
    enum fmt_crc_kind sum_guess; /* what the last object had */
    atomic_bool warned_unverifiable;
    struct ps_part parts[PS_PARTS_MAX];
    uint64_t part_first; /* oldest part not passed by head; counts up */
    uint64_t part_next;
    uint64_t reserved_pos;
    uint64_t head_pos;
    bool framer_waits_head;
    _Atomic bool framer_hungry;    /* the same, readable without the lock */
    uint64_t seen_pos;             /* head when the framer last looked at it or was woken for it */
    _Atomic uint64_t untold_bytes; /* received since, by I/O threads that owe it a ps_stream_tell */
    bool fetch_failed;
    uint64_t fail_pos; /* position of the first byte that will never come */
    struct penstock_error fetch_error;

    /* Framing and decoding. */
    struct ps_chunk chunks[PS_CHUNKS_MAX];
    uint64_t chunk_first; /* oldest not released */
    uint64_t chunk_taken; /* next for a decoder */
    uint64_t chunk_next;
    uint64_t released_pos;
    bool decode_failed;
    struct fmt_shape shape; /* written by the framer before the first chunk with rows, */
    bool staged;            /* as is this, and the next two */
    uint32_t stage_rows;    /* most in a staged chunk, */
    size_t chunk_bytes;     /* and most bytes, unless one record is longer */
    bool shape_known;
    bool ring_pinned;        /* for framed.h, as are the next; lock */
    bool lends;              /* batches that begin now lend their records */
    uint64_t framed_end_pos; /* of the last chunk that is done, with all before it */
    struct ps_placing placing;
    struct ps_bad bad;

    /* Batches. */
    void *slot_map;
    size_t slot_map_bytes;
    size_t slot_bytes;
    struct ps_layout layout;
    uint32_t slot_count;
    struct ps_slot *slots; /* slot_count, and their places never move */
    struct ps_event events[PS_EVENT_PLACES];
    uint64_t event_first;
    uint64_t event_next;
    struct penstock_error frame_error; /* what an ERROR event is about; set before it is queued */
    struct ps_bytes bytes;             /* of a plain channel, instead of all from framing on */
    struct ps_anchor delivered;        /* behind the last batch or end of an epoch; no `drop` of
                                          batches that are not to be delivered again counts */
    uint64_t drop_left; /* batches that were delivered before the stream was opened */
    bool ended;         /* the end or an error was delivered: ended_rc from now on */
    int ended_rc;
    struct penstock_error error; /* ps_last_error; written once, before ended */

    pthread_t lister_thread; /* or the reader of FIFOs */
    pthread_t framer_thread;
    pthread_t *decoder_threads;
    uint32_t decoder_count;
    bool lister_started;
    bool framer_started;

    struct ps_counts {
        _Atomic uint64_t bytes_received, bytes_copied, bytes_carried, records, batches;
        _Atomic uint64_t bytes_inflated;
        _Atomic uint64_t objects_streamed, list_requests, get_requests, connections;
        _Atomic uint64_t connections_reused, retries[PS_CAUSES];
        _Atomic uint64_t head_requests, objects_verified, objects_unverified, bytes_verified;
        _Atomic uint64_t lines_skipped;
        _Atomic uint64_t records_bad, bytes_bad, objects_bad, records_unsampled;
        _Atomic uint64_t hedges, hedge_wins, refetched_bytes;
        _Atomic uint64_t tls_handshakes, tls_resumed;
        _Atomic uint64_t first_object_ns, first_connection_ns, first_byte_ns, first_record_ns;
        _Atomic uint64_t first_batch_ns, asked_all_ns, wait_ns;
        struct ps_histogram part_first_ns; /* from a part's claim to its first byte, */
        struct ps_histogram part_ns;       /* and to its last */
    } counts;
    struct ps_wait waits[PS_WAITS];
};

/* Opens all of a channel but its threads. `share_bytes` is its part of the memory limit. On failure
 * *out may still need ps_channel_close. */
int ps_channel_open(struct penstock *stream, const struct penstock_channel_config *config,
                    size_t share_bytes, struct ps_channel **out, struct penstock_error *error);

/* Frees everything; the channel's threads are gone. Accepts NULL. */
void ps_channel_close(struct ps_channel *channel);

/* Whether the complete plan holds nothing to stream, in any shard; then *error says so. */
bool ps_channel_is_empty(struct ps_channel *channel, struct penstock_error *error);

/* What is delivered from now on: `rc`, with an error unless that is PENSTOCK_END. Returns rc. Lock
 * held. */
int ps_channel_end(struct ps_channel *channel, int rc, const struct penstock_error *error);

/* What a consumer is told before anything else: PENSTOCK_E_STOPPED, or what ended the channel; else
 * PENSTOCK_OK. Lock held. */
int ps_channel_check_ended(struct ps_channel *channel);

/* The caller used the call for the other kind of channel: ends it. Returns PENSTOCK_E_ARGUMENT. */
int ps_channel_misused(struct ps_channel *channel);

/* The plan has grown, or is complete: whoever waited for that looks again. Lock held. */
void ps_channel_plan_grew(struct ps_channel *channel);

/* Whether a span on loan lies in a ring, whose memory is its holder's until it comes back; a value
 * of a manifest is not. */
bool ps_span_is_in_ring(const struct penstock_span *span);

/* Wakes every thread that waits on the channel, to look at its world again. Lock held. */
void ps_channel_wake_all(struct ps_channel *channel);

#endif
