package allowance

import (
	"errors"
	"strconv"
)

// Change is what becomes of an account's own limit: nothing unless it is Given. As a flag
// it is "N", "none" or "default".
type Change struct {
	Given bool
	to    *int64
}

// Of is the limit after the change; nil: as the configuration says; 0: none.
func (c *Change) Of(own *int64) *int64 {
	if c.Given {
		return c.to
	}
	return own
}

// String is that of a change that is not given.
func (c *Change) String() string { return "" }

// Type is what the flag takes.
func (c *Change) Type() string { return "limit" }

// Set reads what was typed.
func (c *Change) Set(s string) error {
	*c = Change{Given: true}
	switch s {
	case "default":
		return nil
	case "none":
		c.to = new(int64)
		return nil
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 1 {
		return errors.New("write a number above 0, \"none\" or \"default\"")
	}
	c.to = &n
	return nil
}
