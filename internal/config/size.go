package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of octets. In the file it is a whole number, or text with
// a unit: "50MiB", "64KiB", "2GiB", or the powers of ten kB, MB, GB.
type Size int64

var units = []struct {
	name string
	size int64
}{
	{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1},
}

// ParseSize reads a size.
func ParseSize(s string) (Size, error) {
	digits, factor := strings.TrimSpace(s), int64(1)
	for _, u := range units {
		if n, ok := strings.CutSuffix(digits, u.name); ok {
			digits, factor = strings.TrimSpace(n), u.size
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || digits[0] == '+' {
		return 0, fmt.Errorf("%q is no size; write it like \"50MiB\" (units: B, KiB, MiB, GiB, kB, MB, GB)", s)
	}
	if n > math.MaxInt64/factor {
		return 0, fmt.Errorf("size %q is too large", s)
	}
	return Size(n * factor), nil
}

// String is the size with the largest unit that needs no fraction.
func (s Size) String() string {
	if s == 0 {
		return "0"
	}
	for _, u := range units[:3] {
		if int64(s)%u.size == 0 {
			return strconv.FormatInt(int64(s)/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// DiskReserve is the room that stays free on the disk, in octets.
func (c *Config) DiskReserve() int64 {
	if c.Limits.DiskReserve > 0 {
		return int64(c.Limits.DiskReserve)
	}
	return 2*c.LargestMessage() + 256<<20
}

// LargestMessage is how large a message any listener takes, in octets.
func (c *Config) LargestMessage() int64 {
	largest := c.Limits.MaxMessageSize
	for _, l := range c.Listen {
		largest = max(largest, l.MaxMessageSize)
	}
	return int64(largest)
}
