package login

import (
	"cmp"
	"runtime"
	"time"
)

// Limits bound what logins may cost. Zero values mean the defaults given.
type Limits struct {
	// Parallel argon2id computations, and how many logins wait for one and how long,
	// before they are told to come again. Each takes 19 MiB, which it leaves to the
	// garbage collector: half the cores, at most 4; 100; 10 s.
	Parallel int
	Waiting  int
	Wait     time.Duration
	Cache    int           // passwords remembered as verified; 1000
	CacheFor time.Duration // 10 min
	// Failures from one network (an IPv4 address, an IPv6 /64) before it is refused,
	// and how long it then is; 20 in 15 min. Before that each failure is answered late:
	// after Delay times the failures so far, up to 10 s.
	Failures int
	Window   time.Duration
	Delay    time.Duration // 500 ms; negative: none
	// NameFailures are those of one name, from all networks where it is not at home,
	// before further logins under it take turns: Delay apart, then twice as long, up
	// to 10 s; 5. Who would wait longer than 30 s is told to come again.
	NameFailures int
	Home         time.Duration // how long a network where a login succeeded is the name's home; 30 days
	Tracked      int           // networks, names and homes remembered, of each; 10000
}

const (
	maxDelay = 10 * time.Second
	maxTurn  = 30 * time.Second
)

func (l Limits) orDefault() Limits {
	return Limits{
		Parallel:     cmp.Or(l.Parallel, min(max(runtime.GOMAXPROCS(0)/2, 1), 4)),
		Waiting:      cmp.Or(l.Waiting, 100),
		Wait:         cmp.Or(l.Wait, 10*time.Second),
		Cache:        cmp.Or(l.Cache, 1000),
		CacheFor:     cmp.Or(l.CacheFor, 10*time.Minute),
		Failures:     cmp.Or(l.Failures, 20),
		Window:       cmp.Or(l.Window, 15*time.Minute),
		Delay:        cmp.Or(l.Delay, 500*time.Millisecond),
		NameFailures: cmp.Or(l.NameFailures, 5),
		Home:         cmp.Or(l.Home, 30*24*time.Hour),
		Tracked:      cmp.Or(l.Tracked, 10000),
	}
}

// history is what is remembered when somebody begins to log in.
type history struct {
	network int           // failures of the network
	pair    int           // failures of the network under this name, since its last success
	name    int           // failures under this name where it is not at home, and attempts under way
	home    bool          // the network is the name's home: a login under it has succeeded there lately
	queue   time.Duration // until those who wait under this name have had their turn
}

// action is what is done with an attempt.
type action int

const (
	goOn     action = iota // after ruling.wait
	refuse                 // the network, or the name from its home, has failed too often
	comeBack               // too many wait to log in under this name
)

// ruling is the decision on an attempt.
type ruling struct {
	action  action
	wait    time.Duration // before the credentials are looked at
	spacing time.Duration // from its turn to the next under this name
}

// decide rules on an attempt (INB-3). It does not depend on whether there is such
// a user, or how one behaves would tell.
//
// A network that failed too often is refused, but not under the names that are at
// home there: whoever shares an address with a guesser can go on. These have a
// bound of their own. Guesses of one name from everywhere else take turns, so that
// a thousand networks guess no faster than one; at home nobody waits for them.
func decide(h history, l Limits) ruling {
	switch {
	case h.home && h.pair >= l.Failures, !h.home && h.network >= l.Failures:
		return ruling{action: refuse}
	case h.home || h.name < l.NameFailures:
		return ruling{}
	case h.queue > maxTurn:
		return ruling{action: comeBack}
	}
	return ruling{wait: h.queue, spacing: late(h.name-l.NameFailures+1, l)}
}

// late is how long the answer to a failure waits, and the next guess of a name.
func late(failures int, l Limits) time.Duration {
	return max(0, min(l.Delay*time.Duration(min(failures, 1000)), maxDelay))
}
