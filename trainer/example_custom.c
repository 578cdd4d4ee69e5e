/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/example_custom.c - a model of one's own for `penstock train --algorithm custom`: Poisson
 * regression, for labels that are counts. The rate is exp(x . w + b); what is minimised is the mean
 * of rate - label log(rate).
 *
 *     cc -O2 -shared -fPIC -o poisson.so example_custom.c -lm
 *     nvcc -O2 -shared -Xcompiler -fPIC -x cu -o poisson.so example_custom.c     (for a GPU)
 *     penstock train --algorithm custom --hp library=$PWD/poisson.so --hp learning_rate=0.1 \
 *         --hp epochs=10 --train URI --content-type 'text/csv;label_size=1' --model-dir model
 *
 * Several ranks train it as well: each adds up the gradient of its rows, and the sums over all
 * ranks are what all learn from.
 *
 * Compiled with nvcc its kernels run on the stream that step and eval are given; nothing waits.
 */
#include <math.h>
#include <penstock_model.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __CUDACC__
#define DEVICE "cuda"
#define EACH static inline __device__ __host__
#else
#define DEVICE "cpu"
#define EACH static inline
#endif

struct sums { /* of doubles alone: poisson_sums gives it as an array */
    double loss;
    double rows;
};

/* What the callbacks share; on a GPU in memory that host and device both reach. */
struct poisson {
    uint32_t dim;
    float learning_rate;
    float *weights;  /* (dim), and the bias after them */
    float *gradient; /* (dim + 1) */
    float *residual; /* (mini_batch_size): rate - label */
    float *loss;     /* (mini_batch_size) */
    struct sums sums[2];
    penstock_model_sum_fn sum; /* over ranks */
    void *sum_cookie;
};

static int fail(char *error, size_t error_bytes, const char *text)
{
    snprintf(error, error_bytes, "%s", text);
    return -1;
}

/* Zeroed memory. */
static void *allocate(size_t len_bytes)
{
    void *memory = NULL;
#ifdef __CUDACC__
    if (cudaMallocManaged(&memory, len_bytes) != cudaSuccess)
        return NULL;
    memset(memory, 0, len_bytes);
#else
    memory = calloc(1, len_bytes);
#endif
    return memory;
}

static void release(void *memory)
{
#ifdef __CUDACC__
    cudaFree(memory);
#else
    free(memory);
#endif
}

/* --- the arithmetic: of one row, and of one weight
 * -------------------------------------------------
 */

EACH void row_forward(struct poisson *m, const float *features, const float *labels,
                      uint32_t label_dim, uint32_t row)
{
    const float *x = features + (size_t)row * m->dim;
    float label = labels[(size_t)row * label_dim];
    float z = m->weights[m->dim];
    for (uint32_t j = 0; j < m->dim; j++)
        z += x[j] * m->weights[j];
    float rate = expf(z);
    m->residual[row] = rate - label;
    m->loss[row] = rate - label * z;
}

/* A rank's part of it: of its rows, in the mean over all. */
EACH void weight_gradient(struct poisson *m, const float *features, uint32_t rows,
                          uint32_t all_rows, uint32_t weight)
{
    float sum = 0.0F;
    for (uint32_t row = 0; row < rows; row++) {
        float x = weight < m->dim ? features[(size_t)row * m->dim + weight] : 1.0F;
        sum += m->residual[row] * x;
    }
    m->gradient[weight] = sum / (float)all_rows;
}

EACH void learn(struct poisson *m, uint32_t weight)
{
    m->weights[weight] -= m->learning_rate * m->gradient[weight];
}

EACH void add_losses(struct poisson *m, uint32_t rows, int pass)
{
    for (uint32_t row = 0; row < rows; row++)
        m->sums[pass].loss += (double)m->loss[row];
    m->sums[pass].rows += (double)rows;
}

#ifdef __CUDACC__
static __global__ void forward_kernel(struct poisson *m, const float *features, const float *labels,
                                      uint32_t label_dim, uint32_t rows)
{
    uint32_t row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row < rows)
        row_forward(m, features, labels, label_dim, row);
}

static __global__ void gradient_kernel(struct poisson *m, const float *features, uint32_t rows,
                                       uint32_t all_rows)
{
    uint32_t weight = blockIdx.x * blockDim.x + threadIdx.x;
    if (weight <= m->dim)
        weight_gradient(m, features, rows, all_rows, weight);
}

static __global__ void learn_kernel(struct poisson *m)
{
    uint32_t weight = blockIdx.x * blockDim.x + threadIdx.x;
    if (weight <= m->dim)
        learn(m, weight);
}

static __global__ void loss_kernel(struct poisson *m, uint32_t rows, int pass)
{
    add_losses(m, rows, pass);
}

static int run(struct poisson *m, const struct penstock_model_batch *batch, int pass, void *stream,
               char *error, size_t error_bytes)
{
    cudaStream_t s = (cudaStream_t)stream;
    uint32_t rows = batch->rows;
    uint32_t weight_blocks = (m->dim + 256) / 256;
    if (rows > 0) {
        forward_kernel<<<(rows + 255) / 256, 256, 0, s>>>(m, batch->features, batch->labels,
                                                          batch->label_dim, rows);
        loss_kernel<<<1, 1, 0, s>>>(m, rows, pass);
    }
    if (pass == PENSTOCK_MODEL_TRAIN) {
        gradient_kernel<<<weight_blocks, 256, 0, s>>>(m, batch->features, rows, batch->all_rows);
        if (m->sum(m->sum_cookie, m->gradient, m->dim + 1, PENSTOCK_MODEL_FLOATS) != 0)
            return -1;
        learn_kernel<<<weight_blocks, 256, 0, s>>>(m);
    }
    cudaError_t rc = cudaGetLastError();
    return rc == cudaSuccess ? 0 : fail(error, error_bytes, cudaGetErrorString(rc));
}
#else
static int run(struct poisson *m, const struct penstock_model_batch *batch, int pass, void *stream,
               char *error, size_t error_bytes)
{
    (void)stream; /* the work is done when this returns */
    (void)error;
    (void)error_bytes;
    for (uint32_t row = 0; row < batch->rows; row++)
        row_forward(m, batch->features, batch->labels, batch->label_dim, row);
    add_losses(m, batch->rows, pass);
    if (pass != PENSTOCK_MODEL_TRAIN)
        return 0;
    for (uint32_t j = 0; j <= m->dim; j++)
        weight_gradient(m, batch->features, batch->rows, batch->all_rows, j);
    if (m->sum(m->sum_cookie, m->gradient, m->dim + 1, PENSTOCK_MODEL_FLOATS) != 0)
        return -1;
    for (uint32_t j = 0; j <= m->dim; j++)
        learn(m, j);
    return 0;
}
#endif

/* --- the callbacks -------------------------------------------------------------------------------
 */

static void poisson_free(void *model)
{
    struct poisson *m = (struct poisson *)model;
    if (!m)
        return;
    release(m->weights);
    release(m->gradient);
    release(m->residual);
    release(m->loss);
    release(m);
}

/* learning_rate is the only hyperparameter: another name is refused. */
static int read_parameters(struct poisson *m, const struct penstock_model_setup *setup, char *error,
                           size_t error_bytes)
{
    m->learning_rate = 0.1F;
    for (size_t i = 0; i < setup->parameter_count; i++) {
        const struct penstock_model_parameter *p = &setup->parameters[i];
        char *end;
        if (strcmp(p->name, "learning_rate") != 0) {
            snprintf(error, error_bytes, "hyperparameter '%s' is unknown", p->name);
            return -1;
        }
        m->learning_rate = strtof(p->value, &end);
        if (end == p->value || *end || !(m->learning_rate > 0.0F)) {
            snprintf(error, error_bytes, "learning_rate: '%s' is not a positive number", p->value);
            return -1;
        }
    }
    return 0;
}

static int poisson_init(const struct penstock_model_setup *setup, void **model, char *error,
                        size_t error_bytes)
{
    if (strcmp(setup->device, DEVICE) != 0)
        return fail(error, error_bytes, "this library is compiled for --device " DEVICE);
    struct poisson *m = (struct poisson *)allocate(sizeof *m);
    if (!m)
        return fail(error, error_bytes, "no memory");
    m->dim = setup->feature_dim;
    m->sum = setup->sum;
    m->sum_cookie = setup->sum_cookie;
    m->weights = (float *)allocate((m->dim + 1) * sizeof(float));
    m->gradient = (float *)allocate((m->dim + 1) * sizeof(float));
    m->residual = (float *)allocate(setup->mini_batch_size * sizeof(float));
    m->loss = (float *)allocate(setup->mini_batch_size * sizeof(float));
    int rc = m->weights && m->gradient && m->residual && m->loss
                 ? read_parameters(m, setup, error, error_bytes)
                 : fail(error, error_bytes, "no memory");
    if (rc < 0)
        poisson_free(m);
    else
        *model = m;
    return rc;
}

static int poisson_step(void *model, const struct penstock_model_batch *batch, void *stream,
                        char *error, size_t error_bytes)
{
    return run((struct poisson *)model, batch, PENSTOCK_MODEL_TRAIN, stream, error, error_bytes);
}

static int poisson_eval(void *model, const struct penstock_model_batch *batch, void *stream,
                        char *error, size_t error_bytes)
{
    return run((struct poisson *)model, batch, PENSTOCK_MODEL_HELD_OUT, stream, error, error_bytes);
}

static int poisson_results(void *model, enum penstock_model_pass pass,
                           struct penstock_model_results *out, char *error, size_t error_bytes)
{
    struct sums *sums = &((struct poisson *)model)->sums[pass];
    (void)error;
    (void)error_bytes;
    out->loss = sums->loss / sums->rows;
    out->score_count = 1;
    snprintf(out->scores[0].name, sizeof out->scores[0].name, "mean_log_likelihood");
    out->scores[0].is_loss = 0;
    out->scores[0].value = -out->loss; /* but for what the labels alone contribute */
    memset(sums, 0, sizeof *sums);
    return 0;
}

static double *poisson_sums(void *model, enum penstock_model_pass pass, size_t *count)
{
    *count = sizeof(struct sums) / sizeof(double);
    return (double *)&((struct poisson *)model)->sums[pass];
}

static int poisson_save(void *model, penstock_model_put_fn put, void *cookie, char *error,
                        size_t error_bytes)
{
    const struct poisson *m = (const struct poisson *)model;
    const uint64_t dim[] = {m->dim};
    const uint64_t one[] = {1};
    const uint64_t sums_bytes[] = {sizeof m->sums};
    (void)error;
    (void)error_bytes;
    if (put(cookie, "weights", PENSTOCK_MODEL_FLOAT32, 1, dim, m->weights) != 0 ||
        put(cookie, "bias", PENSTOCK_MODEL_FLOAT32, 1, one, m->weights + m->dim) != 0)
        return -1;
    return put(cookie, "sums", PENSTOCK_MODEL_STATE, 1, sums_bytes, m->sums);
}

static int poisson_load(void *model, penstock_model_get_fn get, void *cookie, char *error,
                        size_t error_bytes)
{
    struct poisson *m = (struct poisson *)model;
    size_t weights_bytes;
    size_t bias_bytes;
    size_t sums_bytes;
    const void *weights = get(cookie, "weights", &weights_bytes);
    const void *bias = get(cookie, "bias", &bias_bytes);
    const void *sums = get(cookie, "sums", &sums_bytes);
    if (weights_bytes != m->dim * sizeof(float) || bias_bytes != sizeof(float) ||
        sums_bytes != sizeof m->sums)
        return fail(error, error_bytes, "the checkpoint is of another number of features");
    memcpy(m->weights, weights, weights_bytes);
    memcpy(m->weights + m->dim, bias, bias_bytes);
    memcpy(m->sums, sums, sums_bytes);
    return 0;
}

static const struct penstock_model_ops ops = {
    PENSTOCK_MODEL_ABI,
    PENSTOCK_MODEL_DENSE | PENSTOCK_MODEL_LABELS | PENSTOCK_MODEL_RANKS,
    "poisson-regression",
    "poisson_objective",
    "exp(x @ weights + bias), x raw features",
    poisson_init,
    poisson_step,
    poisson_eval,
    poisson_results,
    poisson_save,
    poisson_load,
    poisson_free,
    poisson_sums,
};

#ifdef __cplusplus
extern "C"
#endif
    const struct penstock_model_ops *
    penstock_model(void)
{
    return &ops;
}
