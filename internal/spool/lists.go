package spool

import (
	"slices"
	"strings"

	"waxwing/internal/delivery"
)

// listSizes are the lengths of "?" lists that are used, so that few statements
// have to be prepared.
var listSizes = [...]int{1, 4, 16, 64, 256}

// putMost bounds the rows of one INSERT.
const putMost = 64

// listSize is the length of the list for the first of n values, and how many of
// them stand in it.
func listSize(n int) (size, first int) {
	for _, s := range listSizes {
		if n <= s {
			return s, n
		}
	}
	size = listSizes[len(listSizes)-1]
	return size, size
}

// inList is "(?, ?, …)" and its arguments for the first of some values, at most the
// largest of listSizes. The list is filled up with the last one.
func inList[T any](all []T) (list string, args []any) {
	size, n := listSize(len(all))
	args = make([]any, size)
	for i := range args {
		args[i] = all[min(i, n-1)]
	}
	return "(?" + strings.Repeat(", ?", size-1) + ")", args
}

// eachIn calls fn with such a list for all values, some at a time.
func eachIn[T any](all []T, fn func(list string, args []any) error) error {
	for len(all) > 0 {
		if err := fn(inList(all)); err != nil {
			return err
		}
		_, n := listSize(len(all))
		all = all[n:]
	}
	return nil
}

// eachList calls fn for parts of all in its order, of few lengths: a list that cannot be
// filled up.
func eachList[T any](all []T, fn func([]T) error) error {
	for len(all) > 0 {
		n := 1
		for _, size := range listSizes {
			if size <= min(len(all), putMost) {
				n = size
			}
		}
		if err := fn(all[:n]); err != nil {
			return err
		}
		all = all[n:]
	}
	return nil
}

// names are contacts as they are stored, each once.
func names(contacts []delivery.Contact) []string {
	out := make([]string, len(contacts))
	for i, c := range contacts {
		out[i] = c.String()
	}
	slices.Sort(out)
	return slices.Compact(out)
}
