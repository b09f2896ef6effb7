package route

import (
	"strings"
	"testing"

	"waxwing/dns"
	"waxwing/internal/delivery"
)

// QUE-3: what is paced and closed is what is connected to.
func TestContact(t *testing.T) {
	t.Parallel()
	w := &Ways{Transports: map[string]Transport{}}
	for _, k := range Kinds() {
		w.Transports["my-"+string(k)] = Transport{Name: "my-" + string(k), Kind: k}
	}
	for own, want := range map[string]string{
		"": "b.test", DirectName: "b.test", LocalName: "b.test via:local",
		"my-direct": "b.test via:my-direct", "my-socks5": "b.test via:my-socks5", "my-local": "b.test via:my-local",
		"my-smarthost": "via:my-smarthost", "my-submission": "via:my-submission", "my-fail": "via:my-fail",
		"missing": "via:missing",
	} {
		got := w.Choose(Subject{Own: own, Recipient: delivery.RecipientDomain{Name: dns.MustParse("b.test")}}).Contact
		if got.String() != want {
			t.Errorf("%q: %q, want %q", own, got, want)
		}
		read := delivery.ParseContact(got.String())
		if read != got || read.Domain != "" && read.Domain != "b.test" || read.Transport != own && (own != DirectName || read.Transport != "") {
			t.Errorf("%q: read as %+v", got, read)
		}
	}
	w.Rules = []Rule{{Scope: OfServer, MinAttempts: 2, Transport: "my-smarthost"}}
	for attempts, want := range map[int]string{0: "b.test", 1: "b.test", 2: "via:my-smarthost"} {
		if got := w.Choose(Subject{Attempts: attempts, Recipient: delivery.RecipientDomain{Name: dns.MustParse("b.test")}}).Contact; got.String() != want {
			t.Errorf("after %d attempts %q, want %q", attempts, got, want)
		}
	}
}

// Which ways several contacts share.
func TestShared(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		contact delivery.Contact
		text    string
		way     string
		shared  bool
	}{
		{delivery.Contact{Domain: "b.test"}, "b.test", "", false},
		{delivery.Contact{Transport: "isp"}, "via:isp", "", false}, // the way is the contact itself
		{delivery.Contact{Domain: "b.test", Transport: "proxy"}, "b.test via:proxy", "via:proxy", true},
		{delivery.Contact{}, "", "", false},
	} {
		if way, ok := c.contact.Shared(); way.String() != c.way || ok != c.shared || c.contact.String() != c.text {
			t.Errorf("%s: %q, %v, want %q, %v", c.contact, way, ok, c.way, c.shared)
		}
	}
}

// TLS reports go to the report relay, if there is one, whatever the rules; nothing else does.
func TestReports(t *testing.T) {
	t.Parallel()
	w := &Ways{Rules: []Rule{{Scope: OfServer, Transport: "isp"}}, Transports: map[string]Transport{"isp": {Kind: Smarthost}}}
	if CheckName(ReportsName) == nil {
		t.Error("an operator's transport could have the name")
	}
	for _, w.Reports = range []bool{false, true} {
		for p := delivery.Mail; p <= delivery.DMARCReport; p++ {
			for _, own := range []string{"", "isp"} {
				want := "isp"
				if w.Reports && p == delivery.TLSReport {
					want = ReportsName
				}
				got := w.Choose(Subject{Purpose: p, Own: own, Recipient: domain("b.test")})
				if got.Transport != want || got.Contact != (delivery.Contact{Transport: want}) || got.Why == "" {
					t.Errorf("%s: %+v, want %s", p, got, want)
				}
			}
		}
	}
}

// TestBadRule (TRA-4): a rule that cannot be read holds just the mail that it may have been
// meant for, in the lane that it would be in: over all rows with one fault, beside a good
// rule before and one after it, and all mail.
func TestBadRule(t *testing.T) {
	t.Parallel()
	good := Row{ID: 2, Scope: int64(OfDomain), Owner: "a.test", Position: 5, Recipient: "b.test", Sender: "a.test", MinAttempts: 2, Need: int64(delivery.RequireTLS), Transport: "isp"}
	if r, bad := good.Read(); bad != nil || r.Scope != OfDomain || r.Recipient.String() != "b.test" || r.Sender.String() != "a.test" || r.MinAttempts != 2 || *r.Need != delivery.RequireTLS {
		t.Fatalf("%+v, %+v", r, bad)
	}
	is := map[string]func(Subject) bool{
		"owner":     func(s Subject) bool { return s.Sender.ASCII() == "a.test" },
		"recipient": func(s Subject) bool { return s.Recipient.String() == "b.test" },
		"sender":    func(s Subject) bool { return s.Sender.ASCII() == "a.test" },
		"attempts":  func(s Subject) bool { return s.Attempts >= 2 },
		"need":      func(s Subject) bool { return s.Need == delivery.RequireTLS },
	}
	for name, c := range map[string]struct {
		fault   func(*Row)
		unread  string // the criteria that cannot be read
		anybody bool
	}{
		"recipient":         {func(r *Row) { r.Recipient = "not a domain" }, "recipient", false},
		"sender":            {func(r *Row) { r.Sender = "not a domain" }, "sender", false},
		"both":              {func(r *Row) { r.Sender, r.Recipient = "..", "-." }, "recipient sender", false},
		"attempts below":    {func(r *Row) { r.MinAttempts = -1 }, "attempts", false},
		"attempts above":    {func(r *Row) { r.MinAttempts = 1001 }, "attempts", false},
		"need":              {func(r *Row) { r.Need = 9 }, "need", false},
		"need that wraps":   {func(r *Row) { r.Need = 256 }, "need", false},
		"transport":         {func(r *Row) { r.Transport = "no such name" }, "", false},
		"scope":             {func(r *Row) { r.Scope = 9 }, "owner", true},
		"scope that wraps":  {func(r *Row) { r.Scope = 256 }, "owner", true},
		"scope below":       {func(r *Row) { r.Scope = -1 }, "owner", true},
		"owner":             {func(r *Row) { r.Owner = "" }, "owner", true},
		"owner of a server": {func(r *Row) { r.Scope = int64(OfServer) }, "owner", true},
	} {
		row := good
		c.fault(&row)
		_, bad := row.Read()
		if bad == nil || bad.Err == nil || bad.Anybody != c.anybody {
			t.Errorf("%s: %+v", name, bad)
			continue
		}
		before := Rule{ID: 1, Scope: OfDomain, Owner: "a.test", Position: 4, Recipient: Pattern{Domain: dns.MustParse("b.test")}, MinAttempts: 5, Transport: "first"}
		after := Rule{ID: 3, Scope: OfServer, Transport: "isp"}
		for _, rules := range [][]Rule{nil, {after}, {before, after}} {
			w := &Ways{Rules: rules, Transports: map[string]Transport{"isp": {Kind: Smarthost}}, Bad: []BadRule{*bad}}
			subjects(func(s Subject) {
				want := true
				for criterion, holds := range is {
					if !strings.Contains(c.unread, criterion) && !holds(s) {
						want = false
					}
				}
				plain := Choose(rules, s)
				if s.Own != "" || !c.anybody && plain.Rule != nil && plain.Rule.ID == 1 {
					want = false // no rule is asked, or one before it takes it
				}
				got := w.Choose(s)
				if held := got.Transport == ""; held != want || held && !strings.Contains(got.Why, delivery.ID(2).String()) || !held && got.Transport != plain.Transport {
					t.Errorf("%s, %d rules, %+v: %+v, held is to be %v", name, len(rules), s, got, want)
				}
				if got.Contact != w.contact(s, plain.Transport) || w.Choice(s).Transport != got.Transport {
					t.Errorf("%s: %+v: another lane, or another choice: %+v", name, s, got)
				}
			})
		}
	}
}

// subjects calls fn with mail of each sort.
func subjects(fn func(Subject)) {
	for _, sender := range []string{"a.test", "c.test", ""} {
		for _, to := range []string{"b.test", "d.test"} {
			for _, attempts := range []int{0, 2, 5} {
				for _, need := range []delivery.TLSNeed{delivery.FollowPolicy, delivery.RequireTLS} {
					for _, own := range []string{"", DirectName} {
						s := Subject{Account: "x", Recipient: domain(to), Attempts: attempts, Need: need, Own: own}
						if sender != "" {
							s.Sender = dns.MustParse(sender)
						}
						fn(s)
					}
				}
			}
		}
	}
}

// A need that can be read stays a criterion of a rule whose transport cannot be.
func TestBadRuleKeepsItsNeed(t *testing.T) {
	t.Parallel()
	for _, need := range []delivery.TLSNeed{delivery.FollowPolicy, delivery.RequireTLS, delivery.TLSOptional} {
		_, bad := Row{ID: 1, Need: int64(need), Transport: "no such name"}.Read()
		if bad == nil || bad.Rule.Need == nil || *bad.Rule.Need != need {
			t.Errorf("%s: %+v", need, bad)
		}
	}
}

// A rule of the server's whose owner is no fault stands where it stands; and the number of attempts
// is kept up to the highest there may be.
func TestBadRuleOfTheServer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ attempts, kept int }{{-1, 0}, {0, 0}, {1, 1}, {maxAttempts, maxAttempts}, {maxAttempts + 1, 0}} {
		_, bad := Row{ID: 1, Scope: int64(OfServer), MinAttempts: int64(tt.attempts), Need: -1, Transport: "no such name"}.Read()
		if bad == nil || bad.Anybody || bad.Rule.MinAttempts != tt.kept {
			t.Errorf("%d attempts: %+v, want %d", tt.attempts, bad, tt.kept)
		}
	}
}
