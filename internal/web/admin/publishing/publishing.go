// Package publishing is the admin pages about what we publish: the hosted domains with their records, keys and
// MTA-STS policies, and the host's certificates and keys (ADM-2, SET-4, CRT-6). It calls what "waxwing domain",
// "dkim", "mtasts publish", "cert" and "dns check" call.
package publishing

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/acme"
	"waxwing/internal/dnscheck"
	"waxwing/internal/dnsfinding"
	"waxwing/internal/dnsplan"
	"waxwing/internal/dnsrecords"
	"waxwing/internal/setup"
	"waxwing/internal/signing"
	"waxwing/internal/store"
	"waxwing/internal/stspublish"
	"waxwing/internal/web/deeds"
	"waxwing/internal/web/pages"
	"waxwing/mtasts"
)

// Room is the pages. Its fields are set before its first use.
type Room struct {
	Path         string // of all pages, such as /admin/
	Host         dns.Name
	DB           *store.Store
	Accounts     *accounts.Store
	Signing      *signing.Service
	DNS          dns.Resolver // by which keys are looked for
	STS          *stspublish.Service
	Certificates *acme.Service
	Now          func() time.Time

	Plan    func(context.Context, dns.Name) (dnsplan.Plan, error)         // what should stand in DNS
	Check   func(context.Context, dns.Name) ([]dnsfinding.Finding, error) // what does
	Leaving func(context.Context, dns.Name) (setup.Leaving, error)        // what hangs on a domain
}

const group = "What we publish"

// Subject is what there is to see and to do.
func (r *Room) Subject() deeds.Subject {
	return deeds.Subject{
		Places: []deeds.Place{
			{Group: group, Name: "Domains", Path: r.Path + "domains", Show: r.domains},
			{Path: r.Path + "domain/{domain}", Under: r.Path + "domains", Show: r.domain},
			{Group: group, Name: "DNS findings", Path: r.Path + "findings", Show: r.findings},
			{Group: group, Name: "DKIM keys", Path: r.Path + "dkim", Show: r.dkim},
			{Group: group, Name: "MTA-STS policies", Path: r.Path + "mtasts-published", Show: r.policies},
			{Group: group, Name: "Certificates", Path: r.Path + "certificates", Show: r.certificates},
			{Group: group, Name: "Host keys", Path: r.Path + "keys", Show: r.keys},
		},
		Deeds: []deeds.Deed{
			r.addDomain(), r.setRules(), r.disable(), r.enable(), r.remove(), r.check(), r.addKey(), r.rollKey(), r.checkKeys(), r.signNow(), r.retire(), r.removeKey(),
			r.publish(), r.unpublish(), r.issue(), r.rollHost(), r.cancelRoll(), r.look(),
		},
	}
}

func (r *Room) to(d dns.Name) string { return r.Path + "domain/" + d.ASCII() }

// of is the name of a domain that was typed, or that a path has.
func of(s string) (dns.Name, error) { return dns.ParseName(s) }

// domains lists the hosted ones.
func (r *Room) domains(q *http.Request) (pages.Page, error) {
	all, err := r.Accounts.Domains(q.Context())
	if err != nil {
		return pages.Page{}, err
	}
	add := r.addDomain().Form()
	add.Folded = len(all) > 0
	t := pages.TableOf(account.DomainListing(), all, func(d *account.Domain) string { return r.to(d.Name) })
	return pages.Page{Title: "Domains", Lead: "Whose mail is taken here.", Command: "waxwing domain list", Blocks: []pages.Block{t, add}}, nil
}

// domain is one domain: what was found of it, what is to be published, its keys and its policy.
func (r *Room) domain(q *http.Request) (pages.Page, error) {
	ctx := q.Context()
	name, err := of(q.PathValue("domain"))
	if err != nil {
		return pages.Page{}, deeds.ErrMissing
	}
	all, err := r.Accounts.Domains(ctx)
	if err != nil {
		return pages.Page{}, err
	}
	i := slices.IndexFunc(all, func(d account.Domain) bool { return d.Name == name })
	if i < 0 {
		return pages.Page{}, deeds.ErrMissing
	}
	p := pages.Page{Title: name.Unicode(), Command: deeds.Command("dns records", name.ASCII()), Blocks: []pages.Block{pages.TableOf(account.DomainListing(), all[i:i+1], nil)}}
	for _, part := range []func(context.Context, dns.Name) ([]pages.Block, error){r.found, r.records, r.keysOf, r.policyOf, r.ends} {
		blocks, err := part(ctx, name)
		if err != nil {
			return p, err
		}
		p.Blocks = append(p.Blocks, blocks...)
	}
	return p, nil
}

// found is what the last check found, and the way to the next.
func (r *Room) found(ctx context.Context, d dns.Name) ([]pages.Block, error) {
	rows, err := dnscheck.Rows(ctx, r.DB, []dns.Name{d})
	if err != nil {
		return nil, err
	}
	blocks := make([]pages.Block, 0, len(rows)+1)
	for _, x := range rows {
		blocks = append(blocks, notices(x.Finding)...)
	}
	if len(rows) == 0 {
		blocks = append(blocks, pages.Notice{What: "Nothing is wrong with what was looked at last, or nobody has looked yet."})
	}
	return append(blocks, pages.Actions{Forms: []pages.Form{r.check().Form("domain", d.ASCII())}}), nil
}

// notices are a finding; what is well is none.
func notices(f dnsfinding.Finding) []pages.Block {
	if f.Level == dnsfinding.OK {
		return nil
	}
	tone := map[dnsfinding.Level]pages.Tone{dnsfinding.Fault: pages.Bad, dnsfinding.Unknown: pages.Waits}[f.Level]
	var says []string
	for _, x := range [][2]string{{"", f.Cause}, {"", f.Cure}, {"seen: ", f.Seen}, {"wanted: ", f.Wanted}} {
		if x[1] != "" {
			says = append(says, x[0]+x[1])
		}
	}
	return []pages.Block{pages.Notice{Tone: tone, What: string(f.Level) + ": " + f.Subject + ": " + string(f.Word), Cure: strings.Join(says, "; ")}}
}

// records are what is to be published.
func (r *Room) records(ctx context.Context, d dns.Name) ([]pages.Block, error) {
	plan, err := r.Plan(ctx, d)
	if err != nil {
		return nil, err
	}
	var rows []dnsrecords.Row
	for _, x := range plan.Records() {
		rows = append(rows, x.Row())
	}
	t := pages.TableOf(dnsrecords.Listing(), rows, nil)
	t.Title = "Records to publish, from the top"
	return []pages.Block{t, pages.Text{Title: "The same as lines of a zone file", Body: dnsrecords.Snippet(plan.Records(), d)}}, nil
}

// keysOf are a domain's keys for DKIM.
func (r *Room) keysOf(ctx context.Context, d dns.Name) ([]pages.Block, error) {
	rows, err := r.Signing.Rows(ctx, d)
	if err != nil {
		return nil, err
	}
	t := pages.TableOf(signing.Listing(), rows, nil)
	t.Title, t.None = "DKIM keys", "It has none: its mail goes unsigned."
	add := r.addKey().Form("domain", d.ASCII())
	add.Folded = len(rows) > 0
	blocks := []pages.Block{t, add}
	if len(rows) > 0 {
		acts := pages.Actions{Title: "With these keys", Forms: []pages.Form{r.rollKey().Form("domain", d.ASCII()), r.checkKeys().Form("domain", d.ASCII())}}
		var names []string
		for _, x := range rows {
			names = append(names, x.Selector)
		}
		blocks = append(blocks, acts)
		for _, x := range []struct {
			deeds.Deed
			title string
		}{{r.signNow(), "Sign before DNS shows the record"}, {r.retire(), "Sign with a key no more"}, {r.removeKey(), "Forget a key for good"}} {
			blocks = append(blocks, x.OneOf(x.title, "selector", "Key", names, "domain", d.ASCII())...)
		}
	}
	return blocks, nil
}

// policyOf is a domain's MTA-STS policy, to be changed.
func (r *Room) policyOf(ctx context.Context, d dns.Name) ([]pages.Block, error) {
	now, err := r.STS.Get(ctx, d)
	if err != nil && !errors.Is(err, stspublish.ErrNone) {
		return nil, err
	}
	var rows []stspublish.Row
	edit := r.publish().Form("domain", d.ASCII())
	if err == nil {
		rows = append(rows, now.Row())
		edit = r.publish().Form("domain", d.ASCII(), "mode", string(now.Policy.Mode), "max_age", now.Policy.MaxAge.String(), "mx", joined(now.Policy))
	}
	t := pages.TableOf(stspublish.Listing(), rows, nil)
	t.Title, t.None = "MTA-STS policy", "None is served."
	edit.Title, edit.Folded = "Serve a policy", true
	blocks := []pages.Block{t, edit}
	if len(rows) > 0 {
		end := r.unpublish().Form("domain", d.ASCII())
		end.Title, end.Folded = "Serve it no more", true
		blocks = append(blocks, end)
	}
	return blocks, nil
}

func joined(p *mtasts.Policy) (s string) {
	for i, x := range p.Patterns() {
		if i > 0 {
			s += ", "
		}
		s += x
	}
	return s
}

// ends are how its addresses are compared, and how it is disabled and removed.
func (r *Room) ends(_ context.Context, d dns.Name) ([]pages.Block, error) {
	rules := r.setRules().Form("domain", d.ASCII())
	rules.Folded = true
	return []pages.Block{rules, pages.Actions{Title: "Disable, enable, remove", Forms: []pages.Form{
		r.disable().Form("domain", d.ASCII()), r.enable().Form("domain", d.ASCII()), r.remove().Form("domain", d.ASCII())}}}, nil
}

// findings lists what the checks of all domains found.
func (r *Room) findings(q *http.Request) (pages.Page, error) {
	all, err := r.Accounts.Domains(q.Context())
	if err != nil {
		return pages.Page{}, err
	}
	var names []dns.Name
	for _, d := range all {
		names = append(names, d.Name)
	}
	rows, err := dnscheck.Rows(q.Context(), r.DB, names)
	if err != nil {
		return pages.Page{}, err
	}
	t := pages.TableOf(dnscheck.Listing(), rows, func(x *dnscheck.Row) string { return r.Path + "domain/" + x.Domain })
	return pages.Page{Title: "DNS findings", Lead: "What the checks that are made twice a day found last.", Command: "waxwing dns findings", Blocks: []pages.Block{t}}, nil
}

// dkim lists the keys of all domains.
func (r *Room) dkim(q *http.Request) (pages.Page, error) {
	rows, err := r.Signing.Rows(q.Context(), dns.Name{})
	if err != nil {
		return pages.Page{}, err
	}
	add := r.addKey().Form()
	add.Folded = len(rows) > 0
	add.Fields = append([]pages.Field{domainField()}, visible(add.Fields)...)
	t := pages.TableOf(signing.Listing(), rows, func(x *signing.Row) string { return r.to(x.Domain) })
	return pages.Page{Title: "DKIM keys", Lead: "With which outgoing mail is signed. A key is rolled on its domain's page.", Command: "waxwing dkim list", Blocks: []pages.Block{t, add}}, nil
}

func visible(all []pages.Field) []pages.Field {
	return slices.DeleteFunc(slices.Clone(all), func(f pages.Field) bool { return f.Kind == "hidden" })
}

// policies lists the policies that we serve.
func (r *Room) policies(q *http.Request) (pages.Page, error) {
	rows, err := r.STS.Rows(q.Context())
	if err != nil {
		return pages.Page{}, err
	}
	t := pages.TableOf(stspublish.Listing(), rows, func(x *stspublish.Row) string { return r.Path + "domain/" + x.Domain })
	return pages.Page{Title: "MTA-STS policies that we serve", Lead: "A policy is changed on its domain's page.", Command: "waxwing mtasts published", Blocks: []pages.Block{t}}, nil
}

// certificates lists the host's.
func (r *Room) certificates(q *http.Request) (pages.Page, error) {
	rows, err := r.Certificates.Rows(q.Context())
	if err != nil {
		return pages.Page{}, err
	}
	p := pages.Page{Title: "Certificates", Lead: "Those that there should be, and when each is renewed.", Command: "waxwing cert list", Blocks: []pages.Block{pages.TableOf(acme.Listing(), rows, nil)}}
	if r.Certificates.CA != nil {
		issue := r.issue().Form()
		issue.Folded = true
		p.Blocks = append(p.Blocks, issue)
	}
	return p, nil
}

// keys lists the host's keys with the stages of their roll-over.
func (r *Room) keys(q *http.Request) (pages.Page, error) {
	rows, err := r.Certificates.KeyRows(q.Context())
	p := pages.Page{Title: "Host keys", Lead: "What stage each is in, what it waits for, and its TLSA record. The next key takes over once every server of the zone has shown its record for long enough.", Command: "waxwing cert keys"}
	switch {
	case errors.Is(err, acme.ErrNoKeys):
		p.Blocks = []pages.Block{pages.Notice{What: "The host has no keys of its own.", Cure: "\"waxwing cert make\" makes them."}}
		return p, nil
	case err != nil:
		return p, err
	}
	p.Blocks = []pages.Block{pages.TableOf(acme.KeyListing(), rows, nil), r.rollHost().Form(), pages.Actions{Title: "Roll-over", Forms: []pages.Form{r.cancelRoll().Form(), r.look().Form()}}}
	return p, nil
}
