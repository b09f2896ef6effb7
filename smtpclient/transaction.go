package smtpclient

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"waxwing/smtp"
)

// MailOptions are MAIL with its parameters. They are sent as given; that the
// peer offers the extension of each is the caller's to see to.
type MailOptions struct {
	From       string // address without brackets; "" is the null reverse-path
	Size       int64  // SIZE=; 0: not sent
	Body       string // BODY=; "": not sent
	SMTPUTF8   bool
	RequireTLS bool
	EnvID      string // decoded
	Ret        string
	Auth       string // decoded
}

// RcptOptions are RCPT with its parameters.
type RcptOptions struct {
	To     string // address without brackets
	Notify string // NOTIFY= as sent, "SUCCESS,FAILURE"
	ORcpt  string // "addr-type;xtext" as sent
}

// Transaction is one message for one or more recipients.
type Transaction struct {
	Mail  MailOptions
	Rcpts []RcptOptions
	Body  io.Reader
	Size  int64 // of Body in octets, for Chunk
	// BeforeFinal, if set, is called before the octets that complete the message
	// are sent. Its error abandons the message. The outcome is known within
	// Timeouts.Settle from then on.
	BeforeFinal func(ctx context.Context) error
	// Reset says RSET before MAIL even if no transaction stands open: on a
	// connection that was kept for a while. A refusal of it is passed over.
	Reset bool
	// Chunk allows BDAT (RFC 3030) where it saves a round trip: CHUNKING and
	// PIPELINING are offered and the message is small. All of it then goes out
	// with MAIL and RCPT, before any reply. So a peer that closes without a word
	// leaves open whether it has the message; Chunk is for one that was seen to work.
	Chunk bool
}

// TransactionResult holds the replies, nil where none came.
type TransactionResult struct {
	Mail  *smtp.Reply
	Rcpts []*smtp.Reply // one for each of Transaction.Rcpts
	// Data is the reply that settles the message: that to the final dot or to
	// BDAT, or a refusal of DATA. Nil if it never came to that.
	Data *smtp.Reply
	// Each holds, of LMTP alone, the final reply for each recipient; nil where none came. Data
	// is then the best of them.
	Each []*smtp.Reply
	// DotSent: the message was sent in full, and nothing the peer said rules
	// out that it has it. With a nil Data, nobody knows.
	DotSent bool
}

// Accepted reports whether recipient i has the message.
func (r *TransactionResult) Accepted(i int) bool {
	final := r.Final(i)
	return r.DotSent && final != nil && final.Positive() && r.Rcpts[i] != nil && r.Rcpts[i].Positive()
}

// Final is the reply that settles the message for recipient i; nil if none came.
func (r *TransactionResult) Final(i int) *smtp.Reply {
	if r.Each != nil {
		return r.Each[i]
	}
	return r.Data
}

// pipelineWindow is how many commands are sent before their replies are read:
// few enough that they and their replies fit into the buffers of any TCP, so
// that both sides cannot wait for each other to read (RFC 2920 §3.1).
const pipelineWindow = 50

// Transaction sends a message. MAIL, RCPT and DATA go out together where
// PIPELINING is offered. A refusal is no error: it stands in the result, which
// is also valid, as far as things went, beside an error. Errors: *ConnError,
// *HandshakeError (an alert on the first read after a handshake), *BodyError,
// *FinalError, ErrControl.
func (c *Conn) Transaction(ctx context.Context, t Transaction) (*TransactionResult, error) {
	x := &exchange{c: c, t: t, res: &TransactionResult{Rcpts: make([]*smtp.Reply, len(t.Rcpts))}}
	x.end = time.Now().Add(c.t.Mail + c.t.Rcpt + c.t.Data + time.Duration(len(t.Rcpts))*perRcpt)
	commands, err := x.commands()
	if err != nil {
		return x.res, err
	}
	if c.dead != nil {
		return x.res, c.connError(StepMail, ErrUnusable)
	}
	defer c.watch(ctx)()
	if t.Chunk && !c.opts.LMTP && c.ext.Chunking && c.ext.Pipelining && t.Size <= maxChunk {
		if chunk, err := x.chunk(); err != nil {
			return x.res, err
		} else if chunk != nil {
			defer chunkBuffers.Put(chunk)
			return x.res, x.bdat(ctx, commands, chunk.data)
		}
	}
	data, err := x.envelope(ctx, commands)
	if err != nil || data == nil {
		return x.res, err
	}
	if data.Code != 354 {
		x.res.Data = data
		// A 2xx here is nonsense that must not pass for a delivery.
		if data.Code < 400 {
			err := &smtp.ReplySyntaxError{Line: data.String(), Reason: "reply to DATA is not 354"}
			x.res.Data = nil
			c.fail(err)
			return x.res, c.connError(StepData, err)
		}
		return x.res, nil
	}
	if err := c.cut(data); err != nil {
		return x.res, err
	}
	if x.contradiction() {
		return x.res, x.nonsense()
	}
	if !x.anyAccepted() {
		return x.res, x.emptyMessage(ctx)
	}
	return x.res, x.message(ctx)
}

// exchange is the state of one Transaction.
type exchange struct {
	w     *smtp.DataWriter
	timed *timedWriter // of a message that goes with DATA
	end   time.Time    // of the envelope; with BDAT of all
	c     *Conn
	t     Transaction
	res   *TransactionResult
	reset *smtp.Reply
}

// command is one line of the envelope and where its reply goes.
type command struct {
	line string
	step Step
	into **smtp.Reply
}

// commands are the lines up to the last RCPT. RSET ends what may stand open.
func (x *exchange) commands() ([]command, error) {
	mail, err := x.t.Mail.line()
	if err != nil {
		return nil, err
	}
	if len(x.t.Rcpts) == 0 {
		return nil, errors.New("transaction without recipients")
	}
	out := make([]command, 0, len(x.t.Rcpts)+3)
	if x.c.dirty || x.t.Reset {
		out = append(out, command{"RSET\r\n", StepReset, &x.reset})
	}
	out = append(out, command{mail, StepMail, &x.res.Mail})
	for i, r := range x.t.Rcpts {
		line, err := r.line()
		if err != nil {
			return nil, err
		}
		out = append(out, command{line, StepRcpt, &x.res.Rcpts[i]})
	}
	return out, nil
}

// envelope sends MAIL, RCPT and DATA, and returns the reply to DATA; nil if
// DATA was not sent, or in vain and refused.
func (x *exchange) envelope(ctx context.Context, commands []command) (*smtp.Reply, error) {
	var data *smtp.Reply
	dataCommand := command{"DATA\r\n", StepData, &data}
	if !x.c.ext.Pipelining || x.c.opts.LMTP { // a server of LMTP that took no recipient answers no message
		for i := range commands {
			if err := x.group(ctx, commands[i:i+1], nil); err != nil || x.over() {
				return nil, err
			}
		}
		if !x.anyAccepted() {
			return nil, nil
		}
		err := x.group(ctx, []command{dataCommand}, nil)
		return data, err
	}
	rest, err := x.windows(ctx, commands)
	if err != nil || rest == nil {
		return nil, err
	}
	if err := x.group(ctx, append(rest, dataCommand), nil); err != nil {
		return nil, err
	}
	if data.Code != 354 && !x.anyAccepted() {
		return nil, nil // as it should be: what counts was said before
	}
	return data, nil
}

// windows sends all but the last window of commands, which it returns; nil
// where nothing more is to be said.
func (x *exchange) windows(ctx context.Context, commands []command) ([]command, error) {
	for len(commands) > pipelineWindow {
		if err := x.group(ctx, commands[:pipelineWindow], nil); err != nil || x.over() {
			return nil, err
		}
		commands = commands[pipelineWindow:]
	}
	return commands, nil
}

// over reports that nothing more is to be sent: MAIL was refused, or the peer
// is closing.
func (x *exchange) over() bool {
	return x.c.closing || x.res.Mail != nil && !x.res.Mail.Positive()
}

// perRcpt is what each recipient adds to the time that an envelope may take in
// all: tarpits get some patience, but not Rcpt for each of a hundred (SES-7).
const perRcpt = 20 * time.Second

// group sends commands together, with what else is given, and reads their replies.
func (x *exchange) group(ctx context.Context, commands []command, with []byte) error {
	c := x.c
	if c.dead != nil {
		return c.connError(commands[0].step, ErrUnusable)
	}
	d := c.t.Mail
	if with != nil {
		d = c.t.Block
	}
	c.deadline(ctx, time.Now().Add(d))
	for _, cmd := range commands {
		c.watchCommand(cmd.step, cmd.line)
		c.bw.WriteString(cmd.line)
	}
	if with != nil {
		c.watchData(int64(len(with)))
	}
	c.bw.Write(with)
	if err := c.bw.Flush(); err != nil {
		return c.writeFailed(commands[0].step, err)
	}
	if x.res.DotSent = with != nil; x.res.DotSent {
		x.end = time.Now().Add(c.t.Final) // for all that is to come
	}
	return x.replies(ctx, commands)
}

// replies reads those to commands.
func (x *exchange) replies(ctx context.Context, commands []command) error {
	c := x.c
	var last *smtp.Reply // 421, with more to come perhaps
	var at Step
	for i, cmd := range commands {
		d := c.timeout(cmd.step)
		if last != nil {
			d = min(d, afterClosing)
		}
		if i == 0 || c.br.Buffered() == 0 { // else it is here, or the last deadline holds
			at := time.Now().Add(d)
			if (cmd.step != StepFinal || x.res.DotSent) && x.end.Before(at) {
				at = x.end
			}
			c.deadline(ctx, at)
		}
		r, err := x.reply(ctx, cmd.step, d)
		switch {
		case err != nil && last != nil:
			// It closed instead of carrying out what came after that command; unless
			// it went on to talk, whatever it meant.
			var garbled *smtp.ReplySyntaxError
			x.res.DotSent = x.res.DotSent && errors.As(err, &garbled)
			return c.lastWords(at, last)
		case err != nil:
			return err
		}
		*cmd.into = r
		if cmd.into == &x.res.Mail {
			c.mails++
			c.dirty = r.Positive()
		}
		if r.Code == 421 && cmd.step != StepFinal {
			if !x.res.DotSent {
				return c.lastWords(cmd.step, r)
			}
			last, at = r, cmd.step // see whether it closes: the whole message lies before it
		}
	}
	return nil
}

// reply reads that to one command, the end of the message included.
func (x *exchange) reply(ctx context.Context, step Step, d time.Duration) (*smtp.Reply, error) {
	if step != StepFinal {
		return x.c.read(step)
	}
	if x.res.DotSent {
		d = min(d, time.Until(x.end))
	}
	r, err := x.c.finalReply(ctx, d)
	if err != nil {
		x.c.fail(err)
		return nil, x.c.connError(step, err)
	}
	return r, nil
}

// afterClosing is how long to wait for a peer that said 421 to close.
const afterClosing = 5 * time.Second

// lastWords ends a transaction that the peer cut short with 421: nothing more
// is read of replies that may never come.
func (c *Conn) lastWords(step Step, r *smtp.Reply) error {
	c.fail(r)
	return c.connError(step, r)
}

func (c *Conn) timeout(step Step) time.Duration {
	switch step {
	case StepMail, StepReset:
		return c.t.Mail
	case StepRcpt:
		return c.t.Rcpt
	case StepFinal:
		return c.t.Final
	}
	return c.t.Data
}

func (x *exchange) anyAccepted() bool {
	if x.res.Mail == nil || !x.res.Mail.Positive() {
		return false
	}
	for _, r := range x.res.Rcpts {
		if r != nil && r.Positive() {
			return true
		}
	}
	return false
}

// contradiction reports recipients accepted although MAIL was refused. Such a
// peer might give them the message, so none is completed, not even an empty one.
func (x *exchange) contradiction() bool {
	return x.res.Mail != nil && !x.res.Mail.Positive() &&
		slices.ContainsFunc(x.res.Rcpts, func(r *smtp.Reply) bool { return r != nil && r.Positive() })
}

func (x *exchange) nonsense() error {
	err := &smtp.ReplySyntaxError{Line: x.res.Mail.String(), Reason: "a message is taken whose sender was refused"}
	x.c.fail(err)
	return x.c.connError(StepFinal, err)
}

// emptyMessage ends a DATA that was pipelined behind recipients that were all
// refused, and that the peer took nevertheless (RFC 2920 §3.1).
func (x *exchange) emptyMessage(ctx context.Context) error {
	_, err := x.c.exchange(ctx, StepFinal, x.c.t.Final, ".")
	if err == nil {
		x.c.dirty = false
	}
	return err
}

// message sends the body and reads the reply to its end.
func (x *exchange) message(ctx context.Context) error {
	c := x.c
	if err := x.body(ctx); err != nil {
		return err
	}
	if err := x.beforeFinal(ctx); err != nil {
		return err
	}
	if err := x.early(); err != nil {
		return err
	}
	c.deadline(ctx, time.Now().Add(c.t.Block))
	if err := x.finish(); err != nil {
		return x.bodyFailed(err)
	}
	x.res.DotSent = true
	c.watchData(x.timed.sent)
	if c.opts.LMTP {
		return x.finals(ctx)
	}
	r, err := c.final(ctx)
	if err != nil {
		return err
	}
	return x.settled(r)
}

// beforeFinal asks whether the message may be completed.
func (x *exchange) beforeFinal(ctx context.Context) error {
	if x.t.BeforeFinal == nil {
		return nil
	}
	if err := x.t.BeforeFinal(ctx); err != nil {
		x.c.fail(err)
		return &FinalError{err}
	}
	return nil
}

// settled takes the reply to the message's end.
func (x *exchange) settled(r *smtp.Reply) error {
	if r.Code/100 == 3 {
		err := &smtp.ReplySyntaxError{Line: r.String(), Reason: "reply to the end of a message is 3xx"}
		x.c.fail(err)
		return x.c.connError(StepFinal, err)
	}
	x.res.Data = r
	x.c.dirty = false
	return nil
}

func (x *exchange) finish() error {
	if err := x.w.Close(); err != nil {
		return err
	}
	err := x.c.bw.Flush()
	x.c.bw.Reset(x.c.nc)
	return err
}

// body writes the message without its end, the last part of it perhaps still
// in the buffer.
func (x *exchange) body(ctx context.Context) error {
	w := &timedWriter{c: x.c, ctx: ctx, began: time.Now()}
	x.c.bw.Reset(w)
	x.timed = w
	x.w = smtp.NewDataWriter(x.c.bw)
	_, err := x.w.ReadFrom(x.t.Body)
	switch {
	case err == nil:
		return nil
	case w.err != nil:
		return x.bodyFailed(w.err)
	}
	x.c.fail(err) // the message stands there unfinished
	return &BodyError{err}
}

// bodyFailed is the error for a message that the peer did not read to its end.
// Often it has said why before it closed.
func (x *exchange) bodyFailed(err error) error {
	c := x.c
	werr := c.writeFailed(StepBody, err)
	if r := (*smtp.Reply)(nil); errors.As(werr, &r) {
		x.res.Data = r
	}
	return werr
}

// timedWriter gives each write its time, within that of the message so far.
type timedWriter struct {
	c     *Conn
	ctx   context.Context
	began time.Time
	sent  int64
	err   error
}

func (w *timedWriter) Write(p []byte) (int, error) {
	w.sent += int64(len(p))
	at := time.Now().Add(w.c.t.Block)
	if end := w.began.Add(w.c.t.BodyTime(w.sent)); end.Before(at) {
		at = end
	}
	w.c.deadline(w.ctx, at)
	n, err := w.c.nc.Write(p)
	if err != nil {
		w.err = err
	}
	return n, err
}

// line is the MAIL command with CRLF.
func (m MailOptions) line() (string, error) {
	if err := errors.Join(checkArg(m.From), checkArg(m.Body), checkArg(m.Ret)); err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("MAIL FROM:<")
	b.WriteString(m.From)
	b.WriteByte('>')
	if m.Size > 0 {
		b.WriteString(" SIZE=")
		b.WriteString(strconv.FormatInt(m.Size, 10))
	}
	param(&b, "BODY", m.Body)
	if m.SMTPUTF8 {
		b.WriteString(" SMTPUTF8")
	}
	if m.RequireTLS {
		b.WriteString(" REQUIRETLS")
	}
	param(&b, "RET", m.Ret)
	param(&b, "ENVID", smtp.EncodeXtext(m.EnvID))
	param(&b, "AUTH", smtp.EncodeXtext(m.Auth))
	b.WriteString("\r\n")
	return b.String(), nil
}

// line is the RCPT command with CRLF.
func (r RcptOptions) line() (string, error) {
	if err := errors.Join(checkArg(r.To), checkArg(r.Notify), checkArg(r.ORcpt)); err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("RCPT TO:<")
	b.WriteString(r.To)
	b.WriteByte('>')
	param(&b, "NOTIFY", r.Notify)
	param(&b, "ORCPT", r.ORcpt)
	b.WriteString("\r\n")
	return b.String(), nil
}

func param(b *strings.Builder, key, value string) {
	if value != "" {
		b.WriteByte(' ')
		b.WriteString(key)
		b.WriteByte('=')
		b.WriteString(value)
	}
}
