/* SPDX-License-Identifier: Apache-2.0 */
/* formats/jpeg.c - JPEG files to pixels, by libjpeg-turbo. */
#include "formats/jpeg.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "formats/exif.h"
#include "formats/jpeg_huffman.h"

/* Rows asked for at a time; libjpeg gives no more than the height of a block of samples. */
enum { ROWS_AT_ONCE = 16 };

/* Upsampling of colour looks at one sample, two pixels, beyond those it is asked for. */
enum { MARGIN_PIXELS = 2 };

/* Real progressive files have about ten. Each scan costs a pass over the whole picture, so that
 * tiny hostile files could keep a processor busy for minutes. */
enum { SCANS_MAX = 100 };

/* Tables outlive the file that defined them, so that a file may leave them out. Which files came by
 * before must not matter: each begins with the tables of a new handle. */
struct tables {
    JHUFF_TBL dc[NUM_HUFF_TBLS], ac[NUM_HUFF_TBLS];
};

struct fmt_jpeg {
    struct fmt_jpeg_parts parts; /* first: client_data points to both */
    struct jpeg_decompress_struct libjpeg;
    struct jpeg_error_mgr messages;
    struct jpeg_progress_mgr progress;
    jmp_buf failed;
    char text[JMSG_LENGTH_MAX];
    struct tables fresh;
    const uint8_t *in; /* the file */
    size_t len;
    struct fmt_buffer pixels;
    struct fmt_buffer row; /* four channels of ink, on their way to three of light */
};

static void fail(j_common_ptr libjpeg)
{
    struct fmt_jpeg *jpeg = libjpeg->client_data;
    jpeg->messages.format_message(libjpeg, jpeg->text);
    longjmp(jpeg->failed, 1);
}

/* Warnings about data that is not all there or not what it should be: libjpeg goes on with gray. */
static void hear(j_common_ptr libjpeg, int level)
{
    if (level >= 0)
        return;
    switch (libjpeg->err->msg_code) {
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_ADOBE_XFORM:
    case JWRN_JFIF_MAJOR:
    case JWRN_BOGUS_ICC:
        return;
    default:
        fail(libjpeg);
    }
}

static void say_nothing(j_common_ptr libjpeg)
{
    (void)libjpeg;
}

static void count_scans(j_common_ptr libjpeg)
{
    struct fmt_jpeg *jpeg = libjpeg->client_data;
    if (jpeg->libjpeg.input_scan_number <= SCANS_MAX)
        return;
    (void)snprintf(jpeg->text, sizeof(jpeg->text), "more than %d scans", SCANS_MAX);
    longjmp(jpeg->failed, 1);
}

/* The tables that libjpeg takes for a file without any, as frames of Motion JPEG are: those of the
 * standard (ITU T.81, K.3), which a compressor begins with. */
static void copy_standard_tables(struct fmt_jpeg *jpeg)
{
    struct jpeg_compress_struct standard = {.err = &jpeg->messages};
    standard.client_data = jpeg;
    jpeg_create_compress(&standard);
    standard.in_color_space = JCS_RGB;
    standard.input_components = 3;
    jpeg_set_defaults(&standard);
    for (int i = 0; i < 2; i++) {
        jpeg->fresh.dc[i] = *standard.dc_huff_tbl_ptrs[i];
        jpeg->fresh.ac[i] = *standard.ac_huff_tbl_ptrs[i];
    }
    jpeg_destroy_compress(&standard);
}

static void allocate_tables(struct fmt_jpeg *jpeg)
{
    struct jpeg_decompress_struct *libjpeg = &jpeg->libjpeg;
    for (int i = 0; i < NUM_HUFF_TBLS; i++) {
        libjpeg->dc_huff_tbl_ptrs[i] = jpeg_alloc_huff_table((j_common_ptr)libjpeg);
        libjpeg->ac_huff_tbl_ptrs[i] = jpeg_alloc_huff_table((j_common_ptr)libjpeg);
    }
    for (int i = 0; i < NUM_QUANT_TBLS; i++)
        libjpeg->quant_tbl_ptrs[i] = jpeg_alloc_quant_table((j_common_ptr)libjpeg);
}

static void forget_tables(struct fmt_jpeg *jpeg)
{
    struct jpeg_decompress_struct *libjpeg = &jpeg->libjpeg;
    for (int i = 0; i < NUM_HUFF_TBLS; i++) {
        *libjpeg->dc_huff_tbl_ptrs[i] = jpeg->fresh.dc[i];
        *libjpeg->ac_huff_tbl_ptrs[i] = jpeg->fresh.ac[i];
    }
    for (int i = 0; i < NUM_QUANT_TBLS; i++)
        memset(libjpeg->quant_tbl_ptrs[i], 0, sizeof(*libjpeg->quant_tbl_ptrs[i]));
}

/* False when a component has no table but the zeros of above. */
static bool has_tables(const struct jpeg_decompress_struct *libjpeg)
{
    for (int i = 0; i < libjpeg->num_components; i++) {
        const JQUANT_TBL *table = libjpeg->comp_info[i].quant_table;
        if (table != NULL && table->quantval[0] == 0)
            return false;
    }
    return true;
}

/* False when memory is out. */
static bool create(struct fmt_jpeg *jpeg)
{
    jpeg->libjpeg.err = jpeg_std_error(&jpeg->messages);
    jpeg->messages.error_exit = fail;
    jpeg->messages.emit_message = hear;
    jpeg->messages.output_message = say_nothing;
    jpeg->libjpeg.client_data = jpeg;
    if (setjmp(jpeg->failed) != 0)
        return false;
    jpeg_create_decompress(&jpeg->libjpeg);
    fmt_jpeg_memory_attach(&jpeg->libjpeg);
    copy_standard_tables(jpeg);
    allocate_tables(jpeg);
    jpeg->progress.progress_monitor = count_scans;
    jpeg->libjpeg.progress = &jpeg->progress;
    return true;
}

struct fmt_jpeg *fmt_jpeg_new(void)
{
    struct fmt_jpeg *jpeg = calloc(1, sizeof(*jpeg));
    if (jpeg != NULL && !create(jpeg)) {
        fmt_jpeg_free(jpeg);
        return NULL;
    }
    return jpeg;
}

void fmt_jpeg_free(struct fmt_jpeg *jpeg)
{
    if (jpeg == NULL)
        return;
    jpeg_destroy_decompress(&jpeg->libjpeg);
    fmt_jpeg_memory_free(&jpeg->parts.memory);
    fmt_jpeg_huffman_free(&jpeg->parts.huffman);
    free(jpeg->pixels.bytes);
    free(jpeg->row.bytes);
    free(jpeg);
}

/* Ends the file at hand, so that the handle is good for the next. */
static enum fmt_rc give_up(struct fmt_jpeg *jpeg, struct fmt_error *error)
{
    jpeg_abort_decompress(&jpeg->libjpeg);
    return fmt_fail(error, 0, 0, "JPEG: %s", jpeg->text);
}

/* Whether the coded data, from `in`, comes to an end: no other two bytes in it look like that. */
static bool has_end(const uint8_t *in, size_t len)
{
    for (size_t at = len; at >= 2; at--) {
        const uint8_t *last = memrchr(in, 0xd9, at);
        if (last == NULL || last == in)
            return false;
        if (last[-1] == 0xff)
            return true;
        at = (size_t)(last - in) + 1;
    }
    return false;
}

/* Whether so many pixels can be in so few bytes. A block of 64 takes a bit at least, in a component
 * that has all columns and no less than a fourth of the rows. */
static bool is_plausible(const struct jpeg_decompress_struct *libjpeg, size_t len)
{
    uint64_t blocks =
        ((uint64_t)libjpeg->image_width + 7) / 8 * (((uint64_t)libjpeg->image_height + 7) / 8);
    return libjpeg->arith_code || blocks / 4 <= (uint64_t)len * 8;
}

static enum fmt_rc open_head(struct fmt_jpeg *jpeg, const uint8_t *in, size_t len,
                             struct fmt_picture_head *head, struct fmt_error *error)
{
    struct jpeg_decompress_struct *libjpeg = &jpeg->libjpeg;
    if (setjmp(jpeg->failed) != 0)
        return give_up(jpeg, error);
    jpeg_mem_src(libjpeg, in, (unsigned long)len);
    (void)jpeg_read_header(libjpeg, TRUE);
    if (!has_end(libjpeg->src->next_input_byte, libjpeg->src->bytes_in_buffer)) {
        (void)snprintf(jpeg->text, sizeof(jpeg->text),
                       "no end-of-image marker: the file is truncated");
        return give_up(jpeg, error);
    }
    head->width = libjpeg->image_width;
    head->height = libjpeg->image_height;
    if ((uint64_t)head->width * head->height > FMT_PICTURE_PIXELS_MAX) {
        (void)snprintf(jpeg->text, sizeof(jpeg->text),
                       "%u x %u pixels, more than the %u million allowed", head->width,
                       head->height, (unsigned)(FMT_PICTURE_PIXELS_MAX / 1000000));
        return give_up(jpeg, error);
    }
    if (!is_plausible(libjpeg, len)) {
        (void)snprintf(jpeg->text, sizeof(jpeg->text),
                       "%u x %u pixels cannot be in %zu bytes: the file is damaged", head->width,
                       head->height, len);
        return give_up(jpeg, error);
    }
    head->orientation = fmt_exif_orientation_jpeg(in, len);
    return FMT_OK;
}

enum fmt_rc fmt_jpeg_open(struct fmt_jpeg *jpeg, const uint8_t *in, size_t len,
                          struct fmt_picture_head *head, struct fmt_error *error)
{
    jpeg_abort_decompress(&jpeg->libjpeg); /* of a file that was opened and never decoded */
    forget_tables(jpeg);
    jpeg->in = in;
    jpeg->len = len;
    if (!fmt_is_jpeg(in, len))
        return fmt_fail(error, 0, 0, "JPEG: does not begin with ff d8 ff");
    return open_head(jpeg, in, len, head, error);
}

uint32_t fmt_jpeg_reduction(uint32_t width, uint32_t height, uint32_t target_width,
                            uint32_t target_height)
{
    uint32_t reduction = 8;
    while (reduction > 1 && ((width + reduction - 1) / reduction < target_width ||
                             (height + reduction - 1) / reduction < target_height))
        reduction /= 2;
    return reduction;
}

/* Ink that was left white, times black that was, as PIL: its rounding is kept. */
static uint8_t light(unsigned ink_inverted, unsigned black_inverted)
{
    unsigned product = (255 - ink_inverted) * black_inverted + 128;
    return (uint8_t)(black_inverted - (((product >> 8) + product) >> 8));
}

static void convert_cmyk(const uint8_t *in, uint32_t width, uint32_t channels, uint8_t *out)
{
    for (uint32_t i = 0; i < width; i++, in += 4, out += channels) {
        uint8_t rgb[3] = {light(in[0], in[3]), light(in[1], in[3]), light(in[2], in[3])};
        if (channels == 3)
            memcpy(out, rgb, 3);
        else
            out[0] = fmt_picture_luma(rgb);
    }
}

/* Sets up what libjpeg is to give; returns whether that is four channels of ink. */
static bool choose_output(struct jpeg_decompress_struct *libjpeg, uint32_t channels,
                          uint32_t reduction)
{
    bool ink = libjpeg->jpeg_color_space == JCS_CMYK || libjpeg->jpeg_color_space == JCS_YCCK;
    if (ink)
        libjpeg->out_color_space = JCS_CMYK;
    else
        libjpeg->out_color_space = channels == 3 ? JCS_RGB : JCS_GRAYSCALE;
    libjpeg->scale_num = 1;
    libjpeg->scale_denom = reduction;
    /* What a progressive file left out is not guessed from the blocks around: these may not be
     * there when a region is decoded. */
    libjpeg->do_block_smoothing = FALSE;
    return ink;
}

/* Narrows the output to what `want` needs; returns the box that comes out. */
static struct fmt_picture_box narrow(struct jpeg_decompress_struct *libjpeg,
                                     const struct fmt_picture_box *want)
{
    struct fmt_picture_box box = {0, want->top, libjpeg->output_width, want->height};
    JDIMENSION left = want->left > MARGIN_PIXELS ? want->left - MARGIN_PIXELS : 0;
    JDIMENSION right = want->left + want->width + MARGIN_PIXELS;
    if (right > libjpeg->output_width)
        right = libjpeg->output_width;
    if (left > 0 || right < libjpeg->output_width) {
        JDIMENSION width = right - left;
        jpeg_crop_scanline(libjpeg, &left, &width);
        box.left = left;
        box.width = width;
    }
    if (want->top > 0)
        (void)jpeg_skip_scanlines(libjpeg, want->top);
    return box;
}

static void read_rows(struct fmt_jpeg *jpeg, const struct fmt_picture *picture, bool ink)
{
    uint32_t channels = picture->channels;
    for (uint32_t done = 0; done < picture->box.height;) {
        JSAMPROW rows[ROWS_AT_ONCE];
        uint32_t count = picture->box.height - done;
        count = ink ? 1 : count < ROWS_AT_ONCE ? count : ROWS_AT_ONCE;
        uint8_t *out = jpeg->pixels.bytes + done * picture->stride_bytes;
        for (uint32_t i = 0; i < count; i++)
            rows[i] = ink ? jpeg->row.bytes : out + i * picture->stride_bytes;
        uint32_t got = jpeg_read_scanlines(&jpeg->libjpeg, rows, count);
        if (ink && got == 1)
            convert_cmyk(jpeg->row.bytes, picture->box.width, channels, out);
        done += got;
    }
}

static enum fmt_rc decode(struct fmt_jpeg *jpeg, uint32_t channels, uint32_t reduction,
                          const struct fmt_picture_box *want, bool plain,
                          struct fmt_picture *picture, struct fmt_error *error)
{
    struct jpeg_decompress_struct *libjpeg = &jpeg->libjpeg;
    if (setjmp(jpeg->failed) != 0)
        return give_up(jpeg, error);
    bool ink = choose_output(libjpeg, channels, reduction);
    (void)jpeg_start_decompress(libjpeg);
    if (!has_tables(libjpeg)) {
        (void)snprintf(jpeg->text, sizeof(jpeg->text), "a quantization table is missing");
        return give_up(jpeg, error);
    }
    if (!plain && !fmt_jpeg_huffman_attach(libjpeg)) {
        jpeg_abort_decompress(libjpeg);
        return FMT_E_MEMORY;
    }
    picture->box = narrow(libjpeg, want);
    picture->channels = channels;
    picture->stride_bytes = (size_t)picture->box.width * channels;
    if (!fmt_buffer_reserve(&jpeg->pixels, picture->stride_bytes * picture->box.height) ||
        (ink && !fmt_buffer_reserve(&jpeg->row, (size_t)picture->box.width * 4))) {
        jpeg_abort_decompress(libjpeg);
        return FMT_E_MEMORY;
    }
    picture->pixels = jpeg->pixels.bytes;
    read_rows(jpeg, picture, ink);
    jpeg_abort_decompress(libjpeg); /* rows below are of no interest */
    return FMT_OK;
}

enum fmt_rc fmt_jpeg_decode(struct fmt_jpeg *jpeg, uint32_t channels, uint32_t reduction,
                            const struct fmt_picture_box *want, struct fmt_picture *picture,
                            struct fmt_error *error)
{
    struct fmt_picture_head head;
    jpeg->parts.huffman.gave_up = false;
    enum fmt_rc rc = decode(jpeg, channels, reduction, want, false, picture, error);
    if (rc != FMT_E_FORMAT || !jpeg->parts.huffman.gave_up)
        return rc;
    rc = fmt_jpeg_open(jpeg, jpeg->in, jpeg->len, &head, error);
    if (rc != FMT_OK)
        return rc;
    return fmt_jpeg_decode_plain(jpeg, channels, reduction, want, picture, error);
}

enum fmt_rc fmt_jpeg_decode_plain(struct fmt_jpeg *jpeg, uint32_t channels, uint32_t reduction,
                                  const struct fmt_picture_box *want, struct fmt_picture *picture,
                                  struct fmt_error *error)
{
    return decode(jpeg, channels, reduction, want, true, picture, error);
}
