package admin

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"waxwing/internal/health"
	"waxwing/internal/text"
	"waxwing/internal/web/deeds"
	"waxwing/internal/web/pages"
)

// overview says whether all is well, and what needs a hand first (ADM-2).
func (h *Handler) overview(r *http.Request) (pages.Page, error) {
	s := h.Rooms.Status(r.Context())
	p := pages.Page{Title: "All is well", Command: "waxwing status"}
	if !s.Well {
		p.Title = "Not all is well"
	}
	for _, f := range s.Findings {
		tone := map[string]pages.Tone{health.Fault.String(): pages.Bad, health.Warning.String(): pages.Waits}[f.Level]
		p.Blocks = append(p.Blocks, pages.Notice{Tone: tone, What: f.What, Cure: f.Cure})
	}
	figures := pages.Figures{Items: []pages.Figure{
		{Name: "recipients waiting", Value: fmt.Sprint(s.Waiting), Link: Path + "queue?state=waiting"},
		{Name: "under way", Value: fmt.Sprint(s.Leased), Link: Path + "queue?state=leased"},
		{Name: "held", Value: fmt.Sprint(s.Held), Link: Path + "queue?state=held", Tone: toneIf(s.Held > 0, pages.Waits)},
		{Name: "destinations do not answer", Value: fmt.Sprint(s.Closed), Link: Path + "closed", Tone: toneIf(s.Closed > 0, pages.Waits)},
		{Name: "in the store", Value: room(s.Store)},
		{Name: "free on its disk", Value: room(s.DiskFree), Tone: toneIf(s.DiskFree > 0 && s.DiskFree < s.Reserve, pages.Bad)},
	}}
	facts := pages.Facts{Title: "How things stand", Items: []pages.Fact{
		{Name: "oldest in the queue", Cell: orNone(pages.Cell{When: s.Oldest}, "nothing waits")},
		{Name: "last backup", Cell: orNone(pages.Cell{When: s.Backup}, "none yet")},
	}}
	if h.Now().Sub(s.Counted) > time.Second { // a long queue is not counted at each look
		facts.Items = append(facts.Items, pages.Fact{Name: "the queue was counted", Cell: pages.Cell{When: s.Counted}})
	}
	for _, m := range s.Milters {
		c := pages.Cell{Text: "answers", Tone: pages.Good}
		if m.Trouble != "" {
			c = pages.Cell{Text: "does not answer: " + m.Trouble, Tone: pages.Bad}
		}
		facts.Items = append(facts.Items, pages.Fact{Name: "milter " + m.Name, Cell: c})
	}
	for _, c := range s.Certificates() {
		facts.Items = append(facts.Items, pages.Fact{Name: "certificate", Cell: pages.Cell{Text: c.Of + ", until " + text.Day(c.Ends)}})
	}
	p.Blocks = append(p.Blocks, figures, facts, pages.Actions{Title: "Do alerts arrive?", Forms: []pages.Form{h.testAlert().Form()}})
	return p, nil
}

// testAlert tells the operator that this is a test.
func (h *Handler) testAlert() deeds.Deed {
	return deeds.Deed{Path: Path + "alerts/test", Says: "Send a test", Command: "alert test", Do: func(ctx context.Context, _ deeds.Values) (deeds.Done, error) {
		told, err := h.Rooms.Alerts.Test(ctx)
		return deeds.Done{Command: "waxwing alert test", Outcome: "an alert is on its way to " + told, Back: Path}, err
	}}
}

// room is octets as people say how large something is.
func room(n int64) string {
	v, unit := float64(n), 0
	for v >= 1024 && unit < 4 {
		v /= 1024
		unit++
	}
	return fmt.Sprintf("%.3g %s", v, [...]string{"B", "KiB", "MiB", "GiB", "TiB"}[unit])
}

func toneIf(is bool, t pages.Tone) pages.Tone {
	if is {
		return t
	}
	return pages.Plain
}

func orNone(c pages.Cell, none string) pages.Cell {
	if c.When.IsZero() {
		c.Text = none
	}
	return c
}
