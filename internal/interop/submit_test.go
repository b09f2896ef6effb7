//go:build linux

package interop

import (
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/sasl"
	"waxwing/smtpclient"
)

// mail is what the user submits.
type mail struct {
	from  string // zero: the user's address
	to    []string
	token string // its subject
	need  delivery.TLSNeed
	utf8  bool
	body  string // lines with CRLF
}

func (m mail) sender() string {
	if m.from != "" {
		return m.from
	}
	return user + "@" + waxDomain
}

func (m mail) text() string {
	h := []string{"From: <" + m.sender() + ">", "To: <" + m.to[0] + ">", "Subject: " + m.token,
		"MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit"}
	if m.need == delivery.TLSOptional {
		h = append(h, "TLS-Required: No")
	}
	return strings.Join(h, "\r\n") + "\r\n\r\n" + m.body
}

// submit hands a mail in as the user, over verified TLS, with the best login.
func (w *world) submit(t *testing.T, m mail) {
	t.Helper()
	nc, err := net.DialTimeout("tcp", net.JoinHostPort(w.ip, "587"), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	c := smtpclient.New(nc, smtpclient.Options{HELO: "client.example"})
	defer c.Close()
	if err := w.login(t, c); err != nil {
		t.Fatal(err)
	}
	tx := smtpclient.Transaction{Body: strings.NewReader(m.text()), Mail: smtpclient.MailOptions{From: m.sender(),
		SMTPUTF8: m.utf8, RequireTLS: m.need == delivery.RequireTLS, Body: "8BITMIME"}}
	for _, a := range m.to {
		tx.Rcpts = append(tx.Rcpts, smtpclient.RcptOptions{To: a})
	}
	res, err := c.Transaction(t.Context(), tx)
	if err != nil {
		t.Fatal(err)
	}
	for i := range m.to {
		if !res.Accepted(i) {
			t.Fatalf("Waxwing refused %s: MAIL %v, RCPT %v, DATA %v", m.to[i], res.Mail, res.Rcpts[i], res.Data)
		}
	}
}

func (w *world) login(t *testing.T, c *smtpclient.Conn) error {
	ctx := t.Context()
	if _, err := c.Greeting(ctx); err != nil {
		return err
	}
	if err := c.Hello(ctx); err != nil {
		return err
	}
	if err := c.StartTLS(ctx, &tls.Config{ServerName: waxHost, RootCAs: w.pool()}); err != nil {
		return fmt.Errorf("STARTTLS: %w", err)
	}
	if err := c.Hello(ctx); err != nil {
		return err
	}
	cs, _ := c.TLSState()
	login, err := sasl.Choose(c.Extensions().Auth, &cs, sasl.Account{User: user, Password: password})
	if err != nil {
		return err
	}
	return c.Auth(ctx, login)
}
