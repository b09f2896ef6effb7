package account

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"waxwing/internal/ruleform"
	"waxwing/internal/scripts"
	"waxwing/internal/web/pages"
)

// kept is what sorts an account's mail now.
type kept struct {
	form  ruleform.Form
	ours  bool   // the form is that of the script that is there, or there is none
	other string // name of another script that is the active one; "": none is
}

func (h *Handler) rules(a *asked) (k kept, err error) {
	all, err := h.Rooms.Scripts.List(a.Context(), a.who())
	if err != nil {
		return k, err
	}
	k.ours = true
	for _, s := range all {
		if s.Active && s.Name != ruleform.Name {
			k.other = s.Name
		}
		if s.Name != ruleform.Name {
			continue
		}
		text, err := h.Rooms.Scripts.Get(a.Context(), a.who(), s.Name)
		if err != nil {
			return k, err
		}
		k.form, k.ours = ruleform.Read(text)
	}
	return k, nil
}

// The acts on rules, by the path that their forms are sent to.
const (
	addRule    = "add"
	dropRule   = "drop"
	raiseRule  = "raise"
	setForward = "forward"
	setAnswer  = "vacation"
)

func rulesPage(h *Handler, a *asked) (pages.Page, error) {
	k, err := h.rules(a)
	if err != nil {
		return pages.Page{}, err
	}
	p := pages.Page{Title: "Rules and vacation", Lead: "What is done with your mail when it comes. The first rule that fits is obeyed; all other mail is answered and forwarded as it says below.",
		Command: waxwing("sieve get", a.who(), ruleform.Name)}
	switch {
	case !k.ours:
		p.Blocks = append(p.Blocks, pages.Notice{Tone: pages.Waits, What: "The script " + ruleform.Name + " was changed by hand: this page cannot read it.", Cure: "What you save here takes its place."})
	case k.other != "":
		p.Blocks = append(p.Blocks, pages.Notice{Tone: pages.Waits, What: "Your mail is sorted by the script " + k.other + ", which was not made here.", Cure: "What you save here takes its place; that script stays, and sorts no more."})
	}
	replaces := k.replaces()
	form := func(do string, f pages.Form, fields ...pages.Field) pages.Form {
		f.Method, f.Action, f.Fields = "post", Path+"rules/"+do, fields
		if replaces {
			f.Sure = "Let these rules take the place of that script."
		}
		return f
	}
	t := pages.Table{Title: "Rules", None: "There are none.", Heads: []pages.Head{{Text: "#"}, {Text: "WHERE"}, {Text: "HAS"}, {Text: "WHAT IS DONE"}}}
	acts := pages.Actions{}
	for i, r := range k.form.Rules {
		t.Rows = append(t.Rows, []pages.Cell{{Text: fmt.Sprint(i + 1)}, {Text: string(r.Where)}, {Text: r.Has}, {Text: strings.TrimSpace(string(r.Do) + " " + r.To)}})
		n := pages.Field{Name: "rule", Kind: "hidden", Value: fmt.Sprint(i + 1)}
		if i > 0 {
			acts.Forms = append(acts.Forms, form(raiseRule, pages.Form{Submit: fmt.Sprintf("Put %d before %d", i+1, i)}, n))
		}
		acts.Forms = append(acts.Forms, form(dropRule, pages.Form{Submit: fmt.Sprintf("Remove %d", i+1), Danger: true}, n))
	}
	p.Blocks = append(p.Blocks, t)
	if len(acts.Forms) > 0 {
		p.Blocks = append(p.Blocks, acts)
	}
	v := k.form.Vacation
	days := fmt.Sprint(max(v.Days, 1))
	if v.Days == 0 {
		days = "7"
	}
	p.Blocks = append(p.Blocks,
		form(addRule, pages.Form{Title: "A new rule", Submit: "Add the rule"},
			pages.Field{Name: "where", Label: "Where", Kind: "select", Options: words(ruleform.Wheres())},
			pages.Field{Name: "has", Label: "Has this text", Required: true},
			pages.Field{Name: "act", Label: "What is done", Kind: "select", Options: words(ruleform.Dos())},
			pages.Field{Name: "to", Label: "Mailbox or address", Help: "to move or forward to"}),
		form(setForward, pages.Form{Title: "Forwarding", Submit: "Save"},
			pages.Field{Name: "to", Label: "Addresses", Help: "one a line; none: mail is not forwarded", Kind: "area", Value: strings.Join(k.form.Forward.To, "\n")},
			pages.Field{Name: "keep", Label: "Keep a copy here", Kind: "check", Value: yes(k.form.Forward.Keep)}),
		form(setAnswer, pages.Form{Title: "Vacation", Submit: "Save"},
			pages.Field{Name: "on", Label: "Answer who writes to me", Kind: "check", Value: yes(v.On)},
			pages.Field{Name: "subject", Label: "Subject", Help: "empty: that of the message, with \"Auto:\"", Value: v.Subject},
			pages.Field{Name: "text", Label: "Text", Kind: "area", Value: v.Text},
			pages.Field{Name: "from", Label: "From", Help: "the first day; empty: at once", Kind: "date", Value: v.From},
			pages.Field{Name: "until", Label: "Until", Help: "the last day; empty: until you switch it off", Kind: "date", Value: v.Until},
			pages.Field{Name: "days", Label: "Answer one sender every so many days", Kind: "number", Value: days, Required: true}))
	return p, nil
}

// replaces reports that what is saved takes the place of something that was not made on the page.
func (k kept) replaces() bool { return k.other != "" || !k.ours }

func words[T ~string](all []T) (out []string) {
	for _, w := range all {
		out = append(out, string(w))
	}
	return out
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return ""
}

// rulesAct changes one thing of the form.
func rulesAct(do string) func(*Handler, *asked) (act, error) {
	return func(h *Handler, a *asked) (act, error) { return h.saveRules(a, do) }
}

// saveRules has the script that the changed form comes to sort the account's mail.
func (h *Handler) saveRules(a *asked, do string) (act, error) {
	k, err := h.rules(a)
	if err != nil {
		return act{}, err
	}
	if k.replaces() && a.PostFormValue("sure") != "yes" {
		return act{}, faultOf("tick the box: the script that sorts your mail was not made on this page")
	}
	outcome, err := change(&k.form, do, a)
	if err == nil {
		err = k.form.Check()
	}
	if err != nil {
		return act{}, fault{err}
	}
	ctx, who := a.Context(), a.who()
	err = h.Rooms.Scripts.Put(ctx, who, ruleform.Name, k.form.Script())
	if err == nil {
		err = h.Rooms.Scripts.Activate(ctx, who, ruleform.Name)
	}
	if errors.Is(err, scripts.ErrTooMany) || errors.Is(err, scripts.ErrTooLarge) {
		return act{}, fault{err}
	}
	return act{Command: waxwing("sieve put", who, ruleform.Name, "FILE"), Outcome: outcome, Back: Path + "rules"}, err
}

// change does to a form what was asked for.
func change(f *ruleform.Form, do string, a *asked) (outcome string, err error) {
	value := func(name string) string { return strings.TrimSpace(a.PostFormValue(name)) }
	n, _ := strconv.Atoi(value("rule"))
	there := n >= 1 && n <= len(f.Rules)
	switch do {
	case addRule:
		f.Rules = append(f.Rules, ruleform.Rule{Where: ruleform.Where(value("where")), Has: value("has"), Do: ruleform.Do(value("act")), To: value("to")})
		return "the rule was added", nil
	case dropRule:
		if !there {
			return "", errors.New("there is no such rule")
		}
		f.Rules = slices.Delete(f.Rules, n-1, n)
		return "the rule was removed", nil
	case raiseRule:
		if !there || n < 2 {
			return "", errors.New("there is no rule before that one")
		}
		f.Rules[n-1], f.Rules[n-2] = f.Rules[n-2], f.Rules[n-1]
		return "the rules were put into another order", nil
	case setForward:
		f.Forward = ruleform.Forward{To: strings.Fields(value("to")), Keep: value("keep") == "yes"}
		return "the forwarding was saved", nil
	case setAnswer:
		days, _ := strconv.Atoi(value("days"))
		f.Vacation = ruleform.Vacation{On: value("on") == "yes", Subject: value("subject"), Text: strings.ReplaceAll(value("text"), "\r\n", "\n"), From: value("from"), Until: value("until"), Days: days}
		return "the vacation was saved", nil
	}
	return "", errors.New("there is nothing that the form does")
}
