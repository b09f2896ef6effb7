// Package bounce decides what an attempt means for each recipient, and writes the
// notification that the sender gets of it (QUE-4, QUE-5; RFC 3464, RFC 3461). It is
// pure: the queue claims, carries out and stores; here, values become values.
package bounce
