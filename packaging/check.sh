#!/bin/bash
# Builds the package twice and once with the next version, and tries it in a bare tree.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
OUT=$out/a VERSION=0.1.0 bash packaging/build.sh
OUT=$out/b VERSION=0.1.0 bash packaging/build.sh >/dev/null
cmp "$out"/a/*.deb "$out"/b/*.deb || { echo "the package is not the same octets the second time" >&2; exit 1; }
OUT=$out/b VERSION=0.1.1 bash packaging/build.sh >/dev/null
bash packaging/tree.sh "$out"/a/*0.1.0_*.deb "$out"/b/*0.1.1_*.deb
