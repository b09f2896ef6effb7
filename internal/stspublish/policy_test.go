package stspublish

import (
	"strings"
	"testing"
	"time"

	"waxwing/dns"
)

// TestNewPolicy: what an operator typed becomes a policy, or a fault that begins with its name.
func TestNewPolicy(t *testing.T) {
	t.Parallel()
	const week = 7 * 24 * time.Hour
	host := dns.MustParse("mx.example.test")
	for _, tt := range []struct {
		mode, hosts, want string
		age               time.Duration
	}{
		{"testing", "", "mx.example.test", week},
		{"enforce", "a.test, *.b.test", "a.test *.b.test", 24 * time.Hour},
		{"loose", "", "mode is", week},
		{"none", "", "max-age is", 24*time.Hour - 1},
		{"none", "", "max-age is", 400 * 24 * time.Hour},
		{"none", "a..b", "mx: ", week},
	} {
		p, err := NewPolicy(tt.mode, tt.age, tt.hosts, host)
		switch {
		case err != nil && strings.HasPrefix(err.Error(), tt.want):
		case err != nil || strings.Join(p.Patterns(), " ") != tt.want || string(p.Mode) != tt.mode || p.MaxAge != tt.age:
			t.Errorf("%+v: %+v, %v", tt, p, err)
		}
	}
}
