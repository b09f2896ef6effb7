// Package session carries out one Plan: it connects to a host, negotiates and
// verifies TLS as the plan says, sends the message and tells what happened
// (SES-1 to SES-11). It decides nothing: level, verification and plaintext
// fallback stand in the plan, and what becomes of recipients that the host did
// not settle is for the caller.
//
// Failures of TLS are classified here, once, into the result types of RFC 8460
// §4.3 and a reason word; everything else repeats those.
//
// Connections are kept for further messages whose plans agree (Pool): what was
// negotiated and verified once holds for all of them, and counts once per
// recipient domain in TLS reports. A kept connection that fails before the host
// could have taken the message is replaced by a new one; one that fails later
// leaves the recipients deferred, as a new one would.
//
// RFC 5321 §4.2.5, §4.5.3–4.5.4; RFC 3207; RFC 7672 §2–3; RFC 8461 §4.1–4.2;
// RFC 8689 §4.2; RFC 3461 §5.2; RFC 6531 §3.6; RFC 9422 (LIMITS); RFC 3030
// (BDAT); RFC 4954 (AUTH); RFC 8314 §3.3 (implicit TLS); RFC 1928, 1929 (SOCKS5).
package session
