package dmarcrpt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"waxwing/message"
)

// ErrNoReport: nothing in the data is a report.
var ErrNoReport = errors.New("no DMARC report attached")

// maxReports bounds the reports read out of one mail.
const maxReports = 20

// errEnough ends a walk.
var errEnough = errors.New("enough")

// Find calls fn for each report in data: a report file, or a mail with reports among its parts.
// A part is a report by its content, whatever its type and name say. fn's error ends the search
// and is returned. Where nothing is found, the error says why the first candidate is none, or is
// ErrNoReport. A report that comes twice in one mail is given once.
func Find(data []byte, fn func(*Report) error) error {
	if begins(data) {
		r, err := Read(data)
		if err != nil {
			return err
		}
		return fn(r)
	}
	var why, stop error
	seen := map[string]bool{}
	tries := 0
	broken := message.Walk(data, message.Limits{}, func(p message.Part) error {
		start := make([]byte, 512)
		n, _ := io.ReadFull(p.Reader(), start)
		if !begins(start[:n]) || strings.HasPrefix(p.MediaType, "text/html") {
			return nil
		}
		if tries++; tries > maxReports {
			return errEnough
		}
		r, err := readPart(p)
		switch {
		case err != nil && why == nil:
			why = err
			return nil
		case err != nil || seen[r.Org+"\x00"+r.ID]:
			return nil
		}
		seen[r.Org+"\x00"+r.ID] = true
		stop = fn(r)
		return stop
	})
	switch {
	case stop != nil:
		return stop
	case len(seen) > 0:
		return nil
	case why != nil:
		return why
	case broken != nil && !errors.Is(broken, errEnough):
		return fmt.Errorf("unreadable mail: %w", broken)
	}
	return ErrNoReport
}

func readPart(p message.Part) (*Report, error) {
	b, err := io.ReadAll(io.LimitReader(p.Reader(), MaxFile+1))
	if err != nil {
		return nil, err
	}
	return Read(b)
}

// begins reports data that begins as a report file does: gzip, zip or XML.
func begins(b []byte) bool {
	return bytes.HasPrefix(b, []byte{0x1f, 0x8b}) || bytes.HasPrefix(b, []byte("PK\x03\x04")) || bytes.HasPrefix(bytes.TrimLeft(bytes.TrimPrefix(b, []byte("\ufeff")), " \t\r\n"), []byte("<"))
}
