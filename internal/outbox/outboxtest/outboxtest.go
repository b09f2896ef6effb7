// Package outboxtest is the world around an outbox, under the hand of tests.
package outboxtest

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/signing"
	"waxwing/internal/store"
)

// Clock is a clock that a test moves.
type Clock struct {
	mu sync.Mutex
	t  time.Time
}

// Now is the time that was set.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

// Set sets the time.
func (c *Clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = t
}

// Queue remembers what it was given, by Ref: a transaction that runs again gives the
// same message again.
type Queue struct {
	mu    sync.Mutex
	mails map[string]Mail
	Err   error // of EnqueueTx
}

// Mail is what a Queue was given.
type Mail struct {
	Env  delivery.Envelope
	Data string
}

// Prepare leaves everything to EnqueueTx.
func (q *Queue) Prepare(_ context.Context, _ *delivery.Envelope, c delivery.Content) (delivery.Content, error) {
	return c, nil
}

// EnqueueTx remembers a mail.
func (q *Queue) EnqueueTx(_ *store.Tx, env *delivery.Envelope, c delivery.Content) error {
	r, err := c.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mails == nil {
		q.mails = map[string]Mail{}
	}
	if q.Err == nil {
		q.mails[env.Ref] = Mail{*env, string(data)}
	}
	return q.Err
}

// Wake does nothing.
func (q *Queue) Wake() {}

// All are the mails, in no order.
func (q *Queue) All() []Mail {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Collect(maps.Values(q.mails))
}

// Signer has keys of some domains, and signs nothing in earnest.
type Signer []string

// Sign makes a field that looks like a signature.
func (s Signer) Sign(_ context.Context, from dns.Name, _ []byte, extra []string) ([]byte, error) {
	return []byte("DKIM-Signature: v=1; d=" + from.ASCII() + "; h=from:" + strings.ToLower(strings.Join(extra, ":")) + "\r\n"), nil
}

// Keys are one key, which signs for the Signer's domains alone.
func (s Signer) Keys(_ context.Context, d dns.Name) ([]signing.Key, error) {
	if slices.Contains(s, d.ASCII()) {
		return []signing.Key{{Domain: d, State: signing.Active, Told: true}}, nil
	}
	return []signing.Key{{Domain: d, State: signing.Retired}}, nil
}

// Tally counts words; it may be told of them by several goroutines.
type Tally struct {
	mu   sync.Mutex
	seen map[string]int
}

// Count counts a word.
func (c *Tally) Count(word string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil {
		c.seen = map[string]int{}
	}
	c.seen[word]++
}

// Of is how often a word was counted.
func (c *Tally) Of(word string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen[word]
}

// String is each word with how often it was counted.
func (c *Tally) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprint(c.seen)
}
