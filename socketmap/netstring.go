package socketmap

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// SyntaxError is why a netstring or a request is not one.
type SyntaxError struct{ Text string }

func (e *SyntaxError) Error() string { return "socketmap: " + e.Text }

func syntax(format string, args ...any) error { return &SyntaxError{fmt.Sprintf(format, args...)} }

// maxDigits bounds the digits of a length.
const maxDigits = 7

// AppendNetstring appends b in the form "LENGTH:b,".
func AppendNetstring(dst, b []byte) []byte {
	dst = strconv.AppendInt(dst, int64(len(b)), 10)
	dst = append(dst, ':')
	dst = append(dst, b...)
	return append(dst, ',')
}

// ReadNetstring reads one netstring of at most most octets. The error is io.EOF
// where the stream ends before one begins, io.ErrUnexpectedEOF where it ends
// within, a *SyntaxError where it is malformed or too long, and else the
// reader's. After an error nothing sensible can be read any more.
func ReadNetstring(r *bufio.Reader, most int) ([]byte, error) {
	n, err := readLength(r)
	if err != nil {
		return nil, err
	}
	if n > most {
		return nil, syntax("a netstring of %d octets, more than %d", n, most)
	}
	b := make([]byte, n+1)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, unexpected(err)
	}
	if b[n] != ',' {
		return nil, syntax("a netstring of %d octets does not end in a comma", n)
	}
	return b[:n:n], nil
}

func readLength(r *bufio.Reader) (int, error) {
	n := 0
	for i := 0; ; i++ {
		c, err := r.ReadByte()
		switch {
		case err != nil && i == 0:
			return 0, err
		case err != nil:
			return 0, unexpected(err)
		case c == ':' && i > 0:
			return n, nil
		case c < '0' || c > '9':
			return 0, syntax("a netstring's length has the octet %q", c)
		case i == maxDigits || i > 0 && n == 0:
			return 0, syntax("a netstring's length is no plain number of up to %d digits", maxDigits)
		}
		n = n*10 + int(c-'0')
	}
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
