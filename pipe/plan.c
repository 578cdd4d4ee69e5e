/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/plan.c - see plan.h. Objects live in blocks that double in count, so that growing never
 * moves one, and block number and offset of index i follow from the position of i's highest bit. */
#include "pipe/plan.h"

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
    struct text_block *texts;
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

/* Copies text into the plan's own memory; NULL when memory is out. */
static const char *keep_text(struct ps_plan *plan, const char *text)
{
    size_t len_bytes = strlen(text) + 1;
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

    memcpy(copy, text, len_bytes);
    block->used_bytes =
        len_bytes > TEXT_BLOCK_BYTES ? TEXT_BLOCK_BYTES : block->used_bytes + len_bytes;
    return copy;
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

int ps_plan_add(struct ps_plan *plan, uint32_t source_no, const char *key, const char *etag,
                uint64_t size_bytes)
{
    size_t key_bytes = strlen(key);
    int rc = PENSTOCK_E_MEMORY;
    size_t block_no;

    if (!plan->config.fifos && (size_bytes == 0 || (key_bytes > 0 && key[key_bytes - 1] == '/')))
        return PENSTOCK_OK;
    pthread_mutex_lock(&plan->lock);
    const char *key_copy = keep_text(plan, key);
    const char *etag_copy = keep_text(plan, etag);
    struct ps_object *object = place(plan, plan->count, &block_no);

    if (!object && block_no < BLOCKS_MAX) {
        plan->blocks[block_no] = calloc((size_t)1 << (FIRST_BLOCK_BITS + block_no), sizeof *object);
        object = plan->blocks[block_no];
    }
    if (key_copy && etag_copy && object) {
        *object = (struct ps_object){
            .key = key_copy, .etag = etag_copy, .size_bytes = size_bytes, .source_no = source_no};
        plan->count++;
        rc = PENSTOCK_OK;
    }
    pthread_mutex_unlock(&plan->lock);
    return rc;
}

void ps_plan_end_fifo(struct ps_plan *plan, uint64_t size_bytes)
{
    size_t block_no;

    pthread_mutex_lock(&plan->lock);
    place(plan, plan->count - 1, &block_no)->size_bytes = size_bytes;
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

/* Answers with the lock held. */
static enum ps_plan_answer object_at(struct ps_plan *plan, const struct ps_cursor *cursor,
                                     const struct ps_object **object)
{
    const struct ps_plan_config *config = &plan->config;
    uint64_t order_no =
        config->fifos ? cursor->epoch : cursor->index * config->shard_count + config->shard_index;
    size_t block_no;

    if (config->epochs != 0 && cursor->epoch >= config->epochs)
        return PS_PLAN_END;
    if (config->fifos && cursor->index > 0)
        return PS_PLAN_EPOCH_END;
    /* Shuffled, no place in the order is known before the count is. */
    if (config->shuffle ? !plan->complete : order_no >= plan->count && !plan->complete)
        return plan->failed ? PS_PLAN_FAILED : PS_PLAN_WAIT;
    if (order_no >= plan->count)
        return PS_PLAN_EPOCH_END;
    if (config->shuffle)
        order_no = ps_permute(order_no, plan->count, ps_permute_key(config->seed, cursor->epoch));
    *object = place(plan, order_no, &block_no);
    return PS_PLAN_OBJECT;
}

enum ps_plan_answer ps_plan_at(struct ps_plan *plan, const struct ps_cursor *cursor,
                               const struct ps_object **object)
{
    pthread_mutex_lock(&plan->lock);
    enum ps_plan_answer answer = object_at(plan, cursor, object);

    pthread_mutex_unlock(&plan->lock);
    return answer;
}

const struct penstock_error *ps_plan_error(const struct ps_plan *plan)
{
    return &plan->error;
}

uint64_t ps_plan_count(struct ps_plan *plan)
{
    pthread_mutex_lock(&plan->lock);
    uint64_t count = plan->count;

    pthread_mutex_unlock(&plan->lock);
    return count;
}
