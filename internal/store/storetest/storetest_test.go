package storetest_test

import (
	"testing"

	"waxwing/internal/store/storetest"
)

// BenchmarkOpen is what every test that opens a store pays first.
func BenchmarkOpen(b *testing.B) {
	for b.Loop() {
		storetest.Open(b).Close()
	}
}
