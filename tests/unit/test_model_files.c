/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_model_files.c - the bytes of safetensors and npz files, files that appear whole
 * or not at all, JSON, sizes. tests/integration/test_model_files.py opens them with other programs.
 */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "formats/bytes.h"
#include "formats/npz_write.h"
#include "formats/safetensors_write.h"
#include "trainer/json.h"
#include "trainer/model_files.h"
#include "trainer/onnx.h"
#include "trainer/output.h"

struct bytes {
    uint8_t data[8192];
    size_t len;
    size_t fail_at; /* the call that would pass this length fails; 0 = none */
};

static int collect(void *cookie, const void *bytes, size_t len_bytes)
{
    struct bytes *b = cookie;
    if (b->fail_at > 0 && b->len + len_bytes > b->fail_at)
        return 77;
    assert_true(b->len + len_bytes <= sizeof b->data);
    memcpy(b->data + b->len, bytes, len_bytes);
    b->len += len_bytes;
    return 0;
}

static const float weights[6] = {1.0F, -2.0F, 3.5F, 0.0F, 5.0F, 6.25F};
static const float bias[2] = {0.5F, -0.5F};
static const struct fmt_tensor tensors[] = {{"weights", weights, 2, {3, 2}},
                                            {"bias", bias, 1, {2}}};

static void test_safetensors_bytes(void **state)
{
    (void)state;
    static struct bytes b;
    const struct fmt_metadata metadata[] = {{"format", "a \"quoted\\\" text\n"}, {"b", "\xc3\xa9"}};
    const char *header =
        "{\"__metadata__\":{\"format\":\"a \\\"quoted\\\\\\\" text\\u000a\",\"b\":\"\xc3\xa9\"},"
        "\"weights\":{\"dtype\":\"F32\",\"shape\":[3,2],\"data_offsets\":[0,24]},"
        "\"bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[24,32]}}";
    memset(&b, 0, sizeof b);
    assert_int_equal(fmt_safetensors_write(tensors, 2, metadata, 2, collect, &b), 0);
    uint64_t header_bytes = fmt_load_le64(b.data);
    assert_int_equal(header_bytes % 8, 0);
    assert_true(header_bytes >= strlen(header) && header_bytes < strlen(header) + 8);
    assert_memory_equal(b.data + 8, header, strlen(header));
    for (size_t i = strlen(header); i < header_bytes; i++)
        assert_int_equal(b.data[8 + i], ' ');
    assert_int_equal(b.len, 8 + header_bytes + 32);
    assert_memory_equal(b.data + 8 + header_bytes, weights, sizeof weights);
    assert_memory_equal(b.data + 8 + header_bytes + 24, bias, sizeof bias);
}

/* Data starts on a multiple of 8 whatever the header's length. */
static void test_safetensors_data_is_aligned(void **state)
{
    (void)state;
    static struct bytes b;
    for (size_t len = 0; len < 9; len++) {
        char value[10] = "";
        const struct fmt_metadata metadata[] = {{"key", value}};
        memset(value, 'x', len);
        memset(&b, 0, sizeof b);
        assert_int_equal(fmt_safetensors_write(tensors, 2, metadata, 1, collect, &b), 0);
        assert_int_equal(fmt_load_le64(b.data) % 8, 0);
        assert_int_equal(b.len, 8 + fmt_load_le64(b.data) + 32);
        assert_memory_equal(b.data + b.len - 32, weights, sizeof weights);
    }
}

/* The archive as `zipfile` and numpy read it, checked field by field for the first member. */
static void test_npz_bytes(void **state)
{
    (void)state;
    static struct bytes b;
    memset(&b, 0, sizeof b);
    assert_int_equal(fmt_npz_write(tensors, 2, collect, &b), 0);
    assert_int_equal(b.len, fmt_npz_bytes(tensors, 2));
    assert_int_equal(fmt_load_le32(b.data), 0x04034b50);
    assert_memory_equal(b.data + 30, "weights.npy", 11);
    const uint8_t *npy = b.data + 30 + 11;
    const char *dictionary = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }";
    assert_memory_equal(npy, "\x93NUMPY\x01\x00", 8);
    assert_int_equal((npy[8] | npy[9] << 8) + 10, 128);
    assert_memory_equal(npy + 10, dictionary, strlen(dictionary));
    assert_int_equal(npy[127], '\n');
    assert_memory_equal(npy + 128, weights, sizeof weights);
    assert_int_equal(fmt_load_le32(b.data + 18), 128 + 24); /* compressed size, and size */
    assert_int_equal(fmt_load_le32(b.data + 22), 128 + 24);
    /* CRC-32 of these bytes as Python's zlib.crc32 gives it. */
    assert_int_equal(fmt_load_le32(b.data + 14), UINT32_C(0xb2e48cc1));
    const uint8_t *end = b.data + b.len - 22;
    assert_int_equal(fmt_load_le32(end), 0x06054b50);
    assert_int_equal(end[10] | end[11] << 8, 2);
    const uint8_t *directory = b.data + fmt_load_le32(end + 16);
    assert_int_equal(fmt_load_le32(directory), 0x02014b50);
    assert_int_equal(fmt_load_le32(directory + 42), 0); /* where the first member starts */
    assert_int_equal((size_t)(end - directory), fmt_load_le32(end + 12));
    const char *shape = "'shape': (2,), }"; /* a tuple of one */
    assert_non_null(memmem(b.data, b.len, shape, strlen(shape)));
}

static void test_writers_stop_where_the_sink_does(void **state)
{
    (void)state;
    static struct bytes b;
    const struct fmt_metadata metadata[] = {{"a", "b"}};
    uint64_t whole = fmt_npz_bytes(tensors, 2);
    for (size_t at = 1; at < whole; at += 7) {
        memset(&b, 0, sizeof b);
        b.fail_at = at;
        assert_int_equal(fmt_npz_write(tensors, 2, collect, &b), 77);
    }
    for (size_t at = 1; at < 160; at += 3) {
        memset(&b, 0, sizeof b);
        b.fail_at = at;
        assert_int_equal(fmt_safetensors_write(tensors, 2, metadata, 1, collect, &b), 77);
    }
}

static void test_json_is_escaped_and_separated(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    struct tr_json json = {out, false};
    tr_json_open(&json, NULL, '{');
    tr_json_text(&json, "a\"", "b\\\t\xc3\xa9");
    tr_json_open(&json, "list", '[');
    tr_json_count(&json, NULL, UINT64_MAX);
    tr_json_number(&json, NULL, 0.5);
    tr_json_number(&json, NULL, NAN);
    tr_json_open(&json, NULL, '{');
    tr_json_close(&json, '}');
    tr_json_close(&json, ']');
    tr_json_truth(&json, "yes", true);
    tr_json_close(&json, '}');
    fclose(out);
    assert_string_equal(text, "{\"a\\\"\": \"b\\\\\\u0009\xc3\xa9\", \"list\": "
                              "[18446744073709551615, 0.5, null, {}], \"yes\": true}");
    free(text);
}

/* --- files ---------------------------------------------------------------------------------------
 */

static char directory[] = "/tmp/test_model_files.XXXXXX";

static int make_directory(void **state)
{
    (void)state;
    return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command) == 0 ? 0 : -1;
}

static void path_of(char *path, size_t path_bytes, const char *name)
{
    snprintf(path, path_bytes, "%s/%s", directory, name);
}

/* Number of entries of the directory that are files. */
static int count_files(const char *in)
{
    char command[256];
    int count = -1;
    snprintf(command, sizeof command, "find %s -type f | wc -l", in);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_int_equal(fscanf(pipe, "%d", &count), 1);
    pclose(pipe);
    return count;
}

static void test_output_appears_whole(void **state)
{
    (void)state;
    struct tr_output output;
    struct tr_error error;
    struct stat status;
    char path[256];
    path_of(path, sizeof path, "whole");
    assert_int_equal(tr_output_open(&output, directory, "whole", &error), 0);
    assert_int_equal(tr_output_sink(&output, "hello", 5), 0);
    assert_int_equal(stat(path, &status), -1);
    assert_int_equal(tr_output_close(&output, &error), 0);
    assert_int_equal(stat(path, &status), -1);
    assert_int_equal(tr_output_commit(&output, &error), 0);
    tr_output_discard(&output);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 5);
    assert_int_equal(count_files(directory), 1);

    assert_int_equal(tr_output_open(&output, NULL, path, &error), 0); /* and is replaced whole */
    assert_int_equal(tr_output_sink(&output, "hi", 2), 0);
    tr_output_discard(&output);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 5);
    assert_int_equal(count_files(directory), 1);
}

static void test_output_says_what_is_wrong(void **state)
{
    (void)state;
    struct tr_output output;
    struct tr_error error;
    char path[256];
    assert_int_equal(tr_output_open(&output, "/nonexistent", "x", &error), -1);
    assert_string_equal(error.text, "cannot write /nonexistent/x: No such file or directory");
    path_of(path, sizeof path, "a/b/c");
    assert_int_equal(tr_output_directory(path, &error), 0);
    assert_int_equal(tr_output_directory(path, &error), 0);
    path_of(path, sizeof path, "whole");
    assert_int_equal(tr_output_directory(path, &error), -1);
    assert_non_null(strstr(error.text, "is not a directory"));
    assert_int_equal(tr_output_directory("/proc/nonexistent/x", &error), -1);
    assert_non_null(strstr(error.text, "cannot make the directory /proc/nonexistent/x"));
}

static void put_config(const struct tr_model *model, struct tr_json *json)
{
    (void)model;
    tr_json_number(json, "learning_rate", 0.1);
}

static int save(const char *in, uint32_t dim, struct tr_error *error)
{
    const struct tr_model_ops ops = {.name = "test", .put_config = put_config};
    struct tr_device device = {.ops = &tr_device_cpu};
    const struct tr_model model = {&ops, &device, NULL};
    const struct tr_hyper_common common = {.epochs = 2, .mini_batch_size = 10};
    const struct tr_score scores[] = {{"train_loss", true, 0.5}};
    const uint64_t shape[] = {dim, 3};
    struct tr_export arrays = {.prediction = "none"};
    assert_non_null(tr_export_add(&arrays, "weights", 2, shape, error));
    const struct tr_model_info info = {&model, &common, &arrays, 2, 100, scores, 1};
    int rc = tr_model_save(in, &info, error);
    tr_export_free(&arrays);
    return rc;
}

/* The disk is full in the middle of a file: nothing of it stays, and what was there stays. */
static void test_failed_save_leaves_the_old_model(void **state)
{
    (void)state;
    struct tr_error error;
    struct rlimit old;
    struct stat before;
    struct stat after;
    char in[256];
    char path[300];
    path_of(in, sizeof in, "model");
    assert_int_equal(tr_output_directory(in, &error), 0);
    assert_int_equal(save(in, 10, &error), 0);
    assert_int_equal(count_files(in), 3);
    snprintf(path, sizeof path, "%s/model.npz", in);
    assert_int_equal(stat(path, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    struct rlimit small = {100 * 1024, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int rc = save(in, 100000, &error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(rc, -1);
    assert_non_null(strstr(error.text, "/model.safetensors: File too large"));
    assert_int_equal(count_files(in), 3);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
}

/* --- graphs --------------------------------------------------------------------------------------
 */

/* Whether a value of this name is there before node `end`. */
static bool is_known(const struct fmt_onnx_graph *graph, size_t end, const char *name)
{
    bool known = strcmp(graph->input.name, name) == 0;
    for (size_t i = 0; i < graph->initializer_count; i++)
        known = known || strcmp(graph->initializers[i].name, name) == 0;
    for (size_t i = 0; i < end; i++)
        known = known || strcmp(graph->nodes[i].output, name) == 0;
    return known;
}

/* Nodes take what is there before them and give what was not; the outputs are theirs. */
static void check_graph(const struct fmt_onnx_graph *graph, uint64_t dim, const char *first_output)
{
    assert_int_equal(graph->input.shape[1], dim);
    for (size_t i = 0; i < graph->node_count; i++) {
        const struct fmt_onnx_node *node = &graph->nodes[i];
        for (size_t k = 0; k < FMT_ONNX_INPUTS_MAX && node->inputs[k][0]; k++)
            assert_true(is_known(graph, i, node->inputs[k]));
        assert_false(is_known(graph, i, node->output));
    }
    assert_string_equal(graph->outputs[0].name, first_output);
    for (size_t i = 0; i < graph->output_count; i++)
        assert_true(is_known(graph, graph->node_count, graph->outputs[i].name));
}

static void make_export(struct tr_export *arrays, struct fmt_onnx_graph *graph,
                        const struct fmt_tensor *from, size_t count)
{
    memset(arrays, 0, sizeof *arrays);
    memset(graph, 0, sizeof *graph);
    memcpy(arrays->tensors, from, count * sizeof *from);
    arrays->tensor_count = count;
    graph->initializers = arrays->tensors;
    graph->initializer_count = count;
}

static void test_graphs_are_whole(void **state)
{
    (void)state;
    static struct tr_export arrays;
    static struct fmt_onnx_graph graph;
    const struct fmt_tensor fm[] = {
        {"bias", bias, 1, {1}}, {"linear", weights, 1, {3}}, {"factors", weights, 2, {3, 2}}};
    const struct fmt_tensor kmeans[] = {{"centroids", weights, 2, {2, 3}}};
    const struct fmt_tensor pca[] = {
        {"components", weights, 2, {2, 3}}, {"mean", weights, 1, {3}}, {"ratio", bias, 1, {2}}};
    make_export(&arrays, &graph, fm, 3);
    tr_onnx_fm(&arrays, TR_LOSS_SQUARED, &graph);
    check_graph(&graph, 3, "prediction");
    assert_int_equal(graph.output_count, 1);
    make_export(&arrays, &graph, fm, 3);
    tr_onnx_fm(&arrays, TR_LOSS_LOGISTIC, &graph);
    check_graph(&graph, 3, "score");
    assert_int_equal(graph.output_count, 3);
    make_export(&arrays, &graph, kmeans, 1);
    tr_onnx_kmeans(NULL, &arrays, &graph);
    check_graph(&graph, 3, "squared_distances");
    assert_int_equal(graph.outputs[0].shape[1], 2);
    make_export(&arrays, &graph, pca, 3);
    tr_onnx_pca(NULL, &arrays, &graph);
    check_graph(&graph, 3, "projection");
    assert_int_equal(graph.outputs[0].shape[1], 2);
    assert_int_equal(graph.initializer_count, 2); /* those that the graph uses */
}

/* Factors of so many features go into the other files, and the run does not fail at its end. */
static void test_what_is_too_large_for_a_graph_has_none(void **state)
{
    (void)state;
    static struct tr_export arrays = {.tensor_count = 1};
    arrays.tensors[0] = (struct fmt_tensor){"factors", NULL, 2, {8000000, 64}};
    assert_true(tr_model_has_graph(&tr_model_fm, &arrays));
    assert_false(tr_model_has_graph(&tr_model_custom, &arrays));
    arrays.tensors[0].shape[0] = 8500000;
    assert_false(tr_model_has_graph(&tr_model_fm, &arrays));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_safetensors_bytes),
        cmocka_unit_test(test_safetensors_data_is_aligned),
        cmocka_unit_test(test_npz_bytes),
        cmocka_unit_test(test_writers_stop_where_the_sink_does),
        cmocka_unit_test(test_json_is_escaped_and_separated),
        cmocka_unit_test(test_output_appears_whole),
        cmocka_unit_test(test_output_says_what_is_wrong),
        cmocka_unit_test(test_failed_save_leaves_the_old_model),
        cmocka_unit_test(test_graphs_are_whole),
        cmocka_unit_test(test_what_is_too_large_for_a_graph_has_none),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
