// Package unsubscribe answers Unsubscribe/get and Unsubscribe/post, methods of our own (MAIL-2): how somebody leaves the list that
// sent a mail, and leaving it by one click (RFC 8058), where this server posts to the list's address.
//
// A mail decides what this server is to do here. So it posts only to https addresses at their usual port, which a valid signature
// has vouched for, in no private network, without a cookie or anything else of the account; it follows no redirect, reads
// little of the answer, and does it seldom.
package unsubscribe

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"waxwing/dns"
	"waxwing/internal/foreign"
	"waxwing/internal/guard"
	"waxwing/internal/jmapserver/call"
	"waxwing/internal/jmapserver/mails"
	"waxwing/internal/listing"
	"waxwing/internal/mailbox"
	"waxwing/internal/verify"
	"waxwing/internal/web/egress"
	"waxwing/jmap"
	"waxwing/message"
)

// Capability is our own.
const Capability = "urn:waxwing:params:jmap:unsubscribe"

// form is what is posted (RFC 8058 §3.1).
const form = "List-Unsubscribe=One-Click"

// Bounds.
const (
	maxMails  = 20               // in one call
	anHour    = 30               // posts of an account
	atOnce    = 8                // posts of all accounts
	postTime  = 10 * time.Second // for one
	maxAnswer = 4 << 10          // octets that are read
)

// Room answers the methods. Its fields are set before its first use.
type Room struct {
	// Mails opens blobs of JMAP; *mails.Room does.
	Mails interface {
		Blob(ctx context.Context, account string, id jmap.ID) (io.ReadCloser, string, error)
	}
	// Boxes finds the copies of a mail; *mailboxes.Store does.
	Boxes interface {
		Find(ctx context.Context, id int64) ([]mailbox.Message, error)
	}
	DNS          dns.Resolver
	AllowPrivate bool // addresses in private networks are posted to
	Roots        *x509.CertPool
	Dial         func(ctx context.Context, network, address string) (net.Conn, error)
	Now          func() time.Time
	Log          *slog.Logger
	Guard        *guard.Guard

	setup  sync.Once
	client *http.Client
	places *semaphore.Weighted

	mu     sync.Mutex
	posted map[string][]time.Time // by account, in the last hour
}

// Served is the capability with what it does.
func (r *Room) Served() call.Capability {
	return call.Capability{URI: Capability, Session: map[string]any{}, Account: map[string]any{"maxMails": maxMails},
		Methods: map[string]call.Method{"Unsubscribe/get": r.get, "Unsubscribe/post": r.post}}
}

type wanted struct {
	AccountID jmap.ID   `json:"accountId"`
	IDs       []jmap.ID `json:"ids"`
}

func (w *wanted) read(args call.Args) *jmap.Error {
	if err := args.Decode(w); err != nil {
		return err
	}
	if w.IDs = call.Once(w.IDs); len(w.IDs) > maxMails {
		return jmap.Errorf(jmap.RequestTooLarge, "%d mails can be asked about at once", maxMails)
	}
	return nil
}

// get is Unsubscribe/get.
func (r *Room) get(c *call.Call, args call.Args) (any, *jmap.Error) {
	var w wanted
	if err := w.read(args); err != nil {
		return nil, err
	}
	list, missing := []*Offer{}, []jmap.ID{}
	for _, id := range w.IDs {
		o, err := r.offer(c, id)
		switch {
		case err != nil:
			return nil, c.Failed(err)
		case o == nil:
			missing = append(missing, id)
		default:
			list = append(list, o)
		}
	}
	return map[string]any{"accountId": c.ID, "list": list, "notFound": missing}, nil
}

// post is Unsubscribe/post: of each mail the list is left by one click, where its mail offers that.
func (r *Room) post(c *call.Call, args call.Args) (any, *jmap.Error) {
	var w wanted
	if err := w.read(args); err != nil {
		return nil, err
	}
	done, failed := map[jmap.ID]any{}, map[jmap.ID]*jmap.SetError{}
	for _, id := range w.IDs {
		o, err := r.offer(c, id)
		if err == nil && o == nil {
			err = jmap.SetErrorf(jmap.NotFound, nil, "there is no such mail")
		}
		if err == nil && o.Way != OneClick {
			err = jmap.SetErrorf(jmap.Forbidden, nil, "the mail offers no way to leave its list by one click")
		}
		if err == nil {
			err = r.leave(c, o)
		}
		if err != nil {
			failed[id] = c.SetFailed(err)
			continue
		}
		done[id] = map[string]any{"host": o.Host}
	}
	return map[string]any{"accountId": c.ID, "posted": done, "notPosted": failed}, nil
}

// offer is what a mail offers; nil: there is no such mail.
func (r *Room) offer(c *call.Call, id jmap.ID) (*Offer, error) {
	n, ok := call.Number(call.EmailKind, id)
	if !ok {
		return nil, nil
	}
	valid, there, err := r.signatures(c, n)
	if err != nil || !there {
		return nil, err
	}
	body, _, err := r.Mails.Blob(c.Ctx, c.Name, mails.BlobID(n, ""))
	if err != nil || body == nil {
		return nil, err
	}
	defer body.Close()
	h, err := message.ReadHeader(bufio.NewReader(body), message.MaxHeader)
	if err != nil {
		return &Offer{ID: id, Way: None}, nil // what cannot be read offers nothing
	}
	o := decide(h, valid)
	o.ID = id
	return &o, nil
}

// signatures are those that a mail came with.
func (r *Room) signatures(c *call.Call, mail int64) (valid []verify.Signature, there bool, err error) {
	places, err := r.Boxes.Find(c.Ctx, mail)
	if err != nil || len(places) == 0 || places[0].Account != c.Name {
		return nil, false, err
	}
	known, err := listing.Explain(places[0])
	if err != nil {
		return nil, false, err
	}
	if known.Facts != nil {
		valid = known.Facts.DKIM
	}
	return valid, true, nil
}

// leave posts. The error is a *jmap.SetError where the list's host did not take it.
func (r *Room) leave(c *call.Call, o *Offer) error {
	r.setup.Do(r.prepare)
	if !r.may(c.Name) {
		return jmap.SetErrorf(jmap.RateLimit, nil, "%d lists can be left in an hour", anHour)
	}
	ctx, cancel := context.WithTimeout(c.Ctx, postTime)
	defer cancel()
	if err := r.places.Acquire(ctx, 1); err != nil {
		return jmap.SetErrorf(jmap.RateLimit, nil, "others leave lists just now: try again in a moment")
	}
	defer r.places.Release(1)
	status, why := r.send(ctx, o.post)
	r.Log.Info("a list was left by one click", "account", c.Name, "host", foreign.Shown(o.Host), "status", status, "text", why)
	if status >= 200 && status < 300 {
		return nil
	}
	if why == "" {
		why = fmt.Sprintf("it answered %d", status)
	}
	return jmap.SetErrorf(jmap.ForbiddenToSend, nil, "the list's host %s did not take it: %s", foreign.Shown(o.Host), why)
}

// may counts a post of an account, where it may make one more.
func (r *Room) may(account string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	since := r.Now().Add(-time.Hour)
	for name, all := range r.posted {
		for len(all) > 0 && all[0].Before(since) {
			all = all[1:]
		}
		if r.posted[name] = all; len(all) == 0 {
			delete(r.posted, name)
		}
	}
	if len(r.posted[account]) >= anHour {
		return false
	}
	r.posted[account] = append(r.posted[account], r.Now())
	return true
}

func (r *Room) send(ctx context.Context, to *url.URL) (status int, why string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), strings.NewReader(form))
	if err != nil {
		return 0, "its address is no URL"
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("User-Agent", "Waxwing")
	resp, err := r.client.Do(req)
	if err != nil {
		var at *url.Error
		if errors.As(err, &at) {
			err = at.Err // without the address, by which the list knows its reader
		}
		return 0, foreign.Text(foreign.Line(err.Error()), 200)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer)) // what it says is nobody's to read
	return resp.StatusCode, ""
}

// door dials for net/http, which calls it on a goroutine of its own.
type door struct {
	*egress.Dialer
	guard *guard.Guard
}

func (d door) dial(ctx context.Context, network, address string) (c net.Conn, err error) {
	err = d.guard.Try(guard.HTTPS, func() (err error) {
		c, err = d.DialContext(ctx, network, address)
		return err
	}, "address", address)
	return c, err
}

func (r *Room) prepare() {
	r.places, r.posted = semaphore.NewWeighted(atOnce), map[string][]time.Time{}
	d := &egress.Dialer{DNS: r.DNS, Allowed: func(a netip.Addr) bool { return r.AllowPrivate || !dns.PrivateAddr(a) }, Connect: r.Dial}
	r.client = &http.Client{
		Transport: &http.Transport{DialContext: door{d, r.Guard}.dial, TLSHandshakeTimeout: postTime, ResponseHeaderTimeout: postTime, MaxResponseHeaderBytes: maxAnswer,
			TLSClientConfig: &tls.Config{RootCAs: r.Roots, MinVersion: tls.VersionTLS12, Time: r.Now}, DisableKeepAlives: true, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // RFC 8058 §3.1: there is none
	}
}
