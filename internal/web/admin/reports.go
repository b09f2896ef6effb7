package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"waxwing/dmarcrpt"
	"waxwing/internal/delivery"
	dmarcintake "waxwing/internal/dmarcreport/intake"
	"waxwing/internal/outbox"
	"waxwing/internal/reportbox"
	"waxwing/internal/spool"
	"waxwing/internal/text"
	"waxwing/internal/tlsreport/intake"
	"waxwing/internal/web/deeds"
	"waxwing/internal/web/pages"
)

func itoa(n int) string { return strconv.Itoa(n) }

// daysOf is how far back is looked; a month by default.
func daysOf(q url.Values) int {
	n, err := strconv.Atoi(q.Get("days"))
	if err != nil || n < 1 || n > 366 {
		return 31
	}
	return n
}

// daysIn are days that were typed, a year at most where that cannot be read.
func daysIn(s string) int { return daysOf(url.Values{"days": {s}}) }

// overDays asks for a domain and for how many days.
func overDays(path string, q url.Values) pages.Form {
	return pages.Form{Method: "get", Action: path, Submit: "Show", Fields: []pages.Field{
		{Name: "domain", Label: "Domain", Value: q.Get("domain")},
		{Name: "days", Label: "Days back", Value: itoa(daysOf(q)), Kind: "number"},
	}}
}

// tlsReports are what others report of TLS with us: plots, advice, and the reports (RPT-18).
func (h *Handler) tlsReports(r *http.Request) (pages.Page, error) {
	q := r.URL.Query()
	d, err := h.Rooms.TLSIntake.Digest(r.Context(), q.Get("domain"), daysOf(q))
	if err != nil {
		return pages.Page{}, err
	}
	received, err := h.Rooms.TLSIntake.Reports(r.Context(), outbox.Filter{Domain: q.Get("domain"), Limit: 200})
	if err != nil {
		return pages.Page{}, err
	}
	p := pages.Page{Title: "TLS reports about us", Lead: "What the mail servers of others say of their TLS sessions with our hosts, from " + d.From + " to " + d.Until + ".",
		Command: asCommand("tlsrpt summary", q)}
	p.Blocks = []pages.Block{overDays(Path+"tlsrpt", q), sessionPlot(d.Lines), failurePlot(d.Lines)}
	for _, a := range d.Advice {
		p.Blocks = append(p.Blocks, pages.Notice{Tone: toneOfAdvice(a.Urgent), What: a.Domain, Cure: a.Text})
	}
	both, err := h.bothSides(r.Context(), d.Lines)
	if err != nil {
		return pages.Page{}, err
	}
	p.Blocks = append(p.Blocks, failedOf(d.Lines), both)
	t := pages.TableOf(reportbox.Listing(), received, func(x *reportbox.Received) string { return Path + "tlsrpt/" + x.ID.String() })
	t.Title, t.None = "The reports", "Nobody has sent a report yet. Reports come a day late, and only of domains with a TLSRPT record."
	lines := pages.TableOf(intake.LineListing(), d.Lines, nil)
	lines.Title, lines.None = "By day and reporter", "No sessions were reported."
	p.Blocks = append(p.Blocks, lines, t)
	return p, nil
}

func asCommand(verb string, q url.Values) string {
	out := "waxwing " + verb + " --days " + itoa(daysOf(q))
	if d := q.Get("domain"); d != "" {
		out += " --domain " + text.ShellWord(d)
	}
	return out
}

func toneOfAdvice(urgent bool) pages.Tone {
	if urgent {
		return pages.Bad
	}
	return pages.Plain
}

// failedOf is what failed, the most first, with what it means and what cures it.
func failedOf(lines []intake.Line) pages.Table {
	t := pages.Table{Title: "What failed, and what helps", None: "Nothing failed.", Heads: []pages.Head{{Text: "SESSIONS"}, {Text: "TYPE"}, {Text: "HOST"}, {Text: "WHAT IT MEANS"}, {Text: "WHAT HELPS"}}}
	type kind struct{ of, host, meaning, cure string }
	sums := map[kind]int64{}
	for _, l := range lines {
		for _, f := range l.Failures {
			sums[kind{string(f.Type), f.MXHost, f.Meaning, f.Cure}] += f.Sessions
		}
	}
	kinds := slices.SortedFunc(maps.Keys(sums), func(a, b kind) int {
		return cmp.Or(cmp.Compare(sums[b], sums[a]), cmp.Compare(a.of, b.of), cmp.Compare(a.host, b.host))
	})
	for _, k := range kinds[:min(len(kinds), 100)] {
		t.Rows = append(t.Rows, []pages.Cell{{Text: fmt.Sprint(sums[k])}, {Text: k.of, Tone: pages.Bad}, {Text: k.host}, {Text: k.meaning}, {Text: k.cure}})
	}
	return t
}

// maxSides is with how many reporters our own sessions are compared.
const maxSides = 20

// bothSides is what they say of us beside what we see of them (RPT-18): a reporter's sessions with our hosts, and ours with the hosts of its domain, of
// the last days.
func (h *Handler) bothSides(ctx context.Context, lines []intake.Line) (pages.Table, error) {
	t := pages.Table{Title: "What they say of us, and what we see of them", None: "Nobody has sent a report yet.", Heads: []pages.Head{{Text: "REPORTER"}, {Text: "THEY: OK"}, {Text: "THEY: FAILED"}, {Text: "WE, THIS WEEK: OK"}, {Text: "WE, THIS WEEK: FAILED"}}}
	sums := map[string][2]int64{}
	for _, l := range lines {
		s := sums[l.Reporter]
		sums[l.Reporter] = [2]int64{s[0] + l.OK, s[1] + l.Failed}
	}
	names := sortedKeys(sums)
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(sums[b][0]+sums[b][1], sums[a][0]+sums[a][1]) })
	for _, name := range names[:min(len(names), maxSides)] {
		var ok, failed int64
		for back := range 7 {
			rows, err := h.Rooms.TLSReport.Results(ctx, h.Now().Add(-time.Duration(back)*24*time.Hour), name)
			if err != nil {
				return t, err
			}
			for _, r := range rows {
				ok, failed = ok+r.OK, failed+r.Failed
			}
		}
		cell := pages.Cell{Text: name}
		if ok+failed > 0 {
			cell.Link = Path + "security/" + url.PathEscape(name)
		}
		t.Rows = append(t.Rows, []pages.Cell{cell, {Text: fmt.Sprint(sums[name][0])}, count(sums[name][1]), {Text: fmt.Sprint(ok)}, count(failed)})
	}
	return t, nil
}

// count is a number of failures.
func count(n int64) pages.Cell {
	return pages.Cell{Text: fmt.Sprint(n), Tone: toneIf(n > 0, pages.Bad)}
}

// sessionPlot is how many sessions went well and how many failed, by day.
func sessionPlot(lines []intake.Line) pages.Plot {
	p := pages.Plot{Title: "Sessions by day", Unit: "sessions", Series: []pages.Series{{Name: "went well", Tone: pages.Good}, {Name: "failed", Tone: pages.Bad}}, None: "No sessions were reported."}
	sums := map[string][2]int64{}
	for _, l := range lines {
		s := sums[l.Day]
		sums[l.Day] = [2]int64{s[0] + l.OK, s[1] + l.Failed}
	}
	for _, day := range sortedKeys(sums) {
		p.Points = append(p.Points, pages.Point{Label: day[5:], Values: []int64{sums[day][0], sums[day][1]}})
	}
	return p
}

// failurePlot is why sessions failed, by day.
func failurePlot(lines []intake.Line) pages.Plot {
	p := pages.Plot{Title: "Failures by type", Unit: "sessions", None: "No failures were reported."}
	byDay, kinds := map[string]map[string]int64{}, map[string]int64{}
	for _, l := range lines {
		for _, f := range l.Failures {
			if byDay[l.Day] == nil {
				byDay[l.Day] = map[string]int64{}
			}
			byDay[l.Day][string(f.Type)] += f.Sessions
			kinds[string(f.Type)] += f.Sessions
		}
	}
	names := sortedKeys(kinds)
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(kinds[b], kinds[a]) })
	for _, n := range names {
		p.Series = append(p.Series, pages.Series{Name: n})
	}
	for _, day := range sortedKeys(byDay) {
		x := pages.Point{Label: day[5:]}
		for _, n := range names {
			x.Values = append(x.Values, byDay[day][n])
		}
		p.Points = append(p.Points, x)
	}
	return p
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// tlsReport is one report, of others or of ours, as the command shows it.
func (h *Handler) tlsReport(r *http.Request) (pages.Page, error) {
	id, err := delivery.ParseID(r.PathValue("id"))
	if err != nil {
		return pages.Page{}, deeds.ErrMissing
	}
	rep, raw, err := h.Rooms.TLSReport.Show(r.Context(), id)
	if errors.Is(err, outbox.ErrNoReport) {
		rep, raw, err = h.Rooms.TLSIntake.Show(r.Context(), id)
	}
	switch {
	case isNoReport(err):
		return pages.Page{}, deeds.ErrMissing
	case err != nil:
		return pages.Page{}, err
	}
	return reportPage("TLS report "+id.String(), "waxwing tlsrpt show "+id.String(), rep.Text(), raw), nil
}

func reportPage(title, command, says string, raw []byte) pages.Page {
	const most = 256 << 10
	body := string(raw[:min(len(raw), most)])
	if len(raw) > most {
		body += fmt.Sprintf("\n… and %d octets more", len(raw)-most)
	}
	return pages.Page{Title: title, Command: command, Blocks: []pages.Block{pages.Text{Title: "In words", Body: says}, pages.Text{Title: "As it came", Body: body}}}
}

// dmarcReports are what others report of mail in the name of our domains (DMR-3).
func (h *Handler) dmarcReports(r *http.Request) (pages.Page, error) {
	q := r.URL.Query()
	d, err := h.Rooms.DMARCIntake.Digest(r.Context(), q.Get("domain"), daysOf(q))
	if err != nil {
		return pages.Page{}, err
	}
	received, err := h.Rooms.DMARCIntake.Reports(r.Context(), outbox.Filter{Domain: q.Get("domain"), Limit: 200})
	if err != nil {
		return pages.Page{}, err
	}
	p := pages.Page{Title: "DMARC reports about us", Lead: "Who sends mail in the name of our domains, as others saw it, from " + d.From + " to " + d.Until + ".", Command: asCommand("dmarc summary", q)}
	for _, a := range d.Advice {
		p.Blocks = append(p.Blocks, pages.Notice{Tone: toneOfAdvice(a.Urgent), What: a.Domain, Cure: a.Text})
	}
	lines := pages.TableOf(dmarcintake.LineListing(), d.Lines, nil)
	lines.Title, lines.None = "By source", "No mail was reported."
	t := pages.TableOf(reportbox.Listing(), received, func(x *reportbox.Received) string { return Path + "dmarc/" + x.ID.String() })
	t.Title, t.None = "The reports", "Nobody has sent a report yet."
	p.Blocks = append(p.Blocks, overDays(Path+"dmarc", q), lines, t)
	return p, nil
}

// dmarcReport is one report, as the command shows it.
func (h *Handler) dmarcReport(r *http.Request) (pages.Page, error) {
	id, err := delivery.ParseID(r.PathValue("id"))
	if err != nil {
		return pages.Page{}, deeds.ErrMissing
	}
	file, err := h.Rooms.DMARCReport.Body(r.Context(), id)
	if isNoReport(err) {
		file, err = h.Rooms.DMARCIntake.File(r.Context(), id)
	}
	switch {
	case isNoReport(err):
		return pages.Page{}, deeds.ErrMissing
	case err != nil:
		return pages.Page{}, err
	}
	rep, err := dmarcrpt.Read(file)
	if err != nil {
		return pages.Page{}, err
	}
	raw, err := json.MarshalIndent(rep, "", "  ")
	if err != nil {
		return pages.Page{}, err
	}
	return reportPage("DMARC report "+id.String(), "waxwing dmarc show "+id.String(), rep.Text(), raw), nil
}

// isNoReport: there is none with this id, of ours or of others.
func isNoReport(err error) bool {
	return errors.Is(err, outbox.ErrNoReport) || errors.Is(err, reportbox.ErrNoReport)
}

func isMissing(err error) bool { return errors.Is(err, spool.ErrNoSuchMessage) }
