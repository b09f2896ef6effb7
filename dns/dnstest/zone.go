package dnstest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	wire "github.com/miekg/dns"

	"waxwing/dns"
)

// Zone is a zone and its DNSSEC state.
type Zone struct {
	Name     string
	Security dns.Security // of all names, but those in PerName; Indeterminate is answered as Insecure
	// Records are zone-file lines, relative to Name, TTL 300 unless given:
	// "mx1 300 IN A 127.0.0.2", "@ MX 10 mx1". There are no wildcards.
	Records []string
	// NoEDE leaves the extended error out of the SERVFAIL of a Bogus name, as
	// unbound does by default. Data is then still given to a query with CD.
	NoEDE bool
	EDE   uint16 // the extended error of a Bogus name; 0: 6 (DNSSEC bogus)
	// PerName overrides Security, by "name" or "name/TYPE", absolute.
	PerName map[string]dns.Security
	// NegativeTTL of NXDOMAIN and NODATA, in seconds; 0: 300.
	NegativeTTL uint32
}

// Failure makes the server fail one name, whatever its zone says.
type Failure struct {
	Name string // absolute
	Type string // "MX"; empty: every type
	// RCode is what it answers, "SERVFAIL" if empty, also to a query with CD.
	RCode string
	EDE   uint16 // extended error, 0: none
	Drop  bool   // no answer at all
}

// zone is a Zone, parsed.
type zone struct {
	name     string // lower case, with final dot
	security dns.Security
	ede      uint16 // 0: none
	perName  map[string]dns.Security
	negative uint32
	records  map[string][]wire.RR // by owner
	names    map[string]bool      // owners and the empty names above them
}

func parseZone(z Zone) (*zone, error) {
	out := &zone{
		name: fqdn(z.Name), security: z.Security, ede: z.EDE, negative: z.NegativeTTL,
		perName: make(map[string]dns.Security), records: make(map[string][]wire.RR),
	}
	if out.negative == 0 {
		out.negative = 300
	}
	if out.ede == 0 {
		out.ede = wire.ExtendedErrorCodeDNSBogus
	}
	if z.NoEDE {
		out.ede = 0
	}
	for k, s := range z.PerName {
		name, qtype, _ := strings.Cut(k, "/")
		out.perName[perNameKey(fqdn(name), qtype)] = s
	}
	if err := out.add(z.Records); err != nil {
		return nil, err
	}
	return out, nil
}

func perNameKey(name, qtype string) string { return name + "/" + strings.ToUpper(qtype) }

func (z *zone) add(lines []string) error {
	defer z.rename()
	for _, line := range lines {
		// A parser for each line: a TTL is not handed on to the next.
		p := wire.NewZoneParser(strings.NewReader(line+"\n"), z.name, "")
		p.SetDefaultTTL(300)
		rr, ok := p.Next()
		if !ok {
			return fmt.Errorf("zone %s: no record in %q (%v)", z.name, line, p.Err())
		}
		owner := wire.CanonicalName(rr.Header().Name)
		if !wire.IsSubDomain(z.name, owner) {
			return fmt.Errorf("record of %s is not in zone %s", owner, z.name)
		}
		z.records[owner] = append(z.records[owner], rr)
	}
	return nil
}

// rename works out which names exist.
func (z *zone) rename() {
	z.names = map[string]bool{z.name: true}
	for owner := range z.records {
		for n := owner; n != z.name && n != "."; {
			z.names[n] = true
			_, n, _ = strings.Cut(n, ".")
			if n == "" {
				n = "."
			}
		}
	}
}

func (z *zone) remove(name, qtype string) {
	t := wire.StringToType[strings.ToUpper(qtype)]
	z.records[name] = slices.DeleteFunc(z.records[name], func(rr wire.RR) bool {
		return qtype == "" || rr.Header().Rrtype == t
	})
	if len(z.records[name]) == 0 {
		delete(z.records, name)
	}
	z.rename()
}

// state is the security of one name and type.
func (z *zone) state(name, qtype string) dns.Security {
	for _, k := range []string{perNameKey(name, qtype), perNameKey(name, "")} {
		if s, ok := z.perName[k]; ok {
			return s
		}
	}
	return z.security
}

func (z *zone) soa() wire.RR {
	return &wire.SOA{
		Hdr: wire.RR_Header{Name: z.name, Rrtype: wire.TypeSOA, Class: wire.ClassINET, Ttl: z.negative},
		Ns:  "ns." + z.name, Mbox: "hostmaster." + z.name,
		Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: z.negative,
	}
}

// find returns the records of name and type, or the CNAME that stands for
// them, and whether the name exists.
func (z *zone) find(name string, qtype uint16) (rrs []wire.RR, cname *wire.CNAME, exists bool) {
	for _, rr := range z.records[name] {
		if rr.Header().Rrtype == qtype {
			rrs = append(rrs, rr)
		} else if c, ok := rr.(*wire.CNAME); ok {
			cname = c
		}
	}
	return rrs, cname, z.names[name]
}

func fqdn(s string) string { return wire.CanonicalName(s) }

// zoneFor is the zone nearest above name.
func zoneFor(zones map[string]*zone, name string) *zone {
	for n := name; n != ""; _, n, _ = strings.Cut(n, ".") {
		if z := zones[n]; z != nil {
			return z
		}
	}
	return zones["."]
}

func (z *zone) setState(name, qtype string, s dns.Security) {
	z.perName = maps.Clone(z.perName)
	z.perName[perNameKey(name, qtype)] = s
}
