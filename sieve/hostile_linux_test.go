package sieve

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hostileScripts are made to take long or to grow.
func hostileScripts() map[string]string {
	repeat := func(s string, size int) string { return strings.Repeat(s, size/len(s)) }
	const size = 120_000
	var vars strings.Builder
	for i := 0; vars.Len() < size; i++ {
		fmt.Fprintf(&vars, `set "v%d" "%s";`, i, strings.Repeat("x", 500))
	}
	return map[string]string{
		"doubling":   `set "a" "aaaaaaaaaaaaaaaa";` + repeat(`set "a" "${a}${a}${a}${a}";`, size),
		"glob":       repeat(`if header :matches "x-long" "`+strings.Repeat("*a", 40)+`b" { keep; }`, size),
		"globs":      repeat(`if header :matches "x-long" "*?*?*?*?*?*?*?*?*?*?*b" { keep; }`, size),
		"glob-short": repeat(`if header :matches "subject" "*?*?*?*?*?*?*?*?*?*?*q" { keep; }`, size),
		"regex":      repeat(`if header :regex "x-long" "(a|aa)*(a|aa)*b" { keep; }`, size),
		"regex-big":  repeat(`if header :regex "subject" "((((a{1,30}){1,30})b{1,10})*)" { keep; }`, size),
		"regex-var":  `set "r" "((a|b|c){1,40}){1,20}";` + repeat(`if header :regex "x-long" "${r}b" { keep; }`, size),
		"regex-one":  `if header :regex "x-long" "(((a?){100}){9})(((a?){100}){9})$" { keep; }`,
		"many":       repeat(`if anyof(header :contains "x-long" "b", header :contains "x-long" "c") { keep; }`, size),
		"keys":       `if header :contains "x-long" [` + repeat(`"aaaaaaaaaaaaaaaaab",`, size) + `"b"] { keep; }`,
		"names":      `if header :contains [` + repeat(`"x-long",`, size) + `"x-long"] "b" { keep; }`,
		"variables":  vars.String(),
		"body":       repeat(`if body :contains "zq" { keep; }`, size),
		"body-globs": repeat(`if body :matches "*z*z*z*q" { keep; }`, size),
		"body-regex": repeat(`if body :regex "(a|b)*c$" { keep; }`, size),
		"includes":   repeat(`include "again";`, size),
		"headers":    repeat(`addheader "X-New" "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv";`, size),
		"addresses":  repeat(`if address :contains "x-many" "zq" { keep; }`, size),
		"dates":      repeat(`if date "date" "std11" "x" { keep; }`, size),
		"flags":      repeat(`addflag ["a b c d e f g h i j k l m n o p"];`, size),
		"words":      repeat(`if header :contains "x-words" "zq" { keep; }`, size),
		"duplicates": repeat(`if duplicate :uniqueid "x" { keep; }`, size),
	}
}

// longArguments are commands and tests that cost much by what stands behind them: each is run again and again.
func longArguments() map[string]string {
	const size = 50_000
	list := func(s string) string { return "[" + strings.Repeat(`"`+s+`",`, size/(len(s)+3)) + `"` + s + `"]` }
	long := func(s string) string { return `"` + strings.Repeat(s, size/len(s)) + `"` }
	var flags strings.Builder
	for i := 0; flags.Len() < size; i++ {
		fmt.Fprintf(&flags, "f%d ", i)
	}
	return map[string]string{
		"flags":     `keep :flags "` + flags.String() + `";`,
		"addflag":   `addflag "` + flags.String() + `";`,
		"hasflag":   `set "f" "` + flags.String()[:16000] + `"; if hasflag ` + list("f") + ` "x" { stop; }`,
		"set":       `set :upper :quoteregex "x" ` + long("a.") + `;`,
		"redirect":  `redirect "(` + strings.Repeat("x", size) + `) a@example.org";`,
		"fileinto":  `fileinto :flags ` + list("x") + ` "a";`,
		"mailboxes": `if not mailboxexists ` + list("x") + ` { stop; }`,
		"uses":      `if not specialuse_exists ` + list(`\\x`) + ` { stop; }`,
		"methods":   `if not valid_notify_method ` + list("mailto:a@b") + ` { stop; }`,
		"exists":    `if not exists ` + list("subject") + ` { stop; }`,
		"envelope":  `if envelope ` + list("from") + ` "x" { stop; }`,
		"counts":    `if header :count "gt" "subject" ` + list("9") + ` { stop; }`,
		"strings":   `if string :count "gt" ` + list("x") + ` "99999" { stop; }`,
		"contents":  `if body :content ` + list("a/b") + ` :contains "zq" { stop; }`,
		"header":    `addheader "X-A" ` + long("a") + `;`,
		"names":     `include :optional ` + long("a") + `;`,
		"encoded":   `if string :is ` + long("${hex:61}") + ` "x" { stop; }`,
		"deleted":   `deleteheader "x-all" "zq";`,
		"global":    `global ` + list("g") + `;`,
	}
}

// onProcessor is the time that this thread has had of a processor.
func onProcessor(t *testing.T) time.Duration {
	const thread = 1 // RUSAGE_THREAD
	var u syscall.Rusage
	if err := syscall.Getrusage(thread, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// busy compares a name with so many others.
func busy(n int) bool {
	same := 0
	for i := range n {
		if strings.EqualFold("Archive", names[i%len(names)]) {
			same++
		}
	}
	return same < n
}

var names = []string{"INBOX", "Archived", "Archiv/2"}

// SIV-1: what is made to take long or to grow ends at its budget: reading a script of the largest
// size apart, which is done once, no run takes more than 10 ms.
func TestHostile(t *testing.T) {
	runtime.LockOSThread() // whose time is looked at: that of other programs does not count
	defer runtime.UnlockOSThread()
	long := strings.Repeat("a", 60_000)
	m := parseMessage(mail1)
	m.Header = append(m.Header, Field{Name: "X-Long", Value: long},
		Field{Name: "X-Many", Value: strings.TrimSuffix(strings.Repeat("<a@b.org>, ", 5000), ", ")},
		Field{Name: "X-Words", Value: strings.Repeat("=?utf-8?q?=C3=A4?= ", 3000)})
	for range 10_000 {
		m.Header = append(m.Header, Field{Name: "X-All", Value: "a"})
	}
	text := strings.Repeat("abcdefghij", 13_000)
	m.Body = func(bool, []string) []string { return []string{text} }
	env := testEnvironment()
	again, err := Compile(all + strings.Repeat(`if header :contains "x-long" "b" { keep; } include :optional "again";`, 100))
	if err != nil {
		t.Fatal(err)
	}
	leaves := map[string]*Program{"again": again}
	env.Include = func(name string, _ bool) (*Program, bool) { return leaves[name], leaves[name] != nil }
	env.Mailbox = func(string) bool { return busy(200) } // of a few hundred that there are
	env.SpecialUse = func(_ string, uses []string) bool {
		return !slices.ContainsFunc(uses, func(string) bool { return !busy(200) })
	}
	scripts := hostileScripts()
	for name, script := range longArguments() {
		p, err := Compile(all + script)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		leaves[name] = p
		scripts["long "+name] = strings.Repeat(`include "`+name+`";`, 2000)
	}
	limit := 10 * time.Millisecond
	if testing.Short() { // with the race detector, or where others need the processor
		limit = time.Second
	}
	for name, script := range scripts {
		start := time.Now()
		p, err := Compile(all + script)
		compiled := time.Since(start)
		if err != nil {
			t.Logf("%s: %.100v", name, err) // refused is as good
			continue
		}
		// The clock of a thread may be coarse: it is the mean that counts.
		runs, before := 0, onProcessor(t)
		for runs < 20 && onProcessor(t)-before < time.Second {
			_, err = p.Run(m, env)
			runs++
		}
		mean := (onProcessor(t) - before) / time.Duration(runs)
		t.Logf("%-16s compiled in %v, run in %v: %.80v", name, compiled.Round(10*time.Microsecond), mean.Round(10*time.Microsecond), err)
		if mean > limit {
			t.Errorf("%s: took %v", name, mean)
		}
		var fault *Error
		if err != nil && !errors.Is(err, ErrBudget) && !errors.As(err, &fault) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
