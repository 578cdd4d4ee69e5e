/* SPDX-License-Identifier: Apache-2.0 */
/* bench/perf_parquet.c - how fast Parquet files become rows: CPU time of one thread for the codec
 * (frames) and for cutting and decoding these.
 *
 *     perf_parquet TYPE FILE      (bench/parquet.py makes files and calls this beside pyarrow)
 *
 * Prints "rows columns codec_seconds decode_seconds gain gain_cpu", the seconds being the best of a
 * few rounds of this process, the gain that of a second thread for the codec, by the clock, and
 * gain_cpu what CPU time says that it is on idle processors: all of one thread's, beside what only
 * one can do and half of the rest. The caller takes medians over processes.
 */
#include "bench/perf.h"
#include "formats/inflate.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define MEMORY_BYTES ((size_t)4 << 30)
#define STEP_BYTES ((size_t)512 << 10) /* as pipe/inflater.c makes at a time */
#define TEAM_STEP_BYTES ((size_t)2 << 20)

enum { ROUNDS = 3, BATCH_ROWS = 1000 };

struct job {
    struct fmt_options options;
    struct fmt_inflate *inflate;
    const uint8_t *file;
    size_t file_bytes;
    uint8_t *frames;
    size_t frames_bytes;
    size_t rows;
    struct fmt_shape shape;
};

static void stop(const char *cause)
{
    perf_die("Parquet", cause);
}

/* ---- two threads ---- */

struct round {
    void (*job)(void *arg, unsigned i);
    void *arg;
    atomic_uint next;
    unsigned count;
};

static void *do_jobs(void *cookie)
{
    struct round *round = cookie;
    unsigned i;

    while ((i = atomic_fetch_add(&round->next, 1)) < round->count)
        round->job(round->arg, i);
    return NULL;
}

static double shared_cpu_seconds; /* in jobs, of both threads */

/* The helper of a pipe waits for work; starting it here costs a little more. */
static void run_two(void *cookie, unsigned count, void (*job)(void *arg, unsigned i), void *arg)
{
    struct round round = {.job = job, .arg = arg, .count = count};
    pthread_t helper;
    double before = perf_process_seconds();

    (void)cookie;
    if (pthread_create(&helper, NULL, do_jobs, &round) != 0)
        stop("cannot start a thread");
    do_jobs(&round);
    pthread_join(helper, NULL);
    shared_cpu_seconds += perf_process_seconds() - before;
}

static const struct fmt_team two = {.size = 2, .run = run_two};

/* ---- ways ---- */

static const uint8_t *read_file(const char *path, size_t *len_bytes)
{
    FILE *file = fopen(path, "rb");
    long end = 0;

    if (!file || fseek(file, 0, SEEK_END) != 0 || (end = ftell(file)) <= 0)
        stop(path);
    uint8_t *bytes = malloc((size_t)end);

    rewind(file);
    if (!bytes || fread(bytes, 1, (size_t)end, file) != (size_t)end)
        stop(path);
    fclose(file);
    *len_bytes = (size_t)end;
    return bytes;
}

/* The file to frames; keeps them when there is room for all of them. */
static double run_codec(struct job *job, size_t step_bytes, clockid_t clock)
{
    enum fmt_inflate_rc rc = FMT_INFLATE_OUT;
    struct fmt_error error;
    size_t consumed = 0;
    size_t made = 0;
    double before = perf_seconds(clock);

    fmt_inflate_start(job->inflate, FMT_CODEC_OWN);
    while (rc == FMT_INFLATE_OUT) {
        struct fmt_inflate_step step = {.in = job->file + consumed,
                                        .in_bytes = job->file_bytes - consumed,
                                        .at_end = true,
                                        .out = job->frames + made,
                                        .out_bytes = step_bytes};

        if (made + step_bytes > job->frames_bytes) {
            job->frames_bytes = 2 * (made + step_bytes);
            job->frames = realloc(job->frames, job->frames_bytes);
            if (!job->frames)
                stop("out of memory");
            step.out = job->frames + made;
        }
        rc = fmt_inflate_run(job->inflate, &step, &error);
        consumed += step.consumed_bytes;
        made += step.produced_bytes;
    }
    double seconds = perf_seconds(clock) - before;

    if (rc != FMT_INFLATE_END)
        stop(rc == FMT_INFLATE_E_FORMAT ? error.text : "out of memory");
    job->frames_bytes = made;
    return seconds;
}

/* The frames to rows of one batch, over and over. */
static double run_decode(struct job *job)
{
    const struct fmt_ops *ops = job->options.ops;
    struct fmt_decoder *decoder = NULL;
    struct fmt_rows rows = {.features = NULL};
    struct fmt_error error = {.text = ""};
    size_t at = 0;
    double before = perf_thread_seconds();

    job->rows = 0;
    while (at < job->frames_bytes) {
        struct fmt_cut cut = {.rows = 0};

        if (ops->cut(&job->options, job->frames + at, job->frames_bytes - at, at == 0, true,
                     BATCH_ROWS, &cut, &error) != FMT_OK)
            stop(error.text);
        if (!decoder) {
            if (ops->learn(&job->options, job->frames, cut.len_bytes, &job->shape, &error) !=
                FMT_OK)
                stop(error.text);
            decoder = ops->decoder_new(&job->options, &job->shape);
            rows.features = calloc(BATCH_ROWS, job->shape.feature_dim * sizeof(float));
            rows.labels = calloc(BATCH_ROWS, job->shape.label_dim * sizeof(float) + 1);
            rows.weights = calloc(BATCH_ROWS, sizeof(float));
            rows.text_ends = calloc(BATCH_ROWS, job->shape.text_dim * sizeof(uint32_t) + 1);
            if (!decoder || !rows.features || !rows.labels || !rows.weights || !rows.text_ends)
                stop("out of memory");
        }
        struct fmt_span span = {
            .in = job->frames + at, .len = cut.len_bytes, .rows = cut.rows, .key = ""};

        rows.texts.count = 0;
        if (ops->decode(decoder, &span, &rows, &error) != FMT_OK)
            stop(error.text);
        at += cut.len_bytes;
        job->rows += cut.rows;
    }
    double seconds = perf_thread_seconds() - before;

    ops->decoder_free(decoder);
    free(rows.features);
    free(rows.labels);
    free(rows.weights);
    free(rows.text_ends);
    free(rows.texts.bytes);
    return seconds;
}

int main(int argc, char **argv)
{
    struct job job = {.file = NULL};
    struct fmt_error error = {.text = ""};
    double codec_seconds = 1e9;
    double decode_seconds = 1e9;
    double alone_seconds = 1e9, shared_seconds = 1e9, span_seconds = 1e9;

    if (argc != 3) {
        puts("perf_parquet: `make bench-parquet` runs this beside pyarrow");
        return argc == 1 ? 0 : 2;
    }
    if (fmt_options_parse(argv[1], &job.options, &error) != FMT_OK)
        stop(error.text);
    job.inflate = fmt_inflate_new(FMT_CODEC_OWN, &job.options, MEMORY_BYTES);
    if (!job.inflate)
        stop("out of memory");
    job.file = read_file(argv[2], &job.file_bytes);
    for (int round = 0; round < ROUNDS; round++) {
        double codec = run_codec(&job, STEP_BYTES, CLOCK_THREAD_CPUTIME_ID);
        double decode = run_decode(&job);
        double alone = run_codec(&job, STEP_BYTES, CLOCK_MONOTONIC);

        fmt_inflate_share(job.inflate, &two);
        shared_cpu_seconds = 0;
        double cpu_before = perf_process_seconds();
        double shared = run_codec(&job, TEAM_STEP_BYTES, CLOCK_MONOTONIC);
        double cpu = perf_process_seconds() - cpu_before - shared_cpu_seconds / 2;

        span_seconds = cpu < span_seconds ? cpu : span_seconds;
        fmt_inflate_share(job.inflate, NULL);
        alone_seconds = alone < alone_seconds ? alone : alone_seconds;
        shared_seconds = shared < shared_seconds ? shared : shared_seconds;

        codec_seconds = codec < codec_seconds ? codec : codec_seconds;
        decode_seconds = decode < decode_seconds ? decode : decode_seconds;
    }
    printf("%zu %u %.6f %.6f %.3f %.3f\n", job.rows, job.shape.feature_dim + job.shape.label_dim,
           codec_seconds, decode_seconds, alone_seconds / shared_seconds,
           codec_seconds / span_seconds);
    fmt_inflate_free(job.inflate);
    fmt_options_free(&job.options);
    free(job.frames);
    return 0;
}
