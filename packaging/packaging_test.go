// Package packaging builds the Debian package (SET-5). What a bare machine makes of it
// is tried by tree.sh.
package packaging

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestContents (SET-5): what the package's list names is there: files of the tree, and
// what build.sh makes.
func TestContents(t *testing.T) {
	t.Parallel()
	var list struct {
		Contents []struct{ Src, Dst string }
		Scripts  map[string]string
	}
	text, err := os.ReadFile("nfpm.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	build, err := os.ReadFile("build.sh")
	if err != nil {
		t.Fatal(err)
	}
	dst := map[string]bool{}
	for _, c := range list.Contents {
		dst[c.Dst] = true
		if name, made := strings.CutPrefix(c.Src, "@STAGE@/"); made {
			if name = strings.TrimSuffix(filepath.Base(name), filepath.Ext(name)); !strings.Contains(string(build), "/"+strings.TrimSuffix(name, "*")) {
				t.Errorf("build.sh makes no %s", c.Src)
			}
			continue
		}
		if found, _ := filepath.Glob(filepath.Join("..", c.Src)); c.Src != "" && len(found) == 0 {
			t.Errorf("%s is not there", c.Src)
		}
	}
	for _, script := range list.Scripts {
		if _, err := os.Stat(filepath.Join("..", script)); err != nil {
			t.Error(err)
		}
	}
	for _, want := range []string{"/usr/bin/waxwing", "/usr/lib/systemd/system/waxwing.service", "/usr/lib/sysusers.d/waxwing.conf", "/usr/lib/tmpfiles.d/waxwing.conf", "/usr/share/man/man1", "/usr/share/bash-completion/completions/waxwing"} {
		if !dst[want] {
			t.Errorf("the package has no %s", want)
		}
	}
}

// TestSendmailOfOthers (SET-5): the package offers itself as sendmail only where no other
// mail server has the name, whether as a file or as a link of its own.
func TestSendmailOfOthers(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile("scripts/postinst")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		path, link string
		offered    bool
	}{
		"nobody":               {"", "", true},
		"Postfix":              {"usr/sbin/sendmail", "", false},
		"Exim":                 {"usr/sbin/sendmail", "exim4", false},
		"Exim's mailq alone":   {"usr/bin/mailq", "../sbin/exim4", false},
		"ours or alternatives": {"usr/sbin/sendmail", "/etc/alternatives/sendmail", true},
	} {
		root := t.TempDir()
		for _, dir := range []string{"usr/sbin", "usr/bin", "usr/lib", "stubs"} {
			if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		err := error(nil)
		switch at := filepath.Join(root, tt.path); {
		case tt.link != "":
			err = os.Symlink(tt.link, at)
		case tt.path != "":
			err = os.WriteFile(at, nil, 0o755)
		}
		for _, tool := range []string{"systemd-sysusers", "systemd-tmpfiles", "update-alternatives"} {
			err = errors.Join(err, os.WriteFile(filepath.Join(root, "stubs", tool), []byte("#!/bin/sh\necho "+tool+"\n"), 0o755))
		}
		if err != nil {
			t.Fatal(err)
		}
		text := strings.NewReplacer("/usr/", root+"/usr/", "/run/", root+"/run/").Replace(string(script))
		run := exec.Command("sh", "-c", text, "postinst", "configure")
		run.Env = []string{"PATH=" + root + "/stubs:/usr/bin:/bin"}
		out, err := run.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v: %s", name, err, out)
		}
		if offered := strings.Contains(string(out), "update-alternatives"); offered != tt.offered {
			t.Errorf("%s: offered as sendmail: %v", name, offered)
		}
	}
}

// TestContainer (SET-5): the image runs as no root, with the two volumes that the
// server's files are in, and looks after itself.
func TestContainer(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("Containerfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`(?m)^USER [1-9]\d*:[1-9]\d*$`, `(?m)^VOLUME \["/etc/waxwing", "/var/lib/waxwing"\]$`, `(?m)^HEALTHCHECK .*CMD \["/usr/bin/waxwing", `, `(?m)^FROM scratch$`} {
		if !regexp.MustCompile(want).Match(text) {
			t.Errorf("Containerfile has no %s", want)
		}
	}
}

// TestInstallPage: from nothing to a service is at most ten commands, and the README shows
// none that the page does not.
func TestInstallPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "docs", "operating", "install.md"))
	if err != nil {
		t.Fatal(err)
	}
	commands := map[string]bool{}
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		for line := range strings.Lines(block[1]) {
			commands[strings.TrimSpace(line)] = true
		}
	}
	if len(commands) < 5 || len(commands) > 10 {
		t.Errorf("%d commands", len(commands))
	}
	readme, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(readme), "```\napt install ")
	text, _, _ = strings.Cut("apt install "+text, "```")
	for line := range strings.Lines(text) {
		if !commands[strings.TrimSpace(line)] {
			t.Errorf("the README shows %q, the page does not", line)
		}
	}
}
