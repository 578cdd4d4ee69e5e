#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# tests/checks/install.sh - installs to a temporary root, then builds and runs a program against what
# is there, with pkg-config, as shared and as static library; a file in the wrong place is seen.
set -eu
cd "$(dirname "$0")/../.."
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
fail() { echo "install.sh: $*" >&2; exit 1; }

env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s install DESTDIR="$root" PREFIX=/opt/penstock
at=$root/opt/penstock

version=$(sed -n 's/^#define PENSTOCK_VERSION "\(.*\)"/\1/p' pipe/penstock.h)
for file in bin/penstock include/penstock.h lib/libpenstock.a "lib/libpenstock.so.$version" \
    lib/libpenstock.so.0 lib/libpenstock.so lib/pkgconfig/penstock.pc share/man/man1/penstock.1 \
    share/man/man3/penstock.3 share/man/man5/penstock-job.5; do
    [ -e "$at/$file" ] || fail "$file was not installed"
done
[ -z "$(find "$root" -mindepth 1 -maxdepth 1 ! -name opt)" ] || fail "files outside PREFIX: $(ls "$root")"
readelf -d "$at/lib/libpenstock.so" | grep -q 'SONAME.*\[libpenstock.so.0\]' || fail "wrong soname"
if grep -rIl -e "$root" -e "$PWD" "$at/lib/pkgconfig"; then fail "build paths in the files above"; fi

cat >"$root/example.c" <<'C'
#include <penstock.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    const char *uri = argv[1];
    struct penstock_config config;
    struct penstock_channel_config train;
    struct penstock *stream;
    struct penstock_error error;
    const struct penstock_batch *batch;
    double sum = 0;
    int rc;

    if (argc != 2 || strcmp(penstock_version(), PENSTOCK_VERSION) != 0)
        return 2;
    penstock_config_init(&config);
    penstock_channel_config_init(&train);
    train.uris = &uri;
    train.uri_count = 1;
    train.content_type = "text/csv;label_size=1";
    config.channels = &train;
    config.channel_count = 1;
    if (penstock_open(&config, &stream, &error) != PENSTOCK_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    while ((rc = penstock_next(stream, 0, 10000, &batch)) == PENSTOCK_OK) {
        for (uint32_t row = 0; row < batch->rows; row++)
            sum += batch->labels[row] * batch->features[row * batch->feature_dim];
        penstock_release(stream, batch);
    }
    printf("%s %g\n", penstock_rc_name(rc), sum);
    fprintf(stderr, "%s\n", penstock_last_error(stream, 0)->message);
    penstock_close(&stream);
    return 0;
}
C
printf '1,10,0\n2,20,0\n3,30,0\n' >"$root/rows.csv"
export PKG_CONFIG_PATH="$at/lib/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$root"
for mode in shared static; do
    if [ $mode = static ]; then
        # the static library of penstock, the shared ones of everything else
        libs=$(pkg-config --static --libs penstock | sed 's/-lpenstock/-l:libpenstock.a/')
    else
        libs=$(pkg-config --libs penstock)
    fi
    # shellcheck disable=SC2046,SC2086 # lists of words
    gcc -std=c11 -Wall -Wextra -Werror $(pkg-config --cflags penstock) -o "$root/example" \
        "$root/example.c" $libs || fail "the example does not build ($mode)"
    said=$(LD_LIBRARY_PATH="$at/lib" "$root/example" "$root/rows.csv")
    [ "$said" = "PENSTOCK_EPOCH_END 140" ] || fail "the example ($mode) said: $said"
done
# the example in README.md, made a whole program
snippet=$(awk '/^```c$/ {on = 1; next} /^```$/ {on = 0} on' README.md)
{
    echo '#include <penstock.h>'
    echo 'void complain(const char *message);'
    echo 'void step(const float *features, const float *labels, uint32_t rows);'
    echo 'void example(void);'
    echo 'void example(void)'
    printf '{\n%s\n}\n' "$(echo "$snippet" | grep -v '^#include')"
} >"$root/readme.c"
echo "$snippet" | grep -q penstock_next || fail "there is no example in README.md"
# shellcheck disable=SC2046 # a list of words
gcc -std=c11 -Wall -Wextra -Werror $(pkg-config --cflags penstock) -c -o "$root/readme.o" \
    "$root/readme.c" || fail "the example in README.md does not compile"

[ "$("$at/bin/penstock" --version)" = "penstock $version" ] || fail "the installed program does not say its version"
echo "installed, and the example ran against it"
