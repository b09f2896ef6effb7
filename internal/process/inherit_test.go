package process_test

import (
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"waxwing/internal/process"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func getenv(all map[string]string) func(string) string {
	return func(k string) string { return all[k] }
}

// OPS-2: what is not ours, or no socket, is told of, and nothing else happens.
func TestInheritRefuses(t *testing.T) {
	t.Parallel()
	none := func(string) error { return nil }
	for name, x := range map[string]struct {
		env  map[string]string
		want string
	}{
		"nothing":                {map[string]string{}, ""},
		"another process's":      {map[string]string{"LISTEN_PID": "6", "LISTEN_FDS": "1"}, ""},
		"no number":              {map[string]string{"LISTEN_PID": "7", "LISTEN_FDS": "x"}, "no number"},
		"too many":               {map[string]string{"LISTEN_PID": "7", "LISTEN_FDS": "1001"}, "no number"},
		"negative":               {map[string]string{"LISTEN_PID": "7", "LISTEN_FDS": "-1"}, "no number"},
		"no name and number":     {map[string]string{"WAXWING_SOCKETS": "mx"}, "is not a name"},
		"standard input":         {map[string]string{"WAXWING_SOCKETS": "mx/:25=0"}, "is not a name"},
		"a descriptor of nobody": {map[string]string{"WAXWING_SOCKETS": "mx/:25=987654"}, "none to listen on"},
	} {
		in, err := process.Inherit(getenv(x.env), none, 7)
		switch {
		case x.want == "" && (err != nil || len(in.Close()) != 0):
			t.Errorf("%s: %v", name, err)
		case x.want != "" && (err == nil || !strings.Contains(err.Error(), x.want)):
			t.Errorf("%s: %v, want %q", name, err, x.want)
		}
	}
}

// A socket that was bound for an address is for that one alone; Bind takes no other's.
func TestTake(t *testing.T) {
	t.Parallel()
	in := &process.Inherited{}
	must(t, in.Bind("mx", "tcp", "127.0.0.1:0"))
	must(t, in.Bind("mx", "tcp", "[::1]:0"))
	must(t, in.Bind("mx", "tcp", "[::1]:0")) // there is one
	for _, x := range []struct{ name, address string }{{"mx", "192.0.2.1:25"}, {"submission", "127.0.0.1:0"}, {"mx", ""}} {
		if l := in.Take(x.name, x.address); l != nil {
			t.Errorf("%v got %s", x, l.Addr())
		}
	}
	l := in.Take("mx", "[::1]:0")
	if l == nil || !l.Addr().(*net.TCPAddr).IP.IsLoopback() || l.Addr().(*net.TCPAddr).IP.To4() != nil {
		t.Fatalf("%v", l)
	}
	l.Close()
	if in.Take("mx", "[::1]:0") != nil {
		t.Error("it is given twice")
	}
	if left := in.Close(); len(left) != 1 {
		t.Errorf("left %v", left)
	}
}

// The manager hears of a watchdog that is meant for this process.
func TestManagerOf(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		usec, pid string
		want      time.Duration
	}{{"3000000", "", 3 * time.Second}, {"3000000", "7", 3 * time.Second}, {"3000000", "8", 0}, {"x", "7", 0}, {"", "", 0}, {"-5", "7", 0}} {
		m := process.ManagerOf(getenv(map[string]string{"WATCHDOG_USEC": x.usec, "WATCHDOG_PID": x.pid}), 7)
		if m.Watchdog != x.want {
			t.Errorf("%+v: %v", x, m.Watchdog)
		}
		must(t, m.Tell(process.Ready)) // nobody hears
	}
	m := process.ManagerOf(getenv(map[string]string{"NOTIFY_SOCKET": "/nonexistent/socket"}), 7)
	if err := m.Tell(process.Ready); err == nil {
		t.Error("a manager that is not there has heard")
	}
	m = process.ManagerOf(getenv(map[string]string{"NOTIFY_SOCKET": "@waxwing-test-" + strconv.Itoa(os.Getpid())}), 7)
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "@waxwing-test-" + strconv.Itoa(os.Getpid()), Net: "unixgram"})
	must(t, err)
	defer l.Close()
	must(t, m.Tell(process.Ready, "STATUS=x"))
	b := make([]byte, 100)
	n, err := l.Read(b)
	if err != nil || string(b[:n]) != "READY=1\nSTATUS=x" {
		t.Errorf("%q %v", b[:n], err)
	}
	next, err := process.Succeed("/nonexistent", []string{"x"}, nil)
	must(t, err)
	if err := next.Exec(nil); err == nil || !strings.Contains(err.Error(), "/nonexistent") {
		t.Errorf("%v", err)
	}
}
