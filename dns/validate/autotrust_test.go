package validate_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/dns/validate"
	"waxwing/dns/validate/proof"
)

// autotrustOtherwise are the scenarios of roll-overs that do not come out as with unbound, with the reason (VAL-17).
var autotrustOtherwise = map[string]string{
	"autotrust_addpend_2exceed": "a pending key is believed by another answer that a valid key has signed, and not by time alone (RFC 5011 §2.4.1)",
	"autotrust_init_zsk":        "a key without the SEP flag is believed as it stands, and no others by its word (RFC 5011 §3)",
	"autotrust_missing":         "a key that is missing stays so (RFC 5011 §4.2): unbound forgets it after a year",
	"autotrust_missing_returns": "as autotrust_missing",
	"autotrust_revoked_use":     "a key is revoked since it was revoked first: unbound counts anew where it is seen again",
	"autotrust_revtp_use":       "keys are looked at when that is due (RFC 5011 §2.3), and not with each lookup",
}

// TestAutotrust: the replay scenarios of unbound's roll-overs come out as they do there: each key's state, since
// when, the time of the next look, and what is proven by the anchors then (VAL-3, VAL-17, RFC 5011).
func TestAutotrust(t *testing.T) {
	t.Parallel()
	files := scenarioFiles(t, "autotrust_")
	if len(files) != 28 {
		t.Fatalf("%d scenarios", len(files))
	}
	passed := 0
	for _, name := range files {
		r, err := readReplay("testdata/unbound/" + name + ".rpl")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		f := follow(t, r)
		faults := f.play(t)
		why, listed := autotrustOtherwise[name]
		switch {
		case len(faults) == 0 && listed:
			t.Errorf("%s comes out right, and is listed: %s", name, why)
		case len(faults) == 0 && f.checks == 0:
			t.Errorf("%s checks nothing", name)
		case len(faults) == 0:
			passed++
		case !listed:
			t.Errorf("%s: %s", name, strings.Join(faults, "\n\t"))
		default:
			t.Logf("%s: %s: %s", name, why, strings.Join(faults, "; "))
		}
	}
	t.Logf("%d of %d come out as with unbound, %d are listed with a reason", passed, len(files), len(autotrustOtherwise))
}

// following is a scenario in which a zone's keys are followed.
type following struct {
	*replay
	with  validate.Algorithm
	base  proof.Anchor
	state validate.Tracked
	vars  map[string]int64
	// checks counts what was compared.
	checks int
	faults []string
}

// follow reads what is believed, or known, at the scenario's start.
func follow(t *testing.T, r *replay) *following {
	t.Helper()
	f := &following{replay: r, vars: map[string]int64{}}
	f.with.Algorithms, f.with.Digests = oldAlgorithms()
	if !r.dated {
		r.now = time.Unix(0, 0)
	}
	for _, line := range r.tracked {
		if after, ok := strings.CutPrefix(line, ";;last_success: "); ok {
			value, _, _ := strings.Cut(after, ";;")
			f.state.Success = time.Unix(f.value(value), 0)
		}
	}
	for _, k := range f.keys(t, r.tracked) {
		zone := wire.CanonicalName(k.rr.Header().Name)
		f.base.Zone, f.state.Zone = zone, zone
		key, _ := k.rr.(*wire.DNSKEY)
		switch ds, isDS := k.rr.(*wire.DS); {
		case isDS:
			f.base.DS = append(f.base.DS, ds)
		case k.state == "":
			f.base.Keys = append(f.base.Keys, key)
		default:
			f.state.Keys = append(f.state.Keys, validate.TrackedKey{Key: unrevoked(key), State: k.state, Since: time.Unix(k.since, 0)})
		}
	}
	return f
}

func unrevoked(k *wire.DNSKEY) *wire.DNSKEY {
	k = wire.Copy(k).(*wire.DNSKEY)
	k.Flags &^= wire.REVOKE
	return k
}

// autotrustKey is a line of unbound's file of anchors.
type autotrustKey struct {
	rr    wire.RR
	state validate.KeyState
	since int64
}

func (f *following) keys(t *testing.T, lines []string) (out []autotrustKey) {
	t.Helper()
	states := map[string]validate.KeyState{"1": validate.KeyPending, "2": validate.KeyValid, "3": validate.KeyMissing, "4": validate.KeyRevoked}
	for _, line := range lines {
		record, _, _ := strings.Cut(line, ";")
		if strings.TrimSpace(record) == "" {
			continue
		}
		rr, err := wire.NewRR(record)
		if err != nil {
			t.Fatal(err)
		}
		k := autotrustKey{rr: rr}
		if _, after, ok := strings.Cut(line, ";;state="); ok {
			k.state = states[after[:1]]
		}
		if _, after, ok := strings.Cut(line, ";;lastchange="); ok {
			value, _, _ := strings.Cut(after, ";;")
			k.since = f.value(value)
		}
		out = append(out, k)
	}
	return out
}

func (f *following) play(t *testing.T) []string {
	t.Helper()
	var asked replayed
	var at atomic.Int64
	for _, s := range f.steps {
		at.Store(int64(s.number))
		rest := strings.Join(s.rest, " ")
		switch s.kind {
		case "TIME_PASSES":
			f.now = f.now.Add(time.Duration(f.value(strings.Join(s.rest[1:], " "))) * time.Second)
			f.look(s.number)
		case "ASSIGN":
			name, expression, _ := strings.Cut(rest, "=")
			f.vars[strings.TrimSpace(name)] = f.value(expression)
		case "CHECK_AUTOTRUST":
			f.compare(t, s)
		case "QUERY":
			asked = s.entry
		case "CHECK_ANSWER":
			f.checks++
			v := f.validator(t, &at)
			v.Anchors = []proof.Anchor{f.state.Anchor(f.base, f.with)}
			if fault := expect(t, v, asked, s.entry); fault != "" {
				f.fault(s, "%s", fault)
			}
		}
	}
	return f.faults
}

func (f *following) fault(s step, format string, args ...any) {
	f.faults = append(f.faults, fmt.Sprintf("step %d: ", s.number)+fmt.Sprintf(format, args...))
}

// look asks for the zone's keys, if that is due.
func (f *following) look(at int) {
	if f.now.Before(f.state.Next) {
		return
	}
	q := proof.Question{Name: f.state.Zone, Type: wire.TypeDNSKEY}
	var msg *wire.Msg
	if e := f.findIn(q, func(e *replayed) bool { return e.during(at) }); e != nil {
		msg = &wire.Msg{Answer: e.answer}
	}
	f.state = f.state.Observe(msg, f.base, f.now, f.with)
}

// compare compares each key's state, and since when it has it, with the file that unbound writes.
func (f *following) compare(t *testing.T, s step) {
	t.Helper()
	f.checks++
	want, got, start := map[string]string{}, map[string]string{}, map[string]bool{}
	for _, k := range f.keys(t, s.file) {
		if k.state == "" { // it is believed from the start, and nothing more is known of it
			start[k.rr.(*wire.DNSKEY).PublicKey] = true
			continue
		}
		want[k.rr.(*wire.DNSKEY).PublicKey] = fmt.Sprintf("key %d %s since %d", unrevoked(k.rr.(*wire.DNSKEY)).KeyTag(), k.state, k.since)
	}
	for _, k := range f.state.Keys {
		if k.State != validate.KeyRemoved && !(start[k.Key.PublicKey] && k.State == validate.KeyValid) { // unbound forgets those that are removed
			got[k.Key.PublicKey] = fmt.Sprintf("key %d %s since %d", k.Key.KeyTag(), k.State, k.Since.Unix())
		}
	}
	if !maps.Equal(want, got) {
		f.fault(s, "got %q, want %q", slices.Sorted(maps.Values(got)), slices.Sorted(maps.Values(want)))
	}
	for _, line := range s.file {
		after, ok := strings.CutPrefix(line, ";;last_success: ")
		value, _, _ := strings.Cut(after, ";;")
		if ok && !slices.Contains(s.file, ";;REVOKED") && f.value(value) != max(0, f.state.Success.Unix()) {
			f.fault(s, "last seen at %d, want %d", f.state.Success.Unix(), f.value(value))
		}
	}
}

// value is what an expression of a scenario comes to: numbers, variables, sums and
// products, the time, and the time to the next look, of which range says between what it must lie.
func (f *following) value(expression string) int64 {
	text := strings.NewReplacer("${", " ( ", "}", " ) ", "+", " + ", "-", " - ", "*", " * ").Replace(expression)
	e := expressions{f, strings.Fields(text)}
	return e.sum()
}

type expressions struct {
	f    *following
	left []string
}

func (e *expressions) next() string {
	if len(e.left) == 0 {
		return ""
	}
	s := e.left[0]
	e.left = e.left[1:]
	return s
}

func (e *expressions) sum() int64 {
	v := e.one()
	for {
		switch e.next() {
		case "+":
			v += e.one()
		case "-":
			v -= e.one()
		case "*":
			v *= e.one()
		default:
			return v
		}
	}
}

func (e *expressions) one() int64 {
	switch s := e.next(); {
	case s == "(":
		return e.sum()
	case s == "time":
		return e.f.now.Unix()
	case s == "timeout":
		return int64(e.f.state.Next.Sub(e.f.now) / time.Second)
	case s == "range":
		least, v, most := e.one(), e.one(), e.one()
		if e.f.checks++; (v < least || v > most) && most > 0 { // 0: that key is asked for no more there
			e.f.faults = append(e.f.faults, fmt.Sprintf("the next look is in %d s, want %d to %d", v, least, most))
		}
		return v
	case strings.HasPrefix(s, "$"):
		return e.f.vars[s[1:]]
	default:
		n, _ := strconv.ParseInt(s, 10, 64)
		return n
	}
}
