// Package keystage says how far a key is on its way from made to gone, and when
// the next one may take over (CRT-3, CRT-6). It is pure: keys and what DNS showed
// go in, stages and what to do come out.
//
// Nothing advances on time alone. A host key may be served only when every cache
// in the world has its TLSA record: that is so once each of the zone's own servers
// has shown it for longer than any record set without it may be cached. A DKIM key
// that takes over from another one waits likewise for answers that there is no such
// record. Whoever forgets to publish breaks nothing: the current
// key goes on for ever.
package keystage

import (
	"time"
)

// Stage is how far a key is.
type Stage string

// The stages, in order.
const (
	Made      Stage = "made"      // it exists, and nobody was told to publish it
	Announced Stage = "announced" // its record was given out to be published
	Seen      Stage = "seen"      // every server of the zone shows the record
	Ripe      Stage = "ripe"      // and has for so long that no cache lacks it
	Current   Stage = "current"   // in use
	Old       Stage = "old"       // no longer in use, its record must stay for now
	Gone      Stage = "gone"      // its record may go, and then the key
)

// Key is one key. Zero times are of what has not happened.
type Key struct {
	ID        string
	Made      time.Time
	Announced time.Time
	Promoted  time.Time // it became the current one
	Retired   time.Time // another one did
}

// Sight is what looks at the zone's own servers have shown of a key's record.
// Fold makes it of single looks.
type Sight struct {
	Last  time.Time     // the last look that reached every server
	Since time.Time     // the first of the unbroken looks in which every server had the record; zero: not all have it
	TTL   time.Duration // the longest of the record set, of all looks since MaxAge before Since
	Some  bool          // at the last look some server had it
	Set   bool          // at the last look some server had records of any key
}

// Look is one look at every server of the zone. A look that missed a server is
// none, and is not folded.
type Look struct {
	At  time.Time
	All bool          // every server had the record
	Any bool          // some had
	Set bool          // some had records of any key; where none has, DANE is not in use
	TTL time.Duration // the longest with which any server gave the record set, or its absence
}

// Fold adds a look.
func (s Sight) Fold(l Look) Sight {
	s.Last, s.Some, s.Set = l.At, l.Any, l.Set
	s.TTL = max(s.TTL, l.TTL)
	switch {
	case !l.All:
		s.Since = time.Time{}
		s.TTL = max(l.TTL, min(s.TTL, maxTTL))
	case s.Since.IsZero():
		s.Since = l.At
	}
	return s
}

// Rules are the margins. The zero value is not useful: see HostKeys and DKIMKeys.
type Rules struct {
	Times   int           // of the TTL that a record must have been seen
	AtLeast time.Duration // and at least for
	Fresh   time.Duration // how old the last look may be when a key takes over
	Stay    time.Duration // how long an old record stays at least
	// Together: the records of old keys may stay while the next one takes over, since each
	// has a name of its own (DKIM).
	Together bool
}

// HostKeys are the margins for TLSA records.
func HostKeys() Rules {
	return Rules{Times: 2, AtLeast: 24 * time.Hour, Fresh: time.Hour, Stay: 24 * time.Hour}
}

// DKIMKeys are the margins for DKIM: an old selector is asked for as long as mail
// that it signed is on its way or is checked again.
func DKIMKeys() Rules {
	return Rules{Times: 2, Fresh: time.Hour, Stay: 14 * 24 * time.Hour, Together: true}
}

// maxTTL is the longest time that any cache keeps a record (RFC 8767 §4 has seven
// days at the most; a week of caution costs nothing).
const maxTTL = 7 * 24 * time.Hour

// wait is how long a record with a TTL must have been seen.
func (r Rules) wait(ttl time.Duration) time.Duration {
	return max(time.Duration(r.Times)*min(ttl, maxTTL), r.AtLeast)
}

// stay is how long an old record must stay.
func (r Rules) stay(ttl time.Duration) time.Duration {
	return max(time.Duration(r.Times)*min(ttl, maxTTL), r.Stay)
}

// Of is the stage of a key.
func Of(k Key, s Sight, r Rules, now time.Time) Stage {
	switch {
	case !k.Retired.IsZero():
		if now.Sub(k.Retired) < r.stay(s.TTL) {
			return Old
		}
		return Gone
	case !k.Promoted.IsZero():
		return Current
	case !s.Since.IsZero():
		if now.Sub(s.Since) >= r.wait(s.TTL) {
			return Ripe
		}
		return Seen
	case !k.Announced.IsZero():
		return Announced
	}
	return Made
}

// Word is what is awaited, or what is wrong, as one word.
type Word string

// The words of a Decision.
const (
	NoNextKey     Word = "no-next-key"    // make one
	AwaitPublish  Word = "await-publish"  // the record is at no server
	AwaitServers  Word = "await-servers"  // some servers have it, not all
	AwaitCaches   Word = "await-caches"   // caches may still lack it
	AwaitLook     Word = "await-look"     // the last look is too old to act on
	AwaitOld      Word = "await-old"      // an older key's record must stay for now; one roll-over at a time
	AwaitUse      Word = "await-use"      // ripe, and no roll-over is asked for
	AwaitMachines Word = "await-machines" // a machine that serves the same host does not have the key yet
	Promote       Word = "promote"        // take over now
	CurrentUnseen Word = "current-unseen" // the record of the key in use is missing at a server: publish it
)

// Decision is what is to be done with the keys of one host or domain.
type Decision struct {
	Promote bool      // the next key takes over now
	Word    Word      // what the next key awaits
	Until   time.Time // when that may be over, where only time is needed; else zero
	Drop    []string  // keys whose records may go
	Alert   Word      // what is wrong now; "" for nothing
}

// Roll is the keys of one host or domain with what was seen of them.
type Roll struct {
	Current Pair
	Next    *Pair // nil: there is none
	Old     []Pair
	Wanted  bool // a roll-over is asked for, by an operator or by the key's age
	Lack    int  // machines of the host that do not have the next key
}

// Pair is a key and its sight.
type Pair struct {
	Key   Key
	Sight Sight
}

// Decide says what is to be done.
func Decide(roll Roll, r Rules, now time.Time) Decision {
	d := Decision{Word: NoNextKey}
	staying := false
	for _, o := range roll.Old {
		if Of(o.Key, o.Sight, r, now) == Gone {
			d.Drop = append(d.Drop, o.Key.ID)
		} else {
			staying = true
		}
	}
	if c := roll.Current.Sight; !c.Last.IsZero() && c.Since.IsZero() && c.Set {
		d.Alert = CurrentUnseen
	}
	if roll.Next == nil {
		return d
	}
	s := roll.Next.Sight
	d.Word, d.Until = awaits(*roll.Next, r, now)
	switch {
	case d.Word != AwaitUse:
	case staying && !r.Together:
		d.Word = AwaitOld
	case !roll.Wanted:
	case roll.Lack > 0:
		d.Word = AwaitMachines
	case now.Sub(s.Last) > r.Fresh:
		d.Word = AwaitLook
	default:
		d.Word, d.Promote = Promote, true
	}
	return d
}

// awaits is what a next key waits for by itself.
func awaits(p Pair, r Rules, now time.Time) (Word, time.Time) {
	switch Of(p.Key, p.Sight, r, now) {
	case Ripe:
		return AwaitUse, time.Time{}
	case Seen:
		return AwaitCaches, p.Sight.Since.Add(r.wait(p.Sight.TTL))
	}
	if p.Sight.Some {
		return AwaitServers, time.Time{}
	}
	return AwaitPublish, time.Time{}
}
