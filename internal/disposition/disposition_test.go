package disposition

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"waxwing/dmarc"
)

var update = flag.Bool("update", false, "rewrite testdata/decisions.golden and docs/incoming-decisions.md")

// policies are those that a record may ask for, with what test mode makes of each; none is
// known where there is no record, or its lookup failed.
var policies = []struct{ policy, apply dmarc.Policy }{
	{"", ""},
	{dmarc.PolicyNone, dmarc.PolicyNone},
	{dmarc.PolicyQuarantine, dmarc.PolicyQuarantine},
	{dmarc.PolicyQuarantine, dmarc.PolicyNone},
	{dmarc.PolicyReject, dmarc.PolicyReject},
	{dmarc.PolicyReject, dmarc.PolicyQuarantine},
}

// all calls fn for the whole input space.
func all(fn func(Facts)) {
	for _, author := range []Author{AuthorKnown, AuthorUnreadable} {
		for _, result := range []dmarc.Result{dmarc.None, dmarc.Pass, dmarc.Fail, dmarc.TempError} {
			for _, p := range policies {
				if known := p.policy != ""; known == (result == dmarc.None) || !known && (result == dmarc.Pass || result == dmarc.Fail) {
					continue // dmarc.Check comes to nothing like it
				}
				for _, trust := range []Trust{Untrusted, TrustedByAccount, TrustedByOperator} {
					for bits := range 4 {
						fn(Facts{Author: author, DMARC: result, Policy: p.policy, Apply: p.apply, Trust: trust, OwnSPFFail: bits&1 > 0, PutOff: bits&2 > 0})
					}
				}
			}
		}
	}
}

func (f Facts) row() string {
	author := [...]string{"known", "unreadable"}[f.Author]
	trust := [...]string{"-", "by the account", "by the operator"}[f.Trust]
	yes := map[bool]string{true: "yes", false: "-"}
	policy := string(f.Policy)
	if f.Policy != f.Apply {
		policy += ", test mode"
	}
	if policy == "" {
		policy = "-"
	}
	return fmt.Sprintf("%s | %s | %s | %s | %s | %s", author, f.DMARC, policy, trust, yes[f.OwnSPFFail], yes[f.PutOff])
}

// TestGolden holds the whole input space to what was looked at (AUT-1), and makes the page.
func TestGolden(t *testing.T) {
	t.Parallel()
	var golden, page strings.Builder
	page.WriteString(head)
	all(func(f Facts) {
		d := Decide(f)
		override := string(d.Override)
		if override == "" {
			override = "-"
		}
		line := fmt.Sprintf("%s | %s | %s | %s", f.row(), d.Action, d.Word, override)
		golden.WriteString(line + "\n")
		if plain := f.Author == AuthorKnown && f.Trust != TrustedByOperator && (f.DMARC == dmarc.TempError || !f.PutOff) && (f.DMARC != dmarc.Pass || f.Trust == Untrusted); plain {
			page.WriteString("| " + line + " |\n")
		}
	})
	for file, got := range map[string]string{filepath.Join("testdata", "decisions.golden"): golden.String(), filepath.Join("..", "..", "docs", "incoming-decisions.md"): page.String()} {
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(want) != got {
			t.Errorf("%s is stale: go test ./internal/disposition -update, and look at what changed", file)
		}
	}
}

const head = `# What is decided about mail that comes in

Made from the code that decides (internal/disposition). A message without an author that can be read is refused (author-unreadable) whatever
else is known of it. DMARC's result is by RFC 9989; what its record asks for is lowered by a level in test mode. A mailing list or a
forwarder is trusted where the account or the operator has listed it and it is authenticated; the rows for the operator's are the same. "Own
SPF fail": the reverse-path is of a domain hosted here whose SPF record forbids the client to use it. "Put off": mail of this sender was
answered 4xx for a day because a lookup failed.

| author | DMARC | asked for | trusted | own SPF fail | put off | what is done | reason | override (RFC 9990) |
|---|---|---|---|---|---|---|---|---|
`

// The promises, over the whole input space.
func TestInvariants(t *testing.T) {
	t.Parallel()
	n := 0
	all(func(f Facts) {
		n++
		d := Decide(f)
		if f.Apply == dmarc.PolicyReject && f.DMARC != dmarc.Pass && d.Action == Deliver && d.Override == "" {
			t.Errorf("%+v reaches the inbox without a named override", f)
		}
		if f.DMARC == dmarc.TempError && d.Action == Reject && f.Author == AuthorKnown && !f.OwnSPFFail {
			t.Errorf("%+v: a temporary error refuses for good", f)
		}
		if f.PutOff && d.Action == Defer {
			t.Errorf("%+v is put off for ever", f)
		}
		if f.OwnSPFFail && f.DMARC != dmarc.Pass && f.Trust == Untrusted && d.Action != Reject && (d.Action != Defer || f.DMARC != dmarc.TempError) {
			t.Errorf("%+v: a forger of a domain of ours is let in", f)
		}
		if f.DMARC == dmarc.Pass && f.Author == AuthorKnown && d.Action != Deliver {
			t.Errorf("%+v is authenticated and is not let in", f)
		}
		if d.Action != Deliver && f.Author == AuthorKnown && f.DMARC == dmarc.None && !f.OwnSPFFail {
			t.Errorf("%+v is kept out though nobody asked for it", f)
		}
		if d.Word == "" || d.Override != "" && f.DMARC == dmarc.Pass {
			t.Errorf("%+v: %+v", f, d)
		}
	})
	if n < 200 {
		t.Errorf("the input space has %d points", n)
	}
}
