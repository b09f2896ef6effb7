package smtpserver

import (
	"bufio"
	"errors"
	"os"
	"sync"
	"time"

	"waxwing/smtp"
)

// A connection has buffers only while something is under way: thousands of idle
// clients hold a few hundred octets each. What ends their wait is read into
// firstOctets, enough for most commands.
const (
	firstOctets = 512
	readBuffer  = 16 << 10
	writeBuffer = 4 << 10
)

// inbox is a read buffer and what splits it into lines.
type inbox struct {
	br    *bufio.Reader
	lines *smtp.LineReader
}

var (
	inboxes = sync.Pool{New: func() any {
		br := bufio.NewReaderSize(nil, readBuffer)
		return &inbox{br, smtp.NewLineReader(br, maxLine)}
	}}
	writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, writeBuffer) }}
)

// reader is the read buffer.
func (c *conn) reader() *bufio.Reader {
	if c.in == nil {
		c.in = inboxes.Get().(*inbox)
		c.in.br.Reset(input{c})
	}
	return c.in.br
}

// out is the write buffer.
func (c *conn) out() *bufio.Writer {
	if c.bw == nil {
		c.bw = writers.Get().(*bufio.Writer)
		c.bw.Reset(output{c})
	}
	return c.bw
}

// release gives the buffers back. What they hold is lost.
func (c *conn) release() {
	if c.in != nil {
		c.in.br.Reset(nil)
		inboxes.Put(c.in)
		c.in = nil
	}
	if c.bw != nil {
		c.bw.Reset(nil)
		writers.Put(c.bw)
		c.bw = nil
	}
}

// nextLine reads a line. A client that has sent nothing yet is waited for without
// buffers.
func (c *conn) nextLine() ([]byte, error) {
	if c.in == nil || c.in.br.Buffered() == 0 {
		if err := c.flush(); err != nil {
			return nil, err
		}
		c.release()
		n, err := c.fill(c.first[:])
		c.unread = c.first[:n]
		if n == 0 {
			return nil, err
		}
	}
	c.reader()
	return c.in.lines.ReadLine()
}

// input is what the read buffer is filled from.
type input struct{ c *conn }

func (in input) Read(p []byte) (int, error) {
	c := in.c
	if len(c.unread) > 0 {
		n := copy(p, c.unread)
		c.unread = c.unread[n:]
		return n, nil
	}
	if err := c.flush(); err != nil { // before we wait for the client
		return 0, err
	}
	return c.fill(p)
}

// fill reads from the client, within the time it has.
func (c *conn) fill(p []byte) (int, error) {
	if err := c.arm(); err != nil {
		return 0, err
	}
	n, err := c.nc.Read(p)
	c.received += int64(n)
	c.wait.mu.Lock()
	c.wait.armed = time.Time{}
	c.wait.mu.Unlock()
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) && c.wait.draining.Load() {
		return n, errDraining
	}
	return n, err
}

// arm sets the read deadline. Deadlines are the socket's, so the wall clock's.
func (c *conn) arm() error {
	c.wait.mu.Lock()
	defer c.wait.mu.Unlock()
	if c.wait.command && c.wait.draining.Load() {
		return errDraining
	}
	if c.srv.gate.Crowded() { // it may have become so since await; what does later meets hurry
		c.wait.idle = min(c.wait.idle, c.srv.timeouts().Crowded)
	}
	c.wait.armed = time.Now()
	return c.raw.SetReadDeadline(earlier(c.wait.armed.Add(c.wait.idle), c.wait.until))
}

type output struct{ c *conn }

func (out output) Write(p []byte) (int, error) {
	c := out.c
	if err := c.raw.SetWriteDeadline(time.Now().Add(c.timeouts().Write)); err != nil {
		return 0, err
	}
	return c.nc.Write(p)
}

func (c *conn) flush() error {
	if c.bw == nil || c.bw.Buffered() == 0 {
		return nil
	}
	return c.bw.Flush()
}
