package main

import (
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"waxwing/internal/dmarcreport"
	"waxwing/internal/lab"
	"waxwing/internal/tlsreport"
	"waxwing/internal/web/admin"
	"waxwing/internal/web/admin/people"
	"waxwing/internal/web/admin/publishing"
	"waxwing/internal/web/admin/ways"
	"waxwing/internal/web/deeds"
)

// onMachine are commands that have no page, and why.
func onMachine() map[string]string {
	const (
		files   = "it reads or writes files of the machine, or is there before the server runs"
		program = "it is for programs and terminals"
		whole   = "what it tells stands on another page as a whole"
		others  = "it looks at something that this server does not keep"
		own     = "people do it themselves, in the webmail or on the pages of their account"
	)
	out := map[string]string{}
	for why, commands := range map[string]string{
		files: "quickstart|lab|doctor|serve|companion|backup list|backup verify|restore|store init|export|apply|config check|config describe|config example|mail import|mail check|mail reparse|mail pull|" +
			"sieve put-global|sieve get-global|sieve delete-global|sieve globals|cert make|cert add|tlsrpt parse|dmarc parse",
		program: "completion|man|version|sendmail|trace smtp|api openapi",
		whole: "queue count|queue show|transport show|account removed|account contacts|account trusted|junk show|tlsrpt show|dmarc show|" +
			"tlsrpt reports|dmarc reports",
		others: "dane lookup|dane verify|dane record|dns lookup|dns selftest|mtasts lookup|tlsrpt lookup|dmarc lookup|dns apply|dns published|dns release",
		own: "mail list|mail show|mail search|mail move|mail flag|mail delete|mail removed|junk train|sieve list|sieve put|sieve activate|sieve delete|sieve check|sieve test|" +
			"account factor codes",
	} {
		for c := range strings.SplitSeq(commands, "|") {
			out[c] = why
		}
	}
	return out
}

// ADM-1: each command that a page names is one, with the flags that the page says, and each act of a page has its command; each command has
// a page, or a reason why it has none.
func TestPagesAndCommands(t *testing.T) {
	t.Parallel()
	l, err := lab.New(t.Context(), nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	named := named(t, strings.TrimSuffix(l.Sender.Pages(), "/"), l.Sender.Account, l.Sender.Password)
	named = append(named, (&admin.Handler{Rooms: admin.Rooms{TLSReport: &tlsreport.Service{}, DMARCReport: &dmarcreport.Service{}, Subjects: []deeds.Subject{
		(&people.Room{}).Subject(), (&publishing.Room{}).Subject(), (&ways.Room{}).Subject()}}}).Commands()...)
	if len(named) < 120 {
		t.Errorf("only %d commands are named", len(named))
	}
	paged := map[string]bool{}
	for _, text := range named {
		for _, c := range commandsIn(text) {
			path, fault := known(c)
			if fault != "" {
				t.Errorf("a page names %q: %s", c, fault)
			}
			paged[path] = true
		}
	}
	reasons := onMachine()
	for _, l := range lines() {
		path := strings.Join(l, " ")
		_, none := reasons[path]
		if !paged[path] && !none {
			t.Errorf("%q has neither a page nor a reason to have none", path)
		}
		if paged[path] && none {
			t.Errorf("%q has a page: it needs no reason to have none", path)
		}
		delete(reasons, path)
	}
	for path := range reasons {
		t.Errorf("%q is no command", path)
	}
}

// named are the commands that stand on all pages that are listed, and on those that these lead to.
func named(t *testing.T, base, user, password string) (out []string) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := http.Client{Jar: jar, Timeout: time.Minute}
	read := func(r *http.Response, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != 200 {
			t.Fatalf("%s: %d, %v", r.Request.URL, r.StatusCode, err)
		}
		return string(b)
	}
	form := url.Values{"user": {user}, "password": {password}}
	read(c.PostForm(base+"/login", form))
	read(c.PostForm(base+"/admin/login", form))
	read(c.PostForm(base+"/admin/webhooks/add", url.Values{"url": {"https://shop.example.net/"}, "account": {user}, "event_failed": {"yes"}}))
	links, code := regexp.MustCompile(`<a href="(/(?:admin|account)/[^"?]*)"`), regexp.MustCompile(`<code>(waxwing [^<]*)</code>`)
	seen, todo := map[string]bool{}, []string{"/admin/", "/account/"}
	for len(todo) > 0 && len(seen) < 100 {
		path := todo[0]
		todo = todo[1:]
		if seen[path] {
			continue
		}
		seen[path] = true
		body := read(c.Get(base + path))
		for _, m := range links.FindAllStringSubmatch(body, -1) {
			todo = append(todo, m[1])
		}
		for _, m := range code.FindAllStringSubmatch(body, -1) {
			out = append(out, html.UnescapeString(m[1]))
		}
	}
	if len(seen) < 45 {
		t.Errorf("only %d pages were seen", len(seen))
	}
	return out
}

// commandsIn are the commands in a text that names one or several.
func commandsIn(text string) (out []string) {
	words := strings.Fields(strings.TrimPrefix(text, "waxwing "))
	root, begin := tree(), 0
	for i, w := range words {
		last := i == len(words)-1
		if last || strings.HasSuffix(w, ",") && isNoun(root, words[i+1]) {
			out = append(out, strings.TrimSuffix(strings.Join(words[begin:i+1], " "), ","))
			begin = i + 1
		}
	}
	return out
}

func isNoun(root *cobra.Command, word string) bool {
	return slices.ContainsFunc(root.Commands(), func(c *cobra.Command) bool { return c.Name() == word })
}

// known is the path of a command, or what is wrong with it.
func known(text string) (path, fault string) {
	words := strings.Fields(text)
	if words[0] == "help" {
		return "help", ""
	}
	c, _, err := tree().Find(words)
	if err != nil {
		return "", err.Error()
	}
	if strings.Contains(c.Use, "ACTION") || c.Parent() == nil {
		return "", "it lacks what is to be done"
	}
	for _, w := range words {
		if name, is := strings.CutPrefix(w, "--"); is && c.Flags().Lookup(name) == nil {
			return "", "it has no flag --" + name
		}
	}
	return strings.TrimPrefix(c.CommandPath(), "waxwing "), ""
}
