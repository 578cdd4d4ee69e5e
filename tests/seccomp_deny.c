/* SPDX-License-Identifier: Apache-2.0 */
/* tests/seccomp_deny.c - run a command on a kernel that refuses io_uring, as container runtimes do.
 *
 *     seccomp_deny EPERM|ENOSYS -- COMMAND [ARGUMENT...]
 *
 * Installs a seccomp filter under which io_uring_setup, _enter and _register fail with that errno,
 * then becomes COMMAND. Exit status: COMMAND's; 2 for bad arguments; 77 (skip) when the kernel
 * refuses the filter; 127 when COMMAND cannot be started.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define THIS_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define THIS_ARCH AUDIT_ARCH_AARCH64
#else
#error "add this architecture's AUDIT_ARCH"
#endif

static int install_filter(unsigned refusal)
{
    /* The three numbers are the same on every architecture: 425, 426, 427. */
    const struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, THIS_ARCH, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, __NR_io_uring_setup, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, __NR_io_uring_register, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (refusal & SECCOMP_RET_DATA)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {
        .len = sizeof(code) / sizeof(code[0]),
        .filter = (struct sock_filter *)code,
    };

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}

int main(int argc, char **argv)
{
    unsigned refusal = 0;

    if (argc >= 4 && strcmp(argv[2], "--") == 0) {
        if (strcmp(argv[1], "EPERM") == 0)
            refusal = EPERM;
        else if (strcmp(argv[1], "ENOSYS") == 0)
            refusal = ENOSYS;
    }
    if (refusal == 0) {
        fprintf(stderr, "usage: seccomp_deny EPERM|ENOSYS -- COMMAND [ARGUMENT...]\n");
        return 2;
    }
    if (install_filter(refusal) != 0) {
        fprintf(stderr, "seccomp_deny: this kernel refuses a seccomp filter: %s\n",
                strerror(errno));
        return 77;
    }
    execvp(argv[3], argv + 3);
    fprintf(stderr, "seccomp_deny: cannot start %s: %s\n", argv[3], strerror(errno));
    return 127;
}
