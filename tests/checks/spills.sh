#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# tests/checks/spills.sh - a kernel that spills registers, or keeps an array in local memory, does not
# compile with the flags of the Makefile: not for one architecture that they name either.
set -eu
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "spills.sh: $*" >&2; exit 1; }

made() { env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -pn help | sed -n "s/^$1 := //p"; }
nvcc=$(made NVCC)
[ -n "$nvcc" ] || { echo "no nvcc in PATH or /usr/local/cuda/bin"; exit 77; }
made NVCC_FLAGS >"$work/flags"
for arch in 80 90; do
    grep -q "code=\[*sm_$arch" "$work/flags" || fail "nothing is compiled for sm_$arch"
done

cat >"$work/good.cu" <<'CU'
__global__ void good(float *x) { x[threadIdx.x] += 1; }
CU
cat >"$work/spilled.cu" <<'CU'
__global__ void __launch_bounds__(1024, 2) spilled(float *x)
{
    float a[96];
    for (int i = 0; i < 96; i++)
        a[i] = x[i];
    for (int k = 0; k < 50; k++) {
#pragma unroll
        for (int i = 0; i < 96; i++)
            a[i] = a[i] * a[(i + 7) % 96] + x[k];
    }
    for (int i = 0; i < 96; i++)
        x[i] = a[i];
}
CU
cat >"$work/local.cu" <<'CU'
__global__ void local(float *x, const int *at)
{
    float a[64];
    for (int i = 0; i < 64; i++)
        a[i] = x[i];
    for (int i = 0; i < 64; i++)
        a[at[i]] += 1;
    for (int i = 0; i < 64; i++)
        x[i] = a[i];
}
CU
compile() { xargs "$nvcc" -c -o "$work/$1.o" "$work/$1.cu" <"$work/flags" >"$work/said" 2>&1; }
compile good || fail "a kernel that spills nothing is refused: $(cat "$work/said")"
compile spilled && fail "a kernel that spills compiles"
grep -q "Registers are spilled" "$work/said" || fail "what is said of spills: $(cat "$work/said")"
compile local && fail "a kernel with local memory compiles"
grep -q "Local memory used" "$work/said" || fail "what is said of local memory: $(cat "$work/said")"
