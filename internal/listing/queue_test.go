package listing

import (
	"bytes"
	"testing"
	"time"

	"waxwing/internal/cli"
	"waxwing/internal/text"
)

// TestListingFits: a listing has the columns that there is room for, the important ones
// first, and breaks no word. In a terminal its times are those from now; in a file, which
// is read later, they are whole.
func TestListingFits(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	soon := time.Now().Add(5*time.Minute + 30*time.Second)
	rows := []Recipient{
		{Message: 78364164097, State: "waiting", Due: soon, Attempts: 3, Sender: "me@example.org", Recipient: "somebody@mail.example.net", Word: "dane-no-match"},
		{Message: 78364164096, State: "failed", Due: at, Attempts: 1, Sender: "", Recipient: "x@a.test", Word: "remote-reply"},
	}
	for width, want := range map[int]string{
		60: `MESSAGE   STATE    TO                           WHY
10000001  waiting  <somebody@mail.example.net>  dane-no-match
10000000  failed   <x@a.test>                   remote-reply
Not shown for want of room: DUE, TRIES, FROM (--json has all).
`,
		80: `MESSAGE   STATE    DUE         TRIES  TO                           WHY
10000001  waiting  in 5m       3      <somebody@mail.example.net>  dane-no-match
10000000  failed   2026-05-04  1      <x@a.test>                   remote-reply
Not shown for want of room: FROM (--json has all).
`,
		200: `MESSAGE   STATE    DUE         TRIES  FROM              TO                           WHY
10000001  waiting  in 5m       3      <me@example.org>  <somebody@mail.example.net>  dane-no-match
10000000  failed   2026-05-04  1      <>                <x@a.test>                   remote-reply
`,
		0: `MESSAGE   STATE    DUE                   TRIES  FROM              TO                           WHY
10000001  waiting  ` + text.Instant(soon) + `  3      <me@example.org>  <somebody@mail.example.net>  dane-no-match
10000000  failed   2026-05-04 12:00:00Z  1      <>                <x@a.test>                   remote-reply
`,
	} {
		var out bytes.Buffer
		p := &cli.Program{Env: cli.Env{Stdout: &out, Terminal: text.Terminal{Width: width}}, Now: time.Now}
		if err := cli.Show(p, rows, RecipientListing()); err != nil || out.String() != want {
			t.Errorf("width %d: %v\n%s", width, err, out.String())
		}
	}
}
