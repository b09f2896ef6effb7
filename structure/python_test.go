package structure

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// pythonWalk prints a line for each part of each message: its type, its file name and what it decodes to.
const pythonWalk = `
import sys, json, base64, zlib, email, email.policy
for line in sys.stdin:
    m = email.message_from_bytes(base64.b64decode(line), policy=email.policy.compat32)
    out = []
    for p in m.walk():
        if p.is_multipart():
            out.append([p.get_content_type(), "", -1, 0])
            continue
        b = p.get_payload(decode=True)
        out.append([p.get_content_type(), p.get_filename() or "", len(b), zlib.crc32(b)])
    print(json.dumps(out))
`

// TestPython compares the tree of types, and what the parts decode to, with what Python's email package makes of
// the odd messages.
func TestPython(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("no python3")
	}
	cmd := exec.Command("python3", "-c", pythonWalk)
	var in bytes.Buffer
	for _, odd := range oddMessages {
		in.WriteString(base64.StdEncoding.EncodeToString(odd.bytes()) + "\n")
	}
	cmd.Stdin = &in
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	for i, odd := range oddMessages {
		var theirs [][]any
		if err := json.Unmarshal([]byte(lines[i]), &theirs); err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, p := range theirs {
			want = append(want, fmt.Sprintf("%v %q %.0f %.0f", p...))
		}
		m, _ := Parse(bytes.NewReader(odd.bytes()))
		got := walkLines(odd.bytes(), m.Root)
		if pythonDiffers[odd.name] == "" && !slices.Equal(got, want) {
			t.Errorf("%s\n ours   %s\n Python %s", odd.name, strings.Join(got, "\n        "), strings.Join(want, "\n        "))
		}
	}
}

func walkLines(raw []byte, p *Part) (out []string) {
	kind := strings.ToLower(p.Type + "/" + p.Subtype)
	if len(p.Parts) > 0 {
		out = append(out, fmt.Sprintf("%s %q -1 0", kind, ""))
		for _, child := range p.Parts {
			out = append(out, walkLines(raw, child)...)
		}
		return out
	}
	r, ok := Decoder(bytes.NewReader(raw[p.Body:p.End]), p.Encoding)
	if !ok {
		r = bytes.NewReader(raw[p.Body:p.End])
	}
	b, _ := io.ReadAll(r)
	return append(out, fmt.Sprintf("%s %q %d %d", kind, p.Filename(), len(b), crc32.ChecksumIEEE(b)))
}

// pythonDiffers says why parts are not what Python finds.
var pythonDiffers = map[string]string{
	"line without colon":          "we read on, as Dovecot does; to Python the body begins there",
	"line without colon first":    "as before",
	"space before colon":          "RFC 5322 §4.5 has it",
	"multipart folded boundary":   "a boundary may be folded",
	"multipart without end":       "the last line end is the part's, where no boundary follows",
	"multipart end only":          "a multipart without parts has a body",
	"multipart empty boundary":    "a boundary has at least one character (RFC 2046 §5.1.1)",
	"boundary prefix":             "only the beginning of a line must be the boundary (RFC 2046 §5.1.1)",
	"boundary nested same":        "the inner one comes first",
	"message encoded":             "messages are not encoded (RFC 2046 §5.2.1): what stands there is the message",
	"message partial":             "it is a piece of a message, and none",
	"delivery status":             "its groups of fields are text",
	"type slash":                  "a broken type is text (RFC 2045 §5.2)",
	"type slash only":             "as before",
	"type comments":               "comments may stand there",
	"type no semicolon":           "the type itself can be read",
	"type comma":                  "as before",
	"type eight bits":             "octets that are no UTF-8 are taken for Windows-1252",
	"params unquoted name":        "white space ends a value that is not quoted",
	"params open quote":           "the quotation mark is not of the value",
	"params pieces mixed up":      "a parameter of which a piece is missing is none",
	"params pieces without first": "as before",
	"params extended and plain":   "the extended form says its charset",
	"params encoded words":        "encoded words are decoded where they may not stand, too",
	"disposition parameter first": "the first word is the disposition",
	"bare carriage return":        "a lone CR ends no line",
	"quoted-printable":            "white space at the end of a line goes (RFC 2045 §6.7)",
}
