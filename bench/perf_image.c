/* SPDX-License-Identifier: Apache-2.0 */
/* bench/perf_image.c - pictures beside the libraries that read them, in pictures a second on one
 * core.
 *
 *     build/release/bench/perf_image [ROUNDS]
 *
 * Photographs of the package mate-backgrounds, made 224x224 and 500x375, JPEG at quality 90 with
 * 4:2:0 and PNG at level 6; without that package, painted ones. libjpeg and libpng are used as they
 * are meant to be, libjpeg with one handle for all pictures. FFCV's way to a part of a picture
 * (tjTransform, then tjDecompress2) is there if libturbojpeg.so.0 is. All methods take turns;
 * medians of ROUNDS (default 15) of thread CPU time. Ratios with a floor are those of issue 5.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <png.h>

#include "bench/perf_picture.h"
#include "formats/image_read.h"
#include "formats/image_resize.h"
#include "formats/jpeg.h"
#include "formats/png.h"

#define PHOTOS_DIR "/usr/share/backgrounds/mate/nature"

enum { ROUNDS_MAX = 101, FILES_MAX = 13, SMALL = 224, WIDE = 500, HIGH = 375 };

/* One kind of file, of every photograph. */
struct set {
    struct perf_file files[FILES_MAX];
    uint32_t width, height;
};

static uint32_t file_count;
static struct set small_jpegs, wide_jpegs, small_pngs;
static uint8_t *room; /* for the libraries' pixels */
static struct fmt_jpeg *own_jpeg;
static struct fmt_png *own_png;
static struct fmt_image_reader *reader;
static struct fmt_options to_bytes, to_floats;
static struct jpeg_decompress_struct libjpeg;
static struct jpeg_error_mgr libjpeg_messages;

static void die(const char *why)
{
    perf_die("pictures", why);
}

static void *allocate(size_t size)
{
    return perf_need(calloc(1, size));
}

/* ---- photographs ---- */

static struct perf_file read_file(const char *path)
{
    struct perf_file file = {NULL, 0};
    FILE *in = fopen(path, "rb");
    if (in == NULL || fseek(in, 0, SEEK_END) != 0)
        die(path);
    file.len = (size_t)ftell(in);
    file.bytes = allocate(file.len);
    rewind(in);
    if (fread(file.bytes, 1, file.len, in) != file.len)
        die(path);
    fclose(in);
    return file;
}

/* A photograph's middle, of the proportions of width x height, in that size. */
static uint8_t *shrink(struct perf_file photo, uint32_t width, uint32_t height)
{
    char type[100];
    struct fmt_options options;
    struct fmt_error error = {.text = ""};
    uint8_t *pixels = allocate((size_t)width * height * 3);
    snprintf(type, sizeof(type), "image/jpeg;image_shape=3,%u,%u;resize=%u", height, width,
             height * 3 / 2);
    if (fmt_options_parse(type, &options, &error) != FMT_OK ||
        fmt_image_read(reader, options.own, (struct fmt_lot){0}, photo.bytes, photo.len, pixels,
                       &error) != FMT_OK)
        die(error.text);
    fmt_options_free(&options);
    return pixels;
}

static struct perf_file make_png(const uint8_t *pixels, uint32_t width, uint32_t height)
{
    png_image image = {
        .version = PNG_IMAGE_VERSION, .width = width, .height = height, .format = PNG_FORMAT_RGB};
    png_alloc_size_t len = PNG_IMAGE_PNG_SIZE_MAX(image);
    struct perf_file file = {allocate(len), 0};
    if (!png_image_write_to_memory(&image, file.bytes, &len, 0, pixels, 0, NULL))
        die("libpng cannot write");
    file.len = len;
    return file;
}

static void add_photo(struct perf_file photo)
{
    uint8_t *small =
        photo.len > 0 ? shrink(photo, SMALL, SMALL) : perf_paint(SMALL, SMALL, file_count);
    uint8_t *wide = photo.len > 0 ? shrink(photo, WIDE, HIGH) : perf_paint(WIDE, HIGH, file_count);
    small_jpegs.files[file_count] = perf_make_jpeg(small, SMALL, SMALL);
    small_pngs.files[file_count] = make_png(small, SMALL, SMALL);
    wide_jpegs.files[file_count] = perf_make_jpeg(wide, WIDE, HIGH);
    file_count++;
    free(small);
    free(wide);
}

static void make_files(void)
{
    DIR *directory = opendir(PHOTOS_DIR);
    struct dirent *entry;
    while (directory != NULL && file_count < FILES_MAX && (entry = readdir(directory)) != NULL) {
        char path[4096];
        size_t len = strlen(entry->d_name);
        if (len < 4 || strcmp(entry->d_name + len - 4, ".jpg") != 0)
            continue;
        snprintf(path, sizeof(path), "%s/%s", PHOTOS_DIR, entry->d_name);
        struct perf_file photo = read_file(path);
        add_photo(photo);
        free(photo.bytes);
    }
    if (directory != NULL)
        closedir(directory);
    printf("%s\n", file_count > 0 ? "photographs of mate-backgrounds" : "painted pictures");
    while (file_count < FILES_MAX)
        add_photo((struct perf_file){NULL, 0});
    small_jpegs.width = small_jpegs.height = small_pngs.width = small_pngs.height = SMALL;
    wide_jpegs.width = WIDE;
    wide_jpegs.height = HIGH;
}

/* ---- methods: one file each ---- */

static void by_libjpeg(struct perf_file file, uint32_t reduction)
{
    jpeg_mem_src(&libjpeg, file.bytes, file.len);
    (void)jpeg_read_header(&libjpeg, TRUE);
    libjpeg.scale_denom = reduction;
    (void)jpeg_start_decompress(&libjpeg);
    size_t stride = (size_t)libjpeg.output_width * 3;
    while (libjpeg.output_scanline < libjpeg.output_height) {
        JSAMPROW rows[4];
        for (uint32_t i = 0; i < 4; i++)
            rows[i] = room + (libjpeg.output_scanline + i) * stride;
        (void)jpeg_read_scanlines(&libjpeg, rows, 4);
    }
    (void)jpeg_finish_decompress(&libjpeg);
}

static void libjpeg_whole(struct perf_file file)
{
    by_libjpeg(file, 1);
}

static void own_jpeg_part(struct perf_file file, uint32_t reduction, struct fmt_picture_box want)
{
    struct fmt_picture_head head;
    struct fmt_picture picture;
    struct fmt_error error;
    if (fmt_jpeg_open(own_jpeg, file.bytes, file.len, &head, &error) != FMT_OK)
        die(error.text);
    if (want.width == 0)
        want = (struct fmt_picture_box){0, 0, (head.width + reduction - 1) / reduction,
                                        (head.height + reduction - 1) / reduction};
    if (fmt_jpeg_decode(own_jpeg, 3, reduction, &want, &picture, &error) != FMT_OK)
        die(error.text);
}

static void own_jpeg_whole(struct perf_file file)
{
    own_jpeg_part(file, 1, (struct fmt_picture_box){0, 0, 0, 0});
}

static void own_jpeg_half(struct perf_file file)
{
    own_jpeg_part(file, 2, (struct fmt_picture_box){0, 0, 0, 0});
}

static void own_jpeg_center(struct perf_file file)
{
    own_jpeg_part(file, 1,
                  (struct fmt_picture_box){(WIDE - SMALL) / 2, (HIGH - SMALL) / 2, SMALL, SMALL});
}

/* libturbojpeg's interface, as much as FFCV uses. */
struct turbo_region {
    int x, y, w, h;
};
struct turbo_transform {
    struct turbo_region r;
    int op, options;
    void *data;
    void *filter;
};
static struct {
    void *transformer, *decompressor;
    int (*transform)(void *, const unsigned char *, unsigned long, int, unsigned char **,
                     unsigned long *, struct turbo_transform *, int);
    int (*decompress)(void *, const unsigned char *, unsigned long, unsigned char *, int, int, int,
                      int, int);
    unsigned char *cut;
    unsigned long cut_bytes;
} turbo;

static bool load_turbo(void)
{
    enum { TRANSFORM_CROP_BYTES = 1 << 20 };
    void *library = dlopen("libturbojpeg.so.0", RTLD_NOW);
    if (library == NULL)
        return false;
    void *(*new_transformer)(void) = (void *(*)(void))dlsym(library, "tjInitTransform");
    void *(*new_decompressor)(void) = (void *(*)(void))dlsym(library, "tjInitDecompress");
    unsigned char *(*new_bytes)(int) = (unsigned char *(*)(int))dlsym(library, "tjAlloc");
    *(void **)&turbo.transform = dlsym(library, "tjTransform");
    *(void **)&turbo.decompress = dlsym(library, "tjDecompress2");
    if (!new_transformer || !new_decompressor || !new_bytes || !turbo.transform ||
        !turbo.decompress)
        return false;
    turbo.transformer = new_transformer();
    turbo.decompressor = new_decompressor();
    turbo.cut = new_bytes(TRANSFORM_CROP_BYTES);
    turbo.cut_bytes = TRANSFORM_CROP_BYTES;
    return true;
}

/* The part begins at a block of 16: a whole one is cut, as FFCV does. */
static void turbo_center(struct perf_file file)
{
    enum { CROP = 4, NO_REALLOC = 1024, RGB = 0, FAST_DCT = 2048 };
    struct turbo_transform transform = {
        .r = {(WIDE - SMALL) / 2 / 16 * 16, (HIGH - SMALL) / 2 / 16 * 16, SMALL + 16, SMALL + 16},
        .options = CROP};
    turbo.cut_bytes = 1 << 20;
    if (turbo.transform(turbo.transformer, file.bytes, file.len, 1, &turbo.cut, &turbo.cut_bytes,
                        &transform, NO_REALLOC | FAST_DCT) != 0 ||
        turbo.decompress(turbo.decompressor, turbo.cut, turbo.cut_bytes, room, 0, 0, 0, RGB,
                         FAST_DCT) != 0)
        die("libturbojpeg");
}

struct source {
    const uint8_t *at;
};

static void take(png_structp png, png_bytep to, size_t count)
{
    struct source *source = png_get_io_ptr(png);
    memcpy(to, source->at, count);
    source->at += count;
}

static void libpng_whole(struct perf_file file)
{
    struct source source = {file.bytes};
    png_bytep rows[SMALL];
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_set_read_fn(png, &source, take);
    png_read_info(png, info);
    for (uint32_t y = 0; y < SMALL; y++)
        rows[y] = room + (size_t)y * SMALL * 3;
    png_read_image(png, rows);
    png_read_end(png, NULL);
    png_destroy_read_struct(&png, &info, NULL);
}

static void own_png_whole(struct perf_file file)
{
    struct fmt_picture_head head;
    struct fmt_picture picture;
    struct fmt_picture_box want = {0, 0, SMALL, SMALL};
    struct fmt_error error;
    if (fmt_png_open(own_png, file.bytes, file.len, &head, &error) != FMT_OK ||
        fmt_png_decode(own_png, 3, &want, &picture, &error) != FMT_OK)
        die(error.text);
}

static void read_row(struct perf_file file, const struct fmt_options *options)
{
    struct fmt_error error;
    if (fmt_image_read(reader, options->own, (struct fmt_lot){0}, file.bytes, file.len, room,
                       &error) != FMT_OK)
        die(error.text);
}

static void row_of_bytes(struct perf_file file)
{
    read_row(file, &to_bytes);
}

static void row_of_floats(struct perf_file file)
{
    read_row(file, &to_floats);
}

/* ---- measuring ---- */

static struct method {
    const char *name;
    const struct set *set;
    void (*run)(struct perf_file);
    int beside;   /* the method it is compared with; -1: none */
    double floor; /* of the ratio; 0: none */
    double seconds[ROUNDS_MAX];
    double median;
} methods[] = {
    {.name = "JPEG 224x224, libjpeg", .set = &small_jpegs, .run = libjpeg_whole, .beside = -1},
    {.name = "JPEG 224x224", .set = &small_jpegs, .run = own_jpeg_whole, .floor = 0.98},
    {.name = "JPEG 500x375, libjpeg", .set = &wide_jpegs, .run = libjpeg_whole, .beside = -1},
    {.name = "JPEG 500x375", .set = &wide_jpegs, .run = own_jpeg_whole, .beside = 2, .floor = 0.98},
    {.name = "  middle 224x224",
     .set = &wide_jpegs,
     .run = own_jpeg_center,
     .beside = 2,
     .floor = 1.4},
    {.name = "  the same, tjTransform", .set = &wide_jpegs, .run = turbo_center, .beside = 2},
    {.name = "  reduced by 2",
     .set = &wide_jpegs,
     .run = own_jpeg_half,
     .beside = 2,
     .floor = 1.15},
    {.name = "PNG 224x224, libpng", .set = &small_pngs, .run = libpng_whole, .beside = -1},
    {.name = "PNG 224x224", .set = &small_pngs, .run = own_png_whole, .beside = 7, .floor = 2.5},
    {.name = "row: 500x375, resize=256, crop 224",
     .set = &wide_jpegs,
     .run = row_of_bytes,
     .beside = 2},
    {.name = "row: the same, float32, nchw", .set = &wide_jpegs, .run = row_of_floats, .beside = 2},
};
enum { METHODS = sizeof(methods) / sizeof(methods[0]), CENTER = 4, TURBO = 5 };

static void measure(int rounds)
{
    for (int round = -1; round < rounds; round++) /* the first is to warm up */
        for (int m = 0; m < METHODS; m++) {
            if (methods[m].run == NULL)
                continue;
            double start = perf_thread_seconds();
            for (uint32_t i = 0; i < file_count; i++)
                methods[m].run(methods[m].set->files[i]);
            if (round >= 0)
                methods[m].seconds[round] = perf_thread_seconds() - start;
        }
    for (int m = 0; m < METHODS; m++) {
        qsort(methods[m].seconds, (size_t)rounds, sizeof(double), perf_ascending);
        methods[m].median = methods[m].seconds[rounds / 2];
    }
}

static void print(void)
{
    printf("%-36s %12s %8s\n", "", "pictures/s", "ratio");
    for (int m = 0; m < METHODS; m++) {
        const struct method *method = &methods[m];
        if (method->run == NULL)
            continue;
        printf("%-36s %12.0f", method->name, file_count / method->median);
        if (method->beside >= 0)
            printf(" %7.2fx", methods[method->beside].median / method->median);
        printf("\n");
    }
    for (int m = 0; m < METHODS; m++)
        if (methods[m].floor > 0)
            perf_require(methods[m].name, methods[methods[m].beside].median / methods[m].median,
                         methods[m].floor);
    if (methods[TURBO].run != NULL)
        perf_require("middle 224x224 / tjTransform", methods[TURBO].median / methods[CENTER].median,
                     2.0);
}

static void parse(const char *type, struct fmt_options *options)
{
    struct fmt_error error;
    if (fmt_options_parse(type, options, &error) != FMT_OK)
        die(error.text);
}

int perf_image(int argc, char **argv)
{
    int rounds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 15;
    if (rounds < 1 || rounds > ROUNDS_MAX)
        die("ROUNDS is 1 to 101");
    own_jpeg = fmt_jpeg_new();
    own_png = fmt_png_new();
    reader = fmt_image_reader_new();
    if (own_jpeg == NULL || own_png == NULL || reader == NULL)
        die("out of memory");
    libjpeg.err = jpeg_std_error(&libjpeg_messages);
    jpeg_create_decompress(&libjpeg);
    room = allocate((size_t)WIDE * HIGH * 3 * 4);
    parse("image/jpeg;image_shape=3,224,224;resize=256", &to_bytes);
    parse("image/jpeg;image_shape=3,224,224;resize=256;dtype=float32;mean=123.675,116.28,103.53;"
          "std=58.395,57.12,57.375",
          &to_floats);
    make_files();
    if (!load_turbo())
        methods[TURBO].run = NULL;
    measure(rounds);
    print();
    return 0;
}
