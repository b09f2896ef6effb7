package bayes

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"waxwing/internal/bayes/bayestest"
)

// model is a classifier in memory.
type model struct {
	all  Count
	each map[Word]Count
}

func (m *model) learn(junk bool, msg []byte) {
	for _, w := range Words(msg) {
		c := m.each[w]
		if junk {
			c.Junk++
		} else {
			c.Good++
		}
		m.each[w] = c
	}
	if junk {
		m.all.Junk++
	} else {
		m.all.Good++
	}
}

func (m *model) score(msg []byte) float64 {
	var seen []Count
	for _, w := range Words(msg) {
		if c, ok := m.each[w]; ok {
			seen = append(seen, c)
		}
	}
	return Score(m.all, seen)
}

// certain is the score from which the words of a stranger suffice for Junk (junk.Decide).
const certain = 0.9

// JNK-2: of generated mail in five languages, of which other messages were learnt, at least 95 %
// of the junk is found, with false alarms for at most 0.1 % of the good mail.
func TestFigures(t *testing.T) {
	t.Parallel()
	train, test, each := 2000, 4000, map[string][2]int{}
	if testing.Short() {
		test = 1000
	}
	m := &model{each: map[Word]Count{}}
	from := bayestest.New(1, 0)
	for i := range 2 * train {
		x := from.Next(i%2 == 0)
		m.learn(x.Junk, x.Text)
	}
	var found, alarms int
	from = bayestest.New(1, 1)
	for i := range 2 * test {
		x := from.Next(i%2 == 0)
		certainly := m.score(x.Text) >= certain
		n := each[x.Sort]
		n[1]++
		if certainly {
			n[0]++
			if x.Junk {
				found++
			} else {
				alarms++
			}
		}
		each[x.Sort] = n
	}
	var lines []string
	for sort, n := range each {
		lines = append(lines, fmt.Sprintf("%s: %d of %d called junk", sort, n[0], n[1]))
	}
	slices.Sort(lines)
	t.Logf("learnt %d of each kind, %d words; found %d of %d (%.2f %%), false alarms %d of %d (%.3f %%)\n%s", train, len(m.each), found, test, 100*float64(found)/float64(test), alarms, test, 100*float64(alarms)/float64(test), strings.Join(lines, "\n"))
	if found*100 < 95*test || alarms*1000 > test {
		t.Errorf("found %d of %d, false alarms %d of %d", found, test, alarms, test)
	}
}

// What is kept of words in stores must not change: FNV-1a, as hash/fnv has it.
func TestHash(t *testing.T) {
	t.Parallel()
	for _, x := range [][2]string{{"", "a"}, {"subject", "größe"}, {"pair", "a b"}, {"ab", "c"}, {"a", "bc"}} {
		h := fnv.New64a()
		_, _ = h.Write([]byte(x[0] + "\x00" + x[1]))
		if got, want := hash(x[0], x[1]), Word(h.Sum64()); got != want {
			t.Errorf("%q: %d, not %d", x, got, want)
		}
	}
}

// Words stand between the same characters, and count as unspaced, as Unicode has it.
func TestCharacters(t *testing.T) {
	t.Parallel()
	for c := range rune(unicode.MaxRune + 1) {
		if got, want := between(c), !unicode.IsLetter(c) && !unicode.IsDigit(c) && !unicode.IsMark(c) && !strings.ContainsRune("$€£%!'’-.:/@", c); got != want && c != utf8.RuneError {
			t.Errorf("%U stands between words: %v", c, got)
		}
		if c < 0x0e00 && unicode.In(c, unspacedScripts...) {
			t.Errorf("%U is of a script without spaces", c)
		}
	}
}
