/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_fifo.c - the FIFOs of a channel: which are there, and who is found in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pipe/fifo.h"
#include "tests/unit/scratch.h"

#define WINDOW PS_FIFO_WINDOW

static struct scratch_name fifo_name(unsigned epoch)
{
    struct scratch_name name;

    snprintf(name.text, sizeof name.text, "train_%u", epoch);
    return name;
}

static void test_fifos_come_and_go(void **state)
{
    struct ps_fifos fifos;
    struct penstock_error error;
    struct scratch dir = scratch_open();
    uint64_t epoch;
    int fd;

    (void)state;
    assert_int_equal(mkfifo(scratch_path(&dir, "train_0").text, 0644), 0); /* of an earlier run */
    assert_int_equal(mkfifo(scratch_path(&dir, "train_70").text, 0644), 0);
    assert_int_equal(mkfifo(scratch_path(&dir, "train_x").text, 0644), 0); /* not ours */
    assert_int_equal(ps_fifos_open(&fifos, dir.path, "train", &error), PENSTOCK_OK);
    assert_int_equal(access(scratch_path(&dir, "train_70").text, F_OK), -1);
    assert_int_equal(access(scratch_path(&dir, "train_x").text, F_OK), 0);
    assert_int_equal(ps_fifos_take(&fifos, &fd, &epoch, &error), PENSTOCK_AGAIN);

    int late = open(scratch_path(&dir, "train_3").text, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

    assert_int_equal(ps_fifos_take(&fifos, &fd, &epoch, &error), PENSTOCK_OK);
    assert_int_equal(epoch, 3);
    for (unsigned e = 0; e <= 3; e++)
        assert_int_equal(access(scratch_path(&dir, fifo_name(e).text).text, F_OK), -1);
    for (unsigned e = 4; e < 4 + WINDOW; e++)
        assert_int_equal(access(scratch_path(&dir, fifo_name(e).text).text, F_OK), 0);
    close(late);
    close(fd);
    ps_fifos_close(&fifos);
    for (unsigned e = 0; e < 20; e++)
        assert_int_equal(access(scratch_path(&dir, fifo_name(e).text).text, F_OK), -1);
    scratch_close(&dir);
}

static void test_what_is_in_the_way_is_named(void **state)
{
    struct ps_fifos fifos;
    struct penstock_error error;
    struct scratch dir = scratch_open();
    char deep[5000];

    (void)state;
    scratch_file(&dir, "train_2", "data", 4);
    assert_int_equal(ps_fifos_open(&fifos, dir.path, "train", &error), PENSTOCK_E_ARGUMENT);
    assert_non_null(strstr(error.message, "train_2 is in the way"));
    ps_fifos_close(&fifos);
    assert_int_equal(access(scratch_path(&dir, "train_2").text, F_OK), 0);
    assert_int_equal(ps_fifos_open(&fifos, "/nowhere/at/all", "train", &error), PENSTOCK_E_SYSTEM);
    assert_non_null(strstr(error.message, "/nowhere/at/all/train_0: No such file"));
    ps_fifos_close(&fifos);
    memset(deep, 'x', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    assert_int_equal(ps_fifos_open(&fifos, deep, "train", &error), PENSTOCK_E_ARGUMENT);
    ps_fifos_close(&fifos);
    scratch_close(&dir);
}

/* Two readers at once: the lower epoch is served first, the other when it is its turn. */
static void test_readers_of_two_epochs_are_taken_in_order(void **state)
{
    struct ps_fifos fifos;
    struct penstock_error error;
    struct scratch dir = scratch_open();
    uint64_t epoch;
    int fd;

    (void)state;
    assert_int_equal(ps_fifos_open(&fifos, dir.path, "train", &error), PENSTOCK_OK);
    int second = open(scratch_path(&dir, "train_5").text, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    int first = open(scratch_path(&dir, "train_2").text, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

    for (unsigned turn = 0; turn < 2; turn++) {
        assert_int_equal(ps_fifos_take(&fifos, &fd, &epoch, &error), PENSTOCK_OK);
        assert_int_equal(epoch, turn == 0 ? 2 : 5);
        assert_int_equal(write(fd, "x", 1), 1);
        char got;

        assert_int_equal(read(turn == 0 ? first : second, &got, 1), 1);
        close(fd);
    }
    assert_int_equal(ps_fifos_take(&fifos, &fd, &epoch, &error), PENSTOCK_AGAIN);
    close(first);
    close(second);
    ps_fifos_close(&fifos);
    scratch_close(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fifos_come_and_go),
        cmocka_unit_test(test_what_is_in_the_way_is_named),
        cmocka_unit_test(test_readers_of_two_epochs_are_taken_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
