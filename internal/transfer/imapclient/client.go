// Package imapclient is as much of an IMAP client (RFC 9051, RFC 3501) as is needed to read
// mailboxes of another server: log in, list, look and fetch whole messages. Nothing is changed there: it
// uses EXAMINE and BODY.PEEK. Messages stream; all else that a server sends is bounded.
package imapclient

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"waxwing/imap"
)

// patience is how long the server may say nothing.
const patience = 5 * time.Minute

// patient is a connection whose every read and write may take that long.
type patient struct{ net.Conn }

func (p patient) Read(b []byte) (int, error) {
	if err := p.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	return p.Conn.Read(b)
}

func (p patient) Write(b []byte) (int, error) {
	if err := p.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	return p.Conn.Write(b)
}

// Client is a connection. It belongs to one goroutine.
type Client struct {
	conn net.Conn
	r    reader
	tag  int
	caps []string

	// untagged is told of the responses to the command at hand.
	untagged func(items []Value) error
}

// Refused is an answer NO or BAD.
type Refused struct{ Command, Answer string }

func (e *Refused) Error() string {
	return fmt.Sprintf("the server refuses %s: %.200q", e.Command, e.Answer)
}

// New reads the greeting. take is given each message of Fetch: what it returns comes with it.
func New(conn net.Conn, take func(r io.Reader, size int64) (any, error)) (*Client, error) {
	conn = patient{conn}
	c := &Client{conn: conn, r: reader{br: bufio.NewReaderSize(conn, 64<<10), take: take}}
	items, err := c.r.response()
	if err != nil {
		return nil, err
	}
	if len(items) < 2 || !items[1].Is("OK") {
		return nil, fmt.Errorf("the server does not greet with OK: %.200q", text(items))
	}
	return c, nil
}

func text(items []Value) string {
	var words []string
	for _, v := range items {
		words = append(words, v.Text)
	}
	return strings.Join(words, " ")
}

// do sends a command and reads up to its answer. name is what errors call it: arguments may be
// secret. more is what is sent where the server asks for more.
func (c *Client) do(name, command string, more ...string) error {
	c.tag++
	tag := "a" + strconv.Itoa(c.tag)
	if _, err := io.WriteString(c.conn, tag+" "+command+"\r\n"); err != nil {
		return err
	}
	for {
		items, err := c.r.response()
		switch {
		case err != nil:
			return err
		case len(items) == 0:
			continue
		case items[0].Text == "+":
			line := "*" // which ends an authentication
			if len(more) > 0 {
				line, more = more[0], more[1:]
			}
			if _, err := io.WriteString(c.conn, line+"\r\n"); err != nil {
				return err
			}
		case items[0].Text == tag:
			if len(items) > 1 && items[1].Is("OK") {
				return nil
			}
			return &Refused{name, text(items[1:])}
		case len(items) > 1 && items[1].Is("BYE"):
			return fmt.Errorf("the server closes the connection: %.200q", text(items[1:]))
		case c.untagged != nil:
			if err := c.untagged(items); err != nil {
				return err
			}
		}
	}
}

// with is do with what is told of the responses.
func (c *Client) with(fn func(items []Value) error, name, command string) error {
	c.untagged = fn
	defer func() { c.untagged = nil }()
	return c.do(name, command)
}

func (c *Client) capabilities() error {
	c.caps = nil
	return c.with(func(items []Value) error {
		if len(c.caps) > 1000 {
			return errResponse
		}
		if len(items) > 1 && items[1].Is("CAPABILITY") {
			for _, v := range items[2:] {
				c.caps = append(c.caps, strings.ToUpper(v.Text))
			}
		}
		return nil
	}, "CAPABILITY", "CAPABILITY")
}

// StartTLS makes the connection one over TLS.
func (c *Client) StartTLS(cfg *tls.Config) error {
	if err := c.do("STARTTLS", "STARTTLS"); err != nil {
		return err
	}
	if c.r.br.Buffered() > 0 { // RFC 9051 §6.2.1: what came in the clear behind the answer is somebody else's
		return errors.New("the server sends in the clear behind its answer to STARTTLS")
	}
	conn := tls.Client(c.conn, cfg)
	if err := conn.Handshake(); err != nil {
		return err
	}
	c.conn = conn
	c.r.br = bufio.NewReaderSize(conn, 64<<10)
	return nil
}

// Login logs in, with a password.
func (c *Client) Login(user, password string) error {
	if err := c.capabilities(); err != nil {
		return err
	}
	switch {
	case slices.Contains(c.caps, "AUTH=PLAIN"):
		return c.do("AUTHENTICATE", "AUTHENTICATE PLAIN", base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+password)))
	case slices.Contains(c.caps, "LOGINDISABLED"):
		return errors.New("the server offers no way to log in with a password")
	}
	u, err := quote(user)
	if err != nil {
		return err
	}
	p, err := quote(password)
	if err != nil {
		return err
	}
	return c.do("LOGIN", "LOGIN "+u+" "+p)
}

// quote is a quoted string.
func quote(s string) (string, error) {
	if strings.ContainsAny(s, "\r\n\x00") || strings.ContainsFunc(s, func(r rune) bool { return r > 0x7e }) {
		return "", errors.New("the server takes ASCII only in names and passwords")
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`, nil
}

// Mailbox is one of the server's.
type Mailbox struct {
	Raw  string // as the server spells it
	Name string // in UTF-8, hierarchy by "/"
}

// What a server may list.
const (
	maxMailboxes = 50_000
	maxName      = 1000 // octets of a name
	maxUIDs      = 20_000_000
)

// List are the mailboxes that can be looked into.
func (c *Client) List() (all []Mailbox, err error) {
	err = c.with(func(items []Value) error {
		if len(items) < 5 || !items[1].Is("LIST") || slices.ContainsFunc(items[2].List, func(v Value) bool { return v.Is(`\Noselect`) || v.Is(`\NonExistent`) }) {
			return nil
		}
		if len(items[4].Text) > maxName {
			return fmt.Errorf("the server has a mailbox with a name of more than %d octets", maxName)
		}
		if len(all) == maxMailboxes {
			return fmt.Errorf("the server has more than %d mailboxes", maxMailboxes)
		}
		all = append(all, Mailbox{items[4].Text, decoded(items[4].Text, items[3].Text)})
		return nil
	}, "LIST", `LIST "" "*"`)
	return all, err
}

// decoded is a mailbox's name with our delimiter. One in its own is made "_".
func decoded(raw, delimiter string) string {
	name, ok := imap.DecodeUTF7(raw)
	if !ok {
		name = raw
	}
	if delimiter == "/" || len(delimiter) != 1 {
		return name
	}
	return strings.ReplaceAll(strings.ReplaceAll(name, "/", "_"), delimiter, "/")
}

// Examine looks into a mailbox.
func (c *Client) Examine(raw string) (uidValidity uint32, err error) {
	name, err := quote(raw)
	if err != nil {
		return 0, err
	}
	err = c.with(func(items []Value) error {
		if len(items) > 2 && items[1].Is("OK") {
			if rest, ok := strings.CutPrefix(strings.ToUpper(items[2].Text), "[UIDVALIDITY "); ok {
				digits, _, _ := strings.Cut(rest, "]")
				n, err := strconv.ParseUint(strings.TrimSpace(digits), 10, 32)
				if err != nil {
					return errResponse
				}
				uidValidity = uint32(n)
			}
		}
		return nil
	}, "EXAMINE", "EXAMINE "+name)
	return uidValidity, err
}

// UIDs are those of the mailbox that are above one, ascending.
func (c *Client) UIDs(above uint32) (uids []uint32, err error) {
	if above == 1<<32-1 {
		return nil, nil
	}
	err = c.with(func(items []Value) error {
		if len(items) < 2 || !items[1].Is("SEARCH") {
			return nil
		}
		if len(uids)+len(items) > maxUIDs {
			return fmt.Errorf("the mailbox has more than %d messages", maxUIDs)
		}
		for _, v := range items[2:] {
			n, err := strconv.ParseUint(v.Text, 10, 32)
			if err != nil {
				return errResponse
			}
			if uint32(n) > above { // n:* has the last one, whatever it is
				uids = append(uids, uint32(n))
			}
		}
		return nil
	}, "SEARCH", fmt.Sprintf("UID SEARCH UID %d:*", above+1))
	slices.Sort(uids)
	return slices.Compact(uids), err
}

// Message is one that was fetched.
type Message struct {
	UID   uint32
	Flags []string
	Date  time.Time
	Body  any // what take made of it
}

// Fetch fetches whole messages, and calls fn for each.
func (c *Client) Fetch(uids []uint32, fn func(Message) error) error {
	set := string(imap.AppendRanges(nil, imap.Numbers(uids)))
	return c.with(func(items []Value) error {
		if len(items) < 4 || !items[2].Is("FETCH") {
			return nil
		}
		var m Message
		for list := items[3].List; len(list) >= 2; list = list[2:] {
			if err := m.item(list[0].Text, list[1]); err != nil {
				return err
			}
		}
		if m.UID == 0 || m.Body == nil { // news of another message
			return nil
		}
		return fn(m)
	}, "FETCH", "UID FETCH "+set+" (UID FLAGS INTERNALDATE BODY.PEEK[])")
}

func (m *Message) item(name string, v Value) error {
	switch strings.ToUpper(name) {
	case "UID":
		n, err := strconv.ParseUint(v.Text, 10, 32)
		if err != nil {
			return errResponse
		}
		m.UID = uint32(n)
	case "FLAGS":
		for _, f := range v.List {
			m.Flags = append(m.Flags, f.Text)
		}
	case "INTERNALDATE":
		if t, err := time.Parse("2-Jan-2006 15:04:05 -0700", strings.TrimSpace(v.Text)); err == nil {
			m.Date = t
		}
	case "BODY[]":
		m.Body = v.Body
		if v.Body == nil && v.List == nil && !v.Is("NIL") { // a short message may come as a string
			m.Body = v.Text
		}
	}
	return nil
}

// Logout says good-bye and closes the connection.
func (c *Client) Logout() error {
	io.WriteString(c.conn, "z LOGOUT\r\n")
	return c.conn.Close()
}
