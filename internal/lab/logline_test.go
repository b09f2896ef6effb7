package lab

import (
	"regexp"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"waxwing/internal/logline"
)

// lines is a log whose lines are looked at at the end.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

var logField = regexp.MustCompile(`(\S+?)=("(?:[^"\\]|\\.)*"|\S*)`)

// sameLength is from where on two equal values are one text that is told twice.
const sameLength = 8

// check wants what a reader of the log wants: lines that fit a screen, no empty field,
// no field twice, and no text twice.
func (l *lines) check(t *testing.T) {
	t.Helper()
	n := 0
	for line := range strings.Lines(l.b.String()) {
		n++
		if utf8.RuneCountInString(line) > logline.Longest+1 {
			t.Errorf("too long: %s", line)
		}
		keys, values := map[string]bool{}, map[string]string{}
		for _, f := range logField.FindAllStringSubmatch(line, -1) {
			key, value := f[1], strings.Trim(f[2], `"`)
			switch other := values[value]; {
			case value == "":
				t.Errorf("%s is empty: %s", key, line)
			case keys[key]:
				t.Errorf("%s is there twice: %s", key, line)
			case other != "" && len(value) >= sameLength:
				t.Errorf("%s says the same as %s: %s", key, other, line)
			}
			keys[key], values[value] = true, key
		}
	}
	if n < 200 {
		t.Errorf("the lab logged only %d lines", n)
	}
}
