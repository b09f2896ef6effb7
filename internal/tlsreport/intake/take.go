package intake

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"waxwing/dkim"
	"waxwing/dns"
	"waxwing/internal/alert"
	"waxwing/internal/delivery"
	"waxwing/internal/outbox"
	"waxwing/internal/store"
	"waxwing/internal/turns"
	"waxwing/message"
	"waxwing/tlsrpt"
)

// maxFile bounds a report in a mail, packed or not.
const maxFile = 10 << 20

// Take takes in a mail to a report address (RPT-14, RPT-17). Taken true: it is
// stored, now or by an earlier copy, and need not be kept. Taken false: it is an
// ordinary mail, and reason says in words fit for a header why. An error is
// temporary: DNS or the database, or turns.ErrBusy where too many are being
// examined; the sender should come again.
//
// Mail to the return path of a report mail of ours is taken as its bounce (RPT-12).
func (s *Service) Take(ctx context.Context, recipient string, msg []byte) (taken bool, reason string, err error) {
	local := recipient[:max(0, strings.LastIndexByte(recipient, '@'))]
	if id, back, err := s.Outbox.Returned(ctx, local); err != nil {
		return false, "", err
	} else if back {
		end, err := s.examining().Take(ctx, turns.Caller{})
		if err != nil {
			return false, "", err
		}
		defer end()
		return s.Outbox.TakeBounce(ctx, id, msg)
	}
	h, body, err := message.SplitHeader(msg)
	if err != nil {
		return false, "unreadable header: " + outbox.Line(err.Error()), nil
	}
	from, err := message.FromDomain(h)
	if err != nil {
		return false, "no usable From domain: " + outbox.Line(err.Error()), nil
	}
	verifier := s.verifier(ctx, msg[:len(msg)-len(body)])
	end, err := s.examining().Take(ctx, turns.Caller{})
	if err != nil {
		return false, "", err
	}
	defer end()
	submitter, reason, err := examine(ctx, verifier, from, msg)
	if reason != "" || err != nil {
		return false, reason, err
	}
	return s.takeAll(ctx, submitter, recipient, msg)
}

// takeAll stores every report of a mail that was authenticated (RPT-26). The mail is
// taken if one of them is stored; the reason is the first one's.
func (s *Service) takeAll(ctx context.Context, submitter dns.Name, recipient string, msg []byte) (taken bool, reason string, err error) {
	var temporary error
	why := tlsrpt.Find(msg, tlsrpt.Limits{Input: maxFile}, func(r *tlsrpt.Report) error {
		refused, err := s.keep(ctx, s.byMail(submitter), r)
		if err != nil {
			if refused, err = s.full(ctx, err); err != nil {
				temporary = fmt.Errorf("TLS report of %s to %s: %w", submitter, recipient, err)
				return temporary
			}
		}
		if refused != "" {
			reason = cmp.Or(reason, refused)
			return nil
		}
		taken = true
		s.count("taken")
		s.Log.Info("TLS report received", "submitter", submitter, "report-id", outbox.Clip(r.ID), "recipient", recipient, "left-out", r.Notes)
		return nil
	})
	switch {
	case temporary != nil:
		return false, "", temporary
	case taken:
		return true, "", nil
	case reason == "" && why != nil:
		reason = outbox.Line(why.Error())
	}
	return false, reason, nil
}

// examine authenticates a mail that holds a report (RPT-14, RPT-16). An error is
// temporary.
func examine(ctx context.Context, v Verifier, from dns.Name, msg []byte) (submitter dns.Name, reason string, err error) {
	if err := tlsrpt.Contains(msg); err != nil {
		return submitter, outbox.Line(err.Error()), nil
	}
	vs, err := v.Verify(ctx, msg)
	if err != nil {
		return submitter, "DKIM: " + outbox.Line(err.Error()), nil
	}
	return authenticate(from, vs)
}

// authenticate decides RPT-14: a passing signature of the From domain or of a
// parent of it within the same organisation, over the whole body, with a key
// that may sign reports. The nearest such domain is the submitter. The error
// says that a key could not be looked up for now.
func authenticate(from dns.Name, vs []dkim.Verification) (submitter dns.Name, reason string, err error) {
	reason = "no DKIM signature of " + from.ASCII()
	var temporary error
	for _, v := range vs {
		if v.Domain.IsZero() || !from.Under(v.Domain) || !sameOrganisation(from, v.Domain) {
			continue
		}
		switch {
		case v.Result == dkim.TempError:
			temporary = fmt.Errorf("DKIM key of %s: %w", v.Domain, v.Err)
		case v.Result != dkim.Pass:
			reason = "DKIM signature of " + v.Domain.ASCII() + ": " + string(v.Result)
		case v.BodyLength:
			reason = "DKIM signature of " + v.Domain.ASCII() + " covers only a part of the body (l=)"
		case !v.Allows("tlsrpt"):
			reason = "DKIM key of " + v.Domain.ASCII() + " is not for TLS reports (s=" + outbox.Clip(strings.Join(v.Services, ":")) + ")"
		case !slices.ContainsFunc(v.SignedHeaders, func(h string) bool { return strings.EqualFold(h, "from") }):
			reason = "DKIM signature of " + v.Domain.ASCII() + " does not cover From"
		case submitter.IsZero() || v.Domain.Under(submitter):
			submitter = v.Domain
		}
	}
	if !submitter.IsZero() {
		return submitter, "", nil
	}
	return dns.Name{}, reason, temporary
}

// sameOrganisation: two names under one registrable domain. A domain without
// one (a public suffix itself) is only its own organisation.
func sameOrganisation(a, b dns.Name) bool {
	if a == b {
		return true
	}
	oa, err := publicsuffix.EffectiveTLDPlusOne(a.ASCII())
	if err != nil {
		return false
	}
	ob, err := publicsuffix.EffectiveTLDPlusOne(b.ASCII())
	return err == nil && oa == ob
}

// origin is where a report came from, and what is demanded of it therefore.
type origin struct {
	source    string // mail or https
	submitter string
	maxSize   int                             // octets stored a policy domain; 0: any
	admit     func(tx *store.Tx, n int) error // asked before n rows are stored; nil: all are
	// stored is asked after all else for the rows that are new; its error undoes
	// them. Nil: they are stored.
	stored func(tx *store.Tx, rows []newRow) error
}

func (s *Service) byMail(submitter dns.Name) origin {
	from := submitter.ASCII()
	return origin{source: "mail", submitter: from, maxSize: maxMailKept,
		stored: func(tx *store.Tx, rows []newRow) error { return s.admitMail(tx, from, rows) }}
}

// keep stores the policies of a report that are about domains of ours, one row
// a domain, once (RPT-17). reason says why there is nothing to keep.
func (s *Service) keep(ctx context.Context, o origin, r *tlsrpt.Report) (reason string, err error) {
	byDomain, err := s.ours(ctx, r)
	if err != nil {
		return "", err
	}
	if len(byDomain) == 0 {
		reason := "the report is about no domain of this server"
		if len(r.Notes) > 0 {
			reason += "; " + r.Notes[0]
		}
		return reason, nil
	}
	order := slices.Sorted(maps.Keys(byDomain)) // as for intakes: all lock their rows in one order
	files := make([][]byte, len(order))
	for i, d := range order {
		if files[i], err = packed(byDomain[d]); err != nil {
			return "", err
		}
		if o.maxSize > 0 && len(files[i]) > o.maxSize {
			return fmt.Sprintf("the report about %s has %d octets, %d are taken", d, len(files[i]), o.maxSize), nil
		}
	}
	return "", s.Store.Write(ctx, func(tx *store.Tx) error {
		if o.admit != nil {
			if err := o.admit(tx, len(order)); err != nil {
				return err
			}
		}
		var rows []newRow
		for i, d := range order {
			isNew, err := s.keepOne(tx, o, byDomain[d], files[i])
			if err != nil {
				return err
			}
			if isNew {
				rows = append(rows, newRow{d, int64(len(files[i]))})
			}
		}
		if o.stored == nil || len(rows) == 0 {
			return nil
		}
		return o.stored(tx, rows)
	})
}

// keepOne stores what a report says of one domain. What was stored before
// changes nothing, and alerts nobody a second time.
func (s *Service) keepOne(tx *store.Tx, o origin, p *tlsrpt.Report, file []byte) (isNew bool, err error) {
	name, err := dns.ParseLax(p.Policies[0].Domain)
	if err != nil {
		return false, err
	}
	id := store.NewID()
	ok, failed := p.Totals()
	n, err := tx.Exec(`INSERT INTO tls_received (id, source, submitter, report_id, policy_domain, organization, contact,
		first, last, received, ok, failed, json) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (source, submitter, report_id, policy_domain) DO NOTHING`,
		id, o.source, o.submitter, outbox.Clip(p.ID), name.ASCII(), outbox.Clip(p.Organization), outbox.Clip(p.Contact),
		store.Time(p.Begin), store.Time(p.End), store.Time(s.Now()), ok, failed, file)
	if err != nil || n == 0 {
		return false, err
	}
	if failed == 0 || o.source != "mail" || s.Alerts == nil {
		return true, nil
	}
	clean, err := s.wasClean(tx, name, id, p.Begin)
	if !clean || err != nil {
		return true, err
	}
	return true, s.Alerts.Add(tx, alert.Failure{Domain: name.ASCII(), Submitter: o.submitter, Report: delivery.ID(id), OK: ok, Failed: failed, Failures: alert.Counts(p)})
}

const (
	// A domain is clean when no report of the seven days before says otherwise.
	cleanFor = 7 * 24 * time.Hour
	// A report on what is long past alerts nobody.
	stale = 4 * 24 * time.Hour
)

// wasClean reports whether a domain was clean before a report that begins then,
// which is not of the past.
func (s *Service) wasClean(tx *store.Tx, domain dns.Name, report int64, begin time.Time) (bool, error) {
	if begin.Before(s.Now().Add(-stale)) {
		return false, nil
	}
	var before int
	err := tx.Row(`SELECT count(*) FROM (SELECT 1 FROM tls_received WHERE policy_domain = ? AND first >= ? AND first <= ?
		AND source = 'mail' AND failed > 0 AND id <> ? LIMIT 1) AS r`,
		domain.ASCII(), store.Time(begin.Add(-cleanFor)), store.Time(begin.Add(24*time.Hour)), report).Scan(&before)
	return before == 0, err
}

// ours splits a report by those of its policy domains that are ours.
func (s *Service) ours(ctx context.Context, r *tlsrpt.Report) (byDomain map[string]*tlsrpt.Report, err error) {
	byDomain = map[string]*tlsrpt.Report{}
	known := map[string]bool{} // by policy type and domain
	for _, p := range r.Policies {
		name, err := dns.ParseLax(p.Domain)
		if err != nil {
			continue // certainly not ours
		}
		d := name.ASCII()
		key := string(p.Type) + " " + d
		if _, asked := known[key]; !asked {
			if known[key], err = s.isOurs(ctx, name, p.Type); err != nil {
				return nil, err
			}
		}
		if !known[key] {
			continue
		}
		part := byDomain[d]
		if part == nil {
			c := *r
			c.Policies = nil
			part = &c
			byDomain[d] = part
		}
		part.Policies = append(part.Policies, p)
	}
	return byDomain, nil
}

// isOurs: a hosted domain or a host name of ours (RPT-17).
func (s *Service) isOurs(ctx context.Context, name dns.Name, t tlsrpt.PolicyType) (bool, error) {
	if name == s.Hostname || slices.Contains(s.HostNames, name) {
		return true, nil
	}
	if s.Hosted == nil {
		return false, nil
	}
	if t != tlsrpt.PolicyTLSA {
		return s.Hosted(ctx, name)
	}
	// TLSA results are reported under the MX host's name (RPT-6), and a hosted
	// domain's hosts stand below it. No other policy has a name of that kind.
	for d := name; !d.Parent().IsZero(); d = d.Parent() {
		if ok, err := s.Hosted(ctx, d); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// packed is a received report as stored; it need not add up.
func packed(r *tlsrpt.Report) ([]byte, error) {
	j, err := r.JSON()
	if err != nil {
		return nil, err
	}
	return tlsrpt.Compress(j)
}
