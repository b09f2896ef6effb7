package body

import (
	"bytes"
	"encoding/base64"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// MBX-1: compressed where that helps, over sizes around each bound.
func TestHelps(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		plain, packed int
		want          bool
	}{
		{0, 0, false}, {minPacked - 1, 0, false}, {minPacked, 0, true}, {minPacked, minPacked - minSaved, true}, {minPacked, minPacked - minSaved + 1, false},
		{8 * minSaved, 7 * minSaved, true}, {8 * minSaved, 7*minSaved + 1, false}, {chunkSize, chunkSize * 7 / 8, true}, {chunkSize, chunkSize*7/8 + 1, false},
		{chunkSize, chunkSize + 9, false},
	} {
		if got := helps(c.plain, c.packed); got != c.want {
			t.Errorf("%d octets, %d compressed: %v, want %v", c.plain, c.packed, got, c.want)
		}
	}
}

// What was packed comes back as it was; text and base64 become smaller, noise stays as it is.
func TestPack(t *testing.T) {
	t.Parallel()
	noise := make([]byte, chunkSize)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	text := []byte(strings.Repeat("a line of a letter, and another one\r\n", chunkSize/38+1))[:chunkSize]
	encoded := []byte(base64.StdEncoding.EncodeToString(noise))
	for _, c := range []struct {
		name  string
		plain []byte
		want  Coding
	}{
		{"none", nil, Plain}, {"short", text[:minPacked-1], Plain}, {"text", text[:minPacked], Zstd}, {"much text", text, Zstd},
		{"base64", encoded[:chunkSize], Zstd}, {"noise", noise, Plain}, {"some noise", noise[:5000], Plain},
	} {
		p := Pack(c.plain)
		if p.Coding != c.want || len(p.Data) > len(c.plain) {
			t.Errorf("%s: coding %d with %d octets of %d", c.name, p.Coding, len(p.Data), len(c.plain))
		}
		if got, err := p.unpack(); err != nil || !bytes.Equal(got, c.plain) {
			t.Errorf("%s: %d octets, %v", c.name, len(got), err)
		}
	}
}

// What is damaged, of another version or larger than anything that was packed is an error, and takes no room.
func TestUnpackRefuses(t *testing.T) {
	t.Parallel()
	packed := Pack(bytes.Repeat([]byte("text "), 2000))
	flipped := bytes.Clone(packed.Data)
	flipped[len(flipped)/2] ^= 1
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	large := w.EncodeAll(make([]byte, 64<<20), nil)
	for name, p := range map[string]Packed{
		"cut off": {Data: packed.Data[:len(packed.Data)-5], Coding: Zstd}, "flipped": {Data: flipped, Coding: Zstd}, "no frame": {Data: []byte("text"), Coding: Zstd},
		"64 MiB of a kilobyte": {Data: large, Coding: Zstd}, "of another version": {Data: packed.Data, Coding: 7},
	} {
		if got, err := p.unpack(); err == nil {
			t.Errorf("%s: %d octets", name, len(got))
		}
	}
}
