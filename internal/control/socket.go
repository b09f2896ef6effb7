package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"waxwing/internal/sockets"
)

// Socket is the name of the socket in the data directory.
const Socket = "control.sock"

// longPath is the length from which a path does not fit into a socket's address
// on some system.
const longPath = 100

// Listen opens the socket in dir for its owner. A socket that a server left
// behind is replaced; one that a server answers at is an error.
func Listen(dir string) (net.Listener, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	path := filepath.Join(dir, Socket)
	addr, done, err := address(dir)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	defer done()
	switch err := sockets.Clear("unix", addr); {
	case errors.Is(err, sockets.ErrInUse):
		return nil, fmt.Errorf("control socket %s: %w", path, ErrRunning)
	case err != nil:
		return nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: addr, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l.SetUnlinkOnClose(false) // its address may be another name of the path
	// Who comes in before this is turned away by admit.
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return &socket{UnixListener: l, path: path}, nil
}

// ErrRunning: a server answers at the socket already.
var ErrRunning = errors.New("another waxwing serves from this data directory; end it, or give each its own data_dir")

// socket removes its file when it is closed.
type socket struct {
	*net.UnixListener
	path string
	once sync.Once
}

func (s *socket) Close() error {
	s.once.Do(func() { os.Remove(s.path) })
	return s.UnixListener.Close()
}

func dial(ctx context.Context, dir string) (net.Conn, error) {
	addr, done, err := address(dir)
	if err != nil {
		return nil, err
	}
	defer done()
	d := net.Dialer{Timeout: 5 * time.Second}
	return d.DialContext(ctx, "unix", addr)
}

// peerUID is who made the connection, as the kernel knows it; where it does not tell,
// the socket's mode lets in only its owner and root.
func peerUID(c net.Conn) (int, error) {
	if s, ok := c.(*slot); ok {
		c = s.Conn
	}
	uid, err := sockets.PeerUID(c)
	if errors.Is(err, errors.ErrUnsupported) {
		return os.Geteuid(), nil
	}
	return int(uid), err
}

// address is the socket's path, short enough for the system. done is called
// once it has been used.
func address(dir string) (addr string, done func(), err error) {
	path := filepath.Join(dir, Socket)
	if len(path) < longPath {
		return path, func() {}, nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	short := fmt.Sprintf("/proc/self/fd/%d", f.Fd())
	if _, err := os.Stat(short); err != nil {
		f.Close()
		return "", nil, fmt.Errorf("%s is too long for a socket (%d octets): choose a shorter data_dir", path, len(path))
	}
	return filepath.Join(short, Socket), func() { f.Close() }, nil
}

// bounded is a listener with at most maxConns connections at a time.
type bounded struct {
	net.Listener
	slots chan struct{}
	done  chan struct{}
	once  sync.Once
}

func newBounded(l net.Listener) *bounded {
	return &bounded{Listener: l, slots: make(chan struct{}, maxConns), done: make(chan struct{})}
}

func (b *bounded) Accept() (net.Conn, error) {
	select {
	case b.slots <- struct{}{}:
	case <-b.done:
		return nil, net.ErrClosed
	}
	c, err := b.Listener.Accept()
	if err != nil {
		<-b.slots
		return nil, err
	}
	return &slot{Conn: c, free: sync.OnceFunc(func() { <-b.slots })}, nil
}

func (b *bounded) Close() error {
	b.once.Do(func() { close(b.done) })
	return b.Listener.Close()
}

// slot is a connection that makes room when it is closed.
type slot struct {
	net.Conn
	free func()
}

func (s *slot) Close() error {
	defer s.free()
	return s.Conn.Close()
}
