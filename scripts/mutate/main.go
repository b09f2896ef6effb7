// Mutate flips comparisons and booleans of pure packages, one at a time, and runs
// the package's tests on each: a mutant that no test kills shows what the tests do
// not hold. The tree is never changed.
//
//	go run ./scripts/mutate [-sample N] [-list] PACKAGE...
//
// Mutants that change nothing stand in scripts/mutate/equivalent.txt with the reason.
// It exits with 1 if another one lives, or if one of that list dies.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// buildTime is the longest that go test may take beside the tests.
const buildTime = 2 * time.Minute

const equivalentFile = "scripts/mutate/equivalent.txt"

func main() {
	sample := flag.Int("sample", 1, "try every `N`th mutant only, another one each day")
	list := flag.Bool("list", false, "only list the mutants")
	limit := flag.Duration("timeout", time.Minute, "how long the tests may take on one mutant; one that takes longer is dead")
	flag.Parse()
	if err := run(flag.Args(), *sample, *list, *limit); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run(packages []string, sample int, list bool, limit time.Duration) error {
	known, err := equivalents()
	if err != nil {
		return err
	}
	offset := int(time.Now().Unix()/86400) % max(sample, 1)
	var lives, stale []string
	n, dead := 0, 0
	for _, p := range packages {
		all, err := mutants(p)
		if err != nil {
			return err
		}
		if err := test(p, nil, limit); err != nil {
			return fmt.Errorf("the tests of %s fail as they are: %w", p, err)
		}
		for i, m := range all {
			if i%max(sample, 1) != offset {
				continue
			}
			if list {
				fmt.Println(m.key)
				continue
			}
			n++
			err := test(p, &m, limit)
			_, equivalent := known[m.key]
			switch {
			case err != nil && equivalent:
				stale = append(stale, m.key)
			case err != nil:
				dead++
			case !equivalent:
				lives = append(lives, m.key)
				fmt.Printf("lives: %s\n       %s:%d\n", m.key, m.file, m.line)
			}
		}
	}
	fmt.Printf("%d mutants: %d dead, %d of the list of equivalents, %d live\n", n, dead, n-dead-len(lives)-len(stale), len(lives))
	for _, s := range stale {
		fmt.Printf("dies, although %s calls it equivalent: %s\n", equivalentFile, s)
	}
	if len(lives)+len(stale) > 0 {
		return errors.New("mutants live, or the list of equivalents is not true")
	}
	return nil
}

// test runs the package's tests on a mutant; nil means that they pass.
func test(pkg string, m *mutant, limit time.Duration) error {
	// The tests end themselves: a program that is killed by its context leaves the
	// tests that it started running, in an endless loop perhaps.
	args := []string{"test", "-short", "-count=1", "-failfast", "-vet=off", "-timeout", limit.String()}
	if m != nil {
		dir, err := os.MkdirTemp("", "mutate")
		if err != nil {
			return nil
		}
		defer os.RemoveAll(dir)
		overlay, err := m.overlay(dir)
		if err != nil {
			fmt.Fprintln(os.Stderr, "mutate:", err)
			os.Exit(2)
		}
		args = append(args, "-overlay", overlay)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit+buildTime)
	defer cancel()
	args = append(args, "./"+pkg)
	if usesRapid(pkg) {
		args = append(args, "-rapid.nofailfile") // else what a mutant fails on is kept in the tree
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil && m == nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return err
}

// usesRapid reports whether the package's tests know the flags of rapid.
func usesRapid(pkg string) bool {
	files, _ := filepath.Glob(filepath.Join(pkg, "*_test.go"))
	return slices.ContainsFunc(files, func(file string) bool {
		b, err := os.ReadFile(file)
		return err == nil && bytes.Contains(b, []byte(`"pgregory.net/rapid"`))
	})
}

// overlay writes the mutated file and the description with which go test takes it
// in place of the one in the tree.
func (m *mutant) overlay(dir string) (string, error) {
	path, err := filepath.Abs(m.file)
	if err != nil {
		return "", err
	}
	mutated := filepath.Join(dir, "mutated.go")
	if err := os.WriteFile(mutated, m.text, 0o600); err != nil {
		return "", err
	}
	b, err := json.Marshal(map[string]map[string]string{"Replace": {path: mutated}})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, b, 0o600)
}

// equivalents reads the list: a key and a reason, parted by " :: ".
func equivalents() (map[string]string, error) {
	f, err := os.Open(equivalentFile)
	if err != nil {
		return nil, fmt.Errorf("%w; run it from the root of the repository", err)
	}
	defer f.Close()
	out := map[string]string{}
	s := bufio.NewScanner(f)
	for s.Scan() {
		line := strings.TrimSpace(s.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, why, ok := strings.Cut(line, " :: ")
		if !ok || strings.TrimSpace(why) == "" {
			return nil, fmt.Errorf("%s: %q gives no reason", equivalentFile, line)
		}
		out[key] = why
	}
	return out, s.Err()
}
