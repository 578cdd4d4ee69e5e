#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tests/checks/demo.sh - the demo runs to its end, reaches the accuracy that is promised, and leaves
# no process behind.
set -euo pipefail
cd "$(dirname "$0")/../.."

said=$(tests/demo.sh 2>&1) || {
    echo "$said"
    exit 1
}
fail() {
    printf '%s\n\ndemo.sh: %s\n' "$said" "$*"
    exit 1
}
field() { awk -v name="$1" '$0 ~ "^  " name " " {sub("^ *" name " *", ""); print $1}' <<<"$said"; }

accuracy=$(field accuracy)
[[ $accuracy =~ ^0\.[0-9]{4}$ ]] || fail "no test accuracy"
awk -v a="$accuracy" 'BEGIN {exit !(a >= 0.835)}' || fail "test accuracy $accuracy, less than 0.835"
awk -v s="$(field 'first batch')" 'BEGIN {exit !(s > 0)}' || fail "no time to first batch"
awk -v r="$(field throughput)" 'BEGIN {exit !(r > 0)}' || fail "no throughput"
[[ $(field shutdown) == clean ]] || fail "no clean shutdown"
grep -q . build/demo/model/model.safetensors || fail "no model"
for pid in $(pgrep -f 'penstock serve .* build/demo/data'); do
    [[ $(readlink "/proc/$pid/cwd") != "$PWD" ]] || fail "the server, process $pid, still runs"
done
echo "the demo reached a test accuracy of $accuracy"
