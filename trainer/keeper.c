/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/keeper.c - see trainer/keeper.h. */
#include "trainer/keeper.h"

#include "trainer/finite.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PROGRESS_ITEM "run.progress"
#define SUMMARY_ITEM "run.summary"
#define HISTORY_ITEM "run.history"

static const char *const place_names[TR_CHANNEL_COUNT] = {"state.train", "state.validation",
                                                          "state.test"};

/* --- what has to be the same ---------------------------------------------------------------------
 */

/* The mark to fill in; the last one is used again when there are too many, which tests rule out. */
static char *add_mark(struct tr_keeper *keeper, const char *group, const char *name)
{
    size_t no = keeper->mark_count < TR_MARKS_MAX ? keeper->mark_count++ : TR_MARKS_MAX - 1;
    snprintf(keeper->marks[no].name, sizeof keeper->marks[no].name, "%s%s", group, name);
    keeper->marks[no].text = keeper->values[no];
    return keeper->values[no];
}

static void put_hyperparameter(struct tr_keeper *keeper, const struct tr_hyper_parameter *p)
{
    const char *value = keeper->options->hyper + p->offset;
    const size_t room = sizeof keeper->values[0];
    char *text = add_mark(keeper, "hp.", p->name);
    struct tr_hyper_counts counts;
    uint32_t count;
    double real;
    size_t len = 0;
    int word;
    switch (p->kind) {
    case TR_HYPER_COUNT:
        memcpy(&count, value, sizeof count);
        snprintf(text, room, "%" PRIu32, count);
        return;
    case TR_HYPER_REAL:
        memcpy(&real, value, sizeof real);
        snprintf(text, room, isnan(real) ? "auto" : "%.17g", real);
        return;
    case TR_HYPER_WORD:
        memcpy(&word, value, sizeof word);
        snprintf(text, room, "%s", tr_hyper_word(p->words, word));
        return;
    case TR_HYPER_COUNTS:
        memcpy(&counts, value, sizeof counts);
        for (uint32_t i = 0; i < counts.count && len < room; i++)
            len += (size_t)snprintf(text + len, room - len, i > 0 ? ",%" PRIu32 : "%" PRIu32,
                                    counts.at[i]);
        return;
    case TR_HYPER_TEXT: /* a path: what is not its end may be elsewhere now */
        len = strlen(value);
        value += len < room ? 0 : len - room + 1;
        memcpy(text, value, strlen(value) + 1);
        return;
    case TR_HYPER_TRUTH:
        memcpy(&word, value, sizeof word);
        snprintf(text, room, "%s", word == TR_AUTO ? "auto" : word ? "true" : "false");
        return;
    }
}

/* Whether every rank has rows of its own of some channel: then where each is in it counts. */
static bool is_own(const struct tr_keeper *keeper, enum tr_channel channel)
{
    return keeper->options->group && keeper->options->channels[channel].uri_count > 0 &&
           keeper->options->channels[channel].share != TR_SHARE_ROWS;
}

static void put_ranks(struct tr_keeper *keeper)
{
    char *text = add_mark(keeper, "", "ranks");
    snprintf(text, sizeof keeper->values[0], "any");
    for (int i = 0; i < TR_CHANNEL_COUNT; i++) {
        if (is_own(keeper, (enum tr_channel)i))
            snprintf(text, sizeof keeper->values[0], "%" PRIu32,
                     tr_group_count(keeper->options->group));
    }
}

/* Epochs may differ: training may go on for longer. */
static void put_marks(struct tr_keeper *keeper, uint32_t feature_dim)
{
    const struct tr_model_ops *ops = keeper->options->model;
    const struct tr_hyper_parameter *p;
    const size_t room = sizeof keeper->values[0];
    keeper->mark_count = 0;
    snprintf(add_mark(keeper, "", "algorithm"), room, "%s", ops->name);
    snprintf(add_mark(keeper, "", "feature_dim"), room, "%" PRIu32, feature_dim);
    put_ranks(keeper);
    for (size_t i = 0; (p = tr_hyper_at(ops->hyper, i)); i++) {
        if (p->offset != offsetof(struct tr_hyper_common, epochs) &&
            p->offset != offsetof(struct tr_hyper_common, feature_dim))
            put_hyperparameter(keeper, p);
    }
}

/* What the ranks of one run have to agree on, and a later run need not: how far it goes, and which
 * rows are whose. */
static void put_agreed(struct tr_keeper *keeper)
{
    static const char *const shares[] = {
        [TR_SHARE_ROWS] = "rows", [TR_SHARE_OBJECTS] = "objects", [TR_SHARE_OWN] = "own"};
    const struct tr_train_options *options = keeper->options;
    const struct ps_stream_options *stream = &options->stream;
    const size_t room = sizeof keeper->values[0];
    snprintf(add_mark(keeper, "", "epochs"), room, "%" PRIu32, tr_common(options)->epochs);
    for (int i = 0; i < TR_CHANNEL_COUNT; i++) {
        const struct tr_channel_options *channel = &options->channels[i];
        char *text = add_mark(keeper, "channel.", tr_channel_name((enum tr_channel)i));
        snprintf(text, room, "%s", channel->uri_count > 0 ? shares[channel->share] : "none");
        if (channel->uri_count > 0 && channel->sample_to > 0)
            snprintf(text, room, "%s, sample %g-%g", shares[channel->share], channel->sample_from,
                     channel->sample_to);
    }
    snprintf(add_mark(keeper, "", "sample"), room, "%g-%g by %" PRIu64, stream->sample_from,
             stream->sample_to, stream->sample_seed);
    snprintf(add_mark(keeper, "", "shuffle"), room, "%s %" PRIu64 ", rows %" PRIu64,
             stream->shuffle ? "by" : "none", stream->seed, stream->shuffle_rows);
    snprintf(add_mark(keeper, "", "last-batch"), room, "%s",
             stream->last_batch ? stream->last_batch : "keep");
}

/* What rank 0 was told to do. */
struct told {
    uint32_t keeps;
    uint32_t mark_count;
    char names[TR_MARKS_MAX][sizeof((struct tr_mark *)0)->name];
    char values[TR_MARKS_MAX][sizeof((struct tr_keeper *)0)->values[0]];
};

static int compare_settings(const struct tr_keeper *keeper, const struct told *first,
                            struct tr_error *error)
{
    uint32_t rank = tr_group_rank(keeper->options->group);
    for (size_t i = 0; i < keeper->mark_count; i++) {
        const struct tr_mark *mark = &keeper->marks[i];
        if (i >= first->mark_count || strcmp(mark->name, first->names[i]) != 0 ||
            strcmp(mark->text, first->values[i]) != 0)
            return tr_fail(error,
                           "rank %u has %s = '%s', and rank 0 has %s = '%s': give all ranks the "
                           "same settings and the same kind of data",
                           rank, mark->name, mark->text, first->names[i], first->values[i]);
    }
    return 0;
}

int tr_keeper_agree(struct tr_keeper *keeper, uint32_t feature_dim, struct tr_error *error)
{
    struct told *first = calloc(1, sizeof *first);
    if (!first)
        return tr_fail(error, "no memory");
    put_marks(keeper, feature_dim);
    const size_t of_checkpoints = keeper->mark_count;
    put_agreed(keeper);
    first->keeps = keeper->options->checkpoint_dir != NULL;
    first->mark_count = (uint32_t)keeper->mark_count;
    for (size_t i = 0; i < keeper->mark_count; i++) {
        memcpy(first->names[i], keeper->marks[i].name, sizeof first->names[i]);
        memcpy(first->values[i], keeper->values[i], sizeof first->values[i]);
    }
    int rc = tr_group_broadcast(keeper->options->group, first, sizeof *first, error);
    if (rc == 0)
        rc = compare_settings(keeper, first, error);
    keeper->mark_count = of_checkpoints;
    keeper->keeps = first->keeps;
    free(first);
    return rc;
}

void tr_keeper_close(struct tr_keeper *keeper)
{
    tr_gathered_free(&keeper->places);
}

/* --- places in the data --------------------------------------------------------------------------
 */

/* What comes through FIFOs cannot be opened at a place. */
static bool has_fifos(const struct tr_train_options *options)
{
    for (int i = 0; i < TR_CHANNEL_COUNT; i++) {
        if (options->channels[i].uri_count > 0 &&
            strncmp(options->channels[i].uris[0], "pipe:", 5) == 0)
            return true;
    }
    return false;
}

static int get_place(const struct tr_keeper *keeper, enum tr_channel channel,
                     char text[PENSTOCK_STATE_BYTES], struct tr_error *error)
{
    text[0] = '\0';
    if (!tr_inputs_has(keeper->inputs, channel) || has_fifos(keeper->options))
        return 0;
    return tr_inputs_state(keeper->inputs, channel, text, error);
}

/* Behind what the training channel has brought; none while its first rows are played again. */
static int get_training_place(const struct tr_keeper *keeper, char text[PENSTOCK_STATE_BYTES],
                              struct tr_error *error)
{
    text[0] = '\0';
    if (keeper->head && !tr_head_is_past(keeper->head))
        return 0;
    return get_place(keeper, TR_CHANNEL_TRAIN, text, error);
}

int tr_keeper_fetches(struct tr_keeper *keeper, struct tr_error *error)
{
    return get_training_place(keeper, keeper->fetched, error);
}

/* The test channel is read once, at the end: it has no place but its beginning. */
static int get_places(const struct tr_keeper *keeper, char (*texts)[PENSTOCK_STATE_BYTES],
                      struct tr_error *error)
{
    texts[TR_CHANNEL_TEST][0] = '\0';
    if (keeper->trains->in_pass && is_own(keeper, TR_CHANNEL_TRAIN)) /* not of what is ahead */
        memcpy(texts[TR_CHANNEL_TRAIN], keeper->fetched, PENSTOCK_STATE_BYTES);
    else if (get_training_place(keeper, texts[TR_CHANNEL_TRAIN], error) < 0)
        return -1;
    if (!keeper->evaluates)
        return get_place(keeper, TR_CHANNEL_VALIDATION, texts[TR_CHANNEL_VALIDATION], error);
    memcpy(texts[TR_CHANNEL_VALIDATION], keeper->held_out, PENSTOCK_STATE_BYTES);
    return 0;
}

int tr_keeper_evaluates(struct tr_keeper *keeper, struct tr_error *error)
{
    keeper->evaluates = true;
    if (!keeper->keeps)
        return 0;
    return get_place(keeper, TR_CHANNEL_VALIDATION, keeper->held_out, error);
}

int tr_keeper_gather(struct tr_keeper *keeper, struct tr_error *error)
{
    char texts[TR_CHANNEL_COUNT][PENSTOCK_STATE_BYTES] = {{0}};
    tr_gathered_free(&keeper->places);
    if (get_places(keeper, texts, error) < 0)
        return -1;
    return tr_group_gather(keeper->options->group, texts, sizeof texts, &keeper->places, error);
}

static const char *place_of(const struct tr_keeper *keeper, uint32_t rank, int channel)
{
    const char *texts = (const char *)keeper->places.bytes + keeper->places.begins[rank];
    return texts + (size_t)channel * PENSTOCK_STATE_BYTES;
}

/* If one rank's training data cannot be opened at their place, nobody's are. */
static bool can_open(const struct tr_keeper *keeper)
{
    for (uint32_t r = 0; r < tr_group_count(keeper->options->group); r++) {
        if (!*place_of(keeper, r, TR_CHANNEL_TRAIN))
            return false;
    }
    return true;
}

/* "state.train" of rank 0, and of all that share its rows; "state.train.2" of rank 2's own. */
static void name_place(const struct tr_keeper *keeper, int channel, uint32_t rank, char *name,
                       size_t name_bytes)
{
    if (rank > 0 && is_own(keeper, (enum tr_channel)channel))
        snprintf(name, name_bytes, "%s.%" PRIu32, place_names[channel], rank);
    else
        snprintf(name, name_bytes, "%s", place_names[channel]);
}

static size_t list_places(const struct tr_keeper *keeper, struct tr_mark *marks)
{
    bool opens = can_open(keeper);
    size_t count = 0;
    for (int i = 0; i < TR_CHANNEL_COUNT; i++) {
        uint32_t ranks =
            is_own(keeper, (enum tr_channel)i) ? tr_group_count(keeper->options->group) : 1;
        for (uint32_t r = 0; r < ranks; r++) {
            struct tr_mark *mark = &marks[count++];
            name_place(keeper, i, r, mark->name, sizeof mark->name);
            mark->text = opens ? place_of(keeper, r, i) : "";
        }
    }
    return count;
}

/* --- saving --------------------------------------------------------------------------------------
 */

bool tr_keeper_is_due(struct tr_keeper *keeper)
{
    const struct tr_train_options *options = keeper->options;
    if (!keeper->keeps)
        return false;
    keeper->batches++;
    if (options->checkpoint_batches > 0)
        return keeper->batches >= options->checkpoint_batches;
    return tr_now_s() - keeper->saved_at_s >= options->checkpoint_s;
}

static size_t history_bytes(const struct tr_summary *summary)
{
    size_t epochs =
        summary->epochs < TR_SUMMARY_EPOCHS_MAX ? summary->epochs : TR_SUMMARY_EPOCHS_MAX;
    return summary->history ? epochs * sizeof *summary->history : 0;
}

static struct tr_state_item host_item(const char *name, const void *memory, size_t len_bytes)
{
    struct tr_state_item item = {.memory = (void *)(uintptr_t)memory, .len_bytes = len_bytes};
    snprintf(item.name, sizeof item.name, "%s", name);
    return item;
}

int tr_keeper_save(struct tr_keeper *keeper, const struct tr_progress *progress,
                   struct tr_error *error)
{
    const struct tr_train_options *options = keeper->options;
    size_t ranks = tr_group_count(options->group);
    struct tr_mark *places = calloc(ranks * TR_CHANNEL_COUNT, sizeof *places);
    struct tr_summary summary = *keeper->summary;
    if (!places)
        return tr_fail(error, "no memory");
    keeper->saved_at_s = tr_now_s();
    keeper->batches = 0;
    struct tr_checkpoint c = {.directory = options->checkpoint_dir,
                              .keep = options->checkpoint_keep,
                              .device = keeper->model->device,
                              .group = options->group,
                              .marks = keeper->marks,
                              .mark_count = keeper->mark_count,
                              .places = places,
                              .place_count = list_places(keeper, places)};
    c.items[c.item_count++] = host_item(PROGRESS_ITEM, progress, sizeof *progress);
    c.items[c.item_count++] = host_item(SUMMARY_ITEM, &summary, sizeof summary);
    c.items[c.item_count++] =
        host_item(HISTORY_ITEM, summary.history ? (const void *)summary.history : "",
                  history_bytes(&summary));
    summary.history = NULL; /* an address says nothing later */
    c.item_count += options->model->state(keeper->model, c.items + c.item_count);
    /* A run that went on from what is not finite would come to nothing else, again and again. */
    int rc = tr_finite_check(keeper->model, error);
    if (rc == 0)
        rc = tr_checkpoint_write(&c, progress->epoch,
                                 progress->pass.batches + (progress->validates ? 1 : 0), error);
    free(places);
    return rc;
}

/* --- going on ------------------------------------------------------------------------------------
 */

/* What a run has told so far; how its device and I/O are, the new one knows better. */
static void take_summary(struct tr_summary *to, const struct tr_summary *from)
{
    to->epochs = from->epochs;
    to->rows = from->rows;
    to->batches = from->batches;
    to->train_seconds = from->train_seconds;
    to->has_validation = from->has_validation;
    to->train = from->train;
    to->validation = from->validation;
}

/* Copies an item of exactly this size. */
static int take(const struct tr_loaded *loaded, const char *name, void *to, size_t len_bytes,
                struct tr_error *error)
{
    const struct tr_state_item item = host_item(name, to, len_bytes);
    return tr_loaded_restore(loaded, NULL, &item, 1, error);
}

static int take_history(struct tr_summary *summary, const struct tr_loaded *loaded,
                        struct tr_error *error)
{
    size_t len_bytes;
    const void *bytes = tr_loaded_item(loaded, HISTORY_ITEM, &len_bytes);
    size_t epochs =
        summary->epochs < TR_SUMMARY_EPOCHS_MAX ? summary->epochs : TR_SUMMARY_EPOCHS_MAX;
    if (!bytes || len_bytes != epochs * sizeof *summary->history)
        return tr_fail(error, "%s: " HISTORY_ITEM " does not have %zu epochs",
                       tr_loaded_path(loaded), epochs);
    summary->history = len_bytes > 0 ? malloc(len_bytes) : NULL;
    if (!summary->history)
        return len_bytes > 0 ? tr_fail(error, "no memory") : 0;
    memcpy(summary->history, bytes, len_bytes);
    return 0;
}

static int go_on(struct tr_keeper *keeper, const struct tr_loaded *loaded,
                 struct tr_progress *progress, struct tr_error *error)
{
    struct tr_state_item items[TR_TENSORS_MAX];
    struct tr_summary summary;
    const struct tr_model_ops *ops = keeper->options->model;
    size_t count = ops->state(keeper->model, items);
    if (take(loaded, PROGRESS_ITEM, progress, sizeof *progress, error) < 0 ||
        take(loaded, SUMMARY_ITEM, &summary, sizeof summary, error) < 0 ||
        tr_loaded_restore(loaded, keeper->model->device, items, count, error) < 0 ||
        (ops->restored && ops->restored(keeper->model, error) < 0))
        return -1;
    take_summary(keeper->summary, &summary);
    for (int i = 0; i < TR_CHANNEL_COUNT; i++) {
        char name[sizeof((struct tr_mark *)0)->name];
        name_place(keeper, i, tr_group_rank(keeper->options->group), name, sizeof name);
        snprintf(keeper->states[i], sizeof keeper->states[i], "%s", tr_loaded_text(loaded, name));
    }
    return take_history(keeper->summary, loaded, error);
}

static void warn(void *cookie, const char *line)
{
    tr_report_line(cookie, "warning: %s", line);
}

/* What rank 0 has found comes to all. */
static int load(struct tr_keeper *keeper, struct tr_report *report, struct tr_loaded **loaded,
                struct tr_error *error)
{
    struct tr_group *group = keeper->options->group;
    *loaded = NULL;
    if (tr_group_rank(group) == 0 &&
        tr_checkpoint_load(keeper->options->checkpoint_dir, keeper->marks, keeper->mark_count, warn,
                           report, loaded, error) < 0)
        return -1;
    if (tr_loaded_broadcast(loaded, group, error) == 0)
        return 0;
    tr_loaded_free(loaded);
    return -1;
}

int tr_keeper_begin(struct tr_keeper *keeper, struct tr_report *report,
                    struct tr_progress *progress, struct tr_error *error)
{
    struct tr_loaded *loaded;
    keeper->saved_at_s = tr_now_s();
    if (!keeper->keeps)
        return 0;
    if (load(keeper, report, &loaded, error) < 0)
        return -1;
    if (!loaded)
        return 0;
    int rc = go_on(keeper, loaded, progress, error);
    if (rc == 0)
        tr_report_line(report, "checkpoint: goes on from %s: epoch %u, batch %llu%s",
                       tr_loaded_path(loaded), progress->epoch,
                       (unsigned long long)progress->pass.batches,
                       progress->validates ? ", its validation" : "");
    tr_loaded_free(&loaded);
    return rc == 0 ? 1 : -1;
}
