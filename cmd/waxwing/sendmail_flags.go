package main

import (
	"fmt"
	"strings"

	"waxwing/internal/delivery"
)

// sendmailCall is what the flags of sendmail ask for.
type sendmailCall struct {
	config     string // -C
	from       string // -f, -r
	fromGiven  bool
	fullName   string // -F
	header     bool   // -t: recipients stand in the header
	dots       bool   // -i: a line with a single dot is text
	recipients []string
	notify     []string // -N
	ret, envid string   // -R, -V
	need       delivery.TLSNeed
	needGiven  bool
}

// sendmailValues are the one-letter flags that take a value, joined or as the next
// argument. Those that mean nothing here are taken and passed over.
const sendmailValues = "ABCDdFfhLNopORrVX"

// parseSendmail reads a command line as sendmail's callers write it: letters
// with values joined or apart, "--" before recipients, unknown flags passed over.
func parseSendmail(args []string) (sendmailCall, error) {
	var c sendmailCall
	for len(args) > 0 {
		a := args[0]
		args = args[1:]
		switch {
		case a == "--":
			c.recipients = append(c.recipients, args...)
			return c, nil
		case len(a) < 2 || a[0] != '-':
			c.recipients = append(c.recipients, a)
			continue
		case strings.HasPrefix(a, "--"):
			if err := c.long(a[2:]); err != nil {
				return c, err
			}
			continue
		}
		letter, value := a[1], a[2:]
		if strings.IndexByte(sendmailValues, letter) >= 0 && value == "" && letter != 'd' {
			if len(args) == 0 {
				return c, usagef("-%c needs a value", letter)
			}
			value, args = args[0], args[1:]
		}
		if err := c.letter(letter, value); err != nil {
			return c, err
		}
	}
	return c, nil
}

// long are flags that only this sendmail has.
func (c *sendmailCall) long(name string) error {
	switch name {
	case "require-tls":
		return c.tls(delivery.RequireTLS)
	case "tls-optional":
		return c.tls(delivery.TLSOptional)
	case "help":
		return errHelp
	}
	return usagef("unknown flag --%s: --require-tls and --tls-optional are known", name)
}

func (c *sendmailCall) tls(n delivery.TLSNeed) error {
	if c.needGiven && c.need != n {
		return usagef("REQUIRETLS and TLS-Required: No exclude each other")
	}
	c.need, c.needGiven = n, true
	return nil
}

func (c *sendmailCall) letter(letter byte, value string) error {
	switch letter {
	case 'f', 'r':
		if inner, ok := strings.CutPrefix(value, "<"); ok {
			value = strings.TrimSuffix(inner, ">")
		}
		c.from, c.fromGiven = value, true
	case 'F':
		c.fullName = value
	case 'C':
		c.config = value
	case 'i':
		// Flags without a value may be joined: -ti.
		c.dots = true
		return c.joined(value)
	case 't':
		c.header = true
		return c.joined(value)
	case 'N':
		return c.setNotify(value)
	case 'R':
		return c.setRet(value)
	case 'V':
		c.envid = value
	case 'o', 'O':
		return c.option(letter, value)
	case 'b':
		return sendmailMode(value)
	case 'q', 's':
		if letter == 'q' {
			return usagef("-q: the queue is the server's: \"waxwing queue\" shows it and acts on it")
		}
	}
	return nil // others are of other programs and times, and change nothing here
}

func (c *sendmailCall) joined(rest string) error {
	if rest == "" {
		return nil
	}
	return c.letter(rest[0], rest[1:])
}

// sendmailMode is -b.
func sendmailMode(mode string) error {
	switch mode {
	case "m", "":
		return nil
	case "p":
		return usagef("-bp: \"waxwing queue list\" shows the queue")
	case "i":
		return usagef("-bi: there is no alias file; \"waxwing address\" keeps addresses")
	case "s":
		return usagef("-bs: this sendmail does not speak SMTP on its standard input; use the server's port 587 or 465")
	}
	return usagef("-b%s is not known here: this sendmail sends mail (-bm) and nothing else", mode)
}

// option is -o and -O.
func (c *sendmailCall) option(letter byte, value string) error {
	name, arg, _ := strings.Cut(value, "=")
	switch {
	case letter == 'o' && value == "i", strings.EqualFold(name, "IgnoreDots"):
		c.dots = true
	case strings.EqualFold(name, "RequireTLS"):
		return c.tls(delivery.RequireTLS)
	case strings.EqualFold(name, "TLS-Required") && strings.EqualFold(arg, "no"):
		return c.tls(delivery.TLSOptional)
	}
	return nil
}

func (c *sendmailCall) setNotify(value string) error {
	for w := range strings.SplitSeq(strings.ToUpper(value), ",") {
		switch w {
		case "NEVER", "SUCCESS", "FAILURE", "DELAY":
			c.notify = append(c.notify, w)
		default:
			return usagef("-N %s: never, or of success, failure and delay", value)
		}
	}
	if len(c.notify) > 1 && strings.Contains(strings.ToUpper(value), "NEVER") {
		return usagef("-N %s: never stands alone", value)
	}
	return nil
}

func (c *sendmailCall) setRet(value string) error {
	switch c.ret = strings.ToUpper(value); c.ret {
	case "HDRS", "FULL":
		return nil
	}
	return usagef("-R %s: hdrs or full", value)
}

const sendmailUsage = `usage: waxwing sendmail [-t] [-i] [-f SENDER] [-F NAME] [FLAGS] [RECIPIENT …]

Sends the message on standard input, as sendmail does.

  -t              take recipients from To, Cc and Bcc, beside those given
  -i, -oi         a line with a single dot does not end the message
  -f SENDER       envelope sender; "<>" is the null one
  -F NAME         full name, where the message has no From field
  -N LIST         notifications: never, or of success,failure,delay
  -R hdrs|full    what a notification of failure returns
  -V ENVID        envelope identifier
  -C FILE         configuration file
  --require-tls   send only over verified TLS all the way (RFC 8689); also -O RequireTLS
  --tls-optional  rather without TLS than not at all; also -O TLS-Required=no

Other flags of sendmail are taken and change nothing. Exit codes are those of
sysexits.h: 0 sent, 64 wrong usage, 65 bad message, 67 no such user, 69 refused,
75 try again later, 77 not allowed, 78 bad configuration.
`

var errHelp = fmt.Errorf("help")
