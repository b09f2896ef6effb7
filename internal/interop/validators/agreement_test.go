package validators

import (
	"context"
	"crypto"
	"crypto/sha1"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/dns"
	"waxwing/dns/validate"
	"waxwing/dns/validate/proof"
	"waxwing/dns/validate/prooftest"
)

// view is what somebody makes of a question.
type view struct {
	state   string // secure, insecure, bogus, failed
	rcode   string
	records []string
	why     string
}

func (v view) String() string { return v.state + " " + v.rcode }

// agrees: bogus answers have no content to compare.
func (v view) agrees(w view) bool {
	return v.state == w.state && (v.state == "bogus" || v.rcode == w.rcode && slices.Equal(v.records, w.records))
}

func number(t *testing.T, env string, def int) int {
	t.Helper()
	s := os.Getenv(env)
	if s == "" {
		return def
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("%s: %v", env, err)
	}
	return n
}

// TestAgreement: own validation comes to what unbound and delv come to (VAL-5, VAL-15). Since SHA-1 and many iterations count
// for nothing here, and would hide what else differs, the same questions are also proven as if they counted; and
// there are zones without them.
func TestAgreement(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("other validators are asked only without -short")
	}
	need(t, "knotd", "unbound", "delv")
	seed, pairs := uint64(number(t, "WAXWING_DNSSEC_SEED", 1)), number(t, "WAXWING_DNSSEC_PAIRS", 300)
	t.Run("all", func(t *testing.T) {
		t.Parallel()
		agree(t, drawn(seed, pairs*2/3, false))
	})
	t.Run("without SHA-1", func(t *testing.T) {
		t.Parallel()
		agree(t, drawn(seed+1<<32, pairs/3, true))
	})
}

// asThey are the algorithms and bounds of unbound and delv.
func asThey(v *validate.Validator) *validate.Validator {
	sha := func(key, data, sig []byte) bool {
		h := sha1.Sum(data)
		return proof.VerifyRSA(crypto.SHA1, key, h[:], sig)
	}
	old := &validate.Validator{Fetch: v.Fetch, Mode: v.Mode, Anchors: v.Anchors, Limits: proof.Limits{Iterations: 150}, Algorithms: proof.Standard(), Digests: proof.StandardDigests()}
	old.Algorithms[wire.RSASHA1], old.Algorithms[wire.RSASHA1NSEC3SHA1] = sha, sha
	old.Digests[wire.SHA1] = func(b []byte) []byte { h := sha1.Sum(b); return h[:] }
	return old
}

func agree(t *testing.T, d *drawing) {
	t.Helper()
	w, err := prooftest.New(new(prooftest.Keys), time.Now(), d.zones...)
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, w)
	c := &dns.Client{Servers: []dns.Server{{Addr: s.passing}}, Timeout: 10 * time.Second}
	v := &validate.Validator{Fetch: c.Fetch, Mode: validate.Always, Anchors: []proof.Anchor{{Zone: ".", DS: []*wire.DS{w.Anchor()}}}}
	old := asThey(v)
	var mu sync.Mutex
	same, states, listed := map[*validate.Validator]int{}, map[string]int{}, map[string]int{}
	compare := func(p pair) {
		unbound, delv := s.unbound(p.q), s.delv(t.Context(), p.q)
		for _, v := range []*validate.Validator{v, old} {
			own := ask(t.Context(), v, p.q)
			why := d.explained(p, own, unbound, delv)
			if why == "" && v != old && !d.modern {
				why = notReliedOn(own)
			}
			mu.Lock()
			switch states[own.state]++; {
			case own.agrees(unbound) && own.agrees(delv):
				same[v]++
			case why != "":
				listed[why]++
			default:
				t.Errorf("%s: own %s (%s), unbound %s (%s), delv %s (%s)\n\tzone %s\n\t%v\n\t%v\n\t%v", p.q, own, own.why, unbound, unbound.why, delv, delv.why, p.zone, own.records, unbound.records, delv.records)
			}
			mu.Unlock()
		}
	}
	todo := make(chan pair)
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			for p := range todo {
				compare(p)
			}
		})
	}
	for _, p := range d.pairs {
		if strings.Contains(p.q.String(), os.Getenv("WAXWING_DNSSEC_ONLY")) {
			todo <- p
		}
	}
	close(todo)
	workers.Wait()
	t.Logf("%d pairs of zone and question, each twice, %v: all three agree on %d, and with SHA-1 and 150 iterations allowed on %d; explained: %v", len(d.pairs), states, same[v], same[old], listed)
}

// ask is own validation, along aliases to their end.
func ask(ctx context.Context, v *validate.Validator, q proof.Question) view {
	state, out := dns.Secure, view{}
	for range 12 {
		l, err := v.Examine(ctx, q.Name, q.Type)
		if err != nil {
			return view{state: "failed", why: err.Error()}
		}
		out.rcode = wire.RcodeToString[l.Message.Rcode]
		if l.Message.Rcode != wire.RcodeSuccess && l.Message.Rcode != wire.RcodeNameError {
			return view{state: "failed", rcode: out.rcode}
		}
		out.records = append(out.records, recordsOf(l.Message.Answer)...)
		if l.Proof.State == dns.Secure && len(l.Proof.Links) == 0 {
			out.why = fmt.Sprintf("secure without a proof: %v", l.Message)
		}
		if os.Getenv("WAXWING_DNSSEC_ONLY") != "" {
			fmt.Printf("%s: %v\n", q, l.Message)
			for _, k := range l.Proof.Links {
				fmt.Printf("%s %d: %+v\n", k.Name, k.Type, k.Finding)
			}
		}
		if slices.Index(weakest, l.Proof.State) > slices.Index(weakest, state) {
			state = l.Proof.State
		}
		for _, k := range l.Proof.Links {
			if k.Text != "" && !strings.Contains(out.why, k.Text) {
				out.why += k.Text + "; "
			}
		}
		if l.Proof.Next == "" {
			break
		}
		q.Name = l.Proof.Next
	}
	out.state = state.String()
	slices.Sort(out.records)
	out.records = slices.Compact(out.records)
	return out
}

var weakest = []dns.Security{dns.Secure, dns.Insecure, dns.Indeterminate, dns.Bogus}

func recordsOf(rrs []wire.RR) (out []string) {
	for _, rr := range rrs {
		// delv writes other aliases than are in the answer: that what they lead to is alike is enough.
		if t := rr.Header().Rrtype; t == wire.TypeRRSIG || t == wire.TypeCNAME || t == wire.TypeDNAME {
			continue
		}
		rr = wire.Copy(rr)
		rr.Header().Ttl = 0
		out = append(out, strings.ToLower(strings.Join(strings.Fields(rr.String()), " ")))
	}
	slices.Sort(out)
	return out
}

// unbound is what the validating resolver says.
func (s *servers) unbound(q proof.Question) view {
	m := new(wire.Msg)
	m.SetQuestion(q.Name, q.Type)
	m.SetEdns0(1232, true)
	const patience = 30 * time.Second // the machine may be busy with other tests
	r, _, err := (&wire.Client{Timeout: patience}).Exchange(m, s.validates)
	if err == nil && r.Truncated {
		r, _, err = (&wire.Client{Net: "tcp", Timeout: patience}).Exchange(m, s.validates)
	}
	if err != nil {
		return view{state: "failed", why: err.Error()}
	}
	v := view{rcode: wire.RcodeToString[r.Rcode], records: recordsOf(r.Answer), state: "insecure"}
	switch {
	case r.Rcode == wire.RcodeServerFailure:
		v.state = "bogus"
	case r.AuthenticatedData:
		v.state = "secure"
	}
	return v
}

// delv is what BIND's validator says, over the resolver that does not validate.
func (s *servers) delv(ctx context.Context, q proof.Question) view {
	host, port, _ := net.SplitHostPort(s.passing)
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "delv", "@"+host, "-p", port, "-a", s.anchor, "+root=.", "-t", wire.Type(q.Type).String(), "-q", q.Name)
	b, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return view{state: "failed", why: err.Error()}
	}
	return readDelv(string(b))
}

// readDelv reads what delv prints.
func readDelv(out string) view {
	v := view{state: "secure", rcode: "NOERROR"}
	var rrs []wire.RR
	states := 0
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, ";; resolution failed: ncache nxdomain"):
			v.rcode = "NXDOMAIN"
		case strings.HasPrefix(line, ";; resolution failed: ncache nxrrset"):
		case strings.HasPrefix(line, ";; resolution failed"):
			return view{state: "bogus", why: out}
		case strings.HasPrefix(line, "; ") && strings.Contains(line, "fully validated"):
			states++
		case strings.HasPrefix(line, "; ") && strings.Contains(line, "unsigned answer"):
			states++
			v.state = "insecure"
		case strings.HasPrefix(line, ";"), line == "":
		default:
			if rr, err := wire.NewRR(line); err == nil && rr != nil {
				rrs = append(rrs, rr)
			}
		}
	}
	if states == 0 {
		return view{state: "failed", why: out}
	}
	v.records = slices.Compact(recordsOf(rrs))
	return v
}

// notReliedOn is why what counts for the others counts for nothing here.
func notReliedOn(own view) string {
	switch {
	case own.state == "insecure" && strings.Contains(own.why, "must not be relied on"):
		return "RFC 9905 §2, §3: SHA-1 is not relied on; they do so still"
	case own.state == "insecure" && strings.Contains(own.why, "iterations"):
		return "RFC 9276 §3.2: more than 50 iterations count as insecure here, more than 150 there"
	}
	return ""
}

// explained is why a pair may come out otherwise than with both: the section of an RFC that decides.
func (d *drawing) explained(p pair, own, unbound, delv view) string {
	if own.state == "insecure" && strings.Contains(own.why, "opts out") && own.agrees(unbound) && delv.state == "secure" {
		return "RFC 5155 §9.2: no AD for what opt-out leaves open; delv has it secure"
	}
	if own.agrees(unbound) && own.state != "bogus" && delv.state == "bogus" && strings.Contains(p.zone, string(prooftest.SigMoreWrong)) {
		return "RFC 6840 §5.4: a wrong signature beside a right one is passed over; delv gives up after one"
	}
	for name, kind := range d.kinds {
		if own.state == "bogus" && own.agrees(unbound) && strings.Contains(own.why, name+" has no key") && strings.Contains(kind, string(prooftest.KeyNoZoneKey)) {
			return "RFC 4034 §2.1.1: a key without the Zone Key flag verifies nothing; delv has the zone's keys secure"
		}
		if own.state == "bogus" && delv.state == "bogus" && strings.Contains(own.why, name+" has no key") && strings.Contains(kind, string(prooftest.KeyRevoked)) {
			return "RFC 5011 §2.1: a revoked key signs nothing but its revocation; unbound takes it for any other below a DS record"
		}
	}
	return ""
}
