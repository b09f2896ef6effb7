package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/config"
	"waxwing/internal/mailbox"
	"waxwing/internal/sendmail"
)

// TRA-5: what a program hands in over the socket is mail of the account that the
// configuration gives to its user id, from the addresses it names, and no other.
func TestSendmailSocket(t *testing.T) {
	t.Parallel()
	uid := strconv.Itoa(os.Getuid())
	cfg := parse(t, config.MX)
	cfg.Limits.MessagesPerDay = 2
	cfg.Sendmail = config.Sendmail{Socket: filepath.Join(t.TempDir(), "sendmail.sock"),
		User: []config.SendmailUser{{User: uid, Account: "web", Addresses: []string{"Www@Example.test"}}}}
	s, err := newServer(t.Context(), Options{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	for _, err := range []error{
		s.Accounts.AddDomain(ctx, dns.MustParse("example.test")), s.Accounts.AddAccount(ctx, "web", "no-one-knows-this"),
		s.Accounts.AddAddress(ctx, "www@example.test", "web"), s.Accounts.AddAddress(ctx, "boss@example.test", "web"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	path, conf := s.Socket().String(), filepath.Join(t.TempDir(), "sendmail.toml")
	if err := os.WriteFile(conf, fmt.Appendf(nil, "socket = %q\n", path), 0o600); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o666 {
		t.Errorf("the socket: %v %v", fi, err)
	}
	if _, err := newServer(ctx, Options{Config: cfg}); err == nil {
		t.Error("a second server took the socket")
	}
	run, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- s.Run(run) }()
	submit := func(from, header string) string {
		t.Helper()
		p := &sendmail.Program{Stdin: strings.NewReader("From: " + header + "\nSubject: x\n\nhello\n"), Stdout: io.Discard, Stderr: io.Discard, Now: time.Now}
		err := p.Run(ctx, []string{"-C", conf, "--require-tls", "-f", from, "boss@example.test"})
		var refused *sendmail.Error
		switch {
		case errors.As(err, &refused) && refused.Reply != nil:
			return refused.Reply.String()
		case err != nil:
			t.Fatal(err)
		}
		return "250 "
	}
	if got := submit("www@example.test", "www@example.test"); !strings.HasPrefix(got, "250 ") {
		t.Error(got)
	}
	if got := submit("boss@example.test", "www@example.test"); !strings.HasPrefix(got, "553 5.7.1") {
		t.Errorf("from another address of the account: %s", got)
	}
	if got := submit("www@example.test", "boss@example.test"); !strings.HasPrefix(got, "550 5.7.1") {
		t.Errorf("another address of the account in From: %s", got)
	}
	// INB-3: programs of this machine count like anybody.
	for _, want := range []string{"250 ", "450 4.7.1 your account has sent 2 messages today"} {
		if got := submit("www@example.test", "www@example.test"); !strings.HasPrefix(got, want) {
			t.Errorf("with 2 messages a day: %s, want %s", got, want)
		}
	}
	deadline := time.Now().Add(2 * time.Minute)
	for {
		list, err := s.Mailboxes.List(ctx, "web", mailbox.Inbox, 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d messages came", len(list))
		}
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestUserID(t *testing.T) {
	t.Parallel()
	if n, err := userID("root"); err != nil || n != 0 {
		t.Errorf("root: %d %v", n, err)
	}
	if n, err := userID("4711"); err != nil || n != 4711 {
		t.Errorf("4711: %d %v", n, err)
	}
	if _, err := userID("no-such-user-here"); err == nil {
		t.Error("an unknown user is taken")
	}
}
