package companion

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"waxwing/internal/sockets"
)

// Bind makes the datagram socket. A socket file that a dead process left is
// removed, one that is alive is an error. Who may write into it: everybody that
// can reach its directory, or with group the members of that group alone.
func Bind(path, group string) (*net.UnixConn, error) {
	if err := makeWay("unixgram", path); err != nil {
		return nil, err
	}
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("listen for TLSRPT datagrams: %w", err)
	}
	if err := permit(path, group); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Listen makes a stream socket at a path, by the rules of Bind. It is removed
// when the listener is closed.
func Listen(path, group string) (net.Listener, error) {
	if err := makeWay("unix", path); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for TLS policy lookups: %w", err)
	}
	if err := permit(path, group); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// makeWay sees to a directory for the socket, and removes a stale one.
func makeWay(network, path string) error {
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); err != nil {
		return fmt.Errorf("the directory for the socket %s: %w; make it with \"install -d -o USER -m 0755 %s\", USER being who runs this program", path, err, dir)
	}
	return sockets.Clear(network, path)
}

// groupID is the number of a group that is given by name, or by number: a container
// often has no name for the group of its host.
func groupID(group string) (int, error) {
	g, err := user.LookupGroup(group)
	if err == nil {
		return strconv.Atoi(g.Gid)
	}
	if id, nan := strconv.ParseUint(group, 10, 31); nan == nil {
		return int(id), nil
	}
	return 0, err
}

// permit lets Postfix write into the socket.
func permit(path, group string) error {
	mode := fs.FileMode(0o666)
	if group != "" {
		mode = 0o660
		id, err := groupID(group)
		if err != nil {
			return fmt.Errorf("the group of the socket %s: %w", path, err)
		}
		if err := os.Chown(path, -1, id); err != nil {
			return fmt.Errorf("give the socket to group %s: %w; who runs this program must be a member of it", group, err)
		}
	}
	if err := os.Chmod(path, mode); err != nil {
		return fmt.Errorf("let Postfix write to the socket: %w", err)
	}
	return nil
}
