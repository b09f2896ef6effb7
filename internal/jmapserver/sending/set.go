package sending

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/jmapserver/call"
	"waxwing/internal/receive"
	"waxwing/internal/store"
	"waxwing/jmap"
	"waxwing/message"
	"waxwing/smtp"
)

// submissionSet is EmailSubmission/set (RFC 8621 §7.5).
func (r *Room) submissionSet(c *call.Call, args call.Args) (any, *jmap.Error) {
	var a struct {
		call.Set
		Update_  map[jmap.ID]jmap.Patch `json:"onSuccessUpdateEmail"`
		Destroy_ []jmap.ID              `json:"onSuccessDestroyEmail"`
	}
	if err := args.Decode(&a); err != nil {
		return nil, err
	}
	state, all, err := r.submissions(c)
	if err != nil {
		return nil, c.Failed(err)
	}
	if fault := a.Check(c, state); fault != nil {
		return nil, fault
	}
	done := &call.Done{AccountID: c.ID, OldState: state}
	emails := map[jmap.ID]jmap.ID{} // of what has succeeded: by creation id with "#", and by id
	for _, id := range slices.Sorted(maps.Keys(a.Create)) {
		record, email, err := r.create(c, a.Create[id])
		if err != nil {
			call.Refuse(&done.NotCreated, id, c.SetFailed(err))
			continue
		}
		done.Create(c, id, record["id"].(jmap.ID), record)
		emails["#"+id] = email
	}
	if len(done.Created) > 0 { // which may be named by what follows
		if _, all, err = r.submissions(c); err != nil {
			return nil, done.Failed(c, err)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(a.Update)) {
		to, _ := c.Resolve(id)
		if err := r.cancel(c, all[to], a.Update[id]); err != nil {
			call.Refuse(&done.NotUpdated, id, c.SetFailed(err))
			continue
		}
		done.Update(id, nil)
		emails[id] = call.ID('E', all[to].mail)
	}
	for _, id := range call.Once(a.Destroy) {
		to, _ := c.Resolve(id)
		if err := r.destroy(c, all[to]); err != nil {
			call.Refuse(&done.NotDestroyed, id, c.SetFailed(err))
			continue
		}
		done.Destroyed = append(done.Destroyed, to)
		emails[id] = call.ID('E', all[to].mail)
	}
	if done.NewState, err = r.state(c); err != nil {
		return nil, done.Failed(c, err)
	}
	c.Also = append(c.Also, onSuccess(emails, a.Update_, a.Destroy_)...)
	return done, nil
}

// onSuccess is what is to become of the mails of what has succeeded.
func onSuccess(emails map[jmap.ID]jmap.ID, update map[jmap.ID]jmap.Patch, destroy []jmap.ID) []call.Implicit {
	args := map[string]any{}
	updates := map[jmap.ID]jmap.Patch{}
	for id, p := range update {
		if email, ok := emails[id]; ok {
			updates[email] = p
		}
	}
	var doomed []jmap.ID
	for _, id := range destroy {
		if email, ok := emails[id]; ok {
			doomed = append(doomed, email)
		}
	}
	if len(updates) > 0 {
		args["update"] = updates
	}
	if len(doomed) > 0 {
		args["destroy"] = doomed
	}
	if len(args) == 0 {
		return nil
	}
	return []call.Implicit{{Name: "Email/set", Args: args}}
}

// envelopeAddress is an address of an envelope (RFC 8621 §7).
type envelopeAddress struct {
	Email      string             `json:"email"`
	Parameters map[string]*string `json:"parameters"`
}

// envelope is who sends, and who gets it.
type envelope struct {
	From envelopeAddress   `json:"mailFrom"`
	To   []envelopeAddress `json:"rcptTo"`
}

// wanted is a submission that is to be made. RequireTLS and TLSOptional are our own (JMP-2, RFC 8689).
type wanted struct {
	Identity    jmap.ID   `json:"identityId"`
	Email       jmap.ID   `json:"emailId"`
	Envelope    *envelope `json:"envelope"`
	RequireTLS  bool      `json:"requireTls"`
	TLSOptional bool      `json:"tlsOptional"`
}

// create hands a mail in, and returns the submission with the id of the mail.
func (r *Room) create(c *call.Call, raw json.RawMessage) (map[string]any, jmap.ID, error) {
	var w wanted
	if fault := call.Record(raw, &w); fault != nil {
		return nil, "", fault
	}
	may, err := r.Accounts.Access(c.Ctx, c.Name)
	if err != nil {
		return nil, "", err
	}
	if word := may.MaySend(true); word != "" {
		return nil, "", jmap.SetErrorf(jmap.ForbiddenToSend, nil, "your account sends no mail (%s)", word)
	}
	identities, err := r.identities(c)
	if err != nil {
		return nil, "", err
	}
	as, _ := c.Resolve(w.Identity)
	if identities[as] == nil {
		return nil, "", jmap.SetErrorf(jmap.InvalidProperties, []string{"identityId"}, "there is no such identity")
	}
	email, _ := c.Resolve(w.Email)
	content, mail, thread, err := r.mailOf(c, email)
	if errors.Is(err, errNoMail) {
		err = jmap.SetErrorf(jmap.InvalidProperties, []string{"emailId"}, "there is no such mail")
	}
	if err != nil {
		return nil, "", err
	}
	if content.Size() > r.MaxSize {
		s := jmap.SetErrorf(jmap.TooLarge, nil, "%d octets are sent", r.MaxSize)
		s.More = map[string]any{"maxSize": r.MaxSize}
		return nil, "", s
	}
	env := w.Envelope
	if env == nil {
		if env, err = fromHeader(content); err != nil {
			return nil, "", err
		}
		if own := identities[as].email; !strings.EqualFold(env.From.Email, own) { // RFC 8621 §7: the identity does not allow it
			env.From.Email = own
		}
	}
	out := receive.Handed{Caller: receive.Caller{Account: c.Name, Name: "jmap", Remote: c.Remote, TLS: c.TLS}}
	if fault := r.envelope(env, &w, &out); fault != nil {
		return nil, "", fault
	}
	s := &submission{id: store.NewID(), mail: mail, thread: thread, identity: string(as), sendAt: r.Now()}
	if out.Mail.HoldFor > 0 {
		s.sendAt = s.sendAt.Add(out.Mail.HoldFor)
	} else if !out.Mail.HoldUntil.IsZero() {
		s.sendAt = out.Mail.HoldUntil
	}
	if s.envelope, err = json.Marshal(env); err != nil {
		return nil, "", err
	}
	if err := r.hand(c, s, out, handed{content, w.TLSOptional}); err != nil {
		return nil, "", err
	}
	id := call.ID(kind, s.id)
	return map[string]any{"id": id, "threadId": call.ID('T', thread), "envelope": env, "sendAt": jmap.UTCDate{Time: s.sendAt.Truncate(time.Second)}, "undoStatus": r.undoStatus(s)}, call.ID('E', mail), nil
}

// handed is the message.
type handed struct {
	content     delivery.Content
	tlsOptional bool
}

// hand gives a message to the door; it is queued together with what is noted of it.
func (r *Room) hand(c *call.Call, s *submission, out receive.Handed, m handed) error {
	body, err := m.content.Open()
	if err != nil {
		return err
	}
	defer body.Close()
	out.Data = body
	if m.tlsOptional {
		out.Data = io.MultiReader(strings.NewReader("TLS-Required: No\r\n"), body) // RFC 8689 §5
	}
	out.Queue = &enqueuer{r, c.Name, s}
	err = r.Door.Hand(c.Ctx, out)
	var refused receive.RefusedRecipients
	var reply *smtp.Reply
	switch {
	case errors.As(err, &refused) && refused[0].Reply.Code/100 == 4:
		return refusedBy(refused[0].Reply)
	case errors.As(err, &refused):
		f := jmap.SetErrorf(jmap.InvalidRecipients, nil, "%s", refused[0].Reply.Text())
		var all []string
		for _, one := range refused {
			all = append(all, one.Address)
		}
		f.More = map[string]any{"invalidRecipients": all}
		return f
	case errors.As(err, &reply) && reply.Cause == nil:
		return refusedBy(reply)
	}
	return err
}

// refusedBy is what a reply of the door means.
func refusedBy(reply *smtp.Reply) *jmap.SetError {
	text := strings.Join(reply.Lines, " ")
	switch {
	case reply.Code == 450: // beyond the account's allowance
		return jmap.SetErrorf(jmap.RateLimit, nil, "%s", text)
	case reply.Code == 553:
		return jmap.SetErrorf(jmap.ForbiddenMailFrom, nil, "%s", text)
	case reply.Code == 552:
		return jmap.SetErrorf(jmap.TooLarge, nil, "%s", text)
	case reply.Enhanced.Subject == 7 && reply.Enhanced.Detail == 1:
		return jmap.SetErrorf(jmap.ForbiddenFrom, nil, "%s", text)
	case reply.Enhanced.Subject == 6:
		return jmap.SetErrorf(jmap.InvalidEmail, nil, "%s", text)
	}
	return jmap.SetErrorf(jmap.ForbiddenToSend, nil, "%s", text)
}

// enqueuer queues a message with the note of its submission, so that there is never one without the other.
type enqueuer struct {
	*Room
	account string
	s       *submission
}

func (e *enqueuer) Enqueue(ctx context.Context, env *delivery.Envelope, c delivery.Content) error {
	c, err := e.Queue.Prepare(ctx, env, c)
	if err != nil {
		return err
	}
	err = e.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := e.turn(tx, e.account)
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO jmap_submissions (id, account, identity, mail, thread, message, envelope, send_at, made, changed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			e.s.id, e.account, e.s.identity, e.s.mail, e.s.thread, env.ID, string(e.s.envelope), store.Time(e.s.sendAt), n, n)
		if err != nil {
			return err
		}
		return e.Queue.EnqueueTx(tx, env, c)
	})
	if err == nil {
		e.Queue.Wake()
	}
	return err
}

// fromHeader is the envelope that a message's header names (RFC 8621 §7.5).
func fromHeader(c delivery.Content) (*envelope, error) {
	body, err := c.Open()
	if err != nil {
		return nil, err
	}
	defer body.Close()
	h, err := message.ReadHeader(bufio.NewReader(body), message.MaxHeader)
	if err != nil {
		return nil, jmap.SetErrorf(jmap.InvalidEmail, nil, "the header of the mail cannot be read: %v", err)
	}
	env := &envelope{}
	from := last(h.All("Sender"))
	if from == "" {
		from = last(h.All("From"))
	}
	if list, err := message.ParseAddressList(from); err == nil && len(list) > 0 {
		env.From.Email = list[0].Addr()
	}
	seen := map[string]bool{}
	for _, name := range []string{"To", "Cc", "Bcc"} {
		for _, v := range h.All(name) {
			list, err := message.ParseAddressList(v)
			if err != nil {
				return nil, jmap.SetErrorf(jmap.InvalidEmail, []string{strings.ToLower(name)}, "%s cannot be read: %v", name, err)
			}
			for _, a := range list {
				if !seen[a.Addr()] {
					seen[a.Addr()] = true
					env.To = append(env.To, envelopeAddress{Email: a.Addr()})
				}
			}
		}
	}
	return env, nil
}

func last(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// envelope reads MAIL and RCPT.
func (r *Room) envelope(env *envelope, w *wanted, out *receive.Handed) *jmap.SetError {
	switch n := len(env.To); {
	case n == 0:
		return jmap.SetErrorf(jmap.NoRecipients, nil, "the message has no recipient")
	case n > r.Recipients:
		f := jmap.SetErrorf(jmap.TooManyRecipients, nil, "the message has %d recipients, %d are allowed", n, r.Recipients)
		f.More = map[string]any{"maxRecipients": r.Recipients}
		return f
	}
	from, err := smtp.ParseAddress(env.From.Email, true)
	if err != nil {
		return jmap.SetErrorf(jmap.InvalidProperties, []string{"envelope"}, "mailFrom: %v", err)
	}
	out.Mail.From, out.Mail.SMTPUTF8, out.Mail.RequireTLS = from, !from.ASCII(), w.RequireTLS
	if fault := r.mailParameters(env.From.Parameters, &out.Mail); fault != nil {
		return fault
	}
	var bad []string
	for _, a := range env.To {
		to, err := smtp.ParseAddress(a.Email, true)
		if err != nil {
			bad = append(bad, a.Email)
			continue
		}
		p := smtp.RcptParams{To: to}
		for name, v := range a.Parameters {
			if !strings.EqualFold(name, "NOTIFY") || v == nil {
				return jmap.SetErrorf(jmap.InvalidProperties, []string{"envelope"}, "RCPT has no parameter %.100q here", name)
			}
			p.Notify = strings.Split(strings.ToUpper(*v), ",")
		}
		out.Mail.SMTPUTF8 = out.Mail.SMTPUTF8 || !to.ASCII()
		out.Rcpts = append(out.Rcpts, p)
	}
	if len(bad) > 0 {
		f := jmap.SetErrorf(jmap.InvalidRecipients, nil, "what is no address cannot be written to")
		f.More = map[string]any{"invalidRecipients": bad}
		return f
	}
	return notifyFault(out.Rcpts)
}

func notifyFault(all []smtp.RcptParams) *jmap.SetError {
	for _, p := range all {
		for _, n := range p.Notify {
			if !slices.Contains([]string{"NEVER", "SUCCESS", "FAILURE", "DELAY"}, n) || n == "NEVER" && len(p.Notify) > 1 {
				return jmap.SetErrorf(jmap.InvalidProperties, []string{"envelope"}, "NOTIFY is NEVER, or of SUCCESS, FAILURE and DELAY")
			}
		}
	}
	return nil
}

// mailParameters reads those of MAIL: future release (RFC 4865), REQUIRETLS (RFC 8689) and DSN (RFC 3461).
func (r *Room) mailParameters(all map[string]*string, m *smtp.MailParams) *jmap.SetError {
	fault := func(name string) *jmap.SetError {
		return jmap.SetErrorf(jmap.InvalidProperties, []string{"envelope"}, "the parameter %.100q of MAIL is unknown, or its value is", name)
	}
	for name, p := range all {
		v := ""
		if p != nil {
			v = *p
		}
		switch strings.ToUpper(name) {
		case "HOLDFOR":
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil || n < 0 || n > int64(r.MaxHold/time.Second) || m.Hold != "" {
				return fault(name)
			}
			m.HoldFor, m.Hold = time.Duration(n)*time.Second, "for;"+v
		case "HOLDUNTIL":
			t, err := time.Parse(time.RFC3339, v)
			if err != nil || t.After(r.Now().Add(r.MaxHold)) || m.Hold != "" {
				return fault(name)
			}
			m.HoldUntil, m.Hold = t.UTC(), "until;"+t.UTC().Format(time.RFC3339)
		case "REQUIRETLS":
			m.RequireTLS = true
		case "RET":
			if m.Ret = strings.ToUpper(v); m.Ret != "HDRS" && m.Ret != "FULL" {
				return fault(name)
			}
		case "ENVID":
			if m.EnvID = v; len(v) > 100 || strings.ContainsFunc(v, func(c rune) bool { return c < ' ' || c >= 0x7f }) {
				return fault(name)
			}
		case "SIZE", "BODY", "SMTPUTF8": // found out from the message
		default:
			return fault(name)
		}
	}
	return nil
}
