// Package transport makes the attempts of the queue (TRA-1). Router takes the
// way that the operator's routes choose for a job: Direct carries it to the
// hosts that its domain names in DNS, Relay to one host of the operator's,
// Refuser to nobody, and Local puts it into mailboxes here. Direct and Relay ask
// destination and stspolicy, let policy decide, and have session carry the plans
// out: they choose nothing but the order of asking, and which of several
// reasons for a delay is told.
package transport
