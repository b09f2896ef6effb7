package sockets

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

// Access is who may connect to a socket: by its mode, and by whose it is.
type Access struct {
	Mode  fs.FileMode
	Owner string // "user", "user:group" or ":group", by name or number; "": who makes it
}

// ParseMode reads a mode as chmod writes it; "" is 0660.
func ParseMode(s string) (fs.FileMode, error) {
	if s == "" {
		return 0o660, nil
	}
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil || n > 0o777 {
		return 0, fmt.Errorf("%q is no mode of a socket; write it like \"0660\"", s)
	}
	return fs.FileMode(n), nil
}

// Listen makes a stream socket at path. One that a dead process has left is replaced. Nobody who
// may not can connect in between: until it is given away, its mode is that of who makes it alone.
func Listen(path string, a Access) (net.Listener, error) {
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("the directory for the socket %s: %w", path, err)
	}
	if err := Clear("unix", path); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := a.permit(path); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (a Access) permit(path string) error {
	// First the owner: what it takes to connect is not given before it is known to whom.
	if err := os.Chmod(path, 0o600); err != nil {
		return fmt.Errorf("the mode of the socket: %w", err)
	}
	uid, gid, err := a.ids()
	if err != nil {
		return fmt.Errorf("the owner of the socket %s: %w", path, err)
	}
	if uid >= 0 || gid >= 0 {
		if err := os.Chown(path, uid, gid); err != nil {
			return fmt.Errorf("give the socket to %s: %w; to another user only root can, to a group who is a member of it", a.Owner, err)
		}
	}
	if err := os.Chmod(path, a.Mode); err != nil {
		return fmt.Errorf("the mode of the socket: %w", err)
	}
	return nil
}

// ids are the numbers of the owner; -1 stays as it is.
func (a Access) ids() (uid, gid int, err error) {
	uid, gid = -1, -1
	name, group, _ := strings.Cut(a.Owner, ":")
	if name != "" {
		u, err := user.Lookup(name)
		if err != nil {
			u = &user.User{Uid: name}
		}
		if uid, err = number(u.Uid, err); err != nil {
			return -1, -1, err
		}
	}
	if group != "" {
		g, err := user.LookupGroup(group)
		if err != nil {
			g = &user.Group{Gid: group} // a container often has no name for the group of its host
		}
		if gid, err = number(g.Gid, err); err != nil {
			return -1, -1, err
		}
	}
	return uid, gid, nil
}

// number is an id; unknown is why it is no name.
func number(s string, unknown error) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return -1, errors.Join(unknown, errors.New("create it, or give its number"))
	}
	return int(n), nil
}

// Here has the connections of a unix socket come from this machine's loopback address, for what
// goes by addresses.
func Here(l net.Listener) net.Listener { return &here{l} }

type here struct{ net.Listener }

func (h *here) Accept() (net.Conn, error) {
	c, err := h.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &hereConn{c}, nil
}

type hereConn struct{ net.Conn }

func (*hereConn) RemoteAddr() net.Addr { return loopback() }
func (*hereConn) LocalAddr() net.Addr  { return loopback() }

func loopback() net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")) }
