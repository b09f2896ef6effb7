package process

import (
	"os"
	"strings"
	"time"
)

// Boot is the ID of the machine's run since it was started, and when that was; id is ""
// where the system does not tell. Copies of a machine have other ones, containers of one
// machine have the same.
func Boot(now time.Time) (id string, at time.Time) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", time.Time{}
	}
	up, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return "", time.Time{}
	}
	seconds, _, _ := strings.Cut(string(up), " ")
	d, err := time.ParseDuration(seconds + "s")
	if err != nil {
		return "", time.Time{}
	}
	return strings.TrimSpace(string(b)), now.Add(-d)
}
