package reason

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the list of reasons in docs/operating/why.md")

// Every word stands in the table once, with a meaning, a cure and who can; what stops mail
// can be cured, or passes by itself.
func TestTable(t *testing.T) {
	t.Parallel()
	seen := map[Word]bool{}
	for _, e := range All() {
		if seen[e.Word] {
			t.Errorf("%s stands in the table twice", e.Word)
		}
		seen[e.Word] = true
		if strings.Trim(string(e.Word), "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || e.Word == "" {
			t.Errorf("%q is no word", e.Word)
		}
		if e.Meaning == "" || e.Cure == "" {
			t.Errorf("%s: the meaning is %q, the cure %q", e.Word, e.Meaning, e.Cure)
		}
		if nothing := strings.HasPrefix(e.Cure, none); nothing && e.Who != Nobody || e.Kind == Permanent && e.Who == Nobody {
			t.Errorf("%s: %q is for %d, and the kind is %d", e.Word, e.Cure, e.Who, e.Kind)
		}
		for _, s := range []string{e.Meaning, e.Cure} {
			if strings.HasSuffix(s, ".") || strings.ContainsAny(s, "|\n") {
				t.Errorf("%s: %q is no clause for a table", e.Word, s)
			}
		}
		if got, ok := Of(e.Word); !ok || got != e {
			t.Errorf("Of(%s) is %+v, %v", e.Word, got, ok)
		}
	}
}

// The families have meanings too, made from what the peer said; other words have none.
func TestFamilies(t *testing.T) {
	t.Parallel()
	for w, want := range map[Word]string{
		StartTLSReply(454):        "454",
		Alert("decode_error"):     "decode error",
		Alert("alert_200"):        "200",
		Alert("access_denied"):    "TLS alert 49",
		Alert("protocol_version"): "TLS version",
	} {
		if e, ok := Of(w); !ok || !strings.Contains(e.Meaning, want) || w.Cure() == "" {
			t.Errorf("%s: %+v, %v", w, e, ok)
		}
	}
	if code, ok := StartTLSReply(502).StartTLSCode(); code != 502 || !ok {
		t.Errorf("code %d, %v", code, ok)
	}
	if name, ok := Alert("unknown_ca").AlertName(); name != "unknown-ca" || !ok {
		t.Errorf("alert %q, %v", name, ok)
	}
	for _, w := range []Word{"", "x", "starttls-reply-", "starttls-reply-x", "tls-alert"} {
		if e, ok := Of(w); ok || w.Meaning() != "" || w.Cure() != "" {
			t.Errorf("%q is explained: %+v", w, e)
		}
	}
	if _, ok := TLSClosed.StartTLSCode(); ok {
		t.Error("a word without a code has one")
	}
	if w := MXSecure; w.Cure() != "" || w.Meaning() == "" {
		t.Errorf("a fact: %q, %q", w.Meaning(), w.Cure())
	}
}

const begin, end = "<!-- reasons -->\n", "<!-- /reasons -->\n"

// docs/operating/why.md lists exactly the words of the table.
func TestDocs(t *testing.T) {
	t.Parallel()
	const file = "../../docs/operating/why.md"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), begin)
	was, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the reasons between %q and %q", file, begin, end)
	}
	list := docs()
	if was == list {
		return
	}
	if !*update {
		t.Fatalf("%s is stale: go test ./internal/reason -update", file)
	}
	if err := os.WriteFile(file, []byte(before+begin+list+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func docs() string {
	kinds := map[Kind]string{Fact: "–", Temporary: "waits", Permanent: "is returned", Either: "waits or is returned"}
	who := map[Who]string{Nobody: "–", Domain: "they: the domain", Host: "they: the host", Sender: "the sender", Operator: "you"}
	var b strings.Builder
	b.WriteString("| word | what it means | the mail | who can cure it | how |\n|---|---|---|---|---|\n")
	row := func(word string, e Entry) {
		cure := fill(e.Cure, nil)
		if cure == none {
			cure = "–"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", word, e.Meaning, kinds[e.Kind], who[e.Who], cure)
	}
	for _, e := range All() {
		row(string(e.Word), e)
	}
	row("starttls-reply-NNN", Entry{Kind: Temporary, Who: Host, Meaning: "the host answered STARTTLS with NNN instead of 220", Cure: StartTLSReply(454).Cure()})
	row("tls-alert-…", Entry{Kind: Temporary, Who: Host, Meaning: "the host ended the TLS handshake with the alert …", Cure: Alert("x").Cure()})
	return b.String()
}
