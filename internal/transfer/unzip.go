package transfer

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"waxwing/internal/mailbox"
	"waxwing/internal/transfer/maildir"
	"waxwing/internal/transfer/mbox"
)

// Bounds of an archive. Its list of files is read into memory before anything else is known of it, and what it unpacks to can be
// a thousand times its size, or, where its files overlap, any size.
const (
	maxListed   = 32 << 20 // octets of the list: some 250,000 messages
	mayUnpackTo = 50       // times the archive's size; mail comes to less than ten
	mayUnpack   = 64 << 20 // octets, whatever the size
)

// Errors of Zip.
var (
	ErrArchive  = errors.New("it is no ZIP archive that can be read")
	ErrListed   = fmt.Errorf("its list of files has more than %d MiB", maxListed>>20)
	ErrUnpacked = fmt.Errorf("it unpacks to more than %d times its size", mayUnpackTo)
	ErrNoMail   = errors.New("it has neither Maildirs nor mbox files")
)

// Zip takes all mail that it finds in a ZIP archive, as Directory does in a directory.
func (im *Importer) Zip(ctx context.Context, file io.ReaderAt, size int64, box string) error {
	list := &listed{file, maxListed}
	z, err := zip.NewReader(list, size)
	switch {
	case list.left < 0:
		return ErrListed
	case err != nil:
		return fmt.Errorf("%w: %w", ErrArchive, err)
	}
	list.left = -1
	a := archive{im: im, left: mayUnpack + mayUnpackTo*size, folders: map[string]*zipped{}}
	a.sort(z.File)
	if len(a.folders) == 0 && len(a.mboxes) == 0 {
		return ErrNoMail
	}
	if err := a.take(ctx, box); err != nil {
		return err
	}
	return im.flush(ctx)
}

// listed bounds what is read while the list of files is. A left that is negative before bounds nothing.
type listed struct {
	io.ReaderAt
	left int64
}

func (l *listed) ReadAt(p []byte, at int64) (int, error) {
	n, err := l.ReaderAt.ReadAt(p, at)
	if l.left >= 0 {
		if l.left -= int64(n); l.left < 0 {
			return 0, ErrListed
		}
	}
	return n, err
}

// archive is one that is being taken in.
type archive struct {
	im      *Importer
	left    int64              // octets that may still be unpacked
	folders map[string]*zipped // by path, "" is the top
	mboxes  []named
	words   map[string]*zip.File // the keywords of folders
}

// zipped is a Maildir's folder.
type zipped struct{ files []named }

// named is a file with its path, cleaned.
type named struct {
	*zip.File
	at string
}

// sort finds out what is what.
func (a *archive) sort(all []*zip.File) {
	a.words = map[string]*zip.File{}
	for _, f := range all {
		at := strings.TrimPrefix(path.Clean("/"+strings.ReplaceAll(f.Name, `\`, "/")), "/")
		isDir := strings.HasSuffix(f.Name, "/")
		dir, base := path.Dir(at), path.Base(at)
		if isDir {
			dir, base = at, ""
		}
		in, kind := parent(dir)
		switch {
		case strings.HasPrefix(at, "__MACOSX/"):
		case kind == "cur" || kind == "new":
			if a.folder(in) && base != "" && base[0] != '.' {
				a.folders[in].files = append(a.folders[in].files, named{f, at})
			}
		case isDir || kind == "tmp" || !f.Mode().IsRegular():
		case base == maildir.KeywordFile:
			in, _ := parent(at)
			a.words[in] = f
		case len(a.mboxes) == maxFolders:
			a.im.left(at, fmt.Errorf("more than %d files that are no mail of a Maildir: it was not looked into", maxFolders))
		case a.isMbox(f, base):
			a.mboxes = append(a.mboxes, named{f, at})
		}
	}
	slices.SortFunc(a.mboxes, func(x, y named) int { return strings.Compare(x.at, y.at) })
}

// parent parts the last level of a path from the others; "" is the top.
func parent(dir string) (in, last string) {
	if in, last = path.Dir(dir), path.Base(dir); in == "." {
		in = ""
	}
	return in, last
}

// folder has a Maildir's folder there, where there may be one more.
func (a *archive) folder(at string) bool {
	if a.folders[at] == nil {
		if len(a.folders) == maxFolders || strings.Count(at, "/") >= maxDepth {
			a.im.left(at, fmt.Errorf("more than %d levels, or than %d folders", maxDepth, maxFolders))
			return false
		}
		a.folders[at] = &zipped{}
	}
	return true
}

func (a *archive) isMbox(f *zip.File, base string) bool {
	if strings.HasSuffix(base, ".mbox") {
		return true
	}
	r, err := a.open(f)
	if err != nil {
		return false
	}
	defer r.Close()
	head := make([]byte, 64)
	n, _ := io.ReadFull(r, head) // a short file is read as far as it goes
	return isMbox(head[:n])
}

// unpacked counts what comes out of a file.
type unpacked struct {
	io.ReadCloser
	a *archive
}

func (u *unpacked) Read(p []byte) (int, error) {
	n, err := u.ReadCloser.Read(p)
	if u.a.left -= int64(n); u.a.left < 0 {
		return 0, ErrUnpacked
	}
	return n, err
}

func (a *archive) open(f *zip.File) (io.ReadCloser, error) {
	if f.Flags&1 != 0 {
		return nil, errors.New("it is encrypted")
	}
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	return &unpacked{r, a}, nil
}

// top is the directory in which all of it lies, if it is one: it was packed with its name.
func (a *archive) top() string {
	first := ""
	for _, at := range a.places() {
		one, _, deeper := strings.Cut(at, "/")
		if !deeper && a.folders[one] == nil || one == "" || one[0] == '.' || first != "" && one != first {
			return ""
		}
		first = one
	}
	return first
}

// places are the folders and the mbox files, by path.
func (a *archive) places() (out []string) {
	for at := range a.folders {
		out = append(out, at)
	}
	for _, m := range a.mboxes {
		out = append(out, m.at)
	}
	slices.Sort(out)
	return out
}

// box is the mailbox for what stands at a path below top; false: no mailbox has such a name.
func (a *archive) box(root, top, at string) (string, bool) {
	at = strings.TrimPrefix(strings.TrimPrefix(at, top), "/")
	if at == "" {
		return or(root, mailbox.Inbox), true
	}
	for level := range strings.SplitSeq(at, "/") {
		below := subfolder(level)
		if below == "" {
			return "", false
		}
		root = join(root, below)
	}
	return root, true
}

func (a *archive) take(ctx context.Context, root string) error {
	top := a.top()
	for _, at := range a.places() {
		f := a.folders[at]
		if f == nil {
			continue
		}
		box, ok := a.box(root, top, at)
		if !ok {
			a.im.left(at, errors.New("no mailbox can have its name"))
			continue
		}
		if err := a.maildir(ctx, f, at, box); err != nil {
			return err
		}
	}
	for _, m := range a.mboxes {
		box, ok := a.box(root, top, m.at)
		if !ok {
			a.im.left(m.at, errors.New("no mailbox can have its name"))
			continue
		}
		if err := a.mbox(ctx, m, box); err != nil {
			return err
		}
	}
	return nil
}

// maildir takes the messages of a folder, in the order in which they came.
func (a *archive) maildir(ctx context.Context, f *zipped, at, box string) error {
	if t, err := a.im.target(ctx, box); err != nil || t.err != nil {
		return err
	}
	var k maildir.Keywords
	if file := a.words[at]; file != nil {
		if r, err := a.open(file); err == nil {
			text, err := io.ReadAll(io.LimitReader(r, maxSmall))
			if r.Close(); err != nil {
				a.im.left(file.Name, err)
			}
			k = maildir.ParseKeywords(text)
		}
	}
	slices.SortFunc(f.files, func(x, y named) int { return maildir.Compare(path.Base(x.at), path.Base(y.at)) })
	for _, one := range f.files {
		if err := a.message(ctx, one, box, &k); err != nil {
			return err
		}
	}
	return nil
}

// message takes one file.
func (a *archive) message(ctx context.Context, f named, box string, k *maildir.Keywords) error {
	r, err := a.open(f.File)
	if err != nil {
		a.im.left(f.at, err)
		return nil
	}
	defer r.Close()
	in := incoming{what: f.at, box: box, date: f.Modified, text: r}
	if name := path.Base(f.at); strings.HasSuffix(path.Dir(f.at), "cur") {
		in.flags = maildir.Flags(name, k)
	}
	if at := maildir.Arrived(path.Base(f.at)); f.Modified.Year() < 1981 && at > 0 {
		in.date = time.Unix(at, 0) // the archive has no dates
	}
	if err := a.im.add(ctx, in); err != nil {
		return err
	}
	return a.over()
}

func (a *archive) mbox(ctx context.Context, f named, box string) error {
	r, err := a.open(f.File)
	if err != nil {
		a.im.left(f.at, err)
		return nil
	}
	defer r.Close()
	err = a.im.mbox(ctx, r, f.at, box, mbox.RD)
	if over := a.over(); over != nil {
		return over
	}
	if errors.Is(err, mbox.ErrFormat) || errors.Is(err, zip.ErrFormat) || errors.Is(err, zip.ErrChecksum) || errors.Is(err, io.ErrUnexpectedEOF) {
		a.im.left(f.at, err)
		err = nil
	}
	return err
}

// over ends an import whose archive unpacks to more than it may: what is wrong with one message is told of that one alone.
func (a *archive) over() error {
	if a.left < 0 {
		return ErrUnpacked
	}
	return nil
}
