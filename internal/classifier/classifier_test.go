package classifier

import (
	"fmt"
	"testing"
	"time"

	"waxwing/internal/accounts"
	"waxwing/internal/bayes"
	"waxwing/internal/bayes/bayestest"
	"waxwing/internal/mailbox"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func made(t testing.TB, db *store.Store) *Store {
	must(t, (&accounts.Store{DB: db}).AddAccount(t.Context(), "joe", "correct horse"))
	return &Store{DB: db, Now: func() time.Time { return time.Unix(1.7e9, 0) }}
}

func learn(t testing.TB, s *Store, msg []byte, was, class mailbox.Class) {
	t.Helper()
	must(t, s.DB.Write(t.Context(), func(tx *store.Tx) error { return s.Learn(tx, "joe", bayes.Words(msg), was, class) }))
}

// JNK-2: what an account teaches decides; what it takes back counts no more.
func TestLearn(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		s, ctx := made(t, db), t.Context()
		from := bayestest.New(1, 0)
		for i := range 2 * Enough {
			x := from.Next(i%2 == 0)
			class := mailbox.IsGood
			if x.Junk {
				class = mailbox.IsJunk
			}
			learn(t, s, x.Text, mailbox.Unknown, class)
			if m, err := s.Model(ctx, "joe"); err != nil || m.Trained() != (i == 2*Enough-1) {
				t.Fatalf("after %d messages: %+v, %v", i+1, m, err)
			}
		}
		odd := []byte("From: x@y.test\r\nSubject: zqxgw\r\n\r\nzqxgv wqxgz zqqgw xqxgw zqxww\r\n")
		score := func() float64 {
			t.Helper()
			m, err := s.Model(ctx, "joe")
			must(t, err)
			w, err := s.Score(ctx, "joe", m, bayes.Words(odd))
			must(t, err)
			if !w.Trained {
				t.Error("not trained")
			}
			return w.Score
		}
		before := score()
		for range 3 {
			learn(t, s, odd, mailbox.Unknown, mailbox.IsJunk)
		}
		if got := score(); got < 0.9 {
			t.Errorf("three times junk: %f", got)
		}
		for range 3 { // moved back
			learn(t, s, odd, mailbox.IsJunk, mailbox.IsGood)
		}
		if got := score(); got > 0.1 {
			t.Errorf("three times back: %f", got)
		}
		for range 3 {
			learn(t, s, odd, mailbox.IsGood, mailbox.Unknown)
		}
		learn(t, s, odd, mailbox.IsGood, mailbox.IsGood)
		if got := score(); got < before-0.01 || got > before+0.01 {
			t.Errorf("taken back: %f, before %f", got, before)
		}
		must(t, db.Write(ctx, func(tx *store.Tx) error { return Forget(tx, "joe") }))
		if m, err := s.Model(ctx, "joe"); err != nil || m != (Model{}) {
			t.Errorf("forgotten: %+v, %v", m, err)
		}
	})
}

// JNK-2: the store is bounded; what was met once, and long ago, goes first.
func TestTidy(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		s := made(t, db)
		now := time.Unix(1.7e9, 0)
		s.Now = func() time.Time { return now }
		often := []byte("Subject: often\r\n\r\nseen again\r\n")
		learn(t, s, often, mailbox.Unknown, mailbox.IsJunk)
		learn(t, s, often, mailbox.Unknown, mailbox.IsJunk)
		for i := range 30 {
			now = now.Add(24 * time.Hour)
			learn(t, s, fmt.Appendf(nil, "Subject: w%d\r\n\r\nx%d\r\n", i, i), mailbox.Unknown, mailbox.IsGood)
		}
		must(t, db.Write(t.Context(), func(tx *store.Tx) error { return tidy(tx, "joe", 20) }))
		m, err := s.Model(t.Context(), "joe")
		must(t, err)
		left, err := store.List(t.Context(), db, store.Value[int64], `SELECT count(*) FROM junk_words WHERE junk > 0`)
		must(t, err)
		if m.Words != 18 || left[0] < 3 {
			t.Errorf("%+v, %d of the often ones", m, left[0])
		}
	})
}

// taught is a store with the words of 2,000 messages of each kind.
func taught(b *testing.B, db *store.Store) (*Store, *bayestest.Source) {
	s := made(b, db)
	from := bayestest.New(1, 0)
	for range 40 {
		must(b, db.Write(b.Context(), func(tx *store.Tx) error {
			for i := range 100 {
				x := from.Next(i%2 == 0)
				class := mailbox.IsGood
				if x.Junk {
					class = mailbox.IsJunk
				}
				if err := s.Learn(tx, "joe", bayes.Words(x.Text), mailbox.Unknown, class); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	m, err := s.Model(b.Context(), "joe")
	must(b, err)
	if m.Words > maxKept {
		b.Errorf("%+v", m)
	}
	return s, bayestest.New(1, 1)
}

// BenchmarkScore is what it takes to classify one message (JNK-2: under 5 ms), its words read and
// looked up; and of how much junk is found, with how many false alarms.
func BenchmarkScore(b *testing.B) {
	s, from := taught(b, storetest.Open(b))
	var n, found [2]int
	i := 0
	for b.Loop() {
		b.StopTimer()
		x := from.Next(i%2 == 0)
		i++
		b.StartTimer()
		all, err := store.Read(b.Context(), s.DB, func(tx *store.Tx) (map[string]Model, error) { return Taught(tx, "joe") })
		if err != nil {
			b.Fatal(err)
		}
		m := all["joe"]
		w, err := s.Score(b.Context(), "joe", m, bayes.Words(x.Text))
		if err != nil {
			b.Fatal(err)
		}
		kind := 0
		if x.Junk {
			kind = 1
		}
		n[kind]++
		if w.Score >= 0.9 {
			found[kind]++
		}
	}
	if n[0] > 0 && n[1] > 0 {
		b.ReportMetric(100*float64(found[1])/float64(n[1]), "%found")
		b.ReportMetric(100*float64(found[0])/float64(n[0]), "%alarms")
	}
}

// BenchmarkLearn is what one move into Junk takes (under 5 ms), made durable.
func BenchmarkLearn(b *testing.B) {
	s, from := taught(b, storetest.Open(b))
	for b.Loop() {
		b.StopTimer()
		x := from.Next(true)
		b.StartTimer()
		learn(b, s, x.Text, mailbox.Unknown, mailbox.IsJunk)
	}
}
