/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/plan.c - see plan.h. Objects live in blocks that double in count, so that growing never
 * moves one, and block number and offset of index i follow from the position of i's highest bit. */
#include "pipe/plan.h"

#include "pipe/fnv.h"
#include "pipe/permute.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BLOCK_BITS 8 /* block b holds 2^(8 + b) objects */
#define BLOCKS_MAX 40
#define TEXT_BLOCK_BYTES ((size_t)64 << 10)

struct text_block {
    struct text_block *next;
    size_t used_bytes;
    char text[];
};

struct ps_plan {
    struct ps_plan_config config;
    pthread_mutex_t lock; /* guards all below; held for a few loads and stores only */
    struct ps_object *blocks[BLOCKS_MAX];
    uint64_t count;
    uint64_t unsized_count;
    uint64_t left_out_count;
    uint64_t empty_count;
    struct text_block *texts;
    uint64_t hashed_count;
    uint64_t hashed; /* of so many objects */
    bool complete;
    bool failed;
    struct penstock_error error;
};

struct ps_plan *ps_plan_new(const struct ps_plan_config *config)
{
    struct ps_plan *plan = calloc(1, sizeof *plan);

    if (!plan)
        return NULL;
    plan->config = *config;
    pthread_mutex_init(&plan->lock, NULL);
    return plan;
}

void ps_plan_free(struct ps_plan *plan)
{
    if (!plan)
        return;
    for (size_t b = 0; b < BLOCKS_MAX; b++)
        free(plan->blocks[b]);
    while (plan->texts) {
        struct text_block *next = plan->texts->next;

        free(plan->texts);
        plan->texts = next;
    }
    pthread_mutex_destroy(&plan->lock);
    free(plan);
}

/* Copies bytes into the plan's own memory; NULL when memory is out. */
static const void *keep_bytes(struct ps_plan *plan, const void *bytes, size_t len_bytes)
{
    struct text_block *block = plan->texts;

    if (!block || TEXT_BLOCK_BYTES - block->used_bytes < len_bytes) {
        size_t room_bytes = len_bytes > TEXT_BLOCK_BYTES ? len_bytes : TEXT_BLOCK_BYTES;

        block = malloc(sizeof *block + room_bytes);
        if (!block)
            return NULL;
        block->next = plan->texts;
        block->used_bytes = 0;
        plan->texts = block;
    }
    char *copy = block->text + block->used_bytes;

    if (len_bytes > 0)
        memcpy(copy, bytes, len_bytes);
    block->used_bytes =
        len_bytes > TEXT_BLOCK_BYTES ? TEXT_BLOCK_BYTES : block->used_bytes + len_bytes;
    return copy;
}

/* The same, where a struct may lie. */
static const void *keep_struct(struct ps_plan *plan, const void *from, size_t len_bytes)
{
    struct text_block *block = plan->texts;

    if (block && block->used_bytes < TEXT_BLOCK_BYTES)
        block->used_bytes = (block->used_bytes + 7) & ~(size_t)7;
    return keep_bytes(plan, from, len_bytes);
}

static const char *keep_text(struct ps_plan *plan, const char *text)
{
    return keep_bytes(plan, text, strlen(text) + 1);
}

/* The place of object `index`; its block may not exist yet (*block_no tells which). */
static struct ps_object *place(struct ps_plan *plan, uint64_t index, size_t *block_no)
{
    uint64_t shifted = index + (UINT64_C(1) << FIRST_BLOCK_BITS);
    unsigned top_bit = 63 - (unsigned)__builtin_clzll(shifted);

    *block_no = top_bit - FIRST_BLOCK_BITS;
    return plan->blocks[*block_no] ? plan->blocks[*block_no] + (shifted - (UINT64_C(1) << top_bit))
                                   : NULL;
}

/* The place of the next object, in a block made for it if need be; NULL when memory is out. */
static struct ps_object *new_place(struct ps_plan *plan, uint64_t index)
{
    size_t block_no;
    struct ps_object *object = place(plan, index, &block_no);

    if (object || block_no >= BLOCKS_MAX)
        return object;
    plan->blocks[block_no] = calloc((size_t)1 << (FIRST_BLOCK_BITS + block_no), sizeof *object);
    return plan->blocks[block_no]; /* its first place: blocks are made when they are reached */
}

static struct ps_object *object_no(struct ps_plan *plan, uint64_t index)
{
    size_t block_no;

    return place(plan, index, &block_no);
}

/* Notes which slice of the object is read. False when memory is out. */
static bool set_slice(struct ps_plan *plan, struct ps_object *object, const struct ps_slice *given)
{
    const struct ps_plan_config *config = &plan->config;

    if (config->split_count == 0 && !given)
        return true;
    struct ps_slice slice =
        given ? *given : ps_slice_of(object->size_bytes, config->split_index, config->split_count);

    object->slice = keep_struct(plan, &slice, sizeof slice);
    return object->slice;
}

int ps_plan_add(struct ps_plan *plan, uint32_t source_no, const char *key, const char *etag,
                uint64_t size_bytes)
{
    return ps_plan_add_slice(plan, source_no, key, etag, size_bytes, NULL);
}

int ps_plan_add_slice(struct ps_plan *plan, uint32_t source_no, const char *key, const char *etag,
                      uint64_t size_bytes, const struct ps_slice *slice)
{
    size_t key_bytes = strlen(key);
    int rc = PENSTOCK_E_MEMORY;

    if (!plan->config.fifos && key_bytes > 0 && key[key_bytes - 1] == '/')
        return PENSTOCK_OK;
    pthread_mutex_lock(&plan->lock);
    if (!plan->config.fifos && !plan->config.empty_items && size_bytes == 0) {
        plan->empty_count++;
        pthread_mutex_unlock(&plan->lock);
        return PENSTOCK_OK;
    }
    const char *key_copy = keep_text(plan, key);
    const char *etag_copy = keep_text(plan, etag);
    struct ps_object *object = new_place(plan, plan->count);

    if (key_copy && etag_copy && object) {
        *object = (struct ps_object){.key = key_copy,
                                     .etag = etag_copy,
                                     .size_bytes = size_bytes,
                                     .source_no = source_no,
                                     .uri_no = source_no};
        if (set_slice(plan, object, slice)) {
            plan->count++;
            rc = PENSTOCK_OK;
        }
    }
    pthread_mutex_unlock(&plan->lock);
    return rc;
}

/* Copies an item to its place. Lock held. */
static bool add_item(struct ps_plan *plan, uint64_t index, const struct ps_object *item)
{
    bool is_value = item->state == PS_OBJECT_VALUE;
    struct ps_object *object = new_place(plan, index);
    const char *key = is_value ? item->key : keep_text(plan, item->key);
    const void *value = is_value ? keep_bytes(plan, item->value, item->size_bytes) : "";

    if (!object || !key || !value)
        return false;
    *object = *item;
    object->key = key;
    object->value = value;
    return true;
}

int ps_plan_add_unit(struct ps_plan *plan, const struct ps_object *items)
{
    uint8_t unsized = 0;
    bool good = true;

    pthread_mutex_lock(&plan->lock);
    for (uint32_t i = 0; good && i < plan->config.unit_items; i++) {
        good = add_item(plan, plan->count + i, &items[i]);
        unsized = (uint8_t)(unsized + (items[i].state == PS_OBJECT_UNSIZED));
    }
    if (good) {
        object_no(plan, plan->count)->unsized = unsized;
        plan->count += plan->config.unit_items;
        plan->unsized_count += unsized;
    }
    pthread_mutex_unlock(&plan->lock);
    return good ? PENSTOCK_OK : PENSTOCK_E_MEMORY;
}

void ps_plan_end_fifo(struct ps_plan *plan, uint64_t size_bytes)
{
    pthread_mutex_lock(&plan->lock);
    object_no(plan, plan->count - 1)->size_bytes = size_bytes;
    pthread_mutex_unlock(&plan->lock);
}

void ps_plan_complete(struct ps_plan *plan)
{
    pthread_mutex_lock(&plan->lock);
    plan->complete = true;
    pthread_mutex_unlock(&plan->lock);
}

void ps_plan_fail(struct ps_plan *plan, const struct penstock_error *error)
{
    pthread_mutex_lock(&plan->lock);
    plan->error = *error;
    plan->failed = true;
    pthread_mutex_unlock(&plan->lock);
}

/* The index of the item at the cursor in the listing. Lock held. */
static enum ps_plan_answer index_at(struct ps_plan *plan, const struct ps_cursor *cursor,
                                    uint64_t *index)
{
    const struct ps_plan_config *config = &plan->config;
    uint64_t items = config->unit_items > 1 ? config->unit_items : 1;
    uint64_t item = items > 1 ? cursor->index % items : 0;
    uint64_t unit = items > 1 ? cursor->index / items : cursor->index;
    uint64_t units = items > 1 ? plan->count / items : plan->count;
    uint64_t order_no =
        config->fifos ? cursor->epoch : unit * config->shard_count + config->shard_index;
    bool needs_count = config->shuffle || config->unit_items > 0;

    if (config->epochs != 0 && cursor->epoch >= config->epochs)
        return PS_PLAN_END;
    if (config->fifos && cursor->index > 0)
        return PS_PLAN_EPOCH_END;
    /* Shuffled, no place in the order is known before the count is. */
    if (needs_count ? !plan->complete : order_no >= units && !plan->complete)
        return plan->failed ? PS_PLAN_FAILED : PS_PLAN_WAIT;
    if (order_no >= units)
        return PS_PLAN_EPOCH_END;
    if (config->shuffle)
        order_no = ps_permute(order_no, units, ps_permute_key(config->seed, cursor->epoch));
    *index = order_no * items + item;
    return PS_PLAN_OBJECT;
}

/* The first item of the unit that item `index` belongs to. */
static struct ps_object *first_of(struct ps_plan *plan, uint64_t index)
{
    uint32_t items = plan->config.unit_items;

    return object_no(plan, items > 1 ? index - index % items : index);
}

enum ps_plan_answer ps_plan_at(struct ps_plan *plan, const struct ps_cursor *cursor,
                               const struct ps_object **object)
{
    uint64_t index;

    pthread_mutex_lock(&plan->lock);
    enum ps_plan_answer answer = index_at(plan, cursor, &index);

    if (answer == PS_PLAN_OBJECT && plan->unsized_count > 0 && first_of(plan, index)->unsized > 0)
        answer = plan->failed ? PS_PLAN_FAILED : PS_PLAN_WAIT;
    else if (answer == PS_PLAN_OBJECT)
        *object = object_no(plan, index);
    pthread_mutex_unlock(&plan->lock);
    return answer;
}

/* ---- sizes ---- */

enum ps_plan_answer ps_plan_ask(struct ps_plan *plan, const struct ps_cursor *cursor,
                                const struct ps_object **object, bool *unsized)
{
    uint64_t index;

    *unsized = false;
    pthread_mutex_lock(&plan->lock);
    enum ps_plan_answer answer = index_at(plan, cursor, &index);

    if (answer == PS_PLAN_OBJECT) {
        struct ps_object *found = object_no(plan, index);

        *object = found;
        *unsized = found->state == PS_OBJECT_UNSIZED;
        if (*unsized)
            found->state = PS_OBJECT_ASKED;
    }
    pthread_mutex_unlock(&plan->lock);
    return answer;
}

/* One item less to wait for. Lock held. */
static void settle(struct ps_plan *plan, uint64_t index)
{
    first_of(plan, index)->unsized--;
    plan->unsized_count--;
}

int ps_plan_size(struct ps_plan *plan, const struct ps_cursor *cursor, uint64_t size_bytes,
                 const char *etag)
{
    int rc = PENSTOCK_OK;
    uint64_t index;

    pthread_mutex_lock(&plan->lock);
    if (index_at(plan, cursor, &index) == PS_PLAN_OBJECT &&
        object_no(plan, index)->state == PS_OBJECT_ASKED) {
        struct ps_object *object = object_no(plan, index);
        bool left_out = size_bytes == 0 && !plan->config.empty_items;

        object->etag = keep_text(plan, etag);
        object->size_bytes = size_bytes;
        object->state = left_out ? PS_OBJECT_LEFT_OUT : PS_OBJECT_LISTED;
        plan->left_out_count += left_out;
        settle(plan, index);
        rc = object->etag && set_slice(plan, object, NULL) ? PENSTOCK_OK : PENSTOCK_E_MEMORY;
    }
    pthread_mutex_unlock(&plan->lock);
    return rc;
}

bool ps_plan_leave_out(struct ps_plan *plan, const struct ps_cursor *cursor)
{
    uint32_t items = plan->config.unit_items;
    bool left_out = false;
    uint64_t index;

    pthread_mutex_lock(&plan->lock);
    if (index_at(plan, cursor, &index) == PS_PLAN_OBJECT &&
        object_no(plan, index)->state == PS_OBJECT_ASKED) {
        uint64_t first = index - index % items;

        left_out = true;
        for (uint64_t i = first; i < first + items; i++) {
            struct ps_object *object = object_no(plan, i);

            if (object->state == PS_OBJECT_UNSIZED || object->state == PS_OBJECT_ASKED)
                settle(plan, i);
            object->state = PS_OBJECT_LEFT_OUT;
            object->size_bytes = 0;
        }
        plan->left_out_count += items;
    }
    pthread_mutex_unlock(&plan->lock);
    return left_out;
}

uint64_t ps_plan_unsized(struct ps_plan *plan)
{
    pthread_mutex_lock(&plan->lock);
    uint64_t count = plan->unsized_count;

    pthread_mutex_unlock(&plan->lock);
    return count;
}

uint64_t ps_plan_hash(struct ps_plan *plan, ps_plan_hash_fn hash, const void *cookie,
                      uint64_t *count, bool *complete)
{
    pthread_mutex_lock(&plan->lock);
    uint64_t most = *count < plan->count ? *count : plan->count;

    if (plan->hashed_count == 0 || plan->hashed_count > most) {
        plan->hashed_count = 0;
        plan->hashed = PS_FNV_BASIS;
    }
    for (; plan->hashed_count < most; plan->hashed_count++)
        plan->hashed = hash(cookie, plan->hashed, object_no(plan, plan->hashed_count));
    uint64_t hashed = plan->hashed;

    *count = most;
    *complete = plan->complete;
    pthread_mutex_unlock(&plan->lock);
    return hashed;
}

const struct penstock_error *ps_plan_error(const struct ps_plan *plan)
{
    return &plan->error;
}

uint64_t ps_plan_empty_count(struct ps_plan *plan)
{
    pthread_mutex_lock(&plan->lock);
    uint64_t count = plan->empty_count;

    pthread_mutex_unlock(&plan->lock);
    return count;
}

uint64_t ps_plan_count(struct ps_plan *plan)
{
    pthread_mutex_lock(&plan->lock);
    uint64_t count = plan->count - plan->left_out_count;

    pthread_mutex_unlock(&plan->lock);
    return count;
}
