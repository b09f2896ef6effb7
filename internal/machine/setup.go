// Package machine finds out facts of the machine that a server is to run on, for setting it
// up (SET-1). It decides nothing.
package machine

import (
	"context"
	"errors"
	"net"
	"os"
	"os/user"
	"time"

	"golang.org/x/sys/unix"

	"waxwing/dns"
	"waxwing/internal/setup"
)

// units are where a unit may be installed.
var units = []string{"/etc/systemd/system/waxwing.service", "/usr/lib/systemd/system/waxwing.service", "/lib/systemd/system/waxwing.service"}

// SetupFacts are what the plan of a set-up is made of.
func SetupFacts(ctx context.Context, w setup.Wish) setup.Facts {
	f := setup.Facts{Root: os.Geteuid() == 0, LocalResolver: answersDNS(ctx, "127.0.0.1:53")}
	name := w.User
	if name == "" {
		name = "waxwing"
	}
	_, err := user.Lookup(name)
	f.User = err == nil
	for _, u := range units {
		f.Unit = f.Unit || there(u)
	}
	f.Writable = writable(setup.SystemDir) && writable(setup.SystemData)
	f.Systemd = there("/run/systemd/system")
	if f.Program, err = os.Executable(); err != nil {
		f.Program = "/usr/bin/waxwing"
	}
	return f
}

func writable(dir string) bool { return unix.Access(dir, unix.W_OK) == nil }

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// resolverPatience is how long a resolver on this machine may take to show that it is there.
const resolverPatience = 3 * time.Second

// answersDNS reports that something answers DNS there, whatever it says.
func answersDNS(ctx context.Context, addr string) bool {
	ctx, cancel := context.WithTimeout(ctx, resolverPatience)
	defer cancel()
	c := &dns.Client{Servers: []dns.Server{{Addr: addr}}, Attempts: 1}
	_, err := c.LookupNS(ctx, dns.MustParse("org"))
	var e *dns.Error
	return err == nil || errors.As(err, &e) && e.RCode != ""
}

// FreePorts moves each port on loopback that is taken to a free one.
func FreePorts(want map[string]int) map[string]int {
	got := map[string]int{}
	for kind, port := range want {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err != nil {
			l, err = net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		}
		if err == nil {
			port = l.Addr().(*net.TCPAddr).Port
			defer l.Close() // after all were chosen, so that no two are the same
		}
		got[kind] = port
	}
	return got
}
