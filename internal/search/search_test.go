package search_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/guard"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/search"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// box is the mail of a test, and what indexes it.
type box struct {
	*search.Service
	db     *store.Store
	mails  map[int64]string
	broken map[int64]error
	panics map[int64]bool
}

func each(t *testing.T, fn func(t *testing.T, b *box)) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		b := &box{db: db, mails: map[int64]string{}, broken: map[int64]error{}, panics: map[int64]bool{}}
		b.Service = &search.Service{Store: &search.Store{DB: db, Mails: b}, Log: slog.New(slog.DiscardHandler), Guard: &guard.Guard{Log: slog.New(slog.DiscardHandler)}}
		fn(t, b)
	})
}

func (b *box) Content(_ context.Context, id int64) (c delivery.Content, m mailbox.Mail, err error) {
	text, ok := b.mails[id]
	switch {
	case b.panics[id]:
		panic("broken")
	case b.broken[id] != nil:
		return nil, m, b.broken[id]
	case !ok:
		return nil, m, mailboxes.ErrNoSuchMessage
	}
	return delivery.Bytes(text), m, nil
}

func (b *box) Missing(_ context.Context, mails []int64) (gone []int64, err error) {
	for _, m := range mails {
		if _, ok := b.mails[m]; !ok {
			gone = append(gone, m)
		}
	}
	return gone, nil
}

// take has mails arrive, which are not indexed yet.
func (b *box) take(t testing.TB, account string, mails map[int64]string) {
	t.Helper()
	for id, text := range mails {
		b.mails[id] = strings.ReplaceAll(text, "\n", "\r\n")
		b.note(t, account, id)
	}
}

func (b *box) note(t testing.TB, account string, id int64) {
	t.Helper()
	err := b.db.Write(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO mails_unindexed (account, mail) VALUES (?, ?) ON CONFLICT DO NOTHING`, account, id)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// index indexes all.
func (b *box) index(t *testing.T) { t.Helper(); index(t, b.Service) }

func index(t *testing.T, s *search.Service) {
	t.Helper()
	for {
		n, err := s.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

// find is what a search finds; tail, what it leaves to be looked through.
func (b *box) find(t *testing.T, account string, q search.Query) (found, tail []int64) {
	t.Helper()
	found, tail, err := b.Search(t.Context(), account, q)
	if err != nil {
		t.Fatal(err)
	}
	return found, tail
}

func (b *box) want(t *testing.T, account string, c search.Condition, want ...int64) {
	t.Helper()
	if found, tail := b.find(t, account, search.Query{c}); !slices.Equal(found, want) || len(tail) > 0 {
		t.Errorf("%s: %v: found %v and tail %v, wanted %v", account, c, found, tail, want)
	}
}

var letters = map[int64]string{
	1: "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= aus Wien\nFrom: J\u00fcrgen <juergen@example.at>\nTo: Team: a@example.com, b@example.com;\nMessage-ID: <one@example.at>\nReceived: from quelle\n\nthe quick brown fox\n",
	2: "Subject: Re: minutes\nFrom: b@example.com\nCc: Carol <carol@example.com>\nBcc: dave@example.com\nList-Id: the list <list.example.com>\nContent-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: text/html\n\n<p>brown <b>bread</b></p>\n--a\nContent-Type: application/pdf; name=\"invoice 2026.pdf\"\nContent-Transfer-Encoding: base64\n\nQUJD\n--a--\n",
	3: "Subject: \u65e5\u672c\u8a9e\u306e\u4ef6\u540d\nFrom: c@example.jp\nContent-Type: text/plain; charset=iso-2022-jp\n\n\x1b$B$3$s$K$A$O\x1b(B quickly\n",
}

// TestSearch has words, parts of words, phrases, accents, scripts without spaces and fields found (MBX-7).
func TestSearch(t *testing.T) {
	each(t, func(t *testing.T, b *box) {
		b.take(t, "a", letters)
		if found, tail := b.find(t, "a", search.Query{{Text: "quick"}}); len(found) > 0 || !slices.Equal(tail, []int64{1, 2, 3}) {
			t.Errorf("before it is indexed: found %v, tail %v", found, tail)
		}
		if found, err := b.Scan(t.Context(), search.Query{{Text: "quick"}}, []int64{1, 2, 3, 99}); err != nil || !slices.Equal(found, []int64{1, 3}) {
			t.Errorf("looked through: %v, %v", found, err)
		}
		b.index(t)
		for _, c := range []struct {
			in   search.Field
			text string
			want []int64
		}{
			{search.Any, "quick", []int64{1, 3}},
			{search.Any, "uick", []int64{1, 3}},
			{search.Any, "quickly", []int64{3}},
			{search.Body, "brown", []int64{1, 2}},
			{search.Body, "brown bread", []int64{2}},
			{search.Body, "own bre", []int64{2}},
			{search.Body, "bread brown", nil},
			{search.Subject, "grusse", []int64{1}},
			{search.Subject, "GR\u00dcSSE AUS", []int64{1}},
			{search.Subject, "brown", nil},
			{search.Subject, "\u672c\u8a9e", []int64{3}},
			{search.Subject, "\u8a9e", []int64{3}},
			{search.Body, "\u3093\u306b\u3061", []int64{3}},
			{search.From, "jurgen", []int64{1}},
			{search.From, "juergen@example", []int64{1}},
			{search.From, "example", []int64{1, 2, 3}},
			{search.To, "b@example.com", []int64{1}},
			{search.To, "team", []int64{1}},
			{search.Cc, "carol", []int64{2}},
			{search.Cc, "dave", nil},
			{search.Bcc, "dave", []int64{2}},
			{search.Names, "invoice", []int64{2}},
			{search.Names, "voice 2026.pdf", []int64{2}},
			{search.Header, "list.example.com", []int64{2}},
			{search.Header, "one@example.at", []int64{1}},
			{search.Any, "quelle", nil},
			{search.Any, "absent", nil},
			{search.Any, "...", nil},
			{search.Any, "1xquick", nil},
			{search.Any, `"quick" OR body : x' | '`, nil},
		} {
			b.want(t, "a", search.Condition{Field: c.in, Text: c.text}, c.want...)
		}
		b.want(t, "a", search.Condition{Field: search.Any, Text: "uick", Words: true})
		b.want(t, "a", search.Condition{Field: search.Any, Text: "quick", Words: true}, 1)
		b.want(t, "a", search.Condition{Field: search.Any, Text: "quick*", Words: true}, 1, 3)
		if found, _ := b.find(t, "a", search.Query{{Text: "quick"}, {Field: search.From, Text: "jp"}}); !slices.Equal(found, []int64{3}) {
			t.Errorf("two conditions: %v", found)
		}
		if found, _ := b.find(t, "a", nil); found != nil {
			t.Errorf("no condition: %v", found)
		}
		b.want(t, "nobody", search.Condition{Text: "quick"})
	})
}

// TestAccountsApart: no search meets another account's mail, whatever their numbers and words are.
func TestAccountsApart(t *testing.T) {
	each(t, func(t *testing.T, b *box) {
		for i := range 12 {
			b.take(t, fmt.Sprint("account", i), map[int64]string{int64(i + 1): fmt.Sprintf("Subject: same 1x2 2xsame\n\nx%d only%d\n", i, i)})
		}
		b.index(t)
		for i := range 12 {
			account := fmt.Sprint("account", i)
			for _, text := range []string{"same", "ame", "1x2", "2xsame", "x2"} {
				b.want(t, account, search.Condition{Text: text}, int64(i+1))
			}
			b.want(t, account, search.Condition{Text: fmt.Sprint("only", (i+1)%12), Words: true})
		}
	})
}

// TestAgain: a mail that is noted again is indexed anew, or removed if it is gone.
func TestAgain(t *testing.T) {
	each(t, func(t *testing.T, b *box) {
		b.take(t, "a", map[int64]string{1: "\none\n", 2: "\none two\n"})
		b.index(t)
		b.take(t, "a", map[int64]string{1: "\nthree\n"})
		delete(b.mails, 2)
		b.note(t, "a", 2)
		b.index(t)
		b.want(t, "a", search.Condition{Text: "one"})
		b.want(t, "a", search.Condition{Text: "three"}, 1)
	})
}

func TestTidy(t *testing.T) {
	each(t, func(t *testing.T, b *box) {
		mails := map[int64]string{}
		for i := range 130 {
			mails[int64(i+1)] = "\nword\n"
		}
		b.take(t, "a", mails)
		b.index(t)
		for i := range 129 {
			delete(b.mails, int64(i+1))
		}
		if err := b.Tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.want(t, "a", search.Condition{Text: "word"}, 130)
	})
}

// TestUnreadable: a mail that cannot be read stands in nobody's way for long.
func TestUnreadable(t *testing.T) {
	each(t, func(t *testing.T, b *box) {
		b.take(t, "a", map[int64]string{1: "\none\n", 2: "\none\n", 3: "\none\n"})
		b.broken[1] = io.ErrUnexpectedEOF
		b.panics[2] = true
		panics := 0
		b.Guard.Count = func(area guard.Area) {
			if panics++; area != guard.Search {
				t.Errorf("a panic of %s", area)
			}
		}
		failed := 0
		for range 20 {
			if _, err := b.Step(t.Context()); err != nil {
				failed++
			}
		}
		if failed != 3 { // the first failure of 2 ended a batch; the third one of each leaves it out
			t.Errorf("%d steps failed", failed)
		}
		if panics != 3 {
			t.Errorf("%d panics", panics)
		}
		b.want(t, "a", search.Condition{Text: "one"}, 3)
	})
}

// TestRun: what arrives while the service runs is soon in the index.
func TestRun(t *testing.T) {
	each(t, func(t *testing.T, b *box) {
		b.take(t, "a", map[int64]string{1: "\none\n"})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.Run(ctx) }()
		for deadline := time.Now().Add(20 * time.Second); ; {
			found, _ := b.find(t, "a", search.Query{{Text: "one"}})
			if len(found) == 1 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("it is not in the index")
			}
			time.Sleep(10 * time.Millisecond)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestIndexIsMatch: the index finds what looking through all mails finds, whatever the words are.
func TestIndexIsMatch(t *testing.T) {
	each(t, func(t *testing.T, b *box) {
		random := rand.New(rand.NewPCG(1, 2))
		vocabulary := strings.Fields("a ab abc bc b c caf\u00e9 cafe 1 12 x 1x \u65e5 \u65e5\u672c \u65e5\u672c\u8a9e \u672c\u8a9e abc\u65e5\u672c , - word words sword \u0436\u0443\u043a \u0416\u0423 ' \" \\ x'y a\"b b\\c * ( ) : | & ! OR AND NOT NEAR a\x00b e\u0301 \u0301 \u00bd \ufdfa")
		text := func(n int) string {
			var words []string
			for range random.IntN(n) + 1 {
				words = append(words, vocabulary[random.IntN(len(vocabulary))])
			}
			return strings.Join(words, " ")
		}
		mails := map[int64]string{}
		var all []int64
		for i := range 60 {
			all = append(all, int64(i+1))
			mails[int64(i+1)] = "Subject: " + text(3) + "\nTo: " + text(2) + "\nX: " + text(3) + "\nContent-Type: text/plain; charset=utf-8\n\n" + text(8) + "\n"
		}
		b.take(t, "a", mails)
		b.index(t)
		queries := 400
		if testing.Short() {
			queries = 100
		}
		for range queries {
			var q search.Query
			for range random.IntN(2) + 1 {
				c := search.Condition{Field: search.Field(random.IntN(10)), Text: text(3), Words: random.IntN(2) == 0}
				if random.IntN(4) == 0 {
					c.Text += "*"
				}
				q = append(q, c)
			}
			found, _ := b.find(t, "a", q)
			want, err := b.Scan(t.Context(), q, all)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(found, want) {
				t.Errorf("%v: the index has %v, the mails %v", q, found, want)
			}
		}
	})
}

// TestManyWords: a text that stands in more words than are looked for is found where it begins one.
func TestManyWords(t *testing.T) {
	each(t, func(t *testing.T, b *box) {
		mails := map[int64]string{1: "\nexact ends\n", 2: "\nexamine\n", 3: "\nonlyex\n"}
		for i := range 20 {
			var words []string
			for j := range 40 {
				words = append(words, fmt.Sprintf("%dex%d", j, i))
			}
			mails[int64(i+10)] = "\n" + strings.Join(words, " ") + "\n"
		}
		b.take(t, "a", mails)
		b.index(t)
		b.want(t, "a", search.Condition{Text: "ex"}, 1, 2)
		b.want(t, "a", search.Condition{Text: "exa"}, 1, 2)
		b.want(t, "a", search.Condition{Text: "ex1"}, 11, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29) // in 440 words
	})
}

// TestMailboxes: what lies in mailboxes is found there, from its delivery on, and no more once it is erased.
func TestMailboxes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx := t.Context()
		boxes := &mailboxes.Store{DB: db}
		s := &search.Service{Store: &search.Store{DB: db, Mails: boxes}, Log: slog.New(slog.DiscardHandler)}
		err := db.Write(ctx, func(tx *store.Tx) error {
			_, err := tx.Exec(`INSERT INTO accounts (name, disabled, password, scram256, scram1, created) VALUES ('a', 0, '', '', '', 0)`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		var some []mailboxes.Appended
		for i := range 3 {
			some = append(some, mailboxes.Appended{Content: delivery.Bytes(fmt.Sprintf("Subject: letter %d\r\n\r\nword%d\r\n", i, i))})
		}
		box, uids, err := boxes.Append(ctx, "a", "INBOX", some)
		if err != nil {
			t.Fatal(err)
		}
		inBox := func(text string) search.Answer {
			t.Helper()
			a, err := s.InBox(ctx, "a", box.ID, search.Query{{Text: text}})
			if err != nil {
				t.Fatal(err)
			}
			return a
		}
		if a := inBox("letter"); len(a.UIDs) > 0 || !slices.Equal(a.Tail, uids) {
			t.Errorf("before it is indexed: %+v", a)
		}
		index(t, s)
		if a := inBox("letter"); !slices.Equal(a.UIDs, uids) || len(a.Tail) > 0 || a.Narrow {
			t.Errorf("%+v, wanted %v", a, uids)
		}
		if a := inBox("ord1"); !slices.Equal(a.UIDs, uids[1:2]) {
			t.Errorf("%+v", a)
		}
		if _, _, err := boxes.Remove(ctx, box.ID, []mailbox.Range{{Low: uids[1], High: uids[1]}}); err != nil {
			t.Fatal(err)
		}
		if a := inBox("letter"); !slices.Equal(a.UIDs, []uint32{uids[0], uids[2]}) {
			t.Errorf("behind what was removed: %+v", a)
		}
		if found, _, err := s.Search(ctx, "a", search.Query{{Text: "word1"}}); err != nil || len(found) != 1 {
			t.Errorf("what was removed and can be brought back: %v, %v", found, err)
		}
		if err := boxes.Forget(ctx, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		index(t, s)
		if found, tail, err := s.Search(ctx, "a", search.Query{{Text: "word1"}}); err != nil || len(found)+len(tail) > 0 {
			t.Errorf("what was erased: %v, %v, %v", found, tail, err)
		}
		if err := s.Tidy(ctx); err != nil {
			t.Error(err)
		}
		if found, _, err := s.Search(ctx, "a", search.Query{{Text: "letter"}}); err != nil || len(found) != 2 {
			t.Errorf("after tidying: %v, %v", found, err)
		}
	})
}

// TestUpgrade: mail that was there before there was an index is indexed.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	storetest.Upgrade(t, "00210", func(t *testing.T, old *store.Store, upgrade func() *store.Store) {
		err := old.Write(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(`INSERT INTO bodies (id) VALUES (5)`)
			if err == nil {
				_, err = tx.Exec(`INSERT INTO mails (id, account, thread, sender, recipient, size, received, body, header, message_id, facts, evidence, structure)
					VALUES (7, 'a', 7, '', '', 0, 0, 5, '', '', '', '', '')`)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		s := &search.Store{DB: upgrade()}
		if _, tail, err := s.Search(t.Context(), "a", search.Query{{Text: "x"}}); err != nil || !slices.Equal(tail, []int64{7}) {
			t.Errorf("%v, %v", tail, err)
		}
	})
}
