#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# tests/checks/docker.sh - the image's run-time stage installs the package of every library that the
# program needs. (Whether Docker is there does not matter; the image itself is not built here.)
set -eu
cd "$(dirname "$0")/../.."
program=build/release/penstock
[ -x $program ] || { echo "docker.sh: $program is not built" >&2; exit 1; }

# the second stage, from its FROM on, as a list of words
stage=" $(awk '/^FROM/{n++} n == 2' docker/Dockerfile | tr -s ' \n\\' ' ') "
missing=
for library in $(readelf -d $program | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p'); do
    file=$(ldd $program | awk -v l="$library" '$1 == l {print $3}')
    package=
    # the linker's path, that path below /usr (merged directories), and where alternatives lead to
    for name in "$file" "/usr$file" "$(readlink -f "$file")"; do
        package=$(dpkg-query -S "$name" 2>/dev/null | cut -d: -f1 | head -n 1)
        [ -z "$package" ] || break
    done
    case $package in
    libc6 | libgcc-s1) continue ;; # of every image
    esac
    case $stage in
    *" $package "*) ;;
    *) missing="$missing $library (${package:-no package})" ;;
    esac
done
[ -z "$missing" ] || { echo "docker.sh: docker/Dockerfile does not install:$missing" >&2; exit 1; }
echo "docker/Dockerfile installs every library that the program needs"
