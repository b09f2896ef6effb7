// Package sending answers the JMAP methods by which people send mail (RFC 8621 §6, §7): Identity and
// EmailSubmission. What is handed in goes through the same door as submission by SMTP.
package sending

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"waxwing/internal/account"
	"waxwing/internal/delivery"
	"waxwing/internal/jmapserver/call"
	"waxwing/internal/mailboxes"
	"waxwing/internal/queue"
	"waxwing/internal/receive"
	"waxwing/internal/spool"
	"waxwing/internal/store"
	"waxwing/jmap"
)

// Room answers them. Its fields are set before its first use.
type Room struct {
	DB       *store.Store
	Boxes    *mailboxes.Store
	Accounts Accounts
	Queue    Queue
	// Door is that of submission.
	Door       *receive.Submission
	MaxHold    time.Duration
	MaxSize    int64 // octets of a message
	Recipients int   // of a message, at most
	Now        func() time.Time
	// Changed tells those who wait for news of an account, in the transaction of the change.
	Changed func(tx *store.Tx, account string) error
}

// Accounts says as whom somebody may write. accounts.Store does.
type Accounts interface {
	AddressesOf(ctx context.Context, name string) ([]account.Address, error)
	MaySendAs(ctx context.Context, name, address string) (bool, error)
	Access(ctx context.Context, name string) (account.Access, error)
}

// Queue makes messages durable, and forgets what is not sent yet. queue.Queue does.
type Queue interface {
	Prepare(ctx context.Context, env *delivery.Envelope, c delivery.Content) (delivery.Content, error)
	EnqueueTx(tx *store.Tx, env *delivery.Envelope, c delivery.Content) error
	Wake()
	Drop(ctx context.Context, f spool.Filter) (queue.Changed, error)
}

// Capability is that of all of this.
const Capability = "urn:ietf:params:jmap:submission"

// Served is the capability with what it does.
func (r *Room) Served() call.Capability {
	return call.Capability{URI: Capability, Session: map[string]any{}, Account: r.account(), Methods: r.methods(), States: r.states}
}

// methods are those that the room answers.
func (r *Room) methods() map[string]call.Method {
	return map[string]call.Method{
		"Identity/get": r.identityGet, "Identity/changes": r.identityChanges, "Identity/set": r.identitySet,
		"EmailSubmission/get": r.submissionGet, "EmailSubmission/changes": r.submissionChanges, "EmailSubmission/query": r.submissionQuery,
		"EmailSubmission/queryChanges": r.submissionQueryChanges, "EmailSubmission/set": r.submissionSet,
	}
}

// account is what the session says of it for an account (RFC 8621 §1.3.2).
func (r *Room) account() map[string]any {
	return map[string]any{"maxDelayedSend": int64(r.MaxHold / time.Second), "submissionExtensions": map[string][]string{
		"FUTURERELEASE": {strconv.FormatInt(int64(r.MaxHold/time.Second), 10)}, "REQUIRETLS": {}, "DSN": {}, "8BITMIME": {}, "SMTPUTF8": {},
		"SIZE": {strconv.FormatInt(r.MaxSize, 10)}}}
}

// states are those of its types, for push.
func (r *Room) states(c *call.Call) (map[string]string, error) {
	s, err := r.state(c)
	if err != nil {
		return nil, err
	}
	all, err := r.identities(c)
	return map[string]string{"Identity": identityState(all), "EmailSubmission": s}, err
}

// identityState is another one for other identities: addresses come and go by other ways, which count no change here.
func identityState(all map[jmap.ID]*identity) string {
	h := sha256.New()
	for _, id := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(h, "%q %q %t", id, all[id].email, all[id].own)
		_ = json.NewEncoder(h).Encode(all[id].settings) // a hash takes everything
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:12])
}

// state is how often anything of the account has changed here. It is that of submissions.
func (r *Room) state(c *call.Call) (string, error) {
	n, err := store.Read(c.Ctx, r.DB, func(tx *store.Tx) (int64, error) { return changes(tx, c.Name) })
	return strconv.FormatInt(n, 36), err
}

func changes(tx *store.Tx, name string) (n int64, err error) {
	err = tx.Row(`SELECT changes FROM jmap_sending WHERE account = ?`, name).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return n, err
}

// turn counts a change, and wakes those who wait for news of the account.
func (r *Room) turn(tx *store.Tx, name string) (n int64, err error) {
	err = tx.Row(`INSERT INTO jmap_sending (account, changes) VALUES (?, 1) ON CONFLICT (account) DO UPDATE SET changes = jmap_sending.changes + 1 RETURNING changes`, name).Scan(&n)
	if err == nil {
		err = r.Changed(tx, name)
	}
	return n, err
}

// settings are what people say of an identity (RFC 8621 §6).
type settings struct {
	Name    string          `json:"name"`
	ReplyTo json.RawMessage `json:"replyTo,omitempty"`
	Bcc     json.RawMessage `json:"bcc,omitempty"`
	Text    string          `json:"textSignature"`
	HTML    string          `json:"htmlSignature"`
}

// identity is as whom somebody writes.
type identity struct {
	settings
	email string
	own   bool // it was made by its owner, who may remove it
}

var identityNames = []string{"id", "name", "email", "replyTo", "bcc", "textSignature", "htmlSignature", "mayDelete"}

func (i *identity) shown(id jmap.ID) map[string]any {
	return map[string]any{"id": id, "name": i.Name, "email": i.email, "replyTo": orNull(i.ReplyTo), "bcc": orNull(i.Bcc), "textSignature": i.Text, "htmlSignature": i.HTML, "mayDelete": i.own}
}

func orNull(raw json.RawMessage) any {
	if len(raw) == 0 {
		return nil
	}
	return raw
}
