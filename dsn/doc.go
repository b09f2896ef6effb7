// Package dsn composes and reads delivery status notifications: what became
// of a message, in words for the sender and in fields for programs.
//
// It covers RFC 3464 (the format), RFC 6522 (multipart/report), RFC 3461 §6
// (what NOTIFY, ORCPT, ENVID and RET ask for), RFC 6533 (internationalised
// notifications) and RFC 8689 §5 (the original of a REQUIRETLS message is
// never returned in full).
//
// Whether a notification is due at all (NOTIFY, null sender) is the queue's
// to decide; this package writes what it is told.
package dsn
