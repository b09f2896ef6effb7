// Package rspamd asks Rspamd about messages over its HTTP protocol, and has it learn (JNK-3).
// What it answers is evidence, which package junk weighs.
package rspamd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
	"unicode"

	"waxwing/internal/config"
	"waxwing/internal/foreign"
	"waxwing/internal/junk"
)

// Bounds of what is said and heard.
const (
	maxAnswer     = 1 << 20 // octets
	maxRecipients = 100     // that it is told of
	maxValue      = 500     // octets of a header field of ours
	maxAction     = 40      // octets
	maxProblem    = 200     // octets
)

// Client asks one Rspamd. It is safe for concurrent use.
type Client struct {
	of       config.Rspamd
	hostname string
	http     *http.Client
	base     string
}

// New returns a client of the Rspamd that the configuration names; nil: it names none.
func New(of config.Rspamd, hostname string) *Client {
	if of.URL == "" {
		return nil
	}
	c := &Client{of: of, hostname: hostname, base: strings.TrimSuffix(of.URL, "/")}
	// It is the operator's own host: neither proxies of the environment nor redirections.
	t := &http.Transport{MaxIdleConns: 20, MaxIdleConnsPerHost: 20, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10}
	if path, ok := strings.CutPrefix(of.URL, "unix:"); ok {
		c.base = "http://rspamd"
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}
	}
	c.http = &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return c
}

// Message is what is asked about.
type Message struct {
	ID         string
	IP         netip.Addr
	HELO       string
	Name       string // of the client, which leads back to IP; "": none
	Sender     string
	Recipients []string
	Whole      []byte
}

// ErrTooLarge is returned for a message that is larger than Rspamd is asked about.
var ErrTooLarge = errors.New("the message is larger than junk.rspamd.max_size")

// Check asks about a message. Wait says that Rspamd wants it put off.
func (c *Client) Check(ctx context.Context, m Message) (answer junk.Rspamd, wait bool, err error) {
	if int64(len(m.Whole)) > int64(c.of.MaxSize) {
		return answer, false, ErrTooLarge
	}
	h := http.Header{}
	for name, value := range map[string]string{"Queue-Id": m.ID, "IP": m.IP.Unmap().WithZone("").String(), "Helo": m.HELO, "Hostname": m.Name, "From": m.Sender, "MTA-Name": c.hostname} {
		if value != "" {
			h.Set(name, field(value))
		}
	}
	for _, r := range m.Recipients[:min(len(m.Recipients), maxRecipients)] {
		h.Add("Rcpt", field(r))
	}
	body, err := c.post(ctx, "/checkv2", h, m.Whole)
	if err != nil {
		return answer, false, err
	}
	return read(body)
}

// read takes an answer to checkv2 apart.
func read(body []byte) (answer junk.Rspamd, wait bool, err error) {
	var said struct {
		Score    *float64 `json:"score"`
		Required float64  `json:"required_score"`
		Action   *string  `json:"action"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return answer, false, fmt.Errorf("no answer of Rspamd's: %w", err)
	}
	if said.Action == nil || said.Score == nil {
		return answer, false, errors.New("no answer of Rspamd's: it has no action or no score")
	}
	answer = junk.Rspamd{Score: *said.Score, Required: said.Required, Action: foreign.Text(*said.Action, maxAction)}
	return answer, answer.Action == "soft reject" || answer.Action == "greylist", nil
}

// Learn has Rspamd learn a message as good mail or as junk, where the configuration wants that.
// One that it knows already, or that has too few words, is no error.
func (c *Client) Learn(ctx context.Context, whole []byte, good bool) error {
	if c == nil || !c.of.Learn || int64(len(whole)) > int64(c.of.MaxSize) {
		return nil
	}
	_, err := c.post(ctx, map[bool]string{true: "/learnham", false: "/learnspam"}[good], http.Header{}, whole)
	return err
}

func (c *Client) post(ctx context.Context, path string, h http.Header, whole []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.of.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, bytes.NewReader(whole))
	if err != nil {
		return nil, err
	}
	req.Header = h
	if c.of.Password != "" {
		h.Set("Password", c.of.Password)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode/100 != 2:
		return nil, fmt.Errorf("%s answers %d: %s", path, resp.StatusCode, foreign.Text(string(body), maxProblem))
	case len(body) > maxAnswer:
		return nil, fmt.Errorf("%s answers more than %d octets", path, maxAnswer)
	}
	return body, nil
}

// field makes a client's words fit for a header field.
func field(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, s[:min(len(s), maxValue)])
}
