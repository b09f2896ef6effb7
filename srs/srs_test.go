package srs_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"waxwing/smtp"
	"waxwing/srs"
)

func at(day int) srs.Scheme {
	return srs.Scheme{Secret: []byte("a secret"), Now: time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC).AddDate(0, 0, day)}
}

// TestRoundTrip (ACC-1): what was rewritten leads back for some weeks, whatever case became of
// it, and one that others have rewritten leads to the first of them.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ local, domain, prefix, want string }{
		{"Joe", "example.org", "SRS0=", "Joe@example.org"},
		{"bounces+1=2", "news.example.org", "SRS0=", "bounces+1=2@news.example.org"},
		{"a b", "example.org", "SRS0=", `"a b"@example.org`},
		{"SRS0=HHHH=TT=example.org=joe", "first.test", "SRS1=", "SRS0=HHHH=TT=example.org=joe@first.test"},
		{"srs0+HHHH=TT=example.org=joe", "first.test", "SRS1=", "SRS0+HHHH=TT=example.org=joe@first.test"},
		{"SRS1=GGGG=first.test==HHHH=TT=example.org=joe", "second.test", "SRS1=", "SRS0=HHHH=TT=example.org=joe@first.test"},
	} {
		local, err := at(0).Forward(smtp.Address{Local: c.local, Domain: c.domain}, "here.test")
		if err != nil || !strings.HasPrefix(local, c.prefix) {
			t.Fatalf("%s@%s became %q, %v", c.local, c.domain, local, err)
		}
		for _, day := range []int{0, 1, srs.Lifetime, -1} {
			got, err := at(day).Reverse(local)
			if err != nil || got.String() != c.want {
				t.Errorf("%s, day %d: %s, %v", local, day, got, err)
			}
		}
		if got, err := at(0).Reverse(strings.ToLower(local)); err != nil || !strings.EqualFold(got.String(), c.want) {
			t.Errorf("%s in lower case: %s, %v", local, got, err)
		}
		if _, err := (srs.Scheme{Secret: []byte("another"), Now: at(0).Now}).Reverse(local); !errors.Is(err, srs.ErrHash) {
			t.Errorf("%s with another secret: %v", local, err)
		}
		for i := range local {
			forged := local[:i] + "x" + local[i+1:]
			if strings.EqualFold(forged, local) {
				continue
			}
			if _, err := at(0).Reverse(forged); err == nil {
				t.Errorf("%s was taken for %s", forged, local)
			}
		}
	}
}

func TestDays(t *testing.T) {
	t.Parallel()
	local, err := at(0).Forward(smtp.Address{Local: "joe", Domain: "example.org"}, "here.test")
	if err != nil {
		t.Fatal(err)
	}
	for _, day := range []int{srs.Lifetime + 1, 100, 1000, -2} {
		if _, err := at(day).Reverse(local); !errors.Is(err, srs.ErrExpired) {
			t.Errorf("day %d: %v", day, err)
		}
	}
}

func TestTooLong(t *testing.T) {
	t.Parallel()
	a := smtp.Address{Local: strings.Repeat("x", 64), Domain: strings.Repeat("y", 60) + "." + strings.Repeat("z", 60) + ".test"}
	if _, err := at(0).Forward(a, "a-rather-long-forwarder.example.org"); err != nil {
		t.Error(err)
	}
	if local, err := at(0).Forward(a, strings.Repeat("w", 60)+".test"); err == nil {
		t.Errorf("%s is longer than a path", local)
	}
}

func FuzzReverse(f *testing.F) {
	local, _ := at(0).Forward(smtp.Address{Local: "joe", Domain: "example.org"}, "here.test")
	f.Add(local)
	f.Add("SRS1=x=first==y")
	f.Add("SRS0=")
	f.Fuzz(func(t *testing.T, local string) {
		a, err := at(0).Reverse(local)
		if err == nil && a.Domain == "" {
			t.Errorf("%q leads to %q", local, a)
		}
	})
}
