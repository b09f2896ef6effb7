package reportbox

import (
	"fmt"
	"io"
	"os"
)

// MaxFile bounds what is read of one file of reports, in octets.
const MaxFile = 16 << 20

// ReadFile reads a file that may hold reports.
func ReadFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err == nil && len(b) > MaxFile {
		err = fmt.Errorf("larger than %d MiB: no report is", MaxFile>>20)
	}
	return b, err
}
