package imapserver

import (
	"context"

	"waxwing/imap"
	"waxwing/internal/mailboxes"
)

// quotaRoot is the only one: an account has one quota (MBX-5).
const quotaRoot = ""

// getQuota is GETQUOTA (RFC 9208 §4.1.2).
func (s *session) getQuota(ctx context.Context, c *imap.Command) answer {
	if c.Args.(*imap.GetQuota).Root != quotaRoot {
		return no("NONEXISTENT", "there is no such quota root")
	}
	return s.writeQuota(ctx, c)
}

// getQuotaRoot is GETQUOTAROOT (RFC 9208 §4.1.3).
func (s *session) getQuotaRoot(ctx context.Context, c *imap.Command) answer {
	b, err := s.srv.Boxes.Box(ctx, s.account, s.mailboxName(c.Args.(*imap.Mailbox).Name))
	if err != nil {
		return s.failed(err)
	}
	s.w.Text("* QUOTAROOT ")
	s.writeName(b.Name)
	s.w.Text(` ""` + "\r\n")
	return s.writeQuota(ctx, c)
}

func (s *session) writeQuota(ctx context.Context, c *imap.Command) answer {
	u, err := s.srv.Boxes.Usage(ctx, s.account)
	if err != nil {
		return s.failed(err)
	}
	s.w.Text(`* QUOTA "" (`)
	s.writeResources(u)
	s.w.Text(")\r\n")
	return done(c)
}

// writeResources writes what is bounded. STORAGE is in units of 1024 octets.
func (s *session) writeResources(u mailboxes.Usage) {
	space := ""
	one := func(name string, used, limit int64) {
		if limit > 0 && !s.disabled("QUOTA=RES-"+name) {
			s.w.Text(space + name + " ")
			s.w.Number(uint64(used))
			s.w.Text(" ")
			s.w.Number(uint64(limit))
			space = " "
		}
	}
	one("STORAGE", (u.Octets+1023)/1024, (u.Max.Octets+1023)/1024)
	one("MESSAGE", u.Messages, u.Max.Messages)
}

// setQuota is SETQUOTA (RFC 9208 §4.1.4), which is the operator's.
func (s *session) setQuota(context.Context, *imap.Command) answer {
	return no("NOPERM", "the operator sets quotas")
}
