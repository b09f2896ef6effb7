package admin

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"waxwing/internal/trends"
	"waxwing/internal/web/pages"
)

// trendsPage draws how the server has done (ADM-3): by hour over two days, or by day over a month.
func (h *Handler) trendsPage(r *http.Request) (pages.Page, error) {
	byDay := r.URL.Query().Get("over") == aMonth
	since, over := h.Now().Add(-48*time.Hour), twoDays
	if byDay {
		since, over = h.Now().AddDate(0, 0, -31), aMonth
	}
	all, err := h.Rooms.Trends.Points(r.Context(), since)
	if err != nil {
		return pages.Page{}, err
	}
	p := pages.Page{Title: "How it goes", Lead: "What happened, and how much waited, over time (UTC).", Command: "waxwing status"}
	p.Blocks = []pages.Block{pages.Form{Method: "get", Action: Path + "trends", Submit: "Show", Fields: []pages.Field{{Name: "over", Label: "Over", Kind: "select", Options: []string{twoDays, aMonth}, Value: over}}}}
	for _, d := range drawn() {
		p.Blocks = append(p.Blocks, d.plot(all, byDay))
	}
	return p, nil
}

const (
	twoDays = "two days, by hour"
	aMonth  = "a month, by day"
)

// drawing is one plot of the page.
type drawing struct {
	kind        trends.Kind
	title, unit string
	names       []string // of its parts, in their order; others follow
	tones       map[string]pages.Tone
	per         int64 // of what is kept, that one of the unit is
}

func drawn() []drawing {
	return []drawing{
		{trends.Sessions, "Sessions by verification", "sessions", trends.Verifications(), map[string]pages.Tone{"failed": pages.Bad}, 1},
		{trends.Failures, "TLS failures by type", "sessions", nil, nil, 1},
		{trends.Latency, "Time to delivery", "recipients", trends.Spans(), nil, 1},
		{trends.Queue, "Queue", "recipients", []string{"waiting", "under way", "held"}, nil, 1},
		{trends.Age, "Age of what waits longest", "minutes", nil, nil, 60},
		{trends.Disk, "Disk", "MiB", []string{"used by the store", "free"}, nil, 1 << 20},
	}
}

// plot draws what is of its kind. Days have the sum of their hours, or the most of them.
func (d drawing) plot(all []trends.Point, byDay bool) pages.Plot {
	p := pages.Plot{Title: d.title, Unit: d.unit, None: "Nothing was noted yet."}
	values, seen := map[time.Time]map[string]int64{}, map[string]bool{}
	for _, x := range all {
		if x.Kind != d.kind {
			continue
		}
		at := x.Hour.UTC()
		if byDay {
			at = at.Truncate(24 * time.Hour)
		}
		if values[at] == nil {
			values[at] = map[string]int64{}
		}
		v := values[at][x.Name]
		if d.kind.IsSum() {
			v += x.N
		} else {
			v = max(v, x.N)
		}
		values[at][x.Name], seen[x.Name] = v, true
	}
	names := slices.DeleteFunc(slices.Clone(d.names), func(n string) bool { return !seen[n] })
	for _, n := range sortedKeys(seen) {
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	for _, n := range names {
		p.Series = append(p.Series, pages.Series{Name: n, Tone: d.tones[n]})
	}
	times := make([]time.Time, 0, len(values))
	for at := range values {
		times = append(times, at)
	}
	slices.SortFunc(times, func(a, b time.Time) int { return cmp.Compare(a.Unix(), b.Unix()) })
	layout := map[bool]string{true: "01-02", false: "02. 15:04"}[byDay]
	for _, at := range times {
		x := pages.Point{Label: at.Format(layout)}
		for _, n := range names {
			x.Values = append(x.Values, values[at][n]/d.per)
		}
		p.Points = append(p.Points, x)
	}
	return p
}
