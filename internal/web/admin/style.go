package admin

import (
	"net/http"
	"time"

	"waxwing/internal/web/pages"
	"waxwing/webauthn"
)

// stylePage shows every block (WEB-5).
func (h *Handler) stylePage(_ *http.Request) (pages.Page, error) {
	now := h.Now()
	table := pages.Table{Title: "A table", Heads: []pages.Head{{Text: "NAME"}, {Text: "STATE"}, {Text: "WHEN", Rank: 1}}, Rows: [][]pages.Cell{
		{{Text: "went well", Link: Path + "style"}, {Text: "delivered", Tone: pages.Good}, {When: now.Add(-5 * time.Minute)}},
		{{Text: "went wrong", Link: Path + "style"}, {Text: "failed", Tone: pages.Bad}, {When: now.Add(-26 * time.Hour)}},
		{{Text: "goes on"}, {Text: "waiting", Tone: pages.Waits}, {When: now.Add(time.Hour)}},
	}}
	plot := pages.Plot{Title: "A plot", Unit: "sessions", Series: []pages.Series{{Name: "went well", Tone: pages.Good}, {Name: "failed", Tone: pages.Bad}}}
	parts := pages.Plot{Title: "A plot of parts", Unit: "messages", Series: []pages.Series{{Name: "one"}, {Name: "two"}, {Name: "three"}, {Name: "four"}, {Name: "five"}, {Name: "six"}}}
	for day := range 14 {
		label := now.AddDate(0, 0, day-13).Format("01-02")
		plot.Points = append(plot.Points, pages.Point{Label: label, Values: []int64{int64(40 + day*day%17*3), int64(day * 7 % 11)}})
		parts.Points = append(parts.Points, pages.Point{Label: label, Values: []int64{5, int64(day), 3, int64(14 - day), 2, 4}})
	}
	return pages.Page{Title: "Style", Lead: "Every block that the pages of this server are made of, once.", Command: "waxwing help", Blocks: []pages.Block{
		pages.Notice{Tone: pages.Bad, What: "Something is a fault", Cure: "What to do about it stands here."},
		pages.Notice{Tone: pages.Waits, What: "Something will go wrong", Cure: "It can be mended before."},
		pages.Notice{Tone: pages.Good, What: "Something was done"},
		pages.Notice{What: "Something could be better", Cure: "Advice is no fault.", Link: Path + "style"},
		pages.Figures{Items: []pages.Figure{{Name: "of one kind", Value: "12"}, {Name: "of another", Value: "3", Tone: pages.Waits, Link: Path + "style"}, {Name: "bad ones", Value: "1", Tone: pages.Bad}, {Name: "on the disk", Value: "41 GiB"}}},
		pages.Facts{Title: "Facts", Items: []pages.Fact{{Name: "name", Cell: pages.Cell{Text: "value"}}, {Name: "since", Cell: pages.Cell{When: now.Add(-time.Hour)}}, {Name: "verified", Cell: pages.Cell{Text: "by DANE", Tone: pages.Good}}}},
		table, plot, parts,
		pages.Timeline{Title: "A timeline", Events: []pages.Event{
			{When: now.Add(-3 * time.Minute), Title: "Accepted", Tone: pages.Good},
			{When: now.Add(-2 * time.Minute), Title: "An attempt", Tone: pages.Waits, Lines: []pages.Line{{Cell: pages.Cell{Text: "Host mx.example.net, to be verified by dane"}}, {Depth: 1, Cell: pages.Cell{Text: "because it has TLSA records"}}, {Depth: 2, Code: true, Cell: pages.Cell{Text: "451 4.7.1 try again"}}}},
			{When: now, Title: "Another one", Tone: pages.Bad},
		}},
		pages.Form{Title: "A question", Method: "get", Action: Path + "style", Submit: "Ask", Fields: []pages.Field{{Name: "text", Label: "A text", Help: "with help"}, {Name: "choice", Label: "A choice", Kind: "select", Options: []string{"one", "two"}}}},
		pages.Form{Title: "A change", Method: "post", Action: Path + "style-change", Submit: "Change", Fields: []pages.Field{{Name: "first", Label: "One", Value: "wrong", Error: "This is not a number."}, {Name: "second", Label: "Two"}}},
		pages.Form{Title: "A file", Method: "post", Action: Path + "style-file", Submit: "Send", Fields: []pages.Field{{Name: "file", Label: "A file", Kind: "file"}, {Name: "kept", Label: "Keep it", Kind: "check", Value: "yes"}, {Name: "notes", Label: "Several lines", Kind: "area"}}},
		pages.Form{Title: "A form that is folded", Method: "post", Action: Path + "style-folded", Submit: "Go on", Folded: true, Fields: []pages.Field{{Name: "fixed", Label: "Not to be changed", Value: "as it is", Fixed: true}}},
		pages.Passkey{Title: "A passkey", Action: Path + "style-passkey", Submit: "Use a passkey", Options: webauthn.Party{ID: h.Host}.ToGet([]byte("a challenge of no login"), nil)},
		pages.QR{Title: "A QR code", Of: "https://" + h.Host + Path + "style", Says: "A code that leads to this page"},
		pages.Actions{Title: "Acts", Forms: []pages.Form{{Method: "post", Action: Path + "style-one", Submit: "Harmless"}, {Method: "post", Action: Path + "style-two", Submit: "Not to be undone", Danger: true, Sure: "I am sure."}}},
		pages.Text{Title: "Text of a program", Body: "What a program says stands as it is,\n    with its spaces."},
		pages.Prose{Title: "Prose", Body: "A paragraph, with", Link: Path + "style", Says: "a link at its end."},
	}}, nil
}
