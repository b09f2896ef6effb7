package sockets

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// INB-14: a socket has the mode and the group that it is given; what a dead process left is
// replaced, what lives is not; who connects comes from this machine.
func TestListen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	for range 2 {
		l, err := Listen(path, Access{Mode: 0o640, Owner: ":" + strconv.Itoa(os.Getgid())})
		if err != nil {
			t.Fatal(err)
		}
		fi, err := os.Stat(path)
		if err != nil || fi.Mode().Perm() != 0o640 || fi.Mode()&fs.ModeSocket == 0 {
			t.Errorf("%v, %v", fi, err)
		}
		if _, err := Listen(path, Access{Mode: 0o600}); err == nil || !strings.Contains(err.Error(), "in use by another process") {
			t.Errorf("twice: %v", err)
		}
		go func() {
			if c, err := net.Dial("unix", path); err == nil {
				c.Close()
			}
		}()
		c, err := Here(l).Accept()
		if err != nil || c.RemoteAddr().String() != "127.0.0.1:0" || c.LocalAddr().String() != "127.0.0.1:0" {
			t.Errorf("%v, %v", c, err)
		}
		c.Close()
		l.(*net.UnixListener).SetUnlinkOnClose(false) // as if it had died
		l.Close()
	}
	if _, err := Listen(path, Access{Mode: 0o600, Owner: "nobody-of-this-name:"}); err == nil || !strings.Contains(err.Error(), "create it, or give its number") {
		t.Error(err)
	}
	if _, err := Listen(filepath.Join(path, "x"), Access{}); err == nil {
		t.Error("no directory")
	}
}

func TestParseMode(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]fs.FileMode{"": 0o660, "0600": 0o600, "666": 0o666, "0778": 0, "1777": 0, "rw": 0, "-1": 0} {
		got, err := ParseMode(s)
		if got != want || (err != nil) != (want == 0) {
			t.Errorf("%q: %o, %v", s, got, err)
		}
	}
}
