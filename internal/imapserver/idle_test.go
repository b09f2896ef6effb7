package imapserver

import (
	"bufio"
	"context"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"waxwing/internal/account"
	"waxwing/internal/guard"
	"waxwing/internal/store/storetest"
	"waxwing/internal/wire"
)

// idleEnv says how many sessions wait in TestManyIdle, instead of 1000.
const idleEnv = "WAXWING_IDLE_SESSIONS"

// IMP-4: a session that waits in IDLE costs less than 30 KiB, its connection's own buffers apart, and
// many hear of a new message at once.
func TestManyIdle(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	many := 1000
	if n, err := strconv.Atoi(os.Getenv(idleEnv)); err == nil {
		many = n
	}
	w := newWorld(t, storetest.Open(t))
	w.account("joe")
	srv := &wire.Server{Protocol: account.IMAP, Auth: anybody{}, Guard: w.srv.Guard, Area: guard.IMAP, Timeouts: wire.Timeouts{Login: 24 * time.Hour}}
	srv.Handle = func(ctx context.Context, c *wire.Conn) {
		s := newSession(w.srv, c)
		s.account = "joe"
		defer s.close()
		s.serve(ctx)
	}
	ends := make([]net.Conn, many)
	before := used()
	for i := range ends {
		here, there := net.Pipe()
		ends[i] = here
		t.Cleanup(func() { here.Close() })
		go srv.ServeConn(t.Context(), there)
		here.SetDeadline(time.Now().Add(time.Minute))
		io.WriteString(here, "a SELECT INBOX\r\n")
		waitFor(t, here, "a OK")
		io.WriteString(here, "b IDLE\r\n")
		waitFor(t, here, "+ ")
	}
	if each := (used() - before) / int64(many); each > 30<<10 {
		t.Errorf("%d octets each", each)
	} else {
		t.Logf("%d octets each", each)
	}
	begin := time.Now()
	w.login().append("INBOX", hello)
	for _, c := range ends {
		waitFor(t, c, "* 1 EXISTS")
	}
	t.Logf("all have heard after %v", time.Since(begin))
}

// waitFor reads lines up to one that begins with a text.
func waitFor(t *testing.T, c net.Conn, text string) {
	t.Helper()
	br := bufio.NewReaderSize(c, 16)
	for {
		l, err := br.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(l, text) {
			return
		}
	}
}

// used is what heap and stacks hold.
func used() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
