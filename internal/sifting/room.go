package sifting

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"waxwing/dns"
	"waxwing/internal/accounts"
	"waxwing/internal/allowance"
	"waxwing/internal/delivery"
	"waxwing/internal/guard"
	"waxwing/internal/junk"
	"waxwing/internal/mailbox"
	"waxwing/internal/scripts"
	"waxwing/internal/signing"
	"waxwing/sieve"
)

// Box is a mailbox of an account.
type Box struct{ Name, Use string }

// Room runs scripts. All its fields are set; it is safe for concurrent use.
type Room struct {
	Scripts   *scripts.Store
	Accounts  *accounts.Store
	Allowance *allowance.Store
	// Boxes are the mailboxes of an account.
	Boxes    func(ctx context.Context, account string) ([]Box, error)
	Keys     *signing.Service // which sign what is sent in the account's name
	Hostname dns.Name
	Version  string
	Now      func() time.Time
	Log      *slog.Logger
	Guard    *guard.Guard

	kept kept
}

// Sift runs the account's script on the message of which it is to get a copy, and adds its vacation response; nil: it has neither. A
// script that fails leaves the copy as it was to be, and the account is told, once a day (SIV-3). An
// error is the store's.
func (r *Room) Sift(ctx context.Context, job *delivery.Job, c delivery.Copy, content delivery.Content) (*delivery.Sifted, error) {
	lib, err := r.Scripts.Library(ctx, c.Account)
	if lib == nil || err != nil {
		return nil, err
	}
	p, err := r.pass(job, c, content)
	if err != nil {
		return nil, err
	}
	a := p.answer(ctx, lib)
	if a.fault != nil {
		return p.failed(ctx, a.script, a.fault)
	}
	return p.obey(ctx, a.decision)
}

// answer is what the script says: by running it, or as it said when the message came in. A message that is
// only looked at on its way in has no lease.
func (p *pass) answer(ctx context.Context, lib *scripts.Library) answer {
	k, known := about(p.job, p.copy)
	if known && p.job.Lease != nil {
		if a, ok := p.kept.take(k); ok {
			return a
		}
	}
	a := answer{script: lib.Active}
	actions, err := []sieve.Action{sieve.Keep{Implicit: true}}, error(nil)
	if lib.Active != "" {
		actions, err = p.run(ctx, lib)
	}
	if a.fault = err; err == nil {
		a.decision = decide(actions, p.situation(ctx))
		a.decision.alone = lib.Active == ""
		a.decision.answered(lib.Vacation, p.now)
	}
	if known && p.job.Lease == nil && p.err == nil && (len(p.job.Recipients) > 1 || !a.settlesOnArrival()) {
		p.kept.put(k, a)
	}
	return a
}

// settlesOnArrival: there is a copy, and nothing that may go on.
func (a *answer) settlesOnArrival() bool {
	d := &a.decision
	return a.fault == nil && len(d.copies) > 0 && len(d.redirects)+len(d.notices) == 0 && d.vacation == nil
}

// pass is one run of a script.
type pass struct {
	*Room
	job   *delivery.Job
	copy  delivery.Copy
	mail  *mail
	junk  bool
	now   time.Time
	boxes []Box // nil: not looked up yet
	trace func(sieve.Step)
	err   error // of the store, while the script ran
}

func (r *Room) pass(job *delivery.Job, c delivery.Copy, content delivery.Content) (*pass, error) {
	m, err := read(content)
	if err != nil {
		return nil, fmt.Errorf("read the message for the script of %s: %w", c.Account, err)
	}
	p := &pass{Room: r, job: job, copy: c, mail: m, now: r.Now()}
	for i := range job.Recipients {
		if job.Recipients[i].ID == c.Recipient {
			p.junk = job.Recipients[i].Junk || c.Mailbox == mailbox.Junk // one member of an alias may have it there alone
		}
	}
	return p, nil
}

// run runs the active script of a library.
func (p *pass) run(ctx context.Context, lib *scripts.Library) (actions []sieve.Action, err error) {
	err = p.Guard.Try(guard.Sieve, func() error {
		prog, err := lib.Program(lib.Active)
		if err != nil {
			return err
		}
		actions, err = prog.Run(p.mail.sieve(), p.environment(ctx, lib))
		return err
	}, "account", p.copy.Account, "message", delivery.ID(p.job.ID))
	return actions, err
}

func (p *pass) situation(ctx context.Context) situation {
	return situation{copy: p.copy, junk: p.junk, mail: p.mail, now: p.now, box: func(use string) string {
		for _, b := range p.mailboxes(ctx) {
			if b.Use == use && use != "" {
				return b.Name
			}
		}
		return ""
	}}
}

// environment is what the script may ask for.
func (p *pass) environment(ctx context.Context, lib *scripts.Library) sieve.Environment {
	var d junk.Decision
	tested := p.copy.Evidence != "" && json.Unmarshal([]byte(p.copy.Evidence), &d) == nil
	return sieve.Environment{
		Now: p.now, From: p.job.Sender, To: p.copy.Address, Separator: p.separator(ctx), Spam: spam(tested, d.Sum, d.Limit), Trace: p.trace,
		Values:     p.values(),
		Mailbox:    func(name string) bool { return hasBox(p.mailboxes(ctx), name) },
		SpecialUse: func(name string, uses []string) bool { return hasUses(p.mailboxes(ctx), name, uses) },
		Duplicate: func(id string, _ time.Duration, _ bool) bool {
			seen, err := p.Scripts.Remembers(ctx, p.copy.Account, scripts.Key(scripts.Seen, id))
			p.note(err)
			return seen
		},
		Include: func(name string, global bool) (*sieve.Program, bool) {
			if global { // the operator's (RFC 6609 §3.1)
				prog, err := p.Scripts.Global(ctx, name)
				p.note(err)
				return prog, prog != nil
			}
			prog, err := lib.Program(name)
			return prog, err == nil && prog != nil
		},
	}
}

// values are the items of the test environment (RFC 5183 §4.1).
func (p *pass) values() map[string]string {
	v := map[string]string{"name": "Waxwing", "version": p.Version, "host": p.Hostname.ASCII(), "domain": p.Hostname.Parent().ASCII(), "location": "MDA", "phase": "during"}
	var facts struct { // of package verify
		IP    string
		IPRev struct{ Name string }
	}
	if json.Unmarshal(p.job.Facts, &facts) == nil {
		v["remote-ip"], v["remote-host"] = facts.IP, facts.IPRev.Name
	}
	return v
}

// separator is what stands between user and detail in the recipient's address, as its domain has it
// (RFC 5233 §1 leaves it to the domain); "": there is no detail, and addresses of others have a "+".
func (p *pass) separator(ctx context.Context) string {
	a, d, err := delivery.ParseAddress(p.copy.Address)
	if err != nil || d.IsLiteral() {
		return ""
	}
	t, err := p.Accounts.Resolve(ctx, a.Local, d.Name)
	at := len(a.Local) - len(t.Detail) - 1
	if err != nil || t.Detail == "" || at < 0 {
		return ""
	}
	return a.Local[at : at+1]
}

// note keeps the first error of the store.
func (p *pass) note(err error) {
	if p.err == nil {
		p.err = err
	}
}

func (p *pass) mailboxes(ctx context.Context) []Box {
	if p.boxes == nil {
		boxes, err := p.Boxes(ctx, p.copy.Account)
		p.note(err)
		p.boxes = append([]Box{}, boxes...)
	}
	return p.boxes
}

func unescape(s string) (string, bool) {
	out, err := url.PathUnescape(s)
	return out, err == nil
}
