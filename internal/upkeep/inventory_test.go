package upkeep

import (
	"strings"
	"testing"

	"waxwing/internal/inventory"
)

// TestBreaksBy (OPS-6): what cannot be had again is told where it goes, and only there.
func TestBreaksBy(t *testing.T) {
	t.Parallel()
	key := inventory.Key{Domain: "a.test", Selector: "s", Record: "r", PrivateKey: "p"}
	retired, other := key, key
	retired.Retired, other.Record, other.PrivateKey = true, "o", "q"
	policy := func(mode string) inventory.Policy { return inventory.Policy{Domain: "a.test", Mode: mode} }
	for name, c := range map[string]struct {
		change inventory.Change
		want   string // "": nothing breaks
	}{
		"account goes":        {inventory.Change{Action: inventory.Remove, Before: inventory.Account{Name: "joe"}}, "joe can log in no more"},
		"account changes":     {inventory.Change{Action: inventory.Modify, Before: inventory.Account{Name: "joe"}, After: inventory.Account{Name: "joe", Disabled: true}}, ""},
		"account comes":       {inventory.Change{Action: inventory.Add, After: inventory.Account{Name: "joe"}}, ""},
		"policy goes":         {inventory.Change{Action: inventory.Remove, Before: policy("enforce")}, "in the caches of senders"},
		"policy none goes":    {inventory.Change{Action: inventory.Remove, Before: policy("none")}, ""},
		"policy changes":      {inventory.Change{Action: inventory.Modify, Before: policy("enforce"), After: policy("testing")}, ""},
		"key goes":            {inventory.Change{Action: inventory.Remove, Before: key}, "waxwing dkim retire a.test --selector s"},
		"retired key goes":    {inventory.Change{Action: inventory.Remove, Before: retired}, ""},
		"key retires":         {inventory.Change{Action: inventory.Modify, Before: key, After: retired}, ""},
		"key becomes another": {inventory.Change{Action: inventory.Modify, Before: key, After: other}, "its private half is forgotten"},
		"retired becomes one": {inventory.Change{Action: inventory.Modify, Before: retired, After: other}, ""},
		"address goes":        {inventory.Change{Action: inventory.Remove, Before: inventory.Address{Address: "x@a.test"}}, "mail for x@a.test is refused for good"},
		"route goes":          {inventory.Change{Action: inventory.Remove, Before: inventory.Route{Transport: "isp"}}, "sent by isp"},
	} {
		got := strings.Join(breaksBy(&c.change), "\n")
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}
