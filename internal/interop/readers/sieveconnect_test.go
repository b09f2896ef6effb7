package readers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// SIV-2: sieve-connect stores, lists, checks, activates, reads back and removes scripts, over TLS whose
// certificate it verifies, with each mechanism that it has.
func TestSieveConnect(t *testing.T) {
	t.Parallel()
	w := start(t, "sieve-connect")
	const script = "require [\"fileinto\", \"mailbox\"];\nif header :contains \"subject\" \"Grüße\" {\n  fileinto :create \"Lists\";\n}\n"
	w.write("good.sieve", script)
	w.write("bad.sieve", "keep;\nfileinto \"x\";\n")
	w.write("password", "$PASSWORD")
	w.write("call.sh", "exec sieve-connect --server $HOST --port $EDIT --tlscafile $CA --user joe@example.test --passwordfd 3 \"$@\" 3<$DIR/password\n")
	call := func(args ...string) string { return w.command("sh", append([]string{"call.sh"}, args...)...) }
	for _, mechanism := range []string{"PLAIN", "LOGIN"} {
		if said := call("--authmech", mechanism, "--list"); strings.TrimSpace(said) != "" {
			t.Errorf("%s, no scripts: %s", mechanism, said)
		}
	}
	call("--localsieve", "good.sieve", "--remotesieve", "main", "--upload")
	call("--localsieve", "good.sieve", "--remotesieve", "other", "--upload")
	call("--remotesieve", "main", "--activate")
	if said := call("--list"); !strings.Contains(said, `"main" ACTIVE`) || !strings.Contains(said, `"other"`) {
		t.Errorf("list: %s", said)
	}
	call("--localsieve", "back.sieve", "--remotesieve", "main", "--download")
	if back, err := os.ReadFile(filepath.Join(w.dir, "back.sieve")); err != nil || string(back) != script {
		t.Errorf("read back: %q, %v", back, err)
	}
	call("--remotesieve", "other", "--delete")
	call("--deactivate")
	if said := call("--list"); strings.Contains(said, "ACTIVE") || strings.Contains(said, "other") {
		t.Errorf("list: %s", said)
	}
	w.write("check.sh", "sh call.sh --localsieve bad.sieve --checkscript 2>&1; echo code $?\n")
	if said := w.command("sh", "check.sh"); !strings.Contains(said, `line 2: fileinto needs require`) || strings.Contains(said, "code 0") {
		t.Errorf("a script that is wrong: %s", said)
	}
}
