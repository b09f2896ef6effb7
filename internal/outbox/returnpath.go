package outbox

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strconv"
	"strings"

	"waxwing/dsn"
	"waxwing/internal/delivery"
	"waxwing/internal/store"
	"waxwing/message"
)

var tokenText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// returnPath is the local part that bounces of a delivery come back to. What
// follows the plus names the delivery, and so the report address, under a
// signature of ours (RPT-12): only who got the report can say that it bounced.
func (f Family) returnPath(secret []byte, delivery int64) string {
	id := strconv.FormatInt(delivery, 36)
	return f.Local + "+" + id + "-" + tokenMAC(secret, id)
}

func tokenMAC(secret []byte, id string) string {
	m := hmac.New(sha256.New, secret)
	m.Write([]byte("return path " + id))
	return tokenText.EncodeToString(m.Sum(nil)[:10])
}

// deliveryOf is the delivery that a return path names; ok says that we made it.
func (f Family) deliveryOf(secret []byte, local string) (id int64, ok bool) {
	local = strings.ToLower(local)
	token, found := strings.CutPrefix(local, f.Local+"+")
	text, mac, dash := strings.Cut(token, "-")
	if !found || !dash || !hmac.Equal([]byte(mac), []byte(tokenMAC(secret, text))) {
		return 0, false
	}
	id, err := strconv.ParseInt(text, 36, 64)
	return id, err == nil
}

// Returned is the delivery whose return path local is; ok says that it is one of
// ours. Such mail goes to TakeBounce.
func (b *Box) Returned(ctx context.Context, local string) (id int64, ok bool, err error) {
	if n := len(b.Local) + 1; len(local) < n || !strings.EqualFold(local[:n], b.Local+"+") {
		return 0, false, nil
	}
	secret, err := b.returnSecret(ctx)
	if err != nil {
		return 0, false, err
	}
	id, ok = b.deliveryOf(secret, local)
	return id, ok, nil
}

// returnSecret signs return paths; the first machine that needs it makes it.
func (b *Box) returnSecret(ctx context.Context) (secret []byte, err error) {
	if got := b.secret.Load(); got != nil {
		return *got, nil
	}
	fresh := make([]byte, 32)
	if _, err := rand.Read(fresh); err != nil {
		return nil, fmt.Errorf("make the secret of return paths: %w", err)
	}
	err = b.write(ctx, func(tx *store.Tx) error {
		if _, err := tx.Exec(`INSERT INTO outbox_secret (id, secret) VALUES (1, ?) ON CONFLICT (id) DO NOTHING`, fresh); err != nil {
			return err
		}
		secret = nil
		return tx.Row(`SELECT secret FROM outbox_secret WHERE id = 1`).Scan(&secret)
	})
	if err != nil {
		return nil, fmt.Errorf("read the secret of return paths: %w", err)
	}
	b.secret.Store(&secret)
	return secret, nil
}

// TakeBounce takes what comes back to a return path: a notification that the
// report could not be delivered suppresses its address; one of a delay or of
// success, and an answer of a machine, are noted. What is none of these is
// an ordinary mail.
func (b *Box) TakeBounce(ctx context.Context, id int64, msg []byte) (taken bool, reason string, err error) {
	v, note, reason := readBounce(msg)
	if reason != "" {
		return false, reason, nil
	}
	err = b.write(ctx, func(tx *store.Tx) error {
		if v == refused || v == exhausted {
			return b.finish(tx, id, v, note, b.Now())
		}
		return record(tx, id, b.Now(), note)
	})
	if err != nil {
		return false, "", fmt.Errorf("note the bounce of a %s: %w", b.Name, err)
	}
	b.Log.Info(b.Name+" came back", "delivery", delivery.ID(id), "failed", v != accepted, "text", note)
	return true, "", nil
}

// readBounce reads what came back. Accepted stands for no failure.
func readBounce(msg []byte) (v result, note, reason string) {
	r, err := dsn.Parse(msg)
	if err == nil {
		for _, rcpt := range r.Recipients {
			if rcpt.Action != dsn.Failed {
				note = "notification: " + Line(string(rcpt.Action))
				continue
			}
			text := Line(bounceText(rcpt))
			if rcpt.Status.Class == 4 {
				return exhausted, "bounced: " + text, ""
			}
			return refused, "bounced: " + text, ""
		}
		return accepted, note, ""
	}
	h, _, herr := message.SplitHeader(msg)
	if auto := strings.ToLower(strings.TrimSpace(h.Get("Auto-Submitted"))); herr == nil && strings.HasPrefix(auto, "auto-") {
		return accepted, "answered by a machine: " + Line(h.Get("Subject")), ""
	}
	return accepted, "", "mail to the return path of a report, but no delivery notification: " + Line(err.Error())
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
