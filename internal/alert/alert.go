// Package alert tells the operator of things, once: by mail to the postmaster and by
// a webhook. They are first failures that others report of a domain that was clean
// (RPT-18), and notices that other rooms give.
package alert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/guard"
	"waxwing/internal/outbox"
	"waxwing/internal/store"
	"waxwing/message"
)

// webhook is the Kind of what is posted.
const webhook outbox.Kind = 2

// Service tells the operator. Its Box posts to the webhook; Run and RunPosts are
// its services.
type Service struct {
	*outbox.Box
	// Postmaster is who is mailed, "" if there is nobody; nil: no mail.
	Postmaster func(ctx context.Context) (string, error)
}

// New makes the service that posts through b, to b.To if that is set.
func New(b *outbox.Box, postmaster func(context.Context) (string, error)) *Service {
	b.Family = outbox.Family{Name: "alert", Kinds: []outbox.Kind{webhook}, MediaType: "application/json", Area: guard.Hook}
	b.Off = b.To == ""
	return &Service{Box: b, Postmaster: postmaster}
}

// Run tells of first failures until ctx ends.
func (s *Service) Run(ctx context.Context) error { return s.Loop(ctx, nil, s.Step) }

// Step tells what is due by Now, and returns when it next should be called.
func (s *Service) Step(ctx context.Context) (time.Time, error) {
	return s.Now().Add(gather), s.alerts(ctx)
}

// nobody is there to be told.
func (s *Service) nobody() bool { return s.Postmaster == nil && s.To == "" }

// Notice is something that the operator is told once.
type Notice struct {
	What    string `json:"-"`     // names it for good: what was told once is not told again
	Event   string `json:"event"` // its kind, for the webhook
	Host    string `json:"host"`
	Subject string `json:"subject"`
	Text    string `json:"text"` // lines end in LF
}

// Tell tells the operator, unless this or another machine has done so. It does nothing
// where there is nobody to tell.
func (s *Service) Tell(ctx context.Context, n Notice) error {
	n.Host = s.Hostname.ASCII()
	_, err := s.tell(ctx, n.Subject, n.Text, n, func(tx *store.Tx) error {
		k, err := tx.Exec(`INSERT INTO told (what, at) VALUES (?, ?) ON CONFLICT (what) DO NOTHING`, n.What, store.Time(s.Now()))
		if err == nil && k == 0 {
			err = errTold
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("tell the operator of %s: %w", n.What, err)
	}
	return nil
}

// ErrNobody: alerts go nowhere.
var ErrNobody = errors.New("nobody is told of alerts: tlsrpt.alerts is false or no hosted domain has a postmaster, and there is no tlsrpt.alert_webhook")

// Test tells the operator that this is a test, and says who is told.
func (s *Service) Test(ctx context.Context) (told string, err error) {
	to := ""
	if s.Postmaster != nil {
		if to, err = s.Postmaster(ctx); err != nil {
			return "", err
		}
	}
	if to == "" && s.To == "" {
		return "", ErrNobody
	}
	n := Notice{Event: "test", Host: s.Hostname.ASCII(), Subject: "A test of the alerts of " + s.Hostname.ASCII(),
		Text: "Somebody has asked for this, to see whether alerts arrive. Nothing is wrong.\n"}
	if _, err := s.tell(ctx, n.Subject, n.Text, n, func(*store.Tx) error { return nil }); err != nil {
		return "", fmt.Errorf("send a test of the alerts: %w", err)
	}
	switch {
	case to == "":
		return "the webhook", nil
	case s.To == "":
		return to, nil
	}
	return to + " and the webhook", nil
}

// errTold: it was told already, perhaps by another machine.
var errTold = errors.New("told already")

// tell queues a mail to the postmaster and posts hook to the webhook, in one
// transaction with mark. It reports whether it was told now: with errTold of mark,
// it is not.
func (s *Service) tell(ctx context.Context, subject, text string, hook any, mark func(*store.Tx) error) (now bool, err error) {
	if s.nobody() {
		return false, nil
	}
	body, err := json.Marshal(hook)
	if err != nil {
		return false, err
	}
	env, content, err := s.mail(ctx, subject, text)
	if err != nil {
		return false, fmt.Errorf("compose the mail: %w", err)
	}
	err = s.Store.Write(ctx, func(tx *store.Tx) error {
		err := mark(tx)
		if err == nil && env != nil {
			err = s.Enqueuer.EnqueueTx(tx, env, content)
		}
		if err == nil && s.To != "" {
			err = s.Post(tx, webhook, body)
		}
		return err
	})
	if errors.Is(err, errTold) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if env != nil {
		s.Enqueuer.Wake()
	}
	s.WakePosts()
	return true, nil
}

// mail is a mail to the postmaster, as the queue wants it; nil where there is none to
// write to.
func (s *Service) mail(ctx context.Context, subject, text string) (*delivery.Envelope, delivery.Content, error) {
	if s.Postmaster == nil || s.Enqueuer == nil {
		return nil, nil, nil
	}
	to, err := s.Postmaster(ctx)
	if to == "" || err != nil {
		return nil, nil, err
	}
	domain, err := delivery.ParseRecipientDomain(to[strings.LastIndexByte(to, '@')+1:])
	if err != nil {
		return nil, nil, err
	}
	data := outbox.Letter{From: "Waxwing <postmaster@" + s.Hostname.ASCII() + ">", To: to, Subject: subject,
		Body: message.Entity{Type: "text/plain", Params: map[string]string{"charset": "utf-8"}, Body: message.ToCRLF(text)},
	}.Bytes(s.Now(), s.Hostname)
	env := &delivery.Envelope{
		ID: store.NewID(), Size: int64(len(data)), Accepted: s.Now(), Peer: "alert",
		Recipients: []delivery.Recipient{{ID: store.NewID(), Address: to, Domain: domain, Notify: delivery.NotifyNever}},
	}
	content, err := s.Enqueuer.Prepare(ctx, env, delivery.Bytes(data))
	return env, content, err
}

// Prune forgets what is too old.
func (s *Service) Prune(ctx context.Context) error {
	before := store.Time(s.Now().Add(-keep))
	err := s.Store.Prune(ctx, "alerts", store.Old{Query: `DELETE FROM tls_alerts WHERE created < ?`, Before: before},
		store.Old{Query: `DELETE FROM told WHERE at < ?`, Before: before})
	return errors.Join(err, s.Box.Prune(ctx))
}
