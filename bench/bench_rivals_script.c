/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_rivals_script.c - bench/rivals.py, in the program: it works without the source tree.
 */
#include "bench/bench_rivals_script.h"

__asm__(".pushsection .rodata\n"
        ".global bench_rivals_script\n"
        ".hidden bench_rivals_script\n"
        "bench_rivals_script:\n"
        ".incbin \"bench/rivals.py\"\n"
        ".byte 0\n"
        ".popsection\n");
