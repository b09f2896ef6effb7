// Package dispatch says which leased jobs may run now (QUE-3), and nothing else: it
// knows neither the store nor SQL, starts nothing and carries nothing out. The queue
// claims jobs, puts them on the Board, runs what Next returns and reports back with
// Learn and Done; so the scheduler can be read, tested and simulated alone.
//
// What decides whether a job runs:
//
//   - Contact: whom it dials (delivery.Contact), a recipient domain or a relay. How many jobs one contact may
//     have at a time is its pace (retry.Pace): it grows with each success, shrinks with
//     each failure, and a contact that cannot be reached closes for its whole backlog.
//   - Account: accounts take turns, on the board and in each claim (Round).
//   - Places: a share of all places is kept for contacts that answer, so that tarpits
//     hold up nobody else (retry.Places).
//
// The memory of a Board is bounded (QUE-9). What finds no room stays in the store, lane
// by lane: a delivery.Lane is the mail of one account that waits for one contact, and a Round
// shares the room of one claim among them.
package dispatch
