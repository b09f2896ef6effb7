// Package mail serves the webmail (WEB-1, MAIL-1): one page, its script and its style. All that people see of their
// mail, and all that they do with it, the script asks for by JMAP; nothing here knows of mail.
//
// The script is TypeScript, in the folder script. What is served is bundle/mail.js, which scripts/webmail makes of it
// (make generate).
package mail

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"net/http"
	"path"
	"strings"
	"sync"

	"waxwing/internal/web/pages"
)

// Path is where the webmail is.
const Path = "/mail/"

// policy is that of the page: its own script and nothing else runs, no markup is made of strings, and what is in
// its frames and comes from its connections is of this server.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; frame-src 'self'; manifest-src 'self'; worker-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types worker"

//go:embed shell.html mail.css manifest.webmanifest icon.svg bundle
var files embed.FS

// Handler serves all below Path but what others serve there. Its fields are set before its first use.
type Handler struct {
	// Only has a handler serve those who have logged in, and sends all others to do so.
	Only   func(http.Handler) http.Handler
	LogIn  string // path of the page that asks for a password
	LogOut string // path that a POST goes to
	TLS    bool

	setup sync.Once
	mux   *http.ServeMux
}

// ServeHTTP answers a request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.setup.Do(h.prepare)
	pages.SetHeaders(w.Header())
	if h.TLS {
		w.Header().Set("Strict-Transport-Security", "max-age=31536000")
	}
	h.mux.ServeHTTP(w, r)
}

// asset is a file as it is served.
type asset struct {
	media   string
	policy  string // "": that of all pages
	forever bool   // its name changes with it
	plain   []byte
	zipped  []byte
}

func (h *Handler) prepare() {
	h.mux = http.NewServeMux()
	script, style, worker := load("bundle/mail.js"), load("mail.css"), load("bundle/worker.js")
	worker.policy = "default-src 'none'; connect-src 'self'" // what it fetches for the page is fetched by it
	scriptPath, stylePath := Path+"assets/"+name(script.plain)+".js", Path+"assets/"+name(style.plain)+".css"
	script.forever, style.forever = true, true
	for at, a := range map[string]asset{scriptPath: script, stylePath: style, Path + "assets/icon.svg": load("icon.svg"), Path + "manifest.webmanifest": load("manifest.webmanifest"), Path + "worker.js": worker} {
		h.mux.HandleFunc("GET "+at, a.serve)
	}
	page := asset{media: "text/html; charset=utf-8", policy: policy, plain: h.page(scriptPath, stylePath)}
	h.mux.Handle("GET "+Path, h.Only(http.HandlerFunc(page.serve)))
}

// page is the page itself. It is the same for everybody: who has logged in, the script learns by JMAP.
func (h *Handler) page(script, style string) []byte {
	var b bytes.Buffer
	shell := template.Must(template.ParseFS(files, "shell.html"))
	if err := shell.Execute(&b, map[string]string{"Base": pages.StylePath(), "Style": style, "Script": script, "LogIn": h.LogIn, "LogOut": h.LogOut}); err != nil {
		return []byte(err.Error()) // a buffer takes everything, and the template's values are texts
	}
	return b.Bytes()
}

var media = map[string]string{".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".webmanifest": "application/manifest+json"}

// load reads a file that is part of the program.
func load(file string) asset {
	b, err := files.ReadFile(file)
	if err != nil {
		panic(err) // a name above is wrong
	}
	return asset{media: media[path.Ext(file)], plain: b, zipped: zip(b)}
}

func zip(b []byte) []byte {
	var out bytes.Buffer
	z, _ := gzip.NewWriterLevel(&out, gzip.BestCompression)
	_, _ = z.Write(b) // a buffer takes everything
	_ = z.Close()
	return out.Bytes()
}

// name is a name that changes with what it names.
func name(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

func (a *asset) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", a.media)
	if a.policy != "" {
		w.Header().Set("Content-Security-Policy", a.policy)
	}
	if a.forever {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	} else if a.zipped != nil {
		w.Header().Set("Cache-Control", "no-cache")
	}
	w.Header().Add("Vary", "Accept-Encoding")
	b := a.plain
	if a.zipped != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		b = a.zipped
	}
	_, _ = w.Write(b) // a browser that has gone wants it no more
}
