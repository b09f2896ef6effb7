package mails

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"

	"waxwing/internal/delivery"
	"waxwing/internal/jmapserver/catalog"
	"waxwing/internal/jmapserver/email"
	"waxwing/internal/jmapserver/finding"
	"waxwing/internal/store"
	"waxwing/jmap"
	"waxwing/structure"
)

// UploadKind begins the ids of uploads, ScriptKind those of the texts of scripts.
const (
	UploadKind = 'U'
	ScriptKind = 'C'
)

const (
	// maxInner is how large a message in a message may be that is looked into.
	maxInner = 50 << 20
	// maxNesting is how many messages may stand in each other in the id of a blob.
	maxNesting = 5
)

// blobOf is how the blob of a part is called: the number is added to the id of what it is a part of.
func blobOf(whole jmap.ID) func(number string) jmap.ID {
	return func(number string) jmap.ID { return whole + jmap.ID("-"+strings.ReplaceAll(number, ".", "_")) }
}

// Blob opens what an id names for an account, with its media type: an upload, a mail, or a part of either; nil: there is nothing.
func (r *Room) Blob(ctx context.Context, account string, id jmap.ID) (io.ReadCloser, string, error) {
	words := strings.Split(string(id), "-")
	if len(words) > maxNesting {
		return nil, "", nil
	}
	whole, mediaType, err := r.whole(ctx, account, jmap.ID(words[0]))
	if err != nil || whole == nil {
		return nil, "", err
	}
	if len(words) == 1 {
		body, err := whole.Content.Open()
		return body, mediaType, err
	}
	for i, w := range words[1:] {
		if whole.Built == nil {
			if err := parse(whole); err != nil {
				return nil, "", err
			}
		}
		body, p, err := whole.Open(strings.ReplaceAll(w, "_", "."))
		if err != nil || body == nil {
			return nil, "", err
		}
		if i == len(words)-2 {
			return body, strings.ToLower(p.Type + "/" + p.Subtype), nil
		}
		if whole, err = inner(body); err != nil || whole == nil {
			return nil, "", err
		}
	}
	return nil, "", nil
}

// whole is what an id without a part names; Built may be missing.
func (r *Room) whole(ctx context.Context, account string, id jmap.ID) (*email.Message, string, error) {
	if n, ok := number(UploadKind, id); ok {
		u, err := r.Uploads.Open(ctx, account, n)
		if err != nil || u == nil {
			return nil, "", err
		}
		return &email.Message{Content: u.Content}, u.Type, nil
	}
	if strings.HasPrefix(string(id), string(ScriptKind)) && r.Scripts != nil {
		text, ok, err := r.Scripts(ctx, account, id)
		if err != nil || !ok {
			return nil, "", err
		}
		return &email.Message{Content: delivery.Bytes(text)}, "application/sieve", nil
	}
	mail, ok := number(blobKind, id)
	if !ok {
		return nil, "", nil
	}
	var kept []byte
	found := false
	err := r.Catalog.Look(ctx, account, func(tx *store.Tx, v *catalog.View) error {
		e := v.Mail(mail)
		if found = e != nil; !found {
			return nil
		}
		all, err := catalog.Structures(tx, []*finding.Email{e})
		kept = all[mail]
		return err
	})
	if err != nil || !found {
		return nil, "", err
	}
	m, err := r.message(ctx, mail, kept)
	if isGone(err) {
		return nil, "", nil
	}
	return m, "message/rfc822", err
}

func parse(m *email.Message) error {
	body, err := m.Content.Open()
	if err != nil {
		return err
	}
	defer body.Close()
	m.Built, err = structure.Parse(body)
	return err
}

// inner is a message in a part; nil: it is too large to be looked into.
func inner(body io.ReadCloser) (*email.Message, error) {
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, maxInner+1))
	if err != nil || len(data) > maxInner {
		return nil, err
	}
	return &email.Message{Content: delivery.Bytes(data)}, nil
}

// read is a blob in memory; false: there is none, or it has more than most octets (errTooLarge).
func (r *Room) read(ctx context.Context, account string, id jmap.ID, most int64) (data []byte, mediaType string, ok bool, err error) {
	body, mediaType, err := r.Blob(ctx, account, id)
	if err != nil || body == nil {
		return nil, "", false, err
	}
	defer body.Close()
	data, err = io.ReadAll(io.LimitReader(body, most+1))
	if err == nil && int64(len(data)) > most {
		err = errTooLarge
	}
	return data, mediaType, err == nil, err
}

var errTooLarge = errors.New("the blob is too large")

// UploadID is how an upload is called.
func UploadID(id int64) jmap.ID { return jmap.ID(string(UploadKind) + strconv.FormatInt(id, 36)) }
