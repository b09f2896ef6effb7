//go:build linux

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// newer is a newer Debian, for peers that this one has only in a version that
// does not work: a layer over the directory that WAXWING_TRIXIE names, with what
// is unpacked in the folder trixie of WAXWING_PEERS.
const newer = root + "/tree"

// plantTree mounts the tree where there is one.
func plantTree() error {
	lower, unpacked := os.Getenv(envTree), filepath.Join(os.Getenv(envPeers), "trixie")
	if _, err := os.Stat(unpacked); err != nil || lower == "" || os.Getenv(envPeers) == "" {
		return nil
	}
	up, work := root+"/tree.upper", root+"/tree.work"
	for _, d := range []string{up, work, newer} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	if err := syscall.Mount("overlay", newer, "overlay", 0, "lowerdir="+lower+":"+unpacked+",upperdir="+up+",workdir="+work); err != nil {
		return fmt.Errorf("lay an overlay over %s: %w", lower, err)
	}
	if err := syscall.Mount("proc", newer+"/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount the tree's /proc: %w", err)
	}
	if err := syscall.Mount("/dev", newer+"/dev", "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		return fmt.Errorf("mount the tree's /dev: %w", err)
	}
	return nil
}

// moveIn gives the tree the peer's directory, and the users, the resolver and
// the authorities that the namespaces have.
func (p *peer) moveIn() error {
	for _, name := range []string{"/etc/passwd", "/etc/group", "/etc/resolv.conf", "/etc/hosts"} {
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		os.Remove(newer + name) // it may be a link
		if err := os.WriteFile(newer+name, b, 0o644); err != nil {
			return err
		}
	}
	for _, d := range []string{"/var/lib/opensmtpd/empty", "/etc/ssl/certs", p.dir} {
		if err := os.MkdirAll(newer+d, 0o711); err != nil {
			return err
		}
	}
	ca, err := os.ReadFile(filepath.Join(root, "ca.pem")) // without a list it does not start
	if err != nil {
		return err
	}
	if err := os.WriteFile(newer+"/etc/ssl/certs/ca-certificates.crt", ca, 0o644); err != nil {
		return err
	}
	return syscall.Mount(p.dir, newer+p.dir, "", syscall.MS_BIND, "")
}
