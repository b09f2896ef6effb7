package session

import (
	"bufio"
	"fmt"
	"strings"

	"waxwing/dns"
)

// downgrade is an address for a host without SMTPUTF8: only its domain may hold
// more than ASCII, and goes as A-labels (RFC 5890). False if that is not enough.
func downgrade(addr string) (string, bool) {
	if ascii(addr) {
		return addr, true
	}
	at := strings.LastIndexByte(addr, '@')
	if at < 0 || !ascii(addr[:at]) {
		return addr, false
	}
	name, err := dns.ParseName(addr[at+1:])
	if err != nil {
		return addr, false
	}
	return addr[:at+1] + name.ASCII(), true
}

// downgradeORcpt is an ORCPT for a host without SMTPUTF8: addresses of the type
// utf-8 have a form in ASCII (RFC 6533 §3).
func downgradeORcpt(s string) string {
	if ascii(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if r < 0x80 {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\x{%X}`, r)
		}
	}
	return b.String()
}

// maxHeader is how much of a message is looked at for the end of its header.
const maxHeader = 1 << 20

// needsUTF8 reports that a message that came with SMTPUTF8 holds what needs it:
// more than ASCII in its header, or in its body, where it may be in the header
// of a part.
func (v *visit) needsUTF8() bool {
	if v.req.Job.EightBit {
		return true
	}
	r, err := v.content.Open()
	if err != nil {
		return true
	}
	defer r.Close()
	br := bufio.NewReader(r)
	for n := 0; n < maxHeader; {
		line, err := br.ReadSlice('\n')
		n += len(line)
		for _, c := range line {
			if c >= 0x80 {
				return true
			}
		}
		if err != nil && err != bufio.ErrBufferFull || string(line) == "\r\n" {
			return false
		}
	}
	return true
}
