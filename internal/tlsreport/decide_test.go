package tlsreport

import (
	"testing"

	"waxwing/internal/tlsresult"
	"waxwing/tlsrpt"
)

// RPT-8, RPT-3.
func TestWorth(t *testing.T) {
	t.Parallel()
	row := func(p tlsrpt.PolicyType, okMail, failed int64) []tlsresult.Row {
		return []tlsresult.Row{{Type: p, OK: 3, OKMail: okMail, Failed: failed}}
	}
	for _, tt := range []struct {
		name                  string
		rows                  []tlsresult.Row
		policy, always, never bool
	}{
		{"nothing", nil, false, false, false},
		{"clean, no policy", row(tlsrpt.PolicyNone, 1, 0), false, true, false},
		{"clean, sts", row(tlsrpt.PolicySTS, 1, 0), true, true, false},
		{"clean, tlsa", row(tlsrpt.PolicyTLSA, 1, 0), true, true, false},
		{"failed", row(tlsrpt.PolicyNone, 0, 1), true, true, true},
		{"only DMARC reports, clean", row(tlsrpt.PolicySTS, 0, 0), false, false, false},
		{"only DMARC reports, failed", row(tlsrpt.PolicySTS, 0, 1), true, true, true},
	} {
		for mode, want := range map[Success]bool{"": tt.policy, SuccessPolicy: tt.policy, SuccessAlways: tt.always, SuccessNever: tt.never} {
			if got := worth(tt.rows, mode); got != want {
				t.Errorf("%s, %q: %v", tt.name, mode, got)
			}
		}
	}
}
