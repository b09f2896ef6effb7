package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"
)

// The parts of the database's and the WAL's formats that are looked at
// (sqlite.org/fileformat2.html §1.3, sqlite.org/walformat.html §2.1).
const (
	headerSize    = 100
	atPageSize    = 16 // uint16; 1 is 65536
	atChange      = 24 // uint32, big-endian, as are all that follow
	atPages       = 28
	atMark        = 60 // PRAGMA user_version
	atApplication = 68 // PRAGMA application_id
	atValidFor    = 92 // the value of atChange with which atPages was written

	walHeaderSize = 32
	walFrameExtra = 24
	walMagic      = 0x377f0682 // or with its last bit set
	atWALSalt     = 16         // 8 octets

	indexHeader = 48              // of the -shm file, twice
	atIndexPage = 14              // uint16 in the machine's order; 1 is 65536
	atMaxFrame  = 16              // uint32 in the machine's order
	atIndexSalt = 32              // 8 octets
	atCopied    = 2 * indexHeader // uint32: how many frames are in the database
)

// fileMagic is what every SQLite database begins with.
const fileMagic = "SQLite format 3\x00"

// How often, and how long apart, the files are looked at before they are found to be
// others: another process may be copying the WAL into the database.
const (
	lookTries = 5
	lookPause = 20 * time.Millisecond
)

// files are those of a database that is open: the database, its -wal and its -shm.
// check finds out whether what stands under their names is still what SQLite has open,
// and whole. SQLite itself does not look: it goes on writing into a file that was
// removed or overwritten, and what is committed there is gone with the process.
//
// A mark in the database's header (PRAGMA user_version) counts the times that this
// process has opened it or copied the WAL into it: a header with another mark than
// was last seen, or was set since, is that of an older copy or of another server.
type files struct {
	names [3]string
	// open stay open until SQLite has closed its own descriptors: closing one of them
	// would drop SQLite's locks (POSIX), see lockDir.
	open [3]*os.File
	info [3]fs.FileInfo

	mu          sync.Mutex
	application uint32 // of the store
	unnamed     uint32 // what stands in the file in its place until the WAL is copied there
	seen        uint32 // the mark last found in the file
	last        uint32 // the mark last set, perhaps only in the WAL
	size        int64  // of the database file when it was last looked at
}

// openFiles opens those of the database at path, which SQLite has open.
func openFiles(path string) (*files, error) {
	f := &files{names: [3]string{path, path + "-wal", path + "-shm"}}
	for i, name := range f.names {
		var err error
		if f.open[i], err = os.Open(name); err == nil {
			f.info[i], err = f.open[i].Stat()
		}
		if err != nil {
			return f, fmt.Errorf("watch the database's files: %w", err)
		}
	}
	return f, nil
}

// close must come after SQLite's own.
func (f *files) close() {
	for _, o := range f.open {
		if o != nil {
			o.Close()
		}
	}
}

// begin notes what the header holds now, and what of it is in the WAL.
func (f *files) begin(application, mark uint32) error {
	h, err := f.header()
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.application, f.unnamed, f.seen, f.last = application, be32(h, atApplication), be32(h, atMark), mark
	return nil
}

// marked notes the mark that was set.
func (f *files) marked(mark uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = mark
}

func (f *files) mark() uint32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}

// check returns an error that wraps ErrReplaced where a file is not any more what
// was opened; checkWAL looks at the WAL alone.
func (f *files) check() error    { return f.repeat(f.look) }
func (f *files) checkWAL() error { return f.repeat(f.lookAtWAL) }

func (f *files) repeat(look func() error) (err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for range lookTries {
		if err = look(); err == nil {
			return nil
		}
		time.Sleep(lookPause)
	}
	return replaced(err)
}

func (f *files) look() error {
	for i, name := range f.names {
		now, err := os.Stat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%s is not there any more: it was removed or renamed, or its file system is not mounted", name)
		case err != nil:
			return err
		case !os.SameFile(now, f.info[i]):
			return fmt.Errorf("%s is another file than was opened", name)
		}
	}
	if err := f.lookAtHeader(); err != nil {
		return err
	}
	return f.lookAtWAL()
}

func pageOctets(n uint16) int64 {
	if n == 1 {
		return 65536
	}
	return int64(n)
}

func be32(b []byte, at int) uint32 { return binary.BigEndian.Uint32(b[at:]) }

// header is that of the database file, without what may be newer in the WAL.
func (f *files) header() ([]byte, error) {
	h := make([]byte, headerSize)
	if _, err := f.open[0].ReadAt(h, 0); err != nil {
		return nil, fmt.Errorf("%s is cut off: %w", f.names[0], err)
	}
	if string(h[:len(fileMagic)]) != fileMagic {
		return nil, fmt.Errorf("%s is no database any more: it was overwritten", f.names[0])
	}
	return h, nil
}

func (f *files) lookAtHeader() error {
	h, err := f.header()
	if err != nil {
		return err
	}
	info, err := f.open[0].Stat()
	if err != nil {
		return err
	}
	page := pageOctets(binary.BigEndian.Uint16(h[atPageSize:]))
	// While a part only of the WAL is copied there, for a reader or because that is under
	// way, the file may be shorter than its first page says; but then it does not shrink.
	if pages := int64(be32(h, atPages)); be32(h, atChange) == be32(h, atValidFor) && info.Size() < pages*page && (info.Size() < f.size || f.copied()) {
		return fmt.Errorf("%s is cut off: it has %d octets of %d", f.names[0], info.Size(), pages*page)
	}
	f.size = info.Size()
	if is := be32(h, atApplication); is != f.application && is != f.unnamed {
		return fmt.Errorf("%s was overwritten with another store", f.names[0])
	}
	// Unsigned differences, so that a mark may pass the largest number.
	if mark := be32(h, atMark); mark-f.seen > f.last-f.seen {
		return fmt.Errorf("%s was overwritten with another copy of the store, or another server has it open", f.names[0])
	} else if mark != f.seen {
		f.seen, f.unnamed = mark, f.application
	}
	return nil
}

// copied reports that the database holds all that is in the WAL.
func (f *files) copied() bool {
	index := make([]byte, atCopied+4)
	if _, err := f.open[2].ReadAt(index, 0); err != nil {
		return true // lookAtWAL says what is wrong with it
	}
	return string(index[atMaxFrame:atMaxFrame+4]) == string(index[atCopied:])
}

// lookAtWAL compares the WAL with what SQLite's index of it, shared by all processes
// that have the database open, says it holds.
func (f *files) lookAtWAL() error {
	index := make([]byte, 2*indexHeader)
	if _, err := f.open[2].ReadAt(index, 0); err != nil {
		return fmt.Errorf("%s is cut off: %w", f.names[2], err)
	}
	if string(index[:indexHeader]) != string(index[indexHeader:]) {
		return fmt.Errorf("%s changes all the time, or is damaged", f.names[2]) // it is being written: look again
	}
	frames := int64(binary.NativeEndian.Uint32(index[atMaxFrame:]))
	if frames == 0 {
		return nil
	}
	info, err := f.open[1].Stat()
	if err != nil {
		return err
	}
	page := pageOctets(binary.NativeEndian.Uint16(index[atIndexPage:]))
	if size := walHeaderSize + frames*(page+walFrameExtra); info.Size() < size {
		return fmt.Errorf("%s is cut off: it has %d octets of %d", f.names[1], info.Size(), size)
	}
	h := make([]byte, walHeaderSize)
	if _, err := f.open[1].ReadAt(h, 0); err != nil {
		return err
	}
	if be32(h, 0)&^1 != walMagic || string(h[atWALSalt:atWALSalt+8]) != string(index[atIndexSalt:atIndexSalt+8]) {
		return fmt.Errorf("%s was overwritten", f.names[1])
	}
	return nil
}
