#!/bin/bash
# Measures Waxwing and, where Debian's Postfix is installed and this runs as root, Postfix on the same machine in the
# same run, in pairs, and prints the medians. docs/performance.md explains what is measured and how.
#   PAIRS (5), N (8000 messages a run), SIZE (10240 octets), SESSIONS (20), DOMAINS (3000), WORKS (accept,verified,relay,mx,mx50,mxpq; box and boxsieve are into a mailbox, beside Postfix with Dovecot),
#   PROFILE (a directory for CPU profiles of Waxwing), PEERS (waxwing,postfix,postfix+dovecot);
#   SMOKE=1: one short pair, to see that it works.
set -eu
cd "$(dirname "$0")/.."
if [ "${SMOKE:-}" ]; then : "${PAIRS:=1}" "${N:=400}" "${DOMAINS:=100}"; fi
: "${PAIRS:=5}" "${N:=8000}" "${SIZE:=10240}" "${SESSIONS:=20}" "${DOMAINS:=3000}" "${WORKS:=accept,verified,relay,mx,mx50,mxpq}"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
CGO_ENABLED=0 go build -trimpath -pgo=packaging/waxwing.pgo -o "$out/waxwing" ./cmd/waxwing
go build -o "$out/mailperf" ./bench/mailperf
go build -o "$out/bench" ./bench
set -- "$out/bench" -bin "$out" -scripts bench -pairs "$PAIRS" -n "$N" -size "$SIZE" -sessions "$SESSIONS" -domains "$DOMAINS" -works "$WORKS" -profile "${PROFILE:-}" -peers "${PEERS:-waxwing,postfix,postfix+dovecot}"
if [ "$(id -u)" = 0 ] && unshare --net --mount true 2>/dev/null; then
	# A network of its own that has nothing but loopback, so that ports 25 and 53 can be used, with 127.0.0.53 as the resolver.
	printf 'nameserver 127.0.0.53\noptions edns0 trust-ad\n' >"$out/resolv.conf"
	chmod 755 "$out"; chmod 644 "$out/resolv.conf"
	unshare --net --mount bash -c 'ip link set lo up; mount --bind "$1" /etc/resolv.conf; shift; exec "$@"' bench "$out/resolv.conf" "$@"
else
	echo "no network namespace here: Postfix, and delivery to many domains, are not measured"
	"$@" -alone
fi
