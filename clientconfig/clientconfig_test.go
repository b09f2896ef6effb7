package clientconfig

import (
	"bytes"
	"encoding/xml"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func example() Settings {
	return Settings{Domain: "example.org", Host: "mx.example.net", Base: "https://mx.example.net", Servers: []Server{
		{IMAP, "mx.example.net", 993, true}, {IMAP, "mx.example.net", 143, false},
		{Submission, "mx.example.net", 465, true}, {Submission, "mx.example.net", 587, false}, {Sieve, "mx.example.net", 4190, false}}}
}

const joe = "joe&<zoë>@example.org"

// TestGolden is the documents, letter by letter (CLI-1).
func TestGolden(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 30, 22, 5, 9, 0, time.UTC)
	for name, got := range map[string][]byte{
		"config-v1.1.xml":        Thunderbird(example()),
		"autodiscover.xml":       Autodiscover(example(), joe),
		"autodiscover-error.xml": AutodiscoverError(ErrNoSuchSchema, at),
		"mail.mobileconfig":      Profile(example(), joe),
	} {
		file := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
	}
}

// element is one of an XML document, without prefixes.
type element struct {
	name, space string
	attrs       map[string]string
	text        string
	children    []*element
}

// read reads a document, and fails where it is not well formed.
func read(t *testing.T, document []byte) *element {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(document))
	root := &element{}
	stack := []*element{root}
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		top := stack[len(stack)-1]
		switch x := token.(type) {
		case xml.StartElement:
			e := &element{name: x.Name.Local, space: x.Name.Space, attrs: map[string]string{}}
			for _, a := range x.Attr {
				if a.Name.Local != "xmlns" {
					e.attrs[a.Name.Local] = a.Value
				}
			}
			top.children = append(top.children, e)
			stack = append(stack, e)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			top.text += string(x)
		}
	}
	if len(root.children) != 1 {
		t.Fatalf("%d outermost elements in\n%s", len(root.children), document)
	}
	return root.children[0]
}

// structure is what a document may have, as its description says: by the path of an element
// its children in their order, with "?", "*" or "+" for how often, or a pattern of its text.
type structure map[string]string

// check compares an element, and all below it, with what is described.
func (s structure) check(t *testing.T, e *element, path string) {
	t.Helper()
	path = strings.TrimPrefix(path+"/"+e.name, "/")
	for a, v := range e.attrs {
		pattern, known := s[path+"@"+a]
		if !known || !regexp.MustCompile("(?s)^(?:"+pattern+")$").MatchString(v) {
			t.Errorf("%s has the attribute %s=%q, which is not described", path, a, v)
		}
	}
	want, known := s[path]
	if !known {
		t.Errorf("%s is not described", path)
		return
	}
	if pattern, leaf := strings.CutPrefix(want, "="); leaf {
		if len(e.children) > 0 || !regexp.MustCompile("(?s)^(?:"+pattern+")$").MatchString(e.text) {
			t.Errorf("%s is %q, want %s", path, e.text, pattern)
		}
		return
	}
	names := ""
	for _, c := range e.children {
		names += c.name + " "
		s.check(t, c, path)
	}
	order := "^"
	for _, f := range strings.Fields(want) {
		name := strings.TrimRight(f, "?*+")
		order += "(?:" + name + " )" + strings.TrimPrefix(f, name)
	}
	if !regexp.MustCompile(order + "$").MatchString(names) {
		t.Errorf("%s has %s, want %s", path, names, want)
	}
}

const (
	hostPattern = `=[a-z0-9.-]+`
	portPattern = `=[1-9][0-9]*`
)

// thunderbirdFormat is the part of version 1.1 that is used here, as
// draft-ietf-mailmaint-autoconfig-06 §3 and Mozilla's description of the file format have it.
var thunderbirdFormat = structure{
	"clientConfig":         "emailProvider",
	"clientConfig@version": `1\.1`,

	"clientConfig/emailProvider":                  "domain+ displayName displayShortName incomingServer+ outgoingServer+",
	"clientConfig/emailProvider@id":               `[a-z0-9.-]+`,
	"clientConfig/emailProvider/domain":           hostPattern,
	"clientConfig/emailProvider/displayName":      "=.+",
	"clientConfig/emailProvider/displayShortName": "=.+",

	"clientConfig/emailProvider/incomingServer":                "hostname port socketType authentication+ username",
	"clientConfig/emailProvider/incomingServer@type":           "imap|pop3|jmap|exchange",
	"clientConfig/emailProvider/incomingServer/hostname":       hostPattern,
	"clientConfig/emailProvider/incomingServer/port":           portPattern,
	"clientConfig/emailProvider/incomingServer/socketType":     "=plain|SSL|STARTTLS",
	"clientConfig/emailProvider/incomingServer/authentication": "=password-cleartext|password-encrypted|NTLM|GSSAPI|client-IP-address|TLS-client-cert|OAuth2|none",
	"clientConfig/emailProvider/incomingServer/username":       "=.+",
	"clientConfig/emailProvider/outgoingServer":                "hostname port socketType authentication+ username",
	"clientConfig/emailProvider/outgoingServer@type":           "smtp",
	"clientConfig/emailProvider/outgoingServer/hostname":       hostPattern,
	"clientConfig/emailProvider/outgoingServer/port":           portPattern,
	"clientConfig/emailProvider/outgoingServer/socketType":     "=plain|SSL|STARTTLS",
	"clientConfig/emailProvider/outgoingServer/authentication": "=password-cleartext|password-encrypted|NTLM|GSSAPI|client-IP-address|TLS-client-cert|OAuth2|none",
	"clientConfig/emailProvider/outgoingServer/username":       "=.+",
}

// autodiscoverFormat is the part of [MS-OXDSCLI] §2.2.4.1 for accounts that are not Exchange's.
var autodiscoverFormat = structure{
	"Autodiscover":                                          "Response",
	"Autodiscover/Response":                                 "User? Account? Error?",
	"Autodiscover/Response/User":                            "DisplayName",
	"Autodiscover/Response/User/DisplayName":                "=.+",
	"Autodiscover/Response/Account":                         "AccountType Action Protocol+",
	"Autodiscover/Response/Account/AccountType":             "=email",
	"Autodiscover/Response/Account/Action":                  "=settings|redirectAddr|redirectUrl",
	"Autodiscover/Response/Account/Protocol":                "Type Server Port DomainRequired LoginName SPA SSL Encryption AuthRequired UsePOPAuth? SMTPLast?",
	"Autodiscover/Response/Account/Protocol/Type":           "=IMAP|SMTP|POP3",
	"Autodiscover/Response/Account/Protocol/Server":         hostPattern,
	"Autodiscover/Response/Account/Protocol/Port":           portPattern,
	"Autodiscover/Response/Account/Protocol/DomainRequired": "=on|off",
	"Autodiscover/Response/Account/Protocol/LoginName":      "=.+",
	"Autodiscover/Response/Account/Protocol/SPA":            "=on|off",
	"Autodiscover/Response/Account/Protocol/SSL":            "=on|off",
	"Autodiscover/Response/Account/Protocol/Encryption":     "=None|SSL|TLS|Auto",
	"Autodiscover/Response/Account/Protocol/AuthRequired":   "=on|off",
	"Autodiscover/Response/Account/Protocol/UsePOPAuth":     "=on|off",
	"Autodiscover/Response/Account/Protocol/SMTPLast":       "=on|off",
	"Autodiscover/Response/Error":                           "ErrorCode Message DebugData",
	"Autodiscover/Response/Error@Time":                      `\d\d:\d\d:\d\d\.\d+`,
	"Autodiscover/Response/Error@Id":                        `\d+`,
	"Autodiscover/Response/Error/ErrorCode":                 `=\d{3}`,
	"Autodiscover/Response/Error/Message":                   "=.+",
	"Autodiscover/Response/Error/DebugData":                 "=",
}

// TestFormats: the documents are built as those who read them describe it.
func TestFormats(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"joe@example.org", joe, `"]]>"@example.org`} {
		thunderbirdFormat.check(t, read(t, Thunderbird(example())), "")
		for code, document := range map[string][]byte{"": Autodiscover(example(), address), "600": AutodiscoverError(ErrRequest, time.Now())} {
			e := read(t, document)
			autodiscoverFormat.check(t, e, "")
			inner := outlookSchema
			if code != "" {
				inner = responseSchema
			}
			if e.space != responseSchema || e.children[0].space != inner {
				t.Errorf("elements of %s and %s", e.space, e.children[0].space)
			}
		}
	}
}

// kind is of a value in a property list; required says that it must be there.
type kind struct {
	name     string
	required bool
	values   string // a pattern
}

// The keys that are used of Apple's payloads: github.com/apple/device-management, TopLevel.yaml,
// CommonPayloadKeys.yaml and com.apple.mail.managed.yaml.
var (
	common = map[string]kind{
		"PayloadType": {"string", true, `Configuration|com\.apple\.mail\.managed`}, "PayloadVersion": {"integer", true, "1"}, "PayloadIdentifier": {"string", true, `[a-z0-9.-]+`},
		"PayloadUUID":        {"string", true, "[0-9A-F]{8}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{12}"},
		"PayloadDisplayName": {"string", false, ".+"}, "PayloadDescription": {"string", false, ".+"}, "PayloadOrganization": {"string", false, ".+"},
	}
	outermost = map[string]kind{"PayloadContent": {"array", false, ""}, "PayloadRemovalDisallowed": {"bool", false, ""}}
	mail      = map[string]kind{
		"EmailAccountDescription": {"string", false, ".+"}, "EmailAccountType": {"string", true, "EmailTypeIMAP|EmailTypePOP"}, "EmailAddress": {"string", false, ".+@.+"},
		"IncomingMailServerAuthentication": {"string", true, "EmailAuthPassword"}, "IncomingMailServerHostName": {"string", true, `[a-z.]+`},
		"IncomingMailServerPortNumber": {"integer", false, "993"}, "IncomingMailServerUseSSL": {"bool", false, ""}, "IncomingMailServerUsername": {"string", false, ".+@.+"},
		"OutgoingMailServerAuthentication": {"string", true, "EmailAuthPassword"}, "OutgoingMailServerHostName": {"string", true, `[a-z.]+`},
		"OutgoingMailServerPortNumber": {"integer", false, "465"}, "OutgoingMailServerUseSSL": {"bool", false, ""}, "OutgoingMailServerUsername": {"string", false, ".+@.+"},
		"OutgoingPasswordSameAsIncomingPassword": {"bool", false, ""},
	}
)

// checkDict compares a dictionary with the keys that there may be, and returns its values.
func checkDict(t *testing.T, e *element, keys ...map[string]kind) map[string]*element {
	t.Helper()
	if e.name != "dict" || len(e.children)%2 != 0 {
		t.Fatalf("%s with %d elements is no dictionary", e.name, len(e.children))
	}
	out := map[string]*element{}
	for pair := range slices.Chunk(e.children, 2) {
		key, v := pair[0].text, pair[1]
		if pair[0].name != "key" || out[key] != nil {
			t.Errorf("%s %q is no key, or is there twice", pair[0].name, key)
		}
		out[key] = v
		known := false
		for _, all := range keys {
			k, ok := all[key]
			name := v.name
			if name == "true" || name == "false" {
				name = "bool"
			}
			if known = known || ok; ok && (k.name != name || k.values != "" && !regexp.MustCompile("^(?:"+k.values+")$").MatchString(v.text)) {
				t.Errorf("%s is the %s %q, want %+v", key, v.name, v.text, k)
			}
		}
		if !known {
			t.Errorf("the key %s is not described", key)
		}
	}
	for _, all := range keys {
		for key, k := range all {
			if k.required && out[key] == nil {
				t.Errorf("the key %s is missing", key)
			}
		}
	}
	return out
}

// TestProfile: a profile has the keys that Apple describes, with their types; the same address
// gives the same identifiers, and another one others.
func TestProfile(t *testing.T) {
	t.Parallel()
	identifiers := map[string]bool{}
	for _, address := range []string{"joe@example.org", joe, "joe@example.org"} {
		plist := read(t, Profile(example(), address))
		if plist.name != "plist" || plist.attrs["version"] != "1.0" || len(plist.children) != 1 {
			t.Fatalf("%+v", plist)
		}
		top := checkDict(t, plist.children[0], common, outermost)
		content := top["PayloadContent"].children
		if len(content) != 1 {
			t.Fatalf("%d payloads", len(content))
		}
		inner := checkDict(t, content[0], common, mail)
		if inner["EmailAddress"].text != address || inner["OutgoingMailServerUsername"].text != address {
			t.Errorf("%s: %s, %s", address, inner["EmailAddress"].text, inner["OutgoingMailServerUsername"].text)
		}
		for _, d := range []map[string]*element{top, inner} {
			identifiers[d["PayloadIdentifier"].text], identifiers[d["PayloadUUID"].text] = true, true
		}
	}
	if len(identifiers) != 8 {
		t.Errorf("%d identifiers for two addresses", len(identifiers))
	}
	if got := Profile(Settings{Servers: example().Servers[:2]}, "joe@example.org"); got != nil {
		t.Errorf("a profile without a server to send by: %s", got)
	}
	if plutil, err := exec.LookPath("plistutil"); err == nil {
		file := filepath.Join(t.TempDir(), "p")
		os.WriteFile(file, Profile(example(), joe), 0o600)
		if out, err := exec.Command(plutil, "-i", file).CombinedOutput(); err != nil {
			t.Errorf("plistutil: %v\n%s", err, out)
		}
	}
}

// Without one sort of server nothing is said of it.
func TestOneSort(t *testing.T) {
	t.Parallel()
	s := example()
	s.Servers = s.Of(Submission)
	if got := string(Autodiscover(s, "joe@example.org")); strings.Contains(got, "IMAP") || strings.Count(got, "<Protocol>") != 1 || !strings.Contains(got, "465") {
		t.Errorf("%s", got)
	}
	if s.Complete() || !example().complete() {
		t.Error("who can be set up")
	}
}

func (s Settings) complete() bool { return s.Complete() }

func TestProfileURL(t *testing.T) {
	t.Parallel()
	if got, want := ProfileURL(example(), "a+b&c@example.org"), "https://mx.example.net/mail.mobileconfig?emailaddress=a%2Bb%26c%40example.org"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := ProfileURL(Settings{}, "a@example.org"); got != "" {
		t.Errorf("%s", got)
	}
}

const outlooks = `<?xml version="1.0" encoding="utf-8"?>
<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006">
  <Request>
    <EMailAddress>joe@example.org</EMailAddress>
    <AcceptableResponseSchema>http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a</AcceptableResponseSchema>
  </Request>
</Autodiscover>`

// TestParseRequest: requests as programs write them, and what strangers may send in their place.
func TestParseRequest(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in, address string // address "": refused
		outlook           bool
	}{
		{"Outlook", outlooks, "joe@example.org", true},
		{"a phone", strings.ReplaceAll(outlooks, "outlook/", "mobilesync/"), "joe@example.org", false},
		{"no schema", `<Autodiscover><Request><EMailAddress>joe@example.org</EMailAddress></Request></Autodiscover>`, "joe@example.org", true},
		{"prefixes", `<a:Autodiscover xmlns:a="x"><a:Request><a:EMailAddress>j&amp;e@example.org</a:EMailAddress></a:Request></a:Autodiscover>`, "j&e@example.org", true},
		{"a comment in it", `<Autodiscover><Request><EMailAddress>joe<!-- x -->@example.org</EMailAddress></Request></Autodiscover>`, "joe@example.org", true},
		{"nothing", "", "", false},
		{"no address", `<Autodiscover><Request><LegacyDN>/o=x</LegacyDN></Request></Autodiscover>`, "", false},
		{"the address elsewhere", `<Autodiscover><EMailAddress>joe@example.org</EMailAddress></Autodiscover>`, "", false},
		{"not whole", outlooks[:len(outlooks)-20], "", false},
		{"two documents", outlooks + strings.TrimPrefix(outlooks, `<?xml version="1.0" encoding="utf-8"?>`), "", false},
		{"not nested", `<Autodiscover><Request><EMailAddress>joe@example.org</Request></EMailAddress></Autodiscover>`, "", false},
		{"entities that grow", `<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><Autodiscover><Request><EMailAddress>&b;</EMailAddress></Request></Autodiscover>`, "", false},
		{"an entity of a file", `<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><Autodiscover><Request><EMailAddress>&a;</EMailAddress></Request></Autodiscover>`, "", false},
		{"an entity that is not there", `<Autodiscover><Request><EMailAddress>&a;</EMailAddress></Request></Autodiscover>`, "", false},
		{"too deep", strings.Repeat("<Autodiscover>", 1000), "", false},
		{"too large", `<Autodiscover><Request><EMailAddress>joe@example.org</EMailAddress></Request>` + strings.Repeat(" ", MaxRequest) + `</Autodiscover>`, "", false},
		{"a long address", `<Autodiscover><Request><EMailAddress>` + strings.Repeat("a", maxText+1) + `</EMailAddress></Request></Autodiscover>`, "", false},
		{"another charset", strings.Replace(outlooks, "utf-8", "utf-16", 1), "", false},
		{"octets that are no UTF-8", strings.Replace(outlooks, "joe@", "j\xffe@", 1), "", false},
	} {
		got, err := ParseRequest(strings.NewReader(tt.in))
		if got.Address != tt.address || (err == nil) != (tt.address != "") || err == nil && got.Outlook() != tt.outlook {
			t.Errorf("%s: %+v, %v", tt.name, got, err)
		}
	}
}

// FuzzParseRequest: whatever is sent, no more of it is read than a request may have, and what
// is taken of it is bounded.
func FuzzParseRequest(f *testing.F) {
	f.Add(outlooks)
	f.Add(`<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>`)
	f.Add(strings.Repeat("<a>", 100))
	f.Fuzz(func(t *testing.T, in string) {
		r := strings.NewReader(in + strings.Repeat("<x/>", MaxRequest))
		q, err := ParseRequest(r)
		if err == nil {
			t.Fatalf("a request of %d octets is taken", len(in)+4*MaxRequest)
		}
		if int(r.Size())-r.Len() > MaxRequest+1 {
			t.Fatalf("%d octets are read", int(r.Size())-r.Len())
		}
		if q, err = ParseRequest(strings.NewReader(in)); err == nil && (q.Address == "" || len(q.Address) > maxText || len(q.Schema) > maxText) {
			t.Fatalf("%+v", q)
		}
	})
}

// FuzzDocuments: whatever stands in an address, the documents are well formed.
func FuzzDocuments(f *testing.F) {
	f.Add("joe@example.org")
	f.Add(joe)
	f.Add("\x00\xff]]>&#0;")
	f.Fuzz(func(t *testing.T, address string) {
		autodiscoverFormat.check(t, read(t, Autodiscover(example(), "x"+address)), "")
		read(t, Profile(example(), address))
	})
}
