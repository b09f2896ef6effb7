package session

import "time"

// Bounds limit what one Carry may take in all (SES-7). The timeouts of
// smtpclient bound each step, and a host that uses up every one of them, for
// every address and every recipient, could still hold a slot for days.
// A zero field takes its default.
type Bounds struct {
	// Setup is for all of a session before MAIL: greeting, EHLO, TLS, login; 10 min.
	Setup time.Duration
	// Addresses is how long after the start of a Carry another address may be
	// begun; 20 min. It is well above the time for a greeting, so that an address
	// where nobody ever greets does not keep mail from the next.
	Addresses time.Duration
	// Transactions is how long after it another transaction, or a connection for
	// one, may be begun; 30 min. The recipients that are left wait for the next attempt.
	Transactions time.Duration
}

func (b Bounds) withDefaults() Bounds {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&b.Setup, 10*time.Minute)
	set(&b.Addresses, 20*time.Minute)
	set(&b.Transactions, 30*time.Minute)
	return b
}
