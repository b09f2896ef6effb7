// Package webhooks tells programs what happens to mail (OPS-8): each event is a row that is
// written in the transaction that settles what it tells of, and is posted after its commit,
// signed as Standard Webhooks have it. So an event is neither lost in a crash nor sent of
// what never happened. It may come twice, with the same id.
//
// A webhook is worked at by one machine at a time, under a lease. While it fails it is left
// alone for longer and longer; an event is given up after a day, and a webhook that has
// failed for two days is disabled.
package webhooks
