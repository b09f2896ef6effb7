package dkim

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCorpus runs the vectors of chasquid (testdata/chasquid/SOURCE.txt), the
// one of RFC 8463 appendix A among them.
func TestCorpus(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/chasquid/*.result")
	if err != nil || len(files) < 9 {
		t.Fatalf("corpus: %d files, %v", len(files), err)
	}
	for _, file := range files {
		base := strings.TrimSuffix(filepath.Base(file), ".result")
		t.Run(base, func(t *testing.T) {
			t.Parallel()
			var want struct {
				Results []struct{ Domain, Selector, B, State string }
			}
			if err := json.Unmarshal(corpus(t, base, "result"), &want); err != nil {
				t.Fatal(err)
			}
			msg := bytes.ReplaceAll(corpus(t, base, "msg"), []byte("\n"), crlf)
			vs, err := Verify(t.Context(), corpusZone(string(corpus(t, base, "dns"))), msg, Limits{Signatures: 5})
			if err != nil {
				t.Fatal(err)
			}
			if len(vs) != len(want.Results) {
				t.Fatalf("%d results, want %d", len(vs), len(want.Results))
			}
			for i, w := range want.Results {
				state := map[Result]string{Pass: "SUCCESS", TempError: "TEMPFAIL"}[vs[i].Result]
				if state == "" {
					state = "PERMFAIL"
				}
				if state != w.State || w.Domain != "" && (vs[i].Domain.ASCII() != w.Domain || vs[i].Selector != w.Selector || !strings.HasPrefix(w.B, vs[i].Signature)) {
					t.Errorf("signature %d: %+v, want %+v", i, vs[i], w)
				}
			}
			if base == "09-limited_body" && (!vs[0].BodyLength || vs[1].BodyLength) {
				t.Error("l= is not noted (AUT-1)")
			}
		})
	}
}

// TestCorpusNoMessage is the case of chasquid that has an error in place of results.
func TestCorpusNoMessage(t *testing.T) {
	t.Parallel()
	msg := bytes.ReplaceAll(corpus(t, "03-bad_message", "msg"), []byte("\n"), crlf)
	if vs, err := Verify(t.Context(), corpusZone(""), msg, Limits{}); err == nil {
		t.Errorf("a header that begins with a continuation is read: %+v", vs)
	}
}

// corpus reads a file; one that holds only another's name stands for that.
func corpus(t *testing.T, base, ext string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata/chasquid", base+"."+ext))
	if err != nil && ext == "dns" { // no question is to be asked
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	if name := strings.TrimSpace(string(b)); strings.HasSuffix(name, "."+ext) && !strings.Contains(name, "\n") {
		return corpus(t, strings.TrimSuffix(name, "."+ext), ext)
	}
	return b
}

// corpusZone reads "name: text" with lines continued by a backslash.
func corpusZone(text string) *zone {
	z := &zone{txt: map[string][]string{}}
	text = strings.ReplaceAll(text, "\\\n", "")
	for line := range strings.SplitSeq(text, "\n") {
		name, value, ok := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if ok && value != "PERMERROR" { // a permanent failure is a name without records here
			z.txt[name] = append(z.txt[name], value)
		}
	}
	return z
}
