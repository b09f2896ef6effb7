#!/bin/bash
# Measures Waxwing and, where Debian's Postfix is installed and this runs as root, Postfix on the same machine in the
# same run, in pairs, and prints the medians. docs/performance.md explains what is measured and how.
#   PAIRS (5), N (8000 messages a run), SIZE (10240 octets), SESSIONS (20); SMOKE=1: one short pair, to see that it works.
set -eu
cd "$(dirname "$0")/.."
if [ "${SMOKE:-}" ]; then : "${PAIRS:=1}" "${N:=400}"; fi
: "${PAIRS:=5}" "${N:=8000}" "${SIZE:=10240}" "${SESSIONS:=20}"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
CGO_ENABLED=0 go build -trimpath -o "$out/waxwing" ./cmd/waxwing
go build -o "$out/mailperf" ./bench/mailperf
go build -o "$out/bench" ./bench
"$out/bench" -bin "$out" -scripts bench -pairs "$PAIRS" -n "$N" -size "$SIZE" -sessions "$SESSIONS"
