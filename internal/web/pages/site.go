package pages

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"sync"
	"time"

	"waxwing/internal/text"
)

//go:embed pages.html
var markup string

//go:embed style.css
var style []byte

// Site is a face with pages: its name, and where they are.
type Site struct {
	Name   string
	Host   string
	Home   string // path
	LogOut string // path that a POST goes to
	Groups []Group
	Others []Place // faces of the same server, named in the head of each page
	Now    func() time.Time
}

// Group is places that belong together.
type Group struct {
	Name   string
	Places []Place
}

// Place is a page that can be gone to from every other.
type Place struct{ Name, Path string }

// View is who looks at a page, and from where.
type View struct {
	Here    string // the path of the place that the page belongs to
	Within  bool   // the page is about one of the things that are listed there
	Visitor string // the account; "": nobody has logged in, and the page stands alone
}

// StylePath is where the style is: its name changes with it, so that browsers keep it for ever.
var StylePath = sync.OnceValue(func() string {
	sum := sha256.Sum256(style)
	return "/assets/" + hex.EncodeToString(sum[:8]) + ".css"
})

// ServeStyle serves the style.
func ServeStyle(w http.ResponseWriter, _ *http.Request) {
	SetHeaders(w.Header())
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(style) // a browser that has gone wants it no more
}

// policy is that of pages: nothing comes from elsewhere, and no script runs.
const policy = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// SetHeaders sets what every answer on pages has (WEB-3): nothing comes from elsewhere, no script
// runs, nobody puts a page into a frame, and nothing is told to others.
func SetHeaders(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	h.Set("Cache-Control", "no-store")
}

var templates = sync.OnceValue(func() *template.Template {
	t := template.New("")
	write := func(name string, v any) (template.HTML, error) {
		var b bytes.Buffer
		err := t.ExecuteTemplate(&b, name, v)
		return template.HTML(b.String()), err //nolint:gosec // the template has escaped it
	}
	t.Funcs(template.FuncMap{
		"block_": func(b Block) (template.HTML, error) { return write(b.template(), b) },
		"cell": func(c Cell, now time.Time) (template.HTML, error) {
			return write("cell", struct {
				Cell Cell
				Now  time.Time
			}{c, now})
		},
		"when": when,
		"field": func(action, name string) string {
			return strings.Trim(strings.NewReplacer("/", "-", "?", "-", "=", "-", "&", "-").Replace(action), "-") + "-" + name
		},
	})
	return template.Must(t.Parse(markup))
})

// moment is a time as a page has it.
type moment struct{ At, Full, Says string }

// when is nil for no time.
func when(t, now time.Time) *moment {
	if t.IsZero() {
		return nil
	}
	full := text.Instant(t)
	m := &moment{At: t.UTC().Format(time.RFC3339), Full: full, Says: full}
	if !now.IsZero() {
		m.Says = text.Moment(t, now)
	}
	return m
}

// Stacked reports whether the fields stand below each other: those of a form that changes something.
func (f Form) Stacked() bool { return f.Method == "post" && len(f.Fields) > 1 }

// Write writes a page.
func (s *Site) Write(w http.ResponseWriter, v View, p Page) error {
	var b bytes.Buffer // whole before the first octet goes: half a page must not look like a whole one
	err := templates().ExecuteTemplate(&b, "page", struct {
		Site  *Site
		Page  Page
		Style string
		View
		Alone bool
	}{s, timed(p, s.Now()), StylePath(), v, v.Visitor == ""})
	if err != nil {
		return fmt.Errorf("page %s: %w", p.Title, err)
	}
	SetHeaders(w.Header())
	if p.Script() != "" {
		w.Header().Set("Content-Security-Policy", policy+"; script-src 'self'")
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if p.Status != 0 {
		w.WriteHeader(p.Status)
	}
	_, err = w.Write(b.Bytes())
	return err
}

// timed says to all blocks what time it is.
func timed(p Page, now time.Time) Page {
	blocks := make([]Block, len(p.Blocks))
	for i, b := range p.Blocks {
		switch b := b.(type) {
		case Table:
			b.Now = now
			blocks[i] = b
		case Facts:
			b.Now = now
			blocks[i] = b
		case Timeline:
			b.Now = now
			blocks[i] = b
		default:
			blocks[i] = b
		}
	}
	p.Blocks = blocks
	return p
}
