package travel

import (
	"context"
	"io"
	"strings"
	"time"

	"waxwing/dsn"
	"waxwing/internal/foreign"
	"waxwing/internal/mailbox"
	"waxwing/internal/reason"
	"waxwing/message"
	"waxwing/structure"
)

// notice is what a notification about a sent mail says (MAIL-6), for people.
type notice struct {
	About      string    `json:"about"`          // Message-ID of the mail that it is about, without brackets; "": it does not say
	By         string    `json:"by,omitempty"`   // the host that wrote it
	More       bool      `json:"more,omitempty"` // it is about more recipients than these
	Recipients []noticed `json:"recipients"`
}

// noticed is what it says of one recipient.
type noticed struct {
	Address string     `json:"address"`
	Action  dsn.Action `json:"action"` // failed, delayed, delivered, relayed, expanded; "": it does not say
	Status  string     `json:"status,omitempty"`
	Host    string     `json:"host,omitempty"`  // that answered
	Reply   string     `json:"reply,omitempty"` // its answer, else what went wrong in the words of who wrote the notification
	Meaning string     `json:"meaning,omitempty"`
	Cure    string     `json:"cure,omitempty"`  // what helps
	Until   string     `json:"until,omitempty"` // for how long it is tried again
}

// Bounds.
const (
	maxNotice  = 2 << 20 // octets of a notification that are read
	maxNoticed = 50      // recipients that are told of
)

// notice reads a mail that is a notification; nil: it is none.
func (r *Room) notice(ctx context.Context, m *mailbox.Message) (*notice, error) {
	if built, err := structure.Decode(m.Structure); err != nil || !isNotice(built.Root) {
		return nil, nil // of what is not known yet how it is built, its reader sees all the same
	}
	c, _, err := r.Boxes.Content(ctx, m.ID)
	if err != nil {
		return nil, err
	}
	body, err := c.Open()
	if err != nil {
		return nil, err
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, maxNotice))
	if err != nil {
		return nil, err
	}
	report, err := dsn.Parse(b)
	if err != nil {
		return nil, nil // it says nothing that can be read
	}
	return noticeOf(report), nil
}

// isNotice tells whether a message is built as RFC 3464 §2 has it.
func isNotice(root *structure.Part) bool {
	if !root.Is("multipart/report") {
		return false
	}
	for _, p := range root.Parts {
		if p.Is("message/delivery-status") || p.Is("message/global-delivery-status") {
			return true
		}
	}
	return false
}

// noticeOf puts a notification into plain words: the meaning of a status is that of package reason, whoever wrote it.
func noticeOf(d *dsn.Report) *notice {
	n := &notice{By: d.Hostname.ASCII(), More: len(d.Recipients) > maxNoticed}
	if h, _, err := message.SplitHeader(d.Original); err == nil {
		n.About = message.CleanMessageID(h.Get("Message-ID"))
	}
	for _, rc := range d.Recipients[:min(len(d.Recipients), maxNoticed)] {
		one := noticed{Address: foreign.Text(rc.Address, 320), Action: rc.Action, Host: foreign.Text(rc.RemoteMTA, 255), Reply: foreign.Text(foreign.Line(rc.Text), 500)}
		status := rc.Status
		if rc.Reply != nil {
			one.Reply = foreign.Text(foreign.Line(strings.Join(rc.Reply.Lines, " ")), 500)
			if status.IsZero() {
				status = rc.Reply.Enhanced
			}
		}
		if !status.IsZero() {
			one.Status = status.String()
		}
		if rc.Action == dsn.Failed || rc.Action == dsn.Delayed {
			a := reason.Advise(reason.Cause{Subject: status.Subject, Detail: status.Detail}, nil)
			one.Meaning = a.Meaning
			if rc.Action == dsn.Failed {
				one.Cure = a.Cure
			}
		}
		if !rc.RetryUntil.IsZero() {
			one.Until = rc.RetryUntil.UTC().Format(time.RFC3339)
		}
		n.Recipients = append(n.Recipients, one)
	}
	return n
}
