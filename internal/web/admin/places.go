package admin

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"waxwing/internal/dmarcreport"
	"waxwing/internal/dmarcresult"
	"waxwing/internal/handshakes"
	"waxwing/internal/listing"
	"waxwing/internal/outbox"
	"waxwing/internal/reportbox"
	"waxwing/internal/text"
	"waxwing/internal/tlsreport"
	"waxwing/internal/tlsresult"
	"waxwing/internal/web/deeds"
	"waxwing/internal/web/pages"
	"waxwing/internal/websession"
)

// pattern is what requests for a place look like.
func pattern(p deeds.Place) string {
	if strings.HasSuffix(p.Path, "/") {
		return p.Path + "{$}"
	}
	return p.Path
}

// The groups of pages, in the order of their list.
const (
	mail     = "Mail"
	reports  = "Reports"
	ours     = "What we publish"
	others   = "What others publish"
	people   = "People and programs"
	theirWay = "Ways out"
	machine  = "Server"
)

var order = []string{"", mail, reports, ours, others, people, theirWay, machine}

// places are all pages.
func (h *Handler) places() []deeds.Place {
	all := slices.Concat([]deeds.Place{{Name: "Overview", Path: Path, Show: h.overview}}, h.ofMail(), h.ofReports(), h.ofOthers(), h.ofServer())
	for _, s := range h.Rooms.Subjects {
		all = append(all, s.Places...)
	}
	return all
}

// deeds are all forms that change something.
func (h *Handler) deeds() []deeds.Deed {
	all := append([]deeds.Deed{h.actOnQueue(), h.testAlert(), h.setLevel()}, h.reportDeeds()...)
	for _, s := range h.Rooms.Subjects {
		all = append(all, s.Deeds...)
	}
	return all
}

// Commands are all that the forms of the pages do, as commands.
func (h *Handler) Commands() (out []string) {
	for _, v := range verbs() {
		out = append(out, "waxwing queue "+string(v.verb))
	}
	for _, d := range h.deeds() {
		if d.Command != "" {
			out = append(out, "waxwing "+d.Command)
		}
	}
	return out
}

// groups are the pages as they stand in their list.
func groups(all []deeds.Place) (out []pages.Group) {
	for _, name := range order {
		g := pages.Group{Name: name}
		for _, p := range all {
			if p.Group == name && p.Name != "" {
				g.Places = append(g.Places, pages.Place{Name: p.Name, Path: p.Path})
			}
		}
		if len(g.Places) > 0 {
			out = append(out, g)
		}
	}
	return out
}

// ofMail are those about the queue, and what keeps mail in it.
func (h *Handler) ofMail() []deeds.Place {
	return []deeds.Place{
		{Group: mail, Name: "Queue", Path: Path + "queue", Show: h.queuePage},
		{Group: mail, Name: "Trace a message", Path: Path + "trace", Show: h.tracePage},
		{Path: Path + "message/{id}", Under: Path + "queue", Show: h.messagePage},
		{Group: mail, Name: "How it goes", Path: Path + "trends", Show: h.trendsPage},
		{Group: mail, Name: "Destinations that do not answer", Path: Path + "closed", Show: list("Destinations that do not answer", "Their mail waits together, and is tried again by itself.", "queue closed",
			func(ctx context.Context, _ url.Values) ([]listing.Closed, error) {
				all, err := h.Rooms.Desk.Closed(ctx, 1000)
				return listing.ClosedContacts(all), err
			}, listing.ClosedListing())},
	}
}

// ofReports are those about TLS and DMARC reports, both ways.
func (h *Handler) ofReports() []deeds.Place {
	return slices.Concat([]deeds.Place{
		{Group: reports, Name: "TLS reports about us", Path: Path + "tlsrpt", Show: h.tlsReports},
		{Path: Path + "tlsrpt/{id}", Under: Path + "tlsrpt", Show: h.tlsReport},
		{Group: reports, Name: "TLS sessions seen", Path: Path + "tlsrpt-results", Show: daily(h.Now, pages.Page{Title: "TLS sessions seen", Lead: "What the next report to each domain will say.", Command: "tlsrpt results"},
			func(ctx context.Context, day time.Time, domain string) ([]tlsresult.Row, error) {
				return h.Rooms.TLSReport.Results(ctx, day, domain)
			}, tlsresult.Listing())},
	}, h.bothWays(tlsreport.Family(), h.Rooms.TLSReport.Box), []deeds.Place{
		{Group: reports, Name: "DMARC reports about us", Path: Path + "dmarc", Show: h.dmarcReports},
		{Path: Path + "dmarc/{id}", Under: Path + "dmarc", Show: h.dmarcReport},
		{Group: reports, Name: "DMARC results seen", Path: Path + "dmarc-results", Show: daily(h.Now, pages.Page{Title: "DMARC results seen", Lead: "What the next report to each domain will say.", Command: "dmarc results"},
			func(ctx context.Context, day time.Time, domain string) ([]dmarcresult.Row, error) {
				return h.Rooms.DMARCReport.Results(ctx, day, domain)
			}, dmarcresult.Listing())},
	}, h.bothWays(dmarcreport.Family(), h.Rooms.DMARCReport.Box), []deeds.Place{
		{Group: reports, Name: "DMARC failure reports", Path: Path + "dmarc-failures", Show: list("DMARC failure reports", "About single messages in the name of our domains.", "dmarc failures",
			func(ctx context.Context, q url.Values) ([]reportbox.Received, error) {
				return h.Rooms.DMARCIntake.Failures.Reports(ctx, outbox.Filter{Domain: q.Get("domain"), Limit: 200})
			}, reportbox.FailureListing())},
		{Group: reports, Name: "TLS reports beyond the limits", Path: Path + "reports-refused", Show: list("TLS reports beyond the limits", "Whose reports were more than a day may bring.", "tlsrpt refused",
			func(ctx context.Context, _ url.Values) ([]reportbox.Refused, error) {
				return h.Rooms.TLSIntake.RefusedReports(ctx)
			}, reportbox.RefusedListing())},
		{Group: reports, Name: "DMARC reports beyond the limits", Path: Path + "dmarc-refused", Show: list("DMARC reports beyond the limits", "Whose reports were more than a day may bring.", "dmarc refused",
			func(ctx context.Context, _ url.Values) ([]reportbox.Refused, error) {
				return h.Rooms.DMARCIntake.RefusedReports(ctx)
			}, reportbox.RefusedListing())},
	})
}

// ofOthers are those about what others publish.
func (h *Handler) ofOthers() []deeds.Place {
	return []deeds.Place{
		{Group: others, Name: "Explain a destination", Path: Path + "explain", Show: h.explainPage},
		{Group: others, Name: "Delivery security", Path: Path + "security", Show: h.securityPage},
		{Path: Path + "security/{domain}", Under: Path + "security", Show: h.destinationPage},
		{Group: others, Name: "Failing handshakes", Path: Path + "handshakes", Show: list("Networks whose TLS begins to fail", "Their mail servers could begin TLS with this host, and cannot any more.", "cert handshakes",
			func(ctx context.Context, _ url.Values) ([]handshakes.Row, error) {
				return handshakes.Failing(ctx, h.Rooms.DB)
			}, handshakes.Listing())},
	}
}

// ofServer are those about the pages themselves.
func (h *Handler) ofServer() []deeds.Place {
	return []deeds.Place{
		{Group: machine, Name: "Sessions", Path: Path + "sessions", Show: h.sessionsPage},
		{Group: machine, Name: "What was changed here", Path: Path + "acts", Show: list("What was changed on pages", "By whom, from where, with the command that does the same.", "log acts",
			func(ctx context.Context, q url.Values) ([]websession.Act, error) {
				return h.Sessions.Acts(ctx, q.Get("account"), 500)
			}, websession.ActListing())},
		{Group: machine, Name: "Log levels", Path: Path + "log", Show: h.logPage},
		{Group: machine, Name: "Style", Path: Path + "style", Show: h.stylePage},
	}
}

// list is a page of what a command lists.
func list[T any](title, lead, command string, rows func(context.Context, url.Values) ([]T, error), l text.List[T]) func(*http.Request) (pages.Page, error) {
	return func(r *http.Request) (pages.Page, error) {
		all, err := rows(r.Context(), r.URL.Query())
		if err != nil {
			return pages.Page{}, err
		}
		return pages.Page{Title: title, Lead: lead, Command: waxwing(command), Blocks: []pages.Block{pages.TableOf(l, all, nil)}}, nil
	}
}

// daily is a page of what a command lists of a UTC day, today unless another is asked for.
func daily[T any](now func() time.Time, p pages.Page, rows func(context.Context, time.Time, string) ([]T, error), l text.List[T]) func(*http.Request) (pages.Page, error) {
	return func(r *http.Request) (pages.Page, error) {
		q, p := r.URL.Query(), p
		day, wrong := dayOf(q, now())
		all, err := rows(r.Context(), day, q.Get("domain"))
		if err != nil {
			return pages.Page{}, err
		}
		form := pages.Form{Method: "get", Action: r.URL.Path, Submit: "Show", Fields: []pages.Field{{Name: "day", Label: "Day (UTC)", Kind: "date", Value: text.Day(day), Error: wrong}, {Name: "domain", Label: "Domain", Value: q.Get("domain")}}}
		p.Title += " on " + text.Day(day)
		p.Command = deeds.Command(p.Command, deeds.Flag("day", text.Day(day)), deeds.Flag("domain", q.Get("domain")))
		p.Blocks = []pages.Block{form, pages.TableOf(l, all, nil)}
		return p, nil
	}
}

// dayOf is the day that is asked for.
func dayOf(q url.Values, usual time.Time) (day time.Time, wrong string) {
	if q.Get("day") == "" {
		return usual, ""
	}
	day, err := time.Parse(time.DateOnly, q.Get("day"))
	if err != nil {
		return usual, "This is no day such as 2027-01-31."
	}
	return day, ""
}

// waxwing is a whole command; "" is none.
func waxwing(command string) string {
	if command == "" {
		return ""
	}
	return "waxwing " + command
}
