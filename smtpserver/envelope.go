package smtpserver

const (
	// ownEnvelope is what the recipients of one transaction may hold in any case, in
	// octets: with the buffers, a connection then holds less than 64 KiB.
	ownEnvelope = 16 << 10
	// perRecipient is what a recipient holds beside the text of its command, by and
	// large.
	perRecipient = 256
)

// hold counts what the recipient of a command holds until the transaction ends, and
// reports whether there is room for it. Who has logged in is bounded by the number
// of recipients alone.
func (c *conn) hold(arg string) bool {
	c.tx.octets += int64(len(arg)) + perRecipient
	more := c.tx.octets - ownEnvelope - c.tx.lent
	if c.identity != "" || more <= 0 {
		return true
	}
	if c.srv.lent.Add(more) > c.srv.limits().EnvelopeMemory {
		c.srv.lent.Add(-more)
		c.tx.octets -= int64(len(arg)) + perRecipient
		return false
	}
	c.tx.lent += more
	return true
}

// begin makes t the transaction; what the last one held is given back.
func (c *conn) begin(t transaction) {
	c.srv.lent.Add(-c.tx.lent)
	c.tx = t
}

// limited tells that a limit was reached.
func (c *conn) limited(limit string) {
	if t := c.srv.Trace.Limited; t != nil {
		t(limit)
	}
}
