package listing

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/spool"
)

// Query chooses recipients of the queue, in the words in which commands and pages have
// it; all that is given must match.
type Query struct {
	spool.Filter
	After                delivery.ID // the next page
	All                  bool        // what is over, too
	State, Need, Purpose string      // State: several, with commas between
	Older, Newer         time.Duration
}

// States are all states of a recipient.
func States() []spool.State {
	return []spool.State{spool.Waiting, spool.Leased, spool.Held, spool.Delivered, spool.Failed}
}

// purposes are all purposes of a message.
func purposes() []delivery.Purpose {
	return []delivery.Purpose{delivery.Mail, delivery.DSN, delivery.TLSReport, delivery.DMARCReport}
}

// Read makes the filter. Its errors begin with the name of what is wrong, such as "need: ".
func (q *Query) Read(now time.Time) (spool.Filter, error) {
	f := q.Filter
	f.After = int64(q.After)
	if q.Older > 0 {
		f.Accepted.Before = now.Add(-q.Older)
	}
	if q.Newer > 0 {
		f.Accepted.From = now.Add(-q.Newer)
	}
	if q.Need != "" {
		n, err := delivery.ParseTLSNeed(q.Need)
		if err != nil {
			return f, fmt.Errorf("need: %w", err)
		}
		f.Need = &n
	}
	if err := readNames(&f); err != nil {
		return f, err
	}
	for w := range strings.FieldsFuncSeq(q.State, func(r rune) bool { return r == ',' }) {
		s, err := named("state", w, States())
		if err != nil {
			return f, err
		}
		f.States = append(f.States, s)
	}
	if q.All {
		f.States = States()
	}
	if q.Purpose != "" {
		p, err := named("purpose", q.Purpose, purposes())
		if err != nil {
			return f, err
		}
		f.Purpose = &p
	}
	return f, nil
}

// readNames brings the domains of the filter into the form of the rows, and refuses what
// could match nothing.
func readNames(f *spool.Filter) error {
	for name, d := range map[string]*string{"domain": &f.Domain, "sender-domain": &f.SenderDomain} {
		if *d == "" {
			continue
		}
		r, err := delivery.ParseRecipientDomain(*d)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		*d = r.String()
	}
	for name, a := range map[string]string{"rcpt": f.Address, "sender": f.Sender} {
		if a == "" {
			continue
		}
		if _, _, err := delivery.ParseAddress(a); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// named finds the value that is called w.
func named[T fmt.Stringer](what, w string, all []T) (T, error) {
	var words []string
	for _, v := range all {
		words = append(words, v.String())
	}
	i := slices.Index(words, w)
	if i < 0 {
		var none T
		return none, fmt.Errorf("%s: %q is none of %s", what, w, strings.Join(words, ", "))
	}
	return all[i], nil
}
