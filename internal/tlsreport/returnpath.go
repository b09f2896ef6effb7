package tlsreport

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"waxwing/dsn"
	"waxwing/internal/delivery"
	"waxwing/internal/store"
	"waxwing/message"
)

// returnLocal begins the return path of every report mail. What follows names
// the delivery, and so the report address, under a signature of ours (RPT-12):
// only who got the report can say that it bounced.
const returnLocal = "tls-reports+"

var tokenText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// returnPath is the local part that bounces of a delivery come back to.
func returnPath(secret []byte, delivery int64) string {
	id := strconv.FormatInt(delivery, 36)
	return returnLocal + id + "-" + tokenMAC(secret, id)
}

func tokenMAC(secret []byte, id string) string {
	m := hmac.New(sha256.New, secret)
	m.Write([]byte("return path " + id))
	return tokenText.EncodeToString(m.Sum(nil)[:10])
}

// deliveryOf is the delivery that a return path names; ok says that we made it.
func deliveryOf(secret []byte, local string) (id int64, ok bool) {
	local = strings.ToLower(local)
	token, found := strings.CutPrefix(local, returnLocal)
	text, mac, dash := strings.Cut(token, "-")
	if !found || !dash || !hmac.Equal([]byte(mac), []byte(tokenMAC(secret, text))) {
		return 0, false
	}
	id, err := strconv.ParseInt(text, 36, 64)
	return id, err == nil
}

// IsReturnPath says of a local part whether it is the return path of a report
// mail of ours. Such mail goes to Take.
func (s *Service) IsReturnPath(ctx context.Context, local string) (bool, error) {
	_, ok, err := s.returned(ctx, local)
	return ok, err
}

// returned is the delivery whose return path local is.
func (s *Service) returned(ctx context.Context, local string) (id int64, ok bool, err error) {
	if len(local) < len(returnLocal) || !strings.EqualFold(local[:len(returnLocal)], returnLocal) {
		return 0, false, nil
	}
	secret, err := s.secret(ctx)
	if err != nil {
		return 0, false, err
	}
	id, ok = deliveryOf(secret, local)
	return id, ok, nil
}

// secret signs return paths; the first machine that needs it makes it.
func (s *Service) secret(ctx context.Context) ([]byte, error) {
	s.mu.Lock()
	got := s.signs
	s.mu.Unlock()
	if got != nil {
		return got, nil
	}
	fresh := make([]byte, 32)
	if _, err := rand.Read(fresh); err != nil {
		return nil, fmt.Errorf("make the secret of return paths: %w", err)
	}
	err := s.write(ctx, func(tx *store.Tx) error {
		if _, err := tx.Exec(`INSERT INTO tls_secret (id, secret) VALUES (1, ?) ON CONFLICT (id) DO NOTHING`, fresh); err != nil {
			return err
		}
		got = nil
		return tx.Row(`SELECT secret FROM tls_secret WHERE id = 1`).Scan(&got)
	})
	if err != nil {
		return nil, fmt.Errorf("read the secret of return paths: %w", err)
	}
	s.mu.Lock()
	s.signs = got
	s.mu.Unlock()
	return got, nil
}

// takeBounce takes what comes back to a return path: a notification that the
// report could not be delivered suppresses its address; one of a delay or of
// success, and an answer of a machine, are noted. What is none of these is
// an ordinary mail.
func (s *Service) takeBounce(ctx context.Context, id int64, msg []byte) (taken bool, reason string, err error) {
	v, note, reason := readBounce(msg)
	if reason != "" {
		return false, reason, nil
	}
	now := s.now()
	err = s.write(ctx, func(tx *store.Tx) error {
		if v == refused || v == exhausted {
			return finish(tx, id, v, note, now)
		}
		return record(tx, id, now, note)
	})
	if err != nil {
		return false, "", fmt.Errorf("note the bounce of a TLS report: %w", err)
	}
	s.log().Info("TLS report came back", "delivery", delivery.ID(id), "failed", v != accepted, "note", note)
	return true, "", nil
}

// readBounce reads what came back. Accepted stands for no failure.
func readBounce(msg []byte) (v verdict, note, reason string) {
	r, err := dsn.Parse(msg)
	if err == nil {
		for _, rcpt := range r.Recipients {
			if rcpt.Action != dsn.Failed {
				note = "notification: " + plain(errors.New(string(rcpt.Action)))
				continue
			}
			text := plain(errors.New(bounceText(rcpt)))
			if rcpt.Status.Class == 4 {
				return exhausted, "bounced: " + text, ""
			}
			return refused, "bounced: " + text, ""
		}
		return accepted, note, ""
	}
	h, _, herr := message.SplitHeader(msg)
	if auto := strings.ToLower(strings.TrimSpace(h.Get("Auto-Submitted"))); herr == nil && strings.HasPrefix(auto, "auto-") {
		return accepted, "answered by a machine: " + plain(errors.New(h.Get("Subject"))), ""
	}
	return accepted, "", "mail to the return path of a TLS report, but no delivery notification: " + plain(err)
}

// bounceText is what the other side said.
func bounceText(r dsn.Recipient) string {
	words := r.Status.String()
	switch {
	case r.Reply != nil:
		words = r.Reply.String()
	case r.Text != "":
		words += " " + r.Text
	}
	if r.RemoteMTA != "" {
		words += " (" + r.RemoteMTA + ")"
	}
	return words
}
