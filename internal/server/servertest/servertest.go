// Package servertest runs a whole server for tests of what it serves over HTTPS.
package servertest

import (
	"context"
	"crypto/tls"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/certs"
	"waxwing/internal/config"
	"waxwing/internal/datadir"
	"waxwing/internal/guard"
	"waxwing/internal/server"
)

// Running is a server that serves HTTPS at URL, with the accounts you (a-good-password) and eve (another-password), each with its
// address in example.test. It knows no other host, and takes messages of 2 MiB.
type Running struct {
	*server.Server
	URL    string
	Client *http.Client // takes its certificate for good
}

// HTTPS starts one, which ends with the test.
func HTTPS(t *testing.T) *Running {
	t.Helper()
	text := "hostname = \"mail.example.test\"\n[[listen]]\naddress = \"127.0.0.1:0\"\nkind = \"https\"\n" +
		"[limits]\nmax_message_size = \"2MiB\"\n[tls]\nlocal_ca = true\n[resolver]\nservers = [\"127.0.0.1:9\"]\nselftest = { signed = \"\", bogus = \"\", large = \"\" }\n"
	cfg, err := config.Parse(filepath.Join(t.TempDir(), "waxwing.toml"), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var files certs.LocalFiles
	files.Cert, files.Key, files.CA = cfg.TLSFiles()
	if err := certs.MakeLocal(files, time.Now(), "mail.example.test"); err != nil {
		t.Fatal(err)
	}
	if _, err := datadir.InitStore(t.Context(), cfg, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	s, err := server.New(ctx, server.Options{Config: cfg})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	var running guard.Group
	running.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(running.Wait)
	t.Cleanup(cancel)
	for _, err := range []error{s.Accounts.AddDomain(ctx, dns.MustParse("example.test")), s.Accounts.AddAccount(ctx, "you", "a-good-password"), s.Accounts.AddAccount(ctx, "eve", "another-password"),
		s.Accounts.AddAddress(ctx, "you@example.test", "you"), s.Accounts.AddAddress(ctx, "eve@example.test", "eve")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return &Running{s, "https://" + s.Addr(config.HTTPS).String(),
		&http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}}}
}
