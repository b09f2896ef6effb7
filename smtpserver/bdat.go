package smtpserver

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"waxwing/smtp"
)

// chunk is the argument of one BDAT (RFC 3030 §2).
type chunk struct {
	size int64
	last bool
}

func parseChunk(arg string) (chunk, bool) {
	size, rest, _ := strings.Cut(arg, " ")
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil || n < 0 || size[0] == '+' || size[0] == '-' {
		return chunk{}, false
	}
	last := strings.EqualFold(strings.TrimSpace(rest), "LAST")
	return chunk{n, last}, last || strings.TrimSpace(rest) == ""
}

// chunks reads a message that comes in BDAT commands. Where a chunk ends it
// answers it and reads the next command itself: so a Session sees one reader,
// and no second goroutine is needed.
type chunks struct {
	c     *conn
	ctx   context.Context
	now   chunk // size is what is left of it
	until time.Time
	total int64
	// counted is total when the last BDAT came: one that brings nothing is a
	// command like any other, and limited.
	counted int64
	cr      bool // the last octet was a CR
	eol     bool // the message so far ends with CRLF
	tail    string
	err     error         // final for Read
	lost    error         // the connection's error, if that was it
	next    *smtp.Command // a command that ended the transaction
}

var errInterrupted = errors.New("transaction ended by another command")

// bdat is BDAT. A nil reply: all has been said.
func (c *conn) bdat(ctx context.Context, arg string) *smtp.Reply {
	if c.srv.Offer.NoChunking || c.srv.LMTP {
		c.end("bdat")
		return smtp.NewReply(502, status(5, 5, 1), "BDAT is not offered, closing connection")
	}
	now, ok := parseChunk(arg)
	if !ok {
		return c.unknownChunk()
	}
	if r := c.bodyOutOfOrder(); r != nil {
		return c.skip(now.size, r)
	}
	c.tx.began = true
	b := &chunks{c: c, ctx: ctx, now: now, until: time.Now().Add(c.timeouts().Message)}
	b.begin()
	r, err := c.session.Data(ctx, b)
	return c.endChunks(ctx, b, r, err)
}

// unknownChunk: what follows cannot be told from commands.
func (c *conn) unknownChunk() *smtp.Reply {
	c.end("bdat")
	return smtp.NewReply(501, status(5, 5, 4), "BDAT needs a size in octets and perhaps LAST, closing connection")
}

// endChunks is what follows when the session has done with the message.
func (c *conn) endChunks(ctx context.Context, b *chunks, r *smtp.Reply, err error) *smtp.Reply {
	switch {
	case b.lost != nil:
		c.resetTransaction()
		return c.lineFault(b.lost)
	case b.next != nil:
		c.resetTransaction()
		return c.dispatch(ctx, *b.next)
	case c.ended != "":
		return nil
	}
	unread := b.err == nil // a session that stopped early
	left, last, worth := b.now.size, b.now.last, len(c.tx.seen)
	c.resetTransaction()
	switch {
	case b.err != nil && b.err != io.EOF:
		r = c.chunkFault(b.err)
	case err == nil && unread && (r == nil || r.Positive()):
		r = asReply(errors.New("smtpserver: the session accepted a message without reading it"))
	default:
		r = c.finalReply(r, err, worth)
	}
	if !last {
		// RFC 3030 §2: the chunks that follow are refused until RSET.
		c.begin(transaction{open: true, began: true, failed: true, rcpts: 1})
	}
	return c.skip(left, r)
}

// chunkFault is dataFault for BDAT. A bare CR or LF is refused as in DATA, for the
// message may have to go on with DATA, and without BINARYMIME it is text (RFC 3030
// §3); but the length says where a chunk ends, so that the dialogue stays in step.
func (c *conn) chunkFault(err error) *smtp.Reply {
	if errors.Is(err, smtp.ErrBareNewline) {
		return smtp.NewReply(550, status(5, 6, 0), "message holds a bare CR or LF: lines must end in CRLF")
	}
	return c.dataFault(err)
}

// skip discards a chunk's octets, so that the next command can be read, and
// gives r back. A chunk far beyond the size limit is not waited for.
func (c *conn) skip(n int64, r *smtp.Reply) *smtp.Reply {
	if n > 2*c.srv.limits().MessageSize {
		c.end("bdat-size")
		return r
	}
	c.await(false, c.timeouts().Data, c.timeouts().Message)
	for n > 0 {
		d, err := c.reader().Discard(int(min(n, 1<<20)))
		n -= int64(d)
		if err != nil {
			return c.ioFault(err)
		}
	}
	return r
}

// skipChunk is for hooks that answer BDAT.
func (c *conn) skipChunk(arg string) {
	if now, ok := parseChunk(arg); ok {
		c.skip(now.size, nil)
	}
}

// begin prepares for the octets of b.now.
func (b *chunks) begin() {
	if b.total+b.now.size > b.c.srv.limits().MessageSize || b.now.size > b.c.srv.limits().MessageSize {
		b.err = smtp.ErrTooLarge
	}
	b.c.await(false, b.c.timeouts().Data, time.Until(b.until))
}

// Read returns the errors of smtp.DataReader, and io.EOF after the last chunk.
func (b *chunks) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for b.err == nil && b.now.size == 0 {
		switch {
		case !b.now.last:
			b.advance()
		case b.cr:
			b.err = smtp.ErrBareNewline
		case !b.eol && b.total > 0 && b.tail == "":
			// A message is lines (RFC 5321 §2.3.8): complete the last one.
			b.tail = "\r\n"
		case b.tail != "":
			n := copy(p, b.tail)
			if b.tail = b.tail[n:]; b.tail == "" {
				b.eol = true
			}
			return n, nil
		default:
			b.err = io.EOF
		}
	}
	if b.err != nil {
		return 0, b.err
	}
	return b.octets(p)
}

func (b *chunks) octets(p []byte) (int, error) {
	n, err := b.c.reader().Read(p[:min(int64(len(p)), b.now.size)])
	b.now.size -= int64(n)
	b.total += int64(n)
	if n > 0 && !b.proper(p[:n]) {
		b.err = smtp.ErrBareNewline
		return 0, b.err
	}
	if err != nil {
		b.fail(err)
	}
	return n, b.err
}

// fail ends the message with the connection. io.EOF would say that it is whole.
func (b *chunks) fail(err error) {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	b.err, b.lost = err, err
}

// proper checks the line ends of the next octets.
func (b *chunks) proper(p []byte) bool {
	b.eol = b.cr && len(p) == 1 && p[0] == '\n' || bytes.HasSuffix(p, []byte("\r\n"))
	if b.cr {
		if p[0] != '\n' {
			return false
		}
		p = p[1:]
	}
	b.cr = false
	for len(p) > 0 {
		i := bytes.IndexAny(p, "\r\n")
		switch {
		case i < 0:
			return true
		case p[i] == '\n':
			return false
		case i == len(p)-1:
			b.cr = true
			return true
		case p[i+1] != '\n':
			return false
		}
		p = p[i+2:]
	}
	return true
}

// advance answers the chunk that was read and goes to the next one.
func (b *chunks) advance() {
	c := b.c
	c.reply("BDAT", smtp.NewReply(250, status(2, 0, 0), "chunk received, %d octets so far", b.total))
	for b.err == nil {
		line, err := c.readLine()
		if err != nil {
			b.fail(err)
			return
		}
		cmd, r := c.parse(line)
		if r == nil {
			r = c.hook(cmd.Verb, cmd.Arg)
		}
		if r == nil && cmd.Verb == "BDAT" {
			if b.total > b.counted {
				c.commands-- // it moved the message on, and that has its own limit
			}
			b.counted = b.total
			b.chunk(cmd.Arg)
			return
		}
		b.between(cmd, r)
	}
}

func (b *chunks) chunk(arg string) {
	now, ok := parseChunk(arg)
	if !ok {
		b.c.reply("BDAT", b.c.unknownChunk())
		b.err = errInterrupted
		return
	}
	b.now = now
	b.begin()
}

// between carries out a command that is not BDAT, within a message.
func (b *chunks) between(cmd smtp.Command, r *smtp.Reply) {
	c := b.c
	switch cmd.Verb {
	case "RSET", "EHLO", "HELO", "QUIT":
		if r == nil {
			b.next, b.err = &cmd, errInterrupted
			return
		}
	case "MAIL", "RCPT", "DATA", "AUTH", "STARTTLS":
		if r == nil {
			r = outOfOrder("a message is under way: BDAT or RSET")
		}
	case "BDAT":
		c.skipChunk(cmd.Arg)
	default:
		if r == nil {
			r = c.dispatch(b.ctx, cmd)
		}
	}
	c.reply(cmd.Verb, c.countError(cmd.Verb, r))
	if c.ended != "" {
		b.err = errInterrupted
	}
}
