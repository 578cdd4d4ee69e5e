/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_list_files.c - pipe/list_files.c: files as S3 would list them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include <cmocka.h>

#include "pipe/list_files.h"
#include "tests/unit/scratch.h"

enum { TAKEN_MAX = 600 };

/* What a walk gave; paths without the scratch directory. */
struct taken {
    const char *below;
    char *paths[TAKEN_MAX];
    char identities[TAKEN_MAX][PS_FILE_IDENTITY_BYTES];
    uint64_t sizes[TAKEN_MAX];
    size_t count;
    size_t refuse_at; /* return 77 on this one; 0 for never */
    atomic_bool *stop_after_first;
};

static int take(void *cookie, const char *path, const char *identity, uint64_t size_bytes)
{
    struct taken *taken = cookie;
    size_t below_bytes = strlen(taken->below);

    assert_true(taken->count < TAKEN_MAX);
    if (strncmp(path, taken->below, below_bytes) == 0)
        path += below_bytes;
    while (below_bytes > 0 && *path == '/')
        path++;
    taken->paths[taken->count] = strdup(path);
    memcpy(taken->identities[taken->count], identity, strlen(identity) + 1);
    taken->sizes[taken->count++] = size_bytes;
    if (taken->stop_after_first)
        atomic_store(taken->stop_after_first, true);
    return taken->refuse_at && taken->count == taken->refuse_at ? 77 : 0;
}

static void forget(struct taken *taken)
{
    for (size_t i = 0; i < taken->count; i++)
        free(taken->paths[i]);
    taken->count = 0;
}

static int list(const char *path, struct taken *taken, struct penstock_error *error)
{
    static const atomic_bool never = false;

    memset(error, 0, sizeof *error);
    return ps_list_files(path, &never, take, taken, error);
}

static void assert_lists(const struct scratch *scratch, const char *const *expected, size_t count)
{
    struct taken taken = {.below = scratch->path};
    struct penstock_error error;

    assert_int_equal(list(scratch->path, &taken, &error), PENSTOCK_OK);
    for (size_t i = 0; i < count && i < taken.count; i++)
        assert_string_equal(taken.paths[i], expected[i]);
    assert_int_equal(taken.count, count);
    forget(&taken);
}
#define ASSERT_LISTS(scratch, ...)                                                                 \
    do {                                                                                           \
        const char *const expected_[] = {__VA_ARGS__};                                             \
        assert_lists(scratch, expected_, sizeof expected_ / sizeof *expected_);                    \
    } while (0)

static void touch(const struct scratch *scratch, const char *name)
{
    scratch_file(scratch, name, "x", 1);
}

/* '-' (2d) and '.' (2e) sort before '/' (2f), '0' (30) after it: a directory is not in one place
 * with a file of the same name. */
static void test_order_is_that_of_whole_keys(void **state)
{
    struct scratch scratch = scratch_open();
    static const char *const names[] = {"a/x", "a/b/c", "a-b",      "a.txt", "a0",    "a/",
                                        "b",   "A",     "\xc3\xa9", "\x7f",  "a b/z", "a/x.y"};

    (void)state;
    scratch_directory(&scratch, "a");
    scratch_directory(&scratch, "a/b");
    scratch_directory(&scratch, "a b");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i][strlen(names[i]) - 1] != '/')
            touch(&scratch, names[i]);
    ASSERT_LISTS(&scratch, "A", "a b/z", "a-b", "a.txt", "a/b/c", "a/x", "a/x.y", "a0", "b", "\x7f",
                 "\xc3\xa9");
    scratch_close(&scratch);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Random trees against a sort of whole paths. */
static void test_order_of_random_trees_is_that_of_a_sort(void **state)
{
    static const char alphabet[] = "-./0aA\xc3 +%";
    uint32_t random = 12345;
    struct scratch scratch = scratch_open();
    char *paths[TAKEN_MAX];
    size_t count = 0;
    struct taken taken = {.below = scratch.path};
    struct penstock_error error;

    (void)state;
    for (int i = 0; i < 400; i++) {
        char name[16] = "";
        size_t len = 1 + i % 9;

        for (size_t c = 0; c < len; c++) {
            random = random * 1664525 + 1013904223;
            name[c] = alphabet[(random >> 16) % (sizeof alphabet - 1)];
        }
        if (name[0] == '/' || name[len - 1] == '/' || strstr(name, "//") || strstr(name, "."))
            continue;
        for (char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
            *slash = '\0';
            mkdir(scratch_path(&scratch, name).text, 0755);
            *slash = '/';
        }
        /* The name may be taken, by a file or as a directory. */
        int fd = open(scratch_path(&scratch, name).text, O_WRONLY | O_CREAT | O_EXCL, 0644);

        if (fd >= 0) {
            close(fd);
            paths[count++] = strdup(name);
        }
    }
    assert_true(count > 100);
    qsort(paths, count, sizeof *paths, by_bytes);
    assert_int_equal(list(scratch.path, &taken, &error), PENSTOCK_OK);
    assert_int_equal(taken.count, count);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(taken.paths[i], paths[i]);
        free(paths[i]);
    }
    forget(&taken);
    scratch_close(&scratch);
}

static void test_single_file_is_listed_by_its_own_path(void **state)
{
    struct scratch scratch = scratch_open();
    struct taken taken = {.below = ""};
    struct penstock_error error;
    struct scratch_name path = scratch_path(&scratch, "only");

    (void)state;
    scratch_file(&scratch, "only", "12345", 5);
    assert_int_equal(list(path.text, &taken, &error), PENSTOCK_OK);
    assert_int_equal(taken.count, 1);
    assert_string_equal(taken.paths[0], path.text);
    assert_int_equal(taken.sizes[0], 5);
    forget(&taken);
    scratch_close(&scratch);
}

static void test_slash_at_the_end_changes_nothing(void **state)
{
    struct scratch scratch = scratch_open();
    struct taken taken = {.below = scratch.path};
    struct penstock_error error;

    (void)state;
    touch(&scratch, "f");
    assert_int_equal(list(scratch_path(&scratch, "").text, &taken, &error), PENSTOCK_OK);
    assert_int_equal(taken.count, 1);
    assert_string_equal(taken.paths[0], "f");
    forget(&taken);
    scratch_close(&scratch);
}

static void test_empty_directories_list_nothing_and_empty_files_are_named(void **state)
{
    struct scratch scratch = scratch_open();

    (void)state;
    scratch_directory(&scratch, "nothing");
    scratch_file(&scratch, "zero", "", 0);
    ASSERT_LISTS(&scratch, "zero");
    scratch_close(&scratch);
}

static void test_symbolic_links_are_followed(void **state)
{
    struct scratch scratch = scratch_open();
    struct taken taken = {.below = scratch.path};
    struct penstock_error error;

    (void)state;
    scratch_directory(&scratch, "real");
    scratch_file(&scratch, "real/f", "123", 3);
    scratch_link(&scratch, "dir-link", "real");
    scratch_link(&scratch, "file-link", "real/f");
    scratch_link(&scratch, "gone", "nowhere");
    ASSERT_LISTS(&scratch, "dir-link/f", "file-link", "real/f");
    assert_int_equal(list(scratch.path, &taken, &error), PENSTOCK_OK);
    assert_int_equal(taken.sizes[1], 3); /* the file's, not the link's */
    assert_string_equal(taken.identities[0], taken.identities[2]);
    forget(&taken);
    /* The root itself may be a link. */
    assert_int_equal(list(scratch_path(&scratch, "dir-link").text, &taken, &error), PENSTOCK_OK);
    assert_int_equal(taken.count, 1);
    forget(&taken);
    scratch_close(&scratch);
}

static void test_loops_of_links_end_in_an_error(void **state)
{
    struct scratch scratch = scratch_open();
    struct taken taken = {.below = scratch.path};
    struct penstock_error error;

    (void)state;
    scratch_directory(&scratch, "d");
    scratch_link(&scratch, "d/up", "..");
    scratch_link(&scratch, "d/self", ".");
    assert_int_equal(list(scratch.path, &taken, &error), PENSTOCK_E_SYSTEM);
    assert_non_null(strstr(error.message, "symbolic links"));
    assert_non_null(strstr(error.message, scratch.path));
    forget(&taken);
    scratch_close(&scratch);

    scratch = scratch_open();
    taken.below = scratch.path;
    scratch_link(&scratch, "loop", "loop");
    assert_int_equal(list(scratch.path, &taken, &error), PENSTOCK_E_SYSTEM);
    assert_int_equal(error.sys_errno, ELOOP);
    assert_non_null(strstr(error.message, "/loop"));
    scratch_close(&scratch);
}

/* Directories below directories, without a link, to one less than the limit and to the limit. */
static void test_depth_is_limited(void **state)
{
    struct scratch scratch = scratch_open();
    struct taken taken = {.below = scratch.path};
    struct penstock_error error;
    char name[200] = "";

    (void)state;
    for (int depth = 1; depth <= 63; depth++) {
        strncat(name, depth == 1 ? "d" : "/d", sizeof name - strlen(name) - 1);
        scratch_directory(&scratch, name);
    }
    touch(&scratch, "d/file");
    assert_int_equal(list(scratch.path, &taken, &error), PENSTOCK_OK);
    assert_int_equal(taken.count, 1);
    forget(&taken);
    strncat(name, "/d", sizeof name - strlen(name) - 1);
    scratch_directory(&scratch, name);
    assert_int_equal(list(scratch.path, &taken, &error), PENSTOCK_E_SYSTEM);
    assert_non_null(strstr(error.message, "deep"));
    forget(&taken);
    scratch_close(&scratch);
}

static void test_special_files_are_passed_over(void **state)
{
    struct scratch scratch = scratch_open();
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(mkfifo(scratch_path(&scratch, "fifo").text, 0644), 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", scratch.path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    scratch_link(&scratch, "device", "/dev/zero");
    touch(&scratch, "plain");
    ASSERT_LISTS(&scratch, "plain");
    close(fd);
    scratch_close(&scratch);
}

static void test_missing_path_is_named(void **state)
{
    struct scratch scratch = scratch_open();
    struct taken taken = {.below = ""};
    struct penstock_error error;
    struct scratch_name path = scratch_path(&scratch, "absent");

    (void)state;
    assert_int_equal(list(path.text, &taken, &error), PENSTOCK_E_NOT_FOUND);
    assert_int_equal(error.rc, PENSTOCK_E_NOT_FOUND);
    assert_int_equal(error.sys_errno, ENOENT);
    assert_string_equal(error.key, path.text);
    assert_non_null(strstr(error.message, path.text));
    touch(&scratch, "file");
    path = scratch_path(&scratch, "file/below");
    assert_int_equal(list(path.text, &taken, &error), PENSTOCK_E_NOT_FOUND);
    assert_int_equal(error.sys_errno, ENOTDIR);
    scratch_close(&scratch);
}

/* Root may read everything: become nobody for the while. */
static void test_unreadable_directory_is_named(void **state)
{
    struct scratch scratch = scratch_open();
    struct taken taken = {.below = scratch.path};
    struct penstock_error error;
    bool was_root = geteuid() == 0;

    (void)state;
    assert_int_equal(chmod(scratch.path, 0755), 0);
    touch(&scratch, "a");
    scratch_directory(&scratch, "locked");
    touch(&scratch, "locked/b");
    assert_int_equal(chmod(scratch_path(&scratch, "locked").text, 0), 0);
    if (was_root)
        assert_int_equal(seteuid(65534), 0);
    int rc = list(scratch.path, &taken, &error);

    if (was_root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(chmod(scratch_path(&scratch, "locked").text, 0755), 0);
    assert_int_equal(rc, PENSTOCK_E_DENIED);
    assert_int_equal(error.sys_errno, EACCES);
    assert_non_null(strstr(error.message, "/locked"));
    assert_non_null(strstr(error.key, "/locked"));
    assert_int_equal(taken.count, 1); /* what came before it was listed */
    forget(&taken);
    scratch_close(&scratch);
}

static void test_walk_stops_when_told(void **state)
{
    struct scratch scratch = scratch_open();
    atomic_bool stop = false;
    struct taken taken = {.below = scratch.path, .stop_after_first = &stop};
    struct penstock_error error;

    (void)state;
    scratch_directory(&scratch, "d");
    touch(&scratch, "d/a");
    touch(&scratch, "d/b");
    touch(&scratch, "e");
    assert_int_equal(ps_list_files(scratch.path, &stop, take, &taken, &error), PENSTOCK_E_STOPPED);
    assert_int_equal(taken.count, 1);
    forget(&taken);
    scratch_close(&scratch);
}

static void test_refusal_of_a_file_ends_the_walk(void **state)
{
    struct scratch scratch = scratch_open();
    struct taken taken = {.below = scratch.path, .refuse_at = 2};
    struct penstock_error error;

    (void)state;
    touch(&scratch, "a");
    touch(&scratch, "b");
    touch(&scratch, "c");
    assert_int_equal(list(scratch.path, &taken, &error), 77);
    assert_int_equal(taken.count, 2);
    forget(&taken);
    scratch_close(&scratch);
}

static void identity_of(const char *path, char out[PS_FILE_IDENTITY_BYTES])
{
    struct stat status;

    assert_int_equal(stat(path, &status), 0);
    ps_file_identity(&status, out);
}

static void set_mtime(const char *path, time_t seconds, long nanoseconds)
{
    const struct timespec times[2] = {{seconds, nanoseconds}, {seconds, nanoseconds}};

    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void test_identity_follows_time_size_and_inode(void **state)
{
    struct scratch scratch = scratch_open();
    struct scratch_name path = scratch_path(&scratch, "f");
    struct scratch_name other = scratch_path(&scratch, "g");
    char first[PS_FILE_IDENTITY_BYTES];
    char second[PS_FILE_IDENTITY_BYTES];

    (void)state;
    scratch_file(&scratch, "f", "12345", 5);
    set_mtime(path.text, 1700000000, 5);
    identity_of(path.text, first);
    identity_of(path.text, second);
    assert_string_equal(first, second);

    set_mtime(path.text, 1700000000, 6);
    identity_of(path.text, second);
    assert_string_not_equal(first, second);

    scratch_file(&scratch, "f", "123456", 6);
    set_mtime(path.text, 1700000000, 5);
    identity_of(path.text, second);
    assert_string_not_equal(first, second);

    /* Replaced by a file of the same size and time. */
    scratch_file(&scratch, "g", "54321", 5);
    set_mtime(other.text, 1700000000, 5);
    assert_int_equal(rename(other.text, path.text), 0);
    identity_of(path.text, second);
    assert_string_not_equal(first, second);
    scratch_close(&scratch);
}

static void test_widest_identity_fits(void **state)
{
    struct stat status;
    char text[PS_FILE_IDENTITY_BYTES];

    (void)state;
    memset(&status, 0xff, sizeof status);
    status.st_mtim.tv_nsec = 999999999;
    ps_file_identity(&status, text);
    assert_string_equal(text, "ffffffffffffffff.03b9ac9ff-ffffffffffffffff-ffffffffffffffff");
}

static void test_errno_becomes_a_result_code(void **state)
{
    (void)state;
    assert_int_equal(ps_file_rc(ENOENT), PENSTOCK_E_NOT_FOUND);
    assert_int_equal(ps_file_rc(ENOTDIR), PENSTOCK_E_NOT_FOUND);
    assert_int_equal(ps_file_rc(EACCES), PENSTOCK_E_DENIED);
    assert_int_equal(ps_file_rc(EPERM), PENSTOCK_E_DENIED);
    assert_int_equal(ps_file_rc(EIO), PENSTOCK_E_SYSTEM);
    assert_int_equal(ps_file_rc(ENAMETOOLONG), PENSTOCK_E_SYSTEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_is_that_of_whole_keys),
        cmocka_unit_test(test_order_of_random_trees_is_that_of_a_sort),
        cmocka_unit_test(test_single_file_is_listed_by_its_own_path),
        cmocka_unit_test(test_slash_at_the_end_changes_nothing),
        cmocka_unit_test(test_empty_directories_list_nothing_and_empty_files_are_named),
        cmocka_unit_test(test_symbolic_links_are_followed),
        cmocka_unit_test(test_loops_of_links_end_in_an_error),
        cmocka_unit_test(test_depth_is_limited),
        cmocka_unit_test(test_special_files_are_passed_over),
        cmocka_unit_test(test_missing_path_is_named),
        cmocka_unit_test(test_unreadable_directory_is_named),
        cmocka_unit_test(test_walk_stops_when_told),
        cmocka_unit_test(test_refusal_of_a_file_ends_the_walk),
        cmocka_unit_test(test_identity_follows_time_size_and_inode),
        cmocka_unit_test(test_widest_identity_fits),
        cmocka_unit_test(test_errno_becomes_a_result_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
