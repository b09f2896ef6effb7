package jmap

import (
	"encoding/json"
	"fmt"
	"time"
)

// ID is an id of a record, or of an account or a blob (RFC 8620 §1.2).
type ID string

// maxID is how long an id may be, in octets.
const maxID = 255

// Valid tells whether it can be an id.
func (id ID) Valid() bool {
	for i := range len(id) {
		c := id[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return len(id) > 0 && len(id) <= maxID
}

// Numbers that RFC 8620 §1.3 allows: those which a program that has no other numbers than
// floating-point ones can hold.
const (
	MaxInt = 1<<53 - 1
	MinInt = -MaxInt
)

// UTCDate is a point in time, as it stands in JSON with a "Z" (RFC 8620 §1.4).
type UTCDate struct{ time.Time }

// MarshalJSON writes it without a fraction that is zero.
func (d UTCDate) MarshalJSON() ([]byte, error) {
	if d.IsZero() {
		return []byte("null"), nil
	}
	return json.Marshal(d.UTC().Format(time.RFC3339Nano))
}

// UnmarshalJSON reads it.
func (d *UTCDate) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || len(s) < len("2006-01-02T15:04:05Z") || s[len(s)-1] != 'Z' {
		return fmt.Errorf("%.60q is no UTCDate such as 2014-10-30T06:12:00Z", s)
	}
	d.Time = t.UTC()
	return nil
}

// Date is a point in time with the offset of the place where it was noted (RFC 8620 §1.4).
type Date struct{ time.Time }

// MarshalJSON writes it.
func (d Date) MarshalJSON() ([]byte, error) {
	if d.IsZero() {
		return []byte("null"), nil
	}
	return json.Marshal(d.Format(time.RFC3339Nano))
}

// UnmarshalJSON reads it.
func (d *Date) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return fmt.Errorf("%.60q is no Date such as 2014-10-30T14:12:00+08:00", s)
	}
	d.Time = t
	return nil
}
