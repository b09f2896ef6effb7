package dkim

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"waxwing/message"
)

// oversigned fields are named once more than they occur, so that nobody can
// add one that readers would show instead (RFC 6376 §8.15).
var oversigned = []string{
	"from", "to", "cc", "subject", "date", "message-id", "reply-to", "mime-version", "content-type", "content-transfer-encoding",
}

// signed fields are named as often as they occur (RFC 6376 §5.4.1), and once more where they occur
// once (AUT-7): what a message has none of, such as List-Id, those may add that pass it on.
var signed = []string{
	"sender", "in-reply-to", "references", "auto-submitted", "tls-required",
	"list-id", "list-help", "list-post", "list-owner", "list-archive", "list-subscribe", "list-unsubscribe", "list-unsubscribe-post",
}

// Sign returns one DKIM-Signature field for each key, ready to be put before
// msg, which has CRLF line ends. Canonicalisation is relaxed/relaxed. Extra
// headers that the message has are signed so that none can be added.
func Sign(msg []byte, keys []Key, opts SignOptions) ([]byte, error) {
	if len(keys) == 0 {
		return nil, errors.New("DKIM: no key to sign with")
	}
	h, body, err := message.SplitHeader(msg)
	if err != nil {
		return nil, fmt.Errorf("DKIM: %w", err)
	}
	if !h.Has("From") {
		return nil, errors.New("DKIM: a message without a From field cannot be signed (RFC 6376 §5.4)")
	}
	now := time.Now
	if opts.Now != nil {
		now = opts.Now
	}
	sum, _ := bodyHash(body, true, -1)
	draft := draft{names: signNames(h, opts.Headers), body: sum, at: now(), expiration: opts.Expiration}
	var out []byte
	for _, k := range keys {
		field, err := draft.sign(h, k)
		if err != nil {
			return nil, fmt.Errorf("DKIM: key %s of %s: %w", k.Selector, k.Domain, err)
		}
		out = append(out, field...)
	}
	return out, nil
}

// signNames is the h= list.
func signNames(h message.Header, extra []string) []string {
	counts := make(map[string]int, len(h.Fields))
	for _, f := range h.Fields {
		counts[strings.ToLower(f.Name)]++
	}
	var names []string
	add := func(name string, n int) {
		for range n {
			names = append(names, name)
		}
		counts[name] = -1 // named already
	}
	for _, name := range oversigned {
		add(name, counts[name]+1)
	}
	for _, name := range signed {
		n := max(0, counts[name])
		if n == 1 {
			n++
		}
		add(name, n)
	}
	for _, name := range extra {
		name = strings.ToLower(name)
		if counts[name] > 0 {
			add(name, counts[name]+1)
		}
	}
	return names
}

// draft is what the signatures of one message share.
type draft struct {
	names      []string
	body       []byte
	at         time.Time
	expiration time.Duration
}

func (d draft) sign(h message.Header, k Key) ([]byte, error) {
	if k.Signer == nil || k.Domain.IsZero() || k.Selector == "" {
		return nil, errors.New("key, domain or selector is missing")
	}
	if _, err := k.Domain.Prefix(k.Selector + "._domainkey"); err != nil {
		return nil, err
	}
	alg, err := Algorithm(k.Signer.Public())
	if err != nil {
		return nil, err
	}
	field := d.field(k, alg)
	sum := headerHash(h, d.names, field, true)
	// RFC 8463 §3: Ed25519 signs the SHA-256 sum as its message.
	var opts crypto.SignerOpts = crypto.SHA256
	if alg == Ed25519SHA256 {
		opts = crypto.Hash(0)
	}
	sig, err := k.Signer.Sign(rand.Reader, sum, opts)
	if err != nil {
		return nil, err
	}
	return append(appendFolded(field, base64.StdEncoding.EncodeToString(sig)), crlf...), nil
}

// field is the signature field up to and with "b=".
func (d draft) field(k Key, alg string) []byte {
	var b bytes.Buffer
	b.WriteString("DKIM-Signature: v=1; a=" + alg + "; c=relaxed/relaxed;\r\n")
	b.WriteString("\td=" + k.Domain.ASCII() + "; s=" + k.Selector + ";\r\n")
	b.WriteString("\tt=" + strconv.FormatInt(d.at.Unix(), 10))
	if d.expiration > 0 {
		b.WriteString("; x=" + strconv.FormatInt(d.at.Add(d.expiration).Unix(), 10))
	}
	b.WriteString(";\r\n\th=")
	col := 3
	for i, name := range d.names {
		if col+len(name) > 74 {
			b.WriteString("\r\n\t")
			col = 1
		}
		b.WriteString(name)
		if i < len(d.names)-1 {
			b.WriteByte(':')
		}
		col += len(name) + 1
	}
	b.WriteString(";\r\n\tbh=" + base64.StdEncoding.EncodeToString(d.body) + ";\r\n\tb=")
	return b.Bytes()
}

// appendFolded adds text in lines of 72.
func appendFolded(dst []byte, text string) []byte {
	dst = bytes.Clone(dst)
	for i := 0; i < len(text); i += 72 {
		if i > 0 {
			dst = append(dst, "\r\n\t"...)
		}
		dst = append(dst, text[i:min(i+72, len(text))]...)
	}
	return dst
}
