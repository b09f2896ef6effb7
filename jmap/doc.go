// Package jmap is the JMAP protocol (RFC 8620) without anything behind it: requests and their
// responses, references from one method call to the result of another, errors, filters and
// sorting as they are written, patches, ids and dates. It holds no state and knows no data type;
// what mail is, RFC 8621 says and a server of it knows.
//
// It reads what strangers write. Nothing that it reads makes it hold more than a small multiple of
// what came, and nothing makes it panic.
package jmap
