/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_moments.c - mean, squares and products of rows on every device against two passes
 * in double; columns far from zero, means that drift; the checksum that has no order.
 */
#include "tests/unit/trainer_fixture.h"

#include <float.h>
#include <math.h>

#include "trainer/moments_math.h"
#include "trainer/pca_ref.h"

enum { ROWS = 260, DIM_MAX = 37, WIDTH_MAX = 37 };

struct moments {
    double mean[DIM_MAX];
    double square[DIM_MAX];
    double product[DIM_MAX * WIDTH_MAX];
};

static double *double_array(struct tr_device *device, size_t n)
{
    void *memory;
    assert_int_equal(device->ops->alloc(device, n * sizeof(double), &memory), 0);
    return memory;
}

static void wait_for_compute(struct tr_device *device)
{
    struct tr_event *event;
    assert_int_equal(device->ops->event_new(device, &event), 0);
    assert_int_equal(device->ops->event_record(device, event, TR_STREAM_COMPUTE), 0);
    assert_int_equal(device->ops->event_wait(device, event), 0);
    device->ops->event_free(device, event);
}

/* Moments of rows given in blocks; width 0: without omega. */
static void run(struct tr_device *device, const float *x, uint32_t rows, uint32_t dim,
                uint32_t block, const float *omega, uint32_t width, struct moments *out)
{
    uint32_t columns = omega ? width : dim;
    float *features = fixture_array(device, x, (size_t)rows * dim);
    float *factor = omega ? fixture_array(device, omega, (size_t)dim * width) : NULL;
    float *y = fixture_array(device, NULL, (size_t)block * dim);
    float *z = fixture_array(device, NULL, (size_t)block * columns);
    float *gram = fixture_array(device, NULL, (size_t)dim * columns);
    float *shift = fixture_array(device, NULL, dim);
    double *sums = double_array(device, 2 * (size_t)dim + 2 * (size_t)columns);
    double *mean = double_array(device, dim);
    double *square = double_array(device, dim);
    double *product = double_array(device, (size_t)dim * columns);
    for (uint32_t at = 0; at < rows; at += block) {
        struct tr_moments_args args = {
            .x = features + (size_t)at * dim,
            .omega = factor,
            .mean = mean,
            .square = square,
            .product = product,
            .y = y,
            .z = z,
            .gram = gram,
            .shift = shift,
            .block = sums,
            .projected = sums + 2 * (size_t)dim,
            .rows_before = at,
            .rows = rows - at < block ? rows - at : block,
            .dim = dim,
            .width = columns,
        };
        assert_int_equal(tr_launch_moments(device, &args), 0);
    }
    memset(out, 0, sizeof *out);
    assert_int_equal(device->ops->download(device, out->mean, mean, dim * sizeof(double)), 0);
    assert_int_equal(device->ops->download(device, out->square, square, dim * sizeof(double)), 0);
    assert_int_equal(device->ops->download(device, out->product, product,
                                           (size_t)dim * columns * sizeof(double)),
                     0);
    wait_for_compute(device);
    fixture_take(device, features, NULL, (size_t)rows * dim);
    if (factor)
        fixture_take(device, factor, NULL, (size_t)dim * width);
    fixture_take(device, y, NULL, (size_t)block * dim);
    fixture_take(device, z, NULL, (size_t)block * columns);
    fixture_take(device, gram, NULL, (size_t)dim * columns);
    fixture_take(device, shift, NULL, dim);
    double *arrays[] = {sums, mean, square, product};
    for (size_t i = 0; i < 4; i++)
        device->ops->dealloc(device, arrays[i]);
}

/* Products of a block are off by (block + 3) epsilon of the sum of their sizes: the product's own
 * bound, and the rounding of y = x - shift. By Cauchy and Schwarz that is at most the geometric
 * mean of the squares within blocks, which the squares about the mean bound. */
static void check(const struct moments *got, const float *x, uint32_t rows, uint32_t dim,
                  uint32_t block, const float *omega, uint32_t width)
{
    static double mean[DIM_MAX];
    static double product[DIM_MAX * DIM_MAX];
    double epsilon = ((double)block + 3.0) * (double)FLT_EPSILON;
    tr_pca_ref_moments(x, rows, dim, NULL, mean, product);
    for (uint32_t i = 0; i < dim; i++) {
        double square = product[(size_t)i * dim + i];
        assert_true(fabs(got->mean[i] - mean[i]) <= 1e-6 * sqrt(square / rows) + 1e-12);
        assert_true(fabs(got->square[i] - square) <= 1e-6 * square + 1e-12);
        for (uint32_t k = omega ? 0 : i; k < (omega ? width : dim); k++) {
            double want = omega ? 0.0 : product[(size_t)i * dim + k];
            double size = omega ? 0.0 : product[(size_t)k * dim + k];
            double length = 0.0;
            for (uint32_t j = 0; omega && j < dim; j++) {
                double factor = (double)omega[(size_t)j * width + k];
                want += product[(size_t)i * dim + j] * factor;
                length += sqrt(product[(size_t)j * dim + j]) * fabs(factor);
            }
            size = omega ? length * length * (dim + 3.0) : size;
            double bound = epsilon * sqrt(square * size) + 1e-12;
            assert_true(fabs(got->product[(size_t)i * (omega ? width : dim) + k] - want) <= bound);
        }
    }
}

static void check_device(const char *name)
{
    static const uint32_t shapes[][3] = {
        {1, 1, 1}, {2, 3, 1}, {260, 37, 64}, {259, 33, 260}, {65, 8, 16}};
    static float x[ROWS * DIM_MAX];
    static float omega[DIM_MAX * WIDTH_MAX];
    static struct moments got;
    struct tr_device *device = fixture_device(name);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        uint32_t rows = shapes[i][0];
        uint32_t dim = shapes[i][1];
        uint32_t block = shapes[i][2];
        uint32_t width = dim / 2 + 1;
        fixture_fill(x, (size_t)rows * dim, 31 + i, 3.0F);
        fixture_fill(omega, (size_t)dim * width, 41 + i, 1.0F);
        for (uint32_t r = 0; r < rows; r++) { /* far from zero, and a mean that drifts */
            x[(size_t)r * dim] += 4096.0F;
            x[(size_t)r * dim + dim - 1] += (float)r;
        }
        run(device, x, rows, dim, block, NULL, 0, &got);
        check(&got, x, rows, dim, block, NULL, 0);
        run(device, x, rows, dim, block, omega, width, &got);
        check(&got, x, rows, dim, block, omega, width);
    }
    tr_device_close(&device);
}

static void test_cpu_moments_match_reference(void **state)
{
    (void)state;
    check_device("cpu");
}

static void test_delayed_moments_match_reference(void **state)
{
    (void)state;
    check_device("delayed");
}

static void test_cuda_moments_match_reference(void **state)
{
    (void)state;
    check_device("cuda");
}

/* A column around 1e6 with deviations of 1: sums of squares in float32 would have no digit left. */
static void test_a_column_far_from_zero_keeps_its_digits(void **state)
{
    (void)state;
    static float x[ROWS * 2];
    static struct moments got;
    struct tr_device *device = fixture_device("cpu");
    for (uint32_t r = 0; r < ROWS; r++) {
        x[r * 2] = 1e6F + (float)(r % 2 ? 1 : -1);
        x[r * 2 + 1] = -1e6F + (float)(r % 2 ? 2 : -2);
    }
    run(device, x, ROWS, 2, 50, NULL, 0, &got);
    assert_true(fabs(got.square[0] - ROWS) < 1e-9 * ROWS);
    assert_true(fabs(got.product[0] - ROWS) < 1e-6 * ROWS);
    assert_true(fabs(got.product[1] - 2.0 * ROWS) < 1e-6 * ROWS);
    assert_true(fabs(got.product[3] - 4.0 * ROWS) < 1e-6 * ROWS);
    for (uint32_t r = 0; r < 240; r++) /* a mean that float32 has no number for */
        x[r * 2] = x[r * 2 + 1] = 1e6F + (r % 3 == 0 ? 1.0F : 0.0F);
    run(device, x, 240, 2, 60, NULL, 0, &got);
    assert_true(fabs(got.product[1] - 240.0 * 2.0 / 9.0) < 1e-4);
    tr_device_close(&device);
}

/* --- the checksum --------------------------------------------------------------------------------
 */

static uint64_t checksum(struct tr_device *device, const float *x, uint32_t rows, uint32_t dim)
{
    uint64_t key[DIM_MAX];
    float *features = fixture_array(device, x, (size_t)rows * dim);
    float bits[2 * DIM_MAX];
    for (uint32_t j = 0; j < dim; j++)
        key[j] = tr_checksum_key(j);
    memcpy(bits, key, dim * sizeof *key);
    float *keys = fixture_array(device, bits, 2 * (size_t)dim);
    uint64_t *sum = (uint64_t *)double_array(device, 1);
    uint64_t got;
    struct tr_checksum_args args = {features, (const uint64_t *)(const void *)keys, sum, rows, dim};
    assert_int_equal(tr_launch_checksum(device, &args), 0);
    assert_int_equal(device->ops->download(device, &got, sum, sizeof got), 0);
    wait_for_compute(device);
    fixture_take(device, features, NULL, (size_t)rows * dim);
    fixture_take(device, keys, NULL, 2 * (size_t)dim);
    device->ops->dealloc(device, sum);
    return got;
}

static void check_checksum(const char *name)
{
    enum { N = 77, DIM = 33 };
    static float x[N * DIM];
    static float turned[(N + 1) * DIM];
    struct tr_device *device = fixture_device(name);
    fixture_fill(x, N * DIM, 5, 2.0F);
    uint64_t want = 0;
    for (uint32_t r = 0; r < N; r++) { /* as tests/integration/test_train_pca.py has it */
        uint64_t row = 0;
        for (uint32_t j = 0; j < DIM; j++) {
            uint32_t bits;
            memcpy(&bits, &x[r * DIM + j], sizeof bits);
            row += bits * tr_checksum_key(j);
        }
        want += fmt_mix(row);
        memcpy(turned + (N - 1 - r) * DIM, x + r * DIM, DIM * sizeof *x);
    }
    memcpy(turned + N * DIM, x, DIM * sizeof *x);
    assert_true(checksum(device, x, N, DIM) == want);
    assert_true(checksum(device, turned, N, DIM) == want);
    assert_true(checksum(device, x, N - 1, DIM) != want);      /* lost */
    assert_true(checksum(device, turned, N + 1, DIM) != want); /* repeated */
    turned[DIM] = nextafterf(turned[DIM], 9.0F);
    assert_true(checksum(device, turned, N, DIM) != want); /* changed */
    memcpy(turned, x, sizeof x);
    memcpy(turned, x + DIM, DIM * sizeof *x); /* one twice in place of another */
    assert_true(checksum(device, turned, N, DIM) != want);
    tr_device_close(&device);
}

static void test_checksum_is_of_the_rows_in_any_order(void **state)
{
    (void)state;
    check_checksum("cpu");
    check_checksum("delayed");
}

static void test_cuda_checksum_is_equal(void **state)
{
    (void)state;
    check_checksum("cuda");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cpu_moments_match_reference),
        cmocka_unit_test(test_delayed_moments_match_reference),
        cmocka_unit_test(test_cuda_moments_match_reference),
        cmocka_unit_test(test_a_column_far_from_zero_keeps_its_digits),
        cmocka_unit_test(test_checksum_is_of_the_rows_in_any_order),
        cmocka_unit_test(test_cuda_checksum_is_equal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
