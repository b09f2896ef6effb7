package main

import (
	"fmt"
	"io"
	"strings"

	"waxwing/internal/delivery"
	"waxwing/internal/queue"
)

// printSession shows one connection of an attempt: what it was, then what the
// host said.
func printSession(w io.Writer, s *queue.SessionDetail) {
	kind := "a new connection"
	if s.Reused {
		kind = "reused: a connection kept from an earlier message"
	}
	fmt.Fprintf(w, "    session with %s, %s, %s\n", s.Addr, moment(s.Started), kind)
	fmt.Fprintf(w, "      %s\n", strings.Join(secured(s), "; "))
	for _, x := range []struct{ what, text string }{{"TLS failed: ", s.TLSFailure}, {"failed: ", s.Error}} {
		if x.text != "" {
			fmt.Fprintf(w, "      %s%s\n", x.what, x.text)
		}
	}
	for _, reply := range s.Transcript {
		fmt.Fprintf(w, "      < %s\n", reply)
	}
}

// secured says in parts how the session was protected.
func secured(s *queue.SessionDetail) []string {
	parts := []string{tlsText(s.TLS, s.Reused)}
	if s.SmallHello {
		parts[0] += ": once more with a small TLS hello, after the first had failed"
	}
	if f := s.TLS; f != nil && f.Weak != nil {
		parts = append(parts, "weak: "+string(f.Weak.Reason)+": "+f.Weak.Text)
	}
	if s.Plaintext {
		parts[0] += ": once more without, after TLS had failed"
	}
	for _, x := range []struct{ what, verdict string }{{"PKIX", s.PKIX}, {"DANE", s.DANE}} {
		if x.verdict != "" {
			parts = append(parts, x.what+" "+x.verdict)
		}
	}
	return parts
}

// tlsText is one TLS session in a line. A reused connection has that of the
// message it was made for; a resumed one skipped the exchange of certificates.
func tlsText(f *delivery.TLSFacts, reused bool) string {
	if f == nil {
		return "no TLS"
	}
	parts := []string{f.Version}
	for _, x := range []string{f.Cipher, f.KeyExchange} {
		if x != "" {
			parts = append(parts, x)
		}
	}
	switch {
	case f.Resumed:
		parts = append(parts, "resumed from an earlier TLS session")
	case reused:
		parts = append(parts, "not resumed")
	default:
		parts = append(parts, "full handshake")
	}
	if f.Fingerprint != "" {
		parts = append(parts, "certificate SHA-256 "+f.Fingerprint)
	}
	return strings.Join(parts, ", ")
}
