package keystage

import "time"

// Want is a certificate that there should be.
type Want struct {
	Name string // the only name in it
	Key  string // the ID of the key that it is for
	Next bool   // for the key that is to take over, and not in use yet
}

// Wants are the certificates that there should be: of the host ("": it has one of
// files) for each key in use
// and, once a roll-over is under way and the record of the next key is seen, for that
// one; of the other names for the first roll's key in use. Each name has a
// certificate of its own, so that one which the authority refuses costs no other its.
func Wants(host string, names []string, rolls []Roll, r Rules, now time.Time) []Want {
	var all []Want
	for _, roll := range rolls {
		if host == "" {
			break
		}
		all = append(all, Want{Name: host, Key: roll.Current.Key.ID})
		if roll.Next == nil || !roll.Wanted {
			continue
		}
		switch Of(roll.Next.Key, roll.Next.Sight, r, now) {
		case Seen, Ripe:
			all = append(all, Want{Name: host, Key: roll.Next.Key.ID, Next: true})
		}
	}
	for _, n := range names {
		if n != host && len(rolls) > 0 {
			all = append(all, Want{Name: n, Key: rolls[0].Current.Key.ID})
		}
	}
	return all
}

// Takes says whether a next key takes over: the decision says so, and where an
// authority issues certificates there is a valid one of the host for the key.
func Takes(d Decision, authority, certified bool) bool {
	return d.Promote && (!authority || certified)
}
