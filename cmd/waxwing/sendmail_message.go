package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/message"
	"waxwing/smtp"
)

// maxSendmail bounds a message on standard input, in octets.
const maxSendmail = 256 << 20

// outgoing is a message on its way out: its envelope and its octets, CRLF line ends.
type outgoing struct {
	from       string
	recipients []string
	header     message.Header
	body       []byte // with the empty line before it
	need       delivery.TLSNeed
}

func (o *outgoing) bytes() []byte { return append(o.header.Bytes(), o.body...) }

// smtputf8 reports that addresses or header hold more than ASCII (RFC 6531 §3.2).
func (o *outgoing) smtputf8() bool {
	if message.EightBit([]byte(o.from)) || message.EightBit(o.header.Bytes()) {
		return true
	}
	return message.EightBit([]byte(strings.Join(o.recipients, "")))
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
	if message.EightBit(o.header.Bytes()) && !o.header.ALabels() {
		return false
	}
	o.from, o.recipients = from, recipients
	return true
}

// readMessage reads standard input with any line ends and gives it CRLF. Unless
// dots is set, a line with a single dot ends it.
func readMessage(r io.Reader, dots bool) ([]byte, error) {
	in, err := io.ReadAll(io.LimitReader(r, maxSendmail+1))
	if err != nil {
		return nil, exitError{exIOErr, fmt.Errorf("reading the message: %w", err)}
	}
	if len(in) > maxSendmail {
		return nil, exitError{exDataErr, fmt.Errorf("the message has more than %d octets", maxSendmail)}
	}
	out := make([]byte, 0, len(in)+len(in)/32+2)
	for first := true; len(in) > 0; first = false {
		line := in
		if i := bytes.IndexByte(in, '\n'); i >= 0 {
			line, in = in[:i], in[i+1:]
		} else {
			in = nil
		}
		line = bytes.TrimSuffix(line, []byte("\r"))
		if !dots && len(line) == 1 && line[0] == '.' {
			break
		}
		// What mbox writers put before a message is no part of it.
		if first && bytes.HasPrefix(line, []byte("From ")) {
			continue
		}
		// A bare CR within a line cannot be carried (RFC 5321 §2.3.8).
		out = append(out, bytes.ReplaceAll(line, []byte("\r"), nil)...)
		out = append(out, "\r\n"...)
	}
	if len(out) == 0 {
		return nil, exitError{exDataErr, errors.New("the message on standard input is empty")}
	}
	return out, nil
}

// compose makes what is sent of a message and the call.
func compose(msg []byte, c *sendmailCall, conf *sendmailConfig, now time.Time) (*outgoing, error) {
	o := &outgoing{need: conf.need}
	if c.needGiven {
		o.need = c.need
	}
	var err error
	if o.header, o.body, err = splitMessage(msg); err != nil {
		return nil, exitError{exDataErr, err}
	}
	if err := o.setRecipients(c); err != nil {
		return nil, err
	}
	if err := o.setSender(c, conf); err != nil {
		return nil, err
	}
	o.complete(c, conf, now)
	return o, nil
}

// splitMessage parts header and body. A message that begins with no field at all
// is a body without a header.
func splitMessage(msg []byte) (message.Header, []byte, error) {
	h, body, err := message.SplitHeader(msg)
	var syntax *message.SyntaxError
	if errors.As(err, &syntax) && syntax.Line == 1 {
		return message.Header{}, append([]byte("\r\n"), msg...), nil
	}
	if err != nil {
		return h, nil, err
	}
	return h, append([]byte("\r\n"), body...), nil
}

// setRecipients gathers recipients from the call and, with -t, from the header;
// those of Resent- fields alone if there are any (RFC 5322 §3.6.6).
func (o *outgoing) setRecipients(c *sendmailCall) error {
	texts := append([]string(nil), c.recipients...)
	if c.header {
		prefix := ""
		if o.header.Has("Resent-To") || o.header.Has("Resent-Cc") || o.header.Has("Resent-Bcc") {
			prefix = "Resent-"
		}
		for _, name := range []string{"To", "Cc", "Bcc"} {
			texts = append(texts, o.header.All(prefix+name)...)
		}
	}
	seen := map[string]bool{}
	for _, text := range texts {
		if strings.TrimSpace(text) == "" {
			continue
		}
		list, err := message.ParseAddressList(text)
		if err != nil {
			return exitError{exDataErr, fmt.Errorf("recipient %q: %w", text, err)}
		}
		for _, a := range list {
			if addr := a.Addr(); !seen[addr] {
				seen[addr] = true
				o.recipients = append(o.recipients, addr)
			}
		}
	}
	if len(o.recipients) == 0 {
		if c.header {
			return exitError{exDataErr, errors.New("no recipients: neither the header nor the command line names one")}
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
func (o *outgoing) setSender(c *sendmailCall, conf *sendmailConfig) error {
	text := c.from
	switch {
	case c.fromGiven && text == "":
		return nil // the null sender
	case c.fromGiven && !strings.Contains(text, "@"):
		// Programs say -f root: the user's name, which is completed as if none were given.
		text = completed(text, conf)
	case c.fromGiven:
	case conf.From != "":
		text = conf.From
	case o.header.Has("Sender"):
		text = o.header.Get("Sender")
	case o.header.Has("From"):
		text = o.header.Get("From")
	default:
		text = completed(userName(), conf)
	}
	list, err := message.ParseAddressList(text)
	if err != nil || len(list) == 0 {
		return exitError{exDataErr, fmt.Errorf("the sender %q is no mail address: give one with -f, or as \"from\" in the configuration", text)}
	}
	o.from = list[0].Addr()
	return nil
}

// completed is a bare user name as an address: the configured one, else at this machine's name.
func completed(name string, conf *sendmailConfig) string {
	if conf.From != "" {
		return conf.From
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "localhost.localdomain"
	}
	return name + "@" + host
}

func userName() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return fmt.Sprintf("uid-%d", os.Getuid())
}

// encode writes raw UTF-8 in the usual fields as RFC 2047 has it: programs put
// it there, and few hosts take SMTPUTF8. Addresses and other fields stay.
func (o *outgoing) encode() {
	fields := append([]message.Field(nil), o.header.Fields...)
	for i, f := range fields {
		if !message.EightBit(f.Raw) {
			continue
		}
		value := strings.ToValidUTF8(f.Value(), "\uFFFD")
		switch {
		case f.Is("Subject"), f.Is("Comments"), f.Is("Organization"):
			value = message.EncodeWord(value)
		case f.Is("From"), f.Is("Sender"), f.Is("Reply-To"), f.Is("To"), f.Is("Cc"):
			list, err := message.ParseAddressList(value)
			if err != nil {
				continue
			}
			texts := make([]string, len(list))
			for n, a := range list {
				texts[n] = a.String()
			}
			value = strings.Join(texts, ", ")
		default:
			continue
		}
		fields[i].Raw = message.Fold(f.Name, value)
	}
	o.header.Fields = fields
}

// complete adds what the message lacks (RFC 5322 §3.6, RFC 6409 §8).
func (o *outgoing) complete(c *sendmailCall, conf *sendmailConfig, now time.Time) {
	o.encode()
	if !o.header.Has("From") {
		from := o.from
		if from == "" { // the null sender is no author
			from = completed(userName(), conf)
		}
		if c.fullName != "" {
			from = message.EncodePhrase(c.fullName) + " <" + from + ">"
		}
		o.header.Prepend("From", from)
	}
	if !o.header.Has("Date") {
		o.header.Prepend("Date", message.FormatDate(now))
	}
	if !o.header.Has("Message-ID") {
		o.header.Prepend("Message-ID", message.NewMessageID(now, rand.Reader, o.domain()))
	}
	if o.need == delivery.TLSOptional && !o.header.Has("TLS-Required") { // RFC 8689 §3
		o.header.Prepend("TLS-Required", "No")
	}
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
