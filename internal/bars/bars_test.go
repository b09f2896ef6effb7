package bars

import (
	"fmt"
	"testing"
	"time"

	"waxwing/internal/explain"
	"waxwing/internal/posture"
	"waxwing/internal/reason"
)

// MAIL-5: every bar over all that can be found of it, by itself.
func TestBars(t *testing.T) {
	t.Parallel()
	host := func(dane ...string) (all []explain.Host) {
		for _, d := range dane {
			all = append(all, explain.Host{Name: "mx.a.test", DANE: d})
		}
		return all
	}
	why := func(w reason.Word) *explain.Reason { return &explain.Reason{Word: w} }
	sts := func(mode, failure string) explain.MTASTS {
		return explain.MTASTS{Looked: true, Mode: mode, Failure: failure}
	}
	for _, tt := range []struct {
		name string
		e    explain.Explanation
		want string // MTA-STS, DNSSEC, DANE
	}{
		{"nothing published", explain.Explanation{Hosts: host("none"), MTASTS: sts("", "")}, "bad none, bad none, bad none"},
		{"no record", explain.Explanation{Hosts: host("none"), MTASTS: sts("", string(reason.STSNoRecord))}, "bad none, bad none, bad none"},
		{"enforced", explain.Explanation{Hosts: host("none"), MTASTS: sts("enforce", "")}, "ok published, bad none, bad none"},
		{"enforced, and not to be had now", explain.Explanation{Hosts: host("none"), MTASTS: sts("enforce", "sts-fetch")}, "ok published, bad none, bad none"},
		{"testing", explain.Explanation{Hosts: host("none"), MTASTS: sts("testing", "")}, "bad testing, bad none, bad none"},
		{"mode none", explain.Explanation{Hosts: host("none"), MTASTS: sts("none", "")}, "bad none, bad none, bad none"},
		{"broken policy", explain.Explanation{Hosts: host("none"), MTASTS: sts("", "sts-fetch")}, "error failing, bad none, bad none"},
		{"signed", explain.Explanation{Hosts: host("none"), Signed: true, MTASTS: sts("", "")}, "bad none, ok published, bad none"},
		{"DANE", explain.Explanation{Hosts: host("usable", "usable"), Signed: true, MTASTS: sts("", "")}, "bad none, ok published, ok published"},
		{"DANE on some", explain.Explanation{Hosts: host("usable", "none"), Signed: true, MTASTS: sts("", "")}, "bad none, ok published, bad partly"},
		{"DANE unusable", explain.Explanation{Hosts: host("usable", "unusable"), Signed: true, MTASTS: sts("", "")}, "bad none, ok published, error unusable"},
		{"DANE failed", explain.Explanation{Hosts: host("failed"), Signed: true, MTASTS: sts("", "")}, "bad none, ok published, error failing"},
		{"a host without address", explain.Explanation{Hosts: []explain.Host{{DANE: "none", Fail: why(reason.NoAddress)}, {DANE: "usable"}}, Signed: true, MTASTS: sts("", "")}, "bad none, ok published, ok published"},
		{"bogus", explain.Explanation{Stop: why(reason.DNSBogus)}, "unknown not-looked, error failing, unknown not-looked"},
		{"no answer", explain.Explanation{Stop: why(reason.DNSTimeout)}, "unknown not-looked, unknown not-looked, unknown not-looked"},
		{"no such domain", explain.Explanation{Stop: why(reason.NoSuchDomain)}, "unknown not-looked, bad none, bad none"},
	} {
		b := Of(&tt.e, nil, false)
		got := fmt.Sprint(b.MTASTS.State, " ", b.MTASTS.Word, ", ", b.DNSSEC.State, " ", b.DNSSEC.Word, ", ", b.DANE.State, " ", b.DANE.Word)
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
		if !b.Whole || b.Capable || b.StartTLS != (Bar{State: Unknown, Word: Unseen}) || b.RequireTLS != b.StartTLS || b.Stop != tt.e.Stop {
			t.Errorf("%s: %+v", tt.name, b)
		}
	}
}

// What deliveries have shown stands for STARTTLS and REQUIRETLS always, and for the others until they are looked up.
func TestSeen(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for word, want := range map[posture.Word]Bar{
		posture.Yes: {State: OK, Word: Seen, At: at}, posture.Partly: {State: Bad, Word: SeenPartly, At: at}, posture.No: {State: Bad, Word: SeenNot, At: at},
		posture.Broken: {State: Error, Word: SeenBroken, At: at}, posture.Unknown: {State: Unknown, Word: Unseen, At: at},
	} {
		f := posture.Fact{Word: word, At: at}
		b := Of(nil, &posture.Facts{StartTLS: f, MTASTS: f, DNSSEC: f, DANE: f, RequireTLS: f}, false)
		if b.StartTLS != want || b.MTASTS != want || b.DNSSEC != want || b.DANE != want || b.RequireTLS != want || b.Whole {
			t.Errorf("%q: %+v", word, b)
		}
	}
	for mode, want := range map[string]Bar{"enforce": {State: OK, Word: Seen}, "testing": {State: Bad, Word: Testing}, "none": {State: Bad, Word: None}} {
		if b := Of(nil, &posture.Facts{MTASTS: posture.Fact{Word: posture.Word(mode)}}, false); b.MTASTS != want {
			t.Errorf("%s: %+v", mode, b)
		}
	}
	if b := Of(nil, nil, false); b.StartTLS.State != Unknown || b.Whole || b.Capable {
		t.Errorf("%+v", b)
	}
}

// REQUIRETLS can be asked for where it was seen, with TLS, and the host's name is proven by DANE or MTA-STS: over all states.
func TestCapable(t *testing.T) {
	t.Parallel()
	words := []posture.Word{posture.Unknown, posture.Yes, posture.Partly, posture.No, posture.Broken}
	for _, tls := range words {
		for _, require := range words {
			for _, dane := range []string{"none", "usable", "unusable", "failed"} {
				for _, mode := range []string{"", "none", "testing", "enforce"} {
					for _, stop := range []*explain.Reason{nil, {Word: reason.NullMX}} {
						e := &explain.Explanation{Hosts: []explain.Host{{DANE: dane}}, MTASTS: explain.MTASTS{Looked: true, Mode: mode}, Stop: stop}
						got := Of(e, &posture.Facts{StartTLS: posture.Fact{Word: tls}, RequireTLS: posture.Fact{Word: require}}, false).Capable
						if want := tls == posture.Yes && require == posture.Yes && (dane == "usable" || mode == "enforce") && stop == nil; got != want {
							t.Errorf("STARTTLS %s, REQUIRETLS %s, DANE %s, MTA-STS %s, %v: %t", tls, require, dane, mode, stop, got)
						}
					}
				}
			}
		}
	}
}

// Mail that stays here needs nothing of it, and of mail to a relay nothing is known.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	if b := Of(nil, nil, true); !b.Capable || !b.Whole || b.DANE != (Bar{State: OK, Word: Here}) {
		t.Errorf("%+v", b)
	}
	relay := &explain.Explanation{Way: &explain.Way{Transport: "out", Kind: "relay"}, Signed: true, Hosts: []explain.Host{{DANE: "usable"}}}
	if b := Of(relay, nil, false); b.Capable || b.DNSSEC != (Bar{State: Unknown, Word: Way, Detail: "out"}) {
		t.Errorf("%+v", b)
	}
	proxy := &explain.Explanation{Way: &explain.Way{Transport: "out", Kind: "socks5"}, Signed: true}
	if b := Of(proxy, nil, false); b.DNSSEC.State != OK {
		t.Errorf("%+v", b)
	}
}
