package ruleform

import (
	"reflect"
	"strings"
	"testing"

	"waxwing/sieve"
)

func whole() Form {
	f := Form{Forward: Forward{To: []string{"a@example.net", "b@example.net"}},
		Vacation: Vacation{On: true, Subject: `Away "now" \o/`, Text: "I am away.\nLine \"two\" # no comment\n.\n", From: "2027-01-31", Until: "2027-02-07", Days: 7}}
	for _, w := range Wheres() {
		for _, d := range Dos() {
			r := Rule{Where: w, Has: `"; discard; # ` + string(w) + ` \ é`, Do: d}
			switch d {
			case Move:
				r.To = `Lists/"odd" \ é`
			case Resend:
				r.To = "c@example.net"
			}
			f.Rules = append(f.Rules, r)
		}
	}
	return f
}

// SIV-2: every form is a script that compiles, and is read back as it was; a script that was changed is not.
func TestForm(t *testing.T) {
	t.Parallel()
	for _, f := range []Form{{}, whole(), {Forward: Forward{To: []string{"a@example.net"}, Keep: true}}, {Vacation: Vacation{On: true, Text: "x", Days: 1}}, {Vacation: Vacation{Text: "for the next time", Days: 3}}} {
		if err := f.Check(); err != nil {
			t.Fatal(err)
		}
		s := f.Script()
		if _, err := sieve.Compile(s); err != nil {
			t.Errorf("%v\n%s", err, s)
		}
		got, ok := Read(s)
		if !ok || !reflect.DeepEqual(f, got) {
			t.Errorf("%t, %+v", ok, got)
		}
		for _, changed := range []string{s + " ", strings.TrimSuffix(s, "\n"), s[1:], strings.Replace(s, `"copy"`, `"copy" `, 1), strings.ReplaceAll(s, "\r\n", "\n"), ""} {
			if _, ok := Read(changed); ok {
				t.Errorf("read although it was changed:\n%s", changed)
			}
		}
	}
}

// What a form may not say is refused, so that no script gets more than the form has.
func TestCheck(t *testing.T) {
	t.Parallel()
	rule := func(r Rule) Form { return Form{Rules: []Rule{r}} }
	long := strings.Repeat("x", maxLine+1)
	for name, f := range map[string]Form{
		"no part":         rule(Rule{Where: "body", Has: "x", Do: Discard}),
		"no act":          rule(Rule{Where: From, Has: "x", Do: "reject"}),
		"no text":         rule(Rule{Where: From, Do: Discard}),
		"two lines":       rule(Rule{Where: From, Has: "a\nb", Do: Discard}),
		"a long text":     rule(Rule{Where: From, Has: long, Do: Discard}),
		"no UTF-8":        rule(Rule{Where: From, Has: "\xff", Do: Discard}),
		"no mailbox":      rule(Rule{Where: From, Has: "x", Do: Move}),
		"no address":      rule(Rule{Where: From, Has: "x", Do: Resend, To: "nobody"}),
		"leads somewhere": rule(Rule{Where: From, Has: "x", Do: Discard, To: "INBOX"}),
		"many rules":      {Rules: make([]Rule, MaxRules+1)},
		"many addresses":  {Forward: Forward{To: make([]string, MaxForward+1)}},
		"odd address":     {Forward: Forward{To: []string{"a@b\r\nc"}}},
		"no day":          {Vacation: Vacation{From: "tomorrow"}},
		"backwards":       {Vacation: Vacation{From: "2027-02-01", Until: "2027-01-31"}},
		"no answer":       {Vacation: Vacation{On: true, Text: " \n", Days: 7}},
		"a long answer":   {Vacation: Vacation{Text: strings.Repeat("x", maxText+1)}},
		"NUL":             {Vacation: Vacation{Text: "\x00"}},
		"subject":         {Vacation: Vacation{Subject: "a\nb"}},
		"too often":       {Vacation: Vacation{On: true, Text: "x"}},
		"too seldom":      {Vacation: Vacation{On: true, Text: "x", Days: maxDays + 1}},
	} {
		if err := f.Check(); err == nil {
			t.Errorf("%s: %+v is taken", name, f)
		}
	}
}

// FuzzForm: what somebody types into the form never becomes more than it: the script compiles, and says the form again.
func FuzzForm(f *testing.F) {
	f.Add("from", "x", "move", "Lists", "a@example.net", "away", "text\n.", "2027-01-31", 7)
	f.Add("subject", "\"]; discard; #", "forward", "b@example.net", "", "\\", "\"\r\nstop;\r\n", "", 1)
	f.Fuzz(func(t *testing.T, where, has, do, to, forward, subject, text, day string, days int) {
		form := Form{Rules: []Rule{{Where(where), has, Do(do), to}}, Vacation: Vacation{On: true, Subject: subject, Text: text, From: day, Days: days}}
		if forward != "" {
			form.Forward.To = []string{forward}
		}
		if form.Check() != nil {
			return
		}
		s := form.Script()
		if _, err := sieve.Compile(s); err != nil {
			t.Fatalf("%v\n%s", err, s)
		}
		if got, ok := Read(s); !ok || !reflect.DeepEqual(form, got) {
			t.Fatalf("%t, %+v", ok, got)
		}
	})
}

// FuzzRead: no script that others wrote ends in a panic, and what is read is what it says.
func FuzzRead(f *testing.F) {
	f.Add(whole().Script())
	f.Add(intro + mark + "{}\r\n")
	f.Fuzz(func(t *testing.T, s string) {
		if form, ok := Read(s); ok && (form.Check() != nil || form.Script() != s) {
			t.Errorf("%+v", form)
		}
	})
}
