package peers

import (
	"cmp"
	"time"
)

// Limits bound what clients have of one listener. Zero values mean the defaults
// given.
type Limits struct {
	Connections int // in all; 1000
	PerClient   int // of one client; 50
	PerNetwork  int // of one network; 200, and not less than PerClient
	Waiting     int // of clients whose errors are answered late; 100
	Handshakes  int // TLS handshakes at one time, of all clients; 200
}

// orDefault replaces zero values by the defaults.
func (l Limits) orDefault() Limits {
	perClient := cmp.Or(l.PerClient, 50)
	return Limits{
		Connections: cmp.Or(l.Connections, 1000),
		PerClient:   perClient,
		PerNetwork:  max(cmp.Or(l.PerNetwork, 200), perClient),
		Waiting:     cmp.Or(l.Waiting, 100),
		Handshakes:  cmp.Or(l.Handshakes, 200),
	}
}

// Word says in one word why something is refused; "" is no refusal. The words
// are metric labels.
type Word string

// The words.
const (
	LimitTotal     Word = "limit-total"     // all connections are taken
	LimitStrangers Word = "limit-strangers" // the last ones are kept for clients who are known
	LimitAddress   Word = "limit-address"   // the client has its share
	LimitNetwork   Word = "limit-network"   // its network has its share
	LimitRate      Word = "limit-rate"      // it connects too often for a stranger
	LimitErrors    Word = "limit-errors"    // it, or its network, has made too many errors
	LimitTLS       Word = "limit-tls"       // too many TLS handshakes are under way
)

// Asking is what is known of a listener and of a client that wants a connection.
type Asking struct {
	Open    int // connections in all
	Client  int // of them, the client's
	Network int // of them, its network's
	Known   bool
	Hasty   bool // it has connected more often than a stranger may
	Unruly  bool // its errors are beyond patience
}

// Admission is the answer. Hurry says that the listener is nearly full, so that
// nobody has much time.
type Admission struct {
	Refused Word
	Hurry   bool
}

// Shares of a listener, in percent of all connections.
const (
	crowded     = 80 // from here on everybody is hurried
	forAnybody  = 90 // beyond it, only clients who are known are let in
	uncrowded   = 70 // back to leisure
	strangers   = 20 // percent of PerClient and PerNetwork that a stranger has in a crowd
	leastShare  = 1
	wholeShares = 100
)

// Admit decides on one connection. Nearly full, a listener gives strangers less
// than those who are known, and time to nobody.
func Admit(l Limits, a Asking) Admission {
	l = l.orDefault()
	hurry := Crowded(l, a.Open+1, false)
	perClient, perNetwork := l.PerClient, l.PerNetwork
	if hurry && !a.Known {
		perClient = max(leastShare, perClient*strangers/wholeShares)
		perNetwork = max(leastShare, perNetwork*strangers/wholeShares)
	}
	switch {
	case a.Open >= l.Connections:
		return Admission{Refused: LimitTotal}
	case a.Unruly:
		return Admission{Refused: LimitErrors}
	case a.Client >= perClient:
		return Admission{Refused: LimitAddress}
	case a.Network >= perNetwork:
		return Admission{Refused: LimitNetwork}
	case a.Known:
		return Admission{Hurry: hurry}
	case a.Hasty:
		return Admission{Refused: LimitRate}
	case a.Open >= l.Connections-l.Connections*(wholeShares-forAnybody)/wholeShares:
		return Admission{Refused: LimitStrangers}
	}
	return Admission{Hurry: hurry}
}

// Crowded reports whether a listener with so many connections open is nearly
// full. Once it is, it is so until many have gone: the state must not flicker.
func Crowded(l Limits, open int, already bool) bool {
	share := crowded
	if already {
		share = uncrowded
	}
	all := l.orDefault().Connections
	return open > 1 && open*wholeShares >= all*share
}

// Patience is how many errors of a client are borne. Zero values mean the
// defaults given.
type Patience struct {
	Free int // errors that are answered at once; 10
	End  int // the error that ends the connection; 20
	// Each error between them is answered later than the one before: after Step, twice
	// Step, and so on, up to Most.
	Step time.Duration // 1 s
	Most time.Duration // 10 s
}

func (p Patience) orDefault() Patience {
	return Patience{
		Free: cmp.Or(p.Free, 10),
		End:  cmp.Or(p.End, 20),
		Step: cmp.Or(p.Step, time.Second),
		Most: cmp.Or(p.Most, 10*time.Second),
	}
}

// Conduct is what a client, or a network, has come to.
type Conduct struct {
	Errors   int // recipients, commands and logins that were refused
	Accepted int // recipients of its messages that were accepted
}

// owes is the errors that nothing makes up for. A mailing list has dead addresses,
// and delivers to the others.
func (c Conduct) owes() int { return max(0, c.Errors-c.Accepted) }

// Three are the conducts that an answer rests on, the error in question included:
// of the connection, of its client lately, and of its network lately.
type Three struct{ Connection, Client, Network Conduct }

// networkWorth is how many clients' errors a network may make: it may have as
// many addresses, and others in it who do no harm.
const networkWorth = 5

// owes is the errors that count.
func (t Three) owes() int {
	client := Conduct{max(t.Connection.Errors, t.Client.Errors), max(t.Connection.Accepted, t.Client.Accepted)}
	if client.Accepted > 0 && client.owes() == 0 {
		return 0 // who delivers mail does not pay for its neighbours
	}
	return max(client.owes(), t.Network.owes()/networkWorth)
}

// Answer is what becomes of the answer to an error: it waits, or takes the
// connection's end with it.
type Answer struct {
	Wait time.Duration
	End  bool
}

// Answer decides it.
func (p Patience) Answer(t Three) Answer {
	p = p.orDefault()
	n := t.owes()
	switch {
	case n >= p.End:
		return Answer{End: true}
	case n <= p.Free:
		return Answer{}
	}
	return Answer{Wait: min(p.Step*time.Duration(n-p.Free), p.Most)}
}

// Unruly reports that not even a connection is due.
func (p Patience) Unruly(client, network Conduct) bool {
	return Three{Client: client, Network: network}.owes() >= p.orDefault().End
}
