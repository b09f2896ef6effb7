package receive

import (
	"bytes"
	"errors"
	"sync/atomic"

	"waxwing/message"
)

// Memory is what messages that are coming in may hold, all together. It is shared by
// all that take mail in. Nil: there is no bound.
type Memory struct {
	Limit int64 // octets beyond ownMemory of each message
	used  atomic.Int64
}

// ownMemory is what each message may have without asking, in octets.
const ownMemory = 64 << 10

// errCrowded: no memory for a header that is larger than ownMemory.
var errCrowded = errors.New("the memory for incoming mail is used up")

// share is what one message has of a Memory.
type share struct {
	of *Memory
	n  int64
}

// resize makes the share fit for a buffer of size octets, unless the memory is used up.
func (s *share) resize(size int) bool {
	if s.of == nil {
		return true
	}
	more := max(0, int64(size)-ownMemory) - s.n
	if s.of.used.Add(more) > s.of.Limit && more > 0 {
		s.of.used.Add(-more)
		return false
	}
	s.n += more
	return true
}

// wholeHeader reports that b holds the header to its end.
func wholeHeader(b []byte) bool {
	return bytes.HasPrefix(b, []byte("\r\n")) || bytes.Contains(b, []byte("\r\n\r\n"))
}

// detach gives the buffer of a message back whose octets are in its file: what comes
// still may take an hour. Only the header stays.
func (in *incoming) detach() {
	fields := make([]message.Field, len(in.header.Fields))
	size := 0
	for i, f := range in.header.Fields {
		f.Raw = bytes.Clone(f.Raw)
		size += len(f.Raw)
		fields[i] = f
	}
	in.header.Fields = fields
	in.giveBuffer()
	in.share.resize(size)
}

// giveBuffer gives the buffer back, for another message.
func (in *incoming) giveBuffer() {
	if in.buf != nil && cap(*in.buf) <= ownMemory {
		buffers.Put(in.buf)
	}
	in.buf, in.body = nil, nil
}
