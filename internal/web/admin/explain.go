package admin

import (
	"bytes"
	"cmp"
	"net/http"
	"strings"

	"waxwing/internal/delivery"
	"waxwing/internal/explain"
	"waxwing/internal/text"
	"waxwing/internal/web/pages"
)

// explainPage says what would happen to a mail, and why.
func (h *Handler) explainPage(r *http.Request) (pages.Page, error) {
	q := r.URL.Query()
	x := explain.Asked{NeedText: cmp.Or(q.Get("need"), delivery.FollowPolicy.String())}
	x.Connect = q.Get("connect") == "connect"
	what := strings.TrimSpace(q.Get("to"))
	p := pages.Page{Title: "Explain a destination", Lead: "What would happen to a mail to somebody, over which transport security, and why.", Command: "waxwing explain ADDRESS"}
	p.Blocks = []pages.Block{pages.Form{Method: "get", Action: Path + "explain", Submit: "Explain", Fields: []pages.Field{
		{Name: "to", Label: "Address or domain", Value: what, Required: true},
		{Name: "need", Label: "The sender wants of TLS", Kind: "select", Options: []string{delivery.FollowPolicy.String(), delivery.RequireTLS.String(), delivery.TLSOptional.String()}, Value: x.NeedText},
		{Name: "connect", Label: "Look at the hosts", Kind: "select", Options: []string{"ask DNS alone", "connect"}, Value: q.Get("connect")},
	}}}
	if what == "" {
		return p, nil
	}
	p.Command = "waxwing explain " + text.ShellWord(what)
	if x.Connect {
		p.Command += " --connect"
	}
	if err := x.Read(what); err != nil {
		p.Blocks = append(p.Blocks, pages.Notice{Tone: pages.Bad, What: err.Error()})
		return p, nil
	}
	hosted, err := explain.AskHosted(r.Context(), h.Rooms.Accounts, x.Domain, x.Local, x.Text)
	if err != nil {
		return p, err
	}
	if hosted.Hosted {
		p.Blocks = append(p.Blocks, pages.Notice{What: hosted.Summary})
		return p, nil
	}
	e, err := h.Rooms.Explainer.Asked(r.Context(), h.Rooms.Accounts, &x)
	if err != nil {
		return p, err
	}
	p.Blocks = append(p.Blocks, explained(e)...)
	return p, nil
}

// explained is an explanation: the answer first, what to do, and what it rests on.
func explained(e explain.Explanation) (out []pages.Block) {
	tone := pages.Good
	if e.Stop != nil {
		tone = pages.Bad
	}
	out = append(out, pages.Notice{Tone: tone, What: e.Summary, Cure: e.Outcome})
	for _, a := range e.Advice {
		kind := "Advice"
		if a.Fault {
			kind = "Fault"
		}
		if a.For != "" {
			kind += ", for who runs " + a.For
		}
		out = append(out, pages.Notice{Tone: toneOfAdvice(a.Fault), What: kind, Cure: a.Text})
	}
	hosts := pages.Timeline{Title: "Hosts, in the order in which they would be tried"}
	for _, x := range e.Hosts {
		ev := pages.Event{Title: x.Name, Tone: pages.Good}
		for _, b := range x.Basis {
			ev.Lines = append(ev.Lines, pages.Line{Cell: pages.Cell{Text: b.Line()}})
		}
		if x.Skip != nil {
			ev.Tone = pages.Bad
			ev.Lines = append(ev.Lines, pages.Line{Cell: pages.Cell{Text: "not used: " + x.Skip.Line(), Tone: pages.Bad}})
		}
		hosts.Events = append(hosts.Events, ev)
	}
	if len(hosts.Events) > 0 {
		out = append(out, hosts)
	}
	var b bytes.Buffer
	e.Print(&b)
	return append(out, pages.Text{Title: "All that was found", Body: b.String()})
}
