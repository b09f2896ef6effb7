package dnsfinding

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"waxwing/dane"
	"waxwing/dns"
	"waxwing/internal/dnsrecords"
	"waxwing/internal/reason"
)

// findContact is what answers at one address of a host.
func (r *report) findContact(h *Host, c *Contact) {
	subject := fmt.Sprintf("%s (%s)", h.Name, c.Addr)
	mark := len(r.found)
	switch {
	case !c.Asked:
		r.add(NotLooked, subject, "", "")
		return
	case c.Err != nil && strings.HasPrefix(string(c.Err.Word), "connect-"):
		r.add(Unreachable, subject, c.Err.Text, "")
		return
	case c.Err != nil:
		r.add(SMTPRefused, subject, c.Err.Text, "")
		return
	}
	if c.Name != "" && !strings.EqualFold(strings.TrimSuffix(c.Name, "."), h.Name.ASCII()) {
		r.add(SMTPName, subject, c.Name, h.Name.ASCII())
	}
	switch {
	case !c.StartTLS:
		r.add(NoStartTLS, subject, "", "STARTTLS")
	case c.TLS != nil && len(c.Chain) == 0:
		r.add(TLSFailed, subject, string(c.TLS.Word)+": "+c.TLS.Text, "")
	default:
		if c.TLS != nil {
			r.add(TLSFailed, subject, string(c.TLS.Word)+": "+c.TLS.Text, "")
		}
		r.findChain(h, c, subject)
	}
	r.ok(mark, subject, "STARTTLS with a certificate that holds")
}

// findChain is the certificate that an address presents.
func (r *report) findChain(h *Host, c *Contact, subject string) {
	if len(c.Chain) == 0 || c.PKIX == nil {
		r.add(NotLooked, subject, "", "")
		return
	}
	leaf := c.Chain[0]
	dates := fmt.Sprintf("valid from %s to %s", leaf.NotBefore.UTC().Format(time.DateTime), leaf.NotAfter.UTC().Format(time.DateTime))
	switch {
	case r.Now.After(leaf.NotAfter):
		r.add(CertExpired, subject, dates, "")
	case r.Now.Before(leaf.NotBefore):
		r.add(CertNotYet, subject, dates, "")
	case leaf.NotAfter.Sub(r.Now) < leaf.NotAfter.Sub(leaf.NotBefore)/6: // renewal comes after two thirds
		r.add(CertExpires, subject, dates, "")
	}
	if leaf.VerifyHostname(h.Name.ASCII()) != nil {
		r.add(CertName, subject, list(leaf.DNSNames[:min(len(leaf.DNSNames), 10)], strings.Clone), h.Name.ASCII())
	} else if f := c.PKIX.Failure; f != nil && f.Word != reason.CertExpired && f.Word != reason.CertNotYetValid {
		w := CertUntrusted
		if r.byDANE(h, c) && r.Policy.Policy == nil {
			w = CertPrivate
		}
		r.add(w, subject, string(f.Word)+": "+f.Text, "")
	}
	if records := usable(h); len(records) > 0 && !matches(h, c, records, r.Now) {
		r.add(TLSAMismatch, subject, list(h.TLSA.Records, dns.TLSA.String), presented(c))
	}
}

// presented is the record that the certificate of a contact wants.
func presented(c *Contact) string {
	return dane.Generate(c.Chain[0], dane.UsageEE, dane.SelectorSPKI, dane.MatchingSHA256).String()
}

// usable are the TLSA records of a host that count.
func usable(h *Host) []dane.Record {
	if h.TLSA.Failed() || h.TLSA.Security != dns.Secure {
		return nil
	}
	records, _ := dane.Usable(h.TLSA.Records)
	return records
}

func matches(h *Host, c *Contact, records []dane.Record, now time.Time) bool {
	if len(c.Chain) == 0 {
		return false
	}
	_, err := dane.Verify(records, []dns.Name{h.Name}, c.Chain, now)
	return err == nil
}

// byDANE reports that DANE vouches for what an address presents.
func (r *report) byDANE(h *Host, c *Contact) bool {
	records := usable(h)
	return len(records) > 0 && matches(h, c, records, r.Now)
}

// findTLSA is the TLSA records of a host.
func (r *report) findTLSA(h *Host) {
	subject := under("_25._tcp", h.Name) + " TLSA"
	mark := len(r.found)
	if h.TLSA.Asked && h.TLSA.Err != nil && h.A.Security == dns.Secure && !h.A.Failed() {
		r.add(TLSALookup, subject, h.TLSA.Err.Error(), "")
		return
	}
	if failed(r, &h.TLSA, subject) {
		return
	}
	wanted := ""
	if h.Ours {
		wanted = r.wanted(dnsrecords.HostTLSA)
	}
	seen := list(h.TLSA.Records, dns.TLSA.String)
	switch {
	case len(h.TLSA.Records) == 0 && h.TLSA.Security == dns.Secure && h.A.Security == dns.Secure:
		r.add(TLSAMissing, subject, "", wanted)
		return
	case len(h.TLSA.Records) == 0:
		return
	case h.TLSA.Security == dns.Insecure:
		r.add(TLSAInsecure, subject, seen, wanted)
	case h.TLSA.Security != dns.Secure:
		r.add(NoDNSSEC, "the resolver", h.TLSA.Security.String(), "")
	}
	records, unusable := dane.Usable(h.TLSA.Records)
	if len(records) == 0 {
		r.add(TLSAUnusable, subject, seen, wanted)
		return
	}
	if unusable > 0 {
		r.add(TLSASome, subject, seen, wanted)
	}
	if h.Ours {
		r.ownKeys(h, records, subject)
	}
	r.ok(mark, subject, seen)
}

// ownKeys compares the records with the keys of this host: each key in use and each next
// one has its record, and each record is of a key.
func (r *report) ownKeys(h *Host, records []dane.Record, subject string) {
	keys := r.Wanted.Host.Keys
	is := func(x dane.Record, k dnsrecords.Key) bool {
		return x.Usage == dane.UsageEE && x.Selector == dane.SelectorSPKI && x.MatchingType == dane.MatchingSHA256 && hex.EncodeToString(x.Data) == hex.EncodeToString(k.SPKI)
	}
	authority := slices.ContainsFunc(records, func(x dane.Record) bool {
		return x.Usage == dane.UsageTA || x.MatchingType != dane.MatchingSHA256 || x.Selector == dane.SelectorCert
	})
	for _, k := range keys {
		if authority || slices.ContainsFunc(records, func(x dane.Record) bool { return is(x, k) }) {
			continue
		}
		w := TLSAKeyMissing
		if k.Next {
			w = TLSANext
		}
		r.add(w, subject, list(h.TLSA.Records, dns.TLSA.String), "3 1 1 "+hex.EncodeToString(k.SPKI))
	}
	for _, x := range records {
		known := slices.ContainsFunc(keys, func(k dnsrecords.Key) bool { return is(x, k) }) || len(keys) == 0
		for i := range h.Contacts {
			known = known || matches(h, &h.Contacts[i], []dane.Record{x}, r.Now)
		}
		if !known {
			t := dns.TLSA{Usage: x.Usage, Selector: x.Selector, MatchingType: x.MatchingType, Data: x.Data}
			r.add(TLSAStale, subject, t.String(), r.wanted(dnsrecords.HostTLSA))
		}
	}
}
