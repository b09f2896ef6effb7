package admin

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"waxwing/dns"
	"waxwing/internal/posture"
	"waxwing/internal/text"
	"waxwing/internal/tlsresult"
	"waxwing/internal/web/deeds"
	"waxwing/internal/web/pages"
	"waxwing/tlsrpt"
)

// securityPage lists the domains that mail goes to, with what deliveries have shown of each (ADM-2).
func (h *Handler) securityPage(r *http.Request) (pages.Page, error) {
	p := pages.Page{Title: "Delivery security", Lead: "What deliveries have shown of the domains that mail goes to, those of the last mail first.", Command: "waxwing tlsrpt destinations"}
	find := pages.Form{Method: "get", Action: Path + "security", Submit: "Show", Fields: []pages.Field{{Name: "domain", Label: "Domain", Kind: "search", Value: r.URL.Query().Get("domain")}}}
	all, err := h.Rooms.Posture.Newest(r.Context(), r.URL.Query().Get("domain"), 200)
	if err != nil {
		return p, err
	}
	t := pages.TableOf(posture.Listing(), all, func(x *posture.Destination) string { return Path + "security/" + url.PathEscape(x.Domain) })
	t.None = "No mail has gone there within the last half year."
	p.Blocks = []pages.Block{find, t}
	return p, nil
}

// destinationPage is one domain that mail goes to: what was found and used, day by day.
func (h *Handler) destinationPage(r *http.Request) (pages.Page, error) {
	name, err := dns.ParseName(r.PathValue("domain"))
	if err != nil {
		return pages.Page{}, deeds.ErrMissing
	}
	facts, err := h.Rooms.Posture.Domain(r.Context(), name)
	if err != nil {
		return pages.Page{}, err
	}
	if !facts.Known() {
		return pages.Page{}, deeds.ErrMissing
	}
	plot, rows, err := h.usedOf(r.Context(), name)
	if err != nil {
		return pages.Page{}, err
	}
	seen := pages.Facts{Title: "What deliveries have shown"}
	for _, f := range facts.Named() {
		cell := pages.Cell{Text: "not seen yet"}
		if f.Word != posture.Unknown {
			cell = pages.Cell{Text: string(f.Word), When: f.At, Tone: map[posture.Word]pages.Tone{posture.Yes: pages.Good, "enforce": pages.Good, posture.Broken: pages.Bad, posture.Partly: pages.Waits}[f.Word]}
		}
		seen.Items = append(seen.Items, pages.Fact{Name: f.Name, Cell: cell})
	}
	today := pages.TableOf(tlsresult.Listing(), rows, nil)
	today.Title, today.None = "What was used today", "No mail has gone there today."
	return pages.Page{Title: "Delivery security of " + name.Unicode(), Command: "waxwing tlsrpt results --domain " + text.ShellWord(name.ASCII()), Blocks: []pages.Block{seen, plot, today,
		pages.Prose{Body: "What would happen to a mail now:", Link: Path + "explain?to=" + url.QueryEscape(name.ASCII()), Says: "explain " + name.Unicode()}}}, nil
}

// usedOf is how the sessions of a month went, by the policy that they were under, and the rows of today.
func (h *Handler) usedOf(ctx context.Context, name dns.Name) (pages.Plot, []tlsresult.Row, error) {
	kinds := []tlsrpt.PolicyType{tlsrpt.PolicyTLSA, tlsrpt.PolicySTS, tlsrpt.PolicyNone}
	p := pages.Plot{Title: "Sessions by the policy that was found", Unit: "sessions", None: "No sessions were counted within the last month.",
		Series: []pages.Series{{Name: "DANE"}, {Name: "MTA-STS"}, {Name: "no policy"}, {Name: "failed", Tone: pages.Bad}}}
	var rows []tlsresult.Row
	for back := monthOfDays; back >= 0; back-- {
		day := h.Now().UTC().Add(-time.Duration(back) * 24 * time.Hour)
		var err error
		if rows, err = h.Rooms.TLSReport.Results(ctx, day, name.ASCII()); err != nil {
			return p, nil, err
		}
		if len(rows) == 0 {
			continue
		}
		x := pages.Point{Label: text.Day(day)[5:], Values: make([]int64, len(p.Series))}
		for _, r := range rows {
			for i, k := range kinds {
				if r.Type == k {
					x.Values[i] += r.OK
				}
			}
			x.Values[len(kinds)] += r.Failed
		}
		p.Points = append(p.Points, x)
	}
	return p, rows, nil
}

// monthOfDays is how far back is looked.
const monthOfDays = 30
