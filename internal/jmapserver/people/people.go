// Package people answers the JMAP method with which a mail program completes addresses (MAIL-4): the people with whom
// the account has had mail, as its correspondents are remembered.
package people

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"waxwing/internal/correspondents"
	"waxwing/internal/jmapserver/call"
	"waxwing/internal/junk"
	"waxwing/jmap"
)

// Capability is that of Correspondent.
const Capability = "urn:waxwing:params:jmap:people"

// Room answers it. Its fields are set before its first use.
type Room struct{ People *correspondents.Store }

// Served is the capability with what it does.
func (r *Room) Served() call.Capability {
	return call.Capability{URI: Capability, Session: map[string]any{}, Account: map[string]any{"maxAddresses": most},
		Methods: map[string]call.Method{"Correspondent/query": r.query}}
}

const (
	most   = 50     // that are given at once
	looked = 20_000 // that are looked through: all that an account has (JNK-1)
)

// query is Correspondent/query: those whose address has the text, those to whom the account writes first.
func (r *Room) query(c *call.Call, args call.Args) (any, *jmap.Error) {
	var a struct {
		AccountID jmap.ID `json:"accountId"`
		Text      string  `json:"text"`
		Limit     int     `json:"limit"`
	}
	if err := args.Decode(&a); err != nil {
		return nil, err
	}
	if a.Limit < 0 || a.Limit > most || len(a.Text) > 320 {
		return nil, jmap.Errorf(jmap.InvalidArguments, "a text of up to 320 octets is looked for, and %d addresses are given", most)
	}
	all, err := r.People.List(c.Ctx, c.Name, looked)
	if err != nil {
		return nil, c.Failed(err)
	}
	list := []map[string]any{}
	for _, p := range Find(all, a.Text, cmp.Or(a.Limit, 10)) {
		list = append(list, map[string]any{"email": p.Who, "written": instant(p.Written), "received": p.Received})
	}
	return map[string]any{"accountId": c.ID, "list": list}, nil
}

func instant(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return jmap.UTCDate{Time: t.Truncate(time.Second)}
}

// Find chooses among correspondents: those whose address has the text at the beginning of a word, those first to whom the
// account has written last, then those who have written to it. It is pure.
func Find(all []correspondents.Correspondent, text string, limit int) []correspondents.Correspondent {
	text = strings.ToLower(strings.TrimSpace(text))
	var found []correspondents.Correspondent
	for _, p := range all {
		if strings.HasPrefix(p.Who, "@") || p.Mark == junk.MarkedJunk && !p.Written.After(p.Marked) || !begins(p.Who, text) {
			continue
		}
		found = append(found, p)
	}
	slices.SortStableFunc(found, func(x, y correspondents.Correspondent) int {
		return cmp.Or(y.Written.Compare(x.Written), cmp.Compare(y.Received, x.Received), y.Last.Compare(x.Last), strings.Compare(x.Who, y.Who))
	})
	return found[:min(limit, len(found))]
}

// begins tells whether a word of an address begins with a text.
func begins(who, text string) bool {
	for from := 0; from < len(who); {
		i := strings.Index(who[from:], text)
		if i < 0 {
			return false
		}
		if i += from; i == 0 || strings.IndexByte(".@_-+", who[i-1]) >= 0 {
			return true
		}
		from = i + 1
	}
	return text == ""
}
