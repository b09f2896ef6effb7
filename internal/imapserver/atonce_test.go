package imapserver

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"

	"waxwing/internal/mailboxes"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// IMP-6: sessions with two servers that act at the same moment, each on what it has been told. What each is told fits what it
// knows; in the end all know the same, which is what there is, and the counters are right.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		w := newWorld(t, db)
		w.account("joe")
		servers := []*Server{w.srv, {Hostname: "two.example.test", Boxes: &mailboxes.Store{DB: db}, Annotations: w.srv.Annotations, TempDir: t.TempDir(), Guard: w.srv.Guard}}
		l := &listWorld{fatalf: t.Fatalf}
		for i, name := range []string{"INBOX", "INBOX", "Archive", "INBOX", "Archive", "INBOX"} {
			s := l.connect(t.Context(), servers[i%2], "joe", i > 2)
			s.box = &listBox{name: name} // nothing is known of it
			s.do("OK", "SELECT "+name)
			l.sessions = append(l.sessions, s)
			t.Cleanup(func() { s.nc.Close() })
		}
		l.fatalf = func(format string, args ...any) { t.Errorf(format, args...); runtime.Goexit() }
		var wg sync.WaitGroup
		seed := rand.Uint64()
		for i, s := range l.sessions {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(seed, uint64(i)))
				for range atOnceSteps {
					s.anything(r)
				}
			})
		}
		wg.Wait()
		if t.Failed() {
			t.Fatalf("with the seed %d", seed)
		}
		l.fatalf = t.Fatalf
		for _, s := range l.sessions {
			s.do("OK", "NOOP")
			s.learn()
			fresh := l.connect(t.Context(), servers[0], "joe", false)
			fresh.box = s.box
			fresh.do("OK", "SELECT "+s.box.name)
			fresh.learn()
			fresh.nc.Close()
			if !slices.Equal(s.known, fresh.known) || fmt.Sprint(s.flags) != fmt.Sprint(fresh.flags) {
				t.Errorf("seed %d: a session has %v %v of %s, want %v %v", seed, s.known, s.flags, s.box.name, fresh.known, fresh.flags)
			}
		}
		if differ, err := mailboxes.Check(t.Context(), db, false); err != nil || len(differ) > 0 {
			t.Error(differ, err)
		}
	})
}

// atOnceSteps are of each session.
const atOnceSteps = 60

// anything does something that others may have made impossible meanwhile.
func (s *believer) anything(r *rand.Rand) {
	set := fmt.Sprintf("%d,%d:%d", 1+r.IntN(40), 1+r.IntN(40), 1+r.IntN(40))
	if r.IntN(2) == 0 {
		set = fmt.Sprint(1 + r.IntN(80))
	}
	flags := []string{`\Seen`, `\Deleted`, `\Flagged`, "todo"}[r.IntN(4)]
	box := []string{"INBOX", "Archive"}[r.IntN(2)]
	number := "1"
	if len(s.known) > 0 {
		number = fmt.Sprint(1 + r.IntN(len(s.known)))
	}
	switch what := r.IntN(11); {
	case what < 3:
		s.do("OK", fmt.Sprintf("APPEND %s (%s) {5+}\r\na: b\n", box, flags))
	case what < 5:
		s.do("OK", fmt.Sprintf("UID STORE %s %cFLAGS (%s)", set, "+-"[r.IntN(2)], flags))
	case what == 5 && len(s.known) > 0:
		s.numbered(true, "OK NO", "STORE", number+" +FLAGS ("+flags+")")
	case what == 6:
		s.do("OK", "UID MOVE "+set+" "+box)
	case what == 7:
		s.do("OK", "UID COPY "+fmt.Sprint(1+r.IntN(80))+" "+box)
	case what == 8:
		s.do("OK", "EXPUNGE")
	case what == 9 && len(s.known) > 0:
		s.numbered(true, "OK NO", "FETCH", number+":* (UID FLAGS)")
	default:
		s.do("OK", "NOOP")
	}
}
