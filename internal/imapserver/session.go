package imapserver

import (
	"bufio"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"waxwing/imap"
	"waxwing/internal/imapserver/offer"
	"waxwing/internal/imapserver/selection"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/wire"
)

// How long a client may say nothing (RFC 9051 §5.4: 30 minutes at least once it has
// logged in).
const (
	loginTimeout = 2 * time.Minute
	autologout   = 31 * time.Minute
)

// ousted is what a client is told whose login would be refused now.
const ousted = "the account or its password has changed, log in again"

// session is the dialogue with one client. It belongs to one goroutine.
type session struct {
	srv     *Server
	conn    *wire.Conn
	br      *bufio.Reader
	r       *imap.Reader
	w       *imap.Writer
	account string    // that has logged in; ""
	off     offer.Off // capabilities that are neither announced nor served
	on      enabled
	box     *selection.Box // nil: none is selected
	words   words
	notify  *notify
	bell    *bell  // rings while news of the account are wanted; nil: not now
	over    string // why the connection ends; "" while it goes on
	deflate bool
	byUID   bool // the command at hand names messages by UID, and so do its answers
}

// enabled is what the client has switched on (RFC 5161), or by using it.
type enabled struct{ rev2, utf8, condstore, qresync, uidonly bool }

// words are the flags of messages as text, which thousands of messages share.
type words struct {
	keywords []string
	shown    map[mailbox.Flags]string
	known    mailbox.Flags // flags that have a word
}

func newSession(s *Server, c *wire.Conn) *session {
	t := &session{srv: s, conn: c, w: imap.NewWriter(c), off: s.Disable}
	t.readFrom(bufio.NewReader(c))
	return t
}

// readFrom has commands read from br.
func (s *session) readFrom(br *bufio.Reader) {
	s.br = br
	s.r = imap.NewReader(br, imap.Limits{}, func() error {
		s.w.Text("+ go ahead\r\n")
		return s.w.Flush()
	})
}

func (s *session) close() {
	s.deselect()
	s.silence()
	s.conn.End(s.over)
}

func (s *session) greet() {
	s.w.Status("*", "OK", "CAPABILITY "+s.capabilities(), s.srv.Hostname+" IMAP ready")
}

// bye says why the connection ends.
func (s *session) bye(why, code, text string) {
	if s.over == "" {
		s.over = why
		s.w.Status("*", "BYE", code, text)
	}
}

// serve runs the dialogue to its end.
func (s *session) serve(ctx context.Context) {
	for s.over == "" {
		if s.br.Buffered() == 0 && s.w.Flush() != nil {
			s.over = "lost"
			return
		}
		most := autologout
		if s.account == "" {
			most = loginTimeout
		}
		switch s.conn.Await(s.br, most) {
		case wire.Input:
			s.command(ctx)
		case wire.Rung:
			if s.notify != nil { // else it rang while IDLE ended, and between commands nothing is told (RFC 9051 §7.5.1)
				s.notified(ctx)
			}
		case wire.TimedOut:
			s.bye("timeout", "", "autologout: nothing was said for too long")
		case wire.Drained:
			s.bye("drain", "UNAVAILABLE", "the server is shutting down")
		case wire.Ousted:
			s.bye("ousted", "", ousted)
		case wire.Lost:
			s.over = "lost"
		}
	}
	_ = s.w.Flush()
}

// command reads a command, carries it out and answers it.
func (s *session) command(ctx context.Context) {
	c, err := s.r.ReadCommand()
	if err != nil {
		s.unreadable(ctx, err)
		return
	}
	a := s.run(ctx, &c)
	if a.condition == "" {
		return
	}
	s.w.Status(c.Tag, a.condition, a.code, a.text)
	if s.srv.Counted != nil {
		s.srv.Counted(c.Name, strings.ToLower(a.condition))
	}
	if a.condition == "BAD" {
		s.fault(ctx)
	}
}

// unreadable answers a command that could not be read.
func (s *session) unreadable(ctx context.Context, err error) {
	var syntax *imap.SyntaxError
	switch {
	case errors.As(err, &syntax):
		s.w.Status(syntax.Tag, "BAD", "", syntax.Text)
		s.fault(ctx)
	case errors.Is(err, imap.ErrLineTooLong), errors.Is(err, imap.ErrLiteralTooLong):
		s.bye("too-long", "TOOBIG", err.Error())
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.bye("timeout", "", "autologout: a command was not brought to its end")
	default:
		s.over = "lost"
	}
}

// fault counts a malformed command: many end the connection (IMP-3).
func (s *session) fault(ctx context.Context) {
	if s.w.Flush() != nil {
		s.over = "lost"
	} else if !s.conn.Fault(ctx) {
		s.bye("errors", "", "too many errors")
	}
}

// answer is the tagged response to a command. Without a condition nothing is said.
type answer struct{ condition, code, text string }

func ok(text string) answer       { return answer{"OK", "", text} }
func no(code, text string) answer { return answer{"NO", code, text} }
func bad(text string) answer      { return answer{"BAD", "", text} }

// done is what most commands are answered with.
func done(c *imap.Command) answer {
	if c.UID {
		return ok("UID " + c.Name + " completed")
	}
	return ok(c.Name + " completed")
}

// state is what a session must be in for a command.
type state int

const (
	anyState      state = iota
	notLoggedIn         // RFC 9051 §3.1
	authenticated       // or selected
	isSelected
)

// command is what is done for a verb.
type command struct {
	state state
	needs string // the capability that it belongs to; "": the base
	run   func(s *session, ctx context.Context, c *imap.Command) answer
	// quiet commands tell of no expunged messages, since the client goes by sequence
	// numbers (RFC 9051 §7.5.1).
	quiet bool
	// alone commands tell of nothing: they see to it themselves, or change the mailbox.
	alone bool
}

// verbs are the commands that are known.
var verbs = map[string]command{
	"CAPABILITY": {state: anyState, run: (*session).capability}, "NOOP": {state: anyState, run: (*session).noop},
	"LOGOUT": {state: anyState, run: (*session).logout, alone: true}, "ID": {state: anyState, needs: "ID", run: (*session).id},
	"STARTTLS": {state: notLoggedIn, run: (*session).starttls}, "LOGIN": {state: notLoggedIn, run: (*session).login},
	"AUTHENTICATE": {state: notLoggedIn, run: (*session).authenticate},
	"ENABLE":       {state: authenticated, needs: "ENABLE", run: (*session).enable},
	"SELECT":       {state: authenticated, run: (*session).selectBox, alone: true}, "EXAMINE": {state: authenticated, run: (*session).selectBox, alone: true},
	"CREATE": {state: authenticated, run: (*session).create}, "DELETE": {state: authenticated, run: (*session).delete},
	"RENAME": {state: authenticated, run: (*session).rename}, "SUBSCRIBE": {state: authenticated, run: (*session).subscribe},
	"UNSUBSCRIBE": {state: authenticated, run: (*session).subscribe}, "LIST": {state: authenticated, run: (*session).list},
	"LSUB": {state: authenticated, run: (*session).lsub}, "STATUS": {state: authenticated, run: (*session).status},
	"NAMESPACE": {state: authenticated, needs: "NAMESPACE", run: (*session).namespace},
	"APPEND":    {state: authenticated, run: (*session).append}, "IDLE": {state: authenticated, needs: "IDLE", run: (*session).idle},
	"CHECK": {state: isSelected, run: (*session).noop}, "CLOSE": {state: isSelected, run: (*session).closeBox, alone: true},
	"UNSELECT": {state: isSelected, needs: "UNSELECT", run: (*session).closeBox, alone: true}, "EXPUNGE": {state: isSelected, run: (*session).expunge, alone: true},
	"SEARCH": {state: isSelected, run: (*session).search, quiet: true}, "FETCH": {state: isSelected, run: (*session).fetch, quiet: true},
	"STORE": {state: isSelected, run: (*session).store, alone: true}, "COPY": {state: isSelected, run: (*session).copy},
	"MOVE": {state: isSelected, needs: "MOVE", run: (*session).copy},
	"SORT": {state: isSelected, needs: "SORT", run: (*session).sort, quiet: true}, "THREAD": {state: isSelected, needs: "THREAD", run: (*session).thread, quiet: true},
	"GENURLAUTH": {state: authenticated, needs: "URLAUTH", run: (*session).genURLAuth}, "URLFETCH": {state: authenticated, needs: "URLAUTH", run: (*session).urlFetch},
	"RESETKEY":     {state: authenticated, needs: "URLAUTH", run: (*session).resetKey},
	"CANCELUPDATE": {state: isSelected, needs: "CONTEXT", run: (*session).cancelUpdate},
	"REPLACE":      {state: isSelected, needs: "REPLACE", run: (*session).replace},
	"COMPRESS":     {state: authenticated, needs: "COMPRESS=DEFLATE", run: (*session).compress, alone: true},
	"GETQUOTA":     {state: authenticated, needs: "QUOTA", run: (*session).getQuota}, "GETQUOTAROOT": {state: authenticated, needs: "QUOTA", run: (*session).getQuotaRoot},
	"SETQUOTA":    {state: authenticated, needs: "QUOTA", run: (*session).setQuota},
	"GETMETADATA": {state: authenticated, needs: "METADATA", run: (*session).getMetadata}, "SETMETADATA": {state: authenticated, needs: "METADATA", run: (*session).setMetadata},
	"NOTIFY": {state: authenticated, needs: "NOTIFY", run: (*session).setNotify},
}

// run carries a command out, and tells what has happened in the mailbox meanwhile.
func (s *session) run(ctx context.Context, c *imap.Command) answer {
	v, known := verbs[c.Name]
	if !known || v.needs != "" && s.disabled(v.needs) {
		s.refuseMessages(c)
		return bad(c.Name + " is not served here")
	}
	if why := s.outOfState(v.state); why != "" {
		s.refuseMessages(c)
		return bad(c.Name + " " + why)
	}
	if s.on.uidonly && bySequence(c) {
		s.refuseMessages(c)
		return answer{"BAD", "UIDREQUIRED", "sequence numbers are out of use since UIDONLY was enabled"}
	}
	s.byUID = c.UID
	defer func() { s.byUID = false }()
	a := v.run(s, ctx, c)
	if s.box != nil && !v.alone && a.condition != "" {
		s.report(ctx, !v.quiet || c.UID || s.on.uidonly)
	}
	return a
}

func (s *session) outOfState(need state) string {
	switch {
	case need == notLoggedIn && s.account != "":
		return "is not allowed after a login"
	case need >= authenticated && s.account == "":
		return "needs a login first"
	case need == isSelected && s.box == nil:
		return "needs a selected mailbox"
	}
	return ""
}

// bySequence reports a command that names messages by sequence numbers (RFC 9586 §3).
func bySequence(c *imap.Command) bool {
	if c.UID {
		return false
	}
	return slices.Contains([]string{"FETCH", "STORE", "COPY", "MOVE", "SEARCH", "SORT", "THREAD", "REPLACE"}, c.Name)
}

// refuseMessages takes in what belongs to a command that is refused.
func (s *session) refuseMessages(c *imap.Command) {
	if c.Name != "APPEND" && c.Name != "REPLACE" {
		return
	}
	m, err := s.r.NextMessage()
	if err == nil {
		err = s.r.Refuse(m, maxRefused)
	}
	if err != nil && !errors.As(err, new(*imap.SyntaxError)) {
		s.over = "lost"
	}
}

// failed is the answer to what the store would not do.
func (s *session) failed(err error) answer {
	var name *mailbox.NameError
	switch {
	case errors.Is(err, mailboxes.ErrNoSuchMailbox):
		return no("NONEXISTENT", "there is no such mailbox")
	case errors.Is(err, mailboxes.ErrMailboxExists):
		return no("ALREADYEXISTS", "there is such a mailbox already")
	case errors.Is(err, mailboxes.ErrOverQuota):
		return s.limited("quota", "OVERQUOTA", "the account is over its quota")
	case errors.Is(err, mailboxes.ErrTooManyKeywords):
		return s.limited("keywords", "LIMIT", mailboxes.ErrTooManyKeywords.Error())
	case errors.Is(err, mailboxes.ErrInbox):
		return no("CANNOT", mailboxes.ErrInbox.Error())
	case errors.As(err, &name):
		return no("CANNOT", name.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return s.limited("search-time", "LIMIT", "it took too long")
	case mailboxes.IsRefusal(err):
		return s.limited("mailboxes", "LIMIT", err.Error())
	}
	if s.w.Err() == nil {
		s.conn.Log().Error("an IMAP command failed", "account", s.account, "error", err)
	}
	return no("UNAVAILABLE", "local error, try again later")
}

// limited is the answer to what is more than a client may do, which is counted (IMP-5).
func (s *session) limited(limit, code, text string) answer {
	s.conn.Limited(limit)
	return no(code, text)
}

// mailboxName is a name as the client has written it, in UTF-8.
func (s *session) mailboxName(name string) string {
	if s.on.rev2 || s.on.utf8 {
		return name
	}
	if decoded, ok := imap.DecodeUTF7(name); ok {
		return decoded
	}
	return name // clients that take UTF-8 for granted
}

// writeName writes a mailbox's name as the client reads it.
func (s *session) writeName(name string) {
	if !s.on.rev2 && !s.on.utf8 {
		name = imap.EncodeUTF7(name)
	}
	s.w.String(name)
}

// flagText is the flags of a message, in parentheses.
func (s *session) flagText(ctx context.Context, f mailbox.Flags) string {
	if text, ok := s.words.shown[f]; ok {
		return text
	}
	if f&^s.words.known != 0 {
		s.loadWords(ctx)
	}
	if s.words.shown == nil || len(s.words.shown) > 500 {
		s.words.shown = map[mailbox.Flags]string{}
	}
	text := "(" + strings.Join(f.Words(s.words.keywords), " ") + ")"
	s.words.shown[f] = text
	return text
}

// loadWords asks for the keywords of the account.
func (s *session) loadWords(ctx context.Context) {
	k, err := s.srv.Boxes.Keywords(ctx, s.account)
	if err != nil {
		s.conn.Log().Error("keywords were not read", "account", s.account, "error", err)
		return
	}
	s.words = words{keywords: k, known: mailbox.Keyword(len(k)) - 1}
}
