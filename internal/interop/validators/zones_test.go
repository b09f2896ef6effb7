package validators

import (
	"fmt"
	"math/rand/v2"

	wire "github.com/miekg/dns"

	"waxwing/dns/validate/proof"
	"waxwing/dns/validate/prooftest"
)

// pair is a question with what is known of the zones that it leads into.
type pair struct {
	q    proof.Question
	zone string // as it was drawn, for the report
}

// parents are the zones above those that are drawn, with each kind of denial.
var parents = []string{"nsec.", "nsec3.", "optout.", "partly."}

// algorithms in use, and those that are not to be relied on any more.
var algorithms = []uint8{wire.ECDSAP256SHA256, wire.ECDSAP256SHA256, wire.ECDSAP256SHA256, wire.RSASHA256, wire.RSASHA512, wire.ECDSAP384SHA384, wire.ED25519, wire.ED448, wire.RSASHA1, wire.RSASHA1NSEC3SHA1}

const digest = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// content of each drawn zone: one of everything.
var content = []string{
	"@ MX 10 mx", "@ TXT \"v=spf1 -all\"", "mx A 192.0.2.1", "mx A 192.0.2.2", "_25._tcp.mx TLSA 3 1 1 " + digest,
	"alias CNAME mx", "alias2 CNAME alias", "gone CNAME nothing", "*.wild A 192.0.2.2", "*.wild MX 10 mx", "wildalias CNAME x.wild",
	"*.cw CNAME mx", "a.b.c.ent A 192.0.2.3", "exact.wild TXT here", "UPPER A 192.0.2.4", "moved DNAME kid", "tokid CNAME www.kid", "toplain CNAME www.plain",
	"kid NS ns.kid", "ns.kid A 192.0.2.5", "plain NS ns.plain", "ns.plain A 192.0.2.6", "isle NS ns.isle", "ns.isle A 192.0.2.7",
	"lone.void NS ns.lone.void", "ns.lone.void A 192.0.2.10", // opt-out may leave nothing of void, which is an empty non-terminal
}

// asked of each drawn zone.
var asked = []struct {
	name  string
	qtype uint16
}{
	{"", wire.TypeMX}, {"", wire.TypeTXT}, {"", wire.TypeCAA}, {"", wire.TypeDS}, {"", wire.TypeDNSKEY}, {"", wire.TypeSOA},
	{"mx.", wire.TypeA}, {"mx.", wire.TypeAAAA}, {"_25._tcp.mx.", wire.TypeTLSA}, {"_26._tcp.mx.", wire.TypeTLSA}, {"_tcp.mx.", wire.TypeTLSA},
	{"alias.", wire.TypeA}, {"alias2.", wire.TypeMX}, {"gone.", wire.TypeA}, {"x.wild.", wire.TypeA}, {"x.y.wild.", wire.TypeMX}, {"x.wild.", wire.TypeTXT},
	{"wildalias.", wire.TypeA}, {"exact.wild.", wire.TypeA}, {"exact.wild.", wire.TypeTXT}, {"q.cw.", wire.TypeA}, {"b.c.ent.", wire.TypeA}, {"z.c.ent.", wire.TypeA},
	{"nosuch.", wire.TypeMX}, {"no.such.", wire.TypeA}, {"UPPER.", wire.TypeA}, {"www.moved.", wire.TypeA}, {"none.moved.", wire.TypeA}, {"far.", wire.TypeA}, {"mx.farmoved.", wire.TypeA},
	{"tokid.", wire.TypeA}, {"toplain.", wire.TypeA}, {"www.kid.", wire.TypeA}, {"nope.kid.", wire.TypeA}, {"kid.", wire.TypeDS}, {"www.plain.", wire.TypeA}, {"plain.", wire.TypeDS}, {"www.isle.", wire.TypeA},
	{"isle.", wire.TypeDS}, {"plain.", wire.TypeA}, {"void.", wire.TypeA}, {"x.void.", wire.TypeMX}, {"lone.void.", wire.TypeDS}, {"www.lone.void.", wire.TypeA}, {"x.y.wild.", wire.TypeDS},
}

// drawing makes zones and the questions about them.
type drawing struct {
	draw  *rand.Rand
	zones []prooftest.Zone
	pairs []pair
	kinds map[string]string // of zones, by name
	// modern: no SHA-1, and no more iterations of NSEC3 than count.
	modern bool
}

func drawn(seed uint64, pairs int, modern bool) *drawing {
	d := &drawing{modern: modern, draw: rand.New(rand.NewPCG(seed, 14)), kinds: map[string]string{}}
	root := prooftest.Zone{Name: "."}
	above := map[string]*prooftest.Zone{}
	for i, name := range parents {
		root.Records = append(root.Records, name+" NS ns."+name, "ns."+name+" A 192.0.2.9")
		above[name] = &prooftest.Zone{Name: name, NSEC3: i > 0, OptOut: i >= 2, Partly: i == 3}
	}
	n := (pairs + len(asked) - 1) / len(asked)
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("z%d.%s", i, parents[d.draw.IntN(len(parents))])
	}
	for i, name := range names {
		up := above[name[len(fmt.Sprintf("z%d.", i)):]]
		up.Records = append(up.Records, name+" NS ns."+name, "ns."+name+" A 192.0.2.8")
		d.zone(name, names[d.draw.IntN(n)])
	}
	d.zones = append(d.zones, root)
	for _, name := range parents {
		d.zones = append(d.zones, *above[name])
	}
	return d
}

// zone draws a zone with its children, and what is asked of it. other is another zone, to which aliases lead.
func (d *drawing) zone(name, other string) {
	z := d.one(name, 0.75)
	z.Records = append(append([]string{}, content...), "far CNAME mx."+other, "farmoved DNAME "+other)
	kid := d.one("kid."+name, 0.3)
	kid.Records = []string{"www A 192.0.2.20", "www TXT kid"}
	d.zones = append(d.zones, z, kid,
		prooftest.Zone{Name: "plain." + name, Unsigned: true, Records: []string{"www A 192.0.2.21"}},
		prooftest.Zone{Name: "lone.void." + name, Unsigned: true, Records: []string{"www A 192.0.2.23"}},
		prooftest.Zone{Name: "isle." + name, NoDS: true, NSEC3: d.draw.IntN(2) == 0, Records: []string{"www A 192.0.2.22"}})
	for _, a := range asked {
		label := a.name
		d.pairs = append(d.pairs, pair{q: proof.Ask(label+name, a.qtype), zone: describe(z) + "; kid: " + describe(kid)})
	}
}

// one draws how a zone is signed and what is wrong with it.
func (d *drawing) one(name string, faulty float64) prooftest.Zone {
	z := prooftest.Zone{Name: name, Algorithm: algorithms[d.draw.IntN(len(algorithms))], NSEC3: d.draw.IntN(2) == 0, TwoKeys: d.draw.IntN(3) == 0, Seed: d.draw.Uint64()}
	if z.NSEC3 {
		z.OptOut = d.draw.IntN(3) == 0
		z.Partly = d.draw.IntN(2) == 0
		z.Iterations = []uint16{0, 0, 0, 1, 12, 50, 60, 160}[d.draw.IntN(8)]
		z.Salt = []string{"", "aabbccdd"}[d.draw.IntN(2)]
	}
	z.Digest = []uint8{wire.SHA256, wire.SHA256, wire.SHA256, wire.SHA384, wire.SHA1}[d.draw.IntN(5)]
	if d.modern {
		for z.Algorithm == wire.RSASHA1 || z.Algorithm == wire.RSASHA1NSEC3SHA1 {
			z.Algorithm = algorithms[d.draw.IntN(len(algorithms))]
		}
		if z.Iterations = min(z.Iterations, 50); z.Digest == wire.SHA1 {
			z.Digest = wire.SHA256
		}
	}
	switch d.draw.IntN(24) {
	case 0:
		z.Unsigned = true
	case 1:
		z.NoDS = true
	case 2:
		z.WrongDS = true
	case 3:
		z.Inception, z.Expiration = -96*hour, -72*hour
	case 4:
		z.Inception, z.Expiration = 72*hour, 96*hour
	}
	if all := prooftest.Faults(); d.draw.Float64() < faulty {
		for range 1 + d.draw.IntN(3) {
			z.Faults = append(z.Faults, all[d.draw.IntN(len(all))])
		}
	}
	d.kinds[name] = describe(z)
	return z
}

// describe is a zone's kind in a few words.
func describe(z prooftest.Zone) string {
	s := fmt.Sprintf("%s algorithm %d digest %d", z.Name, z.Algorithm, z.Digest)
	if z.NSEC3 {
		s += fmt.Sprintf(" NSEC3 (%d, salt %q, opt-out %v, of some alone %v)", z.Iterations, z.Salt, z.OptOut, z.Partly)
	}
	switch {
	case z.Unsigned:
		s += " unsigned"
	case z.NoDS:
		s += " island"
	case z.WrongDS:
		s += " wrong DS"
	case z.Inception != 0:
		s += fmt.Sprintf(" signed from %s to %s", z.Inception, z.Expiration)
	}
	if z.TwoKeys {
		s += " two keys"
	}
	return s + fmt.Sprint(" ", z.Faults)
}
