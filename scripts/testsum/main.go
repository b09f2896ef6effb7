// Command testsum reads what "go test -json" writes, prints what "go test" would,
// and ends with the tests that were skipped, by reason: a run that left half of
// them out must not look like one that made them all.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// event is a line of "go test -json" (go doc test2json).
type event struct {
	Action, Package, ImportPath, Test, Output string
}

// run is what is kept of a test, or of a package for an empty Test.
type run struct{ pkg, test string }

// summary is what the events came to.
type summary struct {
	out     io.Writer
	kept    map[run][]string    // output of what has not ended
	skipped map[string][]string // reason → tests
	failed  bool
}

func main() {
	s := &summary{out: os.Stdout, kept: map[run][]string{}, skipped: map[string][]string{}}
	if err := s.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testsum:", err)
		os.Exit(1)
	}
	s.tell()
	if s.failed {
		os.Exit(1)
	}
}

func (s *summary) read(r io.Reader) error {
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		var e event
		switch {
		case line == "":
		case json.Unmarshal([]byte(line), &e) == nil:
			s.event(e)
		default: // of the go command itself
			fmt.Fprint(s.out, line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *summary) event(e event) {
	id := run{e.Package, e.Test}
	switch e.Action {
	case "output":
		s.kept[id] = append(s.kept[id], e.Output)
	case "build-output":
		fmt.Fprint(s.out, e.Output)
	case "pass", "skip", "fail":
		text := s.kept[id]
		delete(s.kept, id)
		switch {
		case e.Action == "fail":
			s.failed = true
			fmt.Fprint(s.out, strings.Join(text, ""))
		case e.Test == "":
			fmt.Fprint(s.out, lastLine(text))
		case e.Action == "skip":
			why := reason(text)
			s.skipped[why] = append(s.skipped[why], e.Package+" "+e.Test)
		}
	}
}

// lastLine is the line that "go test" prints of a package.
func lastLine(text []string) string {
	if len(text) == 0 {
		return ""
	}
	return text[len(text)-1]
}

// reason is what a skipped test said: "file_test.go:12: no PostgreSQL".
func reason(text []string) string {
	for _, line := range text {
		if _, why, ok := strings.Cut(line, ".go:"); ok {
			if _, why, ok = strings.Cut(why, ": "); ok {
				return strings.TrimSpace(why)
			}
		}
	}
	return "no reason was given"
}

func (s *summary) tell() {
	n := 0
	for _, tests := range s.skipped {
		n += len(tests)
	}
	if n == 0 {
		fmt.Fprintln(s.out, "\nno test was skipped")
		return
	}
	if n == 1 {
		fmt.Fprintln(s.out, "\n1 test was skipped:")
	} else {
		fmt.Fprintf(s.out, "\n%d tests were skipped:\n", n)
	}
	reasons := []string{}
	for why := range s.skipped {
		reasons = append(reasons, why)
	}
	slices.Sort(reasons)
	for _, why := range reasons {
		tests := s.skipped[why]
		slices.Sort(tests)
		fmt.Fprintf(s.out, "  %d: %s (%s", len(tests), why, tests[0])
		if len(tests) > 1 {
			fmt.Fprint(s.out, " and others")
		}
		fmt.Fprintln(s.out, ")")
	}
}
