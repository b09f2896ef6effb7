package login

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"waxwing/internal/turns"
	"waxwing/sasl"
)

// INB-3: the whole space of decide, held against what it promises.
func TestDecide(t *testing.T) {
	t.Parallel()
	l := Limits{}.orDefault()
	counts := []int{0, 1, 4, 5, 6, 7, 19, 20, 21, 24, 25, 26, 1000, 1 << 40}
	queues := []time.Duration{0, time.Millisecond, 10 * time.Second, maxTurn, maxTurn + 1, time.Hour}
	seen := map[action]int{}
	for _, network := range counts {
		for _, pair := range counts {
			for _, home := range []bool{false, true} {
				var before time.Duration
				for _, name := range counts {
					for _, queue := range queues {
						h := history{network: network, pair: pair, name: name, home: home, queue: queue}
						r := decide(h, l)
						seen[r.action]++
						if want := home && pair >= 20 || !home && network >= 20; (r.action == refuse) != want {
							t.Errorf("%+v: %+v, refused %v", h, r, want)
						}
						if home && (r.wait != 0 || r.action == comeBack) {
							t.Errorf("%+v: strangers make the owner wait at home: %+v", h, r)
						}
						if r.action == comeBack && (queue <= maxTurn || name < 5) || r.wait > maxTurn || r.wait < 0 {
							t.Errorf("%+v: %+v", h, r)
						}
						if r.action != goOn && r != (ruling{action: r.action}) {
							t.Errorf("%+v: a turn for nobody: %+v", h, r)
						}
						if !home && r.action == goOn && name >= 5 && (r.wait != queue || r.spacing <= 0 || r.spacing > maxDelay || r.spacing < before) {
							t.Errorf("%+v: guesses do not slow down: %+v after %s", h, r, before)
						}
						before = max(before, r.spacing)
					}
				}
			}
		}
	}
	if len(seen) != 3 {
		t.Errorf("actions seen: %v", seen)
	}
	for failures, want := range map[int]time.Duration{1: l.Delay, 2: 2 * l.Delay, 19: 19 * l.Delay, 20: maxDelay, 1 << 40: maxDelay} {
		if got := late(failures, l); got != want {
			t.Errorf("failure %d is answered after %s, want %s", failures, got, want)
		}
	}
}

// INB-3: a thousand networks guess the password of one name no faster than one: once
// in 10 s. The owner is not kept out at home, nor are others anywhere, and it is the
// same for a name that nobody has.
func TestManyNetworksGuessOneName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"joe", "nobody"} {
		now := time.Unix(1e9, 0)
		c := &Checker{Accounts: newPeople(), Now: func() time.Time { return now }}
		c.prepare()
		l, home, k := c.limits(), netip.MustParseAddr("192.0.2.1"), c.nameKey(name)
		owner := pair{home, k}
		_, b := c.memory.begin(owner, now, l)
		c.memory.end(b, success, now, l)
		var guesses, sentAway int
		for second := range 3600 {
			for range 10 { // each from a network of its own
				guess := pair{netip.AddrFrom4([4]byte{10, byte(second >> 8), byte(second), byte(guesses + sentAway)}), k}
				r, b := c.memory.begin(guess, now, l)
				if r.action != goOn {
					sentAway++
					continue
				}
				guesses++
				// Its end may come before others begin: that must not help.
				c.memory.end(b, failure, now, l)
			}
			if r, b := c.memory.begin(owner, now, l); r != (ruling{}) || !b.home {
				t.Fatalf("%s, after %d guesses the owner is not let in at home: %+v", name, guesses, r)
			}
			r, b := c.memory.begin(pair{netip.MustParseAddr("192.0.2.2"), c.nameKey("ann")}, now, l)
			if r.wait > 0 || r.action != goOn {
				t.Fatalf("somebody else is not let in: %+v", r)
			}
			c.memory.end(b, undecided, now, l)
			now = now.Add(time.Second)
		}
		// Each quarter of an hour: 5 at once, some 20 while the turns grow longer, then 6 a minute.
		if guesses > 500 || guesses < 100 || sentAway < 30000 {
			t.Errorf("%s: %d guesses in an hour, %d sent away", name, guesses, sentAway)
		}
	}
}

// Guesses that are made at the same moment do not all come before the first has failed.
func TestGuessesAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var m memory
		l := Limits{}.orDefault()
		atOnce, later, away := 0, 0, 0
		for i := range 1000 {
			switch r, _ := m.begin(pair{network: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})}, time.Now(), l); {
			case r.action == comeBack:
				away++
			case r.wait > 0:
				later++
			default:
				atOnce++
			}
		}
		if atOnce != l.NameFailures+1 || later > 20 || away < 900 {
			t.Errorf("%d at once, %d later, %d sent away", atOnce, later, away)
		}
	})
}

// A program that opens fifty connections at once, with the right password, where it was
// never seen before, is let in with all; with a wrong one it gets few guesses.
func TestManyConnectionsAtOnce(t *testing.T) {
	t.Parallel()
	for password, want := range map[string]int{"correct horse": 50, "wrong horse": 0} {
		synctest.Test(t, func(t *testing.T) {
			c := &Checker{Accounts: newPeople(), Limits: Limits{Failures: 1000}}
			c.prepare()
			var in, guesses, away atomic.Int64
			var wg sync.WaitGroup
			start := time.Now()
			for range 50 {
				wg.Go(func() {
					switch r, err := c.try(t, "192.0.2.1", "joe", password); {
					case r == nil && err == nil:
						in.Add(1)
					case errors.Is(err, sasl.ErrFailed):
						guesses.Add(1)
					case errors.Is(err, turns.ErrBusy):
						away.Add(1)
					default:
						t.Error(r, err)
					}
				})
			}
			wg.Wait()
			if int(in.Load()) != want || want > 0 && time.Since(start) > time.Second || want == 0 && (guesses.Load() > 20 || away.Load() < 30) {
				t.Errorf("%s: %d are let in, %d guesses, %d sent away, after %s", password, in.Load(), guesses.Load(), away.Load(), time.Since(start))
			}
			if len(c.memory.first) != 0 {
				t.Errorf("left behind: %v", c.memory.first)
			}
		})
	}
}

// INB-3: whoever shares an address with a guesser goes on where they have logged in
// before, and only there. Who guesses under that very name is refused in the end.
func TestHomeInABarredNetwork(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	c := &Checker{Accounts: newPeople(), Now: func() time.Time { return now }, Limits: Limits{Failures: 5, Delay: -1}}
	const shared, elsewhere = "192.0.2.1", "192.0.2.2"
	if _, err := c.try(t, shared, "joe", "correct horse"); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if r, err := c.try(t, shared, fmt.Sprint("nobody", i), "guess"); is421(r, err) {
			t.Fatalf("refused too early: %v, %v", r, err)
		}
	}
	if r, err := c.try(t, shared, "ann", "guess"); !is421(r, err) {
		t.Errorf("a barred network guesses on: %v, %v", r, err)
	}
	if r, err := c.try(t, shared, "Joe", "correct horse"); r != nil || err != nil {
		t.Errorf("kept out at home: %v, %v", r, err)
	}
	for range 5 {
		if r, err := c.try(t, shared, "joe", "guess"); r != nil || !errors.Is(err, sasl.ErrFailed) {
			t.Fatalf("refused too early: %v, %v", r, err)
		}
	}
	if r, err := c.try(t, shared, "joe", "correct horse"); !is421(r, err) {
		t.Errorf("guesses at home have no bound: %v, %v", r, err)
	}
	if r, err := c.try(t, elsewhere, "joe", "correct horse"); r != nil || err != nil {
		t.Errorf("refused elsewhere: %v, %v", r, err)
	}
	now = now.Add(time.Hour)
	if r, err := c.try(t, shared, "ann", "guess"); is421(r, err) {
		t.Errorf("still refused after an hour: %v, %v", r, err)
	}
}

// What is remembered is bounded, and a flood of new keys does not free who is barred.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	l := Limits{Tracked: 100}.orDefault()
	now := time.Unix(1e9, 0)
	var m memory
	barred := pair{network: netip.MustParseAddr("192.0.2.1")}
	for range l.Failures {
		_, b := m.begin(barred, now, l)
		m.end(b, failure, now, l)
	}
	for i := range 10 * l.Tracked {
		p := pair{network: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), name: nameKey{byte(i), byte(i >> 8), 1}}
		_, b := m.begin(p, now, l)
		m.end(b, failure, now, l)
		p.network = p.network.Next()
		_, b = m.begin(p, now, l)
		m.end(b, success, now, l)
		if a, b, c, d := len(m.networks.by), len(m.names.by), len(m.pairs.by), len(m.homes); max(a, b, c, d) > l.Tracked || len(m.at) > d {
			t.Fatalf("%d networks, %d names, %d pairs, %d homes in %d networks", a, b, c, d, len(m.at))
		}
	}
	if !m.barred(barred.network, now, l) {
		t.Error("a flood of networks frees the one that is barred")
	}
}

// One wrong password, tried with many names at once, costs one argon2id for each,
// whether or not there is anybody of that name. Unknown names shared one: a known
// one was the one that took longer.
func TestNamesShareNoHash(t *testing.T) {
	t.Parallel()
	for what, names := range map[string][]string{
		"known":   {"joe", "Joe", "joe@here.test", "JOE@here.test"},
		"unknown": {"nobody", "Nobody", "nobody@here.test", "other"},
		"one":     {"off", "off", "off", "off"},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := &Checker{Accounts: newPeople(), Limits: Limits{Parallel: 1, Waiting: 1}}
			c.prepare()
			end, err := c.hashing.Take(t.Context(), turns.Caller{})
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error)
			for _, name := range names {
				go func() {
					_, err := c.Password(t.Context(), name, "wrong horse")
					done <- err
				}()
			}
			synctest.Wait() // one waits for its turn, and the others can only share it
			end()
			busy := 0
			for range names {
				if err := <-done; errors.Is(err, turns.ErrBusy) {
					busy++
				} else if !errors.Is(err, sasl.ErrFailed) {
					t.Error(what, err)
				}
			}
			if want := map[string]int{"known": 3, "unknown": 3}[what]; busy != want {
				t.Errorf("%s: %d of 4 had to hash for themselves, want %d", what, busy+1, want+1)
			}
		})
	}
}

// RFC 4954 §6, INB-2: beyond what may wait for argon2id, the answer is 454 4.7.0; it
// is no failure of the client. Where it is at home, a name still finds a place.
func TestTooManyLogins(t *testing.T) {
	t.Parallel()
	c := &Checker{Accounts: newPeople(), Limits: Limits{Parallel: 1, Waiting: 1, Wait: time.Millisecond, Delay: -1}}
	counted := map[string]int{}
	c.Count = func(mechanism, result string) { counted[mechanism+" "+result]++ }
	c.prepare()
	end, err := c.hashing.Take(t.Context(), turns.Caller{})
	if err != nil {
		t.Fatal(err)
	}
	for range 30 {
		r, err := c.try(t, "192.0.2.1", "joe", "correct horse")
		if r != nil || !errors.Is(err, turns.ErrBusy) || !strings.Contains(err.Error(), "454 4.7.0") {
			t.Fatalf("no 454: %v, %v", r, err)
		}
	}
	end()
	if _, err := c.try(t, "192.0.2.1", "joe", "correct horse"); err != nil {
		t.Errorf("it counted as a failure: %v", err)
	}
	if fmt.Sprint(counted) != "map[PLAIN busy:30 PLAIN ok:1]" {
		t.Errorf("counted: %v", counted)
	}
}

// The log says who was tried, but not what may be a password in the wrong field.
func TestLogNamesTheAccount(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	c := &Checker{Accounts: newPeople(), Limits: Limits{Delay: -1}, Log: slog.New(slog.NewTextHandler(&log, nil))}
	for user, want := range map[string]string{
		"joe":                                  `login=joe account=joe`,
		"Joe@here.test":                        `login=Joe@here.test account=joe`,
		"off":                                  `login=off account=off`, // disabled
		"ann@here.test":                        `login=ann@here.test account=""`,
		"correct horse":                        `login=unknown-`,
		"hunter2":                              `login=unknown-`,
		"p@ssword":                             `login=unknown-`,
		"x\ny@here.test":                       `login=unknown-`,
		strings.Repeat("ü", 60) + "@here.test": `login=` + strings.Repeat("ü", 50) + "… ",
	} {
		log.Reset()
		c.memory = memory{}
		c.try(t, "192.0.2.1", user, "wrong password")
		if got := log.String(); !strings.Contains(got, want) || !strings.Contains(got, "mechanism=PLAIN result=failed") || strings.Contains(got, "wrong password") {
			t.Errorf("%q: %s", user, got)
		}
		if strings.Contains(want, "unknown") && strings.Contains(log.String(), user) {
			t.Errorf("%q is told: %s", user, log.String())
		}
	}
	var marks []string
	for _, user := range []string{"hunter2", "HUNTER2", "hunter3"} {
		log.Reset()
		c.try(t, "192.0.2.1", user, "x")
		marks = append(marks, mark(log.String()))
	}
	if marks[0] == "" || marks[0] != marks[1] || marks[0] == marks[2] {
		t.Errorf("marks: %q", marks)
	}
}

func mark(line string) string {
	_, rest, _ := strings.Cut(line, "login=unknown-")
	m, _, _ := strings.Cut(rest, " ")
	return m
}

// How an exchange ended, by its error.
func TestResult(t *testing.T) {
	t.Parallel()
	c := &Checker{Accounts: newPeople()}
	refused := c.newAttempt(sasl.Plain, guest{}.Remote().Addr()).refused()
	for _, tt := range []struct {
		mech string
		err  error
		word string
		how  ending
	}{
		{sasl.Plain, nil, "ok", success},
		{sasl.Plain, fmt.Errorf("wrapped: %w", sasl.ErrFailed), "failed", failure},
		{sasl.Plain, refused, "refused", undecided},
		{sasl.Plain, &sasl.SyntaxError{}, "broken-off", undecided},
		{sasl.Login, context.Canceled, "error", undecided},
		{sasl.ScramSHA256, context.Canceled, "error", undecided},
	} {
		if word, how := result(tt.mech, tt.err); word != tt.word || how != tt.how {
			t.Errorf("%s, %v: %s %d, want %s %d", tt.mech, tt.err, word, how, tt.word, tt.how)
		}
	}
}
