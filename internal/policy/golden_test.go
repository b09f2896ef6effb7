package policy

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/mtasts"
	"waxwing/tlsrpt"
)

var update = flag.Bool("update", false, "rewrite testdata/decisions.golden and docs/tls-decisions.md")

// published is one row of the table: what was found of a domain and its host.
type published struct {
	dane, sts string // in words
	in        Input
}

// rows are all combinations of DANE and MTA-STS that differ in their effect.
func rows() []published {
	var list []published
	for _, da := range []struct {
		words  string
		secure bool
		state  delivery.DANEState
	}{
		{"MX not secure", false, delivery.DANENone},
		{"no TLSA", true, delivery.DANENone},
		{"TLSA usable", true, delivery.DANEUsable},
		{"TLSA unusable", true, delivery.DANEUnusable},
		{"TLSA lookup failed", true, delivery.DANEFailed},
	} {
		for _, sts := range []struct {
			words   string
			finding delivery.Finding
			name    dns.Name
		}{
			{"none", finding("", true, ""), inside},
			{"mode none", finding(mtasts.ModeNone, true, ""), inside},
			{"testing", finding(mtasts.ModeTesting, true, ""), inside},
			{"testing, host not named", finding(mtasts.ModeTesting, true, ""), outside},
			{"enforce", finding(mtasts.ModeEnforce, true, ""), inside},
			{"enforce, host not named", finding(mtasts.ModeEnforce, true, ""), outside},
			{"enforce, host not named, record not checked now", finding(mtasts.ModeEnforce, false, ""), outside},
			{"enforce, newer policy not fetched", finding(mtasts.ModeEnforce, true, reason.STSFetch), inside},
			{"not fetched", finding("", true, reason.STSFetch), inside},
			{"policy invalid", finding("", true, reason.STSPolicySyntax), inside},
			{"record lookup failed", deferred(), inside},
		} {
			list = append(list, published{da.words, sts.words, Input{
				Domain: domain, Finding: sts.finding,
				Destination: delivery.Destination{
					Domain: delivery.RecipientDomain{Name: domain}, HasMX: true, MXSecure: da.secure,
					Hosts: []delivery.Host{host(sts.name, da.state, dns.Secure)},
				},
			}})
		}
	}
	return list
}

func deferred() delivery.Finding {
	f := finding("", false, reason.STSLookupFailed)
	f.Defer = true
	return f
}

// column is one kind of message.
type column struct {
	title string
	set   func(*Input)
}

func senderColumns() []column {
	return []column{
		{"ordinary", func(*Input) {}},
		{"RequireTLS", func(in *Input) { in.Need = delivery.RequireTLS }},
		{"RequireTLS, bounce", func(in *Input) { in.Need, in.NullSender, in.Purpose = delivery.RequireTLS, true, delivery.DSN }},
		{"TLSOptional", func(in *Input) { in.Need = delivery.TLSOptional }},
	}
}

func kindColumns() []column {
	return []column{
		{"TLS report", func(in *Input) { in.Purpose = delivery.TLSReport }},
		{"DMARC report", func(in *Input) { in.Purpose = delivery.DMARCReport }},
		{"plaintext forbidden", func(in *Input) { in.NoPlaintext = true }},
		{"TLSOptional, plaintext forbidden", func(in *Input) { in.NoPlaintext, in.Need = true, delivery.TLSOptional }},
	}
}

func minimumColumns(need delivery.TLSNeed) []column {
	var list []column
	for _, m := range minimums[1:] {
		list = append(list, column{"minimum " + m.String(), func(in *Input) { in.Minimum, in.Need = m, need }})
	}
	return list
}

// cell tells a decision for one host in a few words.
func cell(d delivery.Decision) string {
	switch {
	case len(d.Plans) == 0 && d.Stop.Permanent:
		return "return " + d.Stop.Enhanced.String() + ": `" + string(d.Stop.Word) + "`"
	case len(d.Plans) == 0:
		return "wait: `" + string(d.Stop.Word) + "`"
	}
	p := d.Plans[0]
	if p.Skip != nil {
		end := "skip"
		if d.Stop != nil && d.Stop.Permanent {
			end = "return " + d.Stop.Enhanced.String()
		}
		return end + ": `" + string(p.Skip.Word) + "`"
	}
	var s string
	switch verify := p.Verify(); {
	case p.TLS == delivery.TLSOpportunistic && p.PlaintextFallback:
		s = "TLS or plaintext"
	case p.TLS == delivery.TLSOpportunistic:
		s = "TLS if offered"
	case verify == "none":
		s = "TLS"
	default:
		s = "TLS+" + strings.ToUpper(verify)
	}
	var reported []string
	if p.DANE == delivery.CheckReport {
		reported = append(reported, "DANE")
	}
	if p.PKIX == delivery.CheckReport {
		reported = append(reported, "PKIX")
	}
	if reported != nil {
		s += " (" + strings.Join(reported, ", ") + " reported)"
	}
	switch p.RequireTLSVerb {
	case delivery.CheckRequire:
		s += ", REQUIRETLS"
	case delivery.CheckReport:
		s += ", REQUIRETLS if offered"
	}
	return s
}

func reported(d delivery.Decision) string {
	if len(d.Plans) == 0 {
		return "–"
	}
	var list []string
	for _, r := range d.Plans[0].Reports {
		s := string(r.Type)
		switch {
		case r.Failed != nil:
			s += ": " + string(r.Failed.Type) + " `" + string(r.Failed.Word) + "`"
		case r.Type == tlsrpt.PolicySTS && r.Needs == delivery.NeedPKIX:
			s += ": by PKIX"
		case r.Needs == delivery.NeedDANE:
			s += ": by DANE"
		default:
			s += ": by TLS"
		}
		list = append(list, s)
	}
	return strings.Join(list, "; ")
}

// line is one row of a table as it is written.
type line struct {
	dane  string
	sts   []string
	cells []string
}

// lines are the decisions of the columns for every row; merged puts rows of
// one DANE state together that have the same decisions.
func lines(rows []published, columns []column, reports, merged bool) []line {
	var list []line
	for _, r := range rows {
		l := line{dane: r.dane, sts: []string{r.sts}}
		for _, c := range columns {
			in := r.in
			c.set(&in)
			l.cells = append(l.cells, cell(Decide(in)))
		}
		if reports {
			in := r.in
			if in.Finding.Defer {
				in.Need = delivery.TLSOptional // FollowPolicy decides about no host
			}
			l.cells = append(l.cells, reported(Decide(in)))
		}
		i := slices.IndexFunc(list, func(o line) bool { return o.dane == l.dane && slices.Equal(o.cells, l.cells) })
		if merged && i >= 0 {
			list[i].sts = append(list[i].sts, r.sts)
			continue
		}
		list = append(list, l)
	}
	return list
}

func writeTable(b *strings.Builder, columns []column, reports, merged bool) {
	head := []string{"DNSSEC, DANE", "MTA-STS"}
	writeRows(b, head, lines(rows(), columns, reports, merged), columns, reports)
}

// writeOperator shows what is done with a host that the operator names.
func writeOperator(b *strings.Builder, need delivery.TLSNeed) {
	columns := operatorColumns(need)
	writeRows(b, []string{"the transport's host"}, lines(operatorRows(), columns, false, false), columns, false)
}

// writeShared shows what an MTA is told that takes one level for all hosts.
func writeShared(b *strings.Builder) {
	var list []line
	for _, r := range rows() {
		l := line{dane: r.dane, sts: []string{r.sts}}
		for _, more := range [][]delivery.Host{nil, {host(inside, delivery.DANENone, dns.Secure)}} {
			in := r.in
			in.Destination.Hosts = slices.Concat(in.Destination.Hosts, more)
			l.cells = append(l.cells, DecideShared(in).Level.String())
		}
		if i := slices.IndexFunc(list, func(o line) bool { return o.dane == l.dane && slices.Equal(o.cells, l.cells) }); i >= 0 {
			list[i].sts = append(list[i].sts, r.sts)
		} else {
			list = append(list, l)
		}
	}
	writeRows(b, []string{"DNSSEC, DANE", "MTA-STS"}, list, []column{{title: "every host"}, {title: "one host, and another without TLSA"}}, false)
}

func writeRows(b *strings.Builder, head []string, rows []line, columns []column, reports bool) {
	sts := len(head) > 1
	for _, c := range columns {
		head = append(head, c.title)
	}
	if reports {
		head = append(head, "counted in TLS reports under")
	}
	b.WriteString("| " + strings.Join(head, " | ") + " |\n" + strings.Repeat("|---", len(head)) + "|\n")
	for _, l := range rows {
		first := []string{l.dane}
		if sts {
			first = append(first, strings.Join(l.sts, "; "))
		}
		fmt.Fprintf(b, "| %s |\n", strings.Join(append(first, l.cells...), " | "))
	}
}

// TestGolden: a change of any decision shows as a change of this file.
func TestGolden(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("Decisions for one host. Rewrite with: go test ./internal/policy -update\n\n")
	writeTable(&b, senderColumns(), true, false)
	b.WriteString("\nKinds of message, and a server that forbids plaintext.\n\n")
	writeTable(&b, kindColumns(), false, false)
	for _, need := range needs {
		fmt.Fprintf(&b, "\nThe operator's minimum, %s.\n\n", need)
		writeTable(&b, minimumColumns(need), false, false)
	}
	for _, need := range needs {
		fmt.Fprintf(&b, "\nA host that the operator names, %s.\n\n", need)
		writeOperator(&b, need)
	}
	b.WriteString("\nOne level for all hosts.\n\n")
	writeShared(&b)
	b.WriteString("\nBasis of each decision of an ordinary message.\n\n")
	for _, r := range rows() {
		if d := Decide(r.in); len(d.Plans) > 0 {
			fmt.Fprintf(&b, "%s; MTA-STS %s:\n\t%s\n", r.dane, r.sts, d.Plans[0].Basis)
		}
	}
	for _, r := range operatorRows() {
		fmt.Fprintf(&b, "A host that the operator names, %s:\n\t%s\n", r.dane, Decide(r.in).Plans[0].Basis)
	}
	compare(t, "testdata/decisions.golden", b.String())
}

// TestDocs keeps docs/tls-decisions.md in step with the code.
func TestDocs(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(introduction)
	writeTable(&b, senderColumns(), true, true)
	b.WriteString(kindsText)
	writeTable(&b, kindColumns(), false, true)
	b.WriteString(minimumText)
	writeTable(&b, minimumColumns(delivery.FollowPolicy), false, true)
	b.WriteString(operatorText)
	writeOperator(&b, delivery.FollowPolicy)
	b.WriteString(operatorRequireText)
	writeOperator(&b, delivery.RequireTLS)
	b.WriteString(sharedText)
	writeShared(&b)
	b.WriteString(giveUpText)
	writeGiveUps(&b)
	b.WriteString(wordsText)
	compare(t, "../../docs/tls-decisions.md", b.String())
}

// writeGiveUps shows GiveUp for each two hosts, whatever their order.
func writeGiveUps(b *strings.Builder) {
	happened := []string{"no verified TLS", "verified TLS, no REQUIRETLS", "unreachable, 4xx, DNS error, or policy not checked now"}
	b.WriteString("| one host | another | the message |\n|---|---|---|\n")
	for i, one := range happened {
		for j, another := range happened[i:] {
			what := "waits"
			if f := giveUp([]Tried{{Happened: Happened(i)}, {Happened: Happened(i + j)}}); f != nil {
				what = "returns with " + f.Enhanced.String() + ": `" + string(f.Word) + "`"
			}
			fmt.Fprintf(b, "| %s | %s | %s |\n", one, another, what)
		}
	}
}

func compare(t *testing.T, path, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) == want {
		return
	}
	a, b := strings.Split(string(have), "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Fatalf("%s is stale from line %d on:\n has %s\nwant %s\nIf the change is meant: go test ./internal/policy -update", path, i+1, a[i], b[i])
		}
	}
	t.Fatalf("%s is stale: it has %d lines, not %d. If the change is meant: go test ./internal/policy -update", path, len(a), len(b))
}

const introduction = `# How Waxwing decides about TLS

<!-- Made by "go test ./internal/policy -update" from the code that decides; a test fails when it is stale. -->

For each mail host of a destination Waxwing decides once, before it connects,
how the host is to be spoken to. The decision is a function of what the sender
asked for, what the receiving domain publishes, and what the operator set; the
session carries it out and never chooses again. ` + "`waxwing explain ADDRESS`" + ` shows
the decision for a real address, with the same words as here.

- **DANE** (RFC 7672) applies where DNSSEC secures the answer that names the
  hosts and a host has TLSA records. The certificate must then match one.
- **MTA-STS** (RFC 8461) in mode enforce asks for hosts that the policy names,
  with a certificate from a public authority for the host's name (PKIX). Mode
  testing asks for reports only.
- Where both apply, both must pass. Where neither does, TLS is used if the
  host offers it, without verification (RFC 7435).
- Where TLS is required, it is TLS 1.2 or 1.3 with parameters that are not broken
  (no RC4, no 3DES, no SHA-1 signature of the handshake, no RSA key under 1024
  bits). Where it is not, any TLS is better than none: TLS 1.0 and up with all
  that this server can speak, modern first.
- A handshake that fails for what may be our hello is tried once more with a
  smaller and older one, which old hosts understand.
- What fails is never sent over something weaker: the message waits, the next
  host is tried, and only the end of the retry schedule returns it. The one
  retry in plaintext on the same host exists only where nothing was published.
- A sender can ask for more with REQUIRETLS, or for delivery at any cost with
  the header TLS-Required: No (both RFC 8689; RequireTLS and TLSOptional below).
- The operator can set a minimum per recipient domain: any, tls, verified or
  dane. TLSOptional does not lower it.

## The decisions

| in the table | what it means |
|---|---|
| TLS or plaintext | TLS if offered, unverified; after a TLS failure one retry without it on the same host |
| TLS if offered | the same, without the retry |
| TLS | no mail without TLS; the certificate is not verified |
| TLS+PKIX | a certificate from a public authority for the MX host's name |
| TLS+DANE | a certificate that matches the TLSA records |
| TLS+DANE+PKIX | both |
| … reported | the verification is made and reported, and stops nothing |
| REQUIRETLS | the host must offer REQUIRETLS on the TLS session, and is given it |
| skip: … | the host is not used in this attempt, for the reason given; if no other is left, the message waits |
| wait: … | no host is tried in this attempt |
| return 5.7.x: … | the message goes back at once if no other host qualifies (RFC 8689 §4.2.1) |

Each row is one host. The last column says how sessions with the host are
counted in TLS reports (RFC 8460): by what a session succeeds, or the failure
that stands before any session, with its result type and reason.

`

const kindsText = `
## Kinds of message

TLS reports ignore what they report on (RFC 8460 §5.3). DMARC reports need
TLS. A server that forbids plaintext has a minimum of TLS for every domain.

`

const minimumText = `
## The operator's minimum

The minimum ` + "`any`" + ` is the table above. A minimum never makes a decision weaker.

`

const operatorText = `
## A host that the operator names

A transport of kind smarthost or submission gives all mail to one host. The
operator vouches for its name, so that it needs no DNSSEC; what the recipient's
domain published is that host's to look at. The transport's security is the floor:
verified unless it says otherwise, and never less than tls with a submission
service. TLS-Required: No and our own TLS reports loosen nothing of it, and no
session is counted in a TLS report. A host that cannot be used is the operator's
fault and not the recipient's: the mail waits.

`

const operatorRequireText = `
With RequireTLS:

`

const sharedText = `
## One level for all hosts

A Postfix that asks the companion takes one level for all hosts of a domain, and
verifies by DANE or by MTA-STS, never both. Its level dane does the rest host by
host: it verifies where a host has usable records, demands TLS where none is usable,
and takes what it gets where there are none. A host without an address counts for
nothing.

`

const giveUpText = `
## REQUIRETLS when no host took the message

RFC 8689 §4.2.1 wants such a message back at once, with 5.7.30 where only
REQUIRETLS was missing and 5.7.10 otherwise. It waits as long as one host may
still qualify. With an enforced MTA-STS policy that was not checked in this
attempt, a failed verification does not return it (RFC 8461 §5.1).

`

const wordsText = `
## The words

Each reason word has its meaning and its cure in [operating/why.md](operating/why.md#5-all-reasons).
`
