package listing

import (
	"fmt"
	"io"
	"strings"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/spool"
	"waxwing/internal/text"
)

// Message is a message in the queue, with its recipients and all attempts at them.
type Message struct {
	Recipients []Recipient `json:"recipients"`
	Attempts   []Attempt   `json:"attempts"`
	envelope   delivery.Envelope
}

// Attempt is one job once.
type Attempt struct {
	ID        delivery.ID  `json:"id"`
	Domain    string       `json:"domain"`
	Transport string       `json:"transport"`
	Owner     string       `json:"owner"` // the machine that made it
	Started   time.Time    `json:"started"`
	Ended     time.Time    `json:"ended"`
	Detail    spool.Detail `json:"detail"`
}

// MessageOf makes it of what the queue knows.
func MessageOf(s *spool.Shown) Message {
	m := Message{Recipients: Recipients(s.Recipients), Attempts: []Attempt{}, envelope: s.Envelope}
	for _, a := range s.Attempts {
		m.Attempts = append(m.Attempts, Attempt{delivery.ID(a.ID), a.Domain, a.Transport, a.Owner, a.Started, a.Ended, a.Detail})
	}
	return m
}

// Print writes a message for people.
func (m *Message) Print(w io.Writer) {
	env := &m.envelope
	fmt.Fprintf(w, "message %s from <%s>, accepted %s, %d octets, %s\n", delivery.ID(env.ID), env.Sender, text.Instant(env.Accepted), env.Size, env.Need)
	for _, r := range m.Recipients {
		fmt.Fprintf(w, "  to <%s>: %s, %d attempts, next or last %s\n", r.Recipient, r.State, r.Attempts, text.Instant(r.Due))
		for _, s := range []string{r.Word, r.Text, r.Reply} {
			if s != "" {
				fmt.Fprintf(w, "      %s\n", s)
			}
		}
		if r.Last != nil {
			fmt.Fprintf(w, "      the last attempt: %s\n", r.Last)
		}
	}
	for i := range m.Attempts {
		a := &m.Attempts[i]
		fmt.Fprintf(w, "\nattempt %d, %s, %s by %s\n", i+1, text.Instant(a.Started), a.Transport, a.Owner)
		printAttempt(w, a)
	}
}

func printAttempt(w io.Writer, a *Attempt) {
	if a.Detail.Stop != nil {
		fmt.Fprintf(w, "  nothing was dialled: %s\n", a.Detail.Stop)
	}
	for _, h := range a.Detail.Hosts {
		fmt.Fprintf(w, "  host %s, to be verified by %s; because %s\n", h.Host, h.Verify, h.Basis)
		if h.Skip != nil {
			fmt.Fprintf(w, "    not used: %s\n", h.Skip)
		}
		for i := range h.Sessions {
			printSession(w, &h.Sessions[i])
		}
	}
	for _, r := range a.Detail.Recipients {
		fmt.Fprintf(w, "  <%s> %s %s %s %s\n", r.Address, r.Outcome, r.Word, r.TLS, r.Reply)
	}
}

// printSession shows one connection of an attempt: what it was, then what the
// host said.
func printSession(w io.Writer, s *spool.SessionDetail) {
	kind := "a new connection"
	if s.Reused {
		kind = "reused: a connection kept from an earlier message"
	}
	fmt.Fprintf(w, "    session with %s, %s, %s\n", s.Addr, text.Instant(s.Started), kind)
	fmt.Fprintf(w, "      %s\n", strings.Join(Secured(s), "; "))
	if s.TLSFailure != nil {
		fmt.Fprintf(w, "      TLS failed: %s\n", s.TLSFailure)
	}
	if s.Error != nil {
		fmt.Fprintf(w, "      failed: %s\n", s.Error)
	}
	for _, reply := range s.Transcript {
		fmt.Fprintf(w, "      < %s\n", reply)
	}
}

// Secured says in parts how the session was protected.
func Secured(s *spool.SessionDetail) []string {
	parts := []string{tlsText(s.TLS, s.Reused)}
	if s.SmallHello {
		parts[0] += ": once more with a small TLS hello, after the first had failed"
	}
	if f := s.TLS; f != nil && f.Weak != nil {
		parts = append(parts, "weak: "+string(f.Weak.Word)+": "+f.Weak.Text)
	}
	if s.Plaintext {
		parts[0] += ": once more without, after TLS had failed"
	}
	if s.PKIX != nil {
		parts = append(parts, "PKIX "+s.PKIX.String())
	}
	if s.DANE != nil {
		parts = append(parts, "DANE "+s.DANE.String())
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
