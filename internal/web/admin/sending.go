package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"waxwing/internal/dmarcreport"
	"waxwing/internal/outbox"
	"waxwing/internal/text"
	"waxwing/internal/tlsreport"
	"waxwing/internal/web/deeds"
	"waxwing/internal/web/pages"
)

// bothWays are the pages about the reports of one sort that we send.
func (h *Handler) bothWays(f outbox.Family, box *outbox.Box) []deeds.Place {
	name := strings.ToUpper(f.Name[:1]) + f.Name[1:]
	return []deeds.Place{
		{Group: reports, Name: name + "s sent", Path: Path + f.Noun + "-sent", Show: func(r *http.Request) (pages.Page, error) {
			all, err := box.Sent(r.Context(), outbox.Filter{Domain: r.URL.Query().Get("domain")})
			if err != nil {
				return pages.Page{}, err
			}
			send := h.send(f).Form()
			send.Folded = true
			return pages.Page{Title: name + "s sent", Command: "waxwing " + f.Noun + " sent", Blocks: []pages.Block{pages.TableOf(f.SentListing(), all, nil), send}}, nil
		}},
		{Group: reports, Name: name + "s: what became of a day", Path: Path + f.Noun + "-outcomes", Show: func(r *http.Request) (pages.Page, error) {
			return daily(func() time.Time { return h.Now().Add(-24 * time.Hour) }, pages.Page{Title: name + "s: what became of each domain", Lead: "Reported, or why not.", Command: f.Noun + " outcomes"}, box.Outcomes, f.OutcomeListing())(r)
		}},
		{Group: reports, Name: name + "s: addresses left alone", Path: Path + f.Noun + "-suppressed", Show: func(r *http.Request) (pages.Page, error) {
			all, err := box.Suppressions(r.Context())
			if err != nil {
				return pages.Page{}, err
			}
			add, lift := h.suppress(f, box).Form(), h.lift(f, box).Form()
			add.Folded, lift.Folded = true, true
			return pages.Page{Title: name + "s: addresses left alone", Lead: "They have bounced, or somebody has put them here.", Command: "waxwing " + f.Noun + " suppress list",
				Blocks: []pages.Block{pages.TableOf(outbox.SuppressionListing(), all, nil), add, lift}}, nil
		}},
	}
}

// reportDeeds are what can be done about reports.
func (h *Handler) reportDeeds() (all []deeds.Deed) {
	for _, x := range []struct {
		outbox.Family
		box *outbox.Box
	}{{tlsreport.Family(), h.Rooms.TLSReport.Box}, {dmarcreport.Family(), h.Rooms.DMARCReport.Box}} {
		all = append(all, h.send(x.Family), h.suppress(x.Family, x.box), h.lift(x.Family, x.box))
	}
	return all
}

// send makes the run of a day now, or shows what it would send (RPT-13).
func (h *Handler) send(f outbox.Family) deeds.Deed {
	return deeds.Deed{Path: Path + f.Noun + "/send", Title: "Send the reports of a day now", Says: "Go on", Command: f.Noun + " send --day DAY --domain DOMAIN --dry-run --partial",
		Fields: []pages.Field{{Name: "day", Label: "Day (UTC)", Kind: "date", Help: "empty: yesterday"}, {Name: "domain", Label: "Only this domain"},
			{Name: "how", Label: "What to do", Kind: "select", Options: []string{"show what would be sent", "send them"}}, {Name: "partial", Label: "Also of a day that is not over", Kind: "select", Options: []string{"no", "yes"}}},
		Do: func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
			o := outbox.SendOptions{Domain: v.Text("domain"), DryRun: v.Get("how") != "send them", Partial: v.Yes("partial")}
			if s := v.Text("day"); s != "" {
				day, err := time.Parse(time.DateOnly, s)
				if err != nil {
					return deeds.Done{}, fmt.Errorf("%q is no day such as 2027-01-31", s)
				}
				o.Day = day
			}
			d := deeds.Done{Command: deeds.Command(f.Noun+" send", deeds.Flag("day", v.Text("day")), deeds.Flag("domain", o.Domain), map[bool]string{true: "--dry-run"}[o.DryRun], map[bool]string{true: "--partial"}[o.Partial])}
			sum, err := h.Rooms.Desk.SendReports(ctx, f.Noun, o)
			if err != nil {
				return d, err
			}
			d.Outcome = text.Count(len(sum.Made), f.Name) + " of " + sum.Day
			if o.DryRun {
				d.Outcome += ": what would be sent"
			}
			d.Blocks = append(settled(sum), pages.Prose{Link: Path + f.Noun + "-sent", Says: "To the reports that were sent."})
			return d, nil
		}}
}

// settled is what a run came to.
func settled(sum outbox.Summary) []pages.Block {
	t := pages.Table{Heads: []pages.Head{{Text: "DOMAIN"}, {Text: "STATE"}, {Text: "TO"}, {Text: "NOTE"}}, None: "There is nothing to report."}
	out := []pages.Block{}
	for _, m := range sum.Made {
		t.Rows = append(t.Rows, []pages.Cell{{Text: m.PolicyDomain}, {Text: string(m.State)}, {Text: strings.Join(m.RUA, " ")}, {Text: m.Note}})
		if len(m.Text) > 0 && len(out) < maxReportsShown {
			out = append(out, pages.Text{Title: m.PolicyDomain, Body: string(m.Text)})
		}
	}
	return append([]pages.Block{t}, out...)
}

// maxReportsShown is how many reports of a run are shown in full.
const maxReportsShown = 20

func (h *Handler) suppress(f outbox.Family, box *outbox.Box) deeds.Deed {
	return deeds.Deed{Path: Path + f.Noun + "/suppress", Title: "Leave an address alone", Says: "Leave it alone", Command: f.Noun + " suppress add ADDRESS --days N",
		Fields: []pages.Field{{Name: "address", Label: "Report address", Required: true, Help: "a mail address, or https:"}, {Name: "days", Label: "For so many days", Kind: "number", Help: "empty: for ever"}, {Name: "reason", Label: "Why"}},
		Do: func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
			address, until := v.Text("address"), h.Now().AddDate(100, 0, 0)
			if v.Text("days") != "" {
				until = h.Now().AddDate(0, 0, daysIn(v.Text("days")))
			}
			d := deeds.Done{Command: deeds.Command(f.Noun+" suppress add", address, deeds.Flag("days", v.Text("days")), deeds.Flag("reason", v.Text("reason"))), Outcome: address + " gets no reports", Back: Path + f.Noun + "-suppressed"}
			return d, box.Suppress(ctx, address, until, v.Text("reason"))
		}}
}

func (h *Handler) lift(f outbox.Family, box *outbox.Box) deeds.Deed {
	return deeds.Deed{Path: Path + f.Noun + "/lift", Title: "Send to an address again", Says: "Send again", Command: f.Noun + " suppress remove ADDRESS", Fields: []pages.Field{{Name: "address", Label: "Report address", Required: true}},
		Do: func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
			address := v.Text("address")
			there, err := box.Lift(ctx, address)
			if err == nil && !there {
				err = errors.New(address + " is not left alone: it is not in the list")
			}
			return deeds.Done{Command: deeds.Command(f.Noun+" suppress remove", address), Outcome: address + " gets reports again", Back: Path + f.Noun + "-suppressed"}, err
		}}
}
