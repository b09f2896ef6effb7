package travel

import (
	"testing"

	"waxwing/internal/delivery"
	"waxwing/internal/listing"
	"waxwing/internal/reason"
	"waxwing/internal/spool"
)

// MAIL-6: every word of a Travel is told in a sentence.
func TestMeanings(t *testing.T) {
	t.Parallel()
	var x listing.Travel
	x.Recipients = []listing.Recipient{{Word: string(reason.NullMX), Last: &spool.Why{Word: reason.ConnectTimeout}}}
	x.Attempts = []listing.Attempt{{Detail: spool.Detail{Stop: &spool.Why{Word: reason.NoSuchDomain}, Hosts: []spool.HostDetail{{
		Skip: &spool.Why{Word: reason.DNSBogus}, Basis: delivery.Basis{{Word: reason.STSTesting}},
		Sessions: []spool.SessionDetail{{TLSFailure: &spool.Why{Word: reason.StartTLSNotOffered}, Error: &spool.Why{Word: reason.ConnectRefused}}}}}}}}
	got := meanings(&x)
	for _, w := range []reason.Word{reason.NullMX, reason.ConnectTimeout, reason.NoSuchDomain, reason.DNSBogus, reason.STSTesting, reason.StartTLSNotOffered, reason.ConnectRefused} {
		if got[w].Meaning != w.Meaning() || got[w].Meaning == "" {
			t.Errorf("%s: %+v", w, got[w])
		}
	}
}
