package retry

import "time"

// SlowAfter is how long a delivery may take before its destination no longer counts as
// one that answers. Real ones take seconds; those that mean to hold us up take minutes.
const SlowAfter = 20 * time.Second

// Places are the deliveries that a server makes at one time, as they stand when one more
// wants to begin (QUE-3). A destination is silent until it has answered, and again while
// one of its deliveries takes longer than SlowAfter: a tarpit, a host that takes
// connections and never greets, name servers or a policy host that let one wait.
type Places struct {
	All             int // deliveries at one time, of the whole server
	Account         int // under way for the sender's account
	Silent          int // under way to silent destinations
	SilentOfAccount int // of them for the account
	Answers         bool
}

// Free reports that the delivery may begin. A quarter of the places is kept for
// destinations that answer, an account may have a quarter for those that do not, and
// three quarters in all: whoever writes to tarpits, or is written to by them, holds up
// nobody else.
func (p Places) Free() bool {
	switch {
	case p.Account >= part(p.All, 3):
		return false
	case p.Answers:
		return true
	}
	return p.Silent < part(p.All, 3) && p.SilentOfAccount < max(part(p.All, 1), 2)
}

// part is n quarters of all, rounded up.
func part(all, n int) int { return (all*n + 3) / 4 }

// Crowd is what is under way at one address, as it stands when one more connection
// wants to be made to it. Many domains can share an address.
type Crowd struct {
	All     int // deliveries at one time, of the whole server
	Open    int // connections to the address, those included that are being made
	Slow    int // of them open for longer than SlowAfter
	Answers bool
}

// Free reports that the connection may be made. An address of which nothing is known
// may have an eighth of all places, one that has answered lately three quarters, and none
// more than an eighth that are slow.
func (c Crowd) Free() bool {
	few := max((c.All+7)/8, 2)
	switch {
	case c.Slow >= few:
		return false
	case c.Answers:
		return c.Open < max(part(c.All, 3), 2)
	}
	return c.Open < few
}

// Waiting reports how many of a board's places for waiting deliveries mail may have that
// goes to silent destinations: all of it, and that of one account. Else it would keep
// what could go on out of sight.
func Waiting(limit int) (silent, account int) { return part(limit, 3), max(part(limit, 2), 1) }
