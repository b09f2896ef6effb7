package sendmail

import (
	"fmt"
	"path/filepath"
	"strings"

	"waxwing/internal/delivery"
)

// mode is what is to be done (-b).
type mode string

const (
	modeSend    mode = "m"
	modeQueue   mode = "p" // mailq
	modeAliases mode = "i" // newaliases
	modeSMTP    mode = "s"
)

// call is what the flags ask for.
type call struct {
	mode       mode
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

// Letters that take a value, joined or as the next argument, and those that take
// it joined only. Letters that mean nothing here are taken and passed over.
const (
	withValue    = "ABbCDeFfhLMNOopQRrVX"
	withOwnValue = "dq"
)

// Args makes the arguments of waxwing's command line: called by the name sendmail, mailq or
// newaliases, the program is that command.
func Args(argv []string) []string {
	if len(argv) == 0 {
		return nil
	}
	switch filepath.Base(argv[0]) {
	case "sendmail":
		return append([]string{"sendmail"}, argv[1:]...)
	case "mailq":
		return append([]string{"sendmail", "-bp"}, argv[1:]...)
	case "newaliases":
		return append([]string{"sendmail", "-bi"}, argv[1:]...)
	}
	return argv[1:]
}

// parse reads a command line as getopt does: letters may be joined, the last of
// them with a value that is joined or the next argument; flags may stand behind
// recipients, and "--" ends them. Unknown letters are passed over.
func parse(args []string) (call, error) {
	c := call{mode: modeSend}
	for len(args) > 0 {
		a := args[0]
		args = args[1:]
		var err error
		switch {
		case a == "--":
			c.recipients = append(c.recipients, args...)
			return c, nil
		case len(a) < 2 || a[0] != '-':
			c.recipients = append(c.recipients, a)
		case strings.HasPrefix(a, "--"):
			err = c.long(a[2:])
		default:
			args, err = c.joined(a[1:], args)
		}
		if err != nil {
			return c, err
		}
	}
	return c, nil
}

// joined reads the letters of one argument and returns the arguments that are left.
func (c *call) joined(letters string, args []string) ([]string, error) {
	for letters != "" {
		letter := letters[0]
		letters = letters[1:]
		value := ""
		switch {
		case strings.IndexByte(withOwnValue, letter) >= 0:
			value, letters = letters, ""
		case strings.IndexByte(withValue, letter) < 0:
		case letters != "":
			value, letters = letters, ""
		case len(args) == 0:
			return nil, usagef("-%c needs a value", letter)
		default:
			value, args = args[0], args[1:]
		}
		if err := c.letter(letter, value); err != nil {
			return nil, err
		}
	}
	return args, nil
}

// long are flags that only this sendmail has.
func (c *call) long(name string) error {
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

func (c *call) tls(n delivery.TLSNeed) error {
	if c.needGiven && c.need != n {
		return usagef("REQUIRETLS and TLS-Required: No exclude each other")
	}
	c.need, c.needGiven = n, true
	return nil
}

func (c *call) letter(letter byte, value string) error {
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
		c.dots = true
	case 't':
		c.header = true
	case 'I':
		c.mode = modeAliases
	case 'N':
		return c.setNotify(value)
	case 'R':
		return c.setRet(value)
	case 'V':
		c.envid = value
	case 'o', 'O':
		return c.option(letter, value)
	case 'b':
		return c.setMode(value)
	case 'q':
		return usagef("-q: the queue is the server's: \"waxwing queue\" shows it and acts on it")
	}
	return nil // others are of other programs and times, and change nothing here
}

// setMode is -b.
func (c *call) setMode(value string) error {
	switch m := mode(value); m {
	case modeSend, modeQueue, modeAliases, modeSMTP:
		c.mode = m
		return nil
	}
	return usagef("-b%s is not known here: this sendmail sends mail (-bm, -bs) and shows the queue (-bp)", value)
}

// option is -o and -O.
func (c *call) option(letter byte, value string) error {
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

func (c *call) setNotify(value string) error {
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

func (c *call) setRet(value string) error {
	switch c.ret = strings.ToUpper(value); c.ret {
	case "HDRS", "FULL":
		return nil
	}
	return usagef("-R %s: hdrs or full", value)
}

const usage = `usage: waxwing sendmail [-t] [-i] [-f SENDER] [-F NAME] [FLAGS] [RECIPIENT …]
       waxwing sendmail -bs
       waxwing sendmail -bp

Sends the message on standard input, as sendmail does.

  -t              take recipients from To, Cc and Bcc, beside those given
  -i, -oi         a line with a single dot does not end the message
  -f SENDER       envelope sender; "<>" is the null one
  -F NAME         full name, where the message has no From field
  -N LIST         notifications: never, or of success,failure,delay
  -R hdrs|full    what a notification of failure returns
  -V ENVID        envelope identifier
  -C FILE         configuration file
  -bs             speak SMTP on standard input and output
  -bp             show the queue of the server on this machine, as mailq does
  -bi             do nothing, as there are no alias files: newaliases
  --require-tls   send only over verified TLS all the way (RFC 8689); also -O RequireTLS
  --tls-optional  rather without TLS than not at all; also -O TLS-Required=no

Other flags of sendmail are taken and change nothing. Exit codes are those of
sysexits.h: 0 sent, 64 wrong usage, 65 bad message, 67 no such user, 69 refused,
75 try again later, 77 not allowed, 78 bad configuration.
`

var errHelp = fmt.Errorf("help")
