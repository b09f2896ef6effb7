package process

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// The variables that name inherited sockets: those of a service manager
// (sd_listen_fds(3)), whose numbers begin at firstFD, and ours.
const (
	firstFD  = 3
	maxFDs   = 1000
	handOver = "WAXWING_SOCKETS" // "name/address=number name/address=number"
)

// Inherited are the listening sockets that this process was started with: by a service
// manager that holds them, or by the server before it.
type Inherited struct{ all []Socket }

// Socket is a listening socket, the name that it goes by, and the address in the
// configuration that it stands for; "": that is to be found out.
type Socket struct {
	Name, For string
	net.Listener
}

// Inherit takes over the sockets that the environment names, and takes the variables
// out of it.
func Inherit(getenv func(string) string, unset func(string) error, pid int) (*Inherited, error) {
	fds, err := inheritedFDs(getenv, pid)
	for _, v := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", handOver} {
		err = errors.Join(err, unset(v))
	}
	if err != nil {
		return nil, err
	}
	in := &Inherited{}
	for _, fd := range fds {
		f := os.NewFile(uintptr(fd.number), fd.name)
		syscall.CloseOnExec(fd.number)
		l, err := net.FileListener(f) // a duplicate
		f.Close()
		if err != nil {
			in.Close()
			return nil, fmt.Errorf("the socket %q (file descriptor %d) that this process was given is none to listen on: %w", fd.name, fd.number, err)
		}
		in.all = append(in.all, Socket{fd.name, fd.address, l})
	}
	return in, nil
}

type namedFD struct {
	name, address string
	number        int
}

// inheritedFDs reads the environment.
func inheritedFDs(getenv func(string) string, pid int) (all []namedFD, err error) {
	for word := range strings.FieldsSeq(getenv(handOver)) {
		what, text, _ := strings.Cut(word, "=")
		name, address, _ := strings.Cut(what, "/")
		n, err := strconv.Atoi(text)
		if err != nil || n < firstFD || address == "" {
			return nil, fmt.Errorf("%s: %q is not a name and the number of a socket", handOver, word)
		}
		all = append(all, namedFD{name, address, n})
	}
	if getenv("LISTEN_PID") != strconv.Itoa(pid) {
		return all, nil // none, or another's
	}
	n, err := strconv.Atoi(getenv("LISTEN_FDS"))
	if err != nil || n < 0 || n > maxFDs {
		return nil, fmt.Errorf("LISTEN_FDS=%q is no number of sockets", getenv("LISTEN_FDS"))
	}
	names := strings.Split(getenv("LISTEN_FDNAMES"), ":")
	for i := range n {
		fd := namedFD{number: firstFD + i}
		if i < len(names) {
			fd.name = names[i]
		}
		all = append(all, fd)
	}
	return all, nil
}

// Take returns the socket that stands for an address of the configuration: one that the
// server before us had for it, one that is bound to it, or one that is named after what
// it is for. Nil: there is none. Nobody gets it again.
func (in *Inherited) Take(name, address string) net.Listener {
	want, _ := netip.ParseAddrPort(address)
	for _, is := range []func(s Socket, at netip.AddrPort) bool{
		func(s Socket, _ netip.AddrPort) bool { return s.For == address && s.Name == name },
		func(s Socket, at netip.AddrPort) bool { return s.For == "" && sameAddress(at, want) },
		func(s Socket, _ netip.AddrPort) bool { return s.For == "" && s.Name == name },
	} {
		for i, s := range in.all {
			if at, tcp := s.Addr().(*net.TCPAddr); tcp && is(s, at.AddrPort()) {
				in.all = append(in.all[:i], in.all[i+1:]...)
				return s.Listener
			}
		}
	}
	return nil
}

// sameAddress: a socket for every address of both families shows as [::].
func sameAddress(a, b netip.AddrPort) bool {
	return a.Port() == b.Port() && a.Addr().Unmap() == b.Addr().Unmap()
}

// Bind adds a socket for an address, unless there is one.
func (in *Inherited) Bind(name string, network, address string) error {
	l := in.Take(name, address)
	if l == nil {
		var err error
		if l, err = net.Listen(network, address); err != nil {
			return fmt.Errorf("listen for %s: %w", name, err)
		}
	}
	in.all = append(in.all, Socket{name, address, l})
	return nil
}

// Close closes the sockets that nobody took, and returns what they are.
func (in *Inherited) Close() (left []string) {
	for _, s := range in.all {
		left = append(left, fmt.Sprintf("%s (%s)", s.Addr(), s.Name))
		s.Close()
	}
	in.all = nil
	return left
}
