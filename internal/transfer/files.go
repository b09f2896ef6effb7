package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"waxwing/internal/mailbox"
	"waxwing/internal/transfer/maildir"
	"waxwing/internal/transfer/mbox"
)

// Bounds of what is looked for in a directory.
const (
	maxDepth   = 20
	maxFolders = 5000
	maxSmall   = 64 << 10 // octets of a file of keywords
)

// Mbox takes the messages of an mbox file into a mailbox. whole is how many octets it has; 0:
// not known.
func (im *Importer) Mbox(ctx context.Context, file io.Reader, whole int64, box string, q mbox.Quoting) error {
	im.done.Part, im.done.Whole = 0, whole
	if err := im.mbox(ctx, file, "", box, q); err != nil {
		return err
	}
	return im.flush(ctx)
}

func (im *Importer) mbox(ctx context.Context, file io.Reader, name, box string, q mbox.Quoting) error {
	r := mbox.NewReader(counter{file, &im.done.Part}, q)
	for n := 1; ; n++ {
		m, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		what := strings.TrimLeft(fmt.Sprintf("%s message %d, at octet %d", name, n, m.Offset), " ")
		if err := im.add(ctx, incoming{what: what, box: box, sender: m.Sender, flags: m.Flags, date: m.Date, text: r}); err != nil {
			return err
		}
	}
}

// folder is where messages stand in a directory.
type folder struct {
	path string
	box  string
	mbox bool  // it is a file
	size int64 // of it
}

// Directory takes all that it finds in a directory: Maildirs, with folders in and beside them, and
// mbox files. What stands at the top goes into the mailbox box, all others below it; "" is INBOX, and
// at the top.
func (im *Importer) Directory(ctx context.Context, dir, box string, q mbox.Quoting) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	f := finder{root: root, left: im.left}
	if err := f.find(".", box, 0); err != nil {
		return err
	}
	if len(f.found) == 0 {
		return fmt.Errorf("%s has neither Maildirs nor mbox files", dir)
	}
	for _, at := range f.found {
		if err := im.folder(ctx, root, at, q); err != nil {
			return err
		}
	}
	return im.flush(ctx)
}

func (im *Importer) folder(ctx context.Context, root *os.Root, at folder, q mbox.Quoting) error {
	if t, err := im.target(ctx, at.box); err != nil || t.err != nil {
		return err
	}
	if !at.mbox {
		return im.maildir(ctx, root, at)
	}
	im.done.Part, im.done.Whole = 0, at.size
	file, _, err := open(root, at.path)
	if err == nil {
		defer file.Close()
		err = im.mbox(ctx, file, at.path, at.box, q)
	}
	if _, ours := errors.AsType[*fs.PathError](err); ours || errors.Is(err, mbox.ErrFormat) {
		im.left(at.path, err)
		return nil
	}
	return err
}

// finder looks for folders. It follows no link out of the directory. What it cannot look into is left, the rest is not.
type finder struct {
	root  *os.Root
	found []folder
	left  func(what string, err error)
}

func (f *finder) find(dir, box string, depth int) error {
	if depth > maxDepth || len(f.found) > maxFolders {
		f.left(dir, fmt.Errorf("more than %d levels, or than %d folders", maxDepth, maxFolders))
		return nil
	}
	entries, err := fs.ReadDir(f.root.FS(), dir)
	if err != nil && depth > 0 {
		f.left(dir, err)
		return nil
	}
	if err != nil {
		return err
	}
	isMaildir := f.isDir(path.Join(dir, "cur"))
	if isMaildir {
		f.found = append(f.found, folder{path: dir, box: or(box, mailbox.Inbox)})
	}
	for _, e := range entries {
		name := e.Name()
		at := path.Join(dir, name)
		switch {
		case isMaildir && slices.Contains([]string{"cur", "new", "tmp"}, name):
		case f.isDir(at):
			if below := subfolder(name); below != "" && (name[0] != '.' || f.isDir(path.Join(at, "cur"))) {
				err = f.find(at, join(box, below), depth+1)
			}
		case !isMaildir && e.Type().IsRegular():
			if wrong := f.file(at, join(box, mailboxOf(name))); wrong != nil {
				f.left(at, wrong)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// subfolder is the mailbox of a directory; "" for one that has a name that no mailbox has. One
// that begins with a dot must be a Maildir.
func subfolder(name string) string {
	if strings.HasPrefix(name, ".") {
		return maildir.Mailbox(name)
	}
	return mailboxOf(name)
}

// mailboxOf is what a mailbox is called by its file or directory: Thunderbird's directories and those
// of Apple Mail have an end of their own.
func mailboxOf(name string) string {
	for _, end := range []string{".mbox", ".sbd", ".mbx"} {
		if s := strings.TrimSuffix(name, end); s != name && s != "" {
			return s
		}
	}
	return name
}

// file notes a file if it is an mbox.
func (f *finder) file(at, box string) error {
	file, info, err := open(f.root, at)
	if err != nil {
		return err
	}
	defer file.Close()
	head := make([]byte, 64)
	n, err := io.ReadFull(file, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return err
	}
	if isMbox(head[:n]) || n == 0 && strings.HasSuffix(at, ".mbox") {
		if path.Base(at) == "mbox" && path.Dir(at) != "." { // of Apple Mail, in a directory that has the name
			box = strings.TrimSuffix(box, "/mbox")
		}
		f.found = append(f.found, folder{path: at, box: box, mbox: true, size: info.Size()})
	}
	return nil
}

func (f *finder) isDir(at string) bool {
	info, err := f.root.Lstat(at)
	return err == nil && info.IsDir()
}

func or(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

func join(box, below string) string {
	if box == "" {
		return below
	}
	return box + "/" + below
}

// open opens a file that is one: nothing that would wait for somebody.
func open(root *os.Root, at string) (*os.File, fs.FileInfo, error) {
	file, err := root.OpenFile(at, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: at, Err: errors.New("it is no regular file")}
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, info, nil
}

// entry is a message in a Maildir.
type entry struct {
	dir, name string
}

// maildir takes the messages of one folder, in the order in which they came.
func (im *Importer) maildir(ctx context.Context, root *os.Root, at folder) error {
	var k maildir.Keywords
	if file, _, err := open(root, path.Join(at.path, maildir.KeywordFile)); err == nil {
		text, err := io.ReadAll(io.LimitReader(file, maxSmall))
		if file.Close(); err != nil {
			im.left(path.Join(at.path, maildir.KeywordFile), err)
		}
		k = maildir.ParseKeywords(text)
	}
	var all []entry
	for _, dir := range []string{"new", "cur"} {
		names, err := names(root, path.Join(at.path, dir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			im.left(path.Join(at.path, dir), err)
		}
		for _, n := range names {
			if !strings.HasPrefix(n, ".") {
				all = append(all, entry{dir, n})
			}
		}
	}
	slices.SortFunc(all, func(a, b entry) int { return maildir.Compare(a.name, b.name) })
	im.done.Part, im.done.Whole = 0, int64(len(all))
	for _, e := range all {
		if err := im.file(ctx, root, at, e, &k); err != nil {
			return err
		}
		im.done.Part++
	}
	return nil
}

func names(root *os.Root, dir string) ([]string, error) {
	d, err := root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}

// file takes the message of one file.
func (im *Importer) file(ctx context.Context, root *os.Root, at folder, e entry, k *maildir.Keywords) error {
	where := path.Join(at.path, e.dir, e.name)
	file, info, err := open(root, where)
	if err != nil {
		im.left(where, err)
		return nil
	}
	defer file.Close()
	in := incoming{what: where, box: at.box, date: info.ModTime(), text: file}
	if e.dir == "cur" {
		in.flags = maildir.Flags(e.name, k)
	}
	return im.add(ctx, in)
}
