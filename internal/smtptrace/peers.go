package smtptrace

import (
	"net/netip"

	"waxwing/smtp"
	"waxwing/smtpclient"
	"waxwing/smtpserver"
)

// Incoming says who watches the connections of a listener.
func (h *Hub) Incoming(listener string) func(smtpserver.Conn) smtp.Transcript {
	return func(c smtpserver.Conn) smtp.Transcript {
		if !h.Watched() {
			return nil
		}
		return h.Transcript(Peer{Listener: listener, Remote: c.Remote(), Local: c.Local()})
	}
}

// Refused shows a connection that was refused before anything was said.
func (h *Hub) Refused(listener string, remote netip.Addr, word string) {
	if word == "" || !h.Watched() {
		return
	}
	if t := h.Transcript(Peer{Listener: listener, Remote: netip.AddrPortFrom(remote, 0)}); t != nil {
		t.Line(smtp.FromConnection, "refused: "+word)
	}
}

// Outgoing says who watches a connection with another host.
func (h *Hub) Outgoing(p smtpclient.Peer) smtp.Transcript {
	if !h.Watched() {
		return nil
	}
	return h.Transcript(Peer{Outgoing: true, Host: p.Host, Remote: p.Remote, Local: p.Local})
}
