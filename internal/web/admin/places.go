package admin

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/internal/acme"
	"waxwing/internal/dmarcreport"
	"waxwing/internal/dmarcresult"
	"waxwing/internal/dnscheck"
	"waxwing/internal/handshakes"
	"waxwing/internal/holds"
	"waxwing/internal/listing"
	"waxwing/internal/login"
	"waxwing/internal/outbox"
	"waxwing/internal/reportbox"
	"waxwing/internal/routes"
	"waxwing/internal/signing"
	"waxwing/internal/stspolicy"
	"waxwing/internal/stspublish"
	"waxwing/internal/suppression"
	"waxwing/internal/text"
	"waxwing/internal/tlsreport"
	"waxwing/internal/tlsresult"
	"waxwing/internal/web/pages"
	"waxwing/internal/websession"
)

// place is one page.
type place struct {
	group, name string // in the list of all pages; name "": it is not there
	path        string // below Path, with its beginning
	show        func(h *Handler, r *http.Request) (pages.Page, error)
}

// pattern is what requests for it look like.
func (p place) pattern() string {
	if strings.HasSuffix(p.path, "/") {
		return p.path + "{$}"
	}
	return p.path
}

// The groups of pages.
const (
	mail     = "Mail"
	reports  = "Reports"
	ours     = "What we publish"
	others   = "What others publish"
	people   = "People"
	theirWay = "Ways out"
	machine  = "Server"
)

// places are all pages, in the order of their list.
func places() []place {
	return slices.Concat([]place{{"", "Overview", Path, overview}}, ofMail(), ofReports(), ofOurs(), ofOthers(), ofPeople(), ofRoutes(), ofServer())
}

// ofMail are those about the queue, and what keeps mail in it.
func ofMail() []place {
	return []place{
		{mail, "Queue", Path + "queue", queuePage},
		{mail, "Trace a message", Path + "trace", tracePage},
		{mail, "", Path + "message/{id}", messagePage},
		{mail, "Destinations that do not answer", Path + "closed", list("Destinations that do not answer", "Their mail waits together, and is tried again by itself.", "queue closed",
			func(ctx context.Context, h *Handler, _ url.Values) ([]listing.Closed, error) {
				all, err := h.Rooms.Desk.Closed(ctx, 1000)
				return listing.ClosedContacts(all), err
			}, listing.ClosedListing())},
		{mail, "Hold rules", Path + "holds", list("Hold rules", "Mail that meets one waits until somebody lets it go.", "hold list",
			func(ctx context.Context, h *Handler, _ url.Values) ([]holds.Rule, error) {
				return h.Rooms.Holds.List(ctx)
			}, holds.Listing())},
		{mail, "Suppressed recipients", Path + "suppression", list("Suppressed recipients", "An account sends no more mail to them.", "suppression list",
			func(ctx context.Context, h *Handler, _ url.Values) ([]suppression.Entry, error) {
				return h.Rooms.Suppression.List(ctx, "", suppression.Entry{}, 1000)
			}, suppression.Listing())},
	}
}

// ofReports are those about TLS and DMARC reports, both ways.
func ofReports() []place {
	return []place{
		{reports, "TLS reports about us", Path + "tlsrpt", tlsReports},
		{reports, "", Path + "tlsrpt/{id}", tlsReport},
		{reports, "TLS sessions seen", Path + "tlsrpt-results", daily("TLS sessions seen today", "What the next report to each domain will say.", "tlsrpt results",
			func(ctx context.Context, h *Handler, day time.Time) ([]tlsresult.Row, error) {
				return h.Rooms.TLSReport.Results(ctx, day, "")
			}, tlsresult.Listing())},
		{reports, "TLS reports sent", Path + "tlsrpt-sent", list("TLS reports sent", "", "tlsrpt sent",
			func(ctx context.Context, h *Handler, _ url.Values) ([]outbox.Sent, error) {
				return h.Rooms.TLSReport.Sent(ctx, outbox.Filter{})
			}, tlsreport.Family().SentListing())},
		{reports, "DMARC reports about us", Path + "dmarc", dmarcReports},
		{reports, "", Path + "dmarc/{id}", dmarcReport},
		{reports, "DMARC results seen", Path + "dmarc-results", daily("DMARC results seen today", "What the next report to each domain will say.", "dmarc results",
			func(ctx context.Context, h *Handler, day time.Time) ([]dmarcresult.Row, error) {
				return h.Rooms.DMARCReport.Results(ctx, day, "")
			}, dmarcresult.Listing())},
		{reports, "DMARC reports sent", Path + "dmarc-sent", list("DMARC reports sent", "", "dmarc sent",
			func(ctx context.Context, h *Handler, _ url.Values) ([]outbox.Sent, error) {
				return h.Rooms.DMARCReport.Sent(ctx, outbox.Filter{})
			}, dmarcreport.Family().SentListing())},
		{reports, "Reports beyond the limits", Path + "reports-refused", list("Reports beyond the limits", "Whose TLS reports were more than a day may bring.", "tlsrpt refused",
			func(ctx context.Context, h *Handler, _ url.Values) ([]reportbox.Refused, error) {
				return h.Rooms.TLSIntake.RefusedReports(ctx)
			}, reportbox.RefusedListing())},
	}
}

// ofOurs are those about what we publish.
func ofOurs() []place {
	return []place{
		{ours, "Domains", Path + "domains", list("Domains", "Whose mail is taken here.", "domain list",
			func(ctx context.Context, h *Handler, _ url.Values) ([]account.Domain, error) {
				return h.Rooms.Accounts.Domains(ctx)
			}, account.DomainListing())},
		{ours, "DNS findings", Path + "findings", list("DNS findings", "What the checks that are made twice a day found last.", "dns findings", findings, dnscheck.Listing())},
		{ours, "DKIM keys", Path + "dkim", list("DKIM keys", "", "dkim list",
			func(ctx context.Context, h *Handler, _ url.Values) ([]signing.Row, error) {
				return h.Rooms.Signing.Rows(ctx, dns.Name{})
			}, signing.Listing())},
		{ours, "MTA-STS policies", Path + "mtasts-published", list("MTA-STS policies that we serve", "", "mtasts published",
			func(ctx context.Context, h *Handler, _ url.Values) ([]stspublish.Row, error) {
				return h.Rooms.STSPublish.Rows(ctx)
			}, stspublish.Listing())},
		{ours, "Certificates", Path + "certificates", list("Certificates", "", "cert list",
			func(ctx context.Context, h *Handler, _ url.Values) ([]acme.Row, error) {
				return h.Rooms.Certificates.Rows(ctx)
			}, acme.Listing())},
		{ours, "Host keys", Path + "keys", list("Host keys", "What stage each is in, what it waits for, and its TLSA record.", "cert keys", keys, acme.KeyListing())},
	}
}

// ofOthers are those about what others publish.
func ofOthers() []place {
	return []place{
		{others, "Explain a destination", Path + "explain", explainPage},
		{others, "MTA-STS cache", Path + "mtasts", list("MTA-STS policies of others", "As they are cached here.", "mtasts list",
			func(ctx context.Context, h *Handler, _ url.Values) ([]stspolicy.Row, error) {
				return h.Rooms.STS.Rows(ctx)
			}, stspolicy.Listing())},
		{others, "Failing handshakes", Path + "handshakes", list("Networks whose TLS begins to fail", "Their mail servers could begin TLS with this host, and cannot any more.", "cert handshakes",
			func(ctx context.Context, h *Handler, _ url.Values) ([]handshakes.Row, error) {
				return handshakes.Failing(ctx, h.Rooms.DB)
			}, handshakes.Listing())},
	}
}

// ofPeople are those about accounts and their addresses.
func ofPeople() []place {
	return []place{
		{people, "Accounts", Path + "accounts", accountsPage},
		{people, "", Path + "account/{name}", accountPage},
		{people, "Addresses", Path + "addresses", list("Addresses", "", "address list",
			func(ctx context.Context, h *Handler, _ url.Values) ([]account.Address, error) {
				return h.Rooms.Accounts.Addresses(ctx)
			}, account.AddressListing())},
		{people, "Aliases", Path + "aliases", list("Aliases", "", "alias list",
			func(ctx context.Context, h *Handler, _ url.Values) ([]account.Alias, error) {
				return h.Rooms.Accounts.Aliases(ctx)
			}, account.AliasListing())},
	}
}

// ofRoutes are those about the ways that mail leaves by.
func ofRoutes() []place {
	return []place{
		{theirWay, "Routes", Path + "routes", list("Routes", "They are asked in this order.", "route list",
			func(ctx context.Context, h *Handler, _ url.Values) ([]routes.Row, error) {
				t, err := h.Rooms.Routes.Table(ctx)
				if err != nil {
					return nil, err
				}
				return t.Rows(), nil
			}, routes.RuleListing())},
	}
}

// ofServer are those about the pages themselves.
func ofServer() []place {
	return []place{
		{machine, "Sessions", Path + "sessions", sessionsPage},
		{machine, "What was changed here", Path + "acts", list("What was changed on these pages", "", "",
			func(ctx context.Context, h *Handler, _ url.Values) ([]websession.Act, error) {
				return h.Sessions.Acts(ctx, 1000)
			}, websession.ActListing())},
		{machine, "Style", Path + "style", stylePage},
	}
}

// groups are the pages as they stand in their list.
func groups() (out []pages.Group) {
	for _, p := range places() {
		if p.name == "" {
			continue
		}
		if len(out) == 0 || out[len(out)-1].Name != p.group {
			out = append(out, pages.Group{Name: p.group})
		}
		g := &out[len(out)-1]
		g.Places = append(g.Places, pages.Place{Name: p.name, Path: p.path})
	}
	return out
}

// list is a page of what a command lists.
func list[T any](title, lead, command string, rows func(context.Context, *Handler, url.Values) ([]T, error), l text.List[T]) func(*Handler, *http.Request) (pages.Page, error) {
	return func(h *Handler, r *http.Request) (pages.Page, error) {
		all, err := rows(r.Context(), h, r.URL.Query())
		if err != nil {
			return pages.Page{}, err
		}
		return pages.Page{Title: title, Lead: lead, Command: waxwing(command), Blocks: done(r, []pages.Block{pages.TableOf(l, all, nil)})}, nil
	}
}

// accountsPage lists all; each leads to its own page.
func accountsPage(h *Handler, r *http.Request) (pages.Page, error) {
	all, err := listing.Accounts(r.Context(), h.Rooms.Accounts, h.Rooms.Allowance)
	if err != nil {
		return pages.Page{}, err
	}
	t := pages.TableOf(listing.AccountListing(), all, func(a *listing.Account) string { return Path + "account/" + url.PathEscape(a.Name) })
	return pages.Page{Title: "Accounts", Lead: "Who may log in, and what they sent today.", Command: "waxwing account list", Blocks: []pages.Block{t}}, nil
}

// daily is a page of what a command lists of a UTC day.
func daily[T any](title, lead, command string, rows func(context.Context, *Handler, time.Time) ([]T, error), l text.List[T]) func(*Handler, *http.Request) (pages.Page, error) {
	return list(title, lead, command, func(ctx context.Context, h *Handler, _ url.Values) ([]T, error) { return rows(ctx, h, h.Now()) }, l)
}

// waxwing is a whole command; "" is none.
func waxwing(command string) string {
	if command == "" {
		return ""
	}
	return "waxwing " + command
}

func findings(ctx context.Context, h *Handler, _ url.Values) ([]dnscheck.Row, error) {
	all, err := h.Rooms.Accounts.Domains(ctx)
	if err != nil {
		return nil, err
	}
	var names []dns.Name
	for _, d := range all {
		names = append(names, d.Name)
	}
	return dnscheck.Rows(ctx, h.Rooms.DB, names)
}

// keys are the host's; none where it has no keys of its own.
func keys(ctx context.Context, h *Handler, _ url.Values) ([]acme.KeyRow, error) {
	rows, err := h.Rooms.Certificates.KeyRows(ctx)
	if isNoKeys(err) {
		err = nil
	}
	return rows, err
}

func loginOf(r *http.Request, user string) login.Person {
	return login.Person{From: remote(r), User: user, Password: r.PostFormValue("password")}
}
