#!/bin/bash
# Measures what strangers can do to a Waxwing on this machine: memory under attack, and the throughput that well-behaved
# clients keep meanwhile. docs/performance.md explains the figures. Loopback only, at most five minutes for each of its three parts.
#   PARTS (memory,mix,flood), IDLE (2000 connections), LARGE (52428800 octets), SPAN (3s a run);
#   SMOKE=1: small and short, to see that it works.
set -eu
cd "$(dirname "$0")/.."
if [ "${SMOKE:-}" ]; then : "${IDLE:=200}" "${LARGE:=2097152}" "${SPAN:=1s}" "${REST:=1s}"; fi
: "${PARTS:=memory,mix,flood}" "${IDLE:=2000}" "${LARGE:=52428800}" "${SPAN:=3s}" "${REST:=10s}"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
CGO_ENABLED=0 go build -trimpath -o "$out/waxwing" ./cmd/waxwing
go build -o "$out/abuse" ./bench/abuse
ulimit -n "$(ulimit -Hn)"
"$out/abuse" -bin "$out" -parts "$PARTS" -idle "$IDLE" -large "$LARGE" -span "$SPAN" -rest "$REST"
