package server

import (
	"testing"
	"time"

	"waxwing/internal/config"
	"waxwing/internal/session"
)

// SES-6: the pool has what the configuration says.
func TestPoolLimits(t *testing.T) {
	t.Parallel()
	cfg, err := config.Parse("w", []byte("hostname = \"mail.example.test\"\n[[listen]]\naddress = \"127.0.0.1:0\"\nkind = \"mx\"\n[delivery]\nkeep_idle = \"7s\"\nkeep_messages = 3\n"))
	if err != nil {
		t.Fatal(err)
	}
	p := pool(cfg.Delivery, nil)
	if want := (&session.Pool{MaxMessages: 3, Idle: 7 * time.Second, MaxIdle: 200}); p.MaxMessages != want.MaxMessages || p.Idle != want.Idle || p.MaxIdle != want.MaxIdle {
		t.Errorf("%d messages, %s, %d connections", p.MaxMessages, p.Idle, p.MaxIdle)
	}
	for _, line := range []string{"keep_idle = \"0s\"", "keep_idle = \"10m\"", "keep_messages = 0", "keep_connections = 0"} {
		if _, err := config.Parse("w", []byte("hostname = \"mail.example.test\"\n[[listen]]\naddress = \"127.0.0.1:0\"\nkind = \"mx\"\n[delivery]\n"+line+"\n")); err == nil {
			t.Errorf("%s is accepted", line)
		}
	}
}
