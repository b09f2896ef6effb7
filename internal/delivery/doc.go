// Package delivery holds the nouns of a message's path: what is accepted
// (Envelope), claimed (Job), found (Destination, Finding), decided (Plan,
// Basis), done (Result, Visit, Session) and recorded (Observation). It does
// no I/O and chooses nothing.
package delivery
