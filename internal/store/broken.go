package store

import (
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	sqlite3 "modernc.org/sqlite/lib"
)

// broken is set once the store is found not to be any more what was opened. It stays
// so until the process is started again: what was written since may be lost, and
// nothing that is accepted now would be kept.
type broken struct {
	log *slog.Logger
	err atomic.Pointer[error]
}

// get is the error of everything from then on; nil while all is well.
func (b *broken) get() error {
	if p := b.err.Load(); p != nil {
		return *p
	}
	return nil
}

// set notes err, which wraps ErrReplaced, unless one is noted already, and returns
// what is noted.
func (b *broken) set(err error) error {
	if b.err.CompareAndSwap(nil, &err) {
		b.log.Error("the store is not what was opened: nothing is written or accepted until this process is started again", slog.Any("error", err))
	}
	return b.get()
}

// compare compares what was found with what was opened; err is why nothing could be
// found, and returned where that may pass.
func (b *broken) compare(is, now identity, err error) error {
	switch {
	case err != nil && missing(err):
		return b.set(replaced(fmt.Errorf("its tables are gone: %w", err)))
	case err != nil:
		return err
	}
	if how := is.differs(now); how != "" {
		return b.set(replaced(errors.New(how)))
	}
	return nil
}

// note sets an error that says that the database itself is damaged, and returns err.
func (b *broken) note(err error) error {
	if c, ok := sqliteCode(err); ok && (c&0xff == sqlite3.SQLITE_CORRUPT || c&0xff == sqlite3.SQLITE_NOTADB) && !errors.Is(err, ErrReplaced) {
		return b.set(replaced(err))
	}
	return err
}
