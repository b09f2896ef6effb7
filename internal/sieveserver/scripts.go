package sieveserver

import (
	"context"
	"errors"

	"waxwing/internal/scripts"
	"waxwing/managesieve"
	"waxwing/sieve"
)

// done answers by how something ended.
func (v *session) done(err error) {
	v.say(v.answer(err))
}

// answer is that to an error of package scripts (RFC 5804 §1.3).
func (v *session) answer(err error) managesieve.Answer {
	var fault *sieve.Error
	var name *scripts.NameError
	no := func(code, text string) managesieve.Answer {
		return managesieve.Answer{Word: "NO", Code: code, Text: text}
	}
	switch {
	case err == nil:
		return managesieve.Answer{Word: "OK"}
	case errors.As(err, &fault), errors.As(err, &name):
		return no("", err.Error())
	case errors.Is(err, scripts.ErrTooLarge):
		return no("QUOTA/MAXSIZE", err.Error())
	case errors.Is(err, scripts.ErrTooMany):
		return no("QUOTA/MAXSCRIPTS", err.Error())
	case errors.Is(err, scripts.ErrNoSuchScript):
		return no("NONEXISTENT", err.Error())
	case errors.Is(err, scripts.ErrActive):
		return no("ACTIVE", err.Error())
	case errors.Is(err, scripts.ErrExists):
		return no("ALREADYEXISTS", err.Error())
	}
	v.conn.Log().Error("a ManageSieve command failed", "account", v.conn.Identity(), "error", err)
	return no("TRYLATER", "a fault of the server's, try again later")
}

func (v *session) haveSpace(ctx context.Context, c managesieve.Command) {
	v.done(v.Scripts.HasSpace(ctx, v.conn.Identity(), c.Args[0].Text, int64(c.Args[1].Number)))
}

func (v *session) putScript(ctx context.Context, c managesieve.Command) {
	v.done(v.Scripts.Put(ctx, v.conn.Identity(), c.Args[0].Text, c.Args[1].Text))
}

func (v *session) checkScript(_ context.Context, c managesieve.Command) {
	v.done(scripts.Check(c.Args[0].Text))
}

func (v *session) listScripts(ctx context.Context, _ managesieve.Command) {
	all, err := v.Scripts.List(ctx, v.conn.Identity())
	for _, s := range all {
		v.write(managesieve.Quote(s.Name))
		if s.Active {
			v.write([]byte(" ACTIVE"))
		}
		v.write([]byte("\r\n"))
	}
	v.done(err)
}

func (v *session) setActive(ctx context.Context, c managesieve.Command) {
	v.done(v.Scripts.Activate(ctx, v.conn.Identity(), c.Args[0].Text))
}

func (v *session) getScript(ctx context.Context, c managesieve.Command) {
	text, err := v.Scripts.Get(ctx, v.conn.Identity(), c.Args[0].Text)
	if err == nil {
		v.write(managesieve.Literal(text))
		v.write([]byte("\r\n"))
	}
	v.done(err)
}

func (v *session) deleteScript(ctx context.Context, c managesieve.Command) {
	v.done(v.Scripts.Delete(ctx, v.conn.Identity(), c.Args[0].Text))
}

func (v *session) renameScript(ctx context.Context, c managesieve.Command) {
	v.done(v.Scripts.Rename(ctx, v.conn.Identity(), c.Args[0].Text, c.Args[1].Text))
}
