// Package outbox makes and sends reports to others, each exactly once, whatever
// they are about: it knows neither TLS nor DMARC. A Family says what a Box must know
// of its reports; a Maker finds what there is to report and composes it.
//
// Once a UTC day is over, each name that is to be reported on is a unit of work,
// spread over the hours after midnight (RPT-5). A machine claims a unit in the
// store, under a lease with a number that grows with each claim; it composes the
// report and, in one transaction, queues its mails, notes its posts by HTTPS and
// settles the unit (RPT-11). Who has lost the lease changes nothing. Work that
// fails comes back when the lease ends.
//
// Addresses that do not take reports are suppressed for a while, and an
// organisation gets only so many reports in a day (RPT-12). Posts have a run of
// their own: an https address that does not answer holds up nothing but other posts.
package outbox
