#!/bin/bash
# Measures what mail programs do in a large mailbox: Waxwing and, where it is installed and this runs as root, Debian's
# Dovecot, in the same run. docs/performance.md explains the figures.
#   MESSAGES (100000), IDLE (1000 sessions), PEERS (waxwing,dovecot), POSTGRES (URL of an empty database, for PEERS=…,postgres);
#   IMPORT (200000): nothing but an import of so many messages of SIZE (8192) octets beside a running server, and an export;
#   SMOKE=1: small and short, to see that it works.
set -eu
cd "$(dirname "$0")/.."
if [ "${SMOKE:-}" ]; then : "${MESSAGES:=2000}" "${IDLE:=50}" "${REST:=1s}"; fi
: "${IMPORT:=0}" "${SIZE:=8192}"
if [ "$IMPORT" != 0 ]; then : "${PEERS:=waxwing}"; fi
: "${MESSAGES:=100000}" "${IDLE:=1000}" "${REST:=10s}" "${PEERS:=}" "${POSTGRES:=}"
if [ -z "$PEERS" ]; then
	PEERS=waxwing
	if command -v dovecot >/dev/null && [ "$(id -u)" = 0 ]; then PEERS=waxwing,dovecot; else echo "no Dovecot, or not root: Waxwing is measured alone"; fi
fi
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
chmod 755 "$out"
CGO_ENABLED=0 go build -trimpath -pgo=packaging/waxwing.pgo -o "$out/waxwing" ./cmd/waxwing
go build -o "$out/imap" ./bench/imap
ulimit -n "$(ulimit -Hn)"
mkdir -m 755 "$out/data"
"$out/imap" -bin "$out/waxwing" -dir "$out/data" -messages "$MESSAGES" -idle "$IDLE" -rest "$REST" -peers "$PEERS" -postgres "$POSTGRES" -import "$IMPORT" -size "$SIZE"
