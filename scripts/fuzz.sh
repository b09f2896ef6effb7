#!/bin/bash
# Runs every fuzz target of the tree for FUZZTIME (60s) each, one after the other; stops at the first failure.
# Minimising is kept short: else a target with costly runs spends its time on that.
set -eu
cd "$(dirname "$0")/.."
: "${FUZZTIME:=60s}" "${GO:=go}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Go's fuzzer may end with "context deadline exceeded" when its time is over in the middle of a run, and
# calls that a failure (golang.org/issue/75804, mended in Go 1.27). A true one names the input it has written, or where it crashed.
harmless() { grep -q '^    context deadline exceeded$' "$log" && ! grep -qE 'Failing input|panic:|_test.go:' "$log"; }
count=0
while IFS=: read -r file target; do
	echo "fuzz $(dirname "$file") $target for $FUZZTIME"
	if $GO test "./$(dirname "$file")" -run '^$' -fuzz "^$target\$" -fuzztime "$FUZZTIME" -fuzzminimizetime 1s >"$log" 2>&1; then
		tail -2 "$log"
	elif harmless; then
		echo "time was over in the middle of a run; no input failed"
	else
		cat "$log"
		exit 1
	fi
	count=$((count + 1))
done < <(grep -rHoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sed -E 's/^\.\///; s/:func /:/' | sort)
[ "$count" -gt 0 ] || { echo "no fuzz target found" >&2; exit 1; }
echo "$count fuzz targets ran for $FUZZTIME each, none failed"
