package wire

import (
	"bufio"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/internal/login"
	"waxwing/sasl"
)

// people is accounts of which each has the password "correct horse", until they are barred.
type people struct {
	creds  account.Credentials
	barred sync.Map
}

func (p *people) Login(_ context.Context, user string) (string, error) { return user, nil }
func (p *people) StandIns(context.Context, string) ([]string, error)   { return nil, nil }
func (p *people) IsHosted(context.Context, dns.Name) (bool, error)     { return false, nil }
func (p *people) Credentials(_ context.Context, name string) (account.Credentials, bool, error) {
	_, barred := p.barred.Load(name)
	return p.creds, !barred, nil
}

// open is a Checker that needs no TLS.
type open struct{ *login.Checker }

func (open) Mechanisms(bool) []string { return []string{sasl.Plain} }

// IMP-5: a session ends soon after its account could not log in any more, whether it waits or is busy; others go on.
func TestOusted(t *testing.T) {
	t.Parallel()
	creds, err := account.NewCredentials("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	p := &people{creds: creds}
	var generation atomic.Int64
	s := &Server{Auth: open{&login.Checker{Accounts: p}}, Lookout: &login.Lookout{Every: 5 * time.Millisecond, Changed: func(context.Context) (int64, error) { return generation.Load(), nil }}}
	ctx, stop := context.WithCancel(t.Context())
	looked := make(chan error, 1)
	go func() { looked <- s.Lookout.Run(ctx) }()
	defer func() { stop(); <-looked }()
	s.Handle = func(ctx context.Context, c *Conn) {
		br := bufio.NewReader(c)
		name, _ := br.ReadString('\n')
		name = name[:len(name)-1]
		if err := c.Login(ctx, sasl.Plain, []byte("\x00"+name+"\x00correct horse"), nil); err != nil {
			fmt.Fprintln(c, "no", err)
			return
		}
		fmt.Fprintln(c, "in")
		for {
			switch n := c.Await(br, time.Hour); n {
			case Input:
				if _, err := br.ReadString('\n'); err != nil {
					return
				}
				fmt.Fprintln(c, "heard")
			case Ousted:
				fmt.Fprintln(c, "bye")
				return
			default:
				fmt.Fprintln(c, "news", n)
				return
			}
		}
	}
	addr := start(t, s)
	joe, joes := dial(t, addr)
	ann, anns := dial(t, addr)
	fmt.Fprintln(joe, "joe")
	want(t, joes, "in")
	fmt.Fprintln(ann, "ann")
	want(t, anns, "in")
	p.barred.Store("joe", true)
	generation.Add(1)
	want(t, joes, "bye")
	want(t, joes, "")
	fmt.Fprintln(ann, "still here")
	want(t, anns, "heard")
}
