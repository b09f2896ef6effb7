package intake

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/tlsrpt"
)

// noisy is a report of a little more than so many KiB, packed, about each domain.
func noisy(id string, kib int, domains ...string) *tlsrpt.Report {
	rep := &tlsrpt.Report{Organization: "R", Begin: saturday, End: saturday.Add(24*time.Hour - time.Second), ID: id}
	for _, d := range domains {
		p := tlsrpt.PolicyResult{Type: tlsrpt.PolicySTS, Domain: d, Failed: int64(kib)}
		for range kib {
			noise := make([]byte, 1024)
			rand.Read(noise)
			p.Details = append(p.Details, tlsrpt.FailureDetail{Type: tlsrpt.CertificateExpired, Sessions: 1, Info: base64.StdEncoding.EncodeToString(noise)})
		}
		rep.Policies = append(rep.Policies, p)
	}
	return rep
}

// RPT-14, RPT-17: few reports that are large fill a store as well as many: their
// octets are bounded on a day, of one organisation and in all. What is beyond goes
// on as ordinary mail, and is counted.
func TestMailOctets(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		r := newRig(t, s)
		r.OctetsPerDay = 8 * 100 << 10
		counted := map[string]int{}
		r.Count = func(result string) { counted["in "+result]++ }
		take := func(from, id string, kib int, domains ...string) string {
			t.Helper()
			r.Verifier = passesAs{dns.MustParse(from)}
			text, err := noisy(id, kib, domains...).Encode()
			if err != nil {
				t.Fatal(err)
			}
			msg := append([]byte("From: <a@"+from+">\r\nContent-Type: application/tlsrpt+json\r\n\r\n"), text...)
			taken, reason, err := r.Take(ctx, "tls-reports@example", msg)
			if err != nil || taken == (reason != "") {
				t.Fatalf("%s of %s: %v %q %v", id, from, taken, reason, err)
			}
			return reason
		}
		const mine = "more octets of TLS reports of evil.test today than are taken (1/8 of tlsrpt.max_received_size)"
		for i, tt := range []struct {
			from, id string
			kib      int
			domains  []string
			reason   string
		}{
			{"huge.test", "0", 60, []string{"example", "sender.example"}, strings.ReplaceAll(mine, "evil", "huge")}, // by itself
			{"a.evil.test", "1", 40, []string{"example"}, ""},
			{"b.evil.test", "2", 40, []string{"sender.example"}, ""}, // another subdomain, about another domain
			{"a.evil.test", "3", 40, []string{"example"}, mine},
			{"a.evil.test", "1", 40, []string{"example"}, ""}, // repeated: nothing is stored
			{"a.evil.test", "4", 5, []string{"example"}, ""},  // there is room for a small one
		} {
			if reason := take(tt.from, tt.id, tt.kib, tt.domains...); reason != tt.reason {
				t.Errorf("%d: %s of %s: %q, want %q", i, tt.id, tt.from, reason, tt.reason)
			}
		}
		for i := range 7 {
			if reason := take(fmt.Sprintf("r%d.test", i), "1", 92, "example"); reason != "" {
				t.Errorf("%d: %s", i, reason)
			}
		}
		const all = "more octets of TLS reports today than are taken (tlsrpt.max_received_size)"
		if reason := take("late.test", "1", 92, "example"); reason != all {
			t.Errorf("beyond the day's octets: %q", reason)
		}
		refused, err := r.RefusedReports(ctx)
		var lines []string
		for _, f := range refused {
			lines = append(lines, f.Submitter+" "+f.Domain+" "+strconv.FormatInt(f.Stored, 10)+" "+strconv.FormatInt(f.Refused, 10))
			if share := int64(100 << 10); f.Submitter == "evil.test" && (f.Octets < 85<<10 || f.Octets > share) || f.Octets > 8*share {
				t.Errorf("%+v", f)
			}
		}
		if want := []string{"  10 1", "evil.test  3 1", "huge.test  0 1"}; err != nil || !slices.Equal(lines, want) {
			t.Errorf("refused: %q %v, want %q", lines, err, want)
		}
		if counted["in over-cap"] != 3 || counted["in taken"] != 11 || len(r.reports(t)) != 10 {
			t.Errorf("counted: %v, stored: %d", counted, len(r.reports(t)))
		}
		r.clock.Set(saturday.Add(36 * time.Hour))
		if reason := take("a.evil.test", "3", 40, "example"); reason != "" {
			t.Errorf("the next day: %s", reason)
		}
	})
}
