package acme

import (
	"context"
	"errors"
	"fmt"
	"time"

	"waxwing/internal/health"
	"waxwing/internal/hostkeys"
	"waxwing/internal/keystage"
	"waxwing/internal/renewal"
	"waxwing/internal/text"
)

// Row is one certificate as listings show it.
type Row struct {
	Name     string        `json:"name"`
	Key      string        `json:"key"`
	State    string        `json:"state"` // issued, missing, next (for the key that is to take over)
	Issuer   string        `json:"issuer,omitempty"`
	Until    time.Time     `json:"until,omitzero"`
	RenewAt  time.Time     `json:"renew_at,omitzero"` // or tried again
	Failures int           `json:"failures,omitempty"`
	Error    string        `json:"error,omitempty"` // of the last attempt
	Alert    renewal.Alert `json:"alert,omitempty"`
}

// Issued are the certificates that are shown to clients, as package health looks at them; none
// where no authority is asked.
func (s *Service) Issued(ctx context.Context) (out []health.Certificate, err error) {
	if s.CA == nil {
		return nil, nil
	}
	rows, err := s.Rows(ctx)
	if errors.Is(err, ErrNoKeys) {
		return nil, nil
	}
	for _, r := range rows {
		if r.State == "issued" {
			out = append(out, health.Certificate{Of: r.Name + " (" + r.Key + ")", Ends: r.Until, Span: 6 * r.Until.Sub(r.RenewAt)})
		}
	}
	return out, err
}

// Rows lists the certificates that there should be.
func (s *Service) Rows(ctx context.Context) ([]Row, error) {
	rolls, err := s.rolls(ctx)
	if err != nil {
		return nil, err
	}
	names, err := s.names(ctx)
	if err != nil {
		return nil, err
	}
	all, err := s.Certs.All(ctx)
	if err != nil {
		return nil, err
	}
	rows := []Row{}
	for _, w := range s.wants(rolls, names) {
		have := find(all, w)
		r := Row{Name: w.Name, Key: nameOf(rolls, w.Key), State: "missing", Failures: have.Failures, Error: have.Error}
		if s.CA != nil {
			d := renewal.Decide(have.Cert(), have.Tries, s.Now())
			r.RenewAt, r.Alert = d.At, d.Alert
		}
		if leaf := have.Leaf(); leaf != nil {
			r.State, r.Until, r.Issuer = "issued", leaf.NotAfter.UTC(), leaf.Issuer.String()
			if w.Next {
				r.State = "next"
			}
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func nameOf(rolls []hostkeys.Roll, digest string) string {
	for _, r := range rolls {
		if _, ok := r.Numbers[digest]; ok {
			return r.ID(digest)
		}
	}
	return digest
}

// Listing is how certificates are listed for people.
func Listing() text.List[Row] {
	return text.List[Row]{Columns: text.Columns("NAME|KEY|STATE|ENDS|RENEWED|LAST PROBLEM", "LAST PROBLEM", "KEY"), Cells: func(r *Row) []any {
		state := any(map[string]string{"issued": "issued", "next": "ready for the next key", "missing": "none yet"}[r.State])
		if r.Alert != "" {
			state = text.Cell{Text: string(r.Alert), Tone: text.Bad}
		}
		return []any{r.Name, r.Key, state, moment(r.Until), moment(r.RenewAt), r.Error}
	}}
}

func moment(t time.Time) any {
	if t.IsZero() {
		return ""
	}
	return text.Cell{When: t}
}

// KeyRow is one key of the host as listings show it.
type KeyRow struct {
	Key     string         `json:"key"`
	Stage   keystage.Stage `json:"stage"`
	Word    keystage.Word  `json:"awaits,omitempty"`
	Until   time.Time      `json:"until,omitzero"` // when that is over, where only time is needed
	Seen    time.Time      `json:"seen_since,omitzero"`
	Here    bool           `json:"here"` // this machine has the file
	Wanted  bool           `json:"roll_over_asked,omitempty"`
	Record  string         `json:"record"` // name, TLSA and data
	Detail  string         `json:"detail,omitempty"`
	current bool
}

// KeyRows lists the host's keys with what each awaits.
func (s *Service) KeyRows(ctx context.Context) ([]KeyRow, error) {
	rolls, err := s.rolls(ctx)
	if err == nil && len(rolls) == 0 {
		err = ErrNoKeys
	}
	if err != nil {
		return nil, err
	}
	_, missed, err := s.Keys.LastLook(ctx)
	if err != nil {
		return nil, err
	}
	rows := []KeyRow{}
	for _, r := range rolls {
		d := keystage.Decide(r.Roll, s.Rules, s.Now())
		row := func(p keystage.Pair) KeyRow {
			_, here := r.Keys[p.Key.ID]
			return KeyRow{Key: r.ID(p.Key.ID), Stage: keystage.Of(p.Key, p.Sight, s.Rules, s.Now()), Seen: p.Sight.Since, Here: here,
				Record: fmt.Sprintf("_25._tcp.%s. IN TLSA 3 1 1 %s", s.Host.ASCII(), p.Key.ID)}
		}
		now := row(r.Current)
		now.Word, now.Wanted, now.current = d.Alert, r.Wanted, true
		rows = append(rows, now)
		if r.Next != nil {
			next := row(*r.Next)
			next.Word, next.Until, next.Detail = d.Word, d.Until, missed
			rows = append(rows, next)
		}
		for _, o := range r.Old {
			rows = append(rows, row(o))
		}
	}
	return rows, nil
}

// LookNow asks the zone's own servers now, and lists the host's keys.
func (s *Service) LookNow(ctx context.Context) ([]KeyRow, error) {
	if _, err := s.Keys.Sync(ctx); err != nil { // what was never seen is looked for too
		return nil, err
	}
	if err := s.Look(ctx); err != nil {
		return nil, err
	}
	return s.KeyRows(ctx)
}

// AddKey makes one more host key in a directory that has some.
func AddKey(dir string, a hostkeys.Algorithm) ([]hostkeys.Key, error) {
	all, err := hostkeys.Read(dir)
	if err == nil && len(all) == 0 {
		err = ErrNoKeys
	}
	if err != nil {
		return nil, err
	}
	made, err := hostkeys.Add(dir, a, all)
	return []hostkeys.Key{made}, err
}

// KeyListing is how keys are listed for people.
func KeyListing() text.List[KeyRow] {
	return text.List[KeyRow]{Columns: text.Columns("KEY|STAGE|WHAT IS AWAITED|TLSA RECORD", "TLSA RECORD"), Cells: func(r *KeyRow) []any {
		return []any{r.Key, string(r.Stage), r.awaits(), r.Record}
	}}
}

// awaits says in words what a key waits for.
func (r *KeyRow) awaits() any {
	bad := func(s string) any { return text.Cell{Text: s, Tone: text.Bad} }
	switch {
	case !r.Here && r.Stage != keystage.Old:
		return bad("this machine lacks its file: copy it from the machine that has it")
	case r.Word == keystage.CurrentUnseen:
		return bad("its record is missing in DNS: publish it at once")
	case r.current && r.Wanted:
		return "the next key is to take over"
	case r.current && r.Seen.IsZero():
		return "its record is not in DNS: senders cannot use DANE"
	case r.Stage == keystage.Old:
		return "its record stays until no cache may want it"
	case r.Word == keystage.AwaitCaches && !r.Until.IsZero():
		return text.Cell{Text: "caches may lack its record until ", When: r.Until}
	case r.Word == keystage.AwaitLook && r.Detail != "":
		return bad("a look at all servers of the zone: " + r.Detail)
	}
	return awaited[r.Word]
}

var awaited = map[keystage.Word]string{
	keystage.NoNextKey:     "there is no next key: \"waxwing cert add\" makes one",
	keystage.AwaitPublish:  "its record is at no server of the zone: publish it when you like",
	keystage.AwaitServers:  "some servers of the zone do not have its record yet",
	keystage.AwaitCaches:   "caches may lack its record",
	keystage.AwaitLook:     "a fresh look at the zone's servers",
	keystage.AwaitOld:      "an older key's record must stay for now: one roll-over at a time",
	keystage.AwaitUse:      "nothing: \"waxwing cert roll\" has it take over",
	keystage.AwaitMachines: "another machine of this host lacks the key: copy its file there",
	keystage.Promote:       "its certificate: it takes over then",
}
