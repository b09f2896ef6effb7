// Package spool is what the queue has in the store: the rows, and all SQL about them. It
// decides nothing and runs nothing; the queue says in whose transaction what is written.
//
//   - messages: an Envelope each (delivery.Envelope), with how many of its recipients are
//     not settled. The octets stand in package body.
//   - recipients: an Entry each, in one State. A leased one names its owner, the end of the
//     lease and the number of the claim (Lease); whatever changes it asks for that number,
//     so that a recipient is never settled twice (QUE-2).
//   - lanes: what waits for one contact from one account (delivery.Lane), with the time at
//     which the queue looks at it next. A claim reads them in that order, whatever the
//     length of the backlog (QUE-9).
//   - destinations: contacts that could not be reached, and until when nobody dials (QUE-3).
//   - attempts: the history (QUE-8), with a Detail each.
//   - ascii_forms, queue_routed: the second form of a notification; the routes by which all
//     that waits was put into its lanes.
//
// List, Show, Count, ListClosed and LastFailure are for people who look at the queue.
package spool
