/* SPDX-License-Identifier: Apache-2.0 */
/* tests/golden/crc.h - checksums by awscrt, zlib, google-crc32c and crcmod: written by
 * make_crc.py, which says of what. */
static const struct {
    size_t len_bytes;
    uint64_t sums[3]; /* CRC32, CRC32C, CRC64NVME */
} crc_golden[] = {
    {0, {0x00000000, 0x00000000, 0x0000000000000000}},
    {1, {0x9606c2fe, 0x7ef80fe3, 0x9c3f7d4a74ab3dbf}},
    {7, {0x9e9a7d25, 0xe6019cb9, 0xb7094e93eba4c773}},
    {8, {0x842fb1d3, 0x88623ca7, 0x72456c9b474b4a09}},
    {15, {0xb401f694, 0x14bbe6ec, 0xfd6a2fb499a592c6}},
    {16, {0x7e0a173b, 0x101cc190, 0x522efde5e0f8c85a}},
    {63, {0x65cd49d2, 0xab1da610, 0x44e07527772fbe5e}},
    {64, {0xa20dd64b, 0x45910cd8, 0x96803f673cf1162f}},
    {127, {0x1f79fbda, 0xa3275a01, 0x76f2dbf668deca64}},
    {128, {0x6dcdf760, 0x3b3784de, 0x5fd0c8ba75af51d4}},
    {255, {0x15c653d4, 0x8646dd69, 0xa5bdd8e161deca2c}},
    {256, {0xbc7c2f39, 0x19a4b36a, 0x1d29d1cac59478fe}},
    {257, {0x2fdc6ad8, 0x6bad3192, 0xf0013636bbd25988}},
    {1000, {0xe8be3e1e, 0x26316a73, 0x83db7c7c59fc75e9}},
    {4096, {0xcf53ff1b, 0x0879fa7a, 0xe2be9726340fa716}},
    {65537, {0x65cb6425, 0x353a9004, 0x957c7a65c6d56130}},
    {1000003, {0xd275dcfd, 0xf0ccbf75, 0x3c7500012f515be4}},
};
