package server

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"

	"waxwing/dns"
	"waxwing/internal/accounts"
	"waxwing/internal/config"
	"waxwing/internal/delivery"
	"waxwing/internal/signing"
)

// home knows what is ours: names, domains and addresses.
type home struct {
	host     dns.Name
	accounts *accounts.Store
	keys     *signing.Service
	addrs    []netip.Addr // where others deliver to us
	// guest: Postfix is the mail server of this name. Its domains are not delivered to
	// mailboxes here, and mail to it is no loop.
	guest bool
	// reports says who reads what comes to report addresses.
	reports func(of config.ReportSort, domain dns.Name) config.ReportsTo
}

func (b *builder) home(users *accounts.Store, keys *signing.Service) *home {
	return &home{host: b.cfg.Hostname, accounts: users, keys: keys, addrs: b.cfg.OwnAddrs(net.InterfaceAddrs),
		reports: b.cfg.ReportsTo, guest: b.cfg.Companion.On() && !b.cfg.ServesMail()}
}

// isSelf knows this server by its name and by the addresses that it takes mail
// from outside at (DST-4).
func (h *home) isSelf(name dns.Name, addrs []netip.Addr) bool {
	return !h.guest && (name == h.host || slices.ContainsFunc(addrs, func(a netip.Addr) bool { return slices.Contains(h.addrs, a) }))
}

// isLocal says of a domain that its mail ends here.
func (h *home) isLocal(ctx context.Context, d delivery.RecipientDomain) (bool, error) {
	if d.IsLiteral() || h.guest {
		return false, nil
	}
	return h.accounts.IsHosted(ctx, d.Name)
}

// isOurs: the host's own name or a hosted domain.
func (h *home) isOurs(ctx context.Context, domain dns.Name) bool {
	if domain == h.host {
		return true
	}
	hosted, err := h.accounts.IsHosted(ctx, domain)
	return err == nil && hosted // with an error, resolving the recipient fails next
}

// postmaster is who is told of what an operator should see: of the nearest
// hosted domain at or above the host name, else of the first that is hosted. ""
// where nothing is.
func (h *home) postmaster(ctx context.Context) (string, error) {
	for d := h.host; !d.IsZero(); d = d.Parent() {
		hosted, err := h.accounts.IsHosted(ctx, d)
		if err != nil {
			return "", err
		}
		if hosted {
			return "postmaster@" + d.ASCII(), nil
		}
	}
	domains, err := h.accounts.Domains(ctx)
	if len(domains) == 0 || err != nil {
		return "", err
	}
	return "postmaster@" + domains[0].Name.ASCII(), nil
}

// sign signs a message from this host's postmaster with the keys of the nearest
// domain above the host name that has some; without any it goes unsigned.
func (h *home) sign(ctx context.Context, msg []byte) ([]byte, error) {
	for d := h.host; !d.Parent().IsZero(); d = d.Parent() {
		fields, err := h.keys.Sign(ctx, d, msg, nil)
		if !errors.Is(err, signing.ErrNoKeys) {
			return fields, err
		}
	}
	return nil, nil
}

// hostNames are the names that results of DANE may be about beside those below
// hosted domains (RPT-17): the host's own, as it calls itself.
func hostNames(cfg *config.Config) []dns.Name {
	names := []dns.Name{cfg.Hostname}
	if ehlo := cfg.Delivery.EHLO; !ehlo.IsZero() && ehlo != cfg.Hostname {
		names = append(names, ehlo)
	}
	return names
}
