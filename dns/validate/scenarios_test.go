package validate_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/dns"
	"waxwing/dns/validate"
	"waxwing/dns/validate/proof"
)

// otherwise are the scenarios that do not come out as with unbound, with the reason (VAL-17).
var otherwise = map[string]string{
	"val_anchor_nx":       "the anchor of a zone that is not there: the nearest anchor decides (RFC 6840 appendix C.1)",
	"val_nodata_entnx":    "NXDOMAIN for a name that is proven to be an empty non-terminal: what is said is not what is proven (RFC 4035 §5.4, RFC 8020 §2)",
	"val_anchor_nx_nosig": "the anchor of a zone that is not there: the nearest anchor decides (RFC 6840 appendix C.1)",
	"val_cnameqtype_qmin": "answers are made of those to questions for a part of the name (RFC 9156), which a stub does not ask",
	"val_dnameqtype":      "a denial at the end of an alias comes out of a resolver's cache",
	"val_dnameqtype_qmin": "as val_cnameqtype_qmin",
	"val_refer_unsignadd": "a question without RD, which is answered with a referral",
	"val_referd":          "as val_refer_unsignadd",
	"val_referglue":       "as val_refer_unsignadd",
	"val_rrsig":           "a question for RRSIG records, which are signed by nobody (RFC 4035 §2.2): unbound answers it unvalidated",
	"val_scrub_rr_length": "a record of wrong length: such messages are refused before they are read (dns: malformed reply)",
	"val_ta_algo_missing": "every algorithm of a zone is demanded there; one that verifies is enough (RFC 6840 §5.11)",
}

// TestScenarios: the replay scenarios of unbound's validator come out as they do there (VAL-5, VAL-17).
func TestScenarios(t *testing.T) {
	t.Parallel()
	files := scenarioFiles(t, "val_")
	if len(files) != 157 {
		t.Fatalf("%d scenarios", len(files))
	}
	passed := 0
	for _, name := range files {
		r, err := readReplay("testdata/unbound/" + name + ".rpl")
		var faults []string
		if err != nil {
			faults = []string{"cannot be read: " + err.Error()}
		} else {
			faults = r.play(t)
		}
		why, listed := otherwise[name]
		switch {
		case len(faults) == 0 && listed:
			t.Errorf("%s comes out right, and is listed: %s", name, why)
		case len(faults) == 0:
			passed++
		case !listed:
			t.Errorf("%s: %s", name, strings.Join(faults, "; "))
		default:
			t.Logf("%s: %s: %s", name, why, strings.Join(faults, "; "))
		}
	}
	t.Logf("%d of %d come out as with unbound, %d are listed with a reason", passed, len(files), len(otherwise))
}

// validator is own validation over the servers of a scenario.
func (r *replay) validator(t *testing.T, at *atomic.Int64) *validate.Validator {
	t.Helper()
	anchors, err := validate.ParseAnchors(strings.NewReader(strings.Join(r.anchors, "\n")))
	if err != nil && len(r.anchors) > 0 {
		t.Fatal(err)
	}
	algorithms, digests := oldAlgorithms()
	return &validate.Validator{
		Mode: validate.Always, Anchors: anchors, Algorithms: algorithms, Digests: digests, Now: func() time.Time { return r.now }, Limits: proof.Limits{Iterations: 150}, Negative: r.negatives(), Total: 5 * time.Second,
		Fetch: func(_ context.Context, name string, qtype uint16, _ int) (*wire.Msg, error) {
			return r.answers(int(at.Load()), proof.Ask(name, qtype)), nil
		},
	}
}

func (r *replay) negatives() []validate.Negative {
	name, err := dns.ParseName(strings.TrimSuffix(r.option["domain-insecure"], "."))
	if err != nil {
		return nil
	}
	return []validate.Negative{{Name: name, Until: r.now.Add(time.Hour)}}
}

// play asks what the scenario asks, and returns what does not come out as it says.
func (r *replay) play(t *testing.T) (faults []string) {
	t.Helper()
	var at atomic.Int64
	v := r.validator(t, &at)
	var asked replayed
	for _, s := range r.steps {
		at.Store(int64(s.number))
		switch s.kind {
		case "QUERY":
			asked = s.entry
		case "CHECK_ANSWER":
			if f := expect(t, v, asked, s.entry); f != "" {
				faults = append(faults, fmt.Sprintf("step %d: %s", s.number, f))
			}
		}
	}
	return faults
}

// expect compares what is proven with the reply that unbound gives.
func expect(t *testing.T, v *validate.Validator, asked, want replayed) string {
	t.Helper()
	if asked.has("CD") {
		return "" // whoever validates is not asked
	}
	state, nx, text := chase(t.Context(), v, asked.question)
	switch {
	case want.has("SERVFAIL"):
		if state == dns.Secure || state == dns.Insecure {
			return fmt.Sprintf("%s is %s (%s), want it refused", asked.question, state, text)
		}
	case want.has("AD"):
		if state != dns.Secure {
			return fmt.Sprintf("%s is %s (%s), want it secure", asked.question, state, text)
		}
	case asked.has("DO") || asked.has("AD"):
		if state == dns.Secure || state == dns.Bogus {
			return fmt.Sprintf("%s is %s (%s), want it insecure", asked.question, state, text)
		}
	case state == dns.Bogus:
		return fmt.Sprintf("%s is bogus (%s), want an answer", asked.question, text)
	}
	if !want.has("SERVFAIL") && nx != want.has("NXDOMAIN") {
		return fmt.Sprintf("%s: that the name does not exist is %v (%s, %s)", asked.question, nx, state, text)
	}
	return ""
}

// chase looks a question up, and what its last alias leads to.
func chase(ctx context.Context, v *validate.Validator, q proof.Question) (state dns.Security, nx bool, text string) {
	state = dns.Secure
	for range 12 {
		l, err := v.Examine(ctx, q.Name, q.Type)
		if err != nil {
			return dns.Indeterminate, false, err.Error()
		}
		if s := l.Proof.State; slices.Index(weakest, s) > slices.Index(weakest, state) {
			state, text = s, l.Proof.Text
		}
		nx = l.Message.Rcode == wire.RcodeNameError
		if l.Proof.Next == "" {
			break
		}
		q.Name = l.Proof.Next
	}
	return state, nx, text
}

var weakest = []dns.Security{dns.Secure, dns.Insecure, dns.Indeterminate, dns.Bogus}
