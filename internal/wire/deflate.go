package wire

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"time"

	"github.com/klauspost/compress/flate"

	"waxwing/internal/wire/inflate"
)

// Compress has all that follows compressed, both ways (RFC 4978): in is what reads
// from the Conn; what it has read already and nobody has taken is compressed. Nothing
// is kept of what was said, beyond a window of 32 KiB for what the client says: that
// bounds what a connection costs.
//
// A decompressor cannot be interrupted and go on, as Await must; so a goroutine feeds
// it, and the Conn reads from a pipe.
func (c *Conn) Compress(in *bufio.Reader) (w io.Writer) {
	early, _ := in.Peek(in.Buffered())
	early = append([]byte(nil), early...)
	_, _ = in.Discard(len(early))
	here, there := net.Pipe()
	source, raw := c.in, c.raw
	_ = raw.SetReadDeadline(time.Time{})
	c.srv.Guard.Go(c.srv.Area, func() {
		defer there.Close()
		r := inflate.NewReader(io.MultiReader(bytes.NewReader(early), source))
		_, _ = io.Copy(there, r) // its end is the end of the pipe
	})
	c.in, c.cleanup = here, func() { _ = here.Close() }
	return deflater{c}
}

// deflater compresses each Write by itself.
type deflater struct{ to io.Writer }

func (d deflater) Write(p []byte) (int, error) {
	if err := flate.StatelessDeflate(d.to, p, false, nil); err != nil {
		return 0, err
	}
	return len(p), nil
}
