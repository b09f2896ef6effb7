package people

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/internal/accounts"
	"waxwing/internal/correspondents"
	"waxwing/internal/delivery"
	"waxwing/internal/jmapserver/call"
	"waxwing/internal/jmapserver/catalog"
	"waxwing/internal/junk"
	"waxwing/internal/mailboxes"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/structure"
)

var noon = time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)

// Each rule by which people are ranked, and each way in which what is typed fits.
func TestPick(t *testing.T) {
	t.Parallel()
	people := map[string]*person{}
	add := func(p person) {
		name := p.name
		p.name = ""
		p.learn(name)
		people[p.email] = &p
	}
	now := noon.UnixNano()
	day := int64(24 * time.Hour)
	add(person{name: "Jürgen Groß", email: "jg@example.org", writtenAt: noon, last: now})
	add(person{name: "Jo Ann Smith", email: "smith@example.org", sent: 2, last: now - 400*day})
	add(person{name: "Ann Example", email: "ann@example.org", from: true, met: 9, last: now})
	add(person{email: "ann.old@example.net", from: true, met: 9, last: now - 400*day})
	add(person{name: "Ann Beside", email: "beside@example.net", met: 50, last: now})
	add(person{name: "Ann Junk", email: "junk@example.net", writtenAt: noon, junk: true, last: now})
	add(person{name: "王小明", email: "wang@例子.test", from: true, last: now})
	for typed, want := range map[string]string{
		"ann":          "smith@example.org ann@example.org ann.old@example.net beside@example.net", // written to, then from them, then beside
		"ANN e":        "smith@example.org ann@example.org ann.old@example.net beside@example.net", // of address and name alike
		"ANN o":        "smith@example.org ann@example.org ann.old@example.net",
		"jurgen gross": "jg@example.org",
		"groß":         "jg@example.org",
		"smith jo":     "smith@example.org",
		"ann@":         "ann@example.org",
		"example.net":  "ann.old@example.net beside@example.net",
		"王":            "wang@例子.test",
		"例":            "wang@例子.test",
		"nn":           "",
		"!":            "",
		"":             "jg@example.org smith@example.org ann@example.org wang@例子.test ann.old@example.net beside@example.net",
	} {
		var got []string
		for _, p := range pick(people, typed, 10, now) {
			got = append(got, p.email)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %v, want %s", typed, got, want)
		}
	}
	if got := pick(people, "", 2, now); len(got) != 2 {
		t.Errorf("%d people, want 2", len(got))
	}
}

// put stores a mail of an account.
func put(t *testing.T, boxes *mailboxes.Store, box, text string, at time.Time) {
	t.Helper()
	text = strings.ReplaceAll(text, "\n", "\r\n")
	m, err := structure.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	kept, err := m.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := boxes.Append(t.Context(), "you", box, []mailboxes.Appended{{Date: at, Content: delivery.Bytes(text), Structure: kept}}); err != nil {
		t.Fatal(err)
	}
}

// JMP-4, MAIL-4: names come from mail, also from mail that has come since; drafts and junk teach nothing; those whom the account has written
// to stand first, those whom it has marked are left out, and no account hears of another's people.
func TestQuery(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		for _, name := range []string{"you", "eve"} {
			if err := (&accounts.Store{DB: db}).AddAccount(t.Context(), name, "correct horse battery"); err != nil {
				t.Fatal(err)
			}
		}
		now := noon
		clock := func() time.Time { return now }
		boxes := &mailboxes.Store{DB: db, Now: clock}
		if _, err := boxes.Boxes(t.Context(), "you"); err != nil {
			t.Fatal(err)
		}
		r := &Room{Catalog: &catalog.Store{DB: db, Boxes: boxes}, Correspondents: &correspondents.Store{DB: db, Now: clock}, Now: clock}
		ask := func(account, text string) string {
			t.Helper()
			got, fault := r.query(&call.Call{Ctx: t.Context(), Name: account}, call.Args{"accountId": []byte(`"x"`), "text": fmt.Appendf(nil, "%q", text)})
			if fault != nil {
				t.Fatal(fault)
			}
			var out []string
			for _, s := range got.(map[string]any)["list"].([]shown) {
				if s.Name != nil {
					out = append(out, *s.Name)
				}
				out = append(out, s.Email)
			}
			return strings.Join(out, " ")
		}
		put(t, boxes, "INBOX", "From: Ann Example <ann@example.org>\nTo: you@example.test\n\nx\n", noon)
		put(t, boxes, "Sent", "From: you@example.test\nTo: =?utf-8?q?J=C3=BCrgen?= <J@Example.org>\nBcc: secret@example.org\n\nx\n", noon)
		put(t, boxes, "Junk", "From: Jim Junk <jim@junk.test>\n\nx\n", noon)
		put(t, boxes, "Drafts", "To: Jane Draft <jane@example.org>\n\nx\n", noon)
		if got := ask("you", "j"); got != "Jürgen J@Example.org" {
			t.Errorf("j: %s", got)
		}
		if got := ask("you", "ex"); got != "Jürgen J@Example.org secret@example.org Ann Example ann@example.org you@example.test" {
			t.Errorf("ex: %s", got)
		}
		if got := ask("eve", ""); got != "" {
			t.Errorf("eve hears of %s", got)
		}
		put(t, boxes, "INBOX", "From: Jack New <jack@example.org>\n\nx\n", noon)
		err := db.Write(t.Context(), func(tx *store.Tx) error {
			if err := correspondents.Wrote(tx, "you", delivery.Wrote{To: []string{"jo@bücher.test"}}, noon); err != nil {
				return err
			}
			return correspondents.Mark(tx, "you", "j@example.org", junk.MarkedJunk, noon)
		})
		if err != nil {
			t.Fatal(err)
		}
		now = noon.Add(time.Minute)
		if got := ask("you", "j"); got != "jo@bücher.test Jack New jack@example.org" {
			t.Errorf("j, later: %s", got)
		}
		for _, args := range []string{`{"limit": -1}`, `{"text": "` + strings.Repeat("x", maxText+1) + `"}`} {
			var text, limit []byte
			if strings.Contains(args, "limit") {
				limit = []byte("-1")
			} else {
				text = []byte(args[len(`{"text": `) : len(args)-1])
			}
			a := call.Args{"accountId": []byte(`"x"`)}
			if limit != nil {
				a["limit"] = limit
			} else {
				a["text"] = text
			}
			if _, fault := r.query(&call.Call{Ctx: t.Context(), Name: "you"}, a); fault == nil || fault.Type != "invalidArguments" {
				t.Errorf("%.30s: %v", args, fault)
			}
		}
	})
}

// What is kept in memory is bounded, by account and in all.
func TestCircles(t *testing.T) {
	t.Parallel()
	r := &Room{}
	first := r.circle("a0")
	for i := range maxCircles {
		r.circle(fmt.Sprintf("b%d", i))
	}
	if len(r.byName) != maxCircles || len(r.recent) != maxCircles || r.circle("a0") == first {
		t.Errorf("%d accounts are kept", len(r.byName))
	}
	k := &circle{people: map[string]*person{}}
	var many []structure.Address
	for i := range 2 * maxPerMail {
		many = append(many, structure.Address{Mailbox: fmt.Sprintf("n%d", i), Host: "example.org"})
	}
	k.meet(seen{}, &structure.Envelope{From: slices.Clone(many), To: many})
	if len(k.people) != maxPerMail {
		t.Errorf("%d people of one mail", len(k.people))
	}
}
