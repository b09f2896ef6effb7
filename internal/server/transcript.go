package server

import (
	"net/netip"

	"waxwing/internal/smtptrace"
	"waxwing/smtp"
	"waxwing/smtpclient"
	"waxwing/smtpserver"
)

// incomingTranscript says who watches the connections of a listener.
func (f *front) incomingTranscript(kind string) func(smtpserver.Conn) smtp.Transcript {
	return func(c smtpserver.Conn) smtp.Transcript {
		if !f.traces.Watched() {
			return nil
		}
		return f.traces.Transcript(smtptrace.Peer{Listener: kind, Remote: c.Remote(), Local: c.Local()})
	}
}

// traceRefused shows a connection that was refused before anything was said.
func (f *front) traceRefused(kind string, remote netip.Addr, word string) {
	if word == "" || !f.traces.Watched() {
		return
	}
	if t := f.traces.Transcript(smtptrace.Peer{Listener: kind, Remote: netip.AddrPortFrom(remote, 0)}); t != nil {
		t.Line(smtp.FromConnection, "refused: "+word)
	}
}

// outgoingTranscript says who watches a connection with another host.
func (b *builder) outgoingTranscript(p smtpclient.Peer) smtp.Transcript {
	if !b.traces.Watched() {
		return nil
	}
	return b.traces.Transcript(smtptrace.Peer{Outgoing: true, Host: p.Host, Remote: p.Remote, Local: p.Local})
}
