package dmarcrpt

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
)

// The bounds of a file.
const (
	MaxFile     = 10 << 20 // octets of a report as sent
	MaxUnpacked = 32 << 20 // and of its XML
)

var errTooLarge = errors.New("DMARC report: larger than is read")

// Read unpacks and parses a report as it is sent: XML, gzip of it, or a zip
// archive with it. What it is shows from its first octets, never from a name.
func Read(file []byte) (*Report, error) {
	if len(file) > MaxFile {
		return nil, errTooLarge
	}
	r, err := Unpack(file)
	if err != nil {
		return nil, err
	}
	l := &limited{r: r, left: MaxUnpacked}
	report, err := Parse(l)
	if l.left < 0 {
		return nil, errTooLarge
	}
	return report, err
}

// Unpack opens the XML in a file.
func Unpack(file []byte) (io.Reader, error) {
	switch {
	case bytes.HasPrefix(file, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(bytes.NewReader(file))
		if err != nil {
			return nil, fmt.Errorf("DMARC report: %w", err)
		}
		z.Multistream(false) // octets behind the stream are ignored
		return z, nil
	case bytes.HasPrefix(file, []byte("PK")):
		return openZip(file)
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(file, []byte("\ufeff")), " \t\r\n")
	if !bytes.HasPrefix(text, []byte("<")) {
		return nil, errors.New("DMARC report: neither XML nor gzip nor zip")
	}
	return bytes.NewReader(text), nil
}

func openZip(file []byte) (io.Reader, error) {
	z, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return nil, fmt.Errorf("DMARC report: %w", err)
	}
	for _, f := range z.File {
		if f.FileInfo().IsDir() || len(z.File) > 1 && !strings.HasSuffix(strings.ToLower(f.Name), ".xml") {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return nil, fmt.Errorf("DMARC report: %w", err)
		}
		return r, nil
	}
	return nil, errors.New("DMARC report: no XML file in the archive")
}

// limited ends with an error at its limit, where io.LimitReader ends as if all was read.
type limited struct {
	r    io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left < 0 {
		return 0, errTooLarge
	}
	n, err := l.r.Read(p[:min(int64(len(p)), l.left+1)])
	if l.left -= int64(n); l.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}
