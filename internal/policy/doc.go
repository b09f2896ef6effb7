// Package policy decides how each host of a destination is to be spoken to. It is pure.
// Decide turns a need, a destination and an MTA-STS finding, or the host of an operator's
// transport, into one plan per host; DecideShared makes one level for all hosts, for a
// Postfix; Look is the plan of who only looks, and Refused what that means for a mail;
// GiveUp turns what came of a RequireTLS message's hosts into waiting or a permanent
// failure. Nothing else in Waxwing chooses a TLS level, a verification or a plaintext
// fallback.
//
// RFC 7672 (DANE), RFC 8461 §4–5 (MTA-STS), RFC 8689 §4.2 (REQUIRETLS and
// TLS-Required: No), RFC 8460 §4.3 (what is reported), RFC 7435 (opportunistic
// security). Rules POL-1 to POL-10, TRA-3.
package policy
