package sending

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/jmapserver/call"
	"waxwing/internal/jmapserver/finding"
	"waxwing/internal/spool"
	"waxwing/internal/store"
	"waxwing/jmap"
)

// kind begins the ids of submissions.
const kind = 'S'

// submission is what was handed in.
type submission struct {
	id, mail, thread, message int64
	identity                  string
	envelope                  json.RawMessage
	sendAt                    time.Time
	canceled                  bool
	made, changed             uint64
	gone                      bool
}

const columns = `SELECT id, identity, mail, thread, message, envelope, send_at, canceled, made, changed, gone FROM jmap_submissions`

func scan(r store.Row) (s submission, err error) {
	var envelope string
	var at, gone int64
	err = r.Scan(&s.id, &s.identity, &s.mail, &s.thread, &s.message, &envelope, &at, &s.canceled, &s.made, &s.changed, &gone)
	s.envelope, s.sendAt, s.gone = json.RawMessage(envelope), store.FromTime(at), gone != 0
	return s, err
}

// maxSubmissions is how many are looked through: the newest.
const maxSubmissions = 10_000

// submissions are those of an account, with the state.
func (r *Room) submissions(c *call.Call) (state string, all map[jmap.ID]*submission, err error) {
	all = map[jmap.ID]*submission{}
	err = r.DB.Read(c.Ctx, func(tx *store.Tx) error {
		n, err := changes(tx, c.Name)
		if err != nil {
			return err
		}
		state = strconv.FormatInt(n, 36)
		rows, err := store.Collect(tx, scan, columns+` WHERE account = ? AND gone = 0 ORDER BY changed DESC LIMIT ?`, c.Name, int64(maxSubmissions))
		for i := range rows {
			all[call.ID(kind, rows[i].id)] = &rows[i]
		}
		return err
	})
	return state, all, err
}

// undoStatus is whether it can still be taken back (RFC 8621 §7).
func (r *Room) undoStatus(s *submission) string {
	switch {
	case s.canceled:
		return "canceled"
	case r.Now().Before(s.sendAt):
		return "pending"
	}
	return "final"
}

var submissionNames = []string{"id", "identityId", "emailId", "threadId", "envelope", "sendAt", "undoStatus", "deliveryStatus", "dsnBlobIds", "mdnBlobIds"}

func (r *Room) shown(c *call.Call, id jmap.ID, s *submission) map[string]any {
	return map[string]any{"id": id, "identityId": s.identity, "emailId": call.ID('E', s.mail), "threadId": call.ID('T', s.thread), "envelope": s.envelope,
		"sendAt": jmap.UTCDate{Time: s.sendAt.Truncate(time.Second)}, "undoStatus": r.undoStatus(s), "deliveryStatus": r.deliveries(c, s), "dsnBlobIds": []string{}, "mdnBlobIds": []string{}}
}

// deliveries is what has become of each recipient (RFC 8621 §7); nil: it is not known any more.
func (r *Room) deliveries(c *call.Call, s *submission) map[string]any {
	shown, err := spool.Show(c.Ctx, r.DB, s.message)
	if err != nil {
		return nil
	}
	out := map[string]any{}
	for _, i := range shown.Recipients {
		delivered := map[spool.State]string{spool.Delivered: "yes", spool.Failed: "no"}[i.State]
		if delivered == "" {
			delivered = "queued"
		}
		reply := i.Reply
		if reply == "" {
			reply = map[string]string{"yes": "250 2.0.0 delivered", "no": "550 5.0.0 not delivered", "queued": "250 2.0.0 queued"}[delivered]
		}
		out[i.Address] = map[string]string{"smtpReply": strings.ToValidUTF8(reply, "?"), "delivered": delivered, "displayed": "unknown"}
	}
	return out
}

// submissionGet is EmailSubmission/get (RFC 8621 §7.1).
func (r *Room) submissionGet(c *call.Call, args call.Args) (any, *jmap.Error) {
	var g call.Get
	if err := args.Decode(&g); err != nil {
		return nil, err
	}
	state, all, err := r.submissions(c)
	if err != nil {
		return nil, c.Failed(err)
	}
	out, fault := call.Pick(c, &g, state, all, call.Shape[*submission]{Names: submissionNames, Of: func(id jmap.ID, s *submission) map[string]any { return r.shown(c, id, s) }})
	if fault != nil {
		return nil, fault
	}
	return out, nil
}

// submissionChanges is EmailSubmission/changes (RFC 8621 §7.2).
func (r *Room) submissionChanges(c *call.Call, args call.Args) (any, *jmap.Error) {
	var a call.Changes
	if err := args.Decode(&a); err != nil {
		return nil, err
	}
	most, fault := a.Max()
	if fault != nil {
		return nil, fault
	}
	since, err := finding.ParseState(a.SinceState)
	if err != nil {
		return nil, jmap.Errorf(jmap.CannotCalculateChanges, "%v", err)
	}
	var told finding.Changes
	err = r.DB.Read(c.Ctx, func(tx *store.Tx) error {
		now, err := changes(tx, c.Name)
		if err != nil {
			return err
		}
		var pruned uint64
		if err := tx.Row(`SELECT coalesce(max(pruned), 0) FROM jmap_sending WHERE account = ?`, c.Name).Scan(&pruned); err != nil {
			return err
		}
		if since.ModSeq > uint64(now) || since.ModSeq < pruned {
			return jmap.Errorf(jmap.CannotCalculateChanges, "there has been no such state, or it is forgotten what has changed since then")
		}
		rows, err := store.Collect(tx, scan, columns+` WHERE account = ? AND changed >= ? ORDER BY changed`, c.Name, int64(since.ModSeq))
		var list []finding.Change
		for _, s := range rows {
			list = append(list, finding.Change{ModSeq: s.changed, Created: s.made, ID: s.id, Gone: s.gone})
		}
		told = finding.Tell(list, since, uint64(now), most)
		return err
	})
	if err != nil {
		return nil, c.Failed(err)
	}
	return &call.Changed{AccountID: c.ID, OldState: a.SinceState, NewState: told.State.String(), More: told.More, Created: idsOf(told.Created), Updated: idsOf(told.Updated), Destroyed: idsOf(told.Destroyed)}, nil
}

func idsOf(all []int64) []jmap.ID {
	out := make([]jmap.ID, len(all))
	for i, n := range all {
		out[i] = call.ID(kind, n)
	}
	return out
}

// submissionQuery is EmailSubmission/query (RFC 8621 §7.3).
func (r *Room) submissionQuery(c *call.Call, args call.Args) (any, *jmap.Error) {
	var q call.Query
	if err := args.Decode(&q); err != nil {
		return nil, err
	}
	f, err := jmap.ParseFilter(q.Filter)
	var by []jmap.Comparator
	if err == nil {
		by, err = jmap.ParseSort(q.Sort)
	}
	if err != nil {
		return nil, jmap.Errorf(jmap.InvalidArguments, "%v", err)
	}
	state, all, err := r.submissions(c)
	if err != nil {
		return nil, c.Failed(err)
	}
	list := make([]*submission, 0, len(all))
	for _, s := range all {
		ok, fault := r.matches(s, f)
		if fault != nil {
			return nil, fault
		}
		if ok {
			list = append(list, s)
		}
	}
	if _, fault := r.matches(&submission{}, f); fault != nil {
		return nil, fault
	}
	if fault := sortSubmissions(list, by); fault != nil {
		return nil, fault
	}
	ids := make([]jmap.ID, len(list))
	for i, s := range list {
		ids[i] = call.ID(kind, s.id)
	}
	out, fault := q.Answer(c, state, ids)
	if fault != nil {
		return nil, fault
	}
	out.CanCalculate = false
	return out, nil
}

// submissionQueryChanges is EmailSubmission/queryChanges (RFC 8621 §7.4): the query says that it cannot be asked.
func (r *Room) submissionQueryChanges(_ *call.Call, args call.Args) (any, *jmap.Error) {
	var q call.QueryChanges
	if err := args.Decode(&q); err != nil {
		return nil, err
	}
	return nil, jmap.Errorf(jmap.CannotCalculateChanges, "ask the query again")
}

// matches tells whether a submission is found. The error is UnsupportedFilter or InvalidArguments.
func (r *Room) matches(s *submission, f *jmap.Filter) (bool, *jmap.Error) {
	var fault *jmap.Error
	found := f.Find(func(c *jmap.Filter) jmap.Finding {
		for name, raw := range c.Condition {
			ok, err := r.test(s, name, raw)
			if err != nil {
				fault = err
			}
			if !ok {
				return jmap.No
			}
		}
		return jmap.Yes
	})
	return found == jmap.Yes, fault
}

func (r *Room) test(s *submission, name string, raw json.RawMessage) (bool, *jmap.Error) {
	is := map[string]jmap.ID{"identityIds": jmap.ID(s.identity), "emailIds": call.ID('E', s.mail), "threadIds": call.ID('T', s.thread)}
	var ids []jmap.ID
	var text string
	var at jmap.UTCDate
	var err error
	ok := false
	switch name {
	case "identityIds", "emailIds", "threadIds":
		err = json.Unmarshal(raw, &ids)
		ok = slices.Contains(ids, is[name])
	case "undoStatus":
		err = json.Unmarshal(raw, &text)
		ok = r.undoStatus(s) == text
	case "before", "after":
		err = json.Unmarshal(raw, &at)
		ok = s.sendAt.Before(at.Time) == (name == "before")
	default:
		return false, jmap.Errorf(jmap.UnsupportedFilter, "there is no condition %.100q", name)
	}
	if err != nil {
		return false, jmap.Errorf(jmap.InvalidArguments, "filter: %s has a wrong type", name)
	}
	return ok, nil
}

func sortSubmissions(list []*submission, by []jmap.Comparator) *jmap.Error {
	for _, c := range by {
		if c.Property != "emailId" && c.Property != "threadId" && c.Property != "sentAt" && c.Property != "sendAt" {
			return jmap.Errorf(jmap.UnsupportedSort, "submissions cannot be sorted by %.100q", c.Property)
		}
	}
	slices.SortFunc(list, func(a, b *submission) int {
		for _, c := range by {
			n := 0
			switch c.Property {
			case "emailId":
				n = int(min(max(a.mail-b.mail, -1), 1))
			case "threadId":
				n = int(min(max(a.thread-b.thread, -1), 1))
			default:
				n = a.sendAt.Compare(b.sendAt)
			}
			if c.Descending {
				n = -n
			}
			if n != 0 {
				return n
			}
		}
		return int(min(max(b.id-a.id, -1), 1)) // the newest first
	})
	return nil
}

// cancel takes a message back that is not sent yet.
func (r *Room) cancel(c *call.Call, s *submission, patch jmap.Patch) error {
	if s == nil {
		return jmap.SetErrorf(jmap.NotFound, nil, "there is no such submission")
	}
	steps, fault := patch.Steps()
	if fault != nil {
		return fault
	}
	var to string
	for _, step := range steps {
		if name := step.Path[0]; name != "undoStatus" || len(step.Path) > 1 {
			return jmap.SetErrorf(jmap.InvalidProperties, []string{name}, "of a submission, undoStatus can be changed")
		}
		if json.Unmarshal(step.Value, &to) != nil || to != "canceled" {
			return jmap.SetErrorf(jmap.InvalidProperties, []string{"undoStatus"}, "it can become canceled")
		}
	}
	if to == "" || s.canceled {
		return nil
	}
	if r.undoStatus(s) != "pending" {
		return jmap.SetErrorf(jmap.CannotUnsend, nil, "the message is on its way")
	}
	changed, err := r.Queue.Drop(c.Ctx, spool.Filter{Message: s.message})
	switch {
	case err != nil:
		return err
	case changed.Done == 0 || changed.Busy > 0:
		return jmap.SetErrorf(jmap.CannotUnsend, nil, "the message is on its way")
	}
	return r.DB.Write(c.Ctx, func(tx *store.Tx) error {
		n, err := r.turn(tx, c.Name)
		if err == nil {
			_, err = tx.Exec(`UPDATE jmap_submissions SET canceled = 1, changed = ? WHERE id = ?`, n, s.id)
		}
		return err
	})
}

// destroy forgets a submission; the message goes its way.
func (r *Room) destroy(c *call.Call, s *submission) error {
	if s == nil {
		return jmap.SetErrorf(jmap.NotFound, nil, "there is no such submission")
	}
	return r.DB.Write(c.Ctx, func(tx *store.Tx) error {
		n, err := r.turn(tx, c.Name)
		if err == nil {
			_, err = tx.Exec(`UPDATE jmap_submissions SET gone = ?, changed = ? WHERE id = ?`, store.Time(r.Now()), n, s.id)
		}
		return err
	})
}

var errNoMail = errors.New("there is no such mail")

// mailOf is a mail with its octets.
func (r *Room) mailOf(c *call.Call, id jmap.ID) (content delivery.Content, mail, thread int64, err error) {
	rest, ok := strings.CutPrefix(string(id), "E")
	n, perr := strconv.ParseInt(rest, 36, 64)
	if !ok || perr != nil {
		return nil, 0, 0, errNoMail
	}
	content, m, err := r.Boxes.Content(c.Ctx, n)
	if err == nil && m.Account != c.Name {
		err = errNoMail
	}
	if err != nil {
		return nil, 0, 0, fmt.Errorf("%w: %w", errNoMail, err)
	}
	return content, m.ID, m.Thread, nil
}

// SentAs is the message in the queue that a submission was, or a mail of the account as it was sent last; 0: it is not known. A mail that
// another program has put into a mailbox is known by its Message-ID.
func (r *Room) SentAs(ctx context.Context, account string, id jmap.ID) (int64, error) {
	column, n := "id", int64(0)
	var ok bool
	if n, ok = call.Number(call.EmailKind, id); ok {
		column = "mail"
	} else if rest, is := strings.CutPrefix(string(id), string(kind)); is {
		var err error
		if n, err = strconv.ParseInt(rest, 36, 64); err != nil {
			return 0, nil
		}
	}
	all, err := store.List(ctx, r.DB, store.Value[int64], `SELECT message FROM jmap_submissions WHERE account = ? AND `+column+` = ? ORDER BY id DESC LIMIT 1`, account, n)
	if err != nil || len(all) > 0 || !ok {
		return first(all), err
	}
	places, err := r.Boxes.Find(ctx, n)
	if err != nil || len(places) == 0 || places[0].Account != account || places[0].MessageID == "" {
		return 0, err
	}
	all, err = spool.ByMessageID(ctx, r.DB, places[0].MessageID, 1)
	return first(all), err
}

func first(all []int64) int64 {
	if len(all) == 0 {
		return 0
	}
	return all[0]
}
