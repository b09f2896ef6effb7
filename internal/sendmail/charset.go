package sendmail

import (
	"mime"
	"strings"

	"waxwing/message"
)

// words are the fields that are text, beside extension fields (RFC 2047 §5 (1)).
var words = map[string]bool{"subject": true, "comments": true, "organization": true, "content-description": true, "thread-topic": true}

// encodeHeader writes text beyond US-ASCII as RFC 2047 has it: programs put it
// there as it is, in the charset that the message declares, and few hosts take
// SMTPUTF8. Text that is not of that charset, nor UTF-8 where none is declared, is
// kept, and so are addresses and fields with a grammar of their own.
func encodeHeader(h *message.Header) {
	_, params, _ := mime.ParseMediaType(h.Get("Content-Type")) // broken: nothing is declared
	charset := params["charset"]
	fields := append([]message.Field(nil), h.Fields...)
	for i, f := range fields {
		if !message.EightBit(f.Raw) {
			continue
		}
		text, ok := decode(charset, f.Value())
		if !ok {
			continue
		}
		switch {
		case isAddressField(f.Name):
			list, err := message.EncodeAddressList(text)
			if err != nil {
				continue
			}
			fields[i].Raw = message.Fold(f.Name, list)
		case words[strings.ToLower(f.Name)], len(f.Name) > 2 && strings.EqualFold(f.Name[:2], "x-"):
			fields[i].Raw = message.Fold(f.Name, message.EncodeWord(text))
		}
	}
	h.Fields = fields
}

// ascii are the names of the charset that none of the text to be decoded is of:
// with one of them declared, as programs in the C locale do, it is read as UTF-8.
var ascii = map[string]bool{"": true, "us-ascii": true, "ascii": true, "ansi_x3.4-1968": true, "646": true}

func decode(charset, text string) (string, bool) {
	if !ascii[strings.ToLower(charset)] {
		if _, known := message.DecodeCharset(charset, nil); known {
			return message.DecodeCharset(charset, []byte(text))
		}
	}
	return message.DecodeCharset("utf-8", []byte(text))
}

// needsUTF8 reports an address that cannot do without SMTPUTF8 (RFC 6531 §3.2).
// Other text beyond US-ASCII goes as it came, as it always has.
func needsUTF8(h message.Header) bool {
	for _, f := range h.Fields {
		if !message.EightBit(f.Raw) || !isAddressField(f.Name) {
			continue
		}
		list, err := message.ParseAddressList(f.Value())
		if err != nil {
			continue
		}
		for _, a := range list {
			if message.EightBit([]byte(a.Local + a.Domain)) {
				return true
			}
		}
	}
	return false
}
