package delivery

import (
	"cmp"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"waxwing/internal/reason"
	"waxwing/message"
	"waxwing/smtp"
)

// Sifted is what an account's script makes of the copy that the account was to get (SIV-1).
type Sifted struct {
	Copies   []Copy
	Forwards []Forward
	Memories []Memory
	Refused  string // why the account refuses the message; "": it does not
	Text     string // what was done, in words, for the log and the history
}

// Memory is what an account's script wants kept in mind for a while: whom it has answered, which
// message it has seen.
type Memory struct {
	Recipient int64 // for whose sake
	Account   string
	Key       string
	Until     time.Time
	// Once, where it is not zero, is when nothing of this key was in mind. If something is by the time that the
	// recipient is settled, what goes on with this key (Forward.Once) has gone already, and does not go again.
	Once time.Time `json:",omitzero"`
}

// DoneError says that something of a Memory's key has come to mind since it was looked up.
type DoneError struct{ Account, Key string }

func (e *DoneError) Error() string {
	return "account " + e.Account + " has answered or told the same meanwhile"
}

// Without leaves out what was to be done once and was done meanwhile.
func (r *Result) Without(e *DoneError) {
	for _, m := range r.Memories {
		if m.Account == e.Account && m.Key == e.Key {
			r.Forwards = slices.DeleteFunc(slices.Clone(r.Forwards), func(f Forward) bool { return f.Once == m.Key && f.Recipient == m.Recipient })
		}
	}
	r.Memories = slices.DeleteFunc(slices.Clone(r.Memories), func(m Memory) bool { return m.Account == e.Account && m.Key == e.Key })
}

// Content is what goes on, of a message that came as original.
func (f *Forward) Content(original Content) Content {
	if f.Text != nil {
		return Bytes(f.Text)
	}
	var fields []byte
	if f.DeliveredTo != "" {
		fields = []byte("Delivered-To: " + f.DeliveredTo + "\r\n")
	}
	return WithHeader(fields, Edited(f.Header, f.Replaced, original))
}

// Envelope is that with which the message goes on, of a message with the envelope of. It asks for the
// same protection as that did, and is of no account: nobody here sent it.
func (f *Forward) Envelope(of *Envelope) Envelope {
	env := Envelope{
		Sender: f.Sender, Need: of.Need, EightBit: of.EightBit, SMTPUTF8: of.SMTPUTF8, EnvID: of.EnvID, Ret: of.Ret,
		Peer: "passed on from " + ID(of.ID).String(),
	}
	if f.Text != nil {
		env.Need, env.EnvID, env.Ret = FollowPolicy, "", RetDefault
		env.EightBit = message.EightBit(f.Text)
		env.SMTPUTF8 = env.EightBit // only addresses in its header can be the cause
	}
	if of.Purpose == DSN {
		env.Purpose, env.Ref = of.Purpose, of.Ref
	}
	for _, to := range f.To {
		_, d, err := ParseAddress(to)
		if err != nil {
			continue // it was an address when it was stored
		}
		env.Recipients = append(env.Recipients, Recipient{Address: to, Domain: d, Notify: f.Notify, ORcpt: f.ORcpt})
	}
	return env
}

// Edited is a content with another header in place of its first octets; nil: it stays.
func Edited(header []byte, replaced int64, c Content) Content {
	if header == nil {
		return c
	}
	return WithHeader(header, &tail{c, min(replaced, c.Size())})
}

// tail is a content without its first octets.
type tail struct {
	whole Content
	skip  int64
}

func (t *tail) Size() int64 { return t.whole.Size() - t.skip }

func (t *tail) Open() (io.ReadCloser, error) {
	r, err := t.whole.Open()
	if err != nil {
		return nil, err
	}
	if _, err := io.CopyN(io.Discard, r, t.skip); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// RefusedByScript is the answer to a message of which nothing is stored yet, where the scripts of
// all its recipients refuse it (RFC 5429 §2.1.1); nil: some take it, or it fails by something else.
func (r *Result) RefusedByScript() *smtp.Reply {
	for _, rr := range r.Recipients {
		if rr.Outcome != Failed || rr.Word != reason.ScriptRefused {
			return nil
		}
	}
	if len(r.Recipients) == 0 {
		return nil
	}
	first := r.Recipients[0]
	text := first.Text
	if strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c > '~' }) {
		text = "the recipient refuses the message" // RFC 5429 §2.1.2: a reply is US-ASCII
	}
	return smtp.NewReply(550, first.Enhanced, "%s", text)
}

// Settled are the memories of recipients that are delivered, in the order in which their rows are locked.
func (r *Result) Settled() []Memory {
	if len(r.Memories) == 0 {
		return nil
	}
	delivered := map[int64]bool{}
	for _, rr := range r.Recipients {
		delivered[rr.ID] = rr.Outcome == Delivered
	}
	var out []Memory
	for _, m := range r.Memories {
		if delivered[m.Recipient] {
			out = append(out, m)
		}
	}
	slices.SortStableFunc(out, func(a, b Memory) int {
		return cmp.Or(strings.Compare(a.Account, b.Account), strings.Compare(a.Key, b.Key))
	})
	return out
}
