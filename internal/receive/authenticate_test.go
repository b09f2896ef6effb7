package receive

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/dkim"
	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/disposition"
	"waxwing/internal/reason"
	"waxwing/internal/verify"
)

// authenticated is a door that verifies by a world of domains: the client, 127.0.0.1, may
// send for good.test, lists.test and secure.test.
func authenticated(t *testing.T, q *outbox, over bool) (*MX, dkim.Key) {
	t.Helper()
	signer, err := dkim.GenerateRSA(2048)
	if err != nil {
		t.Fatal(err)
	}
	record, err := dkim.Record(signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	key := dkim.Key{Domain: dns.MustParse("signed.test"), Selector: "s1", Signer: signer}
	var chunks strings.Builder // strings of a TXT record hold 255 octets
	for i := 0; i < len(record); i += 200 {
		chunks.WriteString(`"` + record[i:min(len(record), i+200)] + `" `)
	}
	zones := []dnstest.Zone{
		{Name: "here.test", Security: dns.Secure, Records: []string{`@ TXT "v=spf1 -all"`, `_dmarc TXT "v=DMARC1; p=reject"`}},
		{Name: "good.test", Records: []string{`@ TXT "v=spf1 ip4:127.0.0.1 -all"`, `_dmarc TXT "v=DMARC1; p=reject"`}},
		{Name: "secure.test", Security: dns.Secure, Records: []string{`@ TXT "v=spf1 ip4:127.0.0.1 -all"`, `_dmarc TXT "v=DMARC1; p=reject"`}},
		{Name: "lists.test", Records: []string{`@ TXT "v=spf1 ip4:127.0.0.1 -all"`}},
		{Name: "anns-list.test", Records: []string{`@ TXT "v=spf1 ip4:127.0.0.1 -all"`}},
		{Name: "aside.test", Records: []string{`_dmarc TXT "v=DMARC1; p=quarantine"`}},
		{Name: "trial.test", Records: []string{`_dmarc TXT "v=DMARC1; p=reject; t=y"`}},
		{Name: "plain.test"},
		{Name: "signed.test", Records: []string{`_dmarc TXT "v=DMARC1; p=reject"`, "s1._domainkey TXT " + chunks.String()}},
		{Name: "dark.test", Security: dns.Bogus},
		{Name: "test", Security: dns.Secure},
	}
	r := &dns.Client{Servers: []dns.Server{{Addr: dnstest.Serve(t, zones...).Addr(), Trusted: true}}, Timeout: 5 * time.Second}
	return &MX{Door: common(q), DNS: r, Auth: &Authentication{Forwarders: []dns.Name{dns.MustParse("lists.test")},
		PutOff:   func(context.Context, string, string) (bool, error) { return over, nil },
		Verifier: &verify.Verifier{DNS: r, Hostname: "mx.here.test", Now: func() time.Time { return noon }}}}, key
}

func factsOf(t *testing.T, s sent) (f verify.Facts) {
	t.Helper()
	if err := json.Unmarshal(s.env.Facts, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// AUT-1, AUT-3, AUT-5: what is found out decides, and the client hears why.
func TestIncoming(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, from, header string
		over               bool   // the sender was put off for a day
		want               string // the reply
		action, word       string // where it is taken
	}{
		{"one's own domain, forged", "<joe@here.test>", "From: joe@here.test", false, "550 5.7.23 the envelope sender's domain is hosted here", "", ""},
		{"the author is forged", "<x@lists.invalid>", "From: boss@here.test", false, "550 5.7.1 here.test is not authenticated as the author of this message", "", ""},
		{"another's domain, forged", "<x@plain.test>", "From: x@good.test", false, "550 5.7.1 good.test is not authenticated", "", ""},
		{"a subdomain, forged", "<>", "From: x@a.b.good.test", false, "550 5.7.1 a.b.good.test is not authenticated", "", ""},
		{"one of two authors is forged", "<x@good.test>", "From: x@good.test, boss@here.test", false, "550 5.7.1", "", ""},
		{"spf passes", "<x@good.test>", "From: x@good.test", false, "250", "deliver", "dmarc-pass"},
		{"no policy", "<x@plain.test>", "From: x@plain.test", false, "250", "deliver", "no-dmarc-policy"},
		{"quarantine", "<x@plain.test>", "From: x@aside.test", false, "250", "junk", "dmarc-quarantine"},
		{"test mode", "<x@plain.test>", "From: x@trial.test", false, "250", "junk", "dmarc-quarantine"},
		{"a trusted list", "<list@lists.test>", "From: x@signed.test", false, "250", "deliver", "trusted-forwarder"},
		{"not by the list", "<list@other.test>", "From: x@signed.test", false, "550 5.7.1", "", ""},
		{"lookup failed", "<x@plain.test>", "From: x@dark.test", false, "451 4.7.5 whether dark.test wrote this message could not be looked up", "", ""},
		{"lookup failed for a day", "<x@plain.test>", "From: x@dark.test", true, "250", "deliver", "dmarc-temperror"},
		{"no author", "<x@plain.test>", "X: y", false, "550 5.6.0 message has no From field", "", ""},
		{"two authors", "<x@plain.test>", "From: x@good.test\r\nfrom: y@good.test", false, "550 5.6.0 message has 2 From fields", "", ""},
		{"a second author behind a line that is no field", "<x@good.test>", "From: x@good.test\r\nno field\r\nFrom : boss@here.test", false, "250", "deliver", "dmarc-pass"}, // such a line ends the header, for whoever reads the message later too
		{"authors in two groups", "<x@good.test>", "From: a: x@good.test;, b: y@good.test;", false, "550 5.6.0 From field has addresses in several groups", "", ""},
		{"authors in one group", "<x@good.test>", "From: a: x@good.test, y@good.test;", false, "250", "deliver", "dmarc-pass"},
		{"an empty group beside the author", "<x@good.test>", "From: undisclosed:;, x@good.test", false, "250", "deliver", "dmarc-pass"},
		{"an author without a domain", "<>", "From: MAILER-DAEMON", false, "550 5.6.0", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			q := &outbox{}
			mx, _ := authenticated(t, q, tt.over)
			c := serve(t, mx, nil)
			c.send(tt.want, tt.from, "<joe@here.test>", tt.header+"\r\nSubject: hi\r\n\r\nbody")
			if tt.action == "" {
				if n := q.count(); n != 0 {
					t.Errorf("%d messages were taken", n)
				}
				return
			}
			got := q.last(t)
			if d := factsOf(t, got).Decision; d.Action.String() != tt.action || string(d.Word) != tt.word || got.env.Recipients[0].Junk != (d.Action == disposition.Junk) {
				t.Errorf("%+v, into Junk: %v", d, got.env.Recipients[0].Junk)
			}
		})
	}
}

// TestAccountTrust (AUT-3): where the account of one recipient trusts who sent it, a message is
// taken, and goes into Junk for the others.
func TestAccountTrust(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		from, author, to string
		want             string
		junk             []bool
	}{
		{"<x@anns-list.test>", "x@signed.test", "<ann@here.test>", "250", []bool{false}},
		{"<x@anns-list.test>", "x@signed.test", "<joe@here.test>", "550 5.7.1", nil},
		{"<x@anns-list.test>", "x@signed.test", "<joe@here.test> <ann+l@here.test>", "250", []bool{true, false}},
		{"<x@anns-list.test>", "x@aside.test", "<joe@here.test> <ann@here.test>", "250", []bool{true, false}},
		{"<x@anns-list.test>", "x@dark.test", "<ann@here.test>", "250", []bool{false}},
		{"<x@anns-list.test>", "x@dark.test", "<joe@here.test> <ann@here.test>", "451 4.7.5", nil},
		{"<x@anns-list.test>", "x@signed.test", "<ann@here.test> <team@here.test>", "550 5.7.1", nil}, // who knows where the alias leads
		{"<x@anns-list.test>", "x@signed.test", "<far@here.test> <ann@here.test>", "550 5.7.1", nil},
		{"<x@anns-list.test>", "x@aside.test", "<team@here.test> <ann@here.test>", "250", []bool{true, false}},
		{"<x@other.test>", "x@signed.test", "<ann@here.test>", "550 5.7.1", nil},
		{"<x@anns-list.test>", "x@plain.test", "<joe@here.test> <ann@here.test>", "250", []bool{false, false}},
	} {
		q := &outbox{}
		mx, _ := authenticated(t, q, false)
		c := serve(t, mx, nil)
		c.send(tt.want, tt.from, tt.to, "From: "+tt.author+"\r\nSubject: hi\r\n\r\nbody")
		if tt.junk == nil {
			if n := q.count(); n != 0 {
				t.Errorf("%s, %s to %s: taken", tt.from, tt.author, tt.to)
			}
			continue
		}
		got := q.last(t)
		var junk []bool
		for _, r := range got.env.Recipients {
			junk = append(junk, r.Junk)
		}
		if !slices.Equal(junk, tt.junk) {
			t.Errorf("%s, %s to %s: into Junk %v", tt.from, tt.author, tt.to, junk)
		}
		if d := factsOf(t, got).Decision; tt.author != "x@plain.test" && (d.Word != reason.TrustedForwarder || tt.author != "x@dark.test" && d.Override != disposition.TrustedForwarder) {
			t.Errorf("%s to %s: %+v", tt.author, tt.to, d)
		}
	}
}

// A long message, which is in a file and whose header is written anew, is verified to its end.
func TestLongMessageIsVerified(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"", "\r\nnot signed"} {
		q := &outbox{}
		mx, key := authenticated(t, q, false)
		msg := "From: x@signed.test\r\nSubject: hi\r\n\r\n" + strings.Repeat("a line  with\twhite space\r\n", 2*inMemory/26) + "end"
		signature, err := dkim.Sign([]byte(msg+"\r\n"), []dkim.Key{key}, dkim.SignOptions{Now: func() time.Time { return noon }})
		if err != nil {
			t.Fatal(err)
		}
		want := map[bool]string{true: "250", false: "550 5.7.1 signed.test is not authenticated"}[end == ""]
		serve(t, mx, nil).send(want, "<bounce@plain.test>", "<joe@here.test>", "Return-Path: <forged@x.test>\r\n"+string(signature)+msg+end)
		if end != "" {
			continue
		}
		got := q.last(t)
		if f := factsOf(t, got); len(f.DKIM) != 1 || f.DKIM[0].Result != dkim.Pass || strings.Contains(got.body, "Return-Path") {
			t.Errorf("%+v", f.DKIM)
		}
	}
}

// A signature is enough, and what was found stands first in the header, with whether
// DNSSEC vouches for it (AUT-2, AUT-8).
func TestResultsField(t *testing.T) {
	t.Parallel()
	q := &outbox{}
	mx, key := authenticated(t, q, false)
	c := serve(t, mx, nil)
	msg := "From: x@signed.test\r\nSubject: hi\r\n\r\nbody\r\n"
	signature, err := dkim.Sign([]byte(msg), []dkim.Key{key}, dkim.SignOptions{Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	c.send("250", "<bounce@plain.test>", "<joe@here.test>", "Authentication-Results: \"mx\\.here.test.\"; dmarc=pass\r\n"+string(signature)+strings.TrimSuffix(msg, "\r\n"))
	got := q.last(t).body
	head, _, _ := strings.Cut(got, "\r\nReceived:")
	flat := strings.ReplaceAll(head, "\r\n", "")
	for _, want := range []string{"Authentication-Results: mx.here.test; ", "spf=none smtp.mailfrom=bounce@plain.test (no dnssec)", "dkim=pass header.d=signed.test header.s=s1 header.a=rsa-sha256 header.b=",
		"dmarc=pass header.from=signed.test policy.dmarc=reject (no dnssec)"} {
		if !strings.Contains(flat, want) {
			t.Errorf("%q lacks %q", flat, want)
		}
	}
	if strings.Contains(got, "Received-SPF") {
		t.Error("a field that nobody asked for")
	}
	if strings.Count(got, "Authentication-Results") != 1 {
		t.Errorf("a forged field is left:\n%s", got)
	}
	c.send("250", "<x@secure.test>", "<joe@here.test>", "From: x@secure.test\r\n\r\nbody")
	if flat := strings.ReplaceAll(q.last(t).body, "\r\n", ""); !strings.Contains(flat, "spf=pass smtp.mailfrom=x@secure.test (dnssec)") || !strings.Contains(flat, "dmarc=pass header.from=secure.test policy.dmarc=reject (dnssec)") {
		t.Errorf("%s", flat)
	}
	mx.Auth.ReceivedSPF = true
	serve(t, mx, nil).send("250", "<x@secure.test>", "<joe@here.test>", "Received-SPF: pass receiver=\"MX\\.here.test\"; identity=mailfrom;\r\n envelope-from=\"boss@bank.test\"\r\nFrom: x@secure.test\r\n\r\nbody")
	flat = strings.ReplaceAll(q.last(t).body, "\r\n", "")
	results, fields := strings.Index(flat, "Authentication-Results: "), strings.Index(flat, `Received-SPF: pass receiver=mx.here.test; client-ip=127.0.0.1; envelope-from="x@secure.test"; helo=client.test; identity=mailfrom`)
	if results != 0 || fields < 0 || fields > strings.Index(flat, "Received: ") || strings.Count(flat, "Received-SPF: ") != 2 {
		t.Errorf("%s", flat)
	}
}

// Mail for Junk stays that where it was for a report address and is no report.
func TestJunkAtReportAddress(t *testing.T) {
	t.Parallel()
	q := &outbox{}
	mx, _ := authenticated(t, q, false)
	mx.Reports, mx.IsReport = &sink{}, func(_ context.Context, local string, _ dns.Name) bool { return local == "tlsrpt" }
	serve(t, mx, nil).send("250", "<x@plain.test>", "<tlsrpt@here.test>", "From: x@aside.test\r\n\r\nspam")
	if got := q.last(t).env.Recipients; len(got) != 1 || got[0].Address != "postmaster@here.test" || !got[0].Junk {
		t.Errorf("%+v", got)
	}
}

// INB-12: a sender for whom SPF does not pass has so many recipients in one transaction.
func TestRecipientsUnverified(t *testing.T) {
	t.Parallel()
	for sender, want := range map[string]string{"<x@plain.test>": "452 4.5.3", "<x@good.test>": "250", "<>": "452 4.5.3"} {
		mx, _ := authenticated(t, &outbox{}, false)
		mx.Auth.Recipients = 3
		c := serve(t, mx, nil)
		c.do("250", "MAIL FROM:"+sender)
		for _, to := range []string{"a", "b", "c", "d"} {
			if to == "d" {
				c.do(want, "RCPT TO:<joe+d@here.test>")
				continue
			}
			c.do("250", "RCPT TO:<joe+"+to+"@here.test>")
		}
		c.do("354", "DATA") // those that were taken get it
	}
}
