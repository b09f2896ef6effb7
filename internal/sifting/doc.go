// Package sifting runs the active Sieve script of an account on a message that is about to be
// delivered to it, and says what comes of that: copies, messages that go on, answers (SIV-1, SIV-3).
// What it says is a value: whoever settles the recipient writes it.
package sifting
