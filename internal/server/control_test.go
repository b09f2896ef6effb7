package server_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/config"
	"waxwing/internal/control"
	"waxwing/internal/datadir"
	"waxwing/internal/delivery"
	"waxwing/internal/explain"
	"waxwing/internal/lab"
	"waxwing/internal/outbox"
	"waxwing/internal/posture"
	"waxwing/internal/server"
	"waxwing/internal/spool"
)

// A server that runs answers at its control socket, refuses a second one on its
// directory, and remembers what a delivery showed (SES-10).
func TestControl(t *testing.T) {
	t.Parallel()
	n, err := lab.NewInternet()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	d, err := n.Publish(t.Context(), dns.MustParse("a.test"), lab.Publish{Zone: dns.Secure, Hosts: []lab.Host{{TLSA: lab.EEMatch}}}, "mailto:reports@a.test")
	if err != nil {
		t.Fatal(err)
	}
	m, err := n.StartMachine(context.WithoutCancel(t.Context()), lab.MachineSpec{Domain: "sender.test", Account: "you", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(m.Dir, "data")
	if _, err := control.Listen(dir); !errors.Is(err, control.ErrRunning) {
		t.Errorf("a second server: %v", err)
	}
	c, err := control.Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Submit(t.Context(), lab.Mail{From: m.Address(), To: "them@a.test"}); err != nil {
		t.Fatal(err)
	}
	within(t, "delivery", func() bool {
		items, err := c.List(t.Context(), spool.Filter{States: []spool.State{spool.Delivered}})
		return err == nil && len(items) == 1
	})
	if count, err := c.Count(t.Context()); err != nil || count[spool.Delivered] != 1 {
		t.Errorf("%v %v", count, err)
	}
	if _, err := c.SendReports(t.Context(), "tlsrpt", outbox.SendOptions{DryRun: true}); err != nil {
		t.Error(err)
	}
	var facts posture.Facts
	within(t, "facts", func() bool {
		facts, err = m.Posture.Account(t.Context(), d.Name, "you")
		return err != nil || facts.Known()
	})
	if err != nil || facts.StartTLS.Word != posture.Yes || facts.DANE.Word != posture.Yes || facts.DNSSEC.Word != posture.Yes || facts.MTASTS.Word != posture.No || facts.RequireTLS.Word != posture.No {
		t.Errorf("%+v %v", facts, err)
	}
	// What explain is made of, for commands: it reads what was seen.
	if err := m.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, control.Socket)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
	if _, err := control.Dial(t.Context(), dir); !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("after the end: %v", err)
	}
}

// Without a server, a command's own rooms answer.
func TestDeskWithoutServer(t *testing.T) {
	t.Parallel()
	n, err := lab.NewInternet()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	m, err := n.StartMachine(context.WithoutCancel(t.Context()), lab.MachineSpec{Domain: "sender.test", Account: "you", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Stop(); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(m.Config)
	if err != nil {
		t.Fatal(err)
	}
	db, err := datadir.OpenStore(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	desk, err := server.Desk(server.Options{Config: cfg}, db)
	if err != nil {
		t.Fatal(err)
	}
	if items, err := desk.List(t.Context(), spool.Filter{}); err != nil || len(items) != 0 {
		t.Errorf("%v %v", items, err)
	}
	if _, err := desk.SendReports(t.Context(), "tlsrpt", outbox.SendOptions{}); err != nil {
		t.Error(err)
	}
	x, err := server.Explainer(server.Options{Config: cfg}, db)
	if err != nil {
		t.Fatal(err)
	}
	domain := delivery.RecipientDomain{Name: dns.MustParse("nowhere.sender.test")}
	if e := x.Domain(t.Context(), explain.Request{Domain: domain, Connect: true}); e.Stop == nil || e.Stop.Word != "no-such-domain" {
		t.Errorf("%+v", e)
	}
}

func within(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s within two minutes", what)
		}
	}
}
