package main

import (
	"context"
	"errors"
	"fmt"

	"waxwing/internal/delivery"
	"waxwing/internal/routes"
	"waxwing/internal/server"
	"waxwing/internal/session"
	"waxwing/internal/transport"
)

// testTransport connects to the host of a smarthost or submission transport, as
// a delivery would, and says whether mail would go there.
func testTransport(ctx context.Context, e env, o *opened, name string) error {
	t, err := (&routes.Store{DB: o.store}).Table(ctx)
	if err != nil {
		return err
	}
	tr, ok := t.Transports[name]
	if !ok {
		return hintTransport(errors.Join(fmt.Errorf("transport %s: %w", name, routes.ErrUnknown), t.Broken[name]))
	}
	if !tr.Relays() {
		return fmt.Errorf("transport %s is of kind %s and has no host of its own: \"waxwing explain -connect ADDRESS\" looks at a recipient's", name, tr.Kind)
	}
	router, err := server.Ways(o.cfg, o.store)
	if err != nil {
		return err
	}
	d, err := router.Make(tr)
	if err != nil {
		return err
	}
	relay, ok := d.(*transport.Relay)
	if !ok {
		return fmt.Errorf("transport %s cannot be tested", name)
	}
	return tellProbes(ctx, e, relay)
}

func tellProbes(ctx context.Context, e env, relay *transport.Relay) error {
	dec, probes := relay.Probe(ctx)
	if dec.Stop != nil {
		return fmt.Errorf("mail would wait: %s", dec.Stop.Text)
	}
	plan := &dec.Plans[0]
	fmt.Fprintf(e.stdout, "%s port %d, TLS %s, verification %s\n", relay.Transport.Host, relay.Transport.PortNumber(),
		map[delivery.TLSLevel]string{delivery.TLSRequired: "required", delivery.TLSOpportunistic: "where it works"}[plan.TLS], plan.Verify())
	good := false
	for i := range probes {
		fault := transport.Fault(plan, &probes[i])
		good = good || fault == ""
		tellProbe(e, &probes[i], fault)
	}
	if !good {
		return errors.New("no address of the host would get mail now")
	}
	if relay.Transport.User != "" {
		fmt.Fprintf(e.stdout, "  logging in as %s was not tried\n", relay.Transport.User)
	}
	return nil
}

func tellProbe(e env, p *session.Probe, fault string) {
	if fault != "" {
		fmt.Fprintf(e.stdout, "  %s: mail would wait: %s\n", p.Addr, fault)
		return
	}
	how := "in plaintext"
	if p.TLS != nil {
		how = "over " + p.TLS.Version
	}
	fmt.Fprintf(e.stdout, "  %s: mail would go, %s; REQUIRETLS %s\n", p.Addr, how, map[bool]string{true: "offered", false: "not offered"}[p.RequireTLS])
}
