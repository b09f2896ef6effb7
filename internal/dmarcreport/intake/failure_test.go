package intake

import (
	"net/netip"
	"strings"
	"testing"

	"waxwing/arf"
	"waxwing/dmarc"
	"waxwing/internal/outbox"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/internal/verify"
)

func failureMail(id, about string, r arf.Report) []byte {
	r.Domain = about
	return append([]byte("From: r@r.example\r\nMessage-ID: <"+id+"@r.example>\r\nMIME-Version: 1.0\r\n"), r.Entity("hello").Write()...)
}

// DMR-4: failure reports of others are taken where DMARC vouches for their sender and they are
// about a domain of ours, each once, and shown.
func TestTakeFailure(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		in := newService(s)
		r := arf.Report{Failure: "dmarc", Alignment: []string{"dkim", "spf"}, Source: netip.MustParseAddr("192.0.2.7"), MTA: "mx.r.example", Incidents: 3, Original: []byte("From: x@example.org\r\n")}
		vague := r
		vague.Alignment = nil // by which one without Auth-Failure would be known
		broken := strings.Replace(string(failureMail("5", "example.org", vague)), "Auth-Failure: dmarc\r\n", "", 1)
		for _, tt := range []struct {
			name   string
			msg    []byte
			facts  *verify.Facts
			reason string // "": it is taken
		}{
			{"good", failureMail("1", "example.org", r), from("r.example", dmarc.Pass), ""},
			{"again", failureMail("1", "example.org", r), from("r.example", dmarc.Pass), ""},
			{"below", failureMail("2", "sub.example.org", r), from("r.example", dmarc.Pass), ""},
			{"not ours", failureMail("3", "example.net", r), from("r.example", dmarc.Pass), "about no domain of this server"},
			{"forged", failureMail("4", "example.org", r), from("r.example", dmarc.Fail), "DMARC of r.example: fail"},
			{"broken", []byte(broken), from("r.example", dmarc.Pass), "does not say what failed"},
		} {
			taken, reason, err := in.Take(t.Context(), "dmarc-reports@example.org", tt.msg, tt.facts)
			if err != nil || taken != (tt.reason == "") || !strings.Contains(reason, tt.reason) {
				t.Errorf("%s: %v, %q, %v", tt.name, taken, reason, err)
			}
		}
		all, err := in.Failures.Reports(t.Context(), outbox.Filter{})
		if err != nil || len(all) != 2 {
			t.Fatalf("%+v, %v", all, err)
		}
		for _, x := range all {
			if x.Submitter != "r.example" || x.Contact != "192.0.2.7" || x.Failed != 3 || x.Organization != "mx.r.example" {
				t.Errorf("%+v", x)
			}
			file, err := in.Failures.File(t.Context(), x.ID)
			if err != nil {
				t.Fatal(err)
			}
			got, err := arf.ReadFile(file)
			if err != nil || got.Domain != x.PolicyDomain || string(got.Original) != "From: x@example.org\r\n" {
				t.Errorf("%+v, %v", got, err)
			}
		}
		if aggregate, err := in.Reports(t.Context(), outbox.Filter{}); err != nil || len(aggregate) != 0 {
			t.Errorf("%+v, %v", aggregate, err)
		}
	})
}
