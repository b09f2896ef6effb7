package policy

import (
	"reflect"
	"testing"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/mtasts"
)

// TestSharedSpace holds the one decision for all hosts against those for each (CMP-3).
func TestSharedSpace(t *testing.T) {
	t.Parallel()
	fail := func(permanent bool) *delivery.Failure { return broken(permanent).Fail }
	lists := append(singles(hosts(false)), pairs(hosts(false))...)
	for _, secure := range booleans {
		for _, f := range findings(false) {
			for _, hs := range lists {
				in := Input{Domain: domain, Finding: f, Destination: delivery.Destination{MXSecure: secure, HasMX: true, Hosts: hs}}
				s, d := DecideShared(in), Decide(in)
				c := checker{t: t, in: in, d: d}
				c.shared(s)
				in.Exception = delivery.Exception{DANEOff: true}
				if off := DecideShared(in); off.Level == LevelOwn || off.Level == LevelDANE || off.Level == LevelDANEOnly || len(off.SetAside) != 1 {
					t.Errorf("DANE is set aside: %s, %v", off.Level, off.SetAside)
				}
				if t.Failed() {
					t.Fatalf("input %s\nshared %+v\ndecision %+v", describe(in), s, d)
				}
			}
			in := Input{Domain: domain, Finding: f, Destination: delivery.Destination{Fail: fail(false)}}
			if s := DecideShared(in); s.Level != LevelWait || s.Text != "SERVFAIL" {
				t.Errorf("the hosts are not known now: %+v", s)
			}
			in.Destination.Fail = fail(true)
			want := map[bool]Level{true: LevelWait, f.Policy != nil && f.Policy.Mode == mtasts.ModeEnforce: LevelSecure}
			if s := DecideShared(in); s.Level != want[true] && !(s.Level == LevelOwn && !f.Defer) {
				t.Errorf("there are no hosts: %+v", s)
			}
		}
	}
}

func (c *checker) shared(s Shared) {
	enforced := c.mode() == mtasts.ModeEnforce
	usable, asked, failed := 0, 0, false
	for i := range c.d.Plans {
		p := &c.d.Plans[i]
		if p.Host.Fail != nil {
			continue
		}
		failed = failed || p.Host.DANE.State == delivery.DANEFailed && c.in.Destination.MXSecure
		asked++
		if p.DANE == delivery.CheckRequire || p.Skip != nil && p.Host.DANE.State == delivery.DANEUsable && c.in.Destination.MXSecure {
			usable++
		}
		asks := p.Skip != nil || p.TLS == delivery.TLSRequired
		c.want(!asks || s.Level != LevelOwn && s.Level != LevelMay, "a host asks for TLS")
		c.want(s.Level != LevelDANEOnly || usable == asked, "a host without usable TLSA records")
		c.want(s.Level != LevelDANE || !enforced, "an enforced policy is lost at hosts without TLSA records")
		c.want(s.Level != LevelDANE && s.Level != LevelDANEOnly || c.in.Destination.MXSecure, "DANE-6: DANE behind a Secure MX answer")
		for _, r := range p.Reports {
			if r.Type == "sts" && r.Failed != nil && r.Failed.Word != reason.STSMXMismatch {
				c.want(reflect.DeepEqual(s.Fault, r.Failed), "POL-7: the fault is the one that is reported")
			}
		}
	}
	all := asked > 0 && usable == asked
	deferred := c.in.Finding.Defer && (len(c.d.Plans) == 0)
	if !deferred {
		c.want((s.Level == LevelWait) == failed, "mail waits exactly for lookups that failed")
		c.want(!all || s.Level == LevelDANEOnly, "every host has usable TLSA records")
		c.want((s.Level == LevelSecure) == (enforced && !failed && !all), "an enforced policy counts where DANE does not at every host")
	} else {
		c.want(s.Level == LevelWait || s.Level == LevelDANEOnly, "STS-6: nobody knows whether MTA-STS applies")
	}
	c.want((s.Level == LevelWait) == (s.Text != ""), "who waits is told why")
	c.want((s.Policy != nil) == (c.mode() != mtasts.ModeNone), "the policy is told")
	c.want((s.Fault != nil) == fails(c.in.Finding), "a fault that is reported is told")
	c.want(s.SetAside == nil, "nothing was set aside")
}
