#!/bin/bash
# Runs every fuzz target of the tree for FUZZTIME (60s) each, one after the other; stops at the first failure.
# Minimising is kept short: else a target with costly runs spends its time on that.
set -eu
cd "$(dirname "$0")/.."
: "${FUZZTIME:=60s}" "${GO:=go}"
count=0
while IFS=: read -r file target; do
	echo "fuzz $(dirname "$file") $target for $FUZZTIME"
	$GO test "./$(dirname "$file")" -run '^$' -fuzz "^$target\$" -fuzztime "$FUZZTIME" -fuzzminimizetime 1s
	count=$((count + 1))
done < <(grep -rHoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sed -E 's/^\.\///; s/:func /:/' | sort)
[ "$count" -gt 0 ] || { echo "no fuzz target found" >&2; exit 1; }
echo "$count fuzz targets ran for $FUZZTIME each, none failed"
