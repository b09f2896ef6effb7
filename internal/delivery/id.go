package delivery

import (
	"fmt"
	"strconv"
)

// ID is an identifier of the store as people and programs see it: lower-case
// letters and digits (base 36), the same in logs, replies, notices, listings and
// JSON, and read back by every command. In JSON it is a string: many programs
// round numbers beyond 2^53.
type ID int64

// String is the one spelling.
func (id ID) String() string { return strconv.FormatInt(int64(id), 36) }

// ParseID reads what String writes.
func ParseID(s string) (ID, error) {
	n, err := strconv.ParseInt(s, 36, 64)
	if err != nil || n <= 0 || s[0] == '+' {
		return 0, fmt.Errorf("%q is no id such as %s", s, ID(123456789012345678))
	}
	return ID(n), nil
}

// MarshalText makes an ID a string in JSON.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText writes. 0, which names nothing, is read too:
// fields that have no id hold it.
func (id *ID) UnmarshalText(b []byte) (err error) {
	if string(b) == "0" {
		*id = 0
		return nil
	}
	*id, err = ParseID(string(b))
	return err
}
