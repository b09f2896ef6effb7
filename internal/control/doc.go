// Package control is how commands reach a running server: HTTP with JSON over a
// unix socket in the data directory, for the user the server runs as and for root
// alone. What can be asked stands in package desk.
//
// The protocol is this program's own. It has a version, which both sides compare
// before anything else; sizes, connections and times are bounded.
package control

// Version of the protocol. It grows with every change that an older or newer
// program could misread.
const Version = 1
