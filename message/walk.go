package message

// Limits bound what Walk does. A zero field is its default.
type Limits struct {
	Depth int   // nested multiparts and messages, 8
	Parts int   // all parts together, 100
	Size  int64 // decoded octets of all parts together, 32 MiB
}

// Part is a leaf of a MIME tree as Walk meets it.
type Part struct {
	Header    Header
	MediaType string            // lower case; "text/plain" where none is given or it is broken
	Params    map[string]string // of the media type
	Filename  string            // from Content-Disposition, or the name parameter; the last path element only
	Depth     int               // 0: the message itself
	Parent    string            // media type of the enclosing multipart; empty at depth 0
	Body      []byte            // decoded
}

// Walk calls fn for each leaf of the message's MIME tree, in order.
func Walk(msg []byte, limits Limits, fn func(Part) error) error { return nil }
