// Package dnsupdate writes records into zones (CRT-5): by dynamic update with TSIG
// (RFC 2136, RFC 8945), or through a program of the operator's. What is to be written
// is chosen elsewhere; here it is done, all of it or nothing.
package dnsupdate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/dns"
	"waxwing/internal/foreign"
)

// Change is what becomes of one record set: all records of a name and a type.
type Change struct {
	Zone   dns.Name
	Name   dns.Name
	Type   string
	TTL    int      // seconds
	Was    []string // as it is seen now, in the form of package dnsrecords
	Raw    []string // the same records as the servers have their data, in the same order; nil: as Was would be written
	Values []string // as it is wanted; empty: no such set
}

// Updater writes changes of one zone, all or none.
type Updater interface {
	Update(ctx context.Context, changes []Change) error
}

// Errors of Update.
var (
	// ErrRefused: nothing was written, and the same update will be refused again.
	ErrRefused = errors.New("refused")
	// ErrChanged: nothing was written, since a record set is not as it was seen.
	ErrChanged = fmt.Errorf("%w: the records have been changed meanwhile", ErrRefused)
)

// forbidden are types that are the zone's own, and that nobody here touches.
var forbidden = []string{"SOA", "NS", "DS", "DNSKEY", "RRSIG", "NSEC", "NSEC3", "NSEC3PARAM", "CDS", "CDNSKEY"}

// check refuses what must never be written, whoever asks for it.
func check(changes []Change) error {
	for _, c := range changes {
		if slices.Contains(forbidden, c.Type) {
			return fmt.Errorf("%w: %s %s: records of this type are never written", ErrRefused, c.Name, c.Type)
		}
		if !c.Name.Under(c.Zone) {
			return fmt.Errorf("%w: %s is not in the zone %s", ErrRefused, c.Name, c.Zone)
		}
	}
	return nil
}

// Only lets an updater write to some zones and refuses all others.
type Only struct {
	Zones []dns.Name
	Updater
}

// Update passes changes of these zones on.
func (o *Only) Update(ctx context.Context, changes []Change) error {
	for _, c := range changes {
		if !slices.Contains(o.Zones, c.Zone) {
			return fmt.Errorf("%w: %s %s: its zone %s may not be written to: dns.update.zones does not name it", ErrRefused, c.Name, c.Type, c.Zone)
		}
	}
	return o.Updater.Update(ctx, changes)
}

// Dynamic updates zones by RFC 2136.
type Dynamic struct {
	Server    string // address with port of the primary
	KeyName   string // of TSIG; "": unsigned, for servers that go by addresses
	Algorithm string // "hmac-sha256" if empty
	Secret    string // base64
	Dial      func(ctx context.Context, network, addr string) (net.Conn, error)
	Now       func() time.Time
}

// updateTime bounds one update.
const updateTime = 20 * time.Second

// Update sends one message for the zone of the changes. Each set must still be as it
// was seen, so that nobody else's change is undone.
func (d *Dynamic) Update(ctx context.Context, changes []Change) error {
	if len(changes) == 0 {
		return nil
	}
	m, err := message(changes)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, updateTime)
	defer cancel()
	dial := d.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, "tcp", d.Server)
	if err != nil {
		return fmt.Errorf("update of %s: %w", changes[0].Zone, err)
	}
	defer conn.Close()
	c := wire.Client{Net: "tcp", Timeout: updateTime}
	if d.KeyName != "" {
		name := wire.CanonicalName(d.KeyName)
		c.TsigSecret = map[string]string{name: d.Secret}
		m.SetTsig(name, wire.CanonicalName(cmp.Or(d.Algorithm, "hmac-sha256")), 300, d.Now().Unix())
	}
	r, _, err := c.ExchangeWithConnContext(ctx, m, &wire.Conn{Conn: conn, TsigSecret: c.TsigSecret})
	if err != nil && r != nil && r.Rcode == wire.RcodeNotAuth { // which it cannot sign (RFC 8945 §5.3.2), so that anybody may have said it
		return fmt.Errorf("update of %s at %s: the server answers %s%s", changes[0].Zone, d.Server, wire.RcodeToString[r.Rcode], rcodeHint(r.Rcode))
	}
	if err != nil {
		return fmt.Errorf("update of %s at %s: %w", changes[0].Zone, d.Server, err)
	}
	if r.Rcode == wire.RcodeSuccess && d.KeyName != "" && r.IsTsig() == nil { // RFC 8945 §5.3; a signature that is there was verified
		return fmt.Errorf("update of %s at %s: the answer is not signed with the key, so that anybody may have given it; see that the zone has the records", changes[0].Zone, d.Server)
	}
	return answered(r.Rcode, changes[0].Zone, d.Server)
}

// answered is what a server's answer to an update means.
func answered(code int, zone dns.Name, server string) error {
	kind := ErrRefused
	switch code {
	case wire.RcodeSuccess:
		return nil
	case wire.RcodeNXRrset, wire.RcodeYXRrset, wire.RcodeNameError, wire.RcodeYXDomain: // RFC 2136 §3.2: a prerequisite
		kind = ErrChanged
	}
	return fmt.Errorf("update of %s at %s: %w: the server answers %s%s", zone, server, kind, wire.RcodeToString[code], rcodeHint(code))
}

// rcodeHint says what is to be done about an answer.
func rcodeHint(code int) string {
	switch code {
	case wire.RcodeNotAuth, wire.RcodeBadKey, wire.RcodeBadTime:
		return ": see that the TSIG key has the same name, algorithm and secret there, and that both clocks are right"
	case wire.RcodeRefused:
		return ": it does not let this key update the zone"
	case wire.RcodeNotZone:
		return ": it is not the primary server of this zone"
	}
	return ""
}

// message makes the update of one zone.
func message(changes []Change) (*wire.Msg, error) {
	if err := check(changes); err != nil {
		return nil, err
	}
	m := new(wire.Msg)
	m.SetUpdate(changes[0].Zone.ASCII() + ".")
	for _, c := range changes {
		if c.Zone != changes[0].Zone {
			return nil, errors.New("an update is of one zone")
		}
		was, err := records(c, c.present())
		if err != nil {
			return nil, err
		}
		wanted, err := records(c, c.wanted())
		if err != nil {
			return nil, err
		}
		header := &wire.ANY{Hdr: wire.RR_Header{Name: c.Name.ASCII() + ".", Rrtype: wire.StringToType[c.Type], Class: wire.ClassANY}}
		if len(was) == 0 {
			m.RRsetNotUsed([]wire.RR{header})
		} else {
			m.Used(was)
			m.RemoveRRset([]wire.RR{header})
		}
		m.Insert(wanted)
	}
	return m, nil
}

// present is the data that is there, as the servers have it: the parts of a text are
// compared one by one (RFC 2136 §3.2.3), so that a text that others wrote in two stays so.
func (c Change) present() []string {
	if len(c.Raw) == len(c.Was) && len(c.Was) > 0 {
		return c.Raw
	}
	return quoted(c.Type, c.Was)
}

// wanted is the data that there shall be. What stays is not written otherwise.
func (c Change) wanted() []string {
	out, present := quoted(c.Type, c.Values), c.present()
	for i, v := range c.Values {
		if k := slices.Index(c.Was, v); k >= 0 {
			out[i] = present[k]
		}
	}
	return out
}

// records reads data as it stands in zone files.
func records(c Change, values []string) ([]wire.RR, error) {
	var all []wire.RR
	for _, v := range values {
		line := fmt.Sprintf("%s. %d IN %s %s", c.Name.ASCII(), c.TTL, c.Type, v)
		rr, err := wire.NewRR(line)
		if err != nil || rr == nil {
			return nil, fmt.Errorf("%s %s: %q is no record", c.Name, c.Type, foreign.Clip(v, 100))
		}
		all = append(all, rr)
	}
	return all, nil
}
