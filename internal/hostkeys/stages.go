package hostkeys

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"waxwing/internal/dnsrecords"
	"waxwing/internal/keystage"
	"waxwing/internal/store"
)

// Area is raised in the store when another key comes into use.
const Area = "host_key"

// Stages keeps how far the keys of one host are. Several machines of the host share
// it, and have the same keys in their directories: what one lacks is known.
type Stages struct {
	DB      *store.Store
	Host    string // its name in ASCII
	Dir     string // of the key files
	Machine string // names this one among those of the host
	Boot    Boot   // tells it from copies of it; zero: there are none
	Now     func() time.Time
}

// Boot is a machine's run since it was started, which no copy of the machine shares.
type Boot struct {
	ID string
	At time.Time // when it began
}

// self is what this machine has in the store.
func (s *Stages) self() string {
	if s.Boot.ID == "" {
		return s.Machine
	}
	return s.Machine + " " + s.Boot.ID
}

// Roll is the keys of one algorithm: stages in the store, keys in files. IDs of
// package keystage are digests in hexadecimal.
type Roll struct {
	Algorithm Algorithm
	keystage.Roll
	Dropped []keystage.Pair // whose records may go
	Keys    map[string]Key  // by digest: those that this machine has
	Numbers map[string]int  // of all
	Spare   []Key           // files of keys after the next one
}

// ID is what people call the key with a digest.
func (r Roll) ID(digest string) string { return fmt.Sprintf("%s-%d", r.Algorithm, r.Numbers[digest]) }

// holds is for how long a machine counts that has not been heard of.
const holds = 7 * 24 * time.Hour

// state is a row of host_key.
type state struct {
	pair      keystage.Pair
	algorithm Algorithm
	number    int
	dropped   time.Time
	wanted    time.Time
}

const columns = `spki, algorithm, number, made, announced, promoted, retired, dropped, wanted, seen_last, seen_since, seen_ttl, seen_some, seen_set`

func scan(r store.Row) (state, error) {
	var s state
	var made, announced, promoted, retired, dropped, wanted, last, since, ttl int64
	var some, set bool
	var number int64
	err := r.Scan(&s.pair.Key.ID, &s.algorithm, &number, &made, &announced, &promoted, &retired, &dropped, &wanted, &last, &since, &ttl, asBool{&some}, asBool{&set})
	s.number = int(number)
	k := &s.pair.Key
	k.Made, k.Announced, k.Promoted, k.Retired = store.FromTime(made), store.FromTime(announced), store.FromTime(promoted), store.FromTime(retired)
	s.pair.Sight = keystage.Sight{Last: store.FromTime(last), Since: store.FromTime(since), TTL: time.Duration(ttl), Some: some, Set: set}
	s.dropped, s.wanted = store.FromTime(dropped), store.FromTime(wanted)
	return s, err
}

// asBool reads a SMALLINT.
type asBool struct{ to *bool }

func (b asBool) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("%v is no number", v)
	}
	*b.to = n != 0
	return nil
}

func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// Sync reads the key files, notes in the store those that are new and that this
// machine has them, and returns the keys of each algorithm. The first key that a host
// ever had is in use from then on: nothing was promised of another one.
func (s *Stages) Sync(ctx context.Context) ([]Roll, error) {
	keys, err := Read(s.Dir)
	if err != nil {
		return nil, err
	}
	var rolls []Roll
	err = s.DB.Read(ctx, func(tx *store.Tx) (err error) {
		rolls, err = s.sync(tx, keys, false)
		return err
	})
	if errors.Is(err, errStale) {
		err = s.DB.Write(ctx, func(tx *store.Tx) (err error) {
			rolls, err = s.sync(tx, keys, true)
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("the stages of the host keys: %w", err)
	}
	return rolls, nil
}

// errStale: something is to be written.
var errStale = errors.New("stale")

// sync reads the rolls. Where something is to be written, it does so, or returns
// errStale where it may not: most of the time there is nothing.
func (s *Stages) sync(tx *store.Tx, keys []Key, write bool) (rolls []Roll, err error) {
	if write {
		err = s.note(tx, keys)
	} else {
		err = s.noted(tx, keys)
	}
	if err != nil {
		return nil, err
	}
	for _, a := range Algorithms() {
		r, err := s.roll(tx, a, keys, write)
		if err != nil {
			return nil, err
		}
		if r != nil {
			rolls = append(rolls, *r)
		}
	}
	return rolls, nil
}

// noteEvery is how often a machine says that it is there.
const noteEvery = time.Hour

// noted is nil if the store knows just these keys of this machine, and of late.
func (s *Stages) noted(tx *store.Tx, keys []Key) error {
	known, err := store.Column[string](tx, `SELECT spki FROM host_key_holder WHERE host = ? AND machine = ? AND at > ? ORDER BY spki`, s.Host, s.self(), store.Time(s.Now().Add(-noteEvery)))
	if err != nil {
		return err
	}
	have := []string{""}
	for _, k := range keys {
		have = append(have, hex.EncodeToString(k.SPKI))
	}
	slices.Sort(have)
	slices.Sort(known)
	if !slices.Equal(have, known) {
		return errStale
	}
	return nil
}

// note stores the keys of this machine.
func (s *Stages) note(tx *store.Tx, keys []Key) error {
	now := store.Time(s.Now())
	if _, err := tx.Exec(`DELETE FROM host_key_holder WHERE host = ? AND (machine = ? OR at < ?)`, s.Host, s.self(), store.Time(s.Now().Add(-holds))); err != nil {
		return err
	}
	if err := s.forgetEarlier(tx); err != nil {
		return err
	}
	hold := func(spki string) error {
		_, err := tx.Exec(`INSERT INTO host_key_holder (host, machine, spki, at) VALUES (?, ?, ?, ?) ON CONFLICT (host, machine, spki) DO NOTHING`, s.Host, s.self(), spki, now)
		return err
	}
	if err := hold(""); err != nil {
		return err
	}
	for _, k := range keys {
		spki := hex.EncodeToString(k.SPKI)
		if err := hold(spki); err != nil {
			return err
		}
		if _, err := tx.Exec(`INSERT INTO host_key (host, `+columns+`) VALUES (?, ?, ?, ?, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) ON CONFLICT (host, spki) DO NOTHING`,
			s.Host, spki, string(k.Algorithm), int64(k.Number), store.Time(k.Made)); err != nil {
			return err
		}
	}
	return nil
}

// forgetEarlier removes what this machine noted before it was started anew: whoever has its
// name and has not been heard of for two turns does not run.
func (s *Stages) forgetEarlier(tx *store.Tx) error {
	if s.Boot.ID == "" {
		return nil
	}
	all, err := s.namesakes(tx)
	if err != nil {
		return err
	}
	for _, n := range all {
		if n.machine != s.Machine && !n.at.Before(s.Now().Add(-2*noteEvery)) {
			continue // it may run; the name alone was written by an older version
		}
		if _, err := tx.Exec(`DELETE FROM host_key_holder WHERE host = ? AND machine = ?`, s.Host, n.machine); err != nil {
			return err
		}
	}
	return nil
}

// namesake is a machine with this one's name, or an earlier run of this one.
type namesake struct {
	machine string
	at      time.Time // when it was last heard of
}

func (s *Stages) namesakes(tx *store.Tx) (all []namesake, err error) {
	err = tx.Each(func(r store.Row) error {
		var n namesake
		var at int64
		if err := r.Scan(&n.machine, &at); err != nil {
			return err
		}
		n.at = store.FromTime(at)
		if n.machine == s.Machine || n.machine != s.self() && s.isRun(n.machine) {
			all = append(all, n)
		}
		return nil
	}, `SELECT machine, at FROM host_key_holder WHERE host = ? AND spki = ''`, s.Host)
	return all, err
}

// isRun reports that a machine in the store is this one's name with the ID of a run, which
// has no blank in it.
func (s *Stages) isRun(machine string) bool {
	id, ours := strings.CutPrefix(machine, s.Machine+" ")
	return ours && !strings.Contains(id, " ")
}

// Twins is how many other machines run under this one's name: copies of it. An earlier run of
// this machine is none, since it was not heard of after this one began.
func (s *Stages) Twins(ctx context.Context) (n int, err error) {
	if s.Boot.ID == "" {
		return 0, nil
	}
	err = s.DB.Read(ctx, func(tx *store.Tx) error {
		all, err := s.namesakes(tx)
		n = 0
		for _, x := range all {
			if x.machine != s.Machine && x.at.After(s.Boot.At) && x.at.After(s.Now().Add(-2*noteEvery)) {
				n++
			}
		}
		return err
	})
	return n, err
}

// Others is how many other machines of the host there are, or were within a week: copies of
// this one, and those of other names.
func (s *Stages) Others(ctx context.Context) (n int, err error) {
	if n, err = s.Twins(ctx); err != nil {
		return 0, err
	}
	all, err := store.List(ctx, s.DB, store.Value[string], `SELECT machine FROM host_key_holder WHERE host = ? AND spki = '' AND at >= ?`, s.Host, store.Time(s.Now().Add(-holds)))
	for _, m := range all {
		if m != s.Machine && !s.isRun(m) {
			n++
		}
	}
	return n, err
}

// roll sorts the keys of an algorithm; nil where there is none.
func (s *Stages) roll(tx *store.Tx, a Algorithm, keys []Key, write bool) (*Roll, error) {
	rows, err := s.rows(tx, a, write)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	if !slices.ContainsFunc(rows, inUse) {
		if !write {
			return nil, errStale
		}
		first := slices.IndexFunc(rows, func(x state) bool { return x.pair.Key.Retired.IsZero() })
		if first < 0 {
			return nil, fmt.Errorf("every %s key of %s is retired: \"waxwing cert add --algorithm %s\" makes one", a, s.Host, a)
		}
		k := &rows[first].pair.Key
		k.Promoted = s.Now()
		if _, err := tx.Exec(`UPDATE host_key SET promoted = ?, announced = CASE announced WHEN 0 THEN ? ELSE announced END WHERE host = ? AND spki = ?`,
			store.Time(k.Promoted), store.Time(k.Promoted), s.Host, k.ID); err != nil {
			return nil, err
		}
	}
	r := &Roll{Algorithm: a, Keys: map[string]Key{}, Numbers: map[string]int{}}
	for _, k := range keys {
		if k.Algorithm == a {
			r.Keys[hex.EncodeToString(k.SPKI)] = k
		}
	}
	for _, row := range rows {
		r.place(row)
	}
	if r.Next == nil {
		return r, nil
	}
	if r.Next.Key.Announced.IsZero() && !write {
		return nil, errStale
	}
	if r.Next.Key.Announced.IsZero() { // what lists records has it from now on
		r.Next.Key.Announced = s.Now()
		if _, err := tx.Exec(`UPDATE host_key SET announced = ? WHERE host = ? AND spki = ?`, store.Time(s.Now()), s.Host, r.Next.Key.ID); err != nil {
			return nil, err
		}
	}
	var lack int64
	err = tx.Row(`SELECT count(*) FROM host_key_holder m WHERE host = ? AND spki = '' AND at >= ? AND NOT EXISTS
		(SELECT 1 FROM host_key_holder k WHERE k.host = m.host AND k.machine = m.machine AND k.spki = ?)`, s.Host, store.Time(s.Now().Add(-holds)), r.Next.Key.ID).Scan(&lack)
	r.Lack = int(lack)
	return r, err
}

func (s *Stages) rows(tx *store.Tx, a Algorithm, write bool) ([]state, error) {
	wait := ""
	if write {
		wait = tx.Wait()
	}
	return store.Collect(tx, scan, `SELECT `+columns+` FROM host_key WHERE host = ? AND algorithm = ? ORDER BY number, made, spki`+wait, s.Host, string(a))
}

func inUse(x state) bool {
	return !x.pair.Key.Promoted.IsZero() && x.pair.Key.Retired.IsZero()
}

// place puts a row where it belongs.
func (r *Roll) place(x state) {
	id := x.pair.Key.ID
	r.Numbers[id] = x.number
	switch {
	case !x.dropped.IsZero():
		r.Dropped = append(r.Dropped, x.pair)
	case !x.pair.Key.Retired.IsZero():
		r.Old = append(r.Old, x.pair)
	case inUse(x):
		r.Current, r.Wanted = x.pair, !x.wanted.IsZero()
	case r.Next == nil:
		r.Next = &x.pair
	default:
		if k, here := r.Keys[id]; here {
			r.Spare = append(r.Spare, k)
		}
	}
}

// Look is what the servers of the zone showed of the host's TLSA records.
type Look struct {
	At  time.Time
	TTL time.Duration // the longest
	// Servers is what each has: the SHA-256 digests of records 3 1 1, in hexadecimal.
	Servers [][]string
	// Set: a server has TLSA records, of whatever kind.
	Set bool
}

// of is the look at one key.
func (l Look) of(digest string) keystage.Look {
	k := keystage.Look{At: l.At, TTL: l.TTL, Set: l.Set, All: len(l.Servers) > 0}
	for _, has := range l.Servers {
		in := slices.Contains(has, digest)
		k.All, k.Any = k.All && in, k.Any || in
	}
	return k
}

// Looked folds a look that reached every server into what is known of each key.
func (s *Stages) Looked(ctx context.Context, l Look) error {
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		for _, a := range Algorithms() {
			rows, err := s.rows(tx, a, true)
			if err != nil {
				return err
			}
			for _, x := range rows {
				if !l.At.After(x.pair.Sight.Last) {
					continue // an older look came late
				}
				f := x.pair.Sight.Fold(l.of(x.pair.Key.ID))
				if _, err := tx.Exec(`UPDATE host_key SET seen_last = ?, seen_since = ?, seen_ttl = ?, seen_some = ?, seen_set = ? WHERE host = ? AND spki = ?`,
					store.Time(f.Last), store.Time(f.Since), int64(f.TTL), number(f.Some), number(f.Set), s.Host, x.pair.Key.ID); err != nil {
					return err
				}
			}
		}
		_, err := tx.Exec(`UPDATE host_look SET looked = ?, detail = '' WHERE host = ?`, store.Time(l.At), s.Host)
		return err
	})
	if err != nil {
		return fmt.Errorf("note what DNS showed of the host keys: %w", err)
	}
	return nil
}

// TakeLook takes the next look for this machine if it is due; the one after it is due
// after pause.
func (s *Stages) TakeLook(ctx context.Context, pause time.Duration) (mine bool, err error) {
	now := s.Now()
	later, err := store.List(ctx, s.DB, store.Value[int64], `SELECT look_at FROM host_look WHERE host = ? AND look_at > ?`, s.Host, store.Time(now))
	if len(later) > 0 || err != nil {
		return false, err
	}
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		if _, err := tx.Exec(`INSERT INTO host_look (host, look_at, looked, detail) VALUES (?, 0, 0, '') ON CONFLICT (host) DO NOTHING`, s.Host); err != nil {
			return err
		}
		n, err := tx.Exec(`UPDATE host_look SET look_at = ? WHERE host = ? AND look_at <= ?`, store.Time(now.Add(pause)), s.Host, store.Time(now))
		mine = n > 0
		return err
	})
	return mine, err
}

// Missed notes why a look did not reach every server.
func (s *Stages) Missed(ctx context.Context, why string) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE host_look SET detail = ? WHERE host = ?`, why, s.Host)
		return err
	})
}

// LastLook is when every server was last reached, and what has kept later looks from it.
func (s *Stages) LastLook(ctx context.Context) (at time.Time, detail string, err error) {
	err = s.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Each(func(r store.Row) error {
			var n int64
			err := r.Scan(&n, &detail)
			at = store.FromTime(n)
			return err
		}, `SELECT looked, detail FROM host_look WHERE host = ?`, s.Host)
	})
	return at, detail, err
}

// ErrChanged: another machine or command was faster.
var ErrChanged = errors.New("the keys have changed meanwhile")

// Promote has the next key take over. The error is ErrChanged if it is not the next
// one any more.
func (s *Stages) Promote(ctx context.Context, r Roll) error {
	if r.Next == nil {
		return ErrChanged
	}
	now := store.Time(s.Now())
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE host_key SET retired = ?, wanted = 0 WHERE host = ? AND spki = ? AND promoted <> 0 AND retired = 0`, now, s.Host, r.Current.Key.ID)
		if err != nil {
			return err
		}
		m, err := tx.Exec(`UPDATE host_key SET promoted = ? WHERE host = ? AND spki = ? AND promoted = 0 AND retired = 0`, now, s.Host, r.Next.Key.ID)
		if err != nil {
			return err
		}
		if n != 1 || m != 1 {
			return ErrChanged
		}
		return tx.Raise(Area)
	})
}

// Want asks for a roll-over, or takes that back.
func (s *Stages) Want(ctx context.Context, r Roll, wanted bool) error {
	at := time.Time{}
	if wanted {
		at = s.Now()
	}
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE host_key SET wanted = ? WHERE host = ? AND spki = ? AND promoted <> 0 AND retired = 0`, store.Time(at), s.Host, r.Current.Key.ID)
		if err == nil && n == 0 {
			err = ErrChanged
		}
		if err != nil {
			return err
		}
		return tx.Raise(Area)
	})
}

// Drop notes that the records of old keys may go.
func (s *Stages) Drop(ctx context.Context, digests []string) error {
	if len(digests) == 0 {
		return nil
	}
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		for _, d := range digests {
			if _, err := tx.Exec(`UPDATE host_key SET dropped = ? WHERE host = ? AND spki = ? AND retired <> 0 AND dropped = 0`, store.Time(s.Now()), s.Host, d); err != nil {
				return err
			}
		}
		return tx.Raise(Area)
	})
}

// Published are the keys whose TLSA records belong in DNS now, for package dnsrecords:
// those in use, the next ones, and old ones for as long as caches may want them. It
// changes nothing; before the host's first Sync it goes by the files.
func (s *Stages) Published(ctx context.Context) ([]dnsrecords.Key, error) {
	keys, err := Read(s.Dir)
	if err != nil {
		return nil, err
	}
	var out []dnsrecords.Key
	err = s.DB.Read(ctx, func(tx *store.Tx) error {
		out = nil
		for _, a := range Algorithms() {
			rows, err := s.rows(tx, a, false)
			if err != nil {
				return err
			}
			if rows == nil {
				rows = fresh(keys, a)
			}
			r := Roll{Keys: map[string]Key{}, Numbers: map[string]int{}}
			for _, row := range rows {
				r.place(row)
			}
			out = append(out, r.published()...)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("the stages of the host keys: %w", err)
	}
	return out, nil
}

// fresh are the rows of keys that no Sync has seen: the first is in use.
func fresh(keys []Key, a Algorithm) (rows []state) {
	for _, k := range keys {
		if k.Algorithm != a {
			continue
		}
		x := state{pair: keystage.Pair{Key: keystage.Key{ID: hex.EncodeToString(k.SPKI), Made: k.Made}}, algorithm: a, number: k.Number}
		if rows == nil {
			x.pair.Key.Promoted = k.Made
		}
		rows = append(rows, x)
	}
	return rows
}

func (r *Roll) published() []dnsrecords.Key {
	var all []dnsrecords.Key
	add := func(p keystage.Pair, next bool) {
		if b, err := hex.DecodeString(p.Key.ID); err == nil && p.Key.ID != "" {
			all = append(all, dnsrecords.Key{SPKI: b, Next: next})
		}
	}
	add(r.Current, false)
	if r.Next != nil {
		add(*r.Next, true)
	}
	for _, o := range r.Old {
		add(o, false)
	}
	return all
}
