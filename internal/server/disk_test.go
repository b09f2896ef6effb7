package server

import (
	"strings"
	"sync/atomic"
	"testing"

	"waxwing/internal/config"
)

// Where the disk is nearly full, mail is refused for now before its octets come (RFC 5321
// §4.3.2, RFC 1870 §6.1), and what is under way is not accepted; once there is room, it is.
func TestDiskReserve(t *testing.T) {
	t.Parallel()
	cfg := parse(t, config.MX)
	s := run(t, cfg)
	var left atomic.Int64
	s.disk.Free = func(dir string) (int64, error) {
		if dir != cfg.DataDir {
			t.Errorf("the disk of %s is looked at", dir)
		}
		return left.Load(), nil
	}
	const reserve = 2*50<<20 + 256<<20 // twice the largest message and 256 MiB
	p := dial(t, s.Addr(config.MX))
	for _, d := range []struct {
		left       int64
		line, want string
	}{
		{reserve - 1, "", "220"},
		{reserve - 1, "EHLO client.test", "250"},
		{reserve - 1, "MAIL FROM:<>", "452 4.3.1"},
		{reserve, "MAIL FROM:<>", "250"},
		{reserve, "RSET", "250"},
		{reserve + 2_000_000, "MAIL FROM:<> SIZE=1000001", "452 4.3.1"},
		{reserve + 2_000_000, "MAIL FROM:<> SIZE=1000000", "250"},
		{reserve, "RCPT TO:<you@example.test>", "250"},
		{reserve, "DATA", "354"},
		{reserve - 1, "Subject: hi\r\n\r\nhi\r\n.", "452 4.3.1"},
		{reserve, "MAIL FROM:<>", "250"},
		{reserve, "RCPT TO:<you@example.test>", "250"},
		{reserve, "DATA", "354"},
		{reserve, "Subject: hi\r\n\r\nhi\r\n.", "250"},
	} {
		left.Store(d.left)
		p.say(d.line, d.want)
	}
	if log := s.log.String(); !strings.Contains(log, "the disk is nearly full") || !strings.Contains(log, "the disk has room again") {
		t.Error("the log says nothing of it: " + log)
	}
	cfg.Limits.DiskReserve = 1 << 20
	if got := cfg.DiskReserve(); got != 1<<20 {
		t.Errorf("limits.disk_reserve is %d", got)
	}
	cfg.Limits.DiskReserve, cfg.Listen[0].MaxMessageSize = 0, 100<<20
	if got := cfg.DiskReserve(); got != 2*100<<20+256<<20 {
		t.Errorf("with a listener for larger messages: %d", got)
	}
}
