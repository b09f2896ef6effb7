package dmarcresult

import (
	"fmt"
	"strings"
	"time"

	"waxwing/internal/store"
	"waxwing/internal/tlsresult"
)

// Part is the part of a UTC day that a report is about: from one hour on, so many hours. The zero
// value is the whole day.
type Part struct{ Begin, Hours int }

// Hours is how many hours a report is about where a record asks for one at an interval (ri): the
// most that the interval has of those into which a day can be parted evenly, one hour at least.
// 0 is the whole day.
func Hours(interval time.Duration) int {
	if interval <= 0 || interval >= 24*time.Hour {
		return 0
	}
	for _, h := range []int{12, 8, 6, 4, 3, 2} {
		if interval >= time.Duration(h)*time.Hour {
			return h
		}
	}
	return 1
}

// partOf is the part of so many hours in which t is.
func partOf(t time.Time, hours int) Part {
	if hours == 0 {
		return Part{}
	}
	return Part{Begin: t.UTC().Hour() / hours * hours, Hours: hours}
}

// code is the part as it is stored.
func (p Part) code() int { return 100*p.Hours + p.Begin }

func partFrom(code int) Part { return Part{Begin: code % 100, Hours: code / 100} }

// Times are the part's begin and end on a day.
func (p Part) Times(day int64) (begin, end time.Time) {
	begin = tlsresult.Start(day)
	if p.Hours == 0 {
		return begin, tlsresult.Start(day + 1)
	}
	begin = begin.Add(time.Duration(p.Begin) * time.Hour)
	return begin, begin.Add(time.Duration(p.Hours) * time.Hour)
}

// Name is a domain with the part of the day that its report is about, as a unit is called.
func (p Part) Name(domain string) string {
	if p.Hours == 0 {
		return domain
	}
	return fmt.Sprintf("%s %02d:00-%02d:00", domain, p.Begin, p.Begin+p.Hours)
}

// ParseName is the inverse of Name.
func ParseName(name string) (domain string, p Part, err error) {
	domain, span, parted := strings.Cut(name, " ")
	if !parted {
		return name, Part{}, nil
	}
	var end int
	if _, err = fmt.Sscanf(span, "%02d:00-%02d:00", &p.Begin, &end); err == nil && end <= p.Begin {
		err = fmt.Errorf("%s is no part of a day", span)
	}
	p.Hours = end - p.Begin
	return domain, p, err
}

// Parted is a policy domain that has rows for a part of a day.
type Parted struct {
	Domain string
	Part   Part
}

// Parts are those of a day that have rows.
func Parts(tx *store.Tx, day int64) ([]Parted, error) {
	return store.Collect(tx, func(r store.Row) (p Parted, err error) {
		var code int
		err = r.Scan(&p.Domain, &code)
		p.Part = partFrom(code)
		return p, err
	}, `SELECT domain, part FROM dmarc_parts WHERE day = ? ORDER BY part, domain`, day)
}
