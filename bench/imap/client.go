package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// client speaks IMAP to either server, in the same words.
type client struct {
	c   net.Conn
	r   *bufio.Reader
	w   *bufio.Writer
	tag int
}

// dial logs in; both servers show certificates of their own, which are not what is measured.
func dial(addr, user, password string) (*client, error) {
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return nil, err
	}
	cl := &client{c: c, r: bufio.NewReaderSize(c, 64<<10), w: bufio.NewWriterSize(c, 64<<10)}
	if _, err := cl.r.ReadString('\n'); err != nil {
		return nil, err
	}
	if _, err := cl.do(fmt.Sprintf("LOGIN %q %q", user, password)); err != nil {
		return nil, err
	}
	return cl, nil
}

func (c *client) close() { c.c.Close() }

// answer is what a server has said to one command.
type answer struct {
	lines  int
	octets int
	last   string   // the tagged line
	kept   []string // untagged lines that are no FETCH, the first hundred
}

func (c *client) do(command string) (answer, error) {
	if err := c.send(command); err != nil {
		return answer{}, err
	}
	return c.wait()
}

func (c *client) send(command string) error {
	c.tag++
	fmt.Fprintf(c.w, "a%d %s\r\n", c.tag, command)
	return c.w.Flush()
}

// wait reads up to the tagged line, over literals.
func (c *client) wait() (a answer, err error) {
	tag := "a" + strconv.Itoa(c.tag) + " "
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return a, err
		}
		a.lines, a.octets = a.lines+1, a.octets+len(line)
		if n, ok := literal(line); ok {
			if _, err := io.CopyN(io.Discard, c.r, int64(n)); err != nil {
				return a, err
			}
			a.octets += n
			continue
		}
		if len(line) >= len(tag) && string(line[:len(tag)]) == tag {
			a.last = strings.TrimSpace(string(line))
			if !strings.HasPrefix(a.last[len(tag):], "OK") {
				return a, fmt.Errorf("the server says %s", a.last)
			}
			return a, nil
		}
		if len(a.kept) < 100 && len(line) < 4000 {
			a.kept = append(a.kept, strings.TrimSpace(string(line)))
		}
	}
}

// literal is the size of the literal that a line announces at its end.
func literal(line []byte) (size int, ok bool) {
	s, ok := strings.CutSuffix(strings.TrimRight(string(line[max(0, len(line)-30):]), "\r\n"), "}")
	i := strings.LastIndexByte(s, '{')
	if !ok || i < 0 {
		return 0, false
	}
	size, err := strconv.Atoi(s[i+1:])
	return size, err == nil
}

// appendAll appends messages, many in one command (RFC 3502) with literals that wait for nobody (RFC 7888).
func (c *client) appendAll(box string, messages [][]byte) error {
	c.tag++
	fmt.Fprintf(c.w, "a%d APPEND %s", c.tag, box)
	for _, m := range messages {
		fmt.Fprintf(c.w, " {%d+}\r\n", len(m))
		c.w.Write(m)
	}
	io.WriteString(c.w, "\r\n")
	if err := c.w.Flush(); err != nil {
		return err
	}
	_, err := c.wait()
	return err
}

// timed is how long a command takes, up to its last line.
func (c *client) timed(command string) (time.Duration, answer, error) {
	from := time.Now()
	a, err := c.do(command)
	if err != nil {
		err = fmt.Errorf("%.60s: %w", command, err)
	}
	return time.Since(from), a, err
}

// idle begins to wait for news.
func (c *client) idle() error {
	if err := c.send("IDLE"); err != nil {
		return err
	}
	_, err := c.r.ReadString('\n') // +
	return err
}

// heard waits for the next untagged line.
func (c *client) heard() error {
	c.c.SetReadDeadline(time.Now().Add(30 * time.Second))
	line, err := c.r.ReadString('\n')
	if err == nil && !strings.HasPrefix(line, "* ") {
		err = fmt.Errorf("heard %q", line)
	}
	return err
}
