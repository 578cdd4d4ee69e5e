/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_group_tcp.c - what ranks do together over TCP: the bits of sums are those of the
 * plainest group there is (group_fixture.h), whatever the number of ranks and values, and however
 * the kernel cuts what it is given. The program is linked with --wrap for send, recv, sendmsg and
 * recvmsg.
 */
#include "tests/unit/mesh_fixture.h"

#include <errno.h>

/* --- a kernel that moves little at a time --------------------------------------------------------
 */

static _Atomic bool stingy;
static _Thread_local uint64_t luck;

/* How much of what is asked for is done: 0 for an error, which is then in errno. */
static size_t granted(size_t asked_bytes)
{
    uint64_t drawn = stingy ? fixture_random(&luck) : 0;
    if (!stingy || asked_bytes == 0)
        return asked_bytes;
    if (drawn % 8 < 2) {
        errno = drawn % 8 == 0 ? EINTR : EAGAIN;
        return 0;
    }
    return 1 + (drawn >> 8) % (drawn % 8 == 2 ? 7 : asked_bytes) % asked_bytes;
}

ssize_t __real_send(int fd, const void *bytes, size_t len_bytes, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t len_bytes, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t len_bytes, int flags)
{
    size_t some = granted(len_bytes);
    return some == 0 && len_bytes > 0 ? -1 : __real_send(fd, bytes, some, flags);
}

ssize_t __real_recv(int fd, void *bytes, size_t len_bytes, int flags);
ssize_t __wrap_recv(int fd, void *bytes, size_t len_bytes, int flags);
ssize_t __wrap_recv(int fd, void *bytes, size_t len_bytes, int flags)
{
    size_t some = granted(len_bytes);
    return some == 0 && len_bytes > 0 ? -1 : __real_recv(fd, bytes, some, flags);
}

/* The message, cut to what is granted; false for an error. */
static bool cut_message(const struct msghdr *message, struct msghdr *cut, struct iovec piece[2])
{
    size_t asked_bytes = 0;
    *cut = *message;
    cut->msg_iov = piece;
    group_check(message->msg_iovlen <= 2);
    for (size_t i = 0; i < message->msg_iovlen; i++)
        asked_bytes += message->msg_iov[i].iov_len;
    size_t left_bytes = granted(asked_bytes);
    if (left_bytes == 0 && asked_bytes > 0)
        return false;
    for (size_t i = 0; i < message->msg_iovlen; i++) {
        piece[i] = message->msg_iov[i];
        piece[i].iov_len = piece[i].iov_len < left_bytes ? piece[i].iov_len : left_bytes;
        left_bytes -= piece[i].iov_len;
    }
    return true;
}

ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
    struct msghdr cut;
    struct iovec piece[2];
    return cut_message(message, &cut, piece) ? __real_sendmsg(fd, &cut, flags) : -1;
}

ssize_t __real_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags)
{
    struct msghdr cut;
    struct iovec piece[2];
    return cut_message(message, &cut, piece) ? __real_recvmsg(fd, &cut, flags) : -1;
}

/* --- sums ----------------------------------------------------------------------------------------
 */

/* Numbers of very different size, so that another order of adding gives other bits. */
static void *make_values(uint32_t rank, size_t n, enum tr_number type)
{
    uint64_t state = 1000 * rank + n;
    void *values = malloc(n * tr_number_bytes(type) + 1);
    group_check(values != NULL);
    for (size_t i = 0; i < n; i++) {
        uint64_t bits = fixture_random(&state);
        double value = ((double)(bits >> 20) - 0x1p43) * (double)(1U << (bits % 20));
        if (type == TR_NUMBER_FLOAT)
            ((float *)values)[i] = (float)value;
        else if (type == TR_NUMBER_DOUBLE)
            ((double *)values)[i] = value * 1e-30;
        else
            ((uint64_t *)values)[i] = bits;
    }
    return values;
}

static const size_t sizes[] = {0, 1, 7, 1000, 2049, 30011, 1000000};
#define SIZES (sizeof sizes / sizeof *sizes)

/* [size][type] of the reference, of rank 0 */
struct sums {
    void *of[SIZES][3];
    size_t sizes;
    bool reference;
};

static void sum_all(struct tr_group *group, struct tr_device *device, void *cookie)
{
    struct sums *sums = cookie;
    (void)device;
    for (size_t s = 0; s < sums->sizes; s++) {
        for (int type = TR_NUMBER_FLOAT; type <= TR_NUMBER_WORD; type++) {
            void *values = make_values(group->rank, sizes[s], (enum tr_number)type);
            struct tr_error error;
            group_check(tr_group_sum(group, values, sizes[s], (enum tr_number)type, &error) == 0);
            if (!sums->reference)
                group_check(memcmp(values, sums->of[s][type],
                                   sizes[s] * tr_number_bytes((enum tr_number)type)) == 0);
            if (sums->reference && group->rank == 0)
                sums->of[s][type] = values;
            else
                free(values);
        }
    }
}

static void compare_sums(uint32_t ranks, size_t of_sizes)
{
    struct sums sums = {.reference = true, .sizes = of_sizes};
    group_run(ranks, "cpu", sum_all, &sums);
    sums.reference = false;
    tcp_run(ranks, sum_all, &sums);
    for (size_t s = 0; s < of_sizes; s++) {
        for (int type = 0; type < 3; type++)
            free(sums.of[s][type]);
    }
}

static void the_bits_of_sums_are_the_plain_groups(void **state)
{
    (void)state;
    compare_sums(2, SIZES - 1);
    compare_sums(3, SIZES);
    compare_sums(4, SIZES - 1);
    compare_sums(8, SIZES - 1);
}

static void sums_go_through_in_little_pieces(void **state)
{
    (void)state;
    stingy = true;
    compare_sums(2, SIZES - 1);
    compare_sums(5, SIZES - 1);
    stingy = false;
}

/* Calls of all kinds one behind the other, of lengths that differ and are known to all. */
static void mix(struct tr_group *group, struct tr_device *device, void *cookie)
{
    uint64_t state = 7;
    struct tr_error error;
    (void)device;
    (void)cookie;
    for (uint32_t step = 0; step < 60; step++) {
        size_t n = fixture_random(&state) % (step % 10 == 0 ? 60000 : 300);
        uint8_t *bytes = malloc(n + 1);
        uint64_t *words = malloc((n + 1) * sizeof *words);
        struct tr_gathered all;
        struct tr_heard heard;
        uint32_t mine = step % group->count == group->rank ? TR_SAYS_STOP : TR_SAYS_MORE;
        group_check(bytes && words);
        group_check(tr_group_say(group, mine, group->rank + step, &error) == 0);
        group_check(tr_group_beat(group, &error) == 0);
        memset(bytes, group->rank == 0 ? (int)step : 255, n);
        group_check(tr_group_broadcast(group, bytes, n, &error) == 0);
        for (size_t i = 0; i < n; i++) {
            group_check(bytes[i] == (uint8_t)step);
            words[i] = i + group->rank;
        }
        group_check(tr_group_sum(group, words, n, TR_NUMBER_WORD, &error) == 0);
        for (size_t i = 0; i < n; i++)
            group_check(words[i] == i * group->count + group->count * (group->count - 1) / 2);
        size_t own = (n + group->rank * 17) % (n + 1);
        group_check(tr_group_gather(group, words, own, &all, &error) == 0);
        for (uint32_t r = 0; r < group->count; r++) {
            group_check(all.begins[r + 1] - all.begins[r] == (n + r * 17) % (n + 1));
            group_check(
                memcmp(all.bytes + all.begins[r], words, all.begins[r + 1] - all.begins[r]) == 0);
        }
        tr_gathered_free(&all);
        group_check(tr_group_hear(group, &heard, &error) == 0);
        group_check(heard.any == (TR_SAYS_STOP | TR_SAYS_MORE) && heard.all == 0);
        group_check(heard.rows == group->count * (group->count - 1) / 2 + step * group->count);
        group_check(heard.rows_before == group->rank * (group->rank - 1) / 2 + step * group->rank);
        group_check(heard.first == (step % group->count == 0 ? TR_SAYS_STOP : TR_SAYS_MORE));
        free(bytes);
        free(words);
    }
}

static void calls_of_all_kinds_in_turn(void **state)
{
    (void)state;
    tcp_run(2, mix, NULL);
    tcp_run(5, mix, NULL);
    stingy = true;
    tcp_run(3, mix, NULL);
    stingy = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bits_of_sums_are_the_plain_groups),
        cmocka_unit_test(sums_go_through_in_little_pieces),
        cmocka_unit_test(calls_of_all_kinds_in_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
