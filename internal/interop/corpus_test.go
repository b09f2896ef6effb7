//go:build linux

package interop

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"waxwing/dkim"
	"waxwing/dns"
)

// What the generated messages are made of. Everything is chosen by a seed, and what might make
// programs differ is noted in tags, by which testdata/opinions.txt explains differences.

// letter is one generated message, with who hands it in and what is remarkable about it.
type letter struct {
	IP, HELO, Sender string
	Text             []byte
	Tags             []string
	Signed           []string  // what is remarkable about each signature, the lowest first: tags between blanks
	Jobs             []signJob // signatures that dkimpy makes, in the order of their places in Text
}

func (l *letter) tag(format string, args ...any) {
	if s := fmt.Sprintf(format, args...); !slices.Contains(l.Tags, s) {
		l.Tags = append(l.Tags, s)
	}
}

// signJob asks dkimpy for a signature that goes to the top of the message.
type signJob struct {
	Selector, Domain, Key, Canon string
	Length                       bool // l=
}

// authors are the domains of the generated messages: their zones, records relative to them.
var authors = []zone{
	{name: "strict.example", records: []string{"_dmarc TXT \"v=DMARC1; p=reject; adkim=s; aspf=s\"", "@ TXT \"v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all\"",
		"mail A 192.0.2.10", "mail TXT \"v=spf1 a -all\"", "sub TXT \"v=spf1 ip4:192.0.2.0/24 -all\"", "sub A 192.0.2.10"}},
	{name: "relaxed.example", nsec3: true, records: []string{"_dmarc TXT \"v=DMARC1; p=quarantine; sp=reject; rua=mailto:d@relaxed.example\"", "@ TXT \"v=spf1 mx a:mail.relaxed.example/28 ~all\"",
		"@ MX 10 mail", "mail A 192.0.2.10", "sub MX 10 mail", "sub TXT \"v=spf1 redirect=relaxed.example\""}},
	{name: "np.example", trust: unsigned, records: []string{"_dmarc TXT \"v=DMARC1; p=none; sp=quarantine; np=reject\"", "@ TXT \"v=spf1 redirect=_spf.np.example\"",
		"_spf TXT \"v=spf1 include:_net.np.example ?all\"", "_net TXT \"v=spf1 ip4:192.0.2.10 -all\"", "sub A 192.0.2.10", "@ A 192.0.2.10"}},
	{name: "testing.example", records: []string{"_dmarc TXT \"v=DMARC1; p=reject; t=y\"", "@ TXT \"v=spf1 ip4:192.0.2.10 ~all\"", "@ A 192.0.2.10", "sub A 192.0.2.10"}},
	{name: "macro.example", trust: unsigned, records: []string{"_dmarc TXT \"v=DMARC1; p=reject\"", "@ TXT \"v=spf1 exists:%{ir}.%{l1r+-}._allow.%{d2} ptr:none.example -all exp=why.%{d}\"",
		"why TXT \"%{i} is not one of %{o}'s\"", "10.2.0.192.joe._allow A 127.0.0.2", "@ A 192.0.2.10", "sub TXT \"v=spf1 exists:%{l}.%{v}._all.macro.example ~all\"", "joe.in-addr._all A 127.0.0.2"}},
	{name: "bank.example", trust: unsigned, records: []string{"_dmarc TXT \"v=DMARC1; p=reject; psd=y; np=reject\"", "shop A 192.0.2.10", "shop TXT \"v=spf1 ip4:192.0.2.10 -all\"", "shop MX 10 shop",
		"own A 192.0.2.10", "_dmarc.own TXT \"v=DMARC1; p=quarantine; psd=n\"", "own TXT \"v=spf1 +all\""}},
	{name: "none.example", trust: unsigned, records: []string{"@ A 192.0.2.10"}},
	{name: "errors.example", records: []string{"_dmarc TXT \"v=DMARC1; p=reject\"", "_dmarc TXT \"v=DMARC1; p=none\"", "@ TXT \"v=spf1 a:b:c -all\"", "@ A 192.0.2.10",
		"sub TXT \"v=spf1 include:l1.errors.example -all\"", "loops TXT \"v=spf1 include:loops.errors.example -all\"",
		"void TXT \"v=spf1 a:n1.errors.example a:n2.errors.example a:n3.errors.example +all\"", "incl TXT \"v=spf1 include:none.example -all\"", "two TXT \"v=spf1 -all\"", "two TXT \"v=spf1 +all\""}},
}

// further are names below the authors that stand in From or MAIL as well.
var further = []string{"sub.strict.example", "mail.strict.example", "sub.relaxed.example", "gone.relaxed.example", "sub.np.example", "gone.np.example", "sub.testing.example",
	"sub.macro.example", "shop.bank.example", "x.shop.bank.example", "own.bank.example", "sub.errors.example", "loops.errors.example", "void.errors.example", "incl.errors.example", "two.errors.example"}

// corpus makes the zones and the messages.
type corpus struct {
	rand *rand.Rand
	keys []corpusKey
	pem  map[string]string // of RSA keys, by selector, for dkimpy
}

// corpusKey is a key with its record, which every author publishes.
type corpusKey struct {
	selector string
	signer   crypto.Signer
	record   string // "": none
}

// newCorpus makes keys. That of 512 bits is made by OpenSSL: Go makes none so weak.
func newCorpus(dir string, seed uint64) (*corpus, error) {
	c := &corpus{rand: rand.New(rand.NewPCG(seed, 11)), pem: map[string]string{}}
	for selector, bits := range map[string]int{"k2048": 2048, "k1024": 1024, "k512": 512} {
		text, err := output(dir, "openssl", "genrsa", "-traditional", fmt.Sprint(bits))
		if err != nil {
			return nil, err
		}
		c.pem[selector] = text[strings.Index(text, "-----BEGIN"):]
	}
	_, ed, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	good, err := rsaKey(c.pem["k2048"])
	if err != nil {
		return nil, err
	}
	weak, err := rsaKey(c.pem["k1024"])
	if err != nil {
		return nil, err
	}
	small, err := rsaPublic(dir, c.pem["k512"])
	if err != nil {
		return nil, err
	}
	p, err := publicText(good)
	if err != nil {
		return nil, err
	}
	p1024, err := publicText(weak)
	if err != nil {
		return nil, err
	}
	c.keys = []corpusKey{
		{"k2048", good, "v=DKIM1; p=" + p}, {"ked", ed, "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(ed.Public().(ed25519.PublicKey))},
		{"k1024", weak, "v=DKIM1; k=rsa; p=" + p1024}, {"k512", nil, "v=DKIM1; k=rsa; p=" + small},
		{"krevoked", good, "v=DKIM1; p="}, {"kmissing", good, ""}, {"krpt", good, "v=DKIM1; s=tlsrpt; p=" + p}, {"kmail", good, "v=DKIM1; s=email:other; p=" + p},
		{"kstrict", good, "v=DKIM1; t=s; p=" + p}, {"ktest", good, "v=DKIM1; t=y; p=" + p}, {"ksha1", good, "v=DKIM1; h=sha1; p=" + p}, {"kbroken", good, "v=DKIM1; p=%%%"},
		{"kkind", good, "v=DKIM1; k=ed25519; p=" + p},
	}
	for _, k := range c.keys {
		if k.signer == good {
			c.pem[k.selector] = c.pem["k2048"]
		}
	}
	return c, nil
}

func rsaKey(text string) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, fmt.Errorf("no PEM: %s", text)
	}
	return x509.ParsePKCS1PrivateKey(block.Bytes)
}

// rsaPublic is the public part as OpenSSL writes it.
func rsaPublic(dir, key string) (string, error) {
	text, err := output(dir, "sh", "-c", "printf '%s' '"+key+"' | openssl rsa -pubout 2>/dev/null")
	if err != nil {
		return "", err
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return "", fmt.Errorf("no PEM: %s", text)
	}
	return base64.StdEncoding.EncodeToString(block.Bytes), nil
}

func publicText(key *rsa.PrivateKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	return base64.StdEncoding.EncodeToString(der), err
}

// zones are the authors', with the keys.
func (c *corpus) zones() []zone {
	var out []zone
	for _, z := range authors {
		z.records = slices.Clone(z.records)
		for _, k := range c.keys {
			for _, at := range []string{"", ".sub", ".shop", ".own"} {
				if text := k.record; text != "" {
					z.records = append(z.records, fmt.Sprintf("%s._domainkey%s TXT %s", k.selector, at, quotedChunks(text)))
				}
			}
		}
		out = append(out, z)
	}
	// More terms with lookups than RFC 7208 §4.6.4 allows.
	e := &out[slices.IndexFunc(out, func(z zone) bool { return z.name == "errors.example" })]
	for i := 1; i <= 11; i++ {
		e.records = append(e.records, fmt.Sprintf("l%d TXT \"v=spf1 include:l%d.errors.example ?all\"", i, i+1))
	}
	e.records = append(e.records, "l12 TXT \"v=spf1 +all\"")
	return out
}

func quotedChunks(s string) string {
	var out []string
	for chunk := range slices.Chunk([]byte(s), 250) {
		out = append(out, `"`+string(chunk)+`"`)
	}
	return strings.Join(out, " ")
}

func pick[T any](c *corpus, of ...T) T { return of[c.rand.IntN(len(of))] }

// letter makes the nth message.
func (c *corpus) letter(n int) (letter, error) {
	domain := c.domain()
	l := letter{IP: pick(c, "192.0.2.10", "192.0.2.10", "198.51.100.7", "2001:db8::1", "2001:db8:f::2"), HELO: "mail.strict.example"}
	from := c.from(&l, domain)
	local := pick(c, "joe", "joe", "joe+x", "a-joe")
	switch c.rand.IntN(6) {
	case 0:
		l.HELO = pick(c, domain, "mail.relaxed.example")
		l.tag("null-sender")
	case 1:
		l.Sender = local + "@" + c.domain()
	case 2:
		l.Sender = local + "@bogus.example"
		l.tag("sender-bogus")
	default:
		l.Sender = local + "@" + domain
	}
	body := pick(c, "Hello\r\n", "One  line\t with blanks \r\n\r\nand more\r\n\r\n\r\n", "", strings.Repeat("A line of text that is long enough.\r\n", 40), "the end\r\n")
	subject := fmt.Sprintf("Subject: number %d\r\n", n)
	rest := "To: carol@waxwing.example\r\n" + pick(c, subject, strings.Replace(subject, "number", "number \r\n\t ", 1)) + "Date: " + time.Now().UTC().Format(time.RFC1123Z) +
		"\r\nMessage-ID: <" + fmt.Sprint(n) + "@gen.example>\r\n"
	l.Text = []byte(from + rest + "\r\n" + body)
	for range pick(c, 0, 1, 1, 2, 3) {
		if err := c.sign(&l, domain); err != nil {
			return l, err
		}
	}
	return l, nil
}

func (c *corpus) domain() string {
	if c.rand.IntN(2) == 0 {
		return pick(c, further...)
	}
	return pick(c, authors...).name
}

// from makes the From field or fields.
func (c *corpus) from(l *letter, domain string) string {
	a := "joe@" + domain
	labels := strings.Split(domain, ".")
	l.tag("author-%s", labels[len(labels)-2])
	if len(labels) > 2 {
		l.tag("author-below")
	}
	switch c.rand.IntN(16) {
	case 0:
		return "From: \"Joe, the \\\"one\\\"\" <" + a + ">\r\n"
	case 1:
		l.tag("from-blanks")
		return "From: (a comment) joe @ " + domain + " (Joe)\r\n"
	case 2:
		return "From:\r\n =?utf-8?q?J=C3=B6?=\r\n <" + a + ">\r\n"
	case 3:
		l.tag("from-several")
		return "From: " + a + ", ann@" + domain + "\r\n"
	case 4:
		l.tag("from-several")
		return "From: " + a + ", ann@none.example\r\n"
	case 5:
		l.tag("from-none")
		return ""
	case 6:
		l.tag("from-twice")
		return "From: " + a + "\r\nFrom: ann@none.example\r\n"
	case 7:
		l.tag("from-capitals")
		return "FROM: \"joe\"@" + strings.ToUpper(domain) + "\r\n"
	case 8:
		l.tag("from-no-address")
		return "From: Joe\r\n"
	}
	return "From: Joe <" + a + ">\r\n"
}

// sign puts one more signature on top, by one of three programs.
func (c *corpus) sign(l *letter, author string) error {
	k := pick(c, c.keys...)
	if c.rand.IntN(2) == 0 {
		k = c.keys[c.rand.IntN(3)]
	}
	domain := pick(c, author, author, author, c.domain())
	if c.rand.IntN(12) == 0 {
		domain = "bogus.example"
	}
	tags := "key-" + k.selector
	if domain == "bogus.example" {
		tags += " key-bogus"
	}
	key := dkim.Key{Domain: dns.MustParse(domain), Selector: k.selector, Signer: k.signer}
	how := c.rand.IntN(3)
	if bytes.Contains(l.Text, []byte("From: ann@none.example\r\n")) || len(l.Jobs) > 0 || k.selector == "k512" {
		how = 2
	}
	if k.selector == "k1024" && how == 0 {
		how = 1 // ours signs with no such key
	}
	if k.selector == "ked" && how == 2 {
		how = 0
	}
	if !bytes.Contains(bytes.ToLower(l.Text), []byte("from:")) && !bytes.HasPrefix(l.Text, []byte("FROM")) {
		return nil // nobody signs that
	}
	switch {
	case how == 0 && len(l.Jobs) == 0:
		opts := dkim.SignOptions{}
		if c.rand.IntN(5) == 0 {
			opts.Expiration, opts.Now = time.Hour, func() time.Time { return time.Now().Add(-48 * time.Hour) }
			tags += " expired"
		}
		field, err := dkim.Sign(l.Text, []dkim.Key{key}, opts)
		l.Text, l.Signed = append(field, l.Text...), append(l.Signed, tags)
		return err
	case how == 1 && len(l.Jobs) == 0:
		var b bytes.Buffer
		opts := &msgauth.SignOptions{Domain: domain, Selector: k.selector, Signer: k.signer, HeaderKeys: []string{"From", "Subject", "To", "Date"},
			HeaderCanonicalization: pick(c, msgauth.CanonicalizationSimple, msgauth.CanonicalizationRelaxed), BodyCanonicalization: pick(c, msgauth.CanonicalizationSimple, msgauth.CanonicalizationRelaxed)}
		if err := msgauth.Sign(&b, bytes.NewReader(l.Text), opts); err != nil {
			return fmt.Errorf("go-msgauth: %w\n%s", err, l.Text)
		}
		l.Text, l.Signed = b.Bytes(), append(l.Signed, tags)
		return nil
	}
	if k.selector == "ked" {
		return nil
	}
	job := signJob{k.selector, domain, c.pem[k.selector], pick(c, "simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed"), c.rand.IntN(3) == 0}
	if job.Length {
		tags += " l="
	}
	l.Jobs, l.Signed = append(l.Jobs, job), append(l.Signed, tags)
	return nil
}

// tamper breaks the message after it was signed, or adds to it what should not matter.
func (c *corpus) tamper(l *letter) {
	head, body, _ := bytes.Cut(l.Text, []byte("\r\n\r\n"))
	head = append(bytes.Clone(head), "\r\n"...)
	switch c.rand.IntN(9) {
	case 0:
		body = append([]byte("Buy!\r\n"), body...)
	case 1:
		l.tag("body-goes-on")
		body = append(bytes.Clone(body), "And buy!\r\n"...)
	case 2:
		head = append(head, "Subject: another\r\n"...)
	case 3:
		head = bytes.Replace(head, []byte("Subject: "), []byte("Subject: Re: "), 1)
	case 4:
		head = append([]byte("Received: from a.example by b.example; Mon, 30 Nov 2026 00:00:00 +0000\r\nX-Added: 1\r\n"), head...)
	case 5:
		head = bytes.Replace(head, []byte("To: carol"), []byte("To:   carol"), 1)
	case 6:
		body = append(bytes.Clone(body), "\r\n\r\n"...)
	}
	l.Text = slices.Concat(head, []byte("\r\n"), body)
}

func (l *letter) addr() netip.Addr { return netip.MustParseAddr(l.IP) }
