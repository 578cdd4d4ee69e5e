/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_allocations.c - no decoder takes memory for a record: once it has seen records
 * like those, it decodes any number more without one call of malloc, its libraries' included.
 *
 * What does take memory for each record is in the table, too, and said to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "tests/parquet_drive.h"
#include "tests/picture_fixture.h"
#include "tests/record_notation.h"
#include "tests/tfrecord_writer.h"

enum { BATCH_ROWS = 64, RECORDS = 640, PICTURES = 24, MORE = 10 };

/* ---- counting ---- */

static volatile uint64_t allocations; /* the compiler thinks that malloc changes no variable */

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_OWN_MALLOC 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_OWN_MALLOC 1
#endif

#ifdef HAS_OWN_MALLOC
/* Of sanitizer/allocator_interface.h, which Debian has for clang alone. */
int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t),
                                              void (*on_free)(const volatile void *));

static void note_malloc(const volatile void *memory, size_t size)
{
    (void)memory;
    (void)size;
    allocations++;
}

static void note_free(const volatile void *memory)
{
    (void)memory;
}

static int count_allocations(void **state)
{
    (void)state;
    return __sanitizer_install_malloc_and_free_hooks(note_malloc, note_free) > 0 ? 0 : -1;
}
#else
#pragma GCC visibility push(default) /* or the libraries would not find these */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size)
{
    allocations++;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    allocations++;
    return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    allocations++;
    return __libc_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    allocations++;
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    allocations++;
    *memory = __libc_memalign(alignment, size);
    return *memory ? 0 : ENOMEM;
}
#pragma GCC visibility pop

static int count_allocations(void **state)
{
    (void)state;
    return 0;
}
#endif

/* ---- records ---- */

static void put_protobuf(struct frames *object, const char *notation)
{
    struct bytes record = {.count = 0};

    put_record(&record, notation);
    frames_put(object, record.at, record.count);
}

#define LABEL " 12(0a('values') 12(12(0a(F1))))"

static void put_dense(struct frames *object, uint32_t no)
{
    (void)no;
    put_protobuf(object, "0a(0a('values') 12(12(0a(F1 F2 F3 F4 F5 F6 F7 F8))))" LABEL);
}

/* As put_dense in turns with another order of fields: no template holds for long. */
static void put_walked(struct frames *object, uint32_t no)
{
    put_protobuf(object, no % 2 ? "0a(0a('values') 12(12(0a(F1 F2 F3))))" LABEL
                                : LABEL " 0a(12(12(0a(F1 F2 F3))) 0a('values'))");
}

static void put_integers(struct frames *object, uint32_t no)
{
    put_protobuf(object, no % 3 ? "0a(0a('values') 12(3a(0a(V1 V300 V70000))))" LABEL
                                : "0a(0a('values') 12(3a(0a(V-1 V2 V3))))" LABEL);
}

static void put_names(struct frames *object, uint32_t no)
{
    (void)no;
    put_protobuf(object, "0a(0a('b') 12(12(0a(F1 F2)))) 0a(0a('a') 12(1a(0a(D1)))) "
                         "12(0a('w') 12(12(0a(F2))))" LABEL);
}

static void put_sparse(struct frames *object, uint32_t no)
{
    put_protobuf(object, no % 2 ? "0a(0a('values') 12(12(0a(F1 F2) 12(V1 V400) 1a(V500))))" LABEL
                                : "0a(0a('values') 12(12(0a(F1) 12(V7) 1a(V500))))" LABEL);
}

static void put_text(struct frames *object, uint32_t no)
{
    put_protobuf(object, no % 2 ? "0a(0a('t') 12(4a(0a('some text'))))" LABEL
                                : "0a(0a('t') 12(4a(0a('more'))))" LABEL);
}

static void put_parts(struct frames *object, uint32_t no)
{
    struct bytes body = {.count = 0};

    (void)no;
    put_notation(&body, "0a(0a('values') 12(12(0a(F1 F2 F3))))" LABEL);
    frames_put_part(object, 1, body.at, 10);
    frames_put_part(object, 3, body.at + 10, body.count - 10);
}

static void put_pieces(struct frames *object, uint32_t no)
{
    (void)no;
    put_protobuf(object, "0a(0a('values') 12(12(0a(F1 F2) 0a(F3))))" LABEL);
}

static void put_example(struct frames *object, uint32_t no)
{
    static const char floats[] = "\x12\x0a\x0a\x08\x00\x00\x80\x3f\x00\x00\x00\x40";
    static const char bytes[] = "\x0a\x03\x0a\x01x";
    struct frames example = {0};

    (void)no;
    example_put(&example, "x", floats, sizeof floats - 1);
    example_put(&example, "name", bytes, sizeof bytes - 1);
    tfrecord_put(object, example.bytes, example.len_bytes);
    frames_free(&example);
}

static void put_line(struct frames *object, const char *line)
{
    frames_put(object, line, strlen(line));
}

static void put_csv(struct frames *object, uint32_t no)
{
    put_line(object, no % 3 ? "1,2.5,-3e4,0.1\n" : "0,12345678901234567890,7,1e-320\n");
}

static void put_quoted_csv(struct frames *object, uint32_t no)
{
    put_line(object, no % 2 ? "1,\"2\",\"a \"\"b\"\"\"\n" : "2,3,plain\n");
}

static void put_libsvm(struct frames *object, uint32_t no)
{
    put_line(object, no % 3 ? "1:0.5 qid:3 1:0.5 7:2 300:1e-3\n" : "0:1 qid:3\n");
}

static void put_jsonl(struct frames *object, uint32_t no)
{
    put_line(object, no % 3
                         ? "{\"a\": 1.5, \"v\": [1, 2, 3], \"s\": \"text\"}\n"
                         : "{\"s\": \"\\u00e9\\n\", \"v\": [4, 5, 6], \"a\": -1e3, \"z\": {}}\n");
}

/* ---- pictures ---- */

/* Of six, so that the first ones need all the memory that more of them do. */
static struct file make_picture(const char *kind, uint32_t no)
{
    uint32_t width = 40 + no % 3 * 24;
    uint32_t height = 40 + no % 2 * 30;

    no %= 6;
    for (size_t i = 0; i < PNG_KINDS; i++)
        if (strcmp(png_kinds[i].name, kind) == 0)
            return make_png(&png_kinds[i], width, height, no, PNG_ALL_FILTERS, 0);
    for (size_t i = 0; i < JPEG_KINDS; i++) {
        if (strcmp(jpeg_kinds[i].name, kind) != 0)
            continue;
        uint8_t *pixels = make_photo(width, height, jpeg_kinds[i].channels, no);
        struct file file = make_jpeg(&jpeg_kinds[i], pixels, width, height, 90, NULL, 0);

        free(pixels);
        return file;
    }
    fail_msg("there are no pictures %s", kind);
    return (struct file){NULL, 0};
}

static void put_picture(struct frames *object, const char *kind, uint32_t no)
{
    struct file file = make_picture(kind, no);

    frames_put(object, file.bytes, file.len);
    free(file.bytes);
}

/* As im2rec writes it: a head with the label. */
static void put_image_record(struct frames *object, uint32_t no)
{
    struct file file = make_picture(no % 2 ? "RGB 8" : "4:2:0", no);
    struct frames body = {0};
    static const uint32_t head[6] = {0, 0x3f800000}; /* flag, label 1.0, two identifiers */

    frames_put(&body, head, sizeof head);
    frames_put(&body, file.bytes, file.len);
    frames_put_dmlc(object, body.bytes, body.len_bytes);
    frames_free(&body);
    free(file.bytes);
}

/* ---- Parquet ---- */

static struct file read_parquet(uint32_t no)
{
    static const char *const names[] = {"plain", "snappy", "gzip", "zstd", "lz4"};
    static uint8_t bytes[1 << 20];
    char path[100];
    FILE *in;

    snprintf(path, sizeof path, "tests/golden/parquet/%s.parquet",
             names[no % (sizeof names / sizeof *names)]);
    in = fopen(path, "rb");
    assert_non_null(in);
    struct file file = {bytes, fread(bytes, 1, sizeof bytes, in)};

    fclose(in);
    assert_in_range(file.len, 100, sizeof bytes - 1);
    return file;
}

/* What the codec makes of a file: rows in frames. */
static void put_parquet_frames(struct frames *object, uint32_t no)
{
    struct file file = read_parquet(no);
    struct parquet_reader reader;
    struct parquet_frames got;

    parquet_open(&reader, "application/x-parquet", 64 << 20);
    parquet_frames(&reader, file.bytes, file.len, SIZE_MAX, 1 << 20, SIZE_MAX, &got);
    assert_int_equal(got.rc, FMT_INFLATE_END);
    frames_put(object, got.bytes, got.len_bytes);
    free(got.bytes);
    parquet_close(&reader);
}

/* ---- kinds ---- */

static const struct kind {
    const char *name;
    const char *content_type;
    void (*put)(struct frames *object, uint32_t no);
    const char *picture; /* instead of `put`: each is an object */
    bool is_object;      /* so is what `put` puts */
    bool allocates;      /* for each record */
} kinds[] = {
    {.name = "recordio-protobuf, dense",
     .content_type = "application/x-recordio-protobuf",
     .put = put_dense},
    {.name = "recordio-protobuf, no template",
     .content_type = "application/x-recordio-protobuf",
     .put = put_walked},
    {.name = "recordio-protobuf, int32",
     .content_type = "application/x-recordio-protobuf",
     .put = put_integers},
    {.name = "recordio-protobuf, several names",
     .content_type = "application/x-recordio-protobuf;features=\"a,b\";label=values;weight=w",
     .put = put_names},
    {.name = "recordio-protobuf, framed",
     .content_type = "application/x-recordio-protobuf;framed=true",
     .put = put_dense},
    {.name = "recordio-protobuf, sparse",
     .content_type = "application/x-recordio-protobuf",
     .put = put_sparse},
    {.name = "recordio-protobuf, sparse to dense",
     .content_type = "application/x-recordio-protobuf;layout=dense",
     .put = put_sparse},
    {.name = "recordio-protobuf, text",
     .content_type = "application/x-recordio-protobuf;text=t",
     .put = put_text},
    {.name = "recordio-protobuf, records in parts",
     .content_type = "application/x-recordio-protobuf",
     .put = put_parts},
    {.name = "recordio-protobuf, values in pieces: protobuf-c",
     .content_type = "application/x-recordio-protobuf",
     .put = put_pieces,
     .allocates = true},
    {.name = "TFRecord",
     .content_type = "application/x-tfrecord;example=x;text=name",
     .put = put_example},
    {.name = "CSV", .content_type = "text/csv", .put = put_csv},
    {.name = "CSV, quotes and words",
     .content_type = "text/csv;text_columns=\"2\"",
     .put = put_quoted_csv},
    {.name = "libsvm", .content_type = "text/libsvm", .put = put_libsvm},
    {.name = "JSON Lines",
     .content_type = "application/jsonlines;features=\"a,v\";text=s",
     .put = put_jsonl},
    {.name = "RecordIO of pictures",
     .content_type = "application/x-recordio;image_shape=\"3,32,32\"",
     .put = put_image_record},
    {.name = "JPEG",
     .content_type = "application/x-image;image_shape=\"3,32,32\"",
     .picture = "4:2:0"},
    {.name = "JPEG, gray",
     .content_type = "application/x-image;image_shape=\"3,32,32\"",
     .picture = "gray"},
    {.name = "JPEG, progressive: libjpeg's coefficients",
     .content_type = "application/x-image;image_shape=\"3,32,32\"",
     .picture = "progressive",
     .allocates = true},
    {.name = "JPEG, CMYK",
     .content_type = "application/x-image;image_shape=\"3,32,32\"",
     .picture = "CMYK"},
    {.name = "JPEG, arithmetic codes",
     .content_type = "application/x-image;image_shape=\"3,32,32\"",
     .picture = "arithmetic"},
    {.name = "PNG",
     .content_type = "application/x-image;image_shape=\"3,32,32\"",
     .picture = "RGB 8"},
    {.name = "PNG, palette",
     .content_type = "application/x-image;image_shape=\"3,32,32\"",
     .picture = "palette 8"},
    {.name = "PNG, interlaced: libpng",
     .content_type = "application/x-image;image_shape=\"3,32,32\"",
     .picture = "RGB 8 interlaced",
     .allocates = true},
    {.name = "Parquet, rows",
     .content_type = "application/x-parquet",
     .put = put_parquet_frames,
     .is_object = true},
};

/* ---- counting over them ---- */

/* Objects, one behind the other. */
struct objects {
    struct frames bytes;
    size_t ends[RECORDS * MORE];
    size_t count;
};

static void make_objects(const struct kind *kind, uint32_t records, struct objects *objects)
{
    memset(objects, 0, sizeof *objects);
    for (uint32_t no = 0; no < records; no++) {
        if (kind->picture)
            put_picture(&objects->bytes, kind->picture, no);
        else
            kind->put(&objects->bytes, no);
        if (kind->picture || kind->is_object)
            objects->ends[objects->count++] = objects->bytes.len_bytes;
    }
    if (objects->count == 0)
        objects->ends[objects->count++] = objects->bytes.len_bytes;
}

struct run {
    struct fmt_options options;
    struct fmt_shape shape;
    struct fmt_decoder *decoder;
    struct fmt_rows rows;
    const char *name;
};

static void fail_run(const struct run *run, const struct fmt_error *error)
{
    fail_msg("%s: %s", run->name, error->text);
}

/* Cuts and decodes an object in batches; returns its rows. */
static uint64_t decode_object(struct run *run, const uint8_t *in, size_t len)
{
    const struct fmt_ops *ops = run->options.ops;
    struct fmt_error error = {.text = ""};
    uint64_t rows = 0;

    for (size_t at = 0; at < len;) {
        struct fmt_cut cut = {0};

        if (ops->cut(&run->options, in + at, len - at, at == 0, true, BATCH_ROWS, &cut, &error) !=
            FMT_OK)
            fail_run(run, &error);
        struct fmt_span span = {.in = in + at + cut.lead_bytes,
                                .len = cut.len_bytes - cut.lead_bytes,
                                .rows = cut.rows,
                                .position = rows,
                                .key = "picture"};

        if (!run->decoder) {
            if (ops->learn(&run->options, span.in, span.len, &run->shape, &error) != FMT_OK)
                fail_run(run, &error);
            run->decoder = ops->decoder_new(&run->options, &run->shape);
            drive_rows_open(&run->rows, &run->shape, BATCH_ROWS);
        }
        run->rows.entries.count = run->rows.texts.count = 0;
        if (ops->decode(run->decoder, &span, &run->rows, &error) != FMT_OK)
            fail_run(run, &error);
        at += cut.len_bytes;
        rows += cut.rows;
    }
    return rows;
}

/* Decodes them all; returns how many allocations that took. */
static uint64_t count_of(struct run *run, const struct objects *objects, uint64_t *rows)
{
    uint64_t before = allocations;
    size_t at = 0;

    *rows = 0;
    for (size_t i = 0; i < objects->count; at = objects->ends[i++])
        *rows += decode_object(run, objects->bytes.bytes + at, objects->ends[i] - at);
    return allocations - before;
}

static void check_kind(const struct kind *kind)
{
    static struct objects few;
    static struct objects many;
    uint32_t records = kind->picture || kind->put == put_image_record ? PICTURES : RECORDS;
    struct run run = {.name = kind->name};
    struct fmt_error error = {.text = ""};
    uint64_t rows[2];
    uint64_t taken[2];

    if (kind->is_object)
        records = 5;
    if (fmt_options_parse(kind->content_type, &run.options, &error) != FMT_OK)
        fail_run(&run, &error);
    make_objects(kind, records, &few);
    make_objects(kind, records * MORE, &many);
    (void)count_of(&run, &few, &rows[0]); /* to warm up */
    taken[0] = count_of(&run, &few, &rows[0]);
    taken[1] = count_of(&run, &many, &rows[1]);
    assert_int_equal(rows[1], MORE * rows[0]);
    assert_true(rows[0] >= records);
    if (kind->allocates ? taken[1] < MORE * rows[0] : taken[0] + taken[1] > 0)
        fail_msg("%s: %llu allocations for %llu rows, %llu for %llu", kind->name,
                 (unsigned long long)taken[0], (unsigned long long)rows[0],
                 (unsigned long long)taken[1], (unsigned long long)rows[1]);
    run.options.ops->decoder_free(run.decoder);
    drive_rows_close(&run.rows);
    fmt_options_free(&run.options);
    frames_free(&few.bytes);
    frames_free(&many.bytes);
}

static void test_no_decoder_allocates_for_a_record(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        check_kind(&kinds[i]);
}

/* Files back to back through the codec: once each kind has been seen, nothing for another. */
static void test_parquet_files_are_read_without_allocations(void **state)
{
    static uint8_t out[1 << 20];
    struct parquet_reader reader;
    struct fmt_error error = {.text = ""};
    uint64_t taken[3];

    (void)state;
    parquet_open(&reader, "application/x-parquet", 64 << 20);
    for (uint32_t round = 0; round < 3; round++) {
        taken[round] = 0;
        for (uint32_t no = 0; no < (round < 2 ? 5 : 50); no++) {
            struct file file = read_parquet(no);
            struct fmt_inflate_step step = {
                .in = file.bytes, .in_bytes = file.len, .at_end = true, .out = out};
            enum fmt_inflate_rc rc = FMT_INFLATE_OUT;
            uint64_t before = allocations;

            fmt_inflate_start(reader.inflate, FMT_CODEC_OWN);
            while (rc == FMT_INFLATE_OUT) {
                step.out_bytes = sizeof out;
                step.in += step.consumed_bytes;
                step.in_bytes -= step.consumed_bytes;
                rc = fmt_inflate_run(reader.inflate, &step, &error);
            }
            taken[round] += allocations - before;
            if (rc != FMT_INFLATE_END)
                fail_msg("file %u: %s", no, error.text);
        }
    }
    assert_int_equal(taken[1], 0);
    assert_int_equal(taken[2], 0);
    parquet_close(&reader);
}

static void test_allocations_are_counted(void **state)
{
    uint64_t before = allocations;
    void *volatile memory[4] = {malloc(10), calloc(2, 10), aligned_alloc(64, 64), NULL};

    (void)state;
    memory[3] = realloc(malloc(1), 100000);
    assert_in_range(allocations - before, 4, 6); /* ThreadSanitizer does not tell of realloc */
    for (int i = 0; i < 4; i++)
        free(memory[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allocations_are_counted),
        cmocka_unit_test(test_no_decoder_allocates_for_a_record),
        cmocka_unit_test(test_parquet_files_are_read_without_allocations),
    };
    return cmocka_run_group_tests(tests, count_allocations, NULL);
}
