package lab

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"waxwing/authres"
	"waxwing/dkim"
	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/mailbox"
	"waxwing/message"
	"waxwing/smtp"
)

// What becomes of mail that comes in, beside delivered.
const (
	junk     = "junk"
	refused  = "refused"
	deferred = "put off"
)

// arrival is one mail of a stranger to the receiver: what its author's domain has published, how
// the mail comes, and what must be found out of it and follow (AUT-1 to AUT-3, AUT-8).
type arrival struct {
	name, title string
	zone        dns.Security // of the author's domain
	spf, dmarc  string       // its records; "": none
	weak        bool         // its DKIM key has 512 bits
	unsigned    bool         // the mail has no signature
	sender      string       // the envelope's domain; "": the author's
	change      func(text []byte) []byte
	fail        string // the name below the author's domain for which DNS answers with a failure
	outcome     string
	status      string // of the refusal
	want        string // results in the order of their field, "spf=pass dkim=pass dmarc=pass"
}

// The SPF records: everything in the lab comes from loopback.
const (
	here      = "v=spf1 ip4:127.0.0.0/8 -all"
	elsewhere = "v=spf1 ip4:192.0.2.1 -all"
)

// listName is a mailing list that the receiver's operator trusts, otherList one of which it
// knows nothing. Both change what they pass on.
const (
	listName  = "list.test"
	otherList = "strangers-list.test"
)

func arrivals() []arrival {
	const reject, quarantine = "v=DMARC1; p=reject", "v=DMARC1; p=quarantine"
	footer := func(text []byte) []byte {
		text = bytes.Replace(text, []byte("Subject: "), []byte("Subject: [list] "), 1)
		return append(text, "-- \r\nTo leave the list, write to the list.\r\n"...)
	}
	return []arrival{
		{name: "in-good", title: "signed zone, SPF and DKIM pass: delivered", zone: dns.Secure, spf: here, dmarc: reject,
			outcome: delivered, want: "spf=pass (dnssec) dkim=pass (dnssec) dmarc=pass (dnssec)"},
		{name: "in-unsigned-zone", title: "the same from an unsigned zone: delivered, without DNSSEC behind it", zone: dns.Insecure, spf: here, dmarc: reject,
			outcome: delivered, want: "spf=pass (no dnssec) dkim=pass (no dnssec) dmarc=pass (no dnssec)"},
		{name: "in-forged", title: "somebody else's mail in its name, p=reject: refused", zone: dns.Secure, spf: elsewhere, dmarc: reject, unsigned: true,
			outcome: refused, status: "5.7.1"},
		{name: "in-forged-quarantine", title: "the same with p=quarantine: into Junk", zone: dns.Secure, spf: elsewhere, dmarc: quarantine, unsigned: true,
			outcome: junk, want: "spf=fail (dnssec) dkim=none (no dnssec) dmarc=fail (dnssec)"},
		{name: "in-forged-testing", title: "p=reject in test mode (t=y): a level less, into Junk", zone: dns.Secure, spf: elsewhere, dmarc: reject + "; t=y", unsigned: true,
			outcome: junk, want: "spf=fail (dnssec) dkim=none (no dnssec) dmarc=fail (dnssec)"},
		{name: "in-forwarded", title: "forwarded as it was: the author's signature carries it", zone: dns.Secure, spf: elsewhere, dmarc: reject, sender: otherList,
			outcome: delivered, want: "spf=pass (dnssec) dkim=pass (dnssec) dmarc=pass (dnssec)"},
		{name: "in-list", title: "changed by a mailing list, p=reject: refused", zone: dns.Secure, spf: elsewhere, dmarc: reject, sender: otherList, change: footer,
			outcome: refused, status: "5.7.1"},
		{name: "in-list-trusted", title: "changed by a list that the operator trusts: delivered", zone: dns.Secure, spf: elsewhere, dmarc: reject, sender: listName, change: footer,
			outcome: delivered, want: "spf=pass (dnssec) dkim=fail (dnssec) dmarc=fail (dnssec)"},
		{name: "in-broken", title: "signature broken, SPF of the author passes: delivered", zone: dns.Secure, spf: here, dmarc: reject, change: footer,
			outcome: delivered, want: "spf=pass (dnssec) dkim=fail (dnssec) dmarc=pass (dnssec)"},
		{name: "in-weak-key", title: "signed with a key of 512 bits, which counts for nothing: refused", zone: dns.Secure, spf: elsewhere, dmarc: reject, weak: true,
			outcome: refused, status: "5.7.1"},
		{name: "in-weak-key-spf", title: "the same, and SPF passes: delivered", zone: dns.Secure, spf: here, dmarc: reject, weak: true,
			outcome: delivered, want: "spf=pass (dnssec) dkim=permerror (dnssec) dmarc=pass (dnssec)"},
		{name: "in-dns-down", title: "the policy cannot be looked up for the moment: put off", zone: dns.Secure, spf: elsewhere, unsigned: true, fail: "_dmarc",
			outcome: deferred, status: "4.7.5"},
		{name: "in-key-down", title: "the key cannot, and it might let the mail in: put off", zone: dns.Secure, spf: elsewhere, dmarc: reject, fail: "lab._domainkey",
			outcome: deferred, status: "4.7.5"},
		{name: "in-no-records", title: "a domain that has published nothing: delivered", zone: dns.Insecure, unsigned: true,
			outcome: delivered, want: "spf=none (no dnssec) dkim=none (no dnssec) dmarc=none (no dnssec)"},
	}
}

// arrive tells what a Waxwing does with the mail of strangers.
func (l *Lab) arrive(ctx context.Context) error {
	for _, name := range []string{"test", listName, otherList} { // DMARC's tree walk asks up to the top-level domain
		err := l.DNS.Set(dnstest.Zone{Name: name, Security: dns.Secure, Records: []string{fmt.Sprintf("@ TXT %q", here), "@ A 127.0.0.1"}})
		if err != nil {
			return err
		}
	}
	for _, a := range arrivals() {
		row := Row{Story: a.name, Title: a.title, Domain: a.name + ".test", Published: a.words(), Basis: []string{}, Report: []Counts{}}
		if err := l.receive(ctx, a, &row); err != nil {
			return fmt.Errorf("%s: %w", a.name, err)
		}
		if row.Outcome != a.outcome {
			row.problem("the mail is %s %s, and should be %s", row.Outcome, row.Status, a.outcome)
		}
		if row.Status != a.status {
			row.problem("the answer says %q, and should say %q", row.Status, a.status)
		}
		if row.Decision != a.want && a.want != "" {
			row.problem("found out: %s, and should be %s", row.Decision, a.want)
		}
		l.Rows = append(l.Rows, row)
	}
	return nil
}

// words are what the author's domain publishes.
func (a *arrival) words() string {
	out := []string{"unsigned zone"}
	if a.zone == dns.Secure {
		out[0] = "signed zone"
	}
	if a.spf != "" {
		out = append(out, "SPF")
	}
	if a.weak {
		out = append(out, "DKIM of 512 bits")
	} else if !a.unsigned {
		out = append(out, "DKIM")
	}
	if _, policy, ok := strings.Cut(a.dmarc, "; "); ok {
		out = append(out, "DMARC "+policy)
	}
	if a.fail != "" {
		out = append(out, a.fail+" fails")
	}
	return strings.Join(out, ", ")
}

// publish puts the author's records into DNS, and returns the key to sign with.
func (l *Lab) publish(a arrival, author dns.Name) (crypto.Signer, error) {
	key, err := dkim.GenerateEd25519()
	if err != nil {
		return nil, err
	}
	record, err := dkim.Record(key.Public())
	if err != nil {
		return nil, err
	}
	if a.weak {
		if key, err = dkim.GenerateRSA(0); err != nil {
			return nil, err
		}
		weak := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 511, 1), E: 65537}
		der, err := x509.MarshalPKIXPublicKey(weak)
		if err != nil {
			return nil, err
		}
		record = "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der)
	}
	z := dnstest.Zone{Name: author.ASCII(), Security: a.zone, Records: []string{"@ A 127.0.0.1", fmt.Sprintf("lab._domainkey TXT %q", record)}}
	for at, text := range map[string]string{"@": a.spf, "_dmarc": a.dmarc} {
		if text != "" {
			z.Records = append(z.Records, fmt.Sprintf("%s TXT %q", at, text))
		}
	}
	if err := l.DNS.Set(z); err != nil {
		return nil, err
	}
	if a.fail != "" {
		l.DNS.Fail(dnstest.Failure{Name: a.fail + "." + author.ASCII(), RCode: "SERVFAIL"})
	}
	return key, nil
}

// receive publishes one domain, hands its mail to the receiver, and notes what was made of it.
func (l *Lab) receive(ctx context.Context, a arrival, row *Row) error {
	author := dns.MustParse(row.Domain)
	key, err := l.publish(a, author)
	if err != nil {
		return err
	}
	text := fmt.Appendf(nil, "From: Joe <joe@%s>\r\nTo: <%s>\r\nDate: %s\r\nSubject: %s\r\nMessage-ID: <%s@%s>\r\n\r\nWho sent me?\r\n",
		author, l.Receiver.Address(), l.Clock.Now().Format(time.RFC1123Z), a.name, a.name, author)
	if !a.unsigned {
		field, err := dkim.Sign(text, []dkim.Key{{Domain: author, Selector: "lab", Signer: key}}, dkim.SignOptions{Now: l.Clock.Now})
		if err != nil {
			return err
		}
		text = append(field, text...)
	}
	if a.change != nil {
		text = a.change(text)
	}
	sender := a.sender
	if sender == "" {
		sender = author.ASCII()
	}
	err = l.handText(ctx, "joe@"+sender, l.Receiver.Address(), text)
	if no, ok := errors.AsType[*refusal](err); ok {
		row.Outcome, row.Status = refused, no.reply.Enhanced.String()
		if no.reply.Code < 500 {
			row.Outcome = deferred
		}
		row.Decision, _, _ = strings.Cut(no.reply.Text(), ":")
		row.Decision, _, _ = strings.Cut(row.Decision, " (")
		return nil
	}
	if err != nil {
		return err
	}
	row.TLS = "pkix"
	return l.found(ctx, a, row)
}

// found notes in which mailbox a mail lies, and what its header says of who sent it.
func (l *Lab) found(ctx context.Context, a arrival, row *Row) error {
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		for name, outcome := range map[string]string{mailbox.Inbox: delivered, mailbox.Junk: junk} {
			list, err := l.Receiver.Mailboxes.List(ctx, l.Receiver.Account, name, 200)
			if err != nil {
				return err
			}
			for _, m := range list {
				text, err := l.read(ctx, l.Receiver, m.ID)
				if err != nil {
					return err
				}
				if bytes.Contains(text, []byte("<"+a.name+"@")) {
					row.Outcome = outcome
					return row.results(text)
				}
			}
		}
	}
	return errors.New("the mail is in no mailbox after a minute")
}

// results reads the first Authentication-Results, which is the receiver's.
func (r *Row) results(text []byte) error {
	h, _, err := message.SplitHeader(text)
	if err != nil {
		return err
	}
	var found []string
	for _, f := range h.Fields {
		if !f.Is(authres.Name) {
			continue
		}
		results, err := authres.Parse(f.Value())
		if err != nil {
			return err
		}
		for _, x := range results.Results {
			if x.Method == "iprev" || len(x.Properties) > 0 && x.Properties[0].Name == "helo" {
				continue // of the client, which is the same in all stories
			}
			found = append(found, fmt.Sprintf("%s=%s (%s)", x.Method, x.Value, x.Comment))
			r.Basis = append(r.Basis, strings.TrimSpace(x.Method+" "+x.Value+" "+x.Reason))
		}
		break
	}
	r.Decision = strings.Join(found, " ")
	return nil
}

// refusal is a machine's answer that is not 250.
type refusal struct {
	to    string
	reply *smtp.Reply
}

func (r *refusal) Error() string { return fmt.Sprintf("the mail to %s was refused: %v", r.to, r.reply) }
