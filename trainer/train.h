/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/train.h - one training run: streams in, model files out.
 *
 * Owner: the caller owns the options and every string in them.
 * Threads: the calling thread drives everything; libpenstock has its own.
 */
#ifndef TRAINER_TRAIN_H
#define TRAINER_TRAIN_H

#include "pipe/stream_options.h"
#include "trainer/error.h"
#include "trainer/model.h"

#define TR_URIS_MAX 64U

/* Memory for the rows that a model learns from before its first step. The same for every memory
 * limit, or the model would depend on it; it comes out of the limit where that leaves the stream
 * what it needs. */
#define TR_HEAD_BYTES_MAX ((size_t)32 << 20)

enum tr_channel { TR_CHANNEL_TRAIN, TR_CHANNEL_VALIDATION, TR_CHANNEL_TEST, TR_CHANNEL_COUNT };

/* What of a channel's data a rank gets. */
enum tr_share {
    TR_SHARE_ROWS,    /* all read everything, and each takes its rows of every batch */
    TR_SHARE_OBJECTS, /* each reads its objects, or its parts of them */
    TR_SHARE_OWN,     /* the data at the URIs are this rank's alone */
};

struct tr_channel_options {
    const char *uris[TR_URIS_MAX];
    size_t uri_count;         /* 0: the channel is not used */
    const char *content_type; /* NULL: as the training channel */
    enum tr_share share;
    double sample_from; /* of a held-out channel, likewise sample_to; */
    double sample_to;   /* 0: all of it */
};

struct tr_train_options {
    struct tr_channel_options channels[TR_CHANNEL_COUNT];
    const struct tr_model_ops *model;
    _Alignas(double) char hyper[TR_HYPER_BYTES_MAX]; /* values of model->hyper, checked */
    struct tr_group *group;                          /* the ranks; NULL: one */
    uint32_t local_rank; /* among those of this host: which GPU it takes */
    const char *device;
    const char *model_dir;       /* NULL: no model is written */
    const char *metrics_json;    /* NULL: none */
    const char *metrics;         /* for Prometheus: a file, or an address and port; NULL: none */
    const char *data_type;       /* of every channel; NULL: prefix */
    const char *compression;     /* of every channel; NULL: none */
    const char *checkpoint_dir;  /* NULL: no checkpoints */
    uint64_t checkpoint_batches; /* one after so many; 0: after checkpoint_s */
    double checkpoint_s;
    uint32_t checkpoint_keep; /* so many stay */
    bool changed_data;        /* a checkpoint's data may be others now */
    bool quiet;
    bool headroom;                   /* measure it, after the run */
    const char *base;                /* of a training container; NULL: this is none */
    struct ps_stream_options stream; /* order, shard, sample, window of rows and last batch are the
                                        training channel's; the others are read whole, but for
                                        samples of their own */
};

static inline const struct tr_hyper_common *tr_common(const struct tr_train_options *options)
{
    return (const struct tr_hyper_common *)(const void *)options->hyper;
}

/* "train", "validation", "test". */
const char *tr_channel_name(enum tr_channel channel);

/* Trains, evaluates, and writes, as rank 0 or alone. Of several ranks each makes this call; what is
 * written, printed and asked for by checkpoint_dir is rank 0's, whose options decide. Returns 0, or
 * -1 with *error; ps_stop_signal tells whether a signal was the reason. */
int tr_train(const struct tr_train_options *options, struct tr_error *error);

#endif
