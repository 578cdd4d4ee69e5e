/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/inputs.c - see trainer/inputs.h. */
#include "trainer/inputs.h"

#include "pipe/stop.h"

#include <stdlib.h>
#include <string.h>

#define MIB ((size_t)1 << 20)
#define CHANNEL_BYTES_LEAST (16 * MIB) /* what pipe/penstock.h asks for */

bool tr_inputs_has(const struct tr_inputs *inputs, enum tr_channel channel)
{
    return inputs->options->channels[channel].uri_count > 0;
}

/* --- open ----------------------------------------------------------------------------------------
 */

static int pin(void *cookie, void *base, size_t len_bytes)
{
    struct tr_device *device = cookie;
    return device->ops->pin(device, base, len_bytes);
}

static void unpin(void *cookie, void *base, size_t len_bytes)
{
    struct tr_device *device = cookie;
    device->ops->unpin(device, base, len_bytes);
}

/* What of the channel this rank gets. Its batches are of all ranks' rows, or of its own. */
static void share_out(const struct tr_train_options *options, enum tr_share share,
                      struct penstock_channel_config *to)
{
    uint32_t ranks = tr_group_count(options->group);
    if (share == TR_SHARE_ROWS) {
        to->row_share_index = tr_group_rank(options->group);
        to->row_share_count = ranks;
        return;
    }
    to->batch_rows /= ranks;
    if (share == TR_SHARE_OBJECTS) {
        to->shard_index = tr_group_rank(options->group);
        to->shard_count = ranks;
    }
}

/* A device that cannot look at host memory copies every batch: records as well as rows, and it
 * makes rows of them itself. */
static bool device_takes_records(const struct tr_device *device)
{
    const char *wish = getenv("PENSTOCK_FRAMED");
    return !device->ops->reads_host_memory && !(wish && strcmp(wish, "off") == 0);
}

static void configure_channels(struct tr_inputs *inputs, struct penstock_channel_config *channels,
                               struct penstock_config *config)
{
    const struct tr_train_options *options = inputs->options;
    const struct tr_hyper_common *hyper = tr_common(options);
    const uint32_t epochs[TR_CHANNEL_COUNT] = {hyper->epochs, hyper->epochs, 1};
    size_t count = 0;
    for (int i = 0; i < TR_CHANNEL_COUNT; i++) {
        const struct tr_channel_options *from = &options->channels[i];
        struct penstock_channel_config *to = &channels[count];
        if (from->uri_count == 0)
            continue;
        penstock_channel_config_init(to);
        to->name = tr_channel_name((enum tr_channel)i);
        to->uris = from->uris;
        to->uri_count = from->uri_count;
        to->content_type = from->content_type ? from->content_type
                                              : options->channels[TR_CHANNEL_TRAIN].content_type;
        to->data_type = options->data_type;
        to->compression = options->compression;
        to->batch_rows = hyper->mini_batch_size;
        to->feature_dim = hyper->feature_dim;
        to->epochs = epochs[i];
        ps_stream_options_bad(&options->stream, to);
        if (i == TR_CHANNEL_TRAIN) {
            ps_stream_options_order(&options->stream, to);
            ps_stream_options_batches(&options->stream, to);
        } else if (from->sample_to > 0) {
            to->sample_from = from->sample_from;
            to->sample_to = from->sample_to;
            to->sample_seed = options->stream.sample_seed;
        }
        share_out(options, from->share, to);
        to->resume = inputs->resume[i] && *inputs->resume[i] ? inputs->resume[i] : NULL;
        to->resume_changed_data = options->changed_data;
        inputs->of[i].channel_no = count++;
    }
    config->channels = channels;
    config->channel_count = count;
}

int tr_inputs_open(struct tr_inputs *inputs, const struct tr_train_options *options,
                   struct tr_device *device, struct tr_error *error)
{
    struct penstock_channel_config channels[TR_CHANNEL_COUNT];
    struct penstock_config config = options->stream.config;
    struct penstock_error why;
    inputs->options = options;
    if (tr_common(options)->mini_batch_size % tr_group_count(options->group) > 0)
        return tr_fail(error,
                       "hyperparameter mini_batch_size: %u rows cannot be shared by %u ranks: "
                       "choose a multiple",
                       tr_common(options)->mini_batch_size, tr_group_count(options->group));
    configure_channels(inputs, channels, &config);
    for (size_t i = 0; i < config.channel_count; i++)
        channels[i].lend_records = device_takes_records(device);
    size_t limit = config.memory_limit_bytes;
    size_t least = config.channel_count * CHANNEL_BYTES_LEAST;
    if (limit >= least)
        config.memory_limit_bytes =
            limit < least + TR_HEAD_BYTES_MAX ? least : limit - TR_HEAD_BYTES_MAX;
    if (device->ops->pin) {
        config.pin = pin;
        config.unpin = unpin;
        config.pin_cookie = device;
    }
    inputs->opened_s = tr_now_s();
    if (penstock_open(&config, &inputs->stream, &why) != PENSTOCK_OK)
        return tr_fail(error, "%s", why.message);
    if (!options->group) /* several ranks stop together, between two steps */
        ps_stop_watch(inputs->stream);
    const char *names[TR_CHANNEL_COUNT];
    for (size_t i = 0; i < config.channel_count; i++)
        names[i] = channels[i].name;
    ps_metrics_watch(inputs->metrics, inputs->stream, names, config.channel_count);
    for (int i = 0; i < TR_CHANNEL_COUNT; i++)
        inputs->of[i].stream = inputs->stream;
    return 0;
}

void tr_inputs_close(struct tr_inputs *inputs)
{
    ps_stop_watch(NULL);
    ps_metrics_watch(inputs->metrics, NULL, NULL, 0);
    penstock_close(&inputs->stream);
}

/* --- batches -------------------------------------------------------------------------------------
 */

static int input_next(void *cookie, int timeout_ms, const struct penstock_batch **batch)
{
    struct tr_input *input = cookie;
    return penstock_next(input->stream, input->channel_no, timeout_ms, batch);
}

static void input_release(void *cookie, const struct penstock_batch *batch)
{
    struct tr_input *input = cookie;
    penstock_release(input->stream, batch);
}

/* All slots are of one size. */
static size_t batch_bytes_max(void *cookie)
{
    const struct tr_input *input = cookie;
    struct penstock_counters counters;
    penstock_get_counters(input->stream, input->channel_no, &counters);
    return counters.slot_count > 0 ? (size_t)(counters.slot_bytes / counters.slot_count) : 0;
}

struct tr_source tr_inputs_source(struct tr_inputs *inputs, enum tr_channel channel)
{
    return (struct tr_source){&inputs->of[channel], input_next, input_release, batch_bytes_max};
}

int tr_inputs_state(const struct tr_inputs *inputs, enum tr_channel channel,
                    char text[PENSTOCK_STATE_BYTES], struct tr_error *error)
{
    struct penstock_error why;
    if (penstock_get_state(inputs->stream, inputs->of[channel].channel_no, NULL, text,
                           PENSTOCK_STATE_BYTES, &why) != PENSTOCK_OK)
        return tr_fail(error, "%s", why.message);
    return 0;
}

void tr_inputs_counters(const struct tr_inputs *inputs, enum tr_channel channel,
                        struct penstock_counters *counters)
{
    penstock_get_counters(inputs->stream, inputs->of[channel].channel_no, counters);
}

/* --- failures and warnings -----------------------------------------------------------------------
 */

int tr_inputs_failed(const struct tr_inputs *inputs, enum tr_channel channel,
                     struct tr_error *error)
{
    const struct penstock_error *last =
        penstock_last_error(inputs->stream, inputs->of[channel].channel_no);
    if (ps_stop_signal())
        return tr_fail(error, "stopped by signal %d before the end; no model was written",
                       ps_stop_signal());
    return tr_fail(error, "%s", last->message);
}

int tr_inputs_check_held_out(const struct tr_inputs *inputs, struct tr_error *error)
{
    for (int i = TR_CHANNEL_VALIDATION; i < TR_CHANNEL_COUNT; i++) {
        if (!tr_inputs_has(inputs, (enum tr_channel)i))
            continue;
        int rc = penstock_last_error(inputs->stream, inputs->of[i].channel_no)->rc;
        bool shared = inputs->options->channels[i].share == TR_SHARE_ROWS;
        if (rc != PENSTOCK_OK && (rc != PENSTOCK_E_EMPTY || shared)) /* of others there may be */
            return tr_inputs_failed(inputs, (enum tr_channel)i, error);
    }
    return 0;
}

/* What --verify=always could not do. */
static void report_unverified(const struct tr_inputs *inputs, struct tr_report *report)
{
    const char *verify = inputs->options->stream.config.verify;
    uint64_t count = 0;
    for (int i = 0; i < TR_CHANNEL_COUNT; i++) {
        struct penstock_counters counters;
        if (!tr_inputs_has(inputs, (enum tr_channel)i))
            continue;
        tr_inputs_counters(inputs, (enum tr_channel)i, &counters);
        count += counters.objects_unverified;
    }
    if (verify && strcmp(verify, "always") == 0 && count > 0)
        tr_report_line(report,
                       "warning: %llu objects are not verified: their checksums are of their "
                       "uploads' parts, or hashes",
                       (unsigned long long)count);
}

/* What was left out as it was bad, with the first such record. */
static void report_bad(const struct tr_inputs *inputs, struct tr_report *report)
{
    for (int i = 0; i < TR_CHANNEL_COUNT; i++) {
        struct penstock_counters counters;
        struct penstock_bad_record first;
        if (!tr_inputs_has(inputs, (enum tr_channel)i))
            continue;
        tr_inputs_counters(inputs, (enum tr_channel)i, &counters);
        if (penstock_bad_records(inputs->stream, inputs->of[i].channel_no, &first, 1) == 0)
            continue;
        tr_report_line(
            report,
            "warning: %llu of %llu records of the %s channel were bad and left out, %llu "
            "bytes in %llu objects, every epoch counted; the first: %s, byte %llu: %s",
            (unsigned long long)counters.records_bad,
            (unsigned long long)(counters.records_bad + counters.records),
            tr_channel_name((enum tr_channel)i), (unsigned long long)counters.bytes_bad,
            (unsigned long long)counters.objects_bad, first.key,
            (unsigned long long)first.offset_bytes, first.cause);
    }
}

void tr_inputs_report(const struct tr_inputs *inputs, struct tr_report *report)
{
    report_unverified(inputs, report);
    report_bad(inputs, report);
}
