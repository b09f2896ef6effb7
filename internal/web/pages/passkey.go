package pages

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"net/http"
	"slices"
	"sync"
)

//go:embed passkey.js
var passkeyScript []byte

// Passkey is a form that a script completes with what a browser's passkey says: without JavaScript there are no
// passkeys. The script sends id, client, data and signature; of a new passkey, key in place of the last.
type Passkey struct {
	Title   string
	Action  string
	Submit  string
	Fields  []Field
	Options string // what the browser is asked, in JSON (package webauthn)
}

func (Passkey) template() string { return "passkey" }

// Form is the form that the script completes.
func (p Passkey) Form() Form {
	form := Form{Method: "post", Action: p.Action, Submit: p.Submit, Fields: slices.Clone(p.Fields)}
	for _, name := range []string{"id", "client", "data", "signature", "key"} {
		form.Fields = append(form.Fields, Field{Name: name, Kind: "hidden"})
	}
	return form
}

// ScriptPath is where the script for passkeys is. Its name changes with it.
var ScriptPath = sync.OnceValue(func() string {
	sum := sha256.Sum256(passkeyScript)
	return "/assets/" + hex.EncodeToString(sum[:8]) + ".js"
})

// ServeScript serves the script for passkeys.
func ServeScript(w http.ResponseWriter, _ *http.Request) {
	SetHeaders(w.Header())
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(passkeyScript) // a browser that has gone wants it no more
}

// Script is the one that a page needs; "": none.
func (p Page) Script() string {
	if slices.ContainsFunc(p.Blocks, func(b Block) bool { _, is := b.(Passkey); return is }) {
		return ScriptPath()
	}
	return ""
}
