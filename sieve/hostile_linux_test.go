package sieve

import (
	"errors"
	"fmt"
	"runtime"
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

// onProcessor is the time that this thread has had of a processor.
func onProcessor(t *testing.T) time.Duration {
	const thread = 1 // RUSAGE_THREAD
	var u syscall.Rusage
	if err := syscall.Getrusage(thread, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

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
	text := strings.Repeat("abcdefghij", 13_000)
	m.Body = func(bool, []string) []string { return []string{text} }
	env := testEnvironment()
	again, err := Compile(all + strings.Repeat(`if header :contains "x-long" "b" { keep; } include :optional "again";`, 100))
	if err != nil {
		t.Fatal(err)
	}
	env.Include = func(string, bool) (*Program, bool) { return again, true }
	limit := 10 * time.Millisecond
	if testing.Short() { // with the race detector, or where others need the processor
		limit = time.Second
	}
	for name, script := range hostileScripts() {
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
		t.Logf("%-12s compiled in %v, run in %v: %.80v", name, compiled.Round(10*time.Microsecond), mean.Round(10*time.Microsecond), err)
		if mean > limit {
			t.Errorf("%s: took %v", name, mean)
		}
		var fault *Error
		if err != nil && !errors.Is(err, ErrBudget) && !errors.As(err, &fault) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
