/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_record_template.c - records that are alike but for their values, of every length:
 * wide instructions against the plain loops and against what was written, between pages that must
 * not be touched.
 */
#include "formats/record_template.h"

#include "formats/record_write.h"
#include "formats/recordio.h"
#include "tests/record_check.h"

enum { ROWS = 5, NAMES_MAX = 3, LABELS_MAX = 2, DIM_MAX = 700, RECORD_BYTES_MAX = 4096 };

/* Like records, of `names` features of `dim` numbers each. */
struct kind {
    uint32_t names;
    uint32_t dim;
    uint32_t labels;
    bool weighted;
};

static struct object {
    uint8_t bytes[ROWS * RECORD_BYTES_MAX];
    size_t len_bytes;
    size_t record_bytes;
    struct fmt_template template;
    uint32_t feature_dim;
    uint32_t label_dim;
} object;

struct decoded {
    float features[ROWS * NAMES_MAX * DIM_MAX];
    float labels[ROWS * LABELS_MAX];
    float weights[ROWS];
};

static struct decoded written;

static void put_record(const struct kind *kind, uint32_t row)
{
    static const char *const NAMES[NAMES_MAX] = {"a", "second", "c"};
    struct fmt_record_entry entries[NAMES_MAX + 2];
    size_t count = 0;
    float *numbers = written.features + row * object.feature_dim;
    for (uint32_t i = 0; i < object.feature_dim; i++)
        numbers[i] = (float)below(1000);
    for (uint32_t i = 0; i < kind->names; i++)
        entries[count++] = (struct fmt_record_entry){.name = NAMES[i],
                                                     .type = FMT_FLOAT32,
                                                     .values = numbers + i * kind->dim,
                                                     .count = kind->dim};
    float *labels = written.labels + row * object.label_dim;
    for (uint32_t i = 0; i < kind->labels; i++)
        labels[i] = (float)below(10);
    if (kind->labels > 0)
        entries[count++] = (struct fmt_record_entry){
            .is_label = true, .type = FMT_FLOAT32, .values = labels, .count = kind->labels};
    written.weights[row] = (float)below(7);
    if (kind->weighted)
        entries[count++] = (struct fmt_record_entry){.name = "w",
                                                     .is_label = true,
                                                     .type = FMT_FLOAT32,
                                                     .values = &written.weights[row],
                                                     .count = 1};
    assert_true(fmt_record_bytes_max(entries, count) <= RECORD_BYTES_MAX);
    assert_int_equal(fmt_record_write(entries, count, object.bytes + object.len_bytes,
                                      &object.record_bytes, NULL),
                     FMT_OK);
    object.len_bytes += object.record_bytes;
}

/* Writes the object and learns its template. */
static void make_object(const struct kind *kind)
{
    static const char *const PARAMETERS[] = {";features=a", ";features=\"a,second\"",
                                             ";features=\"a,second,c\""};
    char parameters[100];
    (void)snprintf(parameters, sizeof(parameters), "%s%s", PARAMETERS[kind->names - 1],
                   kind->weighted ? ";weight=w" : "");
    channel_set(parameters);
    object.len_bytes = 0;
    object.feature_dim = kind->names * kind->dim;
    object.label_dim = kind->labels;
    for (uint32_t row = 0; row < ROWS; row++)
        put_record(kind, row);
    struct fmt_shape shape = {
        .feature_dim = object.feature_dim, .label_dim = kind->labels, .weighted = kind->weighted};
    struct fmt_record_value values[FMT_RECORD_WANTED_MAX];
    const struct fmt_record_options *options = fmt_record_options(&channel);
    struct fmt_recordio_record place;
    assert_int_equal(fmt_recordio_read(object.bytes, object.len_bytes, &place, NULL), FMT_OK);
    assert_int_equal(fmt_record_walk(object.bytes + FMT_RECORDIO_HEAD_BYTES, place.body_bytes,
                                     &options->query, values),
                     FMT_RECORD_PARSED);
    assert_true(fmt_template_learn(&object.template, options, &shape, values, object.bytes,
                                   place.body_bytes));
    assert_int_equal(object.template.len_bytes, object.record_bytes);
}

/* Decodes the first `len` bytes of the object, which touch one end of the arena, as the machine
 * can, or plainly; rows that are not decoded must not be written to. */
static uint32_t decode(bool is_wide, size_t len, struct decoded *out, uint32_t *matched)
{
    static struct decoded canary;
    struct fmt_template template = object.template;
    uint8_t *at = is_wide ? arena + ARENA_BYTES - len : arena;
    template.is_wide = template.is_wide &&is_wide;
    memcpy(at, object.bytes, len);
    memset(out, 0x5a, sizeof(*out));
    memset(&canary, 0x5a, sizeof(canary));
    struct fmt_rows rows = {
        .features = out->features, .labels = out->labels, .weights = out->weights};
    *matched = fmt_template_match(&template, at, len, ROWS);
    uint32_t count = fmt_template_decode(&template, at, len, ROWS, &rows, 0);
    size_t features = count * object.feature_dim;
    size_t labels = count * object.label_dim;
    assert_memory_equal(out->features + features, canary.features,
                        sizeof(out->features) - features * sizeof(float));
    assert_memory_equal(out->labels + labels, canary.labels,
                        sizeof(out->labels) - labels * sizeof(float));
    return count;
}

/* The number of records that decode from the first `len` bytes, by each way. */
static uint32_t check_ways_agree(size_t len)
{
    static struct decoded wide;
    static struct decoded plain;
    uint32_t wide_matched;
    uint32_t plain_matched;
    uint32_t count = decode(true, len, &wide, &wide_matched);
    assert_int_equal(decode(false, len, &plain, &plain_matched), count);
    assert_int_equal(wide_matched, count);
    assert_int_equal(plain_matched, count);
    assert_memory_equal(&wide, &plain, sizeof(wide));
    assert_memory_equal(wide.features, written.features,
                        count * object.feature_dim * sizeof(float));
    assert_memory_equal(wide.labels, written.labels, count * object.label_dim * sizeof(float));
    return count;
}

static void check_kind(const struct kind *kind)
{
    make_object(kind);
    size_t step = 1 + object.len_bytes / 90;
    for (size_t len = 0; len <= object.len_bytes; len += step) {
        size_t whole = len / object.record_bytes;
        uint32_t count = check_ways_agree(len);
        /* a record shorter than a block is not compared at the end of the input */
        assert_true(count == whole ||
                    (count + 1 == whole && object.template.look_bytes > object.template.len_bytes));
    }
}

static void test_template_of_every_length_decodes_what_was_written(void **state)
{
    (void)state;
    for (uint32_t dim = 1; dim <= DIM_MAX; dim += dim < 40 ? 1 : 55)
        for (uint32_t labels = 0; labels <= LABELS_MAX; labels++)
            check_kind(&(struct kind){.names = 1, .dim = dim, .labels = labels});
    for (uint32_t dim = 1; dim <= 300; dim += dim < 20 ? 1 : 93)
        for (uint32_t names = 2; names <= NAMES_MAX; names++)
            check_kind(&(struct kind){.names = names, .dim = dim, .labels = 1, .weighted = true});
}

/* A changed byte that is no value ends the run of like records just there. */
static void test_template_stops_at_a_changed_byte(void **state)
{
    static const struct kind KINDS[] = {{1, 1, 0, false}, {1, 8, 1, false},  {1, 30, 1, false},
                                        {1, 3, 2, false}, {1, 200, 1, true}, {3, 9, 1, true}};
    (void)state;
    for (size_t k = 0; k < sizeof(KINDS) / sizeof(KINDS[0]); k++) {
        make_object(&KINDS[k]);
        size_t value_bytes =
            4 * (object.feature_dim + KINDS[k].labels + (KINDS[k].weighted ? 1 : 0));
        size_t free_bytes = 0; /* these may change */
        for (size_t i = 0; i < object.record_bytes; i++) {
            uint8_t *byte = &object.bytes[2 * object.record_bytes + i];
            uint8_t kept = *byte;
            *byte ^= (uint8_t)(1u << below(8));
            static struct decoded wide;
            static struct decoded plain;
            uint32_t matched[2];
            uint32_t count = decode(true, object.len_bytes, &wide, &matched[0]);
            assert_int_equal(decode(false, object.len_bytes, &plain, &matched[1]), count);
            assert_int_equal(matched[0], count);
            assert_int_equal(matched[1], count);
            assert_memory_equal(&wide, &plain, sizeof(wide));
            assert_true(count == 2 || count >= ROWS - 1);
            free_bytes += count > 2;
            *byte = kept;
        }
        assert_true(free_bytes >= value_bytes && free_bytes < value_bytes + 4); /* and the pad */
    }
}

static void test_template_numbers_are_any_bits(void **state)
{
    (void)state;
    make_object(&(struct kind){.names = 1, .dim = 9, .labels = 1});
    const struct fmt_template_run *runs = object.template.runs;
    for (uint32_t row = 0; row < ROWS; row++) {
        uint8_t *record = object.bytes + row * object.record_bytes;
        for (size_t i = 0; i < runs[0].len_bytes; i++)
            record[runs[0].at + i] = (uint8_t)below(256);
        for (size_t i = 0; i < runs[1].len_bytes; i++)
            record[runs[1].at + i] = (uint8_t)below(256);
        memcpy(written.features + row * 9, record + runs[0].at, 9 * sizeof(float));
        memcpy(written.labels + row, record + runs[1].at, sizeof(float));
    }
    assert_int_equal(check_ways_agree(object.len_bytes), ROWS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_template_of_every_length_decodes_what_was_written),
        cmocka_unit_test(test_template_stops_at_a_changed_byte),
        cmocka_unit_test(test_template_numbers_are_any_bits),
    };
    return cmocka_run_group_tests(tests, arena_make, NULL);
}
