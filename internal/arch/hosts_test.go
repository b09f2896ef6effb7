package arch

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// address is a URL in a script, up to what ends a word of the shell.
var address = regexp.MustCompile(`https?://[^\s"'()|;]+`)

// scripts are what builds, tests and measures the project.
var scripts = []string{".ci/run", "Makefile", "scripts/*.sh", "bench/*.sh"}

// foreign are the hosts of text's URLs that are not this machine. One that the
// shell fills in ($site) is not written there.
func foreign(text string) []string {
	var out []string
	for _, s := range address.FindAllString(text, -1) {
		_, host, _ := strings.Cut(s, "://")
		if strings.HasPrefix(host, "$") {
			continue
		}
		u, err := url.Parse(s)
		if err == nil && slices.Contains([]string{"127.0.0.1", "::1", "localhost"}, u.Hostname()) {
			continue
		}
		out = append(out, s)
	}
	return out
}

// TestScriptsNameNoHost: packages and modules come from where the machine's own
// tools are told to take them. A host named in a script is one that its next user
// cannot reach, or must not.
func TestScriptsNameNoHost(t *testing.T) {
	whole(t)
	t.Parallel()
	read := 0
	for _, pattern := range scripts {
		files, err := filepath.Glob(filepath.Join("..", "..", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			read++
			for _, u := range foreign(string(b)) {
				t.Errorf("%s names %s", f, u)
			}
		}
	}
	if read < 4 {
		t.Errorf("read only %d scripts: does the test still see them?", read)
	}
	if got := foreign("a http://packages.example/x b ${y:-https://other.example} c http://127.0.0.1:80/ d $site https://$site/x"); len(got) != 2 {
		t.Errorf("the test itself finds %q", got)
	}
}
