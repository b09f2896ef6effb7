package api

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"waxwing/dns"
	"waxwing/internal/apikeys"
	"waxwing/internal/delivery"
	"waxwing/internal/receive"
	"waxwing/internal/store"
	"waxwing/message"
)

// Sent is a message that was taken: it is durable, and is delivered or reported on.
type Sent struct {
	ID         delivery.ID `json:"id" doc:"The message's id, as in the log and the queue."`
	Recipients int         `json:"recipients" doc:"How many recipients it has."`
	Repeated   bool        `json:"repeated" doc:"It was sent by an earlier request with the same idempotency key, and not again."`
}

const (
	jsonMedia = "application/json"
	mailMedia = "message/rfc822"

	// A request of JSON is held as it came, decoded, and as the message that is made of it.
	formsHeld = 3
	leastRoom = 256 << 20
	maxIdem   = 255

	// maxValues is how many values the JSON of a message may have beside its recipients: in
	// memory each may be many times as large.
	maxValues = 2000
)

// mostJSON is how large a message may be in JSON: its files are in base64.
func (h *Handler) mostJSON() int64 { return h.Limits.MessageSize/3*4 + 1<<20 }

// room is what all requests together may hold in memory: one account half of it.
func (h *Handler) room() int64 { return max(leastRoom, 2*formsHeld*h.mostJSON()) }

// send takes a message in.
func (h *Handler) send(w http.ResponseWriter, c caller) error {
	media, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil || media != jsonMedia && media != mailMedia {
		return problem(badMedia, "send "+jsonMedia+" or "+mailMedia)
	}
	body, leave, err := h.body(w, c)
	if err != nil {
		return err
	}
	defer leave()
	read := jsonMessage
	if media == mailMedia {
		read = rawMessage
	}
	text, env, err := read(h, c.r, body)
	if err != nil {
		var p *Problem
		if errors.As(err, &p) {
			return p
		}
		return problem(badRequest, err.Error())
	}
	if int64(len(text)) > h.Limits.MessageSize {
		return problem(tooLarge, fmt.Sprintf("the message has %d octets, %d are taken", len(text), h.Limits.MessageSize))
	}
	request, err := requestOf(c, media, body)
	if err != nil {
		return err
	}
	sent, err := h.once(c, request, env.handed(text))
	if err != nil {
		return err
	}
	sent.Recipients = len(env.rcpts)
	w.Header().Set("Location", MessagesPath+"/"+sent.ID.String())
	return answer(w, http.StatusAccepted, sent)
}

// body reads a request within its share of the memory, which leave gives back.
func (h *Handler) body(w http.ResponseWriter, c caller) (body []byte, leave func(), err error) {
	n := c.r.ContentLength
	switch {
	case n < 0:
		return nil, nil, problem(noLength, "send the header field Content-Length")
	case n > h.mostJSON():
		return nil, nil, problem(tooLarge, fmt.Sprintf("the request has %d octets, %d are taken", n, h.mostJSON()))
	}
	held := formsHeld * n
	leave, ok := h.hold(c.Account, held)
	if !ok {
		p := problem(unavailable, "too much is being sent at this moment")
		p.after = retrySoon
		return nil, nil, p
	}
	body = make([]byte, n)
	if _, err := io.ReadFull(http.MaxBytesReader(w, c.r.Body, n), body); err != nil {
		leave()
		return nil, nil, problem(badRequest, "the request broke off: "+err.Error())
	}
	return body, leave, nil
}

// hold takes memory for a request, which leave gives back. No account has more than half of
// it: requests that never come to their end must not keep others from sending.
func (h *Handler) hold(account string, n int64) (leave func(), ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held[account]+n > h.room()/2 || !h.bytes.TryAcquire(n) {
		return nil, false
	}
	h.held[account] += n
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.bytes.Release(n)
		if h.held[account] -= n; h.held[account] == 0 {
			delete(h.held, account)
		}
	}, true
}

// jsonMessage makes a message of its JSON form.
func jsonMessage(h *Handler, _ *http.Request, body []byte) ([]byte, envelope, error) {
	var m Message
	if values(body) > h.Limits.Recipients+maxValues {
		return nil, envelope{}, errors.New("the message has too many recipients, headers or attachments")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return nil, envelope{}, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, envelope{}, errors.New("something follows the message")
	}
	env, err := m.Options.envelope(m.From, slices.Concat(m.To, m.CC, m.BCC), h.Now(), h.Limits)
	if err != nil {
		return nil, env, err
	}
	if n := m.size(); n > h.Limits.MessageSize { // which encoding can only make larger
		return nil, env, problem(tooLarge, fmt.Sprintf("the message has %d octets and more, %d are taken", n, h.Limits.MessageSize))
	}
	text, err := compose(&m)
	return text, env, err
}

// values is how many commas of JSON stand outside of strings: about as many as it has values.
func values(b []byte) (n int) {
	quoted := false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == ',' && !quoted:
			n++
		}
	}
	return n
}

// rawMessage takes a message as it is (RFC 5322). Its recipients are those of the query, else
// those of the header, as sendmail -t has them; Bcc is taken out at the door.
func rawMessage(h *Handler, r *http.Request, body []byte) ([]byte, envelope, error) {
	q := r.URL.Query()
	o, err := queryOptions(q)
	if err != nil {
		return nil, envelope{}, err
	}
	text := crlf(body)
	header, err := message.ReadHeader(bufio.NewReader(bytes.NewReader(text)), message.MaxHeader)
	if err != nil {
		return nil, envelope{}, fmt.Errorf("message header: %w", err)
	}
	to := q["to"]
	if len(to) == 0 {
		for _, name := range []string{"To", "Cc", "Bcc"} {
			to = append(to, header.All(name)...)
		}
	}
	env, err := o.envelope(header.Get("From"), to, h.Now(), h.Limits)
	if err != nil {
		return nil, env, err
	}
	utf8, err := message.HeadersNeedUTF8(bytes.NewReader(text))
	env.mail.SMTPUTF8 = env.mail.SMTPUTF8 || utf8
	if o.TLS == tlsOptional && !message.TLSRequiredNo(header) {
		text = slices.Concat([]byte("TLS-Required: No\r\n"), text)
	}
	return text, env, err
}

// crlf is a message with CRLF line ends, whatever it had: a bare CR or LF is none in SMTP.
func crlf(b []byte) []byte {
	bare := func(i int, c byte) bool {
		return c == '\n' && (i == 0 || b[i-1] != '\r') || c == '\r' && (i+1 == len(b) || b[i+1] != '\n')
	}
	for i, c := range b {
		if bare(i, c) {
			return message.ToCRLF(string(b))
		}
	}
	if !bytes.HasSuffix(b, []byte("\r\n")) {
		return message.ToCRLF(string(b))
	}
	return b
}

// requestOf is what an idempotency key stands for; nil without one.
func requestOf(c caller, media string, body []byte) (*apikeys.Request, error) {
	name := c.r.Header.Get("Idempotency-Key")
	if name == "" {
		return nil, nil
	}
	if len(name) > maxIdem || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r >= 0x7f }) {
		return nil, problem(badRequest, fmt.Sprintf("Idempotency-Key: up to %d printable characters are taken", maxIdem))
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%s %q\n", media, c.r.URL.RawQuery)
	sum.Write(body)
	return &apikeys.Request{Account: c.Account, Name: name, Hash: sum.Sum(nil)}, nil
}

// once hands a message in, unless an earlier request under the idempotency key has.
func (h *Handler) once(c caller, request *apikeys.Request, m receive.Handed) (Sent, error) {
	ctx := c.r.Context()
	if request != nil {
		if id, err := h.Keys.Sent(ctx, *request); err != nil || id != 0 {
			return Sent{ID: id, Repeated: true}, err
		}
	}
	var err error
	if m.Caller, err = whoHandsIn(c); err != nil {
		return Sent{}, err
	}
	q := &enqueuer{h: h, request: request}
	m.Queue, m.Discarded = q, q.discarded
	err = h.Submission.Hand(ctx, m)
	if errors.Is(err, apikeys.ErrSent) {
		id, err := h.Keys.SentBefore(ctx, *request)
		return Sent{ID: id, Repeated: true}, err
	}
	return Sent{ID: delivery.ID(q.id)}, err
}

// whoHandsIn is the caller as the door knows it.
func whoHandsIn(c caller) (out receive.Caller, err error) {
	out = receive.Caller{Account: c.Account, Name: "api-key-" + c.ID.String(), TLS: c.r.TLS}
	if out.Remote, err = netip.ParseAddrPort(c.r.RemoteAddr); err != nil {
		return out, problem(badRequest, "no source address")
	}
	if a, ok := c.r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		out.Local, _ = netip.ParseAddrPort(a.String()) // zero of what is no IP address
	}
	if c.Key.Domain != "" {
		out.Domain, err = dns.ParseName(c.Key.Domain)
	}
	return out, err
}

// enqueuer queues one message together with the note of its idempotency key, so that there is
// never one without the other.
type enqueuer struct {
	h       *Handler
	request *apikeys.Request // nil: there is no key
	id      int64            // of the message
}

// discarded notes the idempotency key of a message that a filter has thrown away: it was sent.
func (e *enqueuer) discarded(ctx context.Context, id int64) error {
	e.id = id
	if e.request == nil {
		return nil
	}
	err := e.h.Store.Write(ctx, func(tx *store.Tx) error { return e.h.Keys.Note(tx, *e.request, id) })
	if err != nil {
		return fmt.Errorf("note the idempotency key: %w", err)
	}
	return nil
}

func (e *enqueuer) Enqueue(ctx context.Context, env *delivery.Envelope, c delivery.Content) error {
	e.id = env.ID
	if e.request == nil {
		return e.h.Queue.Enqueue(ctx, env, c)
	}
	c, err := e.h.Queue.Prepare(ctx, env, c)
	if err != nil {
		return err
	}
	err = e.h.Store.Write(ctx, func(tx *store.Tx) error {
		if err := e.h.Keys.Note(tx, *e.request, env.ID); err != nil {
			return err
		}
		return e.h.Queue.EnqueueTx(tx, env, c)
	})
	if err != nil {
		return fmt.Errorf("queue the message: %w", err)
	}
	e.h.Queue.Wake()
	return nil
}
