#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make_crc.py - writes tests/golden/crc.h: checksums by independent writers.

    pip install awscrt crcmod google-crc32c
    python3 tests/golden/make_crc.py >tests/golden/crc.h

Each value is computed by awscrt (AWS Common Runtime) and must agree with a second implementation:
zlib for CRC32, google-crc32c for CRC32C, crcmod for CRC64NVME.
"""
import zlib

import crcmod
import google_crc32c
from awscrt import checksums

LENGTHS = [0, 1, 7, 8, 15, 16, 63, 64, 127, 128, 255, 256, 257, 1000, 4096, 65537, 1000003]

crc64nvme = crcmod.mkCrcFun(0x1AD93D23594C93659, initCrc=0, xorOut=0xFFFFFFFFFFFFFFFF, rev=True)


def data(length):
    """Bytes of a 64-bit linear congruential generator (Knuth's MMIX), from seed 1."""
    state = 1
    out = bytearray()
    for _ in range(length):
        state = (state * 6364136223846793005 + 1442695040888963407) & (2**64 - 1)
        out.append(state >> 56)
    return bytes(out)


def agreed(one, other):
    assert one == other, (one, other)
    return one


def main():
    print("/* SPDX-License-Identifier: Apache-2.0 */")
    print("/* tests/golden/crc.h - checksums by awscrt, zlib, google-crc32c and crcmod: written by")
    print(" * make_crc.py, which says of what. */")
    print("static const struct {")
    print("    size_t len_bytes;")
    print("    uint64_t sums[3]; /* CRC32, CRC32C, CRC64NVME */")
    print("} crc_golden[] = {")
    for length in LENGTHS:
        text = data(length)
        sums = (agreed(checksums.crc32(text), zlib.crc32(text)),
                agreed(checksums.crc32c(text), google_crc32c.value(text)),
                agreed(checksums.crc64nvme(text), crc64nvme(text)))
        print("    {%d, {0x%08x, 0x%08x, 0x%016x}}," % ((length,) + sums))
    print("};")


if __name__ == "__main__":
    main()
