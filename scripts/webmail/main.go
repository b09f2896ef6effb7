// Command webmail makes the webmail's script: of the TypeScript in internal/web/mail/script, the files in
// internal/web/mail/bundle, which are part of the program. From the root: go run ./scripts/webmail
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/evanw/esbuild/pkg/api"
)

func main() {
	if err := run("internal/web/mail"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run makes the bundles of a folder.
func run(folder string) error {
	made, err := bundles(folder)
	if err != nil {
		return err
	}
	for file, b := range made {
		if err := os.WriteFile(file, b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// bundles are the files with what belongs into them: the page's script, and the service worker's.
func bundles(folder string) (map[string][]byte, error) {
	out := map[string][]byte{}
	for entry, file := range map[string]string{"main.ts": "mail.js", "worker.ts": "worker.js"} {
		r := api.Build(api.BuildOptions{
			EntryPoints: []string{filepath.Join(folder, "script", entry)}, Bundle: true, Format: api.FormatESModule, Target: api.ES2022, Charset: api.CharsetUTF8,
			MinifyWhitespace: true, MinifyIdentifiers: true, MinifySyntax: true, LegalComments: api.LegalCommentsNone, LogLevel: api.LogLevelSilent,
		})
		if len(r.Errors) > 0 {
			m, where := r.Errors[0], ""
			if l := m.Location; l != nil {
				where = fmt.Sprintf("%s:%d: ", l.File, l.Line)
			}
			return nil, fmt.Errorf("%s%s", where, m.Text)
		}
		out[filepath.Join(folder, "bundle", file)] = r.OutputFiles[0].Contents
	}
	return out, nil
}
