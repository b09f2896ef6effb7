package message

import (
	"bytes"
	"strings"

	"waxwing/internal/foreign"
)

// MaxMessageID is how many octets of a Message-ID are kept.
const MaxMessageID = 255

// MessageID is the value of the first Message-ID field in the header that head begins with,
// as CleanMessageID has it; "" without one. head need not hold the whole header. Nothing else
// of the message is looked at, and none of its faults matter.
func MessageID(head []byte) string {
	head = head[:headerEnd(head)]
	for pos := 0; pos < len(head); {
		end, _ := fieldEnd(head, pos)
		name, value, ok := bytes.Cut(head[pos:end], []byte(":"))
		if ok && bytes.EqualFold(bytes.TrimRight(name, " \t"), []byte("Message-ID")) {
			return CleanMessageID(string(value))
		}
		pos = max(end, pos+1)
	}
	return ""
}

// CleanMessageID is a Message-ID as it is kept and looked for: without the white space and
// brackets around it (RFC 5322 §3.6.4), of MaxMessageID octets at most.
func CleanMessageID(s string) string {
	s = strings.TrimSpace(s)
	if i := strings.IndexByte(s, '<'); i >= 0 { // a comment may stand before or behind it
		s, _, _ = strings.Cut(s[i+1:], ">")
	}
	return foreign.Text(strings.Join(strings.Fields(foreign.Line(s)), ""), MaxMessageID)
}
