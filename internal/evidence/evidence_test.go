package evidence

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/accounts"
	"waxwing/internal/classifier"
	"waxwing/internal/config"
	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/rspamd"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// JNK-1: a client greets with its name; what cannot be one is told.
func TestBadHELO(t *testing.T) {
	t.Parallel()
	ip, own := netip.MustParseAddr("192.0.2.1"), dns.MustParse("mx.here.test")
	for helo, want := range map[string]bool{"mail.far.test": false, "[192.0.2.1]": false, "[192.0.2.2]": true, "192.0.2.1": true, "localhost": true, "mx.here.test": true, "": true, "a b": true, "[x": true} {
		if got := badHELO(helo, ip, own); got != want {
			t.Errorf("%q: %v", helo, got)
		}
	}
}

// JNK-2: a message that is taught twice counts once, and what it was taught as before no more.
func TestTeach(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx, now := t.Context(), func() time.Time { return time.Unix(1.7e9, 0) }
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must((&accounts.Store{DB: db}).AddAccount(ctx, "joe", "correct horse"))
		boxes := &mailboxes.Store{DB: db, Now: now}
		text := []byte("Subject: cheap pills\r\n\r\nbuy now\r\n")
		must(db.Write(ctx, func(tx *store.Tx) error {
			return boxes.Deliver(tx, mailbox.Delivery{Body: store.NewID(), Data: text, Size: int64(len(text))}, []delivery.Copy{{Recipient: 1, Address: "joe@here.test", Account: "joe"}})
		}))
		list, err := boxes.List(ctx, "joe", "", 1)
		must(err)
		var passed []string // to Rspamd (JNK-3)
		web := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { passed = append(passed, r.URL.Path) }))
		defer web.Close()
		teacher := &Teacher{DB: db, Boxes: boxes, Now: now, Rspamd: rspamd.New(config.Rspamd{URL: web.URL, Learn: true, Timeout: time.Minute, MaxSize: 1 << 20}, "")}
		is := func(good, junk int64) {
			t.Helper()
			m, err := (&classifier.Store{DB: db, Now: now}).Model(ctx, "joe")
			must(err)
			if m.Good != good || m.Junk != junk {
				t.Errorf("%+v", m)
			}
		}
		for range 2 {
			must(teacher.Teach(ctx, list[0].ID, mailbox.IsJunk))
		}
		is(0, 1)
		must(teacher.Teach(ctx, list[0].ID, mailbox.IsGood))
		is(1, 0)
		must(teacher.Forget(ctx, "joe"))
		is(0, 0)
		if got := strings.Join(passed, " "); got != "/learnspam /learnham" {
			t.Errorf("Rspamd hears %s", got)
		}
	})
}
