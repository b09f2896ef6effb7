package policy

import (
	"waxwing/dns"
	"waxwing/internal/delivery"
)

// Input is everything a decision depends on.
type Input struct {
	Need        delivery.TLSNeed
	Destination delivery.Destination
	Finding     delivery.Finding
	Purpose     delivery.Purpose
	Minimum     delivery.Minimum
	NullSender  bool     // MAIL FROM:<>
	NoPlaintext bool     // the server's config forbids plaintext
	Domain      dns.Name // the recipient domain; zero for an address literal
}

// Decide makes one plan per host, in the order of the destination's hosts.
func Decide(in Input) delivery.Decision { return delivery.Decision{} }
