package datadir

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"
)

// adopt gives one file or directory of root's away. Its directory is another user's,
// who may have put anything there: a link is not followed, and a file that has another
// name as well stays what it is. The file is not really opened (O_PATH): to close it
// would drop the locks that SQLite has on it.
func adopt(path string, uid, gid int) error {
	failed := func(err error) error { return fmt.Errorf("give %s to the user %s: %w", path, UserName(uid), err) }
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return failed(err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return failed(err)
	}
	kind := st.Mode & unix.S_IFMT
	if st.Uid != 0 || kind != unix.S_IFDIR && (kind != unix.S_IFREG || st.Nlink != 1) {
		return nil
	}
	if err := unix.Fchownat(fd, "", uid, gid, unix.AT_EMPTY_PATH); err != nil {
		return failed(err)
	}
	return nil
}
