package companion

import (
	"bytes"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"waxwing/internal/schema"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// cutter stands between a program and PostgreSQL and, when told to, lets a commit
// through but ends the connection before the answer: what became of it nobody can say.
type cutter struct {
	t    *testing.T
	addr string // of PostgreSQL
	cut  atomic.Int64
	done atomic.Int64 // commits that went so
	wg   sync.WaitGroup
}

// startCutter returns the database's URL by way of c.
func startCutter(t *testing.T, c *cutter, base string) string {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.t, c.addr = t, u.Host
	c.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.wg.Go(func() { c.pass(conn) })
		}
	})
	t.Cleanup(func() { l.Close(); c.wg.Wait() })
	u.Host = l.Addr().String()
	q := u.Query()
	q.Set("sslmode", "disable")
	u.RawQuery = q.Encode()
	return u.String()
}

func (c *cutter) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", c.addr)
	if err != nil {
		c.t.Error(err)
		return
	}
	defer server.Close()
	var silent atomic.Bool
	answered := make(chan struct{})
	c.wg.Go(func() {
		defer client.Close()
		buf := make([]byte, 1<<16)
		for {
			n, err := server.Read(buf)
			if silent.Load() {
				close(answered) // the commit is made, or has failed
				return
			}
			if err != nil {
				return
			}
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
	})
	buf := make([]byte, 1<<16)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		last := bytes.Contains(buf[:n], []byte("commit\x00")) && c.cut.Add(-1) >= 0
		if last {
			silent.Store(true)
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
		if last {
			<-answered
			c.done.Add(1)
			return
		}
	}
}

// CMP-2: a commit of which nobody knows what became of it is tried again, and no
// session counts twice.
func TestUnknownCommit(t *testing.T) {
	t.Parallel()
	base := storetest.Postgres(t)
	c := &cutter{}
	s, err := store.Open(t.Context(), store.Options{Create: true, Postgres: startCutter(t, c, base), Migrations: schema.FS})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	col := collect(t, s, nil)
	const first, more = 3, 40
	c.cut.Store(first) // of the next commits, the collector's
	datagrams := func(n int) (out []string) {
		for range n {
			out = append(out, success("a.test"))
		}
		return out
	}
	send(t, col.path, datagrams(more)...)
	eventually(t, "commits that nobody hears of", func() bool { return c.done.Load() == first })
	eventually(t, "everything is stored", func() bool { return col.counted(stored) == more })
	send(t, col.path, datagrams(1)...)
	col.stop()
	var ok int64
	for _, r := range dayRows(t, s, noon) {
		ok += r.OK
	}
	if ok != more+1 {
		t.Errorf("%d sessions are stored of %d", ok, more+1)
	}
}

// The same batch again is no other batch, on either engine.
func TestSaveOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		o, err := observe([]byte(success("a.test")), noFault)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []int64{7, 7, 8, 7} {
			err := s.Write(t.Context(), func(tx *store.Tx) error { return saveOnce(tx, id, noon.Add(time.Minute), o.observations) })
			if err != nil {
				t.Fatal(err)
			}
		}
		if rows := dayRows(t, s, noon); len(rows) != 1 || rows[0].OK != 2 {
			t.Errorf("%+v", rows)
		}
	})
}
