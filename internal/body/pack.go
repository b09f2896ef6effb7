package body

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Coding is how octets are stored.
type Coding uint8

// The codings, by the numbers that the store has.
const (
	Plain Coding = iota
	Zstd         // RFC 8878, one frame with its content's size and checksum
)

// Packed is a small body, or a chunk of a large one, as it is stored.
type Packed struct {
	Data   []byte // nil: there is none
	Coding Coding
	Sum    []byte // the SHA-256 of Data, by which damage is found; nil: none is kept
}

func summed(data []byte, c Coding) Packed {
	sum := sha256.Sum256(data)
	return Packed{data, c, sum[:]}
}

const (
	minPacked = 2 << 10 // shorter ones are not tried
	minSaved  = 512
)

// helps decides whether octets are stored compressed (MBX-1): it must save an eighth, and some, to be worth the time of
// each who reads them.
func helps(plain, packed int) bool {
	return plain >= minPacked && plain-packed >= max(plain/8, minSaved)
}

// Pack compresses up to 256 KiB of octets that are kept for long, where that helps; else it takes them as they are. It is
// for what happens before a transaction: others wait for that.
func Pack(plain []byte) Packed {
	if len(plain) >= minPacked {
		room := rooms.Get().(*[]byte)
		defer rooms.Put(room)
		*room = encoder().EncodeAll(plain, (*room)[:0])
		if helps(len(plain), len(*room)) {
			return summed(bytes.Clone(*room), Zstd)
		}
	}
	return summed(plain, Plain)
}

// unpack returns the octets that were packed, of which there can be no more than those of a chunk.
func (p Packed) unpack() ([]byte, error) {
	switch p.Coding {
	case Plain:
		return p.Data, nil
	case Zstd:
		plain, err := decoder().DecodeAll(p.Data, nil)
		if err != nil {
			return nil, fmt.Errorf("the body is damaged: %w", err)
		}
		return plain, nil
	}
	return nil, fmt.Errorf("the body has the coding %d, which this version does not know", p.Coding)
}

// rooms are what is compressed into, before its size is known.
var rooms = sync.Pool{New: func() any { return new([]byte) }}

// encoder and decoder are those of the process; both may be used at the same time. The fastest level, made to save the
// quarter that base64 wastes in attachments.
var encoder = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(chunkSize), zstd.WithSingleSegment(true), zstd.WithAllLitEntropyCompression(true), zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(err) // by the options, which are constant
	}
	return e
})

var decoder = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(chunkSize), zstd.WithDecoderMaxWindow(chunkSize), zstd.WithDecoderLowmem(true), zstd.WithDecoderConcurrency(0))
	if err != nil {
		panic(err)
	}
	return d
})
