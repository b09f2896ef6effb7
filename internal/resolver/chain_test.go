package resolver

import (
	"context"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/dns/validate"
	"waxwing/dns/validate/proof"
	"waxwing/dns/validate/prooftest"
)

// VAL-14: the picture names each zone with its key, and where the chain breaks.
func TestLookupPicture(t *testing.T) {
	t.Parallel()
	now := time.Now()
	w, err := prooftest.New(new(prooftest.Keys), now,
		prooftest.Zone{Name: ".", Records: []string{"test. NS ns.test."}},
		prooftest.Zone{Name: "test.", Records: []string{"good NS ns.good", "bad NS ns.bad", "plain NS ns.plain"}},
		prooftest.Zone{Name: "good.test.", Records: []string{"@ MX 10 mx"}},
		prooftest.Zone{Name: "bad.test.", Records: []string{"@ MX 10 mx"}, WrongDS: true},
		prooftest.Zone{Name: "plain.test.", Records: []string{"@ MX 10 mx"}, Unsigned: true})
	if err != nil {
		t.Fatal(err)
	}
	v := &validate.Validator{Mode: validate.Always, Anchors: []proof.Anchor{{Zone: ".", DS: []*wire.DS{w.Anchor()}}},
		Fetch: func(_ context.Context, name string, qtype uint16, _ int) (*wire.Msg, error) {
			return w.Answer(name, qtype), nil
		}}
	for _, c := range []struct {
		name  string
		qtype uint16
		want  []string
	}{
		{"good.test.", wire.TypeMX, []string{"good.test. MX: secure", ". secure: DS ", "\n  test. secure: DS ", "\n    good.test. secure: DS ", "(ECDSAP256SHA256, digest SHA256) is of key", "good.test. MX secure: signed by key"}},
		{"good.test.", wire.TypeCAA, []string{"good.test. no CAA secure: signed by"}},
		{"bad.test.", wire.TypeMX, []string{"bad.test. MX: bogus", "at bad.test.: bad.test. has no key of which its DS records are"}},
		{"plain.test.", wire.TypeMX, []string{"plain.test. MX: insecure", "plain.test. insecure: plain.test. is not signed: test. proves that it has no DS record"}},
	} {
		l, err := v.Examine(t.Context(), c.name, c.qtype)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		ChainOf(l).Picture(&b)
		for _, want := range c.want {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%s: no %q in\n%s", c.name, want, b.String())
			}
		}
	}
}
