package bayes

import (
	"cmp"
	"math"
	"slices"
)

// Count is how many messages of each kind there were, or had a word.
type Count struct{ Good, Junk int64 }

// The method's constants.
const (
	strength = 0.45 // how much evidence it takes to believe more of a word than prior
	prior    = 0.5
	least    = 0.1 // how far from even a word must be to be asked
	most     = 150 // words that are asked, the strongest first
)

// Score is what a message with these words is like: from 0, what is kept, to 1, junk; about
// 0.5 where nobody could tell. all is how many messages were learnt, seen how many of them
// had each word of the message.
func Score(all Count, seen []Count) float64 {
	var each []float64
	for _, c := range seen {
		if p := probability(all, c); math.Abs(p-0.5) >= least {
			each = append(each, p)
		}
	}
	slices.SortFunc(each, func(a, b float64) int { return cmp.Compare(math.Abs(b-0.5), math.Abs(a-0.5)) })
	each = each[:min(len(each), most)]
	if len(each) == 0 {
		return 0.5
	}
	var junk, good float64
	for _, p := range each {
		junk += math.Log(1 - p)
		good += math.Log(p)
	}
	s, h := 1-chance(-2*junk, len(each)), 1-chance(-2*good, len(each))
	return (1 + s - h) / 2
}

// probability that a message with a word is junk.
func probability(all, c Count) float64 {
	n := float64(c.Good + c.Junk)
	if n <= 0 || all.Good <= 0 || all.Junk <= 0 {
		return prior
	}
	junk, good := float64(c.Junk)/float64(all.Junk), float64(c.Good)/float64(all.Good)
	return (strength*prior + n*junk/(junk+good)) / (strength + n)
}

// chance is how likely a sum of chi squares of 2n degrees is at least x.
func chance(x float64, n int) float64 {
	m := x / 2
	term := math.Exp(-m)
	sum := term
	for i := 1; i < n; i++ {
		term *= m / float64(i)
		sum += term
	}
	return min(sum, 1)
}
