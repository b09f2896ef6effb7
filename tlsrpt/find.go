package tlsrpt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"waxwing/message"
)

// ErrNoReport: nothing in the data is a report, nor says that it were one.
var ErrNoReport = errors.New("no TLS report attached")

// maxReports bounds the reports read out of one mail.
const maxReports = 20

// Contains reports whether Find may find something in data, at little cost: nothing is
// unpacked.
func Contains(data []byte) error {
	if !looksLikeMail(data) {
		return nil
	}
	found := false
	err := message.Walk(data, message.Limits{}, func(p message.Part) error {
		found = found || rank(p) < notAtAll
		return nil
	})
	switch {
	case found:
		return nil
	case err != nil:
		return fmt.Errorf("unreadable mail: %w", err)
	}
	return ErrNoReport
}

// Find calls fn for each report in data: a report file, or a mail with reports among
// its parts (RFC 8460 §5.3). It is the one finder for whatever way reports come
// (RPT-26). A part is a report by its content; those whose media type says so are read
// first, then those with a fitting name, then all others that begin as JSON or gzip do.
// A report that comes twice in one mail is given once.
//
// fn's error ends the search and is returned. Where nothing is found the error says why
// the first candidate is none, or is ErrNoReport. Limits.Size is for all reports of a
// mail together. One report is in memory at a time.
func Find(data []byte, limits Limits, fn func(*Report) error) error {
	limits = limits.withDefaults()
	if !looksLikeMail(data) {
		r, err := Parse(bytes.NewReader(data), limits)
		if err != nil {
			return err
		}
		return fn(r)
	}
	f := finder{limits: limits, left: limits.Size, fn: fn, seen: map[string]bool{}}
	var broken error
	for want := typed; want < notAtAll && f.stop == nil; want++ {
		broken = message.Walk(data, message.Limits{}, func(p message.Part) error {
			if rank(p) != want {
				return nil
			}
			return f.try(p)
		})
	}
	switch {
	case f.stop != nil:
		return f.stop
	case len(f.seen) > 0:
		return nil
	case f.why != nil:
		return f.why
	case broken != nil:
		return fmt.Errorf("unreadable mail: %w", broken)
	}
	return ErrNoReport
}

// finder is one search through a mail.
type finder struct {
	limits Limits
	left   int64 // octets that may still be unpacked; parse takes no more of them
	fn     func(*Report) error
	seen   map[string]bool // by organization and id
	why    error           // why the first candidate is no report
	stop   error           // fn's
}

var errEnough = errors.New("enough")

func (f *finder) try(p message.Part) error {
	if f.left == 0 || len(f.seen) >= maxReports {
		return errEnough
	}
	limits := f.limits
	limits.Size = f.left
	r, size, err := parse(p.Reader(), limits)
	f.left -= size
	if err != nil {
		if f.why == nil {
			f.why = err
			if p.Fault != nil {
				f.why = fmt.Errorf("%w (%w)", err, p.Fault)
			}
		}
		return nil
	}
	key := r.Organization + "\x00" + r.ID
	if f.seen[key] {
		return nil
	}
	f.seen[key] = true
	f.stop = f.fn(r)
	return f.stop
}

// How likely a part is a report, the likeliest first.
const (
	typed = iota // its media type is a report's
	named        // its type may be one's, and its name
	like         // it begins as one does
	notAtAll
)

func rank(p message.Part) int {
	switch p.MediaType {
	case MediaGzip, MediaJSON, "application/tlsrpt":
		return typed
	}
	if !begins(p.Reader()) {
		return notAtAll
	}
	name := strings.ToLower(p.Filename)
	if strings.HasSuffix(name, ".json") || strings.HasSuffix(name, ".gz") {
		return named
	}
	return like
}

// begins reports data that begins as JSON or gzip does.
func begins(r io.Reader) bool {
	start := make([]byte, 512)
	n, _ := io.ReadFull(r, start)
	start = bytes.TrimLeft(start[:n], "\ufeff \t\r\n")
	return bytes.HasPrefix(start, []byte{'{'}) || bytes.HasPrefix(start, []byte{0x1f, 0x8b})
}

// looksLikeMail reports data that begins with a header field.
func looksLikeMail(data []byte) bool {
	name, _, ok := bytes.Cut(data[:min(len(data), 512)], []byte{':'})
	name = bytes.TrimRight(name, " \t")
	return ok && len(name) > 0 && !bytes.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`{<"[`, r) })
}
