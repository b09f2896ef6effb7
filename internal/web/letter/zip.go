package letter

import (
	"archive/zip"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"strings"
	"unicode"

	"waxwing/internal/foreign"
	"waxwing/internal/jmapserver/email"
	"waxwing/internal/web/gate"
	"waxwing/structure"
)

// maxFiles is how many attachments one file holds.
const maxFiles = 500

// zip is all attachments in one file, made while it is sent.
func (h *Handler) zip(w http.ResponseWriter, _ *http.Request, l *letter) error {
	files := l.parts.Attached
	if len(files) == 0 {
		return errNone
	}
	l.made()
	head := w.Header()
	head.Set("Content-Type", "application/zip")
	name := plainName(structure.DecodeHeader(l.built.Envelope.Subject))
	if name == "" {
		name = "attachments"
	}
	head.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name + ".zip"}))
	z := zip.NewWriter(gate.Paced(w, more))
	used := map[string]bool{}
	for i, p := range files[:min(len(files), maxFiles)] {
		if err := l.pack(z, p, unused(fileName(p, i+1), used)); err != nil {
			panic(http.ErrAbortHandler)
		}
	}
	if z.Close() != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}

func (l *letter) pack(z *zip.Writer, p email.Leaf, name string) error {
	body, err := l.content(p.Number)
	if err != nil {
		return err
	}
	defer body.Close()
	to, err := z.Create(name)
	if err == nil {
		_, err = io.Copy(to, body)
	}
	return err
}

// fileName is a name for a part that is fit for a file: without a path, and with nothing that cannot be seen. The n-th part has
// a name of ours where it has none.
func fileName(p email.Leaf, n int) string {
	name := plainName(p.Filename())
	if name == "" && p.IsMessage() {
		if name = plainName(structure.DecodeHeader(p.Envelope.Subject)); name != "" {
			name += ".eml"
		}
	}
	if name != "" {
		return name
	}
	name = fmt.Sprintf("part-%d", n)
	switch kind := mediaType(p); {
	case p.IsMessage():
		name += ".eml"
	case kind == "text/plain":
		name += ".txt"
	default:
		if all, _ := mime.ExtensionsByType(kind); len(all) > 0 && shownAsIs[kind] {
			name += all[0]
		}
	}
	return name
}

func plainName(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case strings.ContainsRune(`/\:*?"<>|`, r):
			return '_'
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, foreign.Line(s))
	return foreign.Cut(strings.Trim(strings.TrimSpace(s), "."), 150)
}

// unused is a name that no file before has, in whatever letters.
func unused(name string, used map[string]bool) string {
	ext := path.Ext(name)
	stem, try := strings.TrimSuffix(name, ext), name
	for n := 2; used[strings.ToLower(try)]; n++ {
		try = fmt.Sprintf("%s (%d)%s", stem, n, ext)
	}
	used[strings.ToLower(try)] = true
	return try
}
