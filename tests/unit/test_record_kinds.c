/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_record_kinds.c - recordio-protobuf beyond dense float32: sparse rows, features of
 * other types, several of them, weights and texts, as the content type's parameters ask for them.
 * Records in the notation of tests/record_notation.h; rows as text; damaged ones against
 * protobuf-c.
 */
#include <math.h>

#include "tests/record_check.h"
#include "tests/record_notation.h"
#include "tests/record_walk_check.h"

#define LABEL "12(0a('values') 12(12(0a(F1))))"
#define F32(name, values) "0a(0a('" name "') 12(12(0a(" values "))))"
#define F64(name, values) "0a(0a('" name "') 12(1a(0a(" values "))))"
#define INT(name, values) "0a(0a('" name "') 12(3a(0a(" values "))))"
#define SPARSE(name, values, keys, shape)                                                          \
    "0a(0a('" name "') 12(12(0a(" values ") 12(" keys ") 1a(" shape "))))"
#define BYTES(name, text) "0a(0a('" name "') 12(4a(0a('" text "') 12('image/jpeg'))))"
#define Y(name, value) "12(0a('" name "') 12(12(0a(" value "))))"

/* Objects of up to three records, and the rows that come of them, each after a '/': numbers, or
 * column:value; then "| labels", "w weight", "'text'". */
static const struct vector {
    const char *parameters;
    const char *bodies[3]; /* one alone is written three times, and gives as many rows */
    const char *rows;
} VECTORS[] = {
    /* sparse, as the SDK writes it; keys of two bytes; no label */
    {"", {SPARSE("values", "F1.5 F2.5", "V1 V4", "V5") LABEL}, "/1:1.5 4:2.5 |1"},
    {"", {SPARSE("values", "F7", "V299", "V300")}, "/299:7"},
    {"", {SPARSE("x", "F1.5 F2.5", "V1 V4", "V5") LABEL}, "/1:1.5 4:2.5 |1"},
    /* an empty row is a shape alone, first or later */
    {"",
     {"0a(0a('values') 12(12(1a(V5))))", SPARSE("values", "F1", "V4", "V5"),
      "0a(0a('values') 12(12(1a(V5))))"},
     "/ /4:1 /"},
    /* Spark's matrices: keys in column order, shape of two dimensions */
    {"", {SPARSE("values", "F1 F2 F3 F4", "V1 V5 V9 V2", "V3 V4")}, "/1:1 5:2 9:3 2:4"},
    /* fields in another order, or not packed; keys that come twice stay */
    {"", {"0a(0a('values') 12(12(1a(V5) 12(V3 V3) 0a(F1 F2))))"}, "/3:1 3:2"},
    {"", {"0a(0a('values') 12(12(18 V5 10 V3 0d F1 10 V1 0d F2)))"}, "/3:1 1:2"},
    {"", {"0a(0a('values') 12(12(0a(F1) 0a(F2) 12(V0) 12(V4) 1a(V5))))"}, "/0:1 4:2"},
    {"", {"0a(0a('values') 12(12(0a(F1) 12(8480808000) 1a(V5))))"}, "/4:1"},
    /* values of other types, converted */
    {"", {"0a(0a('values') 12(1a(0a(D1.5 D-2) 12(V0 V2) 1a(V3))))"}, "/0:1.5 2:-2"},
    {"", {"0a(0a('values') 12(3a(0a(V-1 V300) 12(V0 V2) 1a(V3))))"}, "/0:-1 2:300"},
    /* the first record decides on the layout, and others follow */
    {"",
     {SPARSE("values", "F1.5", "V1", "V3"), F32("values", "F0 F7 F-0"),
      SPARSE("values", "F2", "V0", "V3")},
     "/1:1.5 /1:7 /0:2"},
    {"",
     {F32("values", "F1 F2 F3"), SPARSE("values", "F7 F8", "V2 V0", "V3"),
      "0a(0a('values') 12(12(1a(V3))))"},
     "/1 2 3 /8 0 7 /0 0 0"},
    {"", {F32("values", "F1 F2"), SPARSE("values", "F7 F8", "V1 V1", "V2")}, "/1 2 /0 8"},
    /* or a parameter does */
    {";layout=dense", {SPARSE("values", "F1.5 F2.5", "V1 V4", "V5") LABEL}, "/0 1.5 0 0 2.5 |1"},
    {";layout=sparse", {F32("values", "F0 F1.5 F0 F2") LABEL}, "/1:1.5 3:2 |1"},
    {";layout=dense;type=float64", {SPARSE("values", "F1.5", "V1", "V2")}, "/0 1.5"},
    {";layout=dense;type=uint8", {SPARSE("values", "F255", "V1", "V3")}, "/0 255 0"},

    /* types of dense features */
    {";type=float64", {F64("values", "D1e300 D0.1") LABEL}, "/1e+300 0.1 |1"},
    {";type=float64", {F32("values", "F1.5 F-2")}, "/1.5 -2"},
    {";type=float64", {INT("values", "V2147483647 V-2147483648")}, "/2147483647 -2147483648"},
    {";type=int32", {INT("values", "V2147483647 V-2147483648 V0")}, "/2147483647 -2147483648 0"},
    {";type=int32", {F32("values", "F16777216 F-3")}, "/16777216 -3"},
    {";type=int32", {F64("values", "D2147483647 D-2147483648")}, "/2147483647 -2147483648"},
    {";type=uint8", {INT("values", "V0 V255 V128")}, "/0 255 128"},
    {";type=uint8", {F32("values", "F0 F255") LABEL}, "/0 255 |1"},
    {";type=float32", {INT("values", "V16777217")}, "/16777216"},

    /* several features, in the order of the parameter, whatever that of the record */
    {";features=\"b,a\"", {F32("a", "F1 F2") F32("b", "F3") LABEL}, "/3 1 2 |1"},
    {";features=\"b,a\"",
     {F32("a", "F1 F2") F32("b", "F3"), F32("b", "F4") F32("a", "F5 F6")},
     "/3 1 2 /4 5 6"},
    {";features=\"b,a\";type=int32", {LABEL INT("a", "V1 V200") F64("b", "D3")}, "/3 1 200 |1"},
    {";features=a", {F32("a", "F1 F2") F32("b", "F3")}, "/1 2"},
    {";features=a", {F32("a", "F9") F32("values", "F3") F32("a", "F1 F2")}, "/1 2"},
    {";features=\"a,b,c\"",
     {SPARSE("a", "F1", "V1", "V2") F32("b", "F0 F5") SPARSE("c", "F3", "V0", "V9")},
     "/1:1 3:5 4:3"},
    {";features=\"a,b\";layout=dense",
     {SPARSE("a", "F1", "V1", "V2") F32("b", "F0 F5")},
     "/0 1 0 5"},
    /* others are not wanted, but well-formed */
    {";features=a", {F32("a", "F1") BYTES("b", "?") SPARSE("c", "F1 F1", "V1", "V2")}, "/1"},

    /* labels: by name, of any type, vectors, missing */
    {";label=y", {F32("values", "F1") Y("x", "F7") Y("y", "F8")}, "/1 |8"},
    {";label=y", {F32("values", "F1") Y("x", "F7")}, "/1"},
    {"", {F32("values", "F1") "12(0a('values') 12(1a(0a(D1 D2.5 D3))))"}, "/1 |1 2.5 3"},
    {"", {F32("values", "F1") "12(0a('values') 12(3a(0a(V-7 V300))))"}, "/1 |-7 300"},
    /* weights; the label is then the only other one */
    {";weight=w", {F32("values", "F1") Y("w", "F0.5") Y("y", "F8")}, "/1 |8 w0.5"},
    {";weight=w", {F32("values", "F1") Y("w", "F0.5")}, "/1 w0.5"},
    {";label=a;weight=b", {F32("values", "F1") Y("b", "F2") Y("a", "F3")}, "/1 |3 w2"},
    {";weight=values", {F32("values", "F1") Y("values", "F2") Y("a", "F3")}, "/1 |3 w2"},
    {";weight=w",
     {SPARSE("values", "F1", "V0", "V2") "12(0a('w') 12(3a(0a(V2))))" LABEL},
     "/0:1 |1 w2"},
    {";weight=w", {F32("values", "F1") "12(0a('w') 12(1a(0a(D2))))" LABEL}, "/1 |1 w2"},

    /* texts, beside features or alone */
    {";text=image", {BYTES("image", "jpeg") F32("values", "F1 F2") LABEL}, "/1 2 |1 'jpeg'"},
    {";text=image", {BYTES("image", "jpeg") LABEL}, "/ |1 'jpeg'"},
    {";text=\"b,a\"",
     {BYTES("a", "A") BYTES("b", "") LABEL, BYTES("a", "A2") BYTES("b", "B2") LABEL},
     "/ |1 '' 'A' / |1 'B2' 'A2'"},
    {";text=image", {BYTES("image", "?") F32("x", "F1") BYTES("image", "jpeg")}, "/1 'jpeg'"},
    {";text=t;features=s",
     {SPARSE("s", "F1", "V1", "V2") BYTES("t", "x"),
      SPARSE("s", "F3", "V0", "V2") BYTES("t", "yz")},
     "/1:1 'x' /0:3 'yz'"},
    {";text=t;features=values;type=int32;weight=w",
     {INT("values", "V5") BYTES("t", "x") Y("w", "F2") Y("y", "F3")},
     "/5 |3 w2 'x'"},
};

/* --- rows as text -------------------------------------------------------------------------------
 */

struct text {
    char at[400];
    size_t count;
};

static void say(struct text *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct text *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(out->at + out->count, sizeof(out->at) - out->count, format, args);
    va_end(args);
    assert_true(len >= 0 && (size_t)len < sizeof(out->at) - out->count);
    out->count += (size_t)len;
}

/* Takes `size` bytes of a result's `more`. */
static void take(const uint8_t **more, void *out, size_t size)
{
    memcpy(out, *more, size);
    *more += size;
}

static double take_feature(const uint8_t **more, enum fmt_feature_type type)
{
    double f64;
    int32_t i32;
    uint8_t u8;
    if (type == FMT_F64) {
        take(more, &f64, sizeof(f64));
        return f64;
    }
    if (type == FMT_I32) {
        take(more, &i32, sizeof(i32));
        return i32;
    }
    take(more, &u8, sizeof(u8));
    return u8;
}

static void say_entries(struct text *out, const uint8_t **more)
{
    uint32_t count;
    take(more, &count, sizeof(count));
    const uint8_t *columns = *more;
    const uint8_t *values = *more + 4 * (size_t)count;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t column;
        float value;
        take(&columns, &column, sizeof(column));
        take(&values, &value, sizeof(value));
        say(out, "%s%u:%g", i == 0 ? "" : " ", column, (double)value);
    }
    *more = values;
}

static void say_row(struct text *out, const struct drive_result *r, size_t row,
                    const uint8_t **more)
{
    const struct fmt_shape *shape = &r->shape;
    const float *values = r->values + row * drive_columns(r);
    float weight = 0;
    say(out, "%s/", row == 0 ? "" : " ");
    for (uint32_t i = 0; !shape->sparse && i < shape->feature_dim; i++)
        say(out, "%s%.10g", i == 0 ? "" : " ",
            shape->type == FMT_F32 ? (double)*values++ : take_feature(more, shape->type));
    if (shape->weighted)
        take(more, &weight, sizeof(weight));
    if (shape->sparse)
        say_entries(out, more);
    for (uint32_t i = 0; i < shape->label_dim; i++)
        say(out, "%s%g", i == 0 ? " |" : " ", (double)*values++);
    if (shape->weighted)
        say(out, " w%g", (double)weight);
    for (uint32_t i = 0; i < shape->text_dim; i++) {
        uint32_t len;
        take(more, &len, sizeof(len));
        say(out, " '%.*s'", (int)len, (const char *)*more);
        *more += len;
    }
}

static void check_rows(const struct vector *vector, size_t count, const struct drive_result *r)
{
    struct text got = {.count = 0};
    const uint8_t *more = r->more;
    if (r->failed)
        fail_msg("%s, %s: %s", vector->parameters, vector->bodies[0], r->text);
    for (size_t row = 0; row < (vector->bodies[1] == NULL ? 1 : r->rows); row++)
        say_row(&got, r, row, &more);
    assert_int_equal(r->rows, count);
    if (strcmp(got.at, vector->rows) != 0)
        fail_msg("%s, %s: expected \"%s\", got \"%s\"", vector->parameters, vector->bodies[0],
                 vector->rows, got.at);
}

/* The vector's object; returns its records. */
static size_t put_vector(const struct vector *vector, struct bytes *object)
{
    size_t count = 0;
    bool alone = vector->bodies[1] == NULL;
    object->count = 0;
    for (; count < 3 && (alone || vector->bodies[count] != NULL); count++)
        put_record(object, vector->bodies[alone ? 0 : count]);
    return count;
}

static void test_vectors_give_their_rows_in_every_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(VECTORS) / sizeof(VECTORS[0]); i++) {
        const struct vector *vector = &VECTORS[i];
        struct bytes object;
        struct drive_result whole;
        struct drive_result expected;
        size_t count = put_vector(vector, &object);
        channel_set(vector->parameters);
        run(object.at, object.count, 1000, step_all, NULL, &whole);
        check_rows(vector, count, &whole);
        record_reference(&channel, object.at, object.count, &expected);
        expect_same(vector->bodies[0], "reference", i, &whole, &expected);
        check_splits(vector->bodies[0], object.at, object.count, &expected);
        check_truncations(vector->bodies[0], object.at, object.count, &expected);
        drive_result_free(&whole);
        drive_result_free(&expected);
    }
}

/* --- what is refused ----------------------------------------------------------------------------
 */

static const struct bad_vector {
    const char *parameters;
    const char *first; /* good; NULL: none */
    const char *body;
    const char *error;
} BAD_VECTORS[] = {
    {"", NULL, SPARSE("values", "F1", "V5", "V5"), "the key 5, its shape says 5"},
    {"", NULL, SPARSE("values", "F1", "V4294967296", "V5"), "the key 4294967296"},
    {"", NULL, SPARSE("values", "F1", "ffffffffffffffffff01", "V5"), "the key 184467440737095"},
    {"", NULL, SPARSE("values", "F1", "8080808080808080808001", "V5"), "not a protobuf message"},
    {"", NULL, SPARSE("values", "F1", "V1", "V65536 V65536"), "more than 4294967295"},
    {"", NULL, SPARSE("values", "F1", "V1", "V4294967296 V4294967296 V3"), "more than 4294967295"},
    {"", NULL, SPARSE("values", "F1", "V0", "V0"), "no feature values"},
    {"", NULL, SPARSE("values", "F1 F2", "V1", "V5"), "1 keys for 2 values"},
    {"", NULL, "0a(0a('values') 12(12(0a(F1) 12(V1))))", "keys, but no shape"},
    {"", SPARSE("values", "F1", "V1", "V5"), SPARSE("values", "F1", "V1", "V6"),
     "record has 6 features, the channel has 5"},
    {"", SPARSE("values", "F1", "V1", "V5"), F32("values", "F1 F2"),
     "record has 2 features, the channel has 5"},
    {"", F32("values", "F1 F2"), SPARSE("values", "F1", "V1", "V3"),
     "record has 3 features, the channel has 2"},
    {"", F32("values", "F1 F2"), SPARSE("values", "F1", "V2", "V2"), "the key 2"},
    {";type=int32", NULL, SPARSE("values", "F1", "V1", "V5"), "add layout=dense"},
    {";type=int32", NULL, F32("values", "F1 F1.5"), "number 1 of feature is none of type int32"},
    {";type=int32", NULL, F64("values", "D2147483648"), "none of type int32"},
    {";type=int32", NULL, F32("values", "F-2147483904"), "none of type int32"},
    {";type=int32", NULL, F64("values", "Dnan"), "none of type int32"},
    {";type=uint8", NULL, INT("values", "V256"), "none of type uint8"},
    {";type=uint8", NULL, INT("values", "V-1"), "none of type uint8"},
    {";type=uint8", NULL, F32("values", "Finf"), "none of type uint8"},
    {";type=uint8", F32("values", "F1"), F32("values", "F0.5"), "none of type uint8"},
    {";type=int32", NULL, INT("values", "8080808080808080808001"), "not a protobuf message"},
    {";features=\"a,b\"", NULL, F32("a", "F1"), "record has no feature \"b\""},
    {";features=\"a,b\"", NULL, F32("a", "F1") BYTES("b", "x"), "feature \"b\" is of type bytes"},
    {";features=\"a,b\"", F32("a", "F1 F2") F32("b", "F3"), F32("a", "F1") F32("b", "F2 F3"),
     "feature \"a\" has 1 values, the first record's has 2"},
    {";features=\"a,b\"", F32("a", "F1") F32("b", "F3"), F32("a", "F1") F32("b", "F3 F4"),
     "feature \"b\" has 2 values"},
    {";label=y", F32("values", "F1") Y("y", "F1"), F32("values", "F1"), "has 0 labels"},
    {";label=y", F32("values", "F1"), F32("values", "F1") Y("y", "F1"), "record has 1 label"},
    {"", NULL, F32("values", "F1") "12(12(12(0a(F1) 12(V0) 1a(V1))))", "label is sparse"},
    {"", NULL, F32("values", "F1") "12(12(12(1a(V1))))", "label is sparse"},
    {";weight=w", NULL, F32("values", "F1") LABEL, "has 0 weights, the channel has 1"},
    {";weight=w", NULL, F32("values", "F1") Y("w", "F1 F2"), "has 2 weights, the channel has 1"},
    {";text=a", NULL, F32("values", "F1"), "record has no feature \"a\""},
    {";text=a", NULL, F32("values", "F1") F32("a", "F1"), "feature \"a\" is a tensor"},
    {";text=a", NULL, "0a(0a('a') 12(4a(0a('x') 0a('y'))))", "has 2 byte strings, not one"},
    {";text=a", NULL, "0a(0a('a') 12(4a()))", "has 0 byte strings, not one"},
    {";text=a", BYTES("a", "x"), BYTES("a", "x") F32("v", "F1"),
     "record has 1 feature, the channel"},
    {";text=a", BYTES("a", "x") F32("v", "F1"), BYTES("a", "x"), "record has no feature"},
    {";text=a;features=v", NULL, BYTES("a", "x"), "record has no feature \"v\""},
};

static void test_bad_records_are_refused_with_a_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(BAD_VECTORS) / sizeof(BAD_VECTORS[0]); i++) {
        const struct bad_vector *vector = &BAD_VECTORS[i];
        struct bytes object = {0};
        struct drive_result got;
        struct drive_result expected;
        channel_set(vector->parameters);
        if (vector->first != NULL)
            put_record(&object, vector->first);
        size_t start = object.count;
        put_record(&object, vector->body);
        run(object.at, object.count, 10, step_all, NULL, &got);
        if (!got.failed || strstr(got.text, vector->error) == NULL)
            fail_msg("%s, %s: error '%s', expected '%s'", vector->parameters, vector->body,
                     got.text, vector->error);
        assert_int_equal(got.error_offset_bytes, start);
        record_reference(&channel, object.at, object.count, &expected);
        expect_same(vector->body, "reference", i, &got, &expected);
        drive_result_free(&got);
        drive_result_free(&expected);
    }
}

static void test_bad_parameters_are_refused_with_a_reason(void **state)
{
    (void)state;
    static const char *const CASES[][2] = {
        {"type=int64", "type must be float32, float64, int32 or uint8, not 'int64'"},
        {"layout=csr", "layout must be auto, dense or sparse"},
        {"features=", "features is empty"},
        {"features=\"a,,b\"", "features has an empty name"},
        {"features=\"a,b,a\"", "\"a\" is named twice"},
        {"features=\"a,b\";text=b", "\"b\" is named twice, again in text"},
        {"label=y;weight=y", "label and weight are both \"y\""},
        {"layout=sparse;type=int32", "entries of layout=sparse are float32"},
        {"framed=yes", "framed must be false or true"},
        {"framed=true;type=int32", "framed=true leaves records as they are"},
        {"framed=true;features=\"a,b\"", "framed=true leaves records as they are"},
        {"colour=red", "no parameter colour: it has type, layout, features"},
        {"features=\"0,1,2,3,4,5,6,7,8,9,a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v,w\"",
         "features has more than 32 names"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        char content_type[200];
        struct fmt_options options;
        struct fmt_error error = {.text = ""};
        (void)snprintf(content_type, sizeof(content_type), "application/x-recordio-protobuf;%s",
                       CASES[i][0]);
        assert_int_equal(fmt_options_parse(content_type, &options, &error), FMT_E_ARGUMENT);
        if (strstr(error.text, CASES[i][1]) == NULL)
            fail_msg("%s: '%s'", CASES[i][0], error.text);
    }
}

/* --- against protobuf-c -------------------------------------------------------------------------
 */

/* Objects whose last record is damaged, in the channel that the vector is for; and that record by
 * the walker alone. PENSTOCK_MUTATIONS: how many, in place of few. */
static void test_decoder_agrees_with_protobuf_c_on_damaged_records(void **state)
{
    (void)state;
    const char *wanted = getenv("PENSTOCK_MUTATIONS");
    const char *first_seed = getenv("PENSTOCK_MUTATION_SEED");
    uint32_t count = wanted != NULL ? (uint32_t)strtoul(wanted, NULL, 10) : 40000;
    uint32_t failed = 0;
    uint32_t walked = 0;
    enum { VECTOR_COUNT = sizeof(VECTORS) / sizeof(VECTORS[0]), EACH = 50 };
    if (first_seed != NULL)
        seed += strtoull(first_seed, NULL, 10) * 2;
    for (uint32_t i = 0; i < count; i++) {
        const struct vector *vector = &VECTORS[i / EACH % VECTOR_COUNT];
        struct bytes object;
        struct drive_result expected;
        struct drive_result got;
        if (i % EACH == 0)
            channel_set(vector->parameters);
        size_t records = put_vector(vector, &object);
        const char *last = vector->bodies[vector->bodies[1] == NULL ? 0 : records - 1];
        struct bytes body = {.count = 0};
        struct bytes frame = {.count = 0};
        put_notation(&body, last);
        put_frame(&frame, 0, body.at, body.count);
        object.count -= frame.count;
        for (uint32_t n = below(4) == 0 ? 3 : 1; n > 0 && body.count > 0; n--)
            damage(body.at, &body.count, 1024);
        frame.count = 0;
        put_frame(&frame, 0, body.at, body.count);
        if (below(4) == 0)
            damage(frame.at, &frame.count, 1024);
        put_bytes(&object, frame.at, frame.count);
        record_reference(&channel, object.at, object.count, &expected);
        run(object.at, object.count, 1 + below(4), step_all, NULL, &got);
        expect_same(vector->bodies[0], "damage no.", i, &got, &expected);
        failed += got.failed;
        drive_result_free(&got);
        drive_result_free(&expected);
        const uint8_t *in = memcpy(arena + ARENA_BYTES - body.count, body.at, body.count);
        enum walk_check found = walk_check(in, body.count, &fmt_record_options(&channel)->query);
        assert_int_not_equal(found, WALK_DIFFERS);
        walked += found == WALK_AGREES;
    }
    print_message("%u damaged records: %u refused, %u accepted by the walker\n", count, failed,
                  walked);
    assert_in_range(failed, count / 5, count / 10 * 9);
    assert_true(walked > count / 10);
}

static int close_channel(void **state)
{
    (void)state;
    fmt_options_free(&channel);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors_give_their_rows_in_every_split),
        cmocka_unit_test(test_bad_records_are_refused_with_a_reason),
        cmocka_unit_test(test_bad_parameters_are_refused_with_a_reason),
        cmocka_unit_test(test_decoder_agrees_with_protobuf_c_on_damaged_records),
    };
    return cmocka_run_group_tests(tests, arena_make, close_channel);
}
