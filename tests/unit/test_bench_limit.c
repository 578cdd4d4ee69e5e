/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_bench_limit.c - which stage penstock bench names, from figures made up. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/bench_limit.h"

/* A run of 10 s in which nobody waited but the consumer, for bytes that came at their own pace. */
static struct bench_run run_of_records(void)
{
    struct bench_run run = {.after = {.decode_threads = 4}};
    double *f = run.figures;

    for (int i = 0; i < BENCH_FIGURES; i++)
        f[i] = NAN;
    f[BENCH_MEASURED] = 10;
    f[BENCH_GIB_PER_S] = f[BENCH_RECEIVED] = 1;
    f[BENCH_STALL] = 95;
    f[BENCH_WAIT_ROOM] = f[BENCH_WAIT_DECODERS] = f[BENCH_WAIT_SLOT] = 0;
    f[BENCH_WAIT_BYTES] = f[BENCH_WAIT_CHUNKS] = 90;
    f[BENCH_GETS] = 1000;
    f[BENCH_RETRIES] = f[BENCH_RETRIES_THROTTLED] = f[BENCH_RETRIES_SERVER] = 0;
    f[BENCH_TTFB_P50] = 0.030;
    f[BENCH_TTFB_P90] = 0.045;
    f[BENCH_PART_P50] = 0.120;
    return run;
}

static enum bench_limit limit_of(struct bench_run run, const char *uri)
{
    bench_limit_find(&run, uri, 0.028);
    return run.limit;
}

static void test_before_the_ring(void **state)
{
    struct bench_run run = run_of_records();

    (void)state;
    assert_int_equal(limit_of(run, "s3://a/"), BENCH_LIMIT_NETWORK);
    assert_int_equal(limit_of(run, "/data"), BENCH_LIMIT_STORAGE);
    run.figures[BENCH_PART_P50] = 0.040;
    assert_int_equal(limit_of(run, "s3://a/"), BENCH_LIMIT_SERVER);
    run.figures[BENCH_TTFB_P50] = run.figures[BENCH_TTFB_P90] = 0.300; /* all wait as long: */
    run.figures[BENCH_PART_P50] = 0.301;                               /* for each other */
    assert_int_equal(limit_of(run, "s3://a/"), BENCH_LIMIT_NETWORK);
    run.figures[BENCH_TTFB_P50] = 0.100; /* a third of which is the server's */
    run.figures[BENCH_TTFB_P90] = 0.110;
    run.figures[BENCH_PART_P50] = 0.101;
    assert_int_equal(limit_of(run, "s3://a/"), BENCH_LIMIT_NETWORK);
    run.figures[BENCH_TTFB_P90] = 0.300; /* a server whose answers vary */
    assert_int_equal(limit_of(run, "s3://a/"), BENCH_LIMIT_SERVER);
    run = run_of_records();
    run.figures[BENCH_RETRIES] = run.figures[BENCH_RETRIES_THROTTLED] = 50;
    assert_int_equal(limit_of(run, "s3://a/"), BENCH_LIMIT_SERVER);
    run = run_of_records();
    run.figures[BENCH_CPU_PERCENT] = 97;
    assert_int_equal(limit_of(run, "s3://a/"), BENCH_LIMIT_CPU);
    run = run_of_records();
    run.usage_after.thread_count = 1;
    run.usage_after.threads[0] =
        (struct bench_thread){.stage = BENCH_STAGE_IO, .run_s = 6, .queued_s = 3};
    assert_int_equal(limit_of(run, "s3://a/"), BENCH_LIMIT_CPU);
    run.usage_after.threads[0].stage = BENCH_STAGE_OTHER;
    assert_int_equal(limit_of(run, "s3://a/"), BENCH_LIMIT_NETWORK);
    run.figures[BENCH_MEASURED] = 0;
    assert_int_equal(limit_of(run, "s3://a/"), BENCH_LIMIT_UNKNOWN);
}

static void test_behind_the_ring(void **state)
{
    struct bench_run run = run_of_records();
    double *f = run.figures;

    (void)state;
    f[BENCH_WAIT_ROOM] = 80;
    assert_int_equal(limit_of(run, "s3://a/"), BENCH_LIMIT_NETWORK); /* behind a late request */
    f[BENCH_WAIT_CHUNKS] = 3;
    f[BENCH_WAIT_BYTES] = 0;
    f[BENCH_WAIT_SLOT] = 90;
    assert_int_equal(limit_of(run, "s3://a/"), BENCH_LIMIT_DECODER);
    f[BENCH_WAIT_ROOM] = 0; /* a large ring does not fill up in 10 s, */
    f[BENCH_RECEIVED] = 3;  /* but it does fill */
    assert_int_equal(limit_of(run, "s3://a/"), BENCH_LIMIT_DECODER);
    f[BENCH_STALL] = 1;
    f[BENCH_WAIT_CHUNKS] = 0; /* decoders that wait for a batch to come back */
    assert_int_equal(limit_of(run, "s3://a/"), BENCH_LIMIT_CONSUMER);
    f[BENCH_UTILISATION] = 30; /* a device that waits for what the consumer holds back */
    assert_int_equal(limit_of(run, "s3://a/"), BENCH_LIMIT_CONSUMER);
    f[BENCH_UTILISATION] = 95;
    assert_int_equal(limit_of(run, "s3://a/"), BENCH_LIMIT_DEVICE);
    run = run_of_records();
    f[BENCH_WAIT_ROOM] = 80;
    run.after.bytes_inflated = 1;
    f[BENCH_WAIT_INFLATE_IN] = f[BENCH_WAIT_INFLATE_OUT] = 2;
    assert_int_equal(limit_of(run, "s3://a/"), BENCH_LIMIT_DECODER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_before_the_ring),
        cmocka_unit_test(test_behind_the_ring),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
