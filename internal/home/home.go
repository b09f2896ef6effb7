// Package home knows what is ours: the host's names and addresses, the hosted domains, and who is told of what an operator should see.
package home

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	"waxwing/dns"
	"waxwing/internal/accounts"
	"waxwing/internal/config"
	"waxwing/internal/delivery"
	"waxwing/internal/signing"
)

// Home is what is ours. Its fields are set before its first use.
type Home struct {
	Host     dns.Name
	Accounts *accounts.Store
	Keys     *signing.Service
	Addrs    []netip.Addr // where others deliver to us
	// Guest: Postfix is the mail server of this name. Its domains are not delivered to
	// mailboxes here, and mail to it is no loop.
	Guest bool
	// Reports says who reads what comes to report addresses.
	Reports func(of config.ReportSort, domain dns.Name) config.ReportsTo
}

// IsSelf knows this server by its name and by the addresses that it takes mail
// from outside at (DST-4).
func (h *Home) IsSelf(name dns.Name, addrs []netip.Addr) bool {
	return !h.Guest && (name == h.Host || slices.ContainsFunc(addrs, func(a netip.Addr) bool { return slices.Contains(h.Addrs, a) }))
}

// IsLocal says of a domain that its mail ends here.
func (h *Home) IsLocal(ctx context.Context, d delivery.RecipientDomain) (bool, error) {
	if d.IsLiteral() || h.Guest {
		return false, nil
	}
	return h.Accounts.IsHosted(ctx, d.Name)
}

// IsOurs: the host's own name or a hosted domain.
func (h *Home) IsOurs(ctx context.Context, domain dns.Name) bool {
	if domain == h.Host {
		return true
	}
	hosted, err := h.Accounts.IsHosted(ctx, domain)
	return err == nil && hosted // with an error, resolving the recipient fails next
}

// Postmaster is who is told of what an operator should see: of the nearest
// hosted domain at or above the host name, else of the first that is hosted. ""
// where nothing is.
func (h *Home) Postmaster(ctx context.Context) (string, error) {
	for d := h.Host; !d.IsZero(); d = d.Parent() {
		hosted, err := h.Accounts.IsHosted(ctx, d)
		if err != nil {
			return "", err
		}
		if hosted {
			return "postmaster@" + d.ASCII(), nil
		}
	}
	domains, err := h.Accounts.Domains(ctx)
	if len(domains) == 0 || err != nil {
		return "", err
	}
	return "postmaster@" + domains[0].Name.ASCII(), nil
}

// Sign signs a message from this host's postmaster with the keys of the nearest
// domain above the host name that has some; without any it goes unsigned.
func (h *Home) Sign(ctx context.Context, msg []byte) ([]byte, error) {
	for d := h.Host; !d.Parent().IsZero(); d = d.Parent() {
		fields, err := h.Keys.Sign(ctx, d, msg, nil)
		if !errors.Is(err, signing.ErrNoKeys) {
			return fields, err
		}
	}
	return nil, nil
}
