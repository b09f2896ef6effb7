package intake

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"waxwing/internal/outbox"
	"waxwing/internal/store"
	"waxwing/internal/tlsresult"
	"waxwing/internal/turns"
	"waxwing/peers"
	"waxwing/tlsrpt"
)

// Bounds on reports by HTTPS (RPT-15): nobody vouches for them.
const (
	maxPosted     = 1 << 20  // octets as sent
	maxPostedJSON = 10 << 20 // unpacked
	maxPostedKept = 64 << 10 // octets stored of one, packed
	perSource     = 50       // stored a UTC day from one network
	perDay        = 2000     // and from all
	keepPosted    = 31 * 24 * time.Hour
)

// ErrTooMany: the source, or everybody together, has posted enough for a UTC day.
var ErrTooMany = errors.New("too many TLS reports today")

// TakePost takes in a report that came by HTTPS, JSON or gzip of JSON. It is
// stored apart from those that DKIM authenticated, under the network it came from,
// and feeds neither alerts nor advice (RPT-15). A reason says why it is refused
// for good; the error is ErrTooMany or temporary, turns.ErrBusy where it can come
// again at once.
func (s *Service) TakePost(ctx context.Context, source netip.Addr, body []byte) (reason string, err error) {
	end, err := s.examining().Take(ctx, turns.Caller{})
	if err != nil {
		return "", err
	}
	defer end()
	var posted string
	var fault error
	why := tlsrpt.Find(body, tlsrpt.Limits{Input: maxPosted, Size: maxPostedJSON}, func(r *tlsrpt.Report) error {
		posted, fault = s.keepPosted(ctx, source, r)
		return fault
	})
	switch {
	case fault != nil:
		return "", fault
	case why != nil:
		return outbox.Line(why.Error()), nil
	}
	return posted, nil
}

// keepPosted stores one report that was posted.
func (s *Service) keepPosted(ctx context.Context, source netip.Addr, r *tlsrpt.Report) (reason string, err error) {
	from := network(source)
	o := origin{source: "https", submitter: from, maxSize: maxPostedKept, admit: func(tx *store.Tx, n int) error {
		return s.admit(tx, from, int64(n))
	}}
	reason, err = s.keep(ctx, o, r)
	if err != nil && !errors.Is(err, ErrTooMany) {
		return "", fmt.Errorf("TLS report posted from %s: %w", from, err)
	}
	switch {
	case errors.Is(err, ErrTooMany):
		s.count("over-cap")
	case err == nil && reason == "":
		s.count("posted")
		s.Log.Info("TLS report received", "source", "https", "from", from, "report-id", outbox.Clip(r.ID), "left-out", r.Notes)
	}
	return reason, err
}

// admit counts what has been stored today.
func (s *Service) admit(tx *store.Tx, from string, n int64) error {
	today := store.Time(tlsresult.Start(tlsresult.Day(s.Now())))
	var mine, all int64
	err := tx.Row(`SELECT count(*), count(CASE WHEN submitter = ? THEN 1 END) FROM tls_received WHERE source = 'https' AND received >= ?`, from, today).Scan(&all, &mine)
	if err != nil {
		return err
	}
	if mine+n > perSource || all+n > perDay {
		return ErrTooMany
	}
	return nil
}

// network is what counts as one source: an IPv4 address or an IPv6 /64.
func network(a netip.Addr) string {
	switch p := peers.Client(a); {
	case !p.IsValid():
		return "unknown"
	case p.Addr().Is4():
		return p.Addr().String()
	default:
		return p.String()
	}
}
