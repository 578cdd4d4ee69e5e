#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# tests/checks/image.sh - runs what the last stage of docker/Dockerfile.cuda has, in a chroot: Debian's
# packages of that list and what they depend on, as they are on this machine, what make install
# installs, and the command train; nothing else of this machine. SageMaker's contract is kept there:
# a training from files, and a failure that is told. (docker/Dockerfile is the same but for the
# plug-in; packages of NVIDIA's are opened when they are there, and here they are not.)
set -eu
cd "$(dirname "$0")/../.."
fail() { echo "image.sh: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo "image.sh: not root: there is no chroot"; exit 77; }
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

packages=$(awk '/^FROM/{text = ""} {text = text " " $0} END{print text}' docker/Dockerfile.cuda |
    sed 's/.*--no-install-recommends//; s/&& rm.*//; s/\\//g' | tr -s ' ' '\n' | grep -v -e '^libcublas' -e '^libnccl' -e '^$')
# a shell, what env and cat are of, and the linker's configuration are of every image
# shellcheck disable=SC2086
apt-cache depends --installed --recurse --no-recommends --no-suggests --no-conflicts --no-breaks \
    --no-replaces --no-enhances $packages dash coreutils libc-bin | grep '^[a-z0-9]' | sort -u >"$root/packages"
for package in $packages; do
    grep -qx -e "$package" -e "$package:.*" "$root/packages" || fail "$package is not installed here"
done

mkdir -p "$root/usr/bin" "$root/usr/sbin" "$root/usr/lib" "$root/usr/lib64" "$root/etc" "$root/dev" "$root/tmp"
for name in bin sbin lib lib64; do ln -s usr/$name "$root/$name"; done
mknod -m 666 "$root/dev/null" c 1 3 2>/dev/null || : >"$root/dev/null"
# shellcheck disable=SC2046
dpkg-query -L $(cat "$root/packages") 2>/dev/null | sort -u | while read -r name; do
    case $name in
    /usr/share/doc/* | /usr/share/man/* | /usr/share/locale/*) ;;
    *) if [ -L "$name" ] || [ -f "$name" ]; then echo "$name"; fi ;;
    esac
done >"$root/files"
# links that the packages make when they are installed
find /usr/lib -lname '/etc/alternatives/*' >>"$root/files"
tar -cf - --no-recursion -T "$root/files" /etc/alternatives/* 2>/dev/null |
    tar -xf - -C "$root" --keep-directory-symlink

env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s install DESTDIR="$root" PREFIX=/usr/local
cp docker/train "$root/usr/local/bin/train"
ldconfig -r "$root"

# as the service starts it: no variable but PATH
inside() { chroot "$root" env -i PATH=/usr/local/bin:/usr/bin:/bin "$@"; }
inside penstock --version >/dev/null || fail "penstock does not start"
inside train --help | grep -q '^Usage: penstock train' || fail "train is not penstock train"

ml=$root/opt/ml
mkdir -p "$ml/input/config" "$ml/input/data/train" "$ml/model"
for row in 0,1,0 1,0,1 0,2,0 1,0,2; do echo $row; done >"$ml/input/data/train/rows.csv"
echo '{"predictor_type": "binary_classifier", "mini_batch_size": "2", "epochs": "2"}' >"$ml/input/config/hyperparameters.json"
echo '{"train": {"TrainingInputMode": "File", "ContentType": "text/csv;label_size=1"}}' >"$ml/input/config/inputdataconfig.json"
echo '{"current_host": "algo-1", "hosts": ["algo-1"]}' >"$ml/input/config/resourceconfig.json"
inside train >"$root/log" 2>&1 || fail "training failed: $(cat "$root/log")"
grep -q '^device: cpu (OpenBLAS' "$root/log" || fail "it does not say what it computes on: $(cat "$root/log")"
[ -s "$ml/model/model.safetensors" ] || fail "there is no model"

echo '{"predictor_type": "nothing"}' >"$ml/input/config/hyperparameters.json"
if inside penstock train >"$root/log" 2>&1; then fail "a wrong hyperparameter is not refused"; fi
grep -q predictor_type "$ml/output/failure" || fail "there is no output/failure"
echo "what the images have trains, and tells a failure, with $(wc -l <"$root/packages") packages of Debian"
