package listing

import (
	"strings"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/spool"
)

// TestQuery: what is typed becomes a filter in the form of the rows, or a fault that begins
// with its name.
func TestQuery(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	q := Query{Filter: spool.Filter{Domain: "Bücher.example", SenderDomain: "A.test"}, After: 7, State: "held,failed", Need: "require-tls", Purpose: "dsn",
		Older: time.Hour, Newer: 2 * time.Hour}
	f, err := q.Read(now)
	if err != nil {
		t.Fatal(err)
	}
	if f.Domain != "xn--bcher-kva.example" || f.SenderDomain != "a.test" || f.After != 7 || len(f.States) != 2 || f.States[0] != spool.Held || *f.Need != delivery.RequireTLS ||
		*f.Purpose != delivery.DSN || !f.Accepted.Before.Equal(now.Add(-time.Hour)) || !f.Accepted.From.Equal(now.Add(-2*time.Hour)) {
		t.Errorf("%+v", f)
	}
	if f, err := (&Query{All: true}).Read(now); err != nil || len(f.States) != len(States()) {
		t.Errorf("all: %+v, %v", f, err)
	}
	for name, q := range map[string]Query{
		"state":         {State: "held,lost"},
		"need":          {Need: "much"},
		"purpose":       {Purpose: "fun"},
		"domain":        {Filter: spool.Filter{Domain: "a..b"}},
		"sender-domain": {Filter: spool.Filter{SenderDomain: "-"}},
		"rcpt":          {Filter: spool.Filter{Address: "nobody"}},
		"sender":        {Filter: spool.Filter{Sender: "@"}},
	} {
		if _, err := q.Read(now); err == nil || !strings.HasPrefix(err.Error(), name+": ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
