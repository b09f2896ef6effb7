package submitsocket

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"waxwing/internal/sockets"
)

// Listen makes the socket at path. Everybody may connect: who may send is told
// by the user id. A socket that a crash left behind is replaced; one that
// somebody listens on, and any other kind of file, is an error.
func Listen(path string) (net.Listener, error) {
	if err := makeDir(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("directory of the sendmail socket: %w", err)
	}
	if err := sockets.Clear("unix", path); err != nil {
		return nil, fmt.Errorf("sendmail socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("sendmail socket: %w", err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		return nil, errors.Join(fmt.Errorf("sendmail socket: %w", err), l.Close())
	}
	return l, nil
}

// makeDir makes a directory that is missing, for everybody to enter, whatever the
// umask says.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.Chmod(dir, 0o755)
}
