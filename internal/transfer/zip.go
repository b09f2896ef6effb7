package transfer

import (
	"archive/zip"
	"context"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"waxwing/internal/mailbox"
	"waxwing/internal/transfer/maildir"
)

// MboxZip writes mailboxes into a ZIP archive, an mbox file each. Nothing of it is kept in memory or on disk.
func (ex *Exporter) MboxZip(ctx context.Context, boxes []mailbox.Box, w io.Writer) error {
	z := zip.NewWriter(w)
	for i := range boxes {
		file, err := z.CreateHeader(&zip.FileHeader{Name: archived(boxes[i].Name) + ".mbox", Method: zip.Deflate, Modified: boxes[i].Created})
		if err == nil {
			err = ex.Mbox(ctx, &boxes[i], file)
		}
		if err != nil {
			return err
		}
	}
	return z.Close()
}

// archived is a name as a file of an archive: whoever unpacks it must not come by a file elsewhere.
func archived(name string) string {
	levels := strings.Split(name, "/")
	for i, l := range levels {
		if l == "" || strings.Trim(l, ".") == "" {
			levels[i] = "_" + l
		}
	}
	return strings.NewReplacer(`\`, "_", ":", "_").Replace(strings.Join(levels, "/"))
}

// MaildirZip writes mailboxes into a ZIP archive, as Maildir does into a directory. Lines end with CRLF, as in the mailbox.
func (ex *Exporter) MaildirZip(ctx context.Context, boxes []mailbox.Box, w io.Writer) error {
	z := zip.NewWriter(w)
	if err := emptyMaildir(z, ""); err != nil {
		return err
	}
	for i := range boxes {
		d := zipMaildir{ex: ex, z: z, at: maildir.Dir(boxes[i].Name)}
		if d.at != "" {
			if err := emptyMaildir(z, d.at); err != nil {
				return err
			}
		}
		if err := d.box(ctx, &boxes[i]); err != nil {
			return err
		}
	}
	return z.Close()
}

func emptyMaildir(z *zip.Writer, at string) error {
	for _, dir := range []string{"cur/", "new/", "tmp/"} {
		if _, err := z.Create(path.Join(at, dir) + "/"); err != nil {
			return err
		}
	}
	if at == "" {
		return nil
	}
	_, err := z.Create(path.Join(at, "maildirfolder"))
	return err
}

// zipMaildir writes one folder into an archive.
type zipMaildir struct {
	ex       *Exporter
	z        *zip.Writer
	at       string
	keywords maildir.Keywords
}

func (d *zipMaildir) box(ctx context.Context, b *mailbox.Box) error {
	err := d.ex.each(ctx, b, d.write)
	if words := d.keywords.Bytes(); err == nil && len(words) > 0 {
		var file io.Writer
		if file, err = d.z.Create(path.Join(d.at, maildir.KeywordFile)); err == nil {
			_, err = file.Write(words)
		}
	}
	return err
}

func (d *zipMaildir) write(m *mailbox.Message, flags []string, text io.Reader) error {
	name, unnamed := (&maildir.File{Arrived: m.Received, UID: m.Entry.UID, Size: m.Size, CRLF: m.Size, Flags: flags}).Name(&d.keywords)
	at := path.Join(d.at, "cur", name)
	if len(unnamed) > 0 {
		d.ex.left(at, fmt.Errorf("a Maildir has letters for %d keywords: given out without %s", len(d.keywords), strings.Join(unnamed, ", ")))
	}
	file, err := d.z.CreateHeader(&zip.FileHeader{Name: at, Method: zip.Deflate, Modified: m.Received.Truncate(time.Second)})
	if err == nil {
		_, err = io.Copy(file, text)
	}
	return err
}
