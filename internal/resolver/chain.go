package resolver

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/dns"
	"waxwing/dns/validate"
	"waxwing/dns/validate/proof"
	"waxwing/internal/config"
)

// Chains proves answers by own validation over the servers of c, whatever cfg says of whose word
// counts, and shows each with its chain of trust (VAL-14).
func Chains(cfg *config.Config, c *dns.Client, learn Learn) (func(ctx context.Context, name string, qtype uint16) (Chain, error), error) {
	v, err := Validator(cfg, c, learn)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, name string, qtype uint16) (Chain, error) {
		l, err := v.Examine(ctx, name, qtype)
		if err != nil {
			return Chain{}, fmt.Errorf("looking up %s %s: %w", name, wire.Type(qtype), err)
		}
		shown := ChainOf(l)
		shown.Counts = c.Validator != nil && c.Validator.Ready(ctx)
		return shown, nil
	}, nil
}

// Chain is an answer with its chain of trust, as it is shown (VAL-14).
type Chain struct {
	Name     string      `json:"name"`
	Type     string      `json:"type"`
	RCode    string      `json:"rcode"`
	Records  []string    `json:"records"`
	Security string      `json:"security"`
	Found    *ChainFound `json:"found,omitempty"` // why it is not secure
	Zones    []ChainZone `json:"zones"`
	Links    []ChainLink `json:"links"`
	Asked    int         `json:"questions"` // to resolvers
	Counts   bool        `json:"counts"`    // own validation is at work, and not the resolvers' word
}

// ChainFound is why an answer is not secure, and where that was found.
type ChainFound struct {
	Zone string `json:"zone"`
	Code uint16 `json:"extended_error,omitempty"` // RFC 8914
	Text string `json:"text"`
}

// ChainZone is a step down: a zone, or a name at which the parent has no DS record.
type ChainZone struct {
	Name     string     `json:"name"`
	Security string     `json:"security"`
	DS       []string   `json:"ds,omitempty"`
	Key      string     `json:"key,omitempty"` // that of the DS records, which signed the zone's keys
	Until    *time.Time `json:"until,omitempty"`
	Text     string     `json:"text,omitempty"`
}

// ChainLink is a step of the answer: an alias, the records, or their denial.
type ChainLink struct {
	Name     string     `json:"name"`
	Type     string     `json:"type"`
	Denied   bool       `json:"denied,omitempty"`
	Security string     `json:"security"`
	Signed   string     `json:"signed,omitempty"` // by which key
	Until    *time.Time `json:"until,omitempty"`
	Text     string     `json:"text,omitempty"`
}

// ChainOf is the chain of an answer.
func ChainOf(l *validate.Lookup) Chain {
	out := Chain{Name: l.Question.Name, Type: wire.Type(l.Question.Type).String(), RCode: wire.RcodeToString[l.Message.Rcode], Security: l.Proof.State.String(),
		Records: []string{}, Zones: []ChainZone{}, Links: []ChainLink{}, Asked: l.Asked}
	for _, rr := range l.Message.Answer {
		if rr.Header().Rrtype != wire.TypeRRSIG {
			out.Records = append(out.Records, strings.ReplaceAll(rr.String(), "\t", " "))
		}
	}
	if f := l.Proof.Finding; f.Text != "" {
		out.Found = &ChainFound{f.Zone, f.Code, f.Text}
	}
	for _, z := range l.Zones {
		out.Zones = append(out.Zones, zoneOf(z))
	}
	for _, c := range l.Cuts {
		known := slices.ContainsFunc(l.Zones, func(z *proof.Zone) bool { return z.Name == c.Name })
		if !known && (c.Kind == proof.CutUnsigned || c.Kind == proof.CutUnknown) {
			out.Zones = append(out.Zones, ChainZone{Name: c.Name, Security: c.State.String(), Text: c.Text})
		}
	}
	slices.SortStableFunc(out.Zones, func(a, b ChainZone) int { return wire.CountLabel(a.Name) - wire.CountLabel(b.Name) })
	for _, k := range l.Proof.Links {
		s := ChainLink{Name: k.Name, Type: wire.Type(k.Type).String(), Denied: k.Denied, Security: k.State.String(), Text: k.Text}
		if k.Signature != nil {
			s.Signed, s.Until = signedBy(k.Signature)
		}
		out.Links = append(out.Links, s)
	}
	return out
}

func zoneOf(z *proof.Zone) ChainZone {
	out := ChainZone{Name: z.Name, Security: z.State.String(), Text: z.Text}
	for _, ds := range z.Secured {
		out.DS = append(out.DS, fmt.Sprintf("%d (%s, digest %s)", ds.KeyTag, algorithm(ds.Algorithm), wire.HashToString[ds.DigestType]))
	}
	if z.Entry != nil {
		out.Key = fmt.Sprintf("%d (%s)", z.Entry.KeyTag(), algorithm(z.Entry.Algorithm))
	}
	if z.Signature != nil {
		_, out.Until = signedBy(z.Signature)
	}
	return out
}

func signedBy(sig *wire.RRSIG) (string, *time.Time) {
	until := time.Unix(int64(sig.Expiration), 0).UTC()
	return fmt.Sprintf("key %d (%s) of %s", sig.KeyTag, algorithm(sig.Algorithm), sig.SignerName), &until
}

func algorithm(n uint8) string {
	if s := wire.AlgorithmToString[n]; s != "" {
		return s
	}
	return fmt.Sprintf("algorithm %d", n)
}

// Proven reports whether something is proven: records, their absence, or that nothing is signed.
func (l Chain) Proven() bool {
	return l.Security == dns.Secure.String() || l.Security == dns.Insecure.String()
}

// Picture draws the chain from the root down.
func (l Chain) Picture(w io.Writer) {
	fmt.Fprintf(w, "%s %s: %s\n", l.Name, l.Type, l.Security)
	if l.Found != nil {
		fmt.Fprintf(w, "  at %s: %s\n", l.Found.Zone, l.Found.Text)
	}
	if l.RCode != "NOERROR" {
		fmt.Fprintf(w, "  the resolver says %s\n", l.RCode)
	}
	for _, r := range l.Records {
		fmt.Fprintf(w, "  %s\n", r)
	}
	fmt.Fprintln(w)
	for i, z := range l.Zones {
		indent := strings.Repeat("  ", i)
		fmt.Fprintf(w, "%s%s %s", indent, z.Name, z.Security)
		if len(z.DS) > 0 {
			fmt.Fprintf(w, ": DS %s", strings.Join(z.DS, ", "))
		}
		if z.Key != "" {
			fmt.Fprintf(w, " is of key %s, which signed its keys until %s", z.Key, z.Until.Format(time.DateTime))
		} else if z.Text != "" {
			fmt.Fprintf(w, ": %s", z.Text)
		}
		fmt.Fprintln(w)
	}
	for _, k := range l.Links {
		what := k.Type
		if k.Denied {
			what = "no " + k.Type
		}
		fmt.Fprintf(w, "%s%s %s %s", strings.Repeat("  ", len(l.Zones)), k.Name, what, k.Security)
		if k.Signed != "" {
			fmt.Fprintf(w, ": signed by %s until %s", k.Signed, k.Until.Format(time.DateTime))
		} else if k.Text != "" {
			fmt.Fprintf(w, ": %s", k.Text)
		}
		fmt.Fprintln(w)
	}
	if !l.Counts {
		fmt.Fprintln(w, "\n"+NotOwn)
	}
}

// NotOwn is said where own validation only shows.
const NotOwn = "Waxwing does not validate itself with this configuration and these resolvers (waxwing dns selftest): what trusted resolvers say counts."
