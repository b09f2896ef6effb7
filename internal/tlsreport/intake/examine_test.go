package intake

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"waxwing/dkim"
	"waxwing/dns"
	"waxwing/internal/outbox"
	"waxwing/internal/reportbox"
	"waxwing/internal/store/storetest"
	"waxwing/internal/turns"
)

// slowVerifier takes a second for each mail and notes how many it has at a time.
type slowVerifier struct{ now, most, all atomic.Int64 }

func (v *slowVerifier) Verify(context.Context, []byte) ([]dkim.Verification, error) {
	defer v.now.Add(-1)
	if n := v.now.Add(1); n > v.most.Load() {
		v.most.Store(n)
	}
	v.all.Add(1)
	time.Sleep(time.Second)
	return nil, nil
}

// INB-2: however many mails to the report address come at once, two are examined at
// a time; those that would wait too long are asked to come again, and so are posts.
func TestExaminedTwoAtATime(t *testing.T) {
	t.Parallel()
	msg := append([]byte("From: <a@reporter.example>\r\nContent-Type: application/tlsrpt+gzip\r\n\r\n"), reportAbout(t, "id", "example")...)
	synctest.Test(t, func(t *testing.T) {
		v := &slowVerifier{}
		s := &Service{Verifier: v, Box: &reportbox.Box{Outbox: &outbox.Box{Family: outbox.Family{Local: "tls-reports"}}, Now: time.Now, Log: slog.New(slog.DiscardHandler)}}
		var busy atomic.Int64
		for range 150 {
			go func() {
				taken, _, err := s.Take(t.Context(), "tls-reports@example", msg)
				if errors.Is(err, turns.ErrBusy) {
					busy.Add(1)
				} else if taken || err != nil {
					t.Errorf("taken %v: %v", taken, err)
				}
			}()
		}
		synctest.Wait()
		if v.now.Load() != reportbox.AtOnce || busy.Load() != 150-reportbox.AtOnce-reportbox.Waiting {
			t.Errorf("%d are examined, %d turned away", v.now.Load(), busy.Load())
		}
		if _, err := s.TakePost(t.Context(), netip.MustParseAddr("192.0.2.1"), []byte("{}")); !errors.Is(err, turns.ErrBusy) {
			t.Errorf("a post beside them: %v", err)
		}
		time.Sleep(reportbox.Wait + time.Minute)
		if v.most.Load() != reportbox.AtOnce || v.all.Load()+busy.Load() != 150 || v.now.Load() != 0 {
			t.Errorf("at most %d at once, %d examined, %d turned away", v.most.Load(), v.all.Load(), busy.Load())
		}
	})
}

// A sender whose DNS does not answer keeps no turn: others are examined meanwhile.
func TestSlowKeysKeepNoTurn(t *testing.T) {
	t.Parallel()
	r := newRig(t, storetest.Open(t))
	rep := newReporter(t, r, "tlsrpt")
	slow := &stuckResolver{Resolver: r.dns, stuck: "s1._domainkey.slow.example", in: make(chan struct{}, 10), out: make(chan struct{})}
	r.DNS = slow
	stuck := &reporter{t, dkim.Key{Domain: dns.MustParse("slow.example"), Selector: "s1", Signer: rep.key.Signer}}
	done := make(chan error)
	for range 2 * reportbox.AtOnce {
		go func() {
			_, _, err := r.Take(t.Context(), "tls-reports@example", stuck.mail("slow.example", reportAbout(t, "id", "example")))
			done <- err
		}()
		<-slow.in
	}
	taken, reason, err := r.Take(t.Context(), "tls-reports@example", rep.mail("reporter.example", reportAbout(t, "id", "example")))
	if !taken || err != nil {
		t.Errorf("another sender's report: %q, %v", reason, err)
	}
	close(slow.out)
	for range 2 * reportbox.AtOnce {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := slow.asked.Load(); n != 2*reportbox.AtOnce {
		t.Errorf("%d lookups for %d mails: the keys are asked for twice", n, 2*reportbox.AtOnce)
	}
}

// stuckResolver does not answer for one name until it is let go.
type stuckResolver struct {
	dns.Resolver
	stuck   string
	in, out chan struct{}
	asked   atomic.Int64
}

func (s *stuckResolver) LookupTXT(ctx context.Context, name dns.Name) (dns.Answer[string], error) {
	if name.ASCII() != s.stuck {
		return s.Resolver.LookupTXT(ctx, name)
	}
	s.asked.Add(1)
	s.in <- struct{}{}
	<-s.out
	return dns.Answer[string]{}, nil
}
