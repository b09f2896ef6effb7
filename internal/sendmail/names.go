package sendmail

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"

	"waxwing/dns"
	"waxwing/message"
)

// Machine is what a machine says of itself.
type Machine struct {
	User     string // who calls
	Host     string // its name
	MailName string // /etc/mailname: the domain of its users' addresses (Debian policy §11.6)
}

// ThisMachine asks the system.
func ThisMachine() Machine {
	m := Machine{User: fmt.Sprintf("uid-%d", os.Getuid())}
	if u, err := user.Current(); err == nil && u.Username != "" {
		m.User = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		m.Host = h
	}
	if f, err := os.Open("/etc/mailname"); err == nil { // many machines have none
		b, _ := io.ReadAll(io.LimitReader(f, 1<<10))
		line, _, _ := strings.Cut(string(b), "\n")
		m.MailName = strings.TrimSpace(line)
		f.Close()
	}
	return m
}

// names completes the names of this machine's users (TRA-6). Those are names
// without a domain, and at domains that mean this machine and nothing on the
// internet: localhost, or a host name without a dot.
type names struct {
	from   message.Address // what stands for every sender of this machine; zero: its own name
	root   message.Address // who gets root's mail; zero: root at domain
	domain string          // of others; "": not known
	host   string
	local  map[string]bool // domains that mean this machine
}

func newNames(conf *config, m Machine) *names {
	n := &names{from: conf.from, root: conf.root, host: m.Host, local: map[string]bool{"": true, "localhost": true, "localhost.localdomain": true}}
	for _, d := range []string{m.MailName, m.Host} {
		if !strings.Contains(d, ".") {
			n.local[strings.ToLower(d)] = true
		}
	}
	for _, d := range []string{conf.Domain, conf.from.Domain, m.MailName, m.Host} {
		if !n.local[strings.ToLower(d)] {
			if _, err := dns.ParseName(d); err == nil {
				n.domain = d
				break
			}
		}
	}
	return n
}

func (n *names) isLocal(a message.Address) bool { return n.local[strings.ToLower(a.Domain)] }

// author is the address of who sends.
func (n *names) author(a message.Address) message.Address {
	switch {
	case !n.isLocal(a):
	case n.from.Domain != "":
		a.Local, a.Domain = n.from.Local, n.from.Domain
	case n.domain != "":
		a.Domain = n.domain
	case n.host != "":
		a.Domain = n.host // the server says what it makes of that
	default:
		a.Domain = "localhost.localdomain"
	}
	return a
}

// recipient is the address of who gets mail. One without a domain remains
// where none is known.
func (n *names) recipient(a message.Address) message.Address {
	switch {
	case !n.isLocal(a):
	case strings.EqualFold(a.Local, "root") && n.root.Domain != "":
		a.Local, a.Domain = n.root.Local, n.root.Domain
	default:
		a.Domain = n.domain
	}
	return a
}

// shown is a recipient as the header shows it: root stays root. One that cannot be
// completed stays as it is.
func (n *names) shown(a message.Address) message.Address {
	full := n.recipient(a)
	switch {
	case n.isLocal(a) && n.domain != "":
		full.Local, full.Domain = a.Local, n.domain
	case full.Domain == "":
		return a
	}
	return full
}

// recipients reads recipients, completed.
func (n *names) recipients(text string) ([]string, error) {
	_, list, err := message.RewriteAddressList(text, n.recipient)
	if err != nil {
		return nil, failf(exDataErr, "recipient %q: %w", text, err)
	}
	var out []string
	for _, a := range list {
		if a.Domain == "" {
			return nil, failf(exConfig, "the recipient %s is a user of this machine, and nothing says what domain its mail has: set \"domain\" in sendmail.toml, or \"root\" for root's mail", a.Local)
		}
		out = append(out, a.Addr())
	}
	return out, nil
}

// sender reads one sender, completed.
func (n *names) sender(text string) (string, error) {
	_, list, err := message.RewriteAddressList(text, n.author)
	if err == nil && len(list) == 0 {
		err = errors.New("it names nobody")
	}
	if err != nil {
		return "", failf(exDataErr, "the sender %q is no mail address: %w: give one with -f, or as \"from\" in the configuration", text, err)
	}
	return list[0].Addr(), nil
}
