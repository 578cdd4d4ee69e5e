/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/engine.h - struct penstock: the channels, the I/O threads, and what they share.
 *
 * Owner: the caller of penstock_open. Every thread of the library is created in engine.c:
 *
 *   ps-io-N            each owns a reactor and its connections; fills parts          (io.c)
 *   ps-list-CHANNEL    lists the channel's sources, then ends; of manifests it goes
 *                      on to ask for sizes ahead of the fetching          (lister.c, sizer.c)
 *   ps-fifo-CHANNEL    or reads its FIFOs                                        (pipe_reader.c)
 *   ps-inflate-CHANNEL inflates compressed objects                                   (inflater.c)
 *   ps-frame-CHANNEL   cuts records, gives them places in batches                    (framer.c)
 *   ps-dec-CHANNEL     decode_threads of them                                        (chunks.c)
 *   ps-keys            renews credentials that end                                   (keyring.c)
 *   ps-resolve         looks up addresses for the direct transport                   (resolver.c)
 */
#ifndef PIPE_ENGINE_H
#define PIPE_ENGINE_H

#include "pipe/channel.h"
#include "pipe/config.h"
#include "pipe/reactor.h"
#include "pipe/session.h"

struct ps_io;
struct ps_resolver;
struct ps_transport_ops;

struct penstock {
    struct penstock_config config; /* defaults resolved; strings not owned are NULL after open */
    const struct ps_reactor_ops *reactor_ops;
    char io_reason[160];
    struct ps_s3_account account; /* loaded when a channel has an s3 source */
    bool has_s3;
    enum ps_verify_mode verify;
    const struct ps_transport_ops *s3_transport;
    struct ps_resolver *resolver; /* for the direct transport, else NULL */
    struct ps_budget *budgets;    /* of retries, one for each bucket and host */
    struct ps_sessions sessions;  /* with directory buckets */
    uint64_t opened_ns;
    atomic_bool stopping;

    struct ps_channel **channels;
    size_t channel_count;
    struct ps_io **ios;
    size_t io_count;

    pthread_mutex_t log_lock;
};

/* Opens a stream that fetches nothing, of channels of plain bytes, and lists all of its objects.
 * *out is the caller's to close, as after penstock_open. */
int ps_engine_list(const struct penstock_config *config, struct penstock **out,
                   struct penstock_error *error);

/* Wakes the I/O threads that found nothing to claim: there may be something now. Any thread. */
void ps_engine_wake_io(struct penstock *stream);

/* One line to the caller's log function: level 0 info, 1 warning. Any thread. */
void ps_engine_log(struct penstock *stream, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
