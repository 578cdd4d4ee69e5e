/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_spans.c - see bench_spans.h. */
#include "bench/bench_spans.h"

#include "pipe/stop.h"

static int take_all(struct penstock *stream, bench_take_span *take, void *cookie,
                    struct penstock_error *error)
{
    const struct penstock_span *span;
    int rc;

    while ((rc = penstock_next_span(stream, 0, -1, &span)) >= 0 && rc != PENSTOCK_END) {
        if (rc != PENSTOCK_OK)
            continue;
        rc = take(cookie, span, error);
        penstock_release_span(stream, span);
        if (rc != PENSTOCK_OK)
            return rc;
    }
    if (rc < 0)
        *error = *penstock_last_error(stream, 0);
    return rc < 0 ? rc : PENSTOCK_OK;
}

int bench_spans(const struct penstock_config *base, const struct penstock_channel_config *channel,
                bench_take_span *take, void *cookie, struct penstock_counters *counters,
                struct penstock_error *error)
{
    struct penstock_channel_config once = *channel;
    struct penstock_config config = *base;
    struct penstock *stream;

    once.epochs = 1;
    config.channels = &once;
    int rc = penstock_open(&config, &stream, error);

    if (rc != PENSTOCK_OK)
        return rc;
    ps_stop_watch(stream);
    rc = take_all(stream, take, cookie, error);
    if (counters)
        penstock_get_counters(stream, 0, counters);
    ps_stop_watch(NULL);
    penstock_close(&stream);
    return ps_stop_signal() ? PENSTOCK_E_STOPPED : rc;
}
