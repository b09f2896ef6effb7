package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"waxwing/internal/cli"

	"github.com/rogpeppe/go-internal/testscript"
)

var (
	// shown is a call of the program that a page shows to be typed: a line of code, or
	// code in a sentence.
	shown = regexp.MustCompile("(?m)^(?:    )?(?:\\.\\./)?waxwing ([a-z].*)$|`(?:\\.\\./)?waxwing ([a-z][^`]*)`")
	// mayBeLeftOut is what stands in brackets, behind which alternatives may stand.
	mayBeLeftOut = regexp.MustCompile(`\[[^]]*\]`)
)

// scriptPage is "page FILE [LINE=CODE]…": it types what the page shows, in a shell, line
// by line, as it is shown: but for words in capitals, which stand for what a reader has,
// and directories outside of the test. On standard input stands a password. Each must be
// done, or end with the CODE of the last LINE that it begins with.
func scriptPage(ts *testscript.TestScript, _ bool, args []string) {
	b, err := os.ReadFile(filepath.Join(ts.Getenv("DOCS"), args[0]))
	ts.Check(err)
	ran := 0
	for _, m := range shown.FindAllStringSubmatch(string(b), -1) {
		line, _, _ := strings.Cut(m[1]+m[2], "  ")
		words := strings.Fields(line)
		if len(words) < 2 && words[0] != "version" || words[0] == "sendmail" || words[0] == "trace" || staysUp(words[0]) {
			continue // named, not called; or tested by itself
		}
		c, rest := cli.Below(tree(), words)
		if words[0] != "help" && strings.HasSuffix(c.Use, " ACTION …") || cli.ParseUse(c.Use).Required > len(rest) && m[2] != "" {
			continue // a sentence about it
		}
		want := "0"
		for _, a := range args[1:] {
			if begin, code, ok := strings.Cut(a, "="); ok && strings.HasPrefix(line, begin) {
				want = code
			}
		}
		typed := filled(ts, mayBeLeftOut.ReplaceAllString(line, ""))
		got := ""
		for end := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
			got = "0"
			if err := ts.Exec("sh", "-c", "echo a-password | waxwing "+typed); err != nil {
				got = strings.TrimPrefix(err.Error(), "exit status ")
			}
			if !strings.Contains(ts.ReadFile("stderr"), "ask again in a moment") || time.Now().After(end) {
				break
			}
		}
		if got != want {
			ts.Fatalf("%s: \"waxwing %s\": exit code %s, want %s", args[0], typed, got, want)
		}
		ran++
	}
	fmt.Fprintf(ts.Stdout(), "%d lines of %s\n", ran, args[0])
}

// filled is a line with the words in capitals filled in.
func filled(ts *testscript.TestScript, line string) string {
	words := strings.Fields(line)
	for i, w := range words {
		switch {
		case w == "ID":
			words[i] = someID(ts, words[0])
		case w == "DOMAIN" && slices.Contains(words, "dkim"):
			words[i] = "example.org"
		case w == "DOMAIN", w == "HOST", w == "ADDRESS" && words[0] == "explain":
			words[i] = "plain.test"
		case w == "ADDRESS":
			words[i] = "reports@plain.test"
		case w == "TRANSPORT", w == "NAME" && words[0] == "transport":
			words[i] = "isp"
		case w == "NAME":
			words[i] = "joe"
		case w == "FILE" && words[0] == "tlsrpt":
			words[i] = filepath.Join(ts.Getenv("REPORTS"), "cry-inc", "rfc-example.json")
		case w == "…":
			words[i] = map[bool]string{true: "them@example.net"}[words[0] == "explain"] // else: as many as one likes
		}
	}
	line = strings.Join(words, " ")
	for _, dir := range []string{"/etc/waxwing", "/etc/bash_completion.d", "/usr/local/share/zsh/site-functions", "~/.config/fish/completions", "/var/backups/waxwing", "/usr/local/share/man"} {
		line = strings.ReplaceAll(line+" ", dir+" ", ts.Getenv("WORK")+"/there ")
		line = strings.ReplaceAll(line, dir+"/", ts.Getenv("WORK")+"/")
	}
	return line
}

// someID is one of what a noun lists, or one that there is not.
func someID(ts *testscript.TestScript, noun string) string {
	list := map[string]string{"queue": "queue list --all", "mail": "mail list you", "tlsrpt": "tlsrpt sent", "api": "api key list", "webhook": "webhook list"}[noun]
	ts.Check(ts.Exec("waxwing", append(strings.Fields(list), "--json")...))
	var rows []struct{ ID, Message string }
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &rows))
	switch {
	case len(rows) == 0:
		return "1"
	case rows[0].Message != "":
		return rows[0].Message
	}
	return rows[0].ID
}
