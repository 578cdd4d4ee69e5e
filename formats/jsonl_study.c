/* SPDX-License-Identifier: Apache-2.0 */
/* formats/jsonl_study.c - makes a template of a line. See jsonl_template.h. */
#include "formats/jsonl_read.h"
#include "formats/jsonl_template.h"

#include <stdlib.h>
#include <string.h>

/* A layout of more than this is none worth keeping. */
#define STEPS_MAX 65536u
#define BYTES_MAX ((size_t)1 << 20)

struct jsonl_template *fmt_jsonl_template_new(const struct fmt_jsonl_options *options)
{
    struct jsonl_template *t = calloc(1, sizeof(*t));

    if (t == NULL)
        return NULL;
    t->options = options;
    t->seen = malloc(options->node_count);
    t->missing = malloc((options->target_count + 1) * sizeof(*t->missing));
    if (t->seen != NULL && t->missing != NULL)
        return t;
    fmt_jsonl_template_free(t);
    return NULL;
}

void fmt_jsonl_template_free(struct jsonl_template *t)
{
    if (t == NULL)
        return;
    free(t->steps);
    free(t->bytes);
    free(t->seen);
    free(t->missing);
    free(t);
}

/* A line on its way to a template. */
struct study {
    struct jsonl_template *t;
    const uint8_t *done; /* literals and values up to here are in the template */
    uint32_t target;     /* whose numbers come */
    uint32_t numbers;    /* of it so far */
};

static bool make_room(struct jsonl_template *t, size_t literal_bytes)
{
    if (t->step_count == t->step_room) {
        uint32_t room = t->step_room == 0 ? 16 : t->step_room * 2;
        struct step *steps =
            room > STEPS_MAX ? NULL : realloc(t->steps, (size_t)room * sizeof(*steps));

        if (steps == NULL)
            return false;
        t->steps = steps;
        t->step_room = room;
    }
    size_t wanted = t->byte_count + literal_bytes + LITERAL_SPARE;

    if (wanted > t->byte_room) {
        uint8_t *bytes = wanted > BYTES_MAX ? NULL : realloc(t->bytes, 2 * wanted);

        if (bytes == NULL)
            return false;
        t->bytes = bytes;
        t->byte_room = 2 * wanted;
    }
    return true;
}

/* Adds the value [from, to), and as a literal what lies between it and the last one. */
static bool add_step(struct study *s, struct step step, const uint8_t *from, const uint8_t *to)
{
    struct jsonl_template *t = s->t;
    size_t literal_bytes = (size_t)(from - s->done);

    if (!make_room(t, literal_bytes))
        return false;
    step.literal_at = t->byte_count;
    step.literal_bytes = (uint32_t)literal_bytes;
    memcpy(t->bytes + t->byte_count, s->done, literal_bytes);
    t->byte_count += literal_bytes;
    t->steps[t->step_count++] = step;
    s->done = to;
    return true;
}

static const uint8_t *value_end(const struct fmt_json_value *value)
{
    return value->bytes + value->len_bytes + (value->kind == FMT_JSON_STRING);
}

static bool add_value(struct study *s, struct step step, const struct fmt_json_value *value)
{
    return add_step(s, step, fmt_jsonl_value_begin(value), value_end(value));
}

static bool study_next(struct fmt_json *json, struct fmt_json_value *name,
                       struct fmt_json_value *value)
{
    return fmt_json_next(json, name, value, NULL) == FMT_OK && value->kind != FMT_JSON_NONE;
}

static void study_enter(struct fmt_json *json, const struct fmt_json_value *value)
{
    fmt_json_begin(json, value->bytes, value->len_bytes);
    json->number_words = true;
    (void)fmt_json_enter(json, value->kind == FMT_JSON_OBJECT ? '{' : '[', NULL);
}

/* Arrays of a fixed size: a step for each row of numbers. */
static bool study_numbers(struct study *s, const struct fmt_json_value *array)
{
    struct fmt_json_value value;
    const uint8_t *from = NULL;
    const uint8_t *to = NULL;
    struct fmt_json json;
    uint32_t count = 0;

    study_enter(&json, array);
    while (study_next(&json, NULL, &value)) {
        if (value.kind == FMT_JSON_ARRAY) {
            if (!study_numbers(s, &value))
                return false;
            continue;
        }
        if (count++ == 0)
            from = fmt_jsonl_value_begin(&value);
        to = value_end(&value);
    }
    if (count == 0)
        return true;
    struct step step = {
        .kind = STEP_NUMBERS, .target = s->target, .first = s->numbers, .count = count};

    s->numbers += count;
    return add_step(s, step, from, to);
}

/* An array of any size: what is between its brackets is the value. */
static bool study_list(struct study *s, enum step_kind kind, const struct fmt_json_value *array)
{
    struct fmt_json_value value;
    const uint8_t *from = array->bytes + 1;
    const uint8_t *to = from;
    struct fmt_json json;

    study_enter(&json, array);
    for (bool first = true; study_next(&json, NULL, &value); first = false) {
        if (value.kind == FMT_JSON_ARRAY)
            return false;
        from = first ? fmt_jsonl_value_begin(&value) : from;
        to = value_end(&value);
    }
    return add_step(s, (struct step){.kind = kind, .target = s->target}, from, to);
}

static bool study_tensor(struct study *s, const struct fmt_json_value *object, bool sparse)
{
    bool seen[3] = {false, false, false};
    struct fmt_json_value name;
    struct fmt_json_value value;
    struct fmt_json json;

    study_enter(&json, object);
    while (study_next(&json, &name, &value)) {
        unsigned which = fmt_json_is(&name, "values", 6)  ? 0
                         : fmt_json_is(&name, "keys", 4)  ? 1
                         : fmt_json_is(&name, "shape", 5) ? 2
                                                          : 3;
        bool array = value.kind == FMT_JSON_ARRAY;
        bool good = true;

        if (which < 3) {
            if (seen[which] || (which < 2 && sparse && !array))
                return false;
            seen[which] = true;
        }
        if (which == 3)
            good = add_value(s, (struct step){.kind = STEP_SKIP}, &value);
        else if (which == 0 && sparse)
            good = study_list(s, STEP_VALUES, &value);
        else if (which == 1 && sparse)
            good = study_list(s, STEP_KEYS, &value);
        else if (which == 0)
            good = array && study_numbers(s, &value);
        /* What is left, the shape and the keys of dense values, has to be the same in each line. */
        if (!good)
            return false;
    }
    return !sparse || (seen[0] && seen[1]);
}

static bool study_target(struct study *s, uint32_t target_no, uint32_t slot,
                         const struct fmt_json_value *value)
{
    const struct jsonl_target *target = &s->t->options->targets[target_no];
    bool sparse = target->kind == JSONL_FEATURE && s->t->options->sparse;

    s->target = target_no;
    s->numbers = 0;
    if (target->absent)
        return add_value(s, (struct step){.kind = STEP_SKIP}, value);
    if (target->kind == JSONL_TEXT)
        return add_value(s, (struct step){.kind = STEP_TEXT, .slot = slot}, value);
    if (value->kind == FMT_JSON_OBJECT)
        return study_tensor(s, value, sparse) && (sparse || s->numbers == target->dim);
    if (sparse)
        return false;
    if (value->kind == FMT_JSON_ARRAY)
        return study_numbers(s, value) && s->numbers == target->dim;
    struct step step = {.kind = STEP_NUMBERS, .target = target_no, .count = 1};

    return target->dim == 1 && add_value(s, step, value);
}

/* The members, or elements, of what `json` has entered. */
static bool study_members(struct study *s, struct fmt_json *json, uint32_t node_no)
{
    const struct fmt_jsonl_options *o = s->t->options;
    struct fmt_json_value name;
    struct fmt_json_value value;
    bool object = json->in_object;

    for (uint32_t index = 0; study_next(json, &name, &value); index++) {
        uint32_t child = fmt_jsonl_child(o, node_no, object ? &name : NULL, index);
        bool good;

        if (child != JSONL_NONE && s->t->seen[child])
            return false;
        if (child != JSONL_NONE)
            s->t->seen[child] = 1;
        if (child != JSONL_NONE && o->nodes[child].slot != JSONL_NONE) {
            uint32_t slot = o->nodes[child].slot;

            good = study_target(s, o->slot_targets[slot], slot, &value);
        } else if (child != JSONL_NONE &&
                   (value.kind == FMT_JSON_OBJECT || value.kind == FMT_JSON_ARRAY)) {
            struct fmt_json inner;

            study_enter(&inner, &value);
            good = study_members(s, &inner, child);
        } else {
            enum step_kind kind = child == JSONL_NONE ? STEP_SKIP : STEP_SCALAR;

            good = add_value(s, (struct step){.kind = kind}, &value);
        }
        if (!good)
            return false;
    }
    return true;
}

/* Which targets the line lacks. False if one of them stands in several of its places. */
static bool note_missing(struct jsonl_template *t, bool array)
{
    const struct fmt_jsonl_options *o = t->options;

    t->missing_count = 0;
    for (uint32_t i = 0; i < o->target_count; i++) {
        const struct jsonl_target *target = &o->targets[i];
        uint32_t places = array && o->root_slot - target->slot < target->slots;

        for (uint32_t n = 0; n < o->node_count; n++)
            places += t->seen[n] && o->nodes[n].slot - target->slot < target->slots;
        if (places > 1)
            return false;
        if (places == 0 && !target->absent)
            t->missing[t->missing_count++] = i;
    }
    return true;
}

static bool study_line(struct study *s, const uint8_t *in, size_t len)
{
    const struct fmt_jsonl_options *o = s->t->options;
    struct fmt_json_value line;
    struct fmt_json json;
    bool good;

    fmt_json_begin(&json, in, len);
    json.number_words = true;
    if (fmt_json_pass(&json, &line, NULL) != FMT_OK)
        return false;
    bool array = line.kind == FMT_JSON_ARRAY;

    if (array && o->root_slot != JSONL_NONE) {
        good = study_target(s, o->slot_targets[o->root_slot], o->root_slot, &line);
    } else {
        study_enter(&json, &line);
        good = study_members(s, &json, 0);
    }
    return good && note_missing(s->t, array) &&
           add_step(s, (struct step){.kind = STEP_END}, line.bytes + line.len_bytes, NULL);
}

void fmt_jsonl_template_learn(struct jsonl_template *t, const uint8_t *in, size_t len)
{
    struct study s = {.t = t, .done = in};

    t->step_count = 0;
    t->byte_count = 0;
    memset(t->seen, 0, t->options->node_count);
    if (!study_line(&s, in, len)) {
        t->step_count = 0;
        return;
    }
    memset(t->bytes + t->byte_count, 0, LITERAL_SPARE);
}
