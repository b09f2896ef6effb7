package logline

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/slogtest"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func logged(o Options, fn func(*slog.Logger)) string {
	var b bytes.Buffer
	fn(slog.New(New(&b, o)))
	return b.String()
}

// No field is empty, and what is there is there.
func TestEmptyFields(t *testing.T) {
	t.Parallel()
	for _, asJSON := range []bool{false, true} {
		got := logged(Options{JSON: asJSON}, func(l *slog.Logger) {
			l.With("area", "", "kind", "mx").Info("x", "word", "", "host", "h", "due", time.Time{}, "error", error(nil), "rua", []string{}, "attempts", 0,
				slog.Group("g", "a", "", "b", 1), "ok", false)
		})
		for _, gone := range []string{"area", "word", "due", "error", "rua", "g.a"} {
			if strings.Contains(got, gone) {
				t.Errorf("%s is there: %s", gone, got)
			}
		}
		for _, want := range []string{"kind", "host", "attempts", "g.b", "ok"} {
			if !strings.Contains(got, want) {
				t.Errorf("%s is not there: %s", want, got)
			}
		}
	}
}

// No line has more than 300 characters, whatever is logged; short fields stay whole
// beside long ones.
func TestLength(t *testing.T) {
	t.Parallel()
	got := logged(Options{}, func(l *slog.Logger) {
		l.Error("outcome not stored", "message", "1x3j7es2f8qo", "domain", "b.test", "error", errors.New(strings.Repeat("ü \"", 400)), "text", strings.Repeat("y", 200))
	})
	line := strings.TrimSuffix(got, "\n")
	if n := utf8.RuneCountInString(line); n > Longest || n < Longest-40 || strings.Contains(line, "\n") {
		t.Errorf("%d characters: %s", n, line)
	}
	for _, want := range []string{`msg="outcome not stored"`, "message=1x3j7es2f8qo", "domain=b.test", "…"} {
		if !strings.Contains(line, want) {
			t.Errorf("%q is not there: %s", want, line)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		args := []any{}
		for i, v := range rapid.SliceOfN(rapid.String(), 0, 40).Draw(t, "values") {
			args = append(args, fmt.Sprint("k", i), strings.Repeat(v, rapid.IntRange(1, 20).Draw(t, "times")))
		}
		msg := rapid.String().Draw(t, "msg")
		for _, o := range []Options{{}, {Journal: true}} {
			out := strings.TrimSuffix(logged(o, func(l *slog.Logger) { l.Info(msg, args...) }), "\n")
			if n := utf8.RuneCountInString(strings.TrimPrefix(out, "<6>")); n > Longest || strings.Contains(out, "\n") {
				t.Fatalf("%d characters: %q", n, out)
			}
		}
		var v map[string]any
		if out := logged(Options{JSON: true}, func(l *slog.Logger) { l.Info(msg, args...) }); json.Unmarshal([]byte(out), &v) != nil {
			t.Fatalf("no JSON: %q", out)
		}
	})
}

// A stack follows its line, frame by frame; in JSON it is a field.
func TestStack(t *testing.T) {
	t.Parallel()
	stack := "goroutine 1 [running]:\nmain.main()\n\t/main.go:7\n" + strings.Repeat("z", 1000) + "\n"
	do := func(l *slog.Logger) { l.Error("panic contained", "area", "smtp", "stack", stack) }
	lines := strings.Split(strings.TrimSuffix(logged(Options{Journal: true}, do), "\n"), "\n")
	if len(lines) != 5 || lines[0] != `<3>level=ERROR msg="panic contained" area=smtp` || lines[2] != "<3>\tmain.main()" {
		t.Errorf("%q", lines)
	}
	for _, l := range lines {
		if n := utf8.RuneCountInString(l); n > Longest+len("<3>") {
			t.Errorf("%d characters: %s", n, l)
		}
	}
	var v map[string]any
	if out := logged(Options{JSON: true}, do); json.Unmarshal([]byte(out), &v) != nil || v["stack"] != stack {
		t.Errorf("%s", out)
	}
}

// The journal gets priorities and no second time.
func TestJournal(t *testing.T) {
	t.Parallel()
	for level, want := range map[slog.Level]string{slog.LevelDebug: "<7>level=DEBUG", slog.LevelInfo: "<6>level=INFO", slog.LevelWarn: "<4>level=WARN", slog.LevelError: "<3>level=ERROR"} {
		got := logged(Options{Journal: true, Level: slog.LevelDebug}, func(l *slog.Logger) { l.Log(t.Context(), level, "x") })
		if got != want+" msg=x\n" {
			t.Errorf("%s", got)
		}
		if got := logged(Options{Level: slog.LevelDebug}, func(l *slog.Logger) { l.Log(t.Context(), level, "x") }); !strings.HasPrefix(got, "time=") {
			t.Errorf("without a journal: %s", got)
		}
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dev, ino, ok := identity(f)
	if !ok {
		t.Skip("this system's files have no identity")
	}
	stream := fmt.Sprintf("%d:%d", dev, ino)
	if !IsJournal(f, stream) || IsJournal(f, "") || IsJournal(f, stream+"0") || IsJournal(os.Stderr, stream) || IsJournal(&bytes.Buffer{}, stream) {
		t.Error("the journal is not told from a file")
	}
}

// What it does with records and groups is what slog asks of a handler, but for groups,
// which are names with dots here.
func TestHandler(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	err := slogtest.TestHandler(New(&b, Options{JSON: true}), func() (all []map[string]any) {
		for line := range strings.Lines(b.String()) {
			var flat map[string]any
			if err := json.Unmarshal([]byte(line), &flat); err != nil {
				t.Fatal(err)
			}
			all = append(all, nest(flat))
		}
		return all
	})
	if err != nil {
		t.Error(err)
	}
}

// nest makes maps of names with dots.
func nest(flat map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range flat {
		at := out
		for {
			group, rest, ok := strings.Cut(k, ".")
			if !ok {
				at[k] = v
				break
			}
			if at[group] == nil {
				at[group] = map[string]any{}
			}
			at, k = at[group].(map[string]any), rest
		}
	}
	return out
}
