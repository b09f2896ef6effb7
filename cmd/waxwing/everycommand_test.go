package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"waxwing/internal/cli"

	"github.com/spf13/cobra"
)

// called is what one call of the program did.
type called struct {
	args           []string
	code           int
	stdout, stderr string
}

// call runs the program.
func call(t *testing.T, args ...string) called {
	t.Helper()
	var out, err bytes.Buffer
	c := called{args: args}
	c.code = cli.Run(t.Context(), cli.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &err}, args, commands)
	c.stdout, c.stderr = out.String(), err.String()
	return c
}

// tree is the program's commands.
func tree() *cobra.Command { return commands(&cli.Program{}) }

// some are all calls; with -short every seventh: each starts the program, and one is like the other.
func some(calls [][]string) (out [][]string) {
	if !testing.Short() {
		return calls
	}
	for i := 0; i < len(calls); i += 7 {
		out = append(out, calls[i])
	}
	return out
}

// lines are all calls "COMMAND", "COMMAND ACTION" and so on that do something.
func lines() (out [][]string) { return descend(tree(), nil, false) }

// descend are the calls of what is below c; all: also of what only has others below it.
func descend(c *cobra.Command, path []string, all bool) (out [][]string) {
	for _, x := range c.Commands() {
		line := with(path, x.Name())
		if all || !x.HasSubCommands() {
			out = append(out, line)
		}
		out = append(out, descend(x, line, all)...)
	}
	return out
}

// staysUp are the commands that run until interrupted, or long.
func staysUp(name string) bool { return slices.Contains([]string{"serve", "companion", "lab"}, name) }

func with(line []string, more ...string) []string { return append(slices.Clone(line), more...) }

// setUp makes a machine for trying out and returns the path of its configuration.
func setUp(t *testing.T) (config string) {
	t.Helper()
	dir := t.TempDir()
	if c := call(t, "quickstart", "-local", "-dir", filepath.Join(dir, "x"), "you@example.test"); c.code != cli.ExitDone {
		t.Fatalf("quickstart: %+v", c)
	}
	return filepath.Join(dir, "x", "waxwing.toml")
}

// TestHelpOfEveryCommand (OPS-7): -h at every level goes to stdout, exits 0, and
// fits a terminal of 80 columns.
func TestHelpOfEveryCommand(t *testing.T) {
	t.Parallel()
	for _, l := range some(append(descend(tree(), nil, true), []string{})) {
		if len(l) > 0 && l[0] == "sendmail" {
			continue // its -h is sendmail's own flag; testdata/script/sendmail.txtar has its --help
		}
		c := call(t, with(l, "-h")...)
		if c.code != cli.ExitDone || c.stderr != "" || !strings.Contains(c.stdout, "usage: waxwing") {
			t.Errorf("%v -h: %+v", l, c)
		}
		for _, line := range strings.Split(c.stdout, "\n") {
			if n := utf8.RuneCountInString(line); n > 80 {
				t.Errorf("%v -h has a line of %d columns: %s", l, n, line)
			}
		}
	}
}

// TestWrongUsageOfEveryCommand (OPS-7): nonsense is exit code 2, told on stderr with
// the right usage, with nothing on stdout.
func TestWrongUsageOfEveryCommand(t *testing.T) {
	t.Parallel()
	for _, l := range some(lines()) {
		if l[0] == "sendmail" {
			continue // it keeps the exit codes of sysexits.h
		}
		wrong := [][]string{with(l, "-no-such-flag"), with(l, "a b", "c d", "e f", "g h"), with(l, "-config")}
		if len(l) > 1 {
			wrong = append(wrong, l[:1], with(l[:1], "no-such-action"), with(l[:1], ""))
		}
		for _, args := range wrong {
			if args[len(args)-1] == "g h" && takesMany(t, l) {
				args = l
			}
			c := call(t, args...)
			if c.code != cli.ExitUsage || c.stdout != "" || !strings.Contains(c.stderr, "usage: waxwing "+l[0]) {
				t.Errorf("%q: %+v", args, c)
			}
		}
	}
}

// takesMany is whether a command takes one argument, or more.
func takesMany(t *testing.T, line []string) bool {
	t.Helper()
	c, _, err := tree().Find(line)
	if err != nil {
		t.Fatal(err)
	}
	use := cli.ParseUse(c.Use)
	return use.Several && use.Required > 0
}

// TestNoArgumentsToEveryCommand: without arguments a command does its work or says
// what is missing, and never fails without a word.
func TestNoArgumentsToEveryCommand(t *testing.T) {
	t.Parallel()
	config := setUp(t)
	for _, l := range some(lines()) {
		if staysUp(l[0]) || l[0] == "sendmail" {
			continue
		}
		args := l
		if call(t, with(l, "-config", config, "-h")...).code == cli.ExitDone {
			args = with(l, "-config", config)
		}
		c := call(t, args...)
		switch {
		case c.code == cli.ExitDone && strings.HasPrefix(c.stderr, "waxwing"), c.code != cli.ExitDone && c.stderr == "":
			t.Errorf("%q: %+v", args, c)
		case c.code != cli.ExitDone && c.stdout != "" && l[0] != "dns" && l[0] != "doctor" && l[0] != "status":
			t.Errorf("%q fails and prints: %+v", args, c)
		}
	}
}

// fullDisk is a standard output that takes n octets and no more.
type fullDisk struct{ left int }

var errFull = errors.New("no space left on device")

func (d *fullDisk) Write(b []byte) (int, error) {
	n := min(d.left, len(b))
	d.left -= n
	if n < len(b) {
		return n, errFull
	}
	return n, nil
}

// TestFullDiskBehindEveryCommand: what cannot be written is a failure, told on
// stderr, wherever the output ends.
func TestFullDiskBehindEveryCommand(t *testing.T) {
	t.Parallel()
	config := setUp(t)
	printed := 0
	if err := os.WriteFile(config+".store", []byte("version = 1\ntransport = []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range some(everyPrint(config)) {
		var out, stderr bytes.Buffer
		code := cli.Run(t.Context(), cli.Env{Stdin: strings.NewReader("a-good-password\n"), Stdout: &out, Stderr: &stderr}, args, commands)
		if out.Len() == 0 {
			t.Errorf("%q prints nothing, with code %d: %s", args, code, stderr.String())
			continue
		}
		printed++
		args = again(args)
		for _, room := range []int{0, out.Len() / 2} {
			stderr.Reset()
			got := cli.Run(t.Context(), cli.Env{Stdin: strings.NewReader("a-good-password\n"), Stdout: &fullDisk{room}, Stderr: &stderr}, args, commands)
			if got != max(code, cli.ExitFailed) || !strings.Contains(stderr.String(), errFull.Error()) {
				t.Errorf("%q with room for %d of %d octets: code %d, %s", args, room, out.Len(), got, stderr.String())
			}
			args = again(args)
		}
	}
	if printed < 10 {
		t.Errorf("only %d calls printed something", printed)
	}
}

// again changes a call that works only once: the number in it becomes the next.
func again(args []string) []string {
	args = slices.Clone(args)
	for i, a := range args {
		if before, n, ok := strings.Cut(a, "number"); ok {
			var k int
			fmt.Sscan(n, &k)
			args[i] = fmt.Sprintf("%snumber%d", before, k+1)
		}
	}
	return args
}

// everyPrint is a call of each command and action that prints something.
func everyPrint(config string) [][]string {
	c := func(args ...string) []string { return append(args, "-config", config) }
	j := func(args ...string) []string { return append(args, "-json", "-config", config) }
	dir := filepath.Dir(config)
	report, _ := filepath.Abs(filepath.Join("..", "..", "tlsrpt", "testdata", "cry-inc", "rfc-example.json"))
	all := [][]string{{"help"}, {"version"}, {"queue", "-h"}, {"queue", "list", "-h"}, {"config", "describe"}, {"config", "example"},
		c("config", "check"), {"sendmail", "--help"}, {"tlsrpt", "parse", report}, {"tlsrpt", "parse", "-json", report},
		c("hold", "add", "-account", "you"), j("hold", "add", "-domain", "far.test"),
		c("transport", "show", "direct"), j("transport", "show", "direct"), c("route", "add", "direct"), j("route", "add", "direct", "-first"),
		c("route", "test", "a@far.test"), j("route", "test", "a@far.test"), c("account", "limit", "you"), j("account", "limit", "you"),
		c("account", "add", "-generate", "number1"), c("account", "password", "-generate", "you"),
		c("dkim", "add", "example.test", "-selector", "number1"), j("dkim", "add", "example.test", "-selector", "number20"),
		c("explain", "you@example.test"), j("explain", "you@example.test"), c("tlsrpt", "summary"), j("tlsrpt", "summary"),
		c("queue", "count"), j("queue", "count"), c("export"), c("export", "-keys"), c("apply", "-dry-run", config+".store"), j("apply", "-dry-run", config+".store"), {"quickstart", "-local", "-dir", filepath.Join(dir, "number1"), "you@example.test"}}
	for _, l := range []string{"domain", "account", "address", "transport", "route", "dkim", "hold", "suppression", "queue", "mtasts", "tlsrpt suppress"} {
		all = append(all, c(append(strings.Fields(l), "list")...), j(append(strings.Fields(l), "list")...))
	}
	for _, l := range []string{"queue closed", "mtasts published", "tlsrpt results", "tlsrpt sent", "tlsrpt outcomes", "tlsrpt reports", "tlsrpt refused", "tlsrpt send"} {
		all = append(all, c(strings.Fields(l)...), j(strings.Fields(l)...))
	}
	return append(all, c("mail", "list", "you"), j("mail", "list", "you"))
}

// TestFullDiskOfTheSystem is the same with the real thing, where there is one.
func TestFullDiskOfTheSystem(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full on this system")
	}
	defer full.Close()
	var stderr bytes.Buffer
	if code := cli.Run(context.Background(), cli.Env{Stdin: strings.NewReader(""), Stdout: full, Stderr: &stderr}, []string{"version"}, commands); code != cli.ExitFailed || !strings.Contains(stderr.String(), "no space left") {
		t.Errorf("code %d, %s", code, stderr.String())
	}
}
