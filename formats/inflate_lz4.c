/* SPDX-License-Identifier: Apache-2.0 */
/* formats/inflate_lz4.c - lz4 frames. Those whose blocks depend on each other, and skippable ones,
 * are liblz4's. Blocks that do not are found here and inflated several at once, by a team if there
 * is one, each straight to where it belongs; liblz4 does them one by one.
 *
 * All blocks but a frame's last are full with most writers: each is inflated to where it belongs if
 * those before it are full, and moved where one turns out not to be.
 *
 * Format: github.com/lz4/lz4, doc/lz4_Frame_format.md. Causes of errors are in liblz4's words.
 */
#include "formats/bytes.h"
#include "formats/inflate_frames.h"

#include <stdlib.h>
#include <string.h>

#include <lz4.h>
#include <lz4frame.h>
#include <xxhash.h>

#define FLAG_INDEPENDENT 0x20u /* of a frame's FLG byte, */
#define FLAG_BYTE 4            /* which is this one of its head */
#define STORED 0x80000000u     /* of a block's size: its bytes are as they are */
#define SIZE_BYTES 4
#define SUM_BYTES 4
#define JOBS_MAX 64
#define JOBS_PER_THREAD 4
/* With a team, what is made before it is shown; one alone stops at the end of the room. */
#define ENOUGH_BYTES ((size_t)1 << 20)

enum phase {
    HEAD,   /* is collected */
    LINKED, /* the frame is liblz4's */
    SIZE,   /* of a block is next */
    BLOCK,  /* `part` has some of its bytes, or none */
    HELD,   /* a block was inflated beside its place, for lack of room */
    SUM,    /* of the frame's contents is next */
};

/* A block, found. */
struct job {
    const uint8_t *in;
    size_t in_bytes;
    bool stored;
    uint8_t *out;
    int made_bytes;
    const char *cause; /* NULL: it went well */
};

struct lz4 {
    LZ4F_dctx *heads;  /* for heads alone */
    LZ4F_dctx *liblz4; /* for frames that are its; NULL: memory was out */
    const struct fmt_team *team;
    enum phase phase;
    LZ4F_frameInfo_t info; /* from SIZE on */
    size_t block_bytes_max;
    size_t room_bytes;                  /* of part, but for a sum, and of held */
    uint8_t head[LZ4F_HEADER_SIZE_MAX]; /* or a field of 4 bytes */
    size_t head_bytes;
    uint32_t block_size; /* as it is written */
    uint64_t made_bytes;
    XXH32_state_t *sum;
    uint8_t *part; /* of a block's bytes: what came before the rest of them */
    size_t part_bytes;
    uint8_t *held;
    size_t held_at, held_end;
    struct job jobs[JOBS_MAX];
};

/* ---- blocks ---- */

static size_t sum_bytes(const struct lz4 *z)
{
    return z->info.blockChecksumFlag == LZ4F_blockChecksumEnabled ? SUM_BYTES : 0;
}

static size_t stored_bytes(uint32_t block_size)
{
    return block_size & ~STORED;
}

static void inflate_block(void *codec, unsigned i)
{
    struct lz4 *z = codec;
    struct job *job = &z->jobs[i];

    job->cause = NULL;
    if (sum_bytes(z) > 0 &&
        XXH32(job->in, job->in_bytes, 0) != fmt_load_le32(job->in + job->in_bytes)) {
        job->cause = "blockChecksum_invalid";
        return;
    }
    if (job->stored) {
        memcpy(job->out, job->in, job->in_bytes);
        job->made_bytes = (int)job->in_bytes;
        return;
    }
    job->made_bytes = LZ4_decompress_safe((const char *)job->in, (char *)job->out,
                                          (int)job->in_bytes, (int)z->block_bytes_max);
    if (job->made_bytes < 0)
        job->cause = "decompressionFailed";
}

static void inflate_blocks(struct lz4 *z, unsigned count)
{
    if (z->team && count > 1) {
        z->team->run(z->team->cookie, count, inflate_block, z);
        return;
    }
    for (unsigned i = 0; i < count; i++)
        inflate_block(z, i);
}

static void add_up(struct lz4 *z, const uint8_t *bytes, size_t len_bytes)
{
    z->made_bytes += len_bytes;
    if (z->info.contentChecksumFlag == LZ4F_contentChecksumEnabled)
        XXH32_update(z->sum, bytes, len_bytes);
}

/* How many blocks to look for. */
static unsigned jobs_wanted(const struct lz4 *z)
{
    if (!z->team)
        return 1;
    size_t wanted = z->team->size * JOBS_PER_THREAD;
    size_t for_enough = ENOUGH_BYTES / z->block_bytes_max;

    if (wanted < for_enough)
        wanted = for_enough;
    return wanted < JOBS_MAX ? (unsigned)wanted : JOBS_MAX;
}

/* Finds blocks that are here whole, the first of size z->block_size at *at, while there is room for
 * them. *at moves behind the last one, and behind the size after it if that is here and of a block:
 * then z->block_size is that, and *sized is set. */
static unsigned find_blocks(struct lz4 *z, const struct fmt_frame_call *call, size_t *at,
                            bool *sized)
{
    unsigned most = jobs_wanted(z), count = 0;
    size_t room = call->out_bytes / z->block_bytes_max;

    if (most > room)
        most = (unsigned)room;
    *sized = true;
    while (*sized && count < most) {
        size_t in_bytes = stored_bytes(z->block_size), left = call->in_bytes - *at;

        if (left < in_bytes + sum_bytes(z))
            break;
        z->jobs[count] = (struct job){.in = call->in + *at,
                                      .in_bytes = in_bytes,
                                      .stored = z->block_size & STORED,
                                      .out = call->out + count * z->block_bytes_max};
        count++;
        *at += in_bytes + sum_bytes(z);
        left -= in_bytes + sum_bytes(z);
        uint32_t next = left < SIZE_BYTES ? 0 : fmt_load_le32(call->in + *at);

        *sized = next != 0 && stored_bytes(next) <= z->block_bytes_max;
        if (*sized) {
            z->block_size = next;
            *at += SIZE_BYTES;
        }
    }
    return count;
}

/* Puts what blocks gave side by side; returns how much that is in all. */
static size_t gather(struct lz4 *z, unsigned count, struct fmt_frame_call *call)
{
    size_t made = 0;

    for (unsigned i = 0; i < count; i++) {
        const struct job *job = &z->jobs[i];

        if (job->cause) {
            call->trouble = FMT_FRAME_CORRUPT;
            call->cause = job->cause;
            break;
        }
        if (job->out != call->out + made)
            memmove(call->out + made, job->out, (size_t)job->made_bytes);
        made += (size_t)job->made_bytes;
    }
    add_up(z, call->out, made);
    return made;
}

/* A block that is not here whole, or for which there is no room: it is collected, then inflated
 * to where there is room. Returns whether to go on. */
static bool run_apart(struct lz4 *z, struct fmt_frame_call *call, size_t *at, size_t *made)
{
    size_t wanted = stored_bytes(z->block_size) + sum_bytes(z);
    size_t some = call->in_bytes - *at;
    const uint8_t *in = call->in + *at;

    if (z->part_bytes > 0 || some < wanted) {
        if (some > wanted - z->part_bytes)
            some = wanted - z->part_bytes;
        memcpy(z->part + z->part_bytes, in, some);
        z->part_bytes += some;
        *at += some;
        if (z->part_bytes < wanted)
            return false;
        in = z->part;
        z->part_bytes = 0;
    } else {
        *at += wanted;
    }
    bool fits = call->out_bytes - *made >= z->block_bytes_max;
    struct job *job = &z->jobs[0];

    *job = (struct job){.in = in,
                        .in_bytes = wanted - sum_bytes(z),
                        .stored = z->block_size & STORED,
                        .out = fits ? call->out + *made : z->held};
    inflate_block(z, 0);
    z->phase = SIZE;
    if (job->cause) {
        call->trouble = FMT_FRAME_CORRUPT;
        call->cause = job->cause;
        return false;
    }
    add_up(z, job->out, (size_t)job->made_bytes);
    if (fits) {
        *made += (size_t)job->made_bytes;
    } else {
        z->phase = HELD;
        z->held_at = 0;
        z->held_end = (size_t)job->made_bytes;
    }
    return true;
}

static void run_blocks(struct lz4 *z, struct fmt_frame_call *call, size_t *at, size_t *made)
{
    struct fmt_frame_call rest = {.in = call->in,
                                  .in_bytes = call->in_bytes,
                                  .out = call->out + *made,
                                  .out_bytes = call->out_bytes - *made};
    bool sized;
    unsigned count = find_blocks(z, &rest, at, &sized);

    inflate_blocks(z, count);
    *made += gather(z, count, &rest);
    call->trouble = rest.trouble;
    call->cause = rest.cause;
    if (!sized)
        z->phase = SIZE;
}

static size_t take_held(struct lz4 *z, const struct fmt_frame_call *call, size_t made)
{
    size_t some = z->held_end - z->held_at;

    if (some > call->out_bytes - made)
        some = call->out_bytes - made;
    memcpy(call->out + made, z->held + z->held_at, some);
    z->held_at += some;
    if (z->held_at == z->held_end)
        z->phase = SIZE;
    return some;
}

/* ---- heads and fields ---- */

/* Collects a field; true when it is whole. */
static bool collect(struct lz4 *z, const struct fmt_frame_call *call, size_t *at, size_t len_bytes)
{
    while (z->head_bytes < len_bytes && *at < call->in_bytes)
        z->head[z->head_bytes++] = call->in[(*at)++];
    return z->head_bytes == len_bytes;
}

static void corrupt(struct fmt_frame_call *call, const char *cause)
{
    call->trouble = FMT_FRAME_CORRUPT;
    call->cause = cause;
}

static void blame(struct fmt_frame_call *call, size_t code)
{
    const char *cause = LZ4F_getErrorName(code);

    call->cause = strncmp(cause, "ERROR_", 6) == 0 ? cause + 6 : cause;
    call->trouble = strcmp(call->cause, "frameType_unknown") == 0   ? FMT_FRAME_STRANGER
                    : strcmp(call->cause, "allocation_failed") == 0 ? FMT_FRAME_MEMORY
                                                                    : FMT_FRAME_CORRUPT;
}

static bool make_room(struct lz4 *z, size_t block_bytes_max)
{
    z->block_bytes_max = block_bytes_max;
    if (block_bytes_max <= z->room_bytes)
        return true;
    free(z->part);
    free(z->held);
    z->part = malloc(block_bytes_max + SUM_BYTES);
    z->held = malloc(block_bytes_max);
    z->room_bytes = z->part && z->held ? block_bytes_max : 0;
    return z->room_bytes > 0;
}

/* The head is whole: liblz4 checks it, and tells what it says. */
static void begin_blocks(struct lz4 *z, struct fmt_frame_call *call)
{
    static const size_t sizes[] = {[LZ4F_max64KB] = 64 << 10,
                                   [LZ4F_max256KB] = 256 << 10,
                                   [LZ4F_max1MB] = 1 << 20,
                                   [LZ4F_max4MB] = 4 << 20};
    size_t head_bytes = z->head_bytes;
    size_t code = LZ4F_getFrameInfo(z->heads, &z->info, z->head, &head_bytes);

    LZ4F_resetDecompressionContext(z->heads);
    z->head_bytes = 0;
    if (LZ4F_isError(code)) {
        blame(call, code);
        return;
    }
    z->phase = SIZE;
    z->made_bytes = 0;
    XXH32_reset(z->sum, 0);
    if (!make_room(z, sizes[z->info.blockSizeID]))
        call->trouble = FMT_FRAME_MEMORY;
}

/* Gives liblz4 what was collected, and leaves the frame to it. */
static void leave_to_liblz4(struct lz4 *z, struct fmt_frame_call *call)
{
    size_t taken = z->head_bytes, made = 0;

    if (!z->liblz4) {
        call->trouble = FMT_FRAME_MEMORY;
        return;
    }
    size_t code = LZ4F_decompress(z->liblz4, call->out, &made, z->head, &taken, NULL);

    z->head_bytes = 0;
    z->phase = LINKED;
    if (LZ4F_isError(code))
        blame(call, code);
}

/* Returns whether to go on. */
static bool read_head(struct lz4 *z, struct fmt_frame_call *call, size_t *at)
{
    if (!collect(z, call, at, z->head_bytes > FLAG_BYTE ? z->head_bytes : FLAG_BYTE + 1))
        return false;
    if (fmt_load_le32(z->head) != LZ4F_MAGICNUMBER || !(z->head[FLAG_BYTE] & FLAG_INDEPENDENT)) {
        leave_to_liblz4(z, call);
        return true;
    }
    size_t wanted = LZ4F_headerSize(z->head, z->head_bytes);

    if (LZ4F_isError(wanted))
        blame(call, wanted);
    else if (collect(z, call, at, wanted))
        begin_blocks(z, call);
    else
        return false;
    return true;
}

static void end_frame(struct lz4 *z, struct fmt_frame_call *call)
{
    call->frame_ended = true;
    z->phase = HEAD;
}

/* A block's size, or the mark that there is none. */
static bool read_size(struct lz4 *z, struct fmt_frame_call *call, size_t *at)
{
    if (!collect(z, call, at, SIZE_BYTES))
        return false;
    z->head_bytes = 0;
    z->block_size = fmt_load_le32(z->head);
    z->phase = BLOCK;
    z->part_bytes = 0;
    if (z->block_size != 0) {
        if (stored_bytes(z->block_size) > z->block_bytes_max)
            corrupt(call, "maxBlockSize_invalid");
    } else if (z->info.contentSize != 0 && z->info.contentSize != z->made_bytes) {
        corrupt(call, "frameSize_wrong");
    } else if (z->info.contentChecksumFlag == LZ4F_contentChecksumEnabled) {
        z->phase = SUM;
    } else {
        end_frame(z, call);
    }
    return true;
}

static bool read_sum(struct lz4 *z, struct fmt_frame_call *call, size_t *at)
{
    if (!collect(z, call, at, SUM_BYTES))
        return false;
    z->head_bytes = 0;
    if (fmt_load_le32(z->head) != XXH32_digest(z->sum))
        corrupt(call, "contentChecksum_invalid");
    else
        end_frame(z, call);
    return true;
}

/* Returns whether to go on. */
static bool run_block(struct lz4 *z, struct fmt_frame_call *call, size_t *at, size_t *made)
{
    bool is_here =
        z->part_bytes == 0 && call->in_bytes - *at >= stored_bytes(z->block_size) + sum_bytes(z);
    bool fits = call->out_bytes - *made >= z->block_bytes_max;

    if (*made > 0 && (!fits || (z->team && *made >= ENOUGH_BYTES))) {
        call->enough = true;
        return false;
    }
    if (!is_here || !fits)
        return run_apart(z, call, at, made);
    run_blocks(z, call, at, made);
    return true;
}

static void run_liblz4(struct lz4 *z, struct fmt_frame_call *call, size_t *at, size_t *made)
{
    size_t taken = call->in_bytes - *at;
    size_t left;

    *made = call->out_bytes;
    left = LZ4F_decompress(z->liblz4, call->out, made, call->in + *at, &taken, NULL);
    *at += taken;
    if (LZ4F_isError(left))
        blame(call, left);
    else if (left == 0)
        end_frame(z, call);
}

/* ---- for inflate_frames.c ---- */

static void lz4_run(void *context, struct fmt_frame_call *call)
{
    struct lz4 *z = context;
    size_t at = 0, made = 0;
    bool go_on = true;

    while (go_on && call->trouble == FMT_FRAME_GOOD && !call->frame_ended) {
        switch (z->phase) {
        case HEAD:
            go_on = read_head(z, call, &at);
            break;
        case LINKED:
            run_liblz4(z, call, &at, &made);
            go_on = false;
            break;
        case SIZE:
            go_on = read_size(z, call, &at);
            break;
        case BLOCK:
            go_on = run_block(z, call, &at, &made);
            break;
        case HELD:
            made += take_held(z, call, made);
            go_on = z->phase != HELD;
            break;
        case SUM:
            go_on = read_sum(z, call, &at);
            break;
        }
    }
    call->in_bytes = at;
    call->out_bytes = made;
}

static bool open_liblz4(struct lz4 *z)
{
    if (!LZ4F_isError(LZ4F_createDecompressionContext(&z->liblz4, LZ4F_VERSION)))
        return true;
    z->liblz4 = NULL;
    return false;
}

static void lz4_reset(void *context)
{
    struct lz4 *z = context;

    /* liblz4 1.9.4 expects the size of contents that a frame has told in the next one, too, if that
     * tells none, and LZ4F_resetDecompressionContext was called in between. */
    if (z->phase == LINKED || !z->liblz4) {
        LZ4F_freeDecompressionContext(z->liblz4);
        open_liblz4(z);
    }
    z->phase = HEAD;
    z->head_bytes = 0;
}

static const struct fmt_frames_library library = {
    .name = "lz4", .first_byte = 0x04, .reset = lz4_reset, .run = lz4_run};

static void lz4_close(void *codec)
{
    struct fmt_frames *f = codec;
    struct lz4 *z = f ? f->context : NULL;

    if (z) {
        LZ4F_freeDecompressionContext(z->heads);
        LZ4F_freeDecompressionContext(z->liblz4);
        XXH32_freeState(z->sum);
        free(z->part);
        free(z->held);
    }
    free(z);
    free(f);
}

static void *lz4_open(const struct fmt_options *options, size_t memory_bytes)
{
    struct fmt_frames *f = calloc(1, sizeof *f);
    struct lz4 *z = calloc(1, sizeof *z);

    (void)options, (void)memory_bytes;
    if (!f || !z) {
        free(f);
        free(z);
        return NULL;
    }
    f->library = &library;
    f->context = z;
    z->sum = XXH32_createState();
    if (!z->sum || !open_liblz4(z) ||
        LZ4F_isError(LZ4F_createDecompressionContext(&z->heads, LZ4F_VERSION))) {
        lz4_close(f);
        return NULL;
    }
    return f;
}

static void lz4_share(void *codec, const struct fmt_team *team)
{
    struct fmt_frames *f = codec;
    struct lz4 *z = f->context;

    z->team = team && team->size > 1 ? team : NULL;
}

const struct fmt_codec_ops fmt_codec_lz4 = {.open = lz4_open,
                                            .close = lz4_close,
                                            .start = fmt_frames_start,
                                            .run = fmt_frames_run,
                                            .share = lz4_share};
