package explain

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"waxwing/internal/route"
	"waxwing/internal/routes"
)

// Way is the transport that a mail takes where it is not direct delivery (TRA-4).
type Way struct {
	Transport string `json:"transport"`
	Kind      string `json:"kind,omitempty"`
	To        string `json:"to,omitempty"` // the smarthost or proxy
	Why       string `json:"why"`
	Problem   string `json:"problem,omitempty"` // why it cannot be taken
}

// way asks the routes; nil for direct delivery.
func (x *Explainer) way(ctx context.Context, req Request) *Way {
	if x.Routes == nil {
		return nil
	}
	t, err := x.Routes.Table(ctx)
	if err != nil {
		return &Way{Why: "the routes cannot be read", Problem: err.Error()}
	}
	return chooseWay(t, route.Subject{Account: req.Account, Sender: req.Sender, Recipient: req.Domain, Need: req.Need})
}

// chooseWay is pure.
func chooseWay(t *routes.Table, s route.Subject) *Way {
	c := t.Choice(s)
	if c.Transport == "" {
		return &Way{Why: "a route of this server cannot be read, and such mail waits", Problem: c.Why}
	}
	if err := t.Broken[c.Transport]; err != nil {
		return &Way{Transport: c.Transport, Why: "a transport of this server cannot be read, and mail for it waits", Problem: err.Error()}
	}
	if c.Transport == route.DirectName {
		return nil
	}
	w := &Way{Transport: c.Transport, Why: c.Why}
	if c.Transport == route.LocalName {
		w.Kind = "local"
		return w
	}
	tr, ok := t.Transports[c.Transport]
	switch {
	case !ok:
		w.Problem = "there is no transport of that name"
	case tr.Relays():
		w.To = net.JoinHostPort(tr.Host.String(), strconv.Itoa(int(tr.PortNumber())))
	case tr.Proxy != "":
		w.To = tr.Proxy
	}
	w.Kind = string(tr.Kind)
	return w
}

// Direct reports that the hosts of the recipient's domain are visited, by
// whatever way.
func (w *Way) Direct() bool {
	return w == nil || w.Problem == "" && (w.Kind == string(route.Direct) || w.Kind == string(route.SOCKS5))
}

// summary is the way in one sentence.
func (w *Way) summary() string {
	switch {
	case w.Problem != "":
		return fmt.Sprintf("The mail would wait: transport %s (%s): %s.", w.Transport, w.Why, w.Problem)
	case w.Kind == string(route.Fail):
		return fmt.Sprintf("The mail would be returned, or wait, as the transport %s says (%s).", w.Transport, w.Why)
	case w.Kind == "local":
		return fmt.Sprintf("The mail would go into a mailbox of this server (%s).", w.Why)
	case w.To != "" && !w.Direct():
		return fmt.Sprintf("The mail would be handed to %s by the transport %s (%s). What follows is what direct delivery would find.", w.To, w.Transport, w.Why)
	case w.To != "":
		return fmt.Sprintf("Through %s, by the transport %s (%s):", w.To, w.Transport, w.Why)
	}
	return fmt.Sprintf("By the transport %s (%s):", w.Transport, w.Why)
}
