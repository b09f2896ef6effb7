package lab

import (
	"bytes"
	"context"
	"flag"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/logline"
	"waxwing/internal/spool"
	"waxwing/internal/store/storetest"
)

// dump is where TestStoriesPostgres leaves what the sender's store has come to, for the
// stores of earlier versions in cmd/waxwing/testdata.
var dump = flag.String("dump", "", "write a dump of the sender's PostgreSQL to this `file`")

// TestStories tells every story of the lab over real sockets: the mail's fate,
// the hosts' view of it, and the next day's report must all be as declared.
func TestStories(t *testing.T) {
	t.Parallel()
	tellAll(t, Databases{})
}

// TestStoriesPostgres tells them with both stores in PostgreSQL.
func TestStoriesPostgres(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("the stories are told once more; not with -short")
	}
	on := Databases{Sender: storetest.Postgres(t), Receiver: storetest.Postgres(t)}
	tellAll(t, on)
	if *dump == "" {
		return
	}
	u, err := url.Parse(on.Sender)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	schema := q.Get("search_path")
	q.Del("search_path")
	u.RawQuery = q.Encode()
	out, err := exec.Command("pg_dump", "--no-owner", "--inserts", "--schema="+schema, u.String()).Output()
	if err == nil {
		out = regexp.MustCompile(`(?m)^\\(un)?restrict .*$`).ReplaceAll(out, nil) // not every psql knows it
		err = os.WriteFile(*dump, bytes.ReplaceAll(out, []byte(schema), []byte("waxwing_dump")), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func tellAll(t *testing.T, on Databases) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var log lines
	l, err := NewOn(ctx, Stories(), slog.New(logline.New(&log, logline.Options{Level: slog.LevelDebug})), on)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		log.check(t)
	})
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if len(l.Rows) < 58 {
		t.Errorf("only %d stories were told", len(l.Rows))
	}
	for _, r := range l.Rows {
		for _, p := range r.Problems {
			t.Errorf("%s (%s): %s", r.Story, r.Title, p)
		}
		if !r.OK && len(r.Problems) == 0 {
			t.Errorf("%s is not ok and does not say why", r.Story)
		}
	}
}

// TestWrongStoriesAreFound: a story that asks for what must not happen is not ok.
// Without this the lab could be blind.
func TestWrongStoriesAreFound(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	stories := Stories()
	for i := range stories {
		w := &stories[i].Want
		if w.Outcome = waiting; stories[i].Want.TLS == "" && w.Status == "" {
			w.Outcome = delivered
		}
		w.Report = append(w.Report, Counts{PolicyType: "no-policy-found", Successful: 99})
	}
	l, err := New(ctx, stories, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
	for _, r := range l.Rows[:len(stories)] {
		if r.OK || len(r.Problems) < 2 {
			t.Errorf("%s should have had a wrong outcome and a wrong report, problems: %v", r.Story, r.Problems)
		}
	}
}

// TestPolicyOfAWaxwing (STS-11): one Waxwing serves the MTA-STS policy of its
// domain, another fetches it as a stranger would and obeys it beside DANE.
func TestPolicyOfAWaxwing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l, err := New(ctx, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Receiver.PublishSTS(ctx); err != nil {
		t.Fatal(err)
	}
	item, err := l.send(ctx, l.Receiver.Address(), delivery.FollowPolicy)
	if err != nil {
		t.Fatal(err)
	}
	if item.State != spool.Delivered || item.TLS != "dane+pkix" {
		t.Errorf("the mail is %s over %q (%s %s), want delivered over dane+pkix", item.State, item.TLS, item.Word, item.Text)
	}
	policies, err := l.Sender.STS.List(ctx)
	if err != nil || len(policies) != 1 || policies[0].Domain != l.Receiver.Domain {
		t.Errorf("cached policies: %+v, %v", policies, err)
	}
}
