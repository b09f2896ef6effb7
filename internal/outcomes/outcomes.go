// Package outcomes keeps what attempts came to in a file while the store does not take it
// (QUE-2): the disk is full, or the database away. What stands there survives a crash, and
// is settled when the server starts again; without it the attempts would be made again,
// and recipients would have their mail twice.
package outcomes

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"

	"waxwing/internal/delivery"
)

// File holds outcomes. All its octets are written when it is made, and later ones stand in
// their place: no full disk stands in the way. It may be used from any goroutine; a nil
// File keeps nothing.
type File struct {
	mu   sync.Mutex
	file *os.File // nil: there is none
	end  int64
	open int // outcomes in the file that are not settled

	// Bad is how many outcomes the file had that cannot be read.
	Bad int
}

// Outcome is what one attempt came to.
type Outcome struct {
	Message, Claim int64
	Recipients     []int64 // their identifiers
	Result         delivery.Result
	Stopped        bool // it was broken off by the server's end
}

const (
	fileSize   = 4 << 20
	headerSize = 8 // length and CRC-32 (IEEE) of the JSON that follows, big-endian
)

var errFull = errors.New("the file is full")

// Open opens a file, or makes it, and returns what it holds. What a crash left
// half written ends the list: nobody was told that it was kept.
func Open(path string) (*File, []Outcome, error) {
	dir, err := os.OpenRoot(filepath.Dir(path)) // no link leads out of it
	if err != nil {
		return nil, nil, err
	}
	defer dir.Close()
	f, err := dir.OpenFile(filepath.Base(path), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, err
	}
	o := &File{file: f}
	list, err := o.read()
	if err == nil {
		err = o.fill()
	}
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	o.open = len(list)
	return o, list, nil
}

func (o *File) read() (list []Outcome, err error) {
	b, err := io.ReadAll(io.LimitReader(o.file, fileSize))
	if err != nil {
		return nil, err
	}
	for rest := b; len(rest) >= headerSize; {
		n := int64(binary.BigEndian.Uint32(rest))
		if n == 0 || n > int64(len(rest)-headerSize) {
			break
		}
		text := rest[headerSize : headerSize+n]
		if crc32.ChecksumIEEE(text) != binary.BigEndian.Uint32(rest[4:]) {
			break
		}
		var one Outcome
		if err := json.Unmarshal(text, &one); err != nil {
			o.Bad++ // of another release
		} else {
			list = append(list, one)
		}
		o.end += headerSize + n
		rest = rest[headerSize+n:]
	}
	return list, nil
}

// fill gives the file all its blocks.
func (o *File) fill() error {
	fi, err := o.file.Stat()
	if err != nil || fi.Size() >= fileSize {
		return err
	}
	if _, err := o.file.WriteAt(make([]byte, fileSize-fi.Size()), fi.Size()); err != nil {
		return err
	}
	return o.file.Sync()
}

// Keep writes an outcome, whole if it can be, and else without what only reports and
// the history would tell.
func (o *File) Keep(one Outcome) error {
	if o == nil {
		return errors.New("there is no file for it")
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file == nil {
		return os.ErrClosed
	}
	one.Result.Destination = delivery.Destination{}
	err := o.append(one)
	if err != nil {
		r := &one.Result
		one.Result = delivery.Result{Recipients: r.Recipients, Copies: r.Copies, Started: r.Started, Ended: r.Ended, Transport: r.Transport, Name: r.Name}
		err = o.append(one)
	}
	if err == nil {
		o.open++
	}
	return err
}

func (o *File) append(one Outcome) error {
	text, err := json.Marshal(one)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, new(Outcome)); err != nil { // what cannot be read is not kept
		return err
	}
	size := int64(headerSize + len(text))
	if o.end+size+4 > fileSize {
		return errFull
	}
	b := make([]byte, headerSize, size+4)
	binary.BigEndian.PutUint32(b, uint32(len(text)))
	binary.BigEndian.PutUint32(b[4:], crc32.ChecksumIEEE(text))
	b = append(append(b, text...), 0, 0, 0, 0) // the end of the list
	if _, err := o.file.WriteAt(b, o.end); err != nil {
		return err
	}
	if err := o.file.Sync(); err != nil {
		return err
	}
	o.end += size
	return nil
}

// Settled says that one of the file's outcomes is in the store, or not needed any more.
// With the last the list is empty. If that is not written, nothing is lost: what is read
// again finds no lease to settle.
func (o *File) Settled() {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.open--; o.open > 0 || o.file == nil {
		return
	}
	o.end = 0
	_, _ = o.file.WriteAt(make([]byte, headerSize), 0)
}

// Close closes the file.
func (o *File) Close() error {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	f := o.file
	o.file = nil
	if f == nil {
		return nil
	}
	return f.Close()
}
