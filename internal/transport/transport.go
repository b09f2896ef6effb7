// Package transport makes the attempts of the queue: Direct carries a job to
// the hosts that its domain names in DNS, Local puts it into mailboxes here
// (TRA-1). Direct asks destination and stspolicy, lets policy decide, and has
// session carry the plans out: it chooses nothing but the order of asking, and
// which of several reasons for a delay is told.
package transport
