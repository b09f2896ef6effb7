package config

import (
	"strings"
	"testing"

	"waxwing/dns"
)

// RPT-21, DMR-6: a domain has the report addresses of its own table where that says something, else those of
// the section; one local part is of one sort at a domain.
func TestReportAddresses(t *testing.T) {
	t.Parallel()
	const head = "hostname = \"mx.example.org\"\n[[listen]]\naddress = \"127.0.0.1:25\"\nkind = \"mx\"\n[tlsrpt]\nreader = \"all@example.org\"\nreader_mailbox = \"Reports\"\nkeep = true\n"
	one := func(domain, of, rest string) string {
		return "[[report_address]]\ndomain = \"" + domain + "\"\nof = \"" + of + "\"\n" + rest + "\n"
	}
	for _, tt := range []struct{ text, fault string }{
		{one("a.test", "dmarc", ""), ""}, {one("a.test", "dmarc", `address = "rua"`) + one("b.test", "dmarc", `address = "rua"`) + one("a.test", "tlsrpt", `address = "tls"`), ""},
		{one("a.test", "dmarc", `address = "rua"`) + one("b.test", "tlsrpt", `address = "rua"`), ""}, // at different domains
		{one("a.test", "dmarc", `address = "dmarc-reports"`), ""},                                    // as it is anyway
		{one("a.test", "arf", ""), "none of"}, {"[[report_address]]\nof = \"dmarc\"\n", "domain"}, {"[[report_address]]\ndomain = \"a.test\"\n", "of"},
		{one("a.test", "dmarc", "") + one("A.test", "dmarc", ""), "already"},
		{one("a.test", "dmarc", `address = "a+b"`), "no local part"}, {one("a.test", "dmarc", `address = "Postmaster"`), "no local part"}, {one("a.test", "dmarc", `reader = "joe"`), "no mail address"},
		{one("a.test", "dmarc", `reader_mailbox = "Reports/DMARC"`), ""}, {one("a.test", "dmarc", `reader_mailbox = "a//b"`), "no name of a mailbox"}, {one("a.test", "dmarc", `reader_mailbox = "~deleted/x"`), "no name of a mailbox"},
		{one("a.test", "dmarc", `address = "TLS-reports"`), "address of its own"}, {one("a.test", "tlsrpt", `address = "dmarc-reports"`), "address of its own"},
		{one("a.test", "dmarc", `address = "rua"`) + one("a.test", "tlsrpt", `address = "RUA"`), "address of its own"},
	} {
		_, err := Parse("w", []byte(head+tt.text))
		if (err != nil) != (tt.fault != "") || err != nil && !strings.Contains(err.Error(), tt.fault) {
			t.Errorf("%s%v, want %q", tt.text, err, tt.fault)
		}
	}
	c, err := Parse("w", []byte(head+one("a.test", "tlsrpt", "address = \"tls\"\nreader = \"a@example.org\"\nreader_mailbox = \"TLS\"")+one("b.test", "tlsrpt", "keep = true")+one("a.test", "dmarc", "keep = true")))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		of     ReportSort
		domain string
		want   ReportsTo
	}{
		{TLSReports, "a.test", ReportsTo{"tls", "a@example.org", "TLS", false}}, {TLSReports, "b.test", ReportsTo{"tls-reports", "all@example.org", "Reports", true}}, {TLSReports, "c.test", ReportsTo{"tls-reports", "all@example.org", "Reports", true}},
		{DMARCReports, "a.test", ReportsTo{"dmarc-reports", "", "", true}}, {DMARCReports, "b.test", ReportsTo{"dmarc-reports", "", "", false}},
	} {
		if got := c.ReportsTo(tt.of, dns.MustParse(tt.domain)); got != tt.want {
			t.Errorf("%s at %s: %+v, want %+v", tt.of, tt.domain, got, tt.want)
		}
	}
	if own := c.OwnReportAddresses(TLSReports); len(own) != 1 || own[dns.MustParse("a.test")] != "tls" || len(c.OwnReportAddresses(DMARCReports)) != 0 {
		t.Errorf("%v", own)
	}
}
