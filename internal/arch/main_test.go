package arch

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// TestMain: these tests read source. A sample of the tests, with a detector of races perhaps, has nothing to find here.
func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		fmt.Println("the source is not read with -short")
		os.Exit(0)
	}
	os.Exit(m.Run())
}
