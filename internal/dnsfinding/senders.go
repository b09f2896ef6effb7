package dnsfinding

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"waxwing/dkim"
	"waxwing/dmarc"
	"waxwing/dns"
	"waxwing/internal/dnsrecords"
	"waxwing/internal/foreign"
	"waxwing/spf"
)

// spfRecords are the texts among those of a name that are SPF records (RFC 7208 §4.5).
func spfRecords(texts []string) []string {
	var out []string
	for _, t := range texts {
		if version, _, _ := strings.Cut(t, " "); strings.EqualFold(version, "v=spf1") {
			out = append(out, t)
		}
	}
	return out
}

// findSPF is the SPF record of the domain and of the host, and what they say of each
// address that mail leaves from.
func (r *report) findSPF() {
	subject := r.Wanted.Domain.Name.ASCII() + " SPF"
	mark := len(r.found)
	records := spfRecords(r.Texts.SPF.Records)
	switch {
	case failed(r, &r.Texts.SPF, subject):
		return
	case len(records) == 0:
		r.add(SPFMissing, subject, "", r.wanted(dnsrecords.SPF)+r.ownSPF())
	case len(records) > 1:
		r.add(SPFMultiple, subject, list(records, quoted), r.wanted(dnsrecords.SPF)+r.ownSPF())
	default:
		r.spfText(subject, records[0])
	}
	r.hostSPF()
	if mark == len(r.found) || len(records) == 1 {
		r.spfSources(subject)
	}
	if len(r.Wanted.Smarthosts) > 0 {
		r.add(SPFSmarthost, subject, list(r.Wanted.Smarthosts, strings.Clone), "")
	}
	r.ok(mark, subject, list(records, quoted))
}

// ownSPF is the wanted record where the domain is the host.
func (r *report) ownSPF() string {
	if r.Wanted.Domain.Name == r.Wanted.Host.Name {
		return r.wanted(dnsrecords.HostSPF)
	}
	return ""
}

// spfText is what one record says of all.
func (r *report) spfText(subject, text string) {
	record, err := spf.Parse(text)
	if err != nil {
		r.add(SPFSyntax, subject, quoted(text)+": "+err.Error(), r.wanted(dnsrecords.SPF)+r.ownSPF())
		return
	}
	ends := record.Redirect != nil
	for _, t := range record.Terms {
		switch {
		case t.Mechanism == "all" && t.Qualifier == spf.Pass:
			r.add(SPFOpen, subject, quoted(text), r.wanted(dnsrecords.SPF)+r.ownSPF())
			ends = true
		case t.Mechanism == "all" && t.Qualifier != spf.Neutral:
			ends = true
		case t.Mechanism == "ptr":
			r.add(SPFPTR, subject, quoted(text), "")
		}
	}
	if !ends {
		r.add(SPFNoAll, subject, quoted(text), "-all")
	}
}

// hostSPF: bounces and reports come from the host's own name.
func (r *report) hostSPF() {
	if r.Wanted.Domain.Name == r.Wanted.Host.Name {
		return
	}
	subject := r.Wanted.Host.Name.ASCII() + " SPF"
	if !failed(r, &r.Texts.HostSPF, subject) && len(spfRecords(r.Texts.HostSPF.Records)) == 0 {
		r.add(HostSPF, subject, "", r.wanted(dnsrecords.HostSPF))
	}
}

// spfSources is check_host for each address.
func (r *report) spfSources(domain string) {
	if len(r.SPF) == 0 && len(r.Wanted.Smarthosts) == 0 {
		r.add(SPFNoSource, domain, "", "")
	}
	for _, c := range r.SPF {
		subject := domain
		if c.Helo {
			subject = c.Source.EHLO.ASCII() + " SPF"
		}
		from := c.Source.Addr.String()
		if c.Source.Transport != "" {
			from += " (transport " + c.Source.Transport + ")"
		}
		o := c.Outcome
		what := joined(string(o.Result), o.Mechanism, o.Problem)
		switch {
		case !c.Asked:
			r.add(NotLooked, subject+" for "+from, "", "")
		case o.Result == spf.Pass, c.Helo && o.Result == spf.None, !c.Helo && o.Result == spf.None:
			// that there is no record is told where the record is looked at
		case o.Result == spf.TempError:
			r.add(SPFTemporary, subject+" for "+from, what, "pass")
		case o.Result == spf.PermError && (o.Lookups > 10 || o.Void > 2):
			r.add(SPFLookups, subject, fmt.Sprintf("%s, %d lookups, %d without an answer", what, o.Lookups, o.Void), "10 lookups, 2 without an answer")
		case o.Result == spf.PermError && r.toldOf(subject):
		case o.Result == spf.PermError:
			r.add(SPFSyntax, subject, what, "")
		default:
			r.add(SPFAddress, subject+" for "+from, what, "pass")
		}
	}
}

// toldOf reports that a fault of a subject's record stands already.
func (r *report) toldOf(subject string) bool {
	return slices.ContainsFunc(r.found, func(f Finding) bool {
		return f.Subject == subject && (f.Word == SPFSyntax || f.Word == SPFMultiple || f.Word == SPFLookups)
	})
}

func joined(all ...string) string {
	return strings.Join(slices.DeleteFunc(all, func(s string) bool { return s == "" }), ", ")
}

// findDKIM is the record of each key.
func (r *report) findDKIM() {
	domain := r.Wanted.Domain.Name
	if len(r.Wanted.Domain.DKIM) == 0 {
		r.add(NoDKIM, domain.ASCII()+" DKIM", "", "")
		return
	}
	for _, k := range r.Wanted.Domain.DKIM {
		subject := under(k.Selector+"._domainkey", domain) + " TXT"
		seen := r.DKIM[k.Selector]
		if failed(r, &seen, subject) {
			continue
		}
		mark := len(r.found)
		if w := keyRecord(k.Text, seen.Records, r.Wanted.Signing[k.Selector]); w != Well {
			r.add(w, subject, list(seen.Records, quoted), quoted(k.Text))
		}
		r.ok(mark, subject, list(seen.Records, quoted))
	}
}

// keyRecord decides about the texts at a key's name.
func keyRecord(wanted string, found []string, signs bool) Word {
	err := dkim.Published(wanted, found)
	switch {
	case err == nil:
		if tag(found[0], "t", "y") {
			return DKIMTesting
		}
		return Well
	case errors.Is(err, dkim.ErrNoRecord) && signs:
		return DKIMMissing
	case errors.Is(err, dkim.ErrNoRecord):
		return DKIMWaiting
	case len(found) > 1 && split(wanted, strings.Join(found, "")):
		return DKIMSplit
	case len(found) > 1:
		return DKIMMultiple
	case tag(found[0], "p", ""):
		return DKIMRevoked
	case split(wanted, found[0]):
		return DKIMSplit
	case sameKey(wanted, found[0]):
		return DKIMFaulty
	}
	return DKIMOther
}

// split reports a text that is the wanted one but for what splitting it wrongly does: a
// part is missing, parts are in another order or in several records, or blanks, quotes
// and backslashes came in.
func split(wanted, found string) bool {
	want, got := bare(wanted), bare(found)
	key := func(s string) string { _, k, _ := strings.Cut(s, "p="); return k }
	short := len(key(got)) >= 40 && len(got) < len(want)
	return got == want || short && (strings.HasPrefix(want, got) || strings.HasPrefix(key(want), key(got)) || strings.HasSuffix(key(want), key(got)))
}

// bare is a text without what splitting it wrongly brings in.
func bare(s string) string {
	return strings.Map(func(c rune) rune {
		if strings.ContainsRune(" \t\"\\();", c) {
			return -1
		}
		return c
	}, s)
}

// sameKey reports that both hold the same key, whatever else they say.
func sameKey(a, b string) bool {
	key := func(s string) string {
		for part := range strings.SplitSeq(s, ";") {
			if name, value, ok := strings.Cut(part, "="); ok && strings.TrimSpace(name) == "p" {
				return strings.Join(strings.Fields(value), "")
			}
		}
		return ""
	}
	return key(a) != "" && key(a) == key(b)
}

// tag reports that a text has a tag with a value, or with a list that has it.
func tag(text, name, value string) bool {
	for part := range strings.SplitSeq(text, ";") {
		n, v, ok := strings.Cut(part, "=")
		if !ok || strings.TrimSpace(n) != name {
			continue
		}
		for one := range strings.SplitSeq(v, ":") {
			if strings.TrimSpace(one) == value {
				return true
			}
		}
	}
	return false
}

// findDMARC is the DMARC record, and the addresses that it names.
func (r *report) findDMARC() {
	subject := under("_dmarc", r.Wanted.Domain.Name) + " TXT"
	mark := len(r.found)
	if failed(r, &r.Texts.DMARC, subject) {
		return
	}
	var all []*dmarc.Record
	for _, t := range r.Texts.DMARC.Records {
		if rec, err := dmarc.Parse(t); err == nil {
			all = append(all, rec)
		}
	}
	wanted := quoted(r.wanted(dnsrecords.DMARC))
	seen := list(r.Texts.DMARC.Records, quoted)
	switch {
	case len(r.Texts.DMARC.Records) == 0:
		r.add(DMARCMissing, subject, "", wanted)
	case len(all) == 0, len(all) == 1 && !all[0].Usable:
		r.add(DMARCSyntax, subject, seen, wanted)
	case len(all) > 1:
		r.add(DMARCMult, subject, seen, wanted)
	default:
		r.dmarcRecord(all[0], subject)
	}
	r.ok(mark, subject, seen)
}

func (r *report) dmarcRecord(d *dmarc.Record, subject string) {
	text := quoted(d.Text)
	if len(d.Problems) > 0 {
		r.add(DMARCFaults, subject, text+": "+strings.Join(d.Problems, ", "), "")
	}
	if d.Policy == dmarc.PolicyNone {
		r.add(DMARCNone, subject, text, "p=quarantine or p=reject")
	}
	if d.Testing {
		r.add(DMARCTesting, subject, text, "")
	}
	if len(d.RUA) == 0 {
		r.add(DMARCSilent, subject, text, quoted(r.wanted(dnsrecords.DMARC)))
	}
	for i := range r.Consent {
		c := &r.Consent[i]
		if !c.Organization.IsZero() && c.Organization == c.Own {
			continue
		}
		if at := c.Name.ASCII() + " TXT"; !failed(r, &c.Text, at) && !slices.ContainsFunc(c.Text.Records, consents) {
			r.add(DMARCConsent, at, list(c.Text.Records, quoted), quoted("v=DMARC1"))
		}
	}
	r.mailboxes(slices.Concat(d.RUA, d.RUF), subject)
}

func consents(text string) bool {
	_, err := dmarc.Parse(text)
	return err == nil
}

// mailboxes notes addresses of this server that nobody has.
func (r *report) mailboxes(uris []string, subject string) {
	for _, address := range slices.Sorted(maps.Keys(r.Mailboxes)) {
		if has := r.Mailboxes[address]; !has && slices.ContainsFunc(uris, func(u string) bool { return strings.EqualFold(mailto(u), address) }) {
			r.add(Mailbox, subject, address, "")
		}
	}
}

// mailto is the address of a mailto URI, "" of another one.
func mailto(uri string) string {
	scheme, rest, _ := strings.Cut(uri, ":")
	if !strings.EqualFold(scheme, "mailto") {
		return ""
	}
	rest, _, _ = strings.Cut(rest, "!")
	return foreign.Clip(rest, maxShown)
}

// Addresses are the mail addresses that a DMARC record's reports go to, as far as one
// record counts: for whoever gathers what is known of them.
func Addresses(texts []string) []string {
	var out []string
	n := 0
	for _, t := range texts {
		d, err := dmarc.Parse(t)
		if err != nil {
			continue
		}
		n++
		for _, u := range slices.Concat(d.RUA, d.RUF) {
			if a := mailto(u); a != "" && !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
	}
	if n != 1 {
		return nil
	}
	return out
}

// At is the domain of a mail address; zero for none.
func At(address string) dns.Name {
	n, err := dns.ParseName(address[strings.LastIndexByte(address, '@')+1:])
	if err != nil {
		return dns.Name{}
	}
	return n
}
