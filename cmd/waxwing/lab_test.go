package main

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"

	"waxwing/internal/cli"
	"waxwing/internal/lab"
)

// TestCommandsInTheLab: a lab that stays up is what commands see: its resolver, its
// clock, its addresses. And what they print as JSON has no number that a program
// would round (OPS-7). The README's picture shows what it prints.
func TestCommandsInTheLab(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("the lab takes seconds")
	}
	l, err := lab.New(t.Context(), lab.Stories(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Run("picture", func(t *testing.T) { labPicture(t, l) })
	if err := l.Open(); err != nil {
		t.Fatal(err)
	}
	t.Run("answers", func(t *testing.T) { labAnswers(t, l.Sender.Config) })
	t.Run("dmarc", func(t *testing.T) { labDMARC(t, l) })
	t.Run("json", func(t *testing.T) {
		labIdentifiers(t, l.Sender.Config, l.Sender.Account)
		labIdentifiers(t, l.Receiver.Config, l.Receiver.Account)
	})
}

// labAnswers asks about domains of the stories, and compares with what became of
// their mail.
func labAnswers(t *testing.T, config string) {
	for _, tt := range []struct {
		args string
		code int
		want string // pattern in the output
		not  string
	}{
		{"explain dane-ee.test", 0, `verified by DANE`, `^STARTTLS +broken`},
		{"explain -connect dane-ee.test", 0, `Connected just now, mx1\.dane-ee\.test would take it`, `refused`},
		{"explain dane-mismatch.test", 0, `(?s)The last delivery from here that failed, .* at mx1\.dane-mismatch\.test: dane-no-match.*message [0-9a-z]+ still waits`, `STARTTLS +broken`},
		{"explain -connect dane-mismatch.test", 0, `no host could be given it(?s:.*)its certificate matches none of its TLSA records`, `STARTTLS +broken|connect-refused`},
		{"explain no-such-user.test", 0, `(?s)remote-reply.*the host answered 550.*was returned to its sender`, ``},
		{"explain -connect sts-expired.test", 0, `by public authorities: cert-expired`, `connect-refused`},
		{"explain -connect sts-enforce.test", 0, `(?s)would take it.*it was fetched just now and is the same`, `expires in`},
		{"explain -connect broken-tls.test", 0, `STARTTLS +broken`, ``},
		{"explain null-mx.test", 0, `returned at once`, ``},
		{"dane verify dane-ee.test", 0, `dane-ee\.test: verified by DANE`, ``},
		{"dane verify dane-mismatch.test", 1, `dane-no-match`, `connect-refused`},
		{"dane verify dane-no-starttls.test", 1, `starttls-not-offered`, `connect-refused`},
		{"dane lookup dane-ta.test", 0, `usable`, ``},
		{"dane record dane-ee.test", 0, `_25\._tcp\.mx1\.dane-ee\.test\. IN TLSA 3 1 1 `, ``},
		{"mtasts lookup sts-enforce.test", 0, `mode: enforce`, ``},
		{"mtasts lookup sts-host-down.test", 1, `fetch`, ``},
		{"mtasts refresh sts-enforce.test", 0, `mode enforce`, ``},
		{"dns selftest", 0, ``, ``},
		{"tlsrpt outcomes", 0, `dane-ee\.test`, ``},
		{"tlsrpt sent", 0, `accepted`, `taken`},
	} {
		c := call(t, append(strings.Fields(tt.args), "-config", config)...)
		all := c.stdout + c.stderr
		if c.code != tt.code || !regexp.MustCompile(tt.want).MatchString(all) || tt.not != "" && regexp.MustCompile("(?m)"+tt.not).MatchString(all) {
			t.Errorf("%s: code %d, want %d with %q, not %q\n%s", tt.args, c.code, tt.code, tt.want, tt.not, all)
		}
	}
}

// labDMARC asks both machines about the DMARC reports of the stories (DMR-3).
func labDMARC(t *testing.T, l *lab.Lab) {
	for _, tt := range []struct {
		at   *lab.Machine // whom
		args string
		want string // pattern in the output
	}{
		{l.Receiver, "dmarc sent", `dmarc-report\.test(?s:.*)dmarc@dmarc-report\.test`},
		{l.Receiver, "dmarc outcomes", `dmarc-report-unasked\.test +invalid`},
		{l.Receiver, "dmarc lookup dmarc-report-elsewhere.test", `reports go to mailto:dmarc-reports@sender\.test\n`},
		{l.Receiver, "dmarc lookup dmarc-report-unasked.test", `does not say that it takes reports`},
		{l.Receiver, "dmarc reports", `dmarc-reporter\.test`},
		{l.Receiver, "dmarc summary", `receiver\.test`},
		{l.Receiver, "dmarc failures", `dmarc-reporter\.test`},
		{l.Receiver, "mail search -fact dmarc=fail", `dmarc-reporter\.test`}, // AUT-2: the forged report
		{l.Sender, "dmarc reports", `dmarc-report-elsewhere\.test +mail +receiver\.test .* 2 +1\n`},
		{l.Sender, "dmarc summary --domain dmarc-report-elsewhere.test", `dmarc-report-elsewhere\.test`},
	} {
		c := call(t, append(strings.Fields(tt.args), "--config", tt.at.Config)...)
		if c.code != cli.ExitDone || !regexp.MustCompile(tt.want).MatchString(c.stdout) {
			t.Errorf("%s at %s: code %d, want %q\n%s%s", tt.args, tt.at.Domain, c.code, tt.want, c.stdout, c.stderr)
		}
	}
}

// labIdentifiers reads the JSON of every listing, and gives the ids to the commands
// that take them.
func labIdentifiers(t *testing.T, config, account string) {
	ids := map[string]string{}
	for _, args := range []string{"queue list -all", "queue count", "queue closed", "tlsrpt results", "tlsrpt sent", "tlsrpt reports", "tlsrpt outcomes",
		"tlsrpt refused", "tlsrpt summary -days 31", "tlsrpt send -dry-run", "tlsrpt suppress list", "dmarc results", "dmarc sent", "dmarc reports", "dmarc outcomes",
		"dmarc refused", "dmarc summary -days 31", "dmarc send -dry-run", "dmarc suppress list", "mail list " + account, "domain list", "account list", "address list",
		"dkim list", "mtasts list", "mtasts published", "transport list", "hold add -account " + account, "hold list", "route add direct", "route list",
		"route test a@dane-ee.test", "suppression list", "explain -connect dane-mismatch.test", "dane verify dane-ee.test", "mtasts lookup sts-enforce.test", "dns selftest"} {
		c := call(t, append(strings.Fields(args), "-json", "-config", config)...)
		if c.code != cli.ExitDone {
			t.Errorf("%s -json: %+v", args, c)
			continue
		}
		var v any
		d := json.NewDecoder(strings.NewReader(c.stdout))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			t.Errorf("%s -json: %v", args, err)
		}
		noLargeNumbers(t, args, v)
		snakeCase(t, args, v)
		if rows, ok := v.([]any); ok && len(rows) > 0 {
			row, _ := rows[0].(map[string]any)
			for _, key := range []string{"id", "message"} {
				if id, ok := row[key].(string); ok {
					ids[args+" "+key] = id
				}
			}
		}
	}
	for from, use := range map[string]string{"queue list -all message": "queue show %s", "queue list -all id": "queue list -all -after %s", "tlsrpt sent id": "tlsrpt show %s",
		"tlsrpt reports id": "tlsrpt show %s", "dmarc sent id": "dmarc show %s", "dmarc reports id": "dmarc show %s", "mail list " + account + " id": "mail show %s", "hold list id": "hold remove %s", "route list id": "route remove %s"} {
		id, ok := ids[from]
		if !ok {
			continue
		}
		if c := call(t, append(strings.Fields(fmt.Sprintf(use, id)), "-config", config)...); c.code != cli.ExitDone {
			t.Errorf("the id of %s: %+v", from, c)
		}
		if strings.HasPrefix(use, "queue") {
			var v any
			c := call(t, append(strings.Fields(fmt.Sprintf(use, id)), "--json", "--config", config)...)
			if err := json.Unmarshal([]byte(c.stdout), &v); err != nil {
				t.Errorf("the id of %s: %v: %+v", from, err, c)
			}
			snakeCase(t, fmt.Sprintf(use, id), v)
		}
	}
	if len(ids) < 3 {
		t.Errorf("only these ids were seen: %v", ids)
	}
}

var snake = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)

// snakeCase: keys have one spelling. The words that a key may be (a result type of RFC
// 8460, a TLS version) are no keys of ours.
func snakeCase(t *testing.T, where string, v any) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			snakeCase(t, where+"[]", x)
		}
	case map[string]any:
		for k, x := range v {
			if !snake.MatchString(k) {
				t.Errorf("%s: the key %q", where, k)
			}
			snakeCase(t, where+"."+k, x)
		}
	}
}

// noLargeNumbers goes over all of a JSON value.
func noLargeNumbers(t *testing.T, where string, v any) {
	switch v := v.(type) {
	case json.Number:
		if f, err := v.Float64(); err != nil || math.Abs(f) > 1<<53 {
			t.Errorf("%s: %s would be rounded", where, v)
		}
	case []any:
		for _, x := range v {
			noLargeNumbers(t, where+"[]", x)
		}
	case map[string]any:
		for k, x := range v {
			if _, number := x.(json.Number); number && (k == "id" || k == "message" || strings.HasSuffix(k, "_id") || strings.HasSuffix(k, "-id")) {
				t.Errorf("%s: the id %s is a number", where, k)
			}
			noLargeNumbers(t, where+"."+k, x)
		}
	}
}
