// Package lab is a small internet in one process, on loopback: a DNS tree with
// signed, unsigned and bogus zones, mail hosts with chosen behaviour, MTA-STS
// policy hosts, a certificate authority, one clock, and whole Waxwings with
// stores of their own. Tests and "waxwing lab" tell the same stories with it.
// Nothing in it stands in for a part of Waxwing: only the dialer is told where
// the lab's addresses really are.
package lab
