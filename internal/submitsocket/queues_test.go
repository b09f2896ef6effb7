package submitsocket

import (
	"bufio"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/smtp"
)

// office is a server whose programs are of the users that the test says.
type office struct {
	t      *testing.T
	path   string
	uids   chan uint32
	mu     sync.Mutex
	counts []string
}

func open(t *testing.T, change func(*Server)) *office {
	o := &office{t: t, uids: make(chan uint32, 1)}
	b := &backend{}
	_, o.path, _ = start(t, func(s *Server) {
		s.Users = map[uint32]User{1: {Account: "one", Backend: b}, 2: {Account: "two", Backend: b}}
		s.Peer = func(net.Conn) (uint32, error) { return <-o.uids, nil }
		s.Count = func(refused string) {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.counts = append(o.counts, refused)
		}
		change(s)
	})
	return o
}

// dial connects as a user.
func (o *office) dial(uid uint32) *user {
	o.t.Helper()
	o.uids <- uid
	nc, err := net.Dial("unix", o.path)
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(2 * time.Minute))
	return &user{o.t, nc}
}

// counted waits for what was counted.
func (o *office) counted(want ...string) {
	o.t.Helper()
	var got []string
	for range 1000 {
		o.mu.Lock()
		got = slices.Clone(o.counts)
		o.mu.Unlock()
		if slices.Equal(got, want) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	o.t.Fatalf("counted %q, want %q", got, want)
}

type user struct {
	t *testing.T
	net.Conn
}

// submit hands a message in, all at once.
func (p *user) submit() {
	io.WriteString(p, "EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<x@y.test>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\n")
}

// want reads replies up to the one that settles the message.
func (p *user) want(text string) {
	p.t.Helper()
	br, data := bufio.NewReader(p), false
	for {
		r, err := smtp.ReadReply(br, smtp.ReplyLimits{})
		if err != nil {
			p.t.Errorf("no answer: %v; want %s", err, text)
			return
		}
		if r.Code >= 400 || data {
			if !strings.HasPrefix(r.String(), text) {
				p.t.Errorf("answer %q; want %s", r, text)
			}
			return
		}
		data = r.Code == 354
	}
}

// TRA-5: who it is comes before a turn. One user's programs that say nothing have a
// share of the turns, and those that wait for one of them are bounded.
func TestUsersHaveShares(t *testing.T) {
	t.Parallel()
	o := open(t, func(s *Server) { s.Connections, s.PerUser, s.Waiting = 4, 2, 1 })
	silent := []*user{o.dial(1), o.dial(1)}
	o.counted("", "")
	third := o.dial(1) // waits
	third.submit()
	stranger := o.dial(99)
	stranger.want("550")
	other := o.dial(2)
	other.submit()
	other.want("250")
	fourth := o.dial(1)
	fourth.want(`451 4.3.2 too many programs of the user with the id 1`)
	o.counted("", "", "unknown-user", "", "limit-user")
	silent[0].Close()
	third.want("250")
	silent[1].submit()
	silent[1].want("250")
}

// All turns taken, a program waits a while and is told to come again.
func TestNoTurn(t *testing.T) {
	t.Parallel()
	o := open(t, func(s *Server) { s.Connections, s.Wait = 1, 50*time.Millisecond })
	silent := o.dial(1)
	o.counted("")
	late := o.dial(2)
	late.want(`451 4.3.2 too much mail is being handed in`)
	o.counted("", "limit-total")
	silent.submit()
	silent.want("250")
}

// A program that falls silent loses its turn, and so does one that goes on for ever;
// one that has its answer has no turn any more, whatever it does.
func TestSlowPrograms(t *testing.T) {
	t.Parallel()
	o := open(t, func(s *Server) {
		s.Connections, s.Idle, s.Timeout = 1, 100*time.Millisecond, 400*time.Millisecond
	})
	silent := o.dial(1)
	silent.want("421 4.4.2")
	half := o.dial(1)
	io.WriteString(half, "EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<x@y.test>\r\nDATA\r\nSubject: x\r\n")
	half.want("421 4.4.2")
	drip := o.dial(1)
	go func() {
		for range 100 {
			if _, err := io.WriteString(drip, "x"); err != nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	began := time.Now()
	answered := o.dial(2)
	answered.submit()
	answered.want("250")
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("a dripping program has kept its turn for %s", took)
	}
	next := o.dial(2) // while the last one keeps its connection
	next.submit()
	next.want("250")
}
