package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"waxwing/dkim"
	"waxwing/dns"
)

// signedSenders are the domains that the messages of a corpus come from.
const signedSenders = 100

// sendingService signs every message of a corpus, beside its author's domain.
const sendingService = "service.example"

// letter is one message with its sender.
type letter struct {
	from string
	text []byte // as it goes over the wire, with the dot at its end
}

// cmdCorpus writes messages that all differ, each with a signature of its author's domain and one
// of the service that sends it, both RSA with 2,048 bits; and the records that they are checked by.
func cmdCorpus(args []string) {
	fs := flag.NewFlagSet("corpus", flag.ExitOnError)
	dir := fs.String("dir", "", "where the files messages and records are written")
	n := fs.Int("n", 1000, "messages")
	size := fs.Int("size", 10240, "octets a message, about")
	fs.Parse(args)
	var keys []dkim.Key
	var records []string
	for _, owner := range []string{"signed.example", sendingService} {
		signer, err := dkim.GenerateRSA(2048)
		fatal(err)
		record, err := dkim.Record(signer.Public())
		fatal(err)
		keys = append(keys, dkim.Key{Domain: dns.MustParse(owner), Selector: "rsa", Signer: signer})
		records = append(records, fmt.Sprintf(`TXT "%s" "%s"`, record[:200], record[200:]))
	}
	fatal(writeRecords(filepath.Join(*dir, "records"), records[0], records[1]))
	letters := make([]letter, *n)
	var wg sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		wg.Go(func() {
			a := newAuthor(uint64(w))
			for i := w; i < len(letters); i += workers {
				letters[i] = a.letter(i, *size, keys)
			}
		})
	}
	wg.Wait()
	fatal(writeLetters(filepath.Join(*dir, "messages"), letters))
}

// writeRecords writes the records of all senders, a line each.
func writeRecords(path, author, service string) error {
	var b strings.Builder
	for i := range signedSenders {
		d := senderDomain(i)
		fmt.Fprintf(&b, "%s. MX 10 mx.%[1]s.\nmx.%[1]s. A 127.0.0.1\n%[1]s. TXT \"v=spf1 ip4:192.0.2.0/24 ip4:127.0.0.0/8 -all\"\n", d)
		fmt.Fprintf(&b, "_dmarc.%s. TXT \"v=DMARC1; p=reject; rua=mailto:reports@%[1]s\"\nrsa._domainkey.%[1]s. %s\n", d, author)
	}
	fmt.Fprintf(&b, "load.%s. A 127.0.0.1\nload.%[1]s. TXT \"v=spf1 ip4:127.0.0.0/8 -all\"\nrsa._domainkey.%[1]s. %s\n", sendingService, service)
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

func senderDomain(i int) string { return fmt.Sprintf("s%d.signed.example", i%signedSenders) }

// author writes text of words of which few are frequent and most are not.
type author struct {
	r     *rand.Rand
	words []string
}

func newAuthor(part uint64) *author {
	a := &author{r: rand.New(rand.NewPCG(1, part))}
	vocabulary := rand.New(rand.NewPCG(1, 1<<32))
	for range 5000 {
		var w strings.Builder
		for range 1 + vocabulary.IntN(4) {
			w.WriteByte("bcdfghklmnprstvw"[vocabulary.IntN(16)])
			w.WriteByte("aeiou"[vocabulary.IntN(5)])
		}
		a.words = append(a.words, w.String())
	}
	return a
}

func (a *author) line(width int) string {
	var b strings.Builder
	for {
		f := a.r.Float64()
		w := a.words[int(f*f*f*float64(len(a.words)))]
		if b.Len()+1+len(w) > width {
			return b.String()
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(w)
	}
}

// letter writes and signs message i.
func (a *author) letter(i, size int, keys []dkim.Key) letter {
	domain := senderDomain(i)
	from := fmt.Sprintf("person%d@%s", i%1000, domain)
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: A Person <%s>\r\nTo: Somebody Else <rcpt%d@rcpt.example>\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%x.%[2]d@%[6]s>\r\nMIME-Version: 1.0\r\n"+
		"Content-Type: text/plain; charset=us-ascii\r\nList-Unsubscribe: <https://%[6]s/off/%[2]d>\r\n\r\n", from, i+1, a.line(40), time.Now().Format(time.RFC1123Z), a.r.Uint64(), domain)
	for b.Len() < size {
		b.WriteString(a.line(76))
		b.WriteString("\r\n")
	}
	mine := []dkim.Key{keys[0], keys[1]}
	mine[0].Domain = dns.MustParse(domain)
	field, err := dkim.Sign(b.Bytes(), mine, dkim.SignOptions{})
	fatal(err)
	return letter{from, append(append(field, b.Bytes()...), ".\r\n"...)}
}

// writeLetters writes each as two texts with their lengths before them.
func writeLetters(path string, letters []letter) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	for _, l := range letters {
		for _, part := range [][]byte{[]byte(l.from), l.text} {
			if err := binary.Write(w, binary.BigEndian, uint32(len(part))); err != nil {
				return err
			}
			if _, err := w.Write(part); err != nil {
				return err
			}
		}
	}
	return w.Flush()
}

func readLetters(path string) (letters []letter, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := bufio.NewReader(f)
	for {
		var parts [2][]byte
		for i := range parts {
			var n uint32
			if err := binary.Read(r, binary.BigEndian, &n); errors.Is(err, io.EOF) && i == 0 {
				return letters, nil
			} else if err != nil {
				return nil, err
			}
			parts[i] = make([]byte, n)
			if _, err := io.ReadFull(r, parts[i]); err != nil {
				return nil, err
			}
		}
		letters = append(letters, letter{string(parts[0]), parts[1]})
	}
}
