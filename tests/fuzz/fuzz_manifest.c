/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_manifest.c - any bytes as a manifest: whole units in the plan, each with a source
 * and a key or a value, or an error that says where.
 *
 * The first byte chooses: S3 or files, a manifest or lines, and what becomes of bad ones. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pipe/engine.h"
#include "pipe/manifest.h"
#include "pipe/references.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char name_a[] = "a-ref", name_b[] = "b", channel_name[] = "train", uri_text[] = "manifest";
static char *names[] = {name_a, name_b};

static void require(bool truth)
{
    if (!truth)
        abort();
}

static void check_item(const struct ps_channel *ch, const struct ps_object *item)
{
    uint32_t sources = (uint32_t)(ch->source_count + ch->reference_count);

    require(item->source_no < sources && item->uri_no == 0 && item->line_no > 0);
    if (item->state == PS_OBJECT_VALUE) {
        require(item->key == name_b);
        return;
    }
    require(item->state == PS_OBJECT_UNSIZED || item->state == PS_OBJECT_ASKED);
    require(*item->key && strlen(item->key) <= PS_PATH_BYTES_MAX);
    require(ch->sources[item->source_no].uri.kind == ch->sources[0].uri.kind);
}

static void check_plan(struct ps_channel *ch)
{
    uint64_t count = ps_plan_count(ch->plan);
    const struct ps_object *item;
    bool unsized;

    require(count % (ch->attribute_count ? ch->attribute_count : 1) == 0);
    ps_plan_complete(ch->plan);
    for (uint64_t i = 0; i < count; i++) {
        const struct ps_cursor cursor = {.index = i};

        require(ps_plan_ask(ch->plan, &cursor, &item, &unsized) == PS_PLAN_OBJECT);
        require(unsized == (item->state == PS_OBJECT_ASKED));
        check_item(ch, item);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ps_channel channel;
    static struct penstock stream;
    uint8_t choice = size > 0 ? data[0] : 0;
    struct penstock_error error = {.rc = PENSTOCK_OK};
    struct ps_channel *ch = &channel;
    size_t len = size > 0 ? size - 1 : 0;
    uint8_t *text = malloc(len + !len);
    bool lines = (choice & 1) != 0;

    stream.account.region[0] = 'r';
    ch->stream = &stream;
    ch->name = channel_name;
    ch->source_count = 1;
    ch->data_type = lines ? PS_DATA_AUGMENTED : PS_DATA_MANIFEST;
    ch->attribute_names = names;
    ch->attribute_count = lines ? 2 : 0;
    ch->skip_bad_lines = lines && (choice & 4);
    ch->config.uri_count = 1;
    const struct ps_plan_config plan = {
        .shard_count = 1, .epochs = 1, .unit_items = lines ? 2 : 1, .empty_items = lines};

    ch->sources = calloc(ps_references_room(ch), sizeof *ch->sources);
    ch->plan = ps_plan_new(&plan);
    if (!text || !ch->sources || !ch->plan)
        abort();
    ch->sources[0].text = uri_text;
    ch->sources[0].uri.kind = choice & 2 ? PS_URI_FILE : PS_URI_S3;
    if (len > 0)
        memcpy(text, data + 1, len);

    int rc = ps_manifest_read(ch, 0, text, len, &error);

    require(rc == PENSTOCK_OK || (rc == PENSTOCK_E_FORMAT && error.rc == rc));
    require(rc == PENSTOCK_OK || strstr(error.message, "manifest"));
    check_plan(ch);
    for (size_t i = 1; i <= ch->reference_count; i++)
        ps_source_close(&ch->sources[i]);
    ch->reference_count = 0;
    ps_budget_free(&stream.budgets);
    ps_plan_free(ch->plan);
    free(ch->sources);
    free(text);
    return 0;
}
