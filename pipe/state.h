/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/state.h - where a stream of records is, as a small text, and a stream that goes on there.
 *
 * The text is JSON: the place (struct ps_anchor), what was learnt of the first record, the settings
 * that the order and contents of batches follow from, and a hash of the listing. A stream that goes
 * on begins in the object that the place is in, at a record that a chunk began with, cuts records
 * up to the place without decoding them, and decodes the rest as if nothing had happened. Batches
 * of a window of shuffled rows, and all of an epoch whose first batch fills up its last one, are
 * made again, and those that were out already dropped.
 *
 * Owner: the channel. Threads: as noted; what is not noted is constant after open.
 */
#ifndef PIPE_STATE_H
#define PIPE_STATE_H

#include "pipe/channel.h"

/* Reads channel->config.resume, if any, and sets where everything begins. `config` is the caller's.
 * The channel is complete but for its threads. Returns PENSTOCK_OK, PENSTOCK_E_ARGUMENT, which
 * names what the state has otherwise, or PENSTOCK_E_MEMORY. */
int ps_state_open(struct ps_channel *channel, const struct penstock_channel_config *config,
                  struct penstock_error *error);
void ps_state_close(struct ps_channel *channel);

/* Where the stream begins. */
struct ps_cursor ps_state_begin(const struct ps_channel *channel);

/* How many bytes of the first object, of those that are read, need not be. */
uint64_t ps_state_skip_bytes(const struct ps_channel *channel, const struct ps_object *object);

/* Waits until as much is listed as the state knows, and compares. PENSTOCK_E_CHANGED: these are
 * other data; PENSTOCK_E_STOPPED; or why the listing failed. Framer only. */
int ps_state_check_data(struct ps_channel *channel, struct penstock_error *error);

/* Compares the object that the state is in; *view, of its beginning, becomes that of the first byte
 * that is fetched, and *rows how many records lie before that. Framer only. */
int ps_state_enter(struct ps_channel *channel, const struct ps_object *object, struct ps_view *view,
                   uint64_t *rows, struct penstock_error *error);

/* The object at which the state is has fewer records than the state says; NULL: the epoch has no
 * such object. Returns PENSTOCK_OK if changed data are wanted. */
int ps_state_fell_short(const struct ps_channel *channel, const struct ps_object *object,
                        struct penstock_error *error);

/* Whether the state tells the shape; then ps_state_learn reads it, and what a state leaves open off
 * the record at `in`; else, if there is a state at
 * all, the shape of the first record has to fit it. Framer only. */
bool ps_state_tells_shape(const struct ps_channel *channel);
int ps_state_learn(struct ps_channel *channel, const uint8_t *in, size_t len,
                   struct fmt_shape *shape, struct penstock_error *error);
bool ps_state_fits(const struct ps_channel *channel, const struct fmt_shape *shape);

/* ---- between state.c and state_text.c ---- */

enum { PS_STATE_VERSION = 1 };

struct json_t;

struct ps_state {
    struct json_t *settings; /* names and texts */

    /* Of the state that the stream began at. */
    bool resumed;
    bool changed_ok;
    struct ps_anchor begin;
    uint64_t objects; /* listed then, */
    bool whole;       /* which were all; */
    uint64_t data;    /* their hash, */
    uint64_t object;  /* and that of the one that `begin` is in */
    bool has_shape;
    uint64_t shape; /* its hash */
    uint32_t words[FMT_LEARNT_MAX];
    size_t word_count;
};

/* The settings as an object of texts; NULL when memory is out. */
struct json_t *ps_state_settings(const struct ps_channel *channel,
                                 const struct penstock_channel_config *config);

/* Parses and compares; fills in what is said of `begin` and later. */
int ps_state_read(const struct ps_channel *channel, const char *text, struct ps_state *state,
                  struct penstock_error *error);

/* What a hash is of: key, and ETag in S3, size of a file. */
uint64_t ps_state_hash_object(const void *channel, uint64_t hash, const struct ps_object *object);
uint64_t ps_state_hash_shape(const struct fmt_shape *shape);

#endif
