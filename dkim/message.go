package dkim

import (
	"errors"
	"fmt"
	"io"

	"waxwing/message"
)

// Message is one to be verified. Its methods may not be called at the same time.
type Message struct {
	header message.Header
	body   func(*bodyHasher) error
	sums   map[bodyForm]bodySum // signatures of one message mostly share one
}

// Read takes a message that is in memory.
func Read(msg []byte) (*Message, error) {
	h, body, err := message.SplitHeader(msg)
	if err != nil {
		return nil, err
	}
	return newMessage(h, func(to *bodyHasher) error {
		_, err := to.Write(body)
		return err
	}), nil
}

// ReadFrom takes a message that is not in memory: no more than its header, of up to
// message.MaxHeader octets, is held there. r is read again for each form of the body that is signed.
func ReadFrom(r *io.SectionReader) (*Message, error) {
	start := make([]byte, min(r.Size(), message.MaxHeader+2)) // with the empty line
	if _, err := r.ReadAt(start, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading a message: %w", err)
	}
	h, body, err := message.SplitHeader(start)
	if err != nil {
		return nil, err
	}
	from := int64(len(start) - len(body))
	if body == nil && r.Size() > from {
		return nil, message.ErrHeaderTooLarge
	}
	return newMessage(h, func(to *bodyHasher) error {
		// Without its method WriteTo, so that the buffer is of this size.
		_, err := io.CopyBuffer(to, struct{ io.Reader }{io.NewSectionReader(r, from, r.Size()-from)}, make([]byte, 64<<10))
		if err != nil {
			return fmt.Errorf("reading a message: %w", err)
		}
		return nil
	}), nil
}

func newMessage(h message.Header, body func(*bodyHasher) error) *Message {
	return &Message{header: h, body: body, sums: make(map[bodyForm]bodySum)}
}

type bodyForm struct {
	relaxed bool
	limit   int64
}

type bodySum struct {
	sum   []byte
	short bool
	rest  bool // the body goes on behind what l= covers
}

// sum is the body's hash in a form. The error is one of reading.
func (m *Message) sum(f bodyForm) (s bodySum, err error) {
	s, ok := m.sums[f]
	if ok {
		return s, nil
	}
	if len(m.sums) >= maxForms {
		return bodySum{}, errForms
	}
	h := newBodyHasher(f)
	if err := m.body(h); err != nil {
		return bodySum{}, err
	}
	s = h.finish()
	m.sums[f] = s
	return s, nil
}

// maxForms is in how many forms the body of one message is hashed, each of which reads it whole. Signers
// use one or two; who sends a long message could have it read once for each signature and ARC set.
const maxForms = 4

var errForms = fmt.Errorf("signed with more than %d forms of the body (c=, l=) in one message", maxForms)
