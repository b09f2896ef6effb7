//go:build linux

package interop

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"waxwing/authres"
	"waxwing/dkim"
	"waxwing/dns"
	"waxwing/internal/verify"
	"waxwing/message"
)

const (
	letters    = 500
	lettersFor = 20261130 // the seed of messages; -seed is no flag, so that a failure can be repeated
	systemPy   = "/usr/bin/python3"
)

// opinion is what one program says of one message: by method and, for signatures, the number of the
// signature from the top ("dkim 0"), the result.
type opinion map[string]string

// TestSecondOpinions: opendkim, opendmarc, python3-dkim, python3-spf and python3-authres say the
// same of the same generated messages as Waxwing, but for differences that a line of
// testdata/opinions.txt explains (AUT-1, AUT-2, AUT-8).
func TestSecondOpinions(t *testing.T) {
	t.Parallel()
	need(t, "opendkim", "opendmarc", systemPy, "openssl")
	w := open(t)
	if said, err := output(root, systemPy, "-c", "import dkim, spf, authres, nacl"); err != nil {
		need(t, "python3-dkim, python3-spf, python3-authres or python3-nacl: "+said)
	}
	ls := w.letters(t)
	checker := &verify.Verifier{DNS: &dns.Client{Servers: []dns.Server{{Addr: resolverIP + ":53", Trusted: true}}, Cache: dns.NewCache(10000)}, Hostname: waxHost}
	ours, fields := make([]opinion, len(ls)), make([]string, len(ls))
	for i, l := range ls {
		ours[i], fields[i] = weighed(t, checker, l)
	}
	theirs := map[string][]opinion{}
	theirs["python3-dkim"], theirs["python3-spf"], theirs["python3-authres"] = pythonSays(t, ls, ours, fields)
	theirs["opendkim"], theirs["opendmarc"] = milterSays(t, ls, theirs["python3-spf"])
	for i := range ls {
		if theirs["opendkim"][i].differs(ours[i]) {
			ls[i].tag("opendkim-differs")
		}
	}
	table := readExplanations(t)
	for _, who := range slices.Sorted(maps.Keys(theirs)) {
		table.compare(t, who, ls, ours, theirs[who])
	}
	for _, e := range table {
		if e.used == 0 {
			t.Errorf("line %d of opinions.txt explains nothing any more: %s %s %s %s", e.line, e.who, e.method, e.tag, e.pair)
		}
	}
}

// letters are the messages, signed and then tampered with.
func (w *world) letters(t *testing.T) []letter {
	c := w.corpus
	ls := make([]letter, letters)
	var requests []any
	for i := range ls {
		var err error
		if ls[i], err = c.letter(i); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		requests = append(requests, ls[i])
	}
	for i, a := range python[struct{ Text []byte }](t, "sign", requests) {
		ls[i].Text = a.Text
		c.tamper(&ls[i])
	}
	return ls
}

// python runs testdata/opinions.py over all requests.
func python[T any](t *testing.T, verb string, requests []any) []T {
	t.Helper()
	var in, problems bytes.Buffer
	for _, r := range requests {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		in.Write(append(b, '\n'))
	}
	script, err := filepath.Abs("testdata/opinions.py")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(systemPy, script, verb)
	cmd.Stdin, cmd.Stderr = &in, &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, tail(problems.String()))
	}
	var answers []T
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var a T
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			t.Fatalf("%v: %s", err, lines.Text())
		}
		answers = append(answers, a)
	}
	if len(answers) != len(requests) {
		t.Fatalf("%d answers to %d requests: %s", len(answers), len(requests), tail(problems.String()))
	}
	return answers
}

// plain is a result of DKIM as programs agree to speak of it.
func plain(result string) string {
	if result == "pass" || result == "temperror" {
		return result
	}
	return "fail"
}

// weighed is what Waxwing says, and its field.
func weighed(t *testing.T, v *verify.Verifier, l letter) (opinion, string) {
	h, _, err := message.SplitHeader(l.Text)
	if err != nil {
		t.Fatalf("%v\n%s", err, l.Text)
	}
	m, err := dkim.Read(l.Text)
	if err != nil {
		t.Fatal(err)
	}
	f := v.Begin(t.Context(), verify.Client{IP: l.addr(), HELO: l.HELO, Sender: l.Sender}).Finish(t.Context(), h, m)
	f.IPRev.Result = "none"
	o := opinion{"spf": string(f.SPF[len(f.SPF)-1].Result)}
	for i, s := range f.DKIM {
		o[fmt.Sprintf("dkim %d", i)] = plain(string(s.Result))
	}
	switch {
	case f.Author != "":
		o["dmarc"] = "permerror"
	default:
		o["dmarc"] = string(f.DMARC[0].Result)
		if d := f.DMARC[0]; d.At == d.From { // below it, opendmarc tells p= and not sp=
			o["policy"] = string(d.Policy)
		}
	}
	field := string(f.Results(waxHost).Field())
	return o, strings.TrimSpace(strings.TrimPrefix(field, authres.Name+":"))
}

// differs is whether a signature has come to something else.
func (o opinion) differs(other opinion) bool {
	for k, v := range o {
		if strings.HasPrefix(k, "dkim ") && other[k] != v {
			return true
		}
	}
	return false
}

// signatures counts the signatures that Waxwing has looked at.
func (o opinion) signatures() (n int) {
	for k := range o {
		if strings.HasPrefix(k, "dkim ") {
			n++
		}
	}
	return n
}

// pythonSays asks the three libraries.
func pythonSays(t *testing.T, ls []letter, ours []opinion, fields []string) (dkim, spf, parsed []opinion) {
	var requests []any
	for i, l := range ls {
		requests = append(requests, map[string]any{"Text": l.Text, "IP": l.IP, "HELO": l.HELO, "Sender": l.Sender, "Signatures": ours[i].signatures(),
			"Field": strings.ReplaceAll(fields[i], "\r\n", "")})
	}
	type answer struct {
		DKIM, Problem   []string
		SPF, SPFProblem string
		ID              string
		Results         []struct {
			Method, Value string
			Properties    [][]string
		}
	}
	for i, a := range python[answer](t, "check", requests) {
		dk := opinion{}
		for n, r := range a.DKIM {
			if strings.Contains(a.Problem[n], "DnsTimeout") || strings.Contains(a.Problem[n], "NoNameservers") || strings.Contains(a.Problem[n], "SERVFAIL") {
				r = "temperror"
			}
			dk[fmt.Sprintf("dkim %d", n)] = r
		}
		dk["said"] = strings.Join(a.Problem, "\n")
		dkim, spf = append(dkim, dk), append(spf, opinion{"spf": a.SPF, "said": a.SPFProblem})
		re, n := opinion{}, 0
		for _, r := range a.Results {
			switch r.Method {
			case "dkim":
				if r.Value != "none" {
					re[fmt.Sprintf("dkim %d", n)] = plain(r.Value)
					n++
				}
			case "dmarc":
				if _, ok := re["dmarc"]; !ok { // several authors: the first
					re["dmarc"] = r.Value
				}
			default:
				re[r.Method] = r.Value
			}
		}
		if a.ID != waxHost {
			t.Errorf("python3-authres reads %q as the server's name in %q", a.ID, fields[i])
		}
		parsed = append(parsed, re)
	}
	return dkim, spf, parsed
}

// milterSays asks opendkim, and opendmarc, which goes by what opendkim and python3-spf have said.
func milterSays(t *testing.T, ls []letter, spf []opinion) (dkim, dmarc []opinion) {
	dir := filepath.Join(root, "milters")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	const dmarcAddr = "127.6.0.1:8892"
	for name, text := range map[string]string{
		"unbound.conf": "server:\n local-zone: \"example.\" nodefault\n do-not-query-localhost: no\n module-config: \"iterator\"\nforward-zone:\n name: \".\"\n forward-addr: " + resolverIP + "\n",
		"opendkim.conf": "Mode v\nSyslog no\nAuthservID opendkim.example\nAlwaysAddARHeader yes\nUserID root\nBackground no\nAutoRestart no\nResolverConfiguration " + dir +
			"/unbound.conf\nRequireSafeKeys no\nInternalHosts 127.9.9.9\n",
		"opendmarc.conf": "Socket inet:8892@127.6.0.1\nSyslog no\nAuthservID opendmarc.example\nTrustedAuthservIDs opendkim.example\nUserID root\nBackground no\nPublicSuffixList " + dir +
			"/suffixes\nRejectFailures false\n",
		"suffixes": "example\nbank.example\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := start("opendmarc", dmarcAddr, "opendmarc", "-f", "-c", filepath.Join(dir, "opendmarc.conf")); err != nil {
		t.Fatal(err)
	}
	dkim, dmarc = make([]opinion, len(ls)), make([]opinion, len(ls))
	var wg sync.WaitGroup
	const workers = 8
	for first := range workers { // most of the time it waits for DNS; it ends where several ask it at once
		wg.Go(func() {
			port := strconv.Itoa(8900 + first)
			p, err := start("opendkim", "127.6.0.1:"+port, "opendkim", "-f", "-x", filepath.Join(dir, "opendkim.conf"), "-p", "inet:"+port+"@127.6.0.1")
			for i := first; i < len(ls) && err == nil; i += workers {
				if dkim[i], dmarc[i], err = milterPair(&ls[i], "127.6.0.1:"+port, dmarcAddr, spf[i]["spf"]); err != nil {
					err = fmt.Errorf("message %d: %w\n%s\n%s", i, err, ls[i].Text, tail(p.log()))
				}
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	return dkim, dmarc
}

// milterPair asks the two milters about one message.
func milterPair(l *letter, dkimAddr, dmarcAddr, spf string) (dkim, dmarc opinion, err error) {
	dkim, dmarc = opinion{}, opinion{}
	fields, err := filtered(dkimAddr, l, l.Text)
	if err != nil {
		return dkim, dmarc, err
	}
	text := bytes.Clone(l.Text)
	for _, f := range fields {
		text = append([]byte(strings.ReplaceAll(f, "\n", "\r\n")+"\r\n"), text...)
		if err := dkim.add(f, l); err != nil {
			return dkim, dmarc, err
		}
	}
	identity := "mailfrom"
	if l.Sender == "" {
		identity = "helo"
	}
	text = append(fmt.Appendf(nil, "Received-SPF: %s (%s) identity=%s; client-ip=%s; helo=%s; envelope-from=%q; receiver=%s\r\n", spf, identity, identity, l.IP, l.HELO, l.Sender, waxHost), text...)
	fields, err = filtered(dmarcAddr, l, text)
	for _, f := range fields {
		err = errors.Join(err, dmarc.add(f, l))
	}
	dmarc["said"] += dkim["said"]
	return dkim, dmarc, err
}

// add notes what a field of Authentication-Results says. Signatures are told apart by the start
// of b=.
func (o opinion) add(field string, l *letter) error {
	name, value, _ := strings.Cut(field, ":")
	if !strings.EqualFold(name, authres.Name) {
		return nil
	}
	r, err := authres.Parse(strings.ReplaceAll(value, "\n", "\r\n"))
	if err != nil {
		return fmt.Errorf("%w in %q", err, field)
	}
	for _, x := range r.Results {
		switch x.Method {
		case "dmarc":
			o["dmarc"] = x.Value
			if p, rest, _ := strings.Cut(strings.TrimPrefix(x.Comment, "p="), " "); rest != "" {
				o["policy"] = p
			}
		case "dkim":
			if n := l.signature(x); n >= 0 {
				o[fmt.Sprintf("dkim %d", n)] = plain(x.Value)
			}
		}
	}
	o["said"] += field + "\n"
	return nil
}

// signature is the number of the signature that a result is about, by the start of b=; -1: none.
func (l *letter) signature(r authres.Result) int {
	h, _, _ := message.SplitHeader(l.Text) // it was split before
	n := 0
	for _, f := range h.Fields {
		if !f.Is("DKIM-Signature") {
			continue
		}
		text := strings.NewReplacer(" ", "", "\r\n", "", "\t", "").Replace(string(f.Raw))
		for _, p := range r.Properties {
			if p.Name == "b" && strings.Contains(text, ";b="+p.Value) {
				return n
			}
		}
		n++
	}
	return -1
}

// explanation is a line of the table: who says "theirs" of what for us is "ours", for messages
// with a tag ("-": any), and why.
type explanation struct {
	line                   int
	who, method, tag, pair string
	used                   int
}

type explanations []*explanation

func readExplanations(t *testing.T) explanations {
	b, err := os.ReadFile("testdata/opinions.txt")
	if err != nil {
		t.Fatal(err)
	}
	var out explanations
	for i, line := range strings.Split(string(b), "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		f := strings.SplitN(line, " ", 5)
		if len(f) < 5 || strings.TrimSpace(f[4]) == "" {
			t.Fatalf("opinions.txt:%d: who method tag ours/theirs why", i+1)
		}
		out = append(out, &explanation{line: i + 1, who: f[0], method: f[1], tag: f[2], pair: f[3]})
	}
	return out
}

// compare holds one program's opinions against ours.
func (table explanations) compare(t *testing.T, who string, ls []letter, ours, theirs []opinion) {
	same, explained := 0, 0
	unexplained := map[string][]int{}
	for i, l := range ls {
		for key, mine := range ours[i] {
			yours, ok := theirs[i][key]
			if !ok {
				continue
			}
			method, number, _ := strings.Cut(key, " ")
			tags := l.Tags
			if n, err := strconv.Atoi(number); err == nil {
				tags = append(strings.Fields(l.Signed[len(l.Signed)-1-n]), tags...)
			}
			switch {
			case mine == yours:
				same++
			case table.explain(who, method, mine+"/"+yours, tags):
				explained++
			default:
				k := fmt.Sprintf("%s %s %s", method, mine+"/"+yours, tags)
				unexplained[k] = append(unexplained[k], i)
			}
		}
	}
	t.Logf("%-16s agrees in %4d, differs in %3d for a reason that is known", who, same, explained)
	if same == 0 {
		t.Errorf("%s has agreed with nothing", who)
	}
	for _, k := range slices.Sorted(maps.Keys(unexplained)) {
		i := unexplained[k][0]
		t.Errorf("%s, unexplained, %d times: %s\nit says %s\n%s helo %s from <%s>\n%s", who, len(unexplained[k]), k, theirs[i]["said"], ls[i].IP, ls[i].HELO, ls[i].Sender, ls[i].Text)
	}
}

func (table explanations) explain(who, method, pair string, tags []string) bool {
	for _, e := range table {
		if e.who == who && e.method == method && e.pair == pair && (e.tag == "-" || slices.Contains(tags, e.tag)) {
			e.used++
			return true
		}
	}
	return false
}
