#!/bin/bash
# Runs every fuzz target of the tree for FUZZTIME (60s) each, a target a core at a time; fails when one has failed.
# A package is built once for all its targets; with UNGUIDED=1 as for its tests, without the counting of what is covered, which a
# run of a second has no use for. Minimising is kept short: else a target with costly runs spends its time on that.
set -eu
cd "$(dirname "$0")/.."
: "${FUZZTIME:=60s}" "${GO:=go}"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
export FUZZTIME out corpus="$($GO env GOCACHE)/fuzz/$($GO list -m)"

fuzz() {
	local dir=$1 target=$2 log=$out/${1//\//.}.$2.log
	if (cd "$dir" && "$out/${dir//\//.}.test" -test.run '^$' -test.fuzz "^$target\$" -test.fuzztime "$FUZZTIME" \
		-test.fuzzminimizetime 1s -test.fuzzcachedir "$corpus/$dir" -test.parallel 1) >"$log" 2>&1; then
		printf 'fuzz %s %s: %s\n' "$dir" "$target" "$(grep -E '^fuzz: ' "$log" | tail -1)"
	# Go's fuzzer may end with "context deadline exceeded" when its time is over in the middle of a run, and
	# calls that a failure (golang.org/issue/75804, mended in Go 1.27). A true one names the input it has written, or where it crashed.
	elif grep -q '^    context deadline exceeded$' "$log" && ! grep -qE 'Failing input|panic:|_test.go:' "$log"; then
		echo "fuzz $dir $target: time was over in the middle of a run; no input failed"
	else
		echo "fuzz $dir $target failed:"
		cat "$log"
		return 1
	fi
}
export -f fuzz

guided="-fuzz ."
[ -z "${UNGUIDED:-}" ] || guided=
grep -rHoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sed -E 's,^\./(.*)/[^/]*:func ,\1 ,' | sort >"$out/targets"
[ -s "$out/targets" ] || { echo "no fuzz target found" >&2; exit 1; }
cut -d ' ' -f 1 "$out/targets" | uniq | while read -r dir; do
	$GO test -c $guided -o "$out/${dir//\//.}.test" "./$dir"
done
xargs -P "$(nproc)" -L 1 bash -c 'fuzz "$0" "$1"' <"$out/targets"
echo "$(wc -l <"$out/targets") fuzz targets ran for $FUZZTIME each, none failed"
