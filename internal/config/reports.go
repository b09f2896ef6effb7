package config

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"waxwing/dns"
	"waxwing/message"
)

// ReportSort is a sort of reports that others send.
type ReportSort string

// The sorts.
const (
	TLSReports   ReportSort = "tlsrpt"
	DMARCReports ReportSort = "dmarc"
)

// ReportAddress is where reports of one sort come to at one domain, in place of what [tlsrpt] or [dmarc] says (RPT-21).
type ReportAddress struct {
	Domain  dns.Name   `toml:"domain" required:"yes" example:"example.org" doc:"A hosted domain, or hostname."`
	Of      ReportSort `toml:"of" required:"yes" oneof:"tlsrpt dmarc" example:"dmarc" doc:"Of which reports: \"tlsrpt\" or \"dmarc\"."`
	Address string     `toml:"address" example:"dmarc-rua" doc:"Local part of the address, which the records of the domain have then; that of the section is taken at the domain too. After a change the former one is taken for 30 days more. Empty: that of the section."`
	Reader  string     `toml:"reader" example:"reports@example.org" doc:"Who gets what comes there and is no report, and with keep the reports too. Empty: the section's reader."`
	Mailbox string     `toml:"reader_mailbox" example:"Reports" doc:"Mailbox of theirs that it goes into. Empty: the section's."`
	Keep    bool       `toml:"keep" doc:"Deliver reports to this address that are taken in as mail as well. The section's keep does not count for the domain."`
}

// ReportsTo is where reports of a sort come to at a domain, and who reads what is none and in which mailbox, with
// keep the reports too.
type ReportsTo struct {
	Local, Reader, Mailbox string
	Keep                   bool
}

// ReportsTo is what holds for a domain.
func (c *Config) ReportsTo(of ReportSort, domain dns.Name) ReportsTo {
	out := ReportsTo{c.TLSRPT.Address, c.TLSRPT.Reader, c.TLSRPT.ReaderMailbox, c.TLSRPT.Keep}
	if of == DMARCReports {
		out = ReportsTo{c.DMARC.Address, c.DMARC.Reader, c.DMARC.ReaderMailbox, c.DMARC.Keep}
	}
	for _, a := range c.ReportAddresses {
		if a.Of != of || a.Domain != domain {
			continue
		}
		if a.Address != "" {
			out.Local = a.Address
		}
		if a.Reader != "" {
			out.Reader = a.Reader
		}
		if a.Mailbox != "" {
			out.Mailbox = a.Mailbox
		}
		out.Keep = a.Keep
	}
	return out
}

// OwnReportAddresses are the local parts of a sort that domains have for themselves.
func (c *Config) OwnReportAddresses(of ReportSort) map[dns.Name]string {
	out := map[dns.Name]string{}
	for _, a := range c.ReportAddresses {
		if a.Of == of && a.Address != "" {
			out[a.Domain] = a.Address
		}
	}
	return out
}

// validateReportAddresses: what comes to a local part is looked at as a report of one sort (RPT-21).
func (c *Config) validateReportAddresses(d *decoder) {
	checkReader := func(key, reader string) {
		if l, err := message.ParseAddressList(reader); reader != "" && (err != nil || len(l) != 1 || l[0].Name != "") {
			d.fault(key, "%q is no mail address like \"reports@example.org\"", reader)
		}
	}
	checkMailbox := func(key, name string) {
		if name != "" && !plainMailbox(name) {
			d.fault(key, "%q is no name of a mailbox like \"Reports\" or \"Reports/DMARC\"", name)
		}
	}
	for _, k := range []struct{ table, local, reader, mailbox string }{{"tlsrpt", c.TLSRPT.Address, c.TLSRPT.Reader, c.TLSRPT.ReaderMailbox}, {"dmarc", c.DMARC.Address, c.DMARC.Reader, c.DMARC.ReaderMailbox}} {
		if !reportLocal(k.local) {
			d.fault(k.table+".address", noReportLocal, k.local)
		}
		checkReader(k.table+".reader", k.reader)
		checkMailbox(k.table+".reader_mailbox", k.mailbox)
	}
	if strings.EqualFold(c.TLSRPT.Address, c.DMARC.Address) {
		d.fault("dmarc.address", "TLS reports come to %q already (tlsrpt.address): each sort needs an address of its own", c.DMARC.Address)
	}
	for i, a := range c.ReportAddresses {
		key := fmt.Sprintf("report_address[%d]", i)
		if slices.ContainsFunc(c.ReportAddresses[:i], func(o ReportAddress) bool { return o.Of == a.Of && o.Domain == a.Domain }) {
			d.fault(key, "%s has an address for reports of the sort %q already", a.Domain, a.Of)
		}
		checkReader(key+".reader", a.Reader)
		checkMailbox(key+".reader_mailbox", a.Mailbox)
		if a.Address == "" {
			continue
		}
		other, section := DMARCReports, c.DMARC.Address
		if a.Of == DMARCReports {
			other, section = TLSReports, c.TLSRPT.Address
		}
		switch {
		case !reportLocal(a.Address):
			d.fault(key+".address", noReportLocal, a.Address)
		case strings.EqualFold(a.Address, section), strings.EqualFold(a.Address, c.ReportsTo(other, a.Domain).Local):
			d.fault(key+".address", "reports of the sort %q come to %q at %s: each sort needs an address of its own", other, a.Address, a.Domain)
		}
	}
}

// plainMailbox is whether a mailbox can have the name, and no mail program stumbles over it.
func plainMailbox(name string) bool {
	if len(name) > 200 || !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || strings.ContainsRune(`%*~\"`, r) }) {
		return false
	}
	levels := strings.Split(name, "/")
	return len(levels) <= 10 && !slices.ContainsFunc(levels, func(l string) bool { return strings.Trim(l, ". ") == "" })
}

const noReportLocal = "%q is no local part of a report address: letters, digits, dots and hyphens, such as \"reports\", and not postmaster"

func reportLocal(local string) bool {
	a := message.Address{Local: local, Domain: "example.org"}
	return local != "" && a.Addr() == local+"@example.org" && !strings.Contains(local, "+") && !message.EightBit([]byte(local)) && !strings.EqualFold(local, "postmaster")
}
