// Package smtptrace shows what is said on SMTP connections with one peer, while somebody
// watches (OPS-1): those of clients and those with other hosts. It shows what package smtp's
// Transcript is told, which holds no secrets and no mail. Nothing is kept, and a watcher who
// does not keep up loses lines rather than slowing a connection.
package smtptrace

import (
	"net/netip"
	"slices"
	"strings"
)

// Peer is one connection and who is at its other end.
type Peer struct {
	Outgoing bool
	Listener string // of an incoming one: the kind
	Host     string // of an outgoing one: the name that was dialled, without a dot at its end
	Remote   netip.AddrPort
	Local    netip.AddrPort
}

// Filter says which connections are watched.
type Filter struct {
	Nets     []netip.Prefix // of the peer's address
	Host     string         // or outgoing connections to the host of this name
	Listener string         // incoming ones at listeners of this kind only; "": all
	Outgoing bool           // outgoing ones only
}

// Matches reports whether a connection is watched. It is pure.
func (f *Filter) Matches(p Peer) bool {
	if f.Outgoing && !p.Outgoing || f.Listener != "" && (p.Outgoing || p.Listener != f.Listener) {
		return false
	}
	if f.Host != "" && p.Outgoing && strings.EqualFold(f.Host, p.Host) {
		return true
	}
	addr := p.Remote.Addr().Unmap()
	return slices.ContainsFunc(f.Nets, func(n netip.Prefix) bool { return n.Contains(addr) })
}
