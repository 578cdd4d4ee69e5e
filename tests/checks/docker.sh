#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# tests/checks/docker.sh - what can be known of docker/Dockerfile and docker/Dockerfile.cuda without
# Docker, which is not asked for: their last stage installs the package of every library that the
# program and the plug-in need, signals reach penstock, `train` is a command, and what they copy is
# there. tests/checks/image.sh runs what the last stage has.
set -eu
cd "$(dirname "$0")/../.."
program=build/release/penstock
plugin=build/release/libpenstock_cuda.so
fail() { echo "docker.sh: $*" >&2; exit 1; }
[ -x $program ] || fail "$program is not built"
[ -e $plugin ] || plugin=
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# the last stage, from its FROM on, as a list of words
last_stage() { echo " $(awk '/^FROM/{text = ""} {text = text " " $0} END{print text}' "$1" | sed 's/\\//g' | tr -s ' ') "; }

# The packages of the libraries that the binaries are linked with, but those of every image: by the
# linker's path, that path below /usr (merged directories), and where alternatives lead to.
linked=$(for binary in $program $plugin; do
    for library in $(readelf -d "$binary" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p'); do
        ldd "$binary" | awk -v l="$library" '$1 == l {print $3}'
    done
done | sort -u)
: >"$scratch/packages"
for file in $linked; do
    printf '%s\n' "$file" "/usr$file" "$(readlink -f "$file")" | sort -u >>"$scratch/names"
done
xargs dpkg-query -S <"$scratch/names" >"$scratch/owners" 2>/dev/null || : # most names are not a package's
for file in $linked; do
    owner=$(grep -F -e ": $file" -e ": $(readlink -f "$file")" "$scratch/owners" | head -n 1) || fail "$file is of no package"
    echo "${owner%%:*}" >>"$scratch/packages"
done

check_libraries() {
    stage=$(last_stage "$1")
    # and what is opened while it runs, and the authorities that sign the endpoints of S3
    for package in $(grep -vx -e libc6 -e libgcc-s1 "$scratch/packages") libopenblas0-pthread ca-certificates $2; do
        case $stage in
        *" $package "*) ;;
        *) fail "$1 does not install $package" ;;
        esac
    done
}

check_commands() {
    # a shell between would keep SIGTERM to itself
    for word in ENTRYPOINT CMD; do
        line=$(grep "^$word " "$1" | tail -n 1)
        echo "${line#"$word "}" | python3 -c 'import json, sys; assert all(isinstance(w, str) for w in json.load(sys.stdin))' ||
            fail "$1: $word is not in exec form: $line"
    done
    last_stage "$1" | grep -qF 'COPY docker/train /usr/local/bin/train' || fail "$1 has no command train"
    last_stage "$1" | grep -qF 'ENTRYPOINT ["penstock"]' || fail "$1 does not start penstock"
}

# Sources of the repository are there, tracked (or about to be), and not ignored.
check_copies() {
    awk '$1 == "COPY" && $2 !~ /^--from/ {for (i = 2; i < NF; i++) print $i}' "$1" >"$scratch/sources"
    while read -r source; do
        [ -e "$source" ] || fail "$1 copies $source, which is not there"
        [ "$source" = . ] || [ -z "$(git ls-files -o -i --exclude-standard "$source" 2>/dev/null)" ] ||
            fail "$1 copies $source, which git ignores"
        if grep -qxF -e "$source" -e "$source/" .dockerignore; then fail "$1 copies $source, which .dockerignore leaves out"; fi
    done <"$scratch/sources"
    # of another stage, which has that name
    sed -n 's/^COPY --from=\([a-z]*\).*/\1/p' "$1" >"$scratch/stages"
    while read -r stage; do
        grep -q "^FROM .* AS $stage\$" "$1" || fail "$1 copies from $stage, which is no stage"
    done <"$scratch/stages"
}

check_libraries docker/Dockerfile ""
check_libraries docker/Dockerfile.cuda "libcublas-13-0 libnccl2"
for file in docker/Dockerfile docker/Dockerfile.cuda; do
    check_commands $file
    check_copies $file
done
# what is built here, and the history, are not sent to the engine
for name in build/ .git/; do
    grep -qxF "$name" .dockerignore || fail ".dockerignore does not leave out $name"
done
# both have the same of Debian
debian() { last_stage "$1" | grep -o 'recommends.*&& rm' | tr ' ' '\n' | grep -v -e cublas -e nccl; }
debian docker/Dockerfile >"$scratch/cpu"
debian docker/Dockerfile.cuda | diff "$scratch/cpu" - || fail "the two images install different packages"

[ -x docker/train ] || fail "docker/train is not executable"
ln -s "$PWD/$program" "$scratch/penstock"
PATH=$scratch:$PATH docker/train --help | grep -q '^Usage: penstock train' || fail "docker/train is not penstock train"
echo "the images install every library, start penstock in exec form, and have the command train"
