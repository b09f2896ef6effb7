package smtpclient

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strconv"
	"sync"

	"waxwing/smtp"
)

// maxChunk is the largest message that goes out as one BDAT chunk ahead of all
// replies: so small that it fits, with its envelope, into the buffers between
// the two sides, and that little is wasted if the recipients are refused.
const maxChunk = 64 << 10

// chunkBuffer holds one whole message.
type chunkBuffer struct {
	room [maxChunk + 2]byte // and a CRLF
	data []byte             // of room
}

var chunkBuffers = sync.Pool{New: func() any { return new(chunkBuffer) }}

// chunk reads the message; nil if it is larger than was said: then it can still
// be read from the beginning. Like DATA it completes a last line that lacks its CRLF.
func (x *exchange) chunk() (*chunkBuffer, error) {
	b := chunkBuffers.Get().(*chunkBuffer)
	n, err := io.ReadFull(x.t.Body, b.room[:maxChunk+1])
	switch err {
	case io.EOF, io.ErrUnexpectedEOF:
	case nil:
		x.t.Body = io.MultiReader(bytes.NewReader(b.room[:n]), x.t.Body)
		return nil, nil
	default:
		chunkBuffers.Put(b)
		return nil, &BodyError{err}
	}
	if err := smtp.CheckLines(b.room[:n]); err != nil {
		chunkBuffers.Put(b)
		return nil, &BodyError{err}
	}
	if n == 0 || b.room[n-1] != '\n' {
		n += copy(b.room[n:], "\r\n")
	}
	b.data = b.room[:n]
	return b, nil
}

// bdat sends the envelope and the message in one go (RFC 3030 §4.2 with RFC
// 2920). Where earlier windows of a long envelope showed that nobody is left to
// send to, it stops there.
func (x *exchange) bdat(ctx context.Context, commands []command, chunk []byte) error {
	rest, err := x.windows(ctx, commands)
	if err != nil || rest == nil {
		return err
	}
	if err := x.beforeFinal(ctx); err != nil {
		return err
	}
	var data *smtp.Reply
	last := command{"BDAT " + strconv.Itoa(len(chunk)) + " LAST\r\n", StepFinal, &data}
	if err := x.group(ctx, append(rest, last), chunk); err != nil {
		return err
	}
	switch {
	case data.Positive() && x.contradiction():
		return x.nonsense()
	case data.Code >= 500 && data.Code <= 504 && x.anyAccepted():
		// It offered CHUNKING and does not know BDAT, or something on the way does
		// not: the message was taken for commands, and nothing was said of it.
		x.res.DotSent = false
		x.c.fail(data)
		return x.c.connError(StepFinal, data)
	case !x.inStep(data):
		err := &smtp.ReplySyntaxError{Line: data.String(), Reason: "replies out of step with the commands"}
		x.c.fail(err)
		return x.c.connError(StepFinal, err)
	}
	return x.settled(data)
}

// inStep reports that data is the reply to BDAT. Without a 354 between, a reply too
// many before it would pass for it, and the true one lie behind: so the replies must
// be those that such commands have, and another one behind must not say otherwise.
func (x *exchange) inStep(data *smtp.Reply) bool {
	odd := func(r *smtp.Reply) bool { return r != nil && r.Code < 400 && (r.Code < 250 || r.Code > 252) }
	if odd(x.reset) || odd(x.res.Mail) || data.Code/100 == 3 || slices.ContainsFunc(x.res.Rcpts, odd) {
		return false
	}
	x.c.settle(data)
	if x.c.closing || x.c.br.Buffered() == 0 {
		return true
	}
	next, _ := x.c.br.Peek(1)
	return next[0] < '2' || next[0] > '5' || int(next[0]-'0') == data.Code/100
}
