package sendmail

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/message"
	"waxwing/smtp"
)

// maxMessage bounds a message on standard input, in octets.
const maxMessage = 256 << 20

// outgoing is a message on its way out: its envelope and its octets, CRLF line ends.
type outgoing struct {
	from       string
	recipients []string
	header     message.Header
	body       []byte // with the empty line before it
	need       delivery.TLSNeed
}

func (o *outgoing) bytes() []byte { return append(o.header.Bytes(), o.body...) }

// smtputf8 reports that addresses of the envelope or the header hold more than ASCII.
func (o *outgoing) smtputf8() bool {
	return message.EightBit([]byte(o.from+strings.Join(o.recipients, ""))) || needsUTF8(o.header)
}

// toASCII writes the domains of the message as A-labels, and reports that a server
// without SMTPUTF8 can then take it (SES-17).
func (o *outgoing) toASCII() bool {
	from, ok := smtp.ASCIIAddress(o.from)
	if !ok {
		return false
	}
	recipients := make([]string, len(o.recipients))
	for i, r := range o.recipients {
		if recipients[i], ok = smtp.ASCIIAddress(r); !ok {
			return false
		}
	}
	if needsUTF8(o.header) && !o.header.ALabels() {
		return false
	}
	o.from, o.recipients = from, recipients
	return true
}

// readMessage reads standard input with any line ends and gives it CRLF. Unless
// dots is set, a line with a single dot ends it.
func readMessage(r io.Reader, dots bool) ([]byte, error) {
	in, err := io.ReadAll(io.LimitReader(r, maxMessage+1))
	if err != nil {
		return nil, failf(exIOErr, "reading the message: %w", err)
	}
	if len(in) > maxMessage {
		return nil, failf(exDataErr, "the message has more than %d octets", maxMessage)
	}
	// What mbox writers put before a message is no part of it.
	in = in[message.MboxLines(in):]
	out := make([]byte, 0, len(in)+len(in)/32+2)
	for line := range bytes.Lines(in) {
		// A bare CR within a line cannot be carried (RFC 5321 §2.3.8).
		line = bytes.ReplaceAll(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"), nil)
		if !dots && len(line) == 1 && line[0] == '.' {
			break
		}
		out = append(append(out, line...), "\r\n"...)
	}
	if len(out) == 0 {
		return nil, failf(exDataErr, "the message on standard input is empty")
	}
	return out, nil
}

// compose makes what is sent of a message and the call.
func (p *Program) compose(msg []byte, c *call, conf *config) (*outgoing, error) {
	o := &outgoing{need: conf.need}
	if c.needGiven {
		o.need = c.need
	}
	var err error
	if o.header, o.body, err = splitMessage(msg); err != nil {
		return nil, &Error{Code: exDataErr, Err: err}
	}
	names := newNames(conf, p.Machine)
	encodeHeader(&o.header)
	if err := o.setRecipients(c, names); err != nil {
		return nil, err
	}
	if err := o.setSender(c, conf, names, p.Machine.User); err != nil {
		return nil, err
	}
	completeNames(&o.header, names)
	o.complete(c, names, p)
	return o, nil
}

// splitMessage parts header and body. A line that is no field begins the body, as
// it does for other sendmails: programs forget the empty line, or have no header.
func splitMessage(msg []byte) (message.Header, []byte, error) {
	h, body, err := message.SplitHeader(msg)
	var syntax *message.SyntaxError
	if errors.As(err, &syntax) {
		body = msg
		for range syntax.Line - 1 {
			_, body, _ = bytes.Cut(body, []byte("\n"))
		}
		h, _, err = message.SplitHeader(msg[:len(msg)-len(body)])
	}
	if err != nil {
		return h, nil, err
	}
	return h, append([]byte("\r\n"), body...), nil
}

// resent is the prefix of the fields that count: "Resent-" where the message is sent
// on by who got it (RFC 5322 §3.6.6).
func (o *outgoing) resent() string {
	for _, f := range o.header.Fields {
		for _, name := range []string{"Resent-To", "Resent-Cc", "Resent-Bcc"} {
			if f.Is(name) {
				return "Resent-"
			}
		}
	}
	return ""
}

// setRecipients gathers recipients from the call and, with -t, from the header.
func (o *outgoing) setRecipients(c *call, names *names) error {
	texts := append([]string(nil), c.recipients...)
	if c.header {
		prefix := o.resent()
		for _, name := range []string{"To", "Cc", "Bcc"} {
			texts = append(texts, o.header.All(prefix+name)...)
		}
	}
	seen := map[string]bool{}
	for _, text := range texts {
		if strings.TrimSpace(text) == "" {
			continue
		}
		list, err := names.recipients(text)
		if err != nil {
			return err
		}
		for _, addr := range list {
			if !seen[addr] {
				seen[addr] = true
				o.recipients = append(o.recipients, addr)
			}
		}
	}
	if len(o.recipients) == 0 {
		if c.header {
			return failf(exDataErr, "no recipients: neither the header nor the command line names one")
		}
		return usagef("no recipients: name them, or use -t to take them from the header")
	}
	// RFC 5322 §3.6.3: who stands in Bcc is not told to the others.
	o.header.Del("Bcc")
	o.header.Del("Resent-Bcc")
	return nil
}

// setSender finds the envelope sender: -f, the configuration, the header, or
// the user at this machine.
func (o *outgoing) setSender(c *call, conf *config, names *names, user string) (err error) {
	text := user
	switch {
	case c.fromGiven && c.from == "":
		return nil // the null sender
	case c.fromGiven:
		text = c.from
	case conf.From != "":
		text = conf.From
	default:
		prefix := o.resent()
		for _, name := range []string{prefix + "Sender", prefix + "From"} {
			if v := o.header.Get(name); v != "" {
				text = v
				break
			}
		}
	}
	o.from, err = names.sender(text)
	return err
}

// The address fields (RFC 5322 §3.6.2, §3.6.3, §3.6.6): of who sends, and of others.
var (
	authorFields = map[string]bool{"from": true, "sender": true}
	otherFields  = map[string]bool{"reply-to": true, "to": true, "cc": true, "bcc": true}
)

func addressField(name string) string { return strings.TrimPrefix(strings.ToLower(name), "resent-") }

func isAddressField(name string) bool {
	name = addressField(name)
	return authorFields[name] || otherFields[name]
}

// completeNames completes the names of this machine's users in the header.
func completeNames(h *message.Header, names *names) {
	fields := append([]message.Field(nil), h.Fields...)
	for i, f := range fields {
		replace := names.shown
		if authorFields[addressField(f.Name)] {
			replace = names.author
		}
		if !isAddressField(f.Name) {
			continue
		}
		value := f.Value()
		text, _, err := message.RewriteAddressList(value, replace)
		if err == nil && text != value { // what cannot be read stays
			fields[i].Raw = message.Fold(f.Name, text)
		}
	}
	h.Fields = fields
}

// complete adds what the message lacks (RFC 5322 §3.6, RFC 6409 §8).
func (o *outgoing) complete(c *call, names *names, p *Program) {
	h := &o.header
	if !h.Has("From") {
		from := o.from
		if from == "" { // the null sender is no author
			from = names.author(message.Address{Local: p.Machine.User}).Addr()
		}
		name := c.fullName
		if name == "" && from == names.from.Addr() {
			name = names.from.Name
		}
		if name != "" {
			from = message.EncodePhrase(name) + " <" + from + ">"
		}
		h.Prepend("From", from)
	}
	if !h.Has("Date") {
		h.Prepend("Date", message.FormatDate(p.now()))
	}
	if !h.Has("Message-ID") {
		h.Prepend("Message-ID", message.NewMessageID(p.now(), rand.Reader, o.domain()))
	}
	if !h.Has("MIME-Version") && (h.Has("Content-Type") || h.Has("Content-Transfer-Encoding")) {
		h.Prepend("MIME-Version", "1.0") // RFC 2045 §4 (TRA-7)
	}
	if o.need == delivery.TLSOptional && !h.Has("TLS-Required") { // RFC 8689 §3
		h.Prepend("TLS-Required", "No")
	}
}

func (p *Program) now() time.Time {
	if p.Now == nil {
		return time.Now()
	}
	return p.Now()
}

// domain is that of the sender, for the Message-ID.
func (o *outgoing) domain() dns.Name {
	if i := strings.LastIndexByte(o.from, '@'); i >= 0 {
		if d, err := dns.ParseName(o.from[i+1:]); err == nil {
			return d
		}
	}
	return dns.MustParse("localhost.localdomain")
}
