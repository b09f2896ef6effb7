package submitsocket

import (
	"errors"
	"io"
)

// strictReader passes a message on and fails where it holds what SMTP could
// not carry: a bare CR or LF, or an end in the middle of a line (RFC 5321
// §2.3.8). SMTP sessions have a reader of their own that does this.
type strictReader struct {
	r     io.Reader
	left  int64 // octets to come
	last  byte
	fault error
}

var (
	errBare  = errors.New("it holds a bare CR or LF")
	errEnd   = errors.New("its last line does not end in CRLF")
	errShort = errors.New("it is shorter than announced")
)

func (s *strictReader) Read(p []byte) (int, error) {
	if s.fault != nil {
		return 0, s.fault
	}
	n, err := s.r.Read(p)
	s.left -= int64(n)
	for _, c := range p[:n] {
		if (c == '\n') != (s.last == '\r') {
			s.fault = errBare
			return 0, s.fault
		}
		s.last = c
	}
	if errors.Is(err, io.EOF) {
		switch {
		case s.left > 0:
			s.fault = errShort
		case s.last != '\n':
			s.fault = errEnd
		}
		if s.fault != nil {
			return 0, s.fault
		}
	}
	return n, err
}
