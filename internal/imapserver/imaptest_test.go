package imapserver

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"waxwing/internal/store/storetest"
)

// The scripts of Dovecot's imaptest (testdata/imaptest, whose SOURCE.txt says where they
// come from), run as their documentation says:
// https://github.com/dovecot/imaptest/blob/main/docs/scripted_test.md

// differs are lines that are answered in another way, and why.
var differs = map[string]string{
	"copy:30": noRecent, "copy:33": noRecent, "copy:34": noRecent, "copy:35": noRecent, "copy:43": noRecent, "copy:46": noRecent,
	"search-flags:40": noRecent, "search-flags:43": noRecent, "search-flags:46": noRecent,
	"select:9": noRecent, "select:19": noRecent, "select:24": noRecent,
	"append-binary:36": "the octets of a binary part come back as they were sent; the script wants line ends made CRLF",
}

const noRecent = `RFC 9051 has no \Recent: nothing is recent, NEW and RECENT find nothing`

// TestImaptest is IMP-1 and IMP-2 by somebody else's measure.
func TestImaptest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	files, err := filepath.Glob("testdata/imaptest/tests/*")
	if err != nil {
		t.Fatal(err)
	}
	base, ext, run := 0, 0, 0
	for _, f := range files {
		name := filepath.Base(f)
		if strings.HasSuffix(name, ".mbox") || name == "broken" {
			continue
		}
		s, err := readScript(f)
		if err != nil {
			t.Fatal(err)
		}
		run++
		if s.header["capabilities"] == "" {
			base += len(s.groups)
		} else {
			ext += len(s.groups)
		}
		t.Run(name, func(t *testing.T) { s.run(t, w, "u-"+name) })
	}
	t.Logf("%d scripts, %d commands of the base and %d of extensions", run, base, ext)
	if ext < 300 {
		t.Errorf("%d commands of extensions are tried, and there are some 330", ext)
	}
}

// script is one of them.
type script struct {
	name   string
	header map[string]string
	mbox   []mboxMessage
	groups []group
}

type mboxMessage struct {
	date time.Time
	text []byte
}

// group is commands that are sent together, and what is expected then.
type group struct {
	line     int
	commands []step
	expect   []expectation
}

type step struct {
	conn int
	tag  string
	text string
	want string // OK, NO, BAD, "" (any)
	rest string // what the tagged reply begins with
}

// expectation is a line with "*" (must come), "!" (must not) or "?" (may).
type expectation struct {
	kind byte
	text string
	line int
}

var verbWords = strings.Fields("append authenticate cancelupdate capability check close compress copy create delete enable examine expunge fetch genurlauth getmetadata id idle list login logout lsub move namespace noop notify rename resetkey search select setmetadata sort starttls status store subscribe thread uid unselect unsubscribe urlfetch")

func readScript(file string) (*script, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	s := &script{name: filepath.Base(file), header: map[string]string{}}
	lines := strings.Split(string(b), "\n")
	i := 0
	for ; i < len(lines) && lines[i] != ""; i++ {
		if k, v, ok := strings.Cut(lines[i], ":"); ok && !strings.HasPrefix(k, "#") {
			s.header[k] = strings.TrimSpace(v)
		}
	}
	many := s.header["connections"] != "" && s.header["connections"] != "1"
	for ; i < len(lines); i++ {
		at, line := i+1, lines[i]
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		for strings.HasSuffix(line, "{{{") { // a literal: up to its end
			from := i + 1
			for i++; !strings.HasPrefix(lines[i], "}}}"); i++ {
			}
			text := strings.Join(lines[from:i], "\n")
			binary := strings.HasSuffix(line, "~{{{")
			if !binary {
				text = strings.ReplaceAll(text, "\n", "\r\n")
			}
			line = strings.TrimSuffix(line, "{{{") + literalMark(text) + strings.TrimPrefix(lines[i], "}}}")
		}
		s.add(line, at, many)
	}
	return s, s.readMbox(filepath.Dir(file))
}

// literalMark stands for a literal within a line.
func literalMark(text string) string { return "\x01" + strconv.Quote(text) + "\x02" }

// add takes one line of the script.
func (s *script) add(line string, at int, many bool) {
	if line[0] == '*' || line[0] == '!' || line[0] == '?' {
		if len(s.groups) > 0 {
			g := &s.groups[len(s.groups)-1]
			g.expect = append(g.expect, expectation{line[0], strings.TrimSpace(line[1:]), at})
		}
		return
	}
	st := step{conn: 1}
	if many {
		n, rest, _ := strings.Cut(line, " ")
		st.conn, _ = strconv.Atoi(n)
		line = rest
	}
	word, rest, _ := strings.Cut(line, " ")
	var last *group
	if n := len(s.groups); n > 0 {
		last = &s.groups[n-1]
	}
	isResult := slices.Contains([]string{"ok", "no", "bad", `""`}, strings.ToLower(word))
	open := last != nil && slices.ContainsFunc(last.commands, func(c step) bool { return c.want == "?" })
	switch {
	case isResult && open: // the end of a command of method 2
		c := &last.commands[len(last.commands)-1]
		c.want, c.rest = wanted(word), rest
	case isResult:
		st.want, st.text = wanted(word), rest
		s.groups = append(s.groups, group{line: at, commands: []step{st}})
	case slices.Contains(verbWords, strings.ToLower(word)):
		st.want, st.text = "?", line
		s.groups = append(s.groups, group{line: at, commands: []step{st}})
	default: // a tag
		result, prefix, _ := strings.Cut(rest, " ")
		if slices.Contains([]string{"ok", "no", "bad", `""`}, strings.ToLower(result)) && last != nil {
			for i := range last.commands {
				if c := &last.commands[i]; c.tag == word && c.want == "?" {
					c.want, c.rest = wanted(result), prefix
				}
			}
			return
		}
		st.tag, st.text, st.want = word, rest, "?"
		if open {
			last.commands = append(last.commands, st)
			return
		}
		s.groups = append(s.groups, group{line: at, commands: []step{st}})
	}
}

func wanted(word string) string { return strings.ToUpper(strings.Trim(word, `"`)) }

func (s *script) readMbox(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, s.name+".mbox"))
	if os.IsNotExist(err) {
		b, err = os.ReadFile(filepath.Join(dir, "default.mbox"))
	}
	parts := bytes.Split(append([]byte("\n"), b...), []byte("\nFrom "))
	for i, part := range parts {
		if len(bytes.TrimSpace(part)) == 0 {
			continue
		}
		first, text, _ := bytes.Cut(part, []byte("\n"))
		if i < len(parts)-1 {
			text = append(slices.Clone(text), '\n')
		}
		m := mboxMessage{text: bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))}
		if _, date, ok := strings.Cut(string(first), " "); ok {
			for _, form := range []string{"Mon Jan _2 15:04:05 2006 -0700", "Mon Jan _2 15:04:05 2006"} {
				if t, err := time.Parse(form, strings.TrimSpace(date)); err == nil {
					m.date = t
					break
				}
			}
		}
		s.mbox = append(s.mbox, m)
	}
	return err
}

// fail fails the test, unless the line is known to differ.
func (p *player) fail(line int, format string, args ...any) {
	p.t.Helper()
	at := fmt.Sprintf("%s:%d", p.name, line)
	if differs[at] != "" {
		p.seen = append(p.seen, at)
		return
	}
	p.t.Errorf(at+": "+format, args...)
}

// player runs a script.
type player struct {
	*script
	t     *testing.T
	conns []*client
	vars  map[string]string
	next  int // message of the mbox
	alive [][]int
	caps  string
	seen  []string // of differs
}

func (s *script) run(t *testing.T, w *world, account string) {
	w = &world{t: t, db: w.db, srv: w.srv, net: w.net}
	w.account(account)
	p := &player{script: s, t: t, vars: map[string]string{"user": account, "username": account, "domain": "example.test", "password": "secret", "mailbox": "imaptest", "mailbox_url": "imaptest"}}
	n, _ := strconv.Atoi(s.header["connections"])
	for range max(n, 1) {
		c := w.dial()
		p.conns = append(p.conns, c)
		p.alive = append(p.alive, nil)
		user := account
		if v := s.header[fmt.Sprintf("user %d", len(p.conns))]; v != "" {
			user = account + "-" + strings.Trim(v, "$")
			w.account(user)
			p.vars[strings.Trim(v, "$")] = user
		}
		if s.header["state"] != "nonauth" {
			c.ok("LOGIN " + user + " secret")
		}
	}
	p.caps = strings.Join(p.conns[0].ok("CAPABILITY"), " ") + " "
	for _, want := range strings.Fields(strings.ToUpper(s.header["capabilities"])) {
		if !strings.Contains(strings.ToUpper(p.caps), " "+want+" ") {
			t.Fatalf("the script wants %s", want)
		}
	}
	p.prepare()
	for i := range s.groups {
		p.play(&s.groups[i])
	}
	for at, why := range differs { // the list must be true
		if strings.HasPrefix(at, s.name+":") && !slices.Contains(p.seen, at) {
			t.Errorf("%s is answered as the script wants, though it is listed: %s", at, why)
		}
	}
}

// prepare brings the connections into the state that the script begins with.
func (p *player) prepare() {
	state := p.header["state"]
	if state == "nonauth" || state == "auth" {
		return
	}
	p.conns[0].ok("CREATE imaptest")
	for i, c := range p.conns {
		if s := p.header[fmt.Sprintf("user %d", i+1)]; s != "" && i > 0 {
			c.ok("CREATE imaptest")
		}
	}
	if state == "created" {
		return
	}
	count := len(p.mbox)
	if n, err := strconv.Atoi(p.header["messages"]); err == nil {
		count = n
	}
	for range count {
		p.conns[0].ok(p.appendCommand("imaptest"))
	}
	if state == "appended" {
		return
	}
	for i, c := range p.conns {
		c.ok("SELECT imaptest")
		p.alive[i] = numbers(count)
	}
}

func numbers(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i + 1
	}
	return out
}

// appendCommand stores the next message of the mbox.
func (p *player) appendCommand(args string) string {
	m := p.mbox[p.next%len(p.mbox)]
	p.next++
	date := ""
	if !m.date.IsZero() {
		date = m.date.Format(`"_2-Jan-2006 15:04:05 -0700" `)
	}
	return fmt.Sprintf("APPEND %s %s{%d+}\r\n%s", args, date, len(m.text), m.text)
}

// command makes the text of a command ready to be sent.
func (p *player) command(text string) string {
	text = p.expand(text)
	if word, args, _ := strings.Cut(text, " "); strings.EqualFold(word, "append") && !strings.Contains(text, "\x01") && !strings.Contains(text, "catenate") {
		if args == "" {
			args = p.vars["mailbox"]
		}
		return p.appendCommand(args)
	}
	return literals.ReplaceAllStringFunc(text, func(m string) string {
		s, _ := strconv.Unquote(m[1 : len(m)-1])
		return fmt.Sprintf("{%d+}\r\n%s", len(s), s)
	})
}

var (
	literals  = regexp.MustCompile("\x01[^\x02]*\x02")
	variables = regexp.MustCompile(`\$(\$|\{[^}]*\}|[A-Za-z_][A-Za-z0-9_]*)`)
)

// expand puts variables in. Those that are not set stay.
func (p *player) expand(text string) string {
	return variables.ReplaceAllStringFunc(text, func(m string) string {
		if m == "$$" {
			return "$"
		}
		name := strings.Trim(m[1:], "{}")
		if v, ok := strings.CutPrefix(name, "case:"); ok {
			return v
		}
		if v, ok := p.vars[name]; ok {
			return v
		}
		return m
	})
}

// play runs one group.
func (p *player) play(g *group) {
	p.t.Helper()
	conn := p.conns[g.commands[0].conn-1]
	mapped := &numbering{}
	var out strings.Builder
	tags := map[string]*step{}
	for i := range g.commands {
		conn.tag++
		tag := fmt.Sprintf("T%d", conn.tag)
		p.vars["tag"] = tag
		tags[tag] = &g.commands[i]
		out.WriteString(tag + " " + p.command(g.commands[i].text) + "\r\n")
	}
	go conn.send(out.String()) // answers may come before all is sent
	var replies []reply
	var tagged []string
	for len(tags) > 0 {
		l := conn.line()
		tag, rest, _ := strings.Cut(l, " ")
		if c := tags[tag]; c != nil {
			delete(tags, tag)
			tagged = append(tagged, rest)
			p.checkTagged(g, c, rest)
			continue
		}
		if tag != "*" {
			continue
		}
		replies = append(replies, mapped.reply(rest))
	}
	for _, e := range g.expect {
		p.checkUntagged(g, e, replies)
	}
	if p.t.Failed() && os.Getenv("IMAPTEST_TALK") != "" {
		p.t.Logf("line %d: %q\n%v\n%v", g.line, out.String(), replies, tagged)
	}
}

func (p *player) checkTagged(g *group, c *step, rest string) {
	p.t.Helper()
	condition, text, _ := strings.Cut(rest, " ")
	if c.want != "" && condition != c.want {
		p.fail(g.line, "%q: got %q, want %s", c.text, rest, c.want)
		return
	}
	if c.rest != "" && !p.match(parseArgs(c.rest), parseArgs(text), true, nil) {
		p.fail(g.line, "%q: got %q, want %s %s", c.text, rest, c.want, c.rest)
	}
}

func (p *player) checkUntagged(g *group, e expectation, replies []reply) {
	p.t.Helper()
	pattern := parseArgs(e.text)
	for i := range replies {
		saved := make(map[string]string, len(p.vars))
		for k, v := range p.vars {
			saved[k] = v
		}
		if p.matchReply(pattern, &replies[i]) {
			if e.kind == '!' {
				p.fail(e.line, "%q: got %q, which must not come", g.commands[0].text, replies[i].text)
			}
			return
		}
		p.vars = saved
	}
	if e.kind == '*' {
		var all []string
		for _, r := range replies {
			all = append(all, r.text)
		}
		p.fail(e.line, "%.100q: no %q in\n%s", g.commands[0].text, e.text, strings.Join(all, "\n"))
	}
}

// reply is an untagged response. original is the number in front of it as it was when the
// command began.
type reply struct {
	text     string
	args     []arg
	original string
}

// numbering follows expunged messages through the answers to one command.
type numbering struct{ gone []int } // by their numbers at the beginning, ascending

// original is what a number was at the beginning.
func (n *numbering) original(now int) int {
	for _, g := range n.gone {
		if g <= now {
			now++
		}
	}
	return now
}

func (n *numbering) reply(text string) reply {
	r := reply{text: text, args: parseArgs(text)}
	if len(r.args) < 2 {
		return r
	}
	now, err := strconv.Atoi(r.args[0].text)
	if err != nil || r.args[0].list != nil {
		return r
	}
	was := n.original(now)
	r.original = strconv.Itoa(was)
	if strings.EqualFold(r.args[1].text, "EXPUNGE") {
		i, _ := slices.BinarySearch(n.gone, was)
		n.gone = slices.Insert(n.gone, i, was)
	}
	return r
}

// arg is an atom, a string or a list.
type arg struct {
	text string
	list []arg
	is   byte // 'a' atom, 's' string, 'l' list
}

// parseArgs reads arguments, of a response or of a pattern.
func parseArgs(s string) []arg {
	a := &argReader{s: s}
	return a.args(0)
}

type argReader struct{ s string }

func (a *argReader) args(end byte) []arg {
	out := []arg{}
	for {
		a.s = strings.TrimLeft(a.s, " ")
		if a.s == "" {
			return out
		}
		switch c := a.s[0]; {
		case end != 0 && c == end:
			a.s = a.s[1:]
			return out
		case c == '(' || c == '[':
			a.s = a.s[1:]
			out = append(out, arg{is: 'l', list: a.args(map[byte]byte{'(': ')', '[': ']'}[c])})
		case c == '"':
			out = append(out, arg{is: 's', text: a.quoted()})
		case c == '\x01':
			mark, rest, _ := strings.Cut(a.s[1:], "\x02")
			a.s = rest
			text, _ := strconv.Unquote(mark)
			out = append(out, arg{is: 's', text: text})
		case strings.HasPrefix(a.s, "~\x01"):
			a.s = a.s[1:]
		case c == '{' || c == '~' && strings.HasPrefix(a.s, "~{"):
			if text, ok := a.literal(); ok {
				out = append(out, arg{is: 's', text: text})
				continue
			}
			fallthrough
		default:
			out = append(out, arg{is: 'a', text: a.atom(end)})
		}
	}
}

func (a *argReader) quoted() string {
	var b strings.Builder
	for i := 1; i < len(a.s); i++ {
		switch c := a.s[i]; c {
		case '"':
			a.s = a.s[i+1:]
			return b.String()
		case '\\':
			i++
			b.WriteByte(a.s[i])
		default:
			b.WriteByte(c)
		}
	}
	a.s = ""
	return b.String()
}

func (a *argReader) literal() (string, bool) {
	var n int
	if _, err := fmt.Sscanf(strings.TrimPrefix(a.s, "~"), "{%d}\r\n", &n); err != nil {
		return "", false
	}
	at := strings.Index(a.s, "\r\n") + 2
	text := a.s[at : at+n]
	a.s = a.s[at+n:]
	return text, true
}

// atom reads an atom. Brackets belong to it where they begin within it, with all they hold: BODY[…].
func (a *argReader) atom(end byte) string {
	depth := 0
	for i := 0; i < len(a.s); i++ {
		switch c := a.s[i]; {
		case c == '{' && i > 0 && a.s[i-1] == '$':
			if j := strings.IndexByte(a.s[i:], '}'); j > 0 {
				i += j
			}
		case c == '[' && i > 0:
			depth++
		case c == ']' && depth > 0:
			depth--
		case depth > 0:
		case c == ' ' || c == ')' || c == '(' || c == ']' && end == ']' || c == '"':
			if i == 0 {
				i = 1
			}
			text := a.s[:i]
			a.s = a.s[i:]
			return text
		}
	}
	text := a.s
	a.s = ""
	return text
}

// matchReply matches a whole response.
func (p *player) matchReply(pattern []arg, r *reply) bool {
	args := r.args
	if len(pattern) == 0 || len(args) == 0 {
		return len(pattern) == 0
	}
	if n, ok := strings.CutPrefix(pattern[0].text, "$"); ok && r.original != "" && isNumber(n) {
		if n != r.original {
			return false
		}
		pattern, args = pattern[1:], args[1:]
	} else if isNumber(pattern[0].text) && r.original != "" {
		if pattern[0].text != args[0].text {
			return false
		}
		pattern, args = pattern[1:], args[1:]
	}
	if len(pattern) == 0 || len(args) == 0 {
		return false
	}
	word := strings.ToUpper(pattern[0].text)
	prefix := slices.Contains([]string{"OK", "NO", "BAD", "BYE", "PREAUTH"}, word)
	return p.match(pattern, args, prefix, defaults(word))
}

func isNumber(s string) bool { _, err := strconv.Atoi(s); return err == nil }

// rule says how a list is compared.
type rule struct {
	chain   int // 0: in order; else elements that belong together, in any order
	extra   bool
	ignored []string
	banned  []string
}

// defaults are the rules of the lists in a response, in the order in which they come; nil: in
// order, and nothing else.
func defaults(word string) func(depth int, before string) rule {
	return func(depth int, before string) rule {
		switch {
		case word == "FETCH" && depth == 1:
			return rule{chain: 2, extra: true}
		case word == "FETCH" && depth == 2 && strings.EqualFold(before, "FLAGS"):
			return rule{chain: 1, ignored: []string{`\recent`}}
		case (word == "LIST" || word == "LSUB") && depth == 1 && (strings.EqualFold(before, "LIST") || strings.EqualFold(before, "LSUB")):
			return rule{chain: 1, extra: true}
		case word == "STATUS" && depth == 1:
			return rule{chain: 2, extra: true}
		}
		return rule{}
	}
}

// match compares arguments in order.
func (p *player) match(pattern, args []arg, prefix bool, rules func(int, string) rule) bool {
	if rules == nil {
		rules = func(int, string) rule { return rule{} }
	}
	return p.matchList(pattern, args, rule{extra: prefix}, 0, rules)
}

func (p *player) matchList(pattern, args []arg, r rule, depth int, rules func(int, string) rule) bool {
	if r.chain == 0 {
		if len(args) < len(pattern) || len(args) > len(pattern) && !r.extra {
			return false
		}
		for i := range pattern {
			if !p.matchOne(pattern[i], args[i], depth, precede(pattern, i), rules) {
				return false
			}
		}
		return true
	}
	if len(pattern)%r.chain != 0 {
		return false
	}
	used := make([]bool, len(args))
	for i := 0; i < len(pattern); i += r.chain {
		found := false
		for j := 0; j+r.chain <= len(args) && !found; j += r.chain {
			if used[j] {
				continue
			}
			found = true
			for k := range r.chain {
				found = found && p.matchOne(pattern[i+k], args[j+k], depth, precede(pattern[i:], k), rules)
			}
			if found {
				for k := range r.chain {
					used[j+k] = true
				}
			}
		}
		if !found {
			return false
		}
	}
	for j, a := range args {
		is := func(w string) bool { return strings.EqualFold(w, a.text) }
		if slices.ContainsFunc(r.banned, is) || !used[j] && !r.extra && !slices.ContainsFunc(r.ignored, is) {
			return false
		}
	}
	return true
}

func precede(pattern []arg, i int) string {
	if i == 0 {
		return ""
	}
	return pattern[i-1].text
}

func (p *player) matchOne(pattern, a arg, depth int, before string, rules func(int, string) rule) bool {
	if pattern.is == 'l' {
		if a.is != 'l' {
			return false
		}
		r := rules(depth+1, before)
		rest := pattern.list
		if n := directives(rest); n > 0 {
			r = directed(rest[:n])
			rest = rest[n:]
		}
		return p.matchList(rest, a.list, r, depth+1, rules)
	}
	if pattern.text == "$" && pattern.is == 'a' {
		return true
	}
	if n, ok := strings.CutPrefix(pattern.text, "$"); ok && isNumber(n) && pattern.is == 'a' {
		return a.text == n // a result is told before messages go, and their numbers change
	}
	if a.is == 'l' {
		return false
	}
	if m := variables.FindString(pattern.text); m == pattern.text && m != "" && m != "$$" {
		name := strings.Trim(m[1:], "{}")
		if v, ok := p.vars[name]; ok {
			return strings.EqualFold(v, a.text)
		}
		if !strings.HasPrefix(name, "case:") {
			p.vars[name] = a.text
			return true
		}
		return name[5:] == a.text
	}
	return strings.EqualFold(p.expand(pattern.text), a.text)
}

func directives(list []arg) int {
	n := 0
	for n < len(list) && strings.HasPrefix(list[n].text, "$!") {
		n++
	}
	return n
}

func directed(list []arg) rule {
	r := rule{}
	for _, d := range list {
		name, value, _ := strings.Cut(d.text[2:], "=")
		switch name {
		case "unordered":
			r.chain, r.extra = 1, true
			if n, err := strconv.Atoi(value); err == nil {
				r.chain = n
			}
		case "noextra":
			r.extra = false
		case "extra":
			r.extra = true
		case "ignore":
			r.chain, r.ignored = max(r.chain, 1), append(r.ignored, value)
		case "ban":
			r.chain, r.extra, r.banned = max(r.chain, 1), true, append(r.banned, value)
		}
	}
	if slices.ContainsFunc(list, func(d arg) bool { return d.text == "$!noextra" }) {
		r.extra = false
	}
	return r
}
