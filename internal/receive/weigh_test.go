package receive

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/accounts"
	"waxwing/internal/blocklist"
	"waxwing/internal/classifier"
	"waxwing/internal/config"
	"waxwing/internal/correspondents"
	"waxwing/internal/delivery"
	"waxwing/internal/evidence"
	"waxwing/internal/guard"
	"waxwing/internal/junk"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/rejects"
	"waxwing/internal/rspamd"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/smtpserver"
)

// weighing is the door of authenticated with a room that weighs.
func weighing(t *testing.T, q *outbox) (*MX, *evidence.Room) {
	t.Helper()
	db := storetest.Open(t)
	for _, name := range []string{"joe", "ann"} {
		if err := (&accounts.Store{DB: db}).AddAccount(t.Context(), name, "correct horse"); err != nil {
			t.Fatal(err)
		}
	}
	mx, _ := authenticated(t, q, false)
	mx.Junk = &evidence.Room{DB: db, Correspondents: &correspondents.Store{DB: db, Now: func() time.Time { return noon }}, Classifier: &classifier.Store{DB: db, Now: func() time.Time { return noon }},
		Limits: junk.Limits{Junk: 10, Reject: 30}, Hostname: dns.MustParse("mx.here.test")}
	return mx, mx.Junk
}

func weighedAs(t *testing.T, s sent, i int) (d junk.Decision) {
	t.Helper()
	if err := json.Unmarshal([]byte(s.env.Recipients[i].Evidence), &d); err != nil {
		t.Fatal(err)
	}
	if s.env.Recipients[i].Junk != (d.Action != junk.Inbox) {
		t.Errorf("into Junk: %v, and %+v", s.env.Recipients[i].Junk, d)
	}
	return d
}

// JNK-1: an account has heard from a sender once a message was taken; not where a later check has refused it.
func TestHeardOnceTaken(t *testing.T) {
	t.Parallel()
	q := &outbox{}
	mx, room := weighing(t, q)
	refuses := true
	mx.Checks = []Check{{Message: func(context.Context, *Facts) Decision {
		if refuses {
			return refused(refuse(451, 3, 0, "not now"))
		}
		return Decision{}
	}}}
	c := serve(t, mx, nil)
	const mail = "From: x@good.test\r\n\r\nbody"
	c.send("451", "<x@good.test>", "<joe@here.test>", mail)
	c.send("451", "<x@good.test>", "<joe@here.test>", mail)
	refuses = false
	for _, want := range []string{"first-contact", ""} {
		if err := room.Correspondents.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.send("250", "<x@good.test>", "<joe@here.test>", mail)
		if d := weighedAs(t, q.last(t), 0); words(d) != want {
			t.Errorf("%q, want %q", words(d), want)
		}
	}
}

// JNK-4: what is refused for good, as junk or for its author's DMARC policy, is kept for the accounts that want it,
// with the reply and the evidence; what is put off is not.
func TestRejectsKept(t *testing.T) {
	t.Parallel()
	q := &outbox{}
	mx, room := weighing(t, q)
	now := func() time.Time { return noon }
	db := room.Correspondents.DB
	boxes := &mailboxes.Store{DB: db, Now: now}
	mx.Rejects = &rejects.Store{DB: db, Boxes: boxes, Now: now}
	room.Limits = junk.Limits{Junk: 10, Reject: 15}
	for _, err := range []error{
		mx.Rejects.Want(t.Context(), "joe", true),
		db.Write(t.Context(), func(tx *store.Tx) error {
			return correspondents.Mark(tx, "joe", "x@good.test", junk.MarkedJunk, noon)
		}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	c := serve(t, mx, nil)
	c.send("550 5.7.1 this message is refused as junk", "<x@good.test>", "<joe@here.test>", "From: x@good.test\r\nMessage-ID: <1@good.test>\r\n\r\nbody")
	c.send("550 5.7.1", "<x@plain.test>", "<joe@here.test> <ann@here.test>", "From: x@signed.test\r\n\r\nforged")
	c.send("550 5.7.1", "<x@plain.test>", "<ann@here.test>", "From: x@signed.test\r\n\r\nforged, to one who does not care")
	all, err := boxes.List(t.Context(), "joe", mailbox.Rejects, 0)
	if err != nil || len(all) != 2 {
		t.Fatalf("%d kept, want 2: %v", len(all), err)
	}
	if !strings.Contains(all[1].Evidence, "marked-junk") || len(all[1].Facts) == 0 || len(all[0].Facts) == 0 {
		t.Errorf("%+v", all)
	}
	content, _, err := boxes.Open(t.Context(), all[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	from, err := content.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	text, err := io.ReadAll(from)
	for _, want := range []string{"Waxwing-Rejected: 550 5.7.1 ", "\r\nAuthentication-Results: mx.here.test", "\r\nReceived: from ", "\r\n\r\nforged"} {
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%v: no %q in\n%s", err, want, text)
		}
	}
	if other, err := boxes.List(t.Context(), "ann", mailbox.Rejects, 0); err != nil || len(other) != 0 || q.count() != 0 {
		t.Errorf("ann has %d, the queue %d: %v", len(other), q.count(), err)
	}
}

// words are the reasons of a decision, in order.
func words(d junk.Decision) string {
	var all []string
	for _, e := range d.Evidence {
		all = append(all, string(e.Word))
	}
	return strings.Join(all, " ")
}

// JNK-1: each account has its own evidence, in order, and a sender to whom it has written is
// known by the domain that vouches.
func TestWeighed(t *testing.T) {
	t.Parallel()
	q := &outbox{}
	mx, room := weighing(t, q)
	if err := wrote(t, room.Correspondents.DB, "X@good.test"); err != nil {
		t.Fatal(err)
	}
	c := serve(t, mx, nil)
	c.send("250", "<x@good.test>", "<joe@here.test>", "From: x@good.test\r\nWaxwing-Junk: inbox, -99 of 10\r\n\r\nbody")
	if d := weighedAs(t, q.last(t), 0); words(d) != "replied-to" || d.Action != junk.Inbox {
		t.Errorf("%+v", d)
	}
	if strings.Contains(q.last(t).body, junk.FieldName) {
		t.Errorf("a forged field is left:\n%s", q.last(t).body)
	}
	c.send("250", "<x@good.test>", "<ann@here.test>", "From: x@good.test\r\n\r\nbody")
	if d := weighedAs(t, q.last(t), 0); words(d) != "first-contact" {
		t.Errorf("%+v", d)
	}
	c.send("250", "<x@plain.test>", "<joe@here.test>", "From: x@plain.test\r\n\r\nforged, for all we know")
	if d := weighedAs(t, q.last(t), 0); words(d) != "not-authenticated" {
		t.Errorf("%+v", d)
	}
	c.send("250", "<x@plain.test>", "<joe@here.test>", "From: x@aside.test\r\n\r\nquarantined")
	if d := weighedAs(t, q.last(t), 0); d.Action != junk.Junk || words(d) != "not-authenticated dmarc-quarantine" {
		t.Errorf("%+v", d)
	}
}

// public is a backend whose clients come from a public address.
type public struct{ *MX }

func (b public) NewSession(ctx context.Context, c smtpserver.Conn) (smtpserver.Session, error) {
	return b.MX.NewSession(ctx, publicConn{c})
}

type publicConn struct{ smtpserver.Conn }

func (publicConn) Remote() netip.AddrPort { return netip.MustParseAddrPort("8.0.113.1:2525") }

// A blocklist that has the client is evidence.
func TestListed(t *testing.T) {
	t.Parallel()
	q := &outbox{}
	mx, room := weighing(t, q)
	server := dnstest.Serve(t, dnstest.Zone{Name: "list.test", Records: []string{"1.113.0.8 A 127.0.0.2"}})
	room.Lists = &blocklist.Lists{DNS: &dns.Client{Servers: []dns.Server{{Addr: server.Addr(), Trusted: true}}, Timeout: time.Minute},
		Zones: []blocklist.Zone{{Name: dns.MustParse("list.test"), Points: 9}}, Guard: &guard.Guard{}, Now: func() time.Time { return noon }}
	c := serve(t, public{mx}, nil)
	c.send("250", "<x@plain.test>", "<joe@here.test>", "From: x@plain.test\r\n\r\nbody")
	if d := weighedAs(t, q.last(t), 0); d.Action != junk.Junk || !strings.Contains(words(d), "dns-blocklist") {
		t.Errorf("%+v", d)
	}
}

// AUT-3, JNK-1: what one account trusts is in Junk of the others, whatever their evidence says.
func TestWeighedBesideTrust(t *testing.T) {
	t.Parallel()
	q := &outbox{}
	mx, _ := weighing(t, q)
	serve(t, mx, nil).send("250", "<x@anns-list.test>", "<joe@here.test> <ann@here.test>", "From: x@signed.test\r\n\r\nbody")
	got := q.last(t)
	if joe, ann := weighedAs(t, got, 0), weighedAs(t, got, 1); joe.Action != junk.Junk || !strings.HasSuffix(words(joe), "dmarc-reject") || ann.Action != junk.Inbox {
		t.Errorf("%+v, %+v", joe, ann)
	}
}

// JNK-3: what Rspamd says is a fact; where it says nothing, what the operator wants is done.
func TestRspamd(t *testing.T) {
	t.Parallel()
	q := &outbox{}
	mx, room := weighing(t, q)
	said := ""
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("From") != "x@good.test" || r.Header.Get("Rcpt") != "joe@here.test" || r.Header.Get("Queue-Id") == "" {
			t.Errorf("%v", r.Header)
		}
		io.WriteString(w, said)
	}))
	defer web.Close()
	room.Rspamd = rspamd.New(config.Rspamd{URL: web.URL, Timeout: time.Minute, MaxSize: 1 << 20}, "mx.here.test")
	c := serve(t, mx, nil)
	for _, s := range []struct {
		said     string
		silence  config.OnFailure
		greylist bool
		code     string
		words    string
		action   junk.Action
	}{
		{`{"score":7,"required_score":15,"action":"add header"}`, "", false, "250", "first-contact rspamd-score", junk.Junk},
		{`{"score":1,"required_score":15,"action":"greylist"}`, "", false, "250", "rspamd-score", junk.Inbox},
		{`{"score":1,"required_score":15,"action":"greylist"}`, "", true, "451 4.7.1", "", 0},
		{"nonsense", config.AcceptOnFailure, false, "250", "", junk.Inbox},
		{"nonsense", config.JunkOnFailure, false, "250", "filter-silent", junk.Junk},
		{"nonsense", config.DeferOnFailure, false, "451 4.7.1 a filter does not answer", "", 0},
	} {
		said, room.OnSilence, room.Greylist = s.said, s.silence, s.greylist
		before := q.count()
		c.send(s.code, "<x@good.test>", "<joe@here.test>", "From: x@good.test\r\n\r\nbody")
		if s.code != "250" {
			if q.count() != before {
				t.Errorf("%+v: taken", s)
			}
			continue
		}
		if d := weighedAs(t, q.last(t), 0); d.Action != s.action || !strings.Contains(words(d), s.words) {
			t.Errorf("%+v: %+v", s, d)
		}
	}
}

// A message is refused only where all its accounts refuse it; else it goes into Junk of those.
func TestRefusedByAll(t *testing.T) {
	t.Parallel()
	q := &outbox{}
	mx, room := weighing(t, q)
	room.Limits = junk.Limits{Junk: 10, Reject: 15}
	c := serve(t, mx, nil)
	mark := func(account string) {
		err := room.Correspondents.DB.Write(t.Context(), func(tx *store.Tx) error {
			return correspondents.Mark(tx, account, "x@good.test", junk.MarkedJunk, noon)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	mark("joe")
	c.send("550 5.7.1 this message is refused as junk: marked-junk", "<x@good.test>", "<joe@here.test>", "From: x@good.test\r\n\r\nbody")
	if q.count() != 0 {
		t.Error("a refused message was taken")
	}
	c.do("250", "MAIL FROM:<x@good.test>")
	c.do("250", "RCPT TO:<joe@here.test>")
	c.do("250", "RCPT TO:<ann@here.test>")
	c.do("354", "DATA")
	c.do("250", "From: x@good.test\r\n\r\nbody\r\n.")
	got := q.last(t)
	if joe, ann := weighedAs(t, got, 0), weighedAs(t, got, 1); joe.Action != junk.Reject || ann.Action != junk.Inbox {
		t.Errorf("%+v, %+v", joe, ann)
	}
}

// wrote has joe answer a message of somebody.
func wrote(t *testing.T, db *store.Store, to string) error {
	return db.Write(t.Context(), func(tx *store.Tx) error {
		return correspondents.Wrote(tx, "joe", delivery.Wrote{To: []string{to}, Reply: true}, noon)
	})
}

// JNK-1: a message for an alias is decided about for each member by itself. It is refused where all refuse it, and
// kept then for those who want it; who is elsewhere refuses nothing for a history.
func TestWeighedForMembers(t *testing.T) {
	t.Parallel()
	q := &outbox{}
	mx, room := weighing(t, q)
	boxes := &mailboxes.Store{DB: room.DB, Now: func() time.Time { return noon }}
	mx.Rejects = &rejects.Store{DB: room.DB, Boxes: boxes, Now: func() time.Time { return noon }}
	room.Limits = junk.Limits{Junk: 10, Reject: 15}
	mark := func(account string) {
		t.Helper()
		err := room.DB.Write(t.Context(), func(tx *store.Tx) error {
			return correspondents.Mark(tx, account, "x@good.test", junk.MarkedJunk, noon)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	of := func(s sent, account string) (d junk.Decision) {
		t.Helper()
		evidence, aside := junk.OfMember(s.env.Recipients[0].Evidence, account)
		if err := json.Unmarshal([]byte(evidence), &d); err != nil || aside != (d.Action != junk.Inbox) || s.env.Recipients[0].Junk {
			t.Fatalf("%s: %v, %+v", account, err, s.env.Recipients[0])
		}
		return d
	}
	mark("joe")
	if err := mx.Rejects.Want(t.Context(), "ann", true); err != nil {
		t.Fatal(err)
	}
	c := serve(t, mx, nil)
	const mail = "From: x@good.test\r\n\r\nbody"
	c.send("250", "<x@good.test>", "<team@here.test>", mail)
	if got := q.last(t); words(of(got, "joe")) != "marked-junk" || words(of(got, "ann")) != "first-contact" {
		t.Errorf("%+v", got.env.Recipients)
	}
	mark("ann")
	c.send("550 5.7.1 this message is refused as junk: marked-junk", "<x@good.test>", "<team@here.test>", mail)
	if kept, err := boxes.List(t.Context(), "ann", mailbox.Rejects, 0); err != nil || len(kept) != 1 || !strings.Contains(kept[0].Evidence, "marked-junk") || strings.Contains(kept[0].Evidence, "members") {
		t.Errorf("%+v, %v", kept, err)
	}
	c.send("250", "<x@good.test>", "<all@here.test>", mail)
	if got := q.last(t); of(got, "ann").Action != junk.Reject || words(of(got, "somebody")) != "" {
		t.Errorf("%+v", got.env.Recipients)
	}
}

// JNK-3: Rspamd is asked, too, about mail that has no mailbox here: for aliases that lead elsewhere, and for domains
// of others. What it refuses is refused, where anything is; what it takes for junk says so as it travels on.
func TestRspamdOfMailForElsewhere(t *testing.T) {
	t.Parallel()
	q := &outbox{}
	mx, room := weighing(t, q)
	mx.Backup = []dns.Name{dns.MustParse("other.test")}
	said, asked := "", 0
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		io.WriteString(w, said)
	}))
	defer web.Close()
	room.Rspamd = rspamd.New(config.Rspamd{URL: web.URL, Timeout: time.Minute, MaxSize: 1 << 20}, "mx.here.test")
	c := serve(t, mx, nil)
	for _, s := range []struct {
		said, to string
		reject   int
		code     string
		field    string
	}{
		{`{"score":1,"required_score":15,"action":"no action"}`, "<them@other.test>", 30, "250", ""},
		{`{"score":8,"required_score":15,"action":"add header"}`, "<them@other.test>", 30, "250", "junk, 10 of 10; rspamd-score +10"},
		{`{"score":8,"required_score":15,"action":"add header"}`, "<out@here.test>", 30, "250", "junk, 10 of 10; rspamd-score +10"},
		{`{"score":20,"required_score":15,"action":"reject"}`, "<them@other.test>", 30, "550 5.7.1 this message is refused as junk: rspamd-score", ""},
		{`{"score":20,"required_score":15,"action":"reject"}`, "<out@here.test>", 30, "550 5.7.1 this message is refused as junk: rspamd-score", ""},
		{`{"score":20,"required_score":15,"action":"reject"}`, "<out@here.test>", 0, "250", "junk, 15 of 10; rspamd-score +15"},
		{`{"score":20,"required_score":15,"action":"reject"}`, "<all@here.test>", 30, "250", ""}, // joe and ann have a Junk for it
	} {
		said, room.Limits.Reject = s.said, s.reject
		asked = 0
		c.send(s.code, "<x@good.test>", s.to, "From: x@good.test\r\n\r\nbody")
		if asked != 1 {
			t.Errorf("%+v: asked %d times", s, asked)
		}
		if s.code != "250" {
			continue
		}
		text := strings.Join(strings.Fields(q.last(t).body), " ")
		if has := strings.Contains(text, junk.FieldName+": "); has != (s.field != "") || !strings.Contains(text, s.field) {
			t.Errorf("%+v:\n%s", s, text)
		}
	}
}
