package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHost: the policy is served as it stands in its file, a report is written unpacked,
// and nothing else is taken.
func TestHost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := host{policy: filepath.Join(dir, "policy"), reports: dir}
	if err := os.WriteFile(h.policy, []byte("version: STSv1\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h.handler())
	defer srv.Close()
	resp, err := http.Get(srv.URL + "/.well-known/mta-sts.txt")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if resp.Body.Close(); err != nil || string(text) != "version: STSv1\r\n" || resp.Header.Get("Content-Type") != "text/plain" {
		t.Errorf("%q, %v, %v", text, resp.Header, err)
	}
	var packed bytes.Buffer
	zw := gzip.NewWriter(&packed)
	io.WriteString(zw, `{"a":1}`)
	zw.Close()
	for _, tt := range []struct {
		kind, body string
		status     int
	}{
		{"application/tlsrpt+gzip", packed.String(), http.StatusCreated},
		{"application/tlsrpt+json", `{"b":2}`, http.StatusCreated},
		{"application/tlsrpt+gzip", "not packed", http.StatusBadRequest},
		{"text/plain", "{}", http.StatusBadRequest},
		{"application/tlsrpt+json", strings.Repeat(" ", 1<<20+1), http.StatusBadRequest},
	} {
		resp, err := http.Post(srv.URL+"/tlsrpt", tt.kind, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != tt.status {
			t.Errorf("%s: %s", tt.kind, resp.Status)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) != 2 {
		t.Fatalf("%v, %v", files, err)
	}
	var all string
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all += string(b)
	}
	if !strings.Contains(all, `{"a":1}`) || !strings.Contains(all, `{"b":2}`) {
		t.Errorf("%q", all)
	}
}
