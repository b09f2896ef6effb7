package server

import (
	"strings"
	"testing"

	"waxwing/dns/dnstest"
	"waxwing/internal/config"
	"waxwing/internal/store"
)

// DMR-4: a forged message that is refused at the MX is told of, where the configuration wants it and
// the author's record asks; nothing that names a person is stored for it.
func TestFailureReportWiring(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{true, false} {
		zones := dnstest.Serve(t, dnstest.Zone{Name: "forged.test", Records: []string{`_dmarc TXT "v=DMARC1; p=reject; ruf=mailto:f@forged.test"`}}, dnstest.Zone{Name: "test"})
		cfg := parse(t, config.MX)
		cfg.Incoming.Verify, cfg.DMARC.FailureReports = true, on
		cfg.Resolver.Servers, cfg.Resolver.Trusted = []string{zones.Addr()}, true
		s := run(t, cfg)
		p := dial(t, s.Addr(config.MX))
		for _, d := range []struct{ line, want string }{
			{"", "220"}, {"EHLO client.test", "250"}, {"MAIL FROM:<secret@other.test>", "250"}, {"RCPT TO:<you@example.test>", "250"}, {"DATA", "354"},
			{"From: Secret <secret@forged.test>\r\nSubject: secret\r\nMessage-ID: <1@forged.test>\r\n\r\nsecret\r\n.", "550 5.7.1"},
		} {
			p.say(d.line, d.want)
		}
		if on {
			if _, err := s.DMARCFailures.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		var reports, originals []string
		err := s.Store.Read(t.Context(), func(tx *store.Tx) (err error) {
			if reports, err = store.Column[string](tx, `SELECT report FROM dmarc_failures WHERE domain = 'forged.test'`); err == nil {
				originals, err = store.Column[string](tx, `SELECT CAST(original AS TEXT) FROM dmarc_failures`)
			}
			return err
		})
		if err != nil || len(reports) != map[bool]int{true: 1, false: 0}[on] {
			t.Fatalf("wanted: %v, %v, %v", on, reports, err)
		}
		if all := strings.Join(append(reports, originals...), "\n"); strings.Contains(strings.ToLower(all), "secret") || on && (!strings.Contains(all, "127.0.0.1") || !strings.Contains(all, "<1@forged.test>")) {
			t.Error(all)
		}
	}
}
