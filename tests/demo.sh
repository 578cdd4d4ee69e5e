#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tests/demo.sh - what `make demo` shows: Fashion-MNIST packed to 16 objects, served as S3 on
# loopback with signed requests, streamed and trained on; and what downloading first would cost.
#
# Leaves nothing running. Everything it writes is under build/demo.
set -euo pipefail
cd "$(dirname "$0")/.."
work=build/demo
program=build/release/penstock
idx=/usr/share/datasets/fashion-mnist
server=''
server_rc=''

stop_server() { # leaves its exit code in server_rc
    [ -n "$server" ] || return 0
    kill -TERM "$server" 2>/dev/null || true
    server_rc=0
    wait "$server" || server_rc=$?
    server=
}
trap stop_server EXIT
trap 'exit 130' INT TERM

fail() {
    printf '\ndemo: %s\n' "$*" >&2
    exit 1
}
now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN {printf "%.2f", b - a}'; }
row() { printf '  %-11s %9s   %s\n' "$1" "$2" "$3"; }
# The last number of that name in the metrics file: of the whole run, or of the test channel.
metric() { grep -o "\"$1\": *[0-9.eE+-]*" "$work/metrics.json" | tail -n 1 | sed 's/.*: *//'; }

quietly() { # runs a command; shows what it said only when it fails
    "$@" >"$work/last.log" 2>&1 || {
        tail -n 30 "$work/last.log" >&2
        fail "failed: $*"
    }
}

rm -rf "$work"
mkdir -p "$work"
started=$(now)
printf '\npenstock: Fashion-MNIST, from an S3 server into a model on this machine\n\n'

t=$(now)
MAKEFLAGS='' quietly make -j"$(nproc)" all
row build "$(since "$t") s" "$("$program" --version), gcc $(gcc -dumpfullversion)"

t=$(now)
for part in train:train:16 test:t10k:1; do
    IFS=: read -r name stem shards <<<"$part"
    quietly "$program" pack --features "$idx/$stem-images-idx3-ubyte.gz" \
        --labels "$idx/$stem-labels-idx1-ubyte.gz" --scale 255 --shards "$shards" \
        --output "$work/data/fashion-mnist/$name"
done
bytes=$(cat "$work"/data/fashion-mnist/train/* | wc -c)
row pack "$(since "$t") s" "60,000 images -> 16 objects, $((bytes / 1000000)) MB of recordio-protobuf"

AWS_ACCESS_KEY_ID=AKIA$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n' | tr a-f A-F)
AWS_SECRET_ACCESS_KEY=$(od -An -N20 -tx1 /dev/urandom | tr -d ' \n')
export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION=us-east-1
export AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_CONFIG_FILE=/dev/null
unset AWS_SESSION_TOKEN AWS_PROFILE AWS_ENDPOINT_URL_S3
t=$(now)
"$program" serve --port 0 --port-file "$work/port" --log "$work/requests.log" "$work/data" \
    >"$work/serve.log" 2>&1 &
server=$!
for _ in $(seq 100); do
    [ -s "$work/port" ] && break
    kill -0 "$server" 2>/dev/null || fail "penstock serve did not start: $(cat "$work/serve.log")"
    sleep 0.05
done
AWS_ENDPOINT_URL=http://127.0.0.1:$(cat "$work/port")
export AWS_ENDPOINT_URL
row serve "$(since "$t") s" "$AWS_ENDPOINT_URL, bucket fashion-mnist, signed requests only"

# What a program that downloads first waits for: every object on disk. 16 connections at once.
mkdir "$work/download"
t=$(now)
quietly curl --silent --show-error --fail --parallel --parallel-max 16 --parallel-immediate \
    --no-progress-meter \
    --aws-sigv4 aws:amz:us-east-1:s3 --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \
    -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' --output-dir "$work/download" --remote-name-all \
    "$AWS_ENDPOINT_URL/fashion-mnist/train/matrix_[00-15].pbr"
download_s=$(since "$t")
cmp -s <(cat "$work"/download/*) <(cat "$work"/data/fashion-mnist/train/*) ||
    fail "the download differs from what was packed"
rm -rf "$work/download"
row download "$download_s s" "all 16 objects with curl, for comparison: nothing trained yet"

train=(train --algorithm linear-learner
    --train s3://fashion-mnist/train/ --test s3://fashion-mnist/test/
    --content-type application/x-recordio-protobuf
    --hp predictor_type=multiclass_classifier --hp num_classes=10)
printf '\n  $ penstock %s %s \\\n' "${train[0]}" "${train[*]:1:2}"
printf '        %s \\\n' "${train[*]:3:4}" "${train[*]:7:2}"
printf '        %s\n\n' "${train[*]:9}"
# the progress line, on a terminal, is cleared before each line that takes its place
clear=
[ -t 2 ] && clear=$(printf '\r\033[K')
"$program" "${train[@]}" --model-dir "$work/model" --metrics-json "$work/metrics.json" |
    grep --line-buffered -v '^#' | sed -u "s/^/$clear    /"

first_s=$(metric first_batch_s)
printf '\n'
row "first batch" "$(awk -v s="$first_s" 'BEGIN {printf "%.3f", s}') s" \
    "streamed: $(awk -v s="$first_s" -v d="$download_s" 'BEGIN {
        if (s < d) printf "%.1f times sooner than", d / s; else printf "no sooner than"}') with a download first"
row throughput "$(metric received_gb_per_second | awk '{printf "%.2f", $1}') GB/s" \
    "from the server to trained on, over 15 epochs"
row accuracy "$(metric multiclass_accuracy | awk '{printf "%.4f", $1}')" \
    "of the 10,000 test images, which the training did not see"
stop_server
[ "$server_rc" = 0 ] || fail "penstock serve ended with exit code $server_rc"
row shutdown clean "$(grep -c . "$work/requests.log") requests served; the server ended with 0"
row "in all" "$(since "$started") s" "model in $work/model"
printf '\n'
