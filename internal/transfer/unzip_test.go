package transfer_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/internal/mailboxes"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/internal/transfer"
)

// packed is an archive of files, in the order of their names.
func packed(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)})
		must(t, err)
		_, err = io.WriteString(w, files[name])
		must(t, err)
	}
	must(t, z.Close())
	return b.Bytes()
}

func unzip(t *testing.T, m *mailboxes.Store, account, box string, b []byte) ([]string, error) {
	t.Helper()
	im, left := importer(m, account)
	im.Again = true
	err := im.Zip(t.Context(), bytes.NewReader(b), int64(len(b)), box)
	return *left, err
}

// MAIL-7: what is given out as an archive comes back as it was, of both sorts, once.
func TestZipComesBack(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, m *mailboxes.Store) {
		account(t, db, "you")
		files := map[string]string{"mail/cur/1700000001.a.host:2,FS": "Subject: one\n\none\n", "mail/new/1700000002.b.host": "Subject: two\n\ntwo\n", "mail/.Old.Things/cur/1700000003.c.host:2,Sa": "Subject: three\n\nthree\n",
			"mail/.Old.Things/dovecot-keywords": "0 $Forwarded\n", "mail/tmp/x": "Subject: no\n\nno\n", "mail/.Empty/cur/": "", "mail/subscriptions": "Old.Things\n", "__MACOSX/mail/cur/._1": "no"}
		left, err := unzip(t, m, "you", "", packed(t, files))
		must(t, err)
		got := all(t, m, "you")
		want := []string{`INBOX 2026-01-02 03:04:05 +0000 UTC [\Flagged \Seen] "Subject: one\r\n\r\none\r\n"`, `INBOX 2026-01-02 03:04:05 +0000 UTC [] "Subject: two\r\n\r\ntwo\r\n"`,
			`Old/Things 2026-01-02 03:04:05 +0000 UTC [$Forwarded \Seen] "Subject: three\r\n\r\nthree\r\n"`}
		if !slices.Equal(got, want) || len(left) > 0 {
			t.Errorf("%s\nleft %v", strings.Join(got, "\n"), left)
		}
		for i, write := range []func(*transfer.Exporter, io.Writer) error{
			func(ex *transfer.Exporter, w io.Writer) error {
				boxes, err := m.Boxes(t.Context(), "you")
				must(t, err)
				return ex.MaildirZip(t.Context(), boxes, w)
			},
			func(ex *transfer.Exporter, w io.Writer) error {
				boxes, err := m.Boxes(t.Context(), "you")
				must(t, err)
				return ex.MboxZip(t.Context(), boxes, w)
			},
		} {
			var b bytes.Buffer
			ex, _ := exporter(m, "you")
			must(t, write(ex, &b))
			to := fmt.Sprint("copy", i)
			account(t, db, to)
			for range 2 { // what is there already is left out
				left, err := unzip(t, m, to, "", b.Bytes())
				must(t, err)
				if again := all(t, m, to); !slices.Equal(again, want) || len(left) > 0 {
					t.Errorf("%s\nleft %v", strings.Join(again, "\n"), left)
				}
			}
		}
		account(t, db, "below")
		_, err = unzip(t, m, "below", "Imported", packed(t, files))
		must(t, err)
		if got := all(t, m, "below"); len(got) != 3 || !strings.HasPrefix(got[0], "Imported ") || !strings.HasPrefix(got[2], "Imported/Old/Things ") {
			t.Errorf("%s", strings.Join(got, "\n"))
		}
	})
}

// MAIL-7: what an archive says of itself costs no more than bounds allow.
func TestZipBombs(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	m := &mailboxes.Store{DB: db}
	account(t, db, "you")
	zeros := strings.Repeat("\x00", 8<<20)
	large := map[string]string{}
	for i := range 12 {
		large[fmt.Sprintf("cur/%d.x.host", i)] = "Subject: x\n\n" + zeros
	}
	bomb := packed(t, large)
	names := map[string]string{}
	for i := range 560 {
		names["cur/"+strings.Repeat("x", 60_000)+fmt.Sprint(i)] = ""
	}
	// One message of which the list has ten thousand: they overlap.
	one := packed(t, map[string]string{"cur/1.x.host": "Subject: x\n\n" + zeros[:1<<20]})
	end := bytes.LastIndex(one, []byte("PK\x05\x06"))
	dir := one[binary.LittleEndian.Uint32(one[end+16:]):end]
	overlapping := slices.Concat(one[:end], bytes.Repeat(dir, 9_999), one[end:])
	at := len(overlapping) - 22
	binary.LittleEndian.PutUint16(overlapping[at+8:], 10_000)
	binary.LittleEndian.PutUint16(overlapping[at+10:], 10_000)
	binary.LittleEndian.PutUint32(overlapping[at+12:], uint32(10_000*len(dir)))
	for _, tt := range []struct {
		what    string
		archive []byte
		err     error
	}{
		{"it unpacks to a thousand times its size", bomb, transfer.ErrUnpacked},
		{"its files overlap", overlapping, transfer.ErrUnpacked},
		{"its list is long", packed(t, names), transfer.ErrListed},
		{"it is cut off", bomb[:len(bomb)-30], transfer.ErrArchive},
		{"it is no archive", []byte("PK\x03\x04 and nothing more"), transfer.ErrArchive},
		{"it has no mail", packed(t, map[string]string{"a.txt": "hello", "b/c.jpg": "x"}), transfer.ErrNoMail},
	} {
		if _, err := unzip(t, m, "you", "", tt.archive); !errors.Is(err, tt.err) {
			t.Errorf("%s: %v", tt.what, err)
		}
	}
	left, err := unzip(t, m, "you", "Kept", packed(t, map[string]string{"../../cur/1.x.host": "Subject: up\n\nx\n", "C:\\mail\\cur\\2.x.host": "Subject: c\n\nx\n", "cur/3.x.host:2,": "Subject: here\n\nx\n"}))
	must(t, err)
	if got := all(t, m, "you"); len(got) == 0 || !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "Kept ") && strings.Contains(s, "here") }) {
		t.Errorf("%s, left %v", strings.Join(got, "\n"), left)
	}
}
