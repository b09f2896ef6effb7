#!/bin/bash
# Builds the Debian package into dist/. The same tree, version and Go give the same
# octets: every time stamp is that of the last commit.
#
#	VERSION=0.2.0 bash packaging/build.sh
set -euo pipefail
cd "$(dirname "$0")/.."
GO=${GO:-go}
NFPM=${NFPM:-github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.0}
OUT=${OUT:-dist}
VERSION=${VERSION:-0.1.0}
ARCH=$("$GO" env GOARCH)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
STAGE=$(mktemp -d)
trap 'rm -rf "$STAGE"' EXIT
export SOURCE_DATE_EPOCH # nfpm and the manual pages have it from here

build() { CGO_ENABLED=0 "$GO" build -trimpath -pgo=packaging/waxwing.pgo -buildvcs=false -ldflags "-s -w -X main.version=$VERSION" -o "$1" ./cmd/waxwing; }
build "$STAGE/waxwing"
runs=$STAGE/waxwing
if [ "$ARCH" != "$("$GO" env GOHOSTARCH)" ]; then # what it prints is the same everywhere
	runs=$STAGE/here
	GOARCH=$("$GO" env GOHOSTARCH) build "$runs"
fi
"$runs" man "$STAGE/man"
gzip -9n "$STAGE"/man/*
for shell in bash zsh fish; do "$runs" completion "$shell" >"$STAGE/completion.$shell"; done
sed -e "s|@STAGE@|$STAGE|; s|@ARCH@|$ARCH|; s|@VERSION@|$VERSION|" packaging/nfpm.yaml >"$STAGE/nfpm.yaml"
find "$STAGE" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

mkdir -p "$OUT"
size=$(stat -c %s "$STAGE/waxwing")
echo "the binary has $((size / 1000)) kB"
GOARCH= GOOS= "$GO" run "$NFPM" package --config "$STAGE/nfpm.yaml" --packager deb --target "$OUT/waxwing_${VERSION}_${ARCH}.deb"
