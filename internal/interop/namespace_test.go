//go:build linux

package interop

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// The environment of the tests.
const (
	envPeers    = "WAXWING_PEERS"          // directory of unpacked packages
	envTree     = "WAXWING_TRIXIE"         // directory with a Debian trixie, which is left alone
	envRequired = "WAXWING_INTEROP"        // "required": fail where one would skip
	envInside   = "WAXWING_INTEROP_INSIDE" // set within the namespaces
	envMissing  = "WAXWING_INTEROP_MISSING"
)

// root is where the world keeps its files: a file system in memory that only
// the tests see, and that ends with them.
const root = "/mnt"

// TestMain runs the tests once more within namespaces of their own, and passes
// their result on.
func TestMain(m *testing.M) {
	if os.Getenv(envInside) == "" {
		code, err := enter()
		if err == nil {
			os.Exit(code)
		}
		os.Setenv(envMissing, err.Error())
		os.Exit(m.Run())
	}
	if err := furnish(); err != nil {
		os.Setenv(envMissing, err.Error())
	}
	os.Exit(m.Run()) // the namespaces' first process: all that it started ends with it
}

// need skips a test for which something is missing.
func need(t *testing.T, programs ...string) {
	t.Helper()
	missing := os.Getenv(envMissing)
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil && missing == "" {
			missing = p + " is not installed, nor in $" + envPeers
		}
	}
	if missing == "" {
		return
	}
	if os.Getenv(envRequired) == "required" {
		t.Fatal("cannot run: " + missing)
	}
	t.Skip("interoperation: " + missing)
}

// enter runs this program again in new namespaces; the error says why that is
// not possible.
func enter() (code int, err error) {
	if os.Geteuid() != 0 {
		return 0, errors.New("only root can make namespaces with ports 25, 53 and 443 of their own")
	}
	runtime.LockOSThread() // Pdeathsig is the thread's
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), envInside+"=yes")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("the system gives no namespaces: %w", err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	if code = cmd.ProcessState.ExitCode(); code < 0 { // by a signal
		code = 1
	}
	return code, nil
}

// furnish makes the namespaces a machine: loopback is up, /etc and /var can be
// written without anybody else seeing it, and unpacked peers stand in /usr.
func furnish() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("the mount namespace cannot be made private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	for _, dir := range []string{root, "/run"} { // sockets in /run would be seen by others
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"); err != nil {
			return fmt.Errorf("mount %s: %w", dir, err)
		}
	}
	if err := plantTree(); err != nil { // before /var has its own layer: layers on layers on layers are refused
		return err
	}
	for _, dir := range []string{"/etc", "/var", "/usr"} {
		if err := overlay(dir); err != nil {
			return err
		}
	}
	if err := loopbackUp(); err != nil {
		return err
	}
	// trust-ad: the C library would hide from Postfix what unbound validated.
	files := map[string]string{"/etc/resolv.conf": "nameserver 127.0.0.1\noptions trust-ad edns0\n", "/etc/hosts": "127.0.0.1 localhost\n"}
	for path, text := range files {
		os.Remove(path) // it may be a link
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			// In a container these are mounts, which an overlay does not carry over.
			return err
		}
	}
	if err := syscall.Sethostname([]byte("interop")); err != nil {
		return err
	}
	return addUsers()
}

// overlay lays a writable layer over a directory, and the unpacked peers below it.
func overlay(dir string) error {
	lower := dir
	if p := filepath.Join(os.Getenv(envPeers), dir); p != dir {
		if _, err := os.Stat(p); err == nil {
			lower += ":" + p // what is installed lies above what is unpacked
		}
	}
	up, work := filepath.Join(root, "overlay", dir, "upper"), filepath.Join(root, "overlay", dir, "work")
	for _, d := range []string{up, work} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	if err := syscall.Mount("overlay", dir, "overlay", 0, "lowerdir="+lower+",upperdir="+up+",workdir="+work); err != nil {
		return fmt.Errorf("lay an overlay over %s: %w", dir, err)
	}
	return nil
}

// loopbackUp sets the flag UP on lo, with which 127.0.0.0/8 is there.
func loopbackUp() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	ifreq := struct {
		name  [16]byte
		flags uint16
		_     [22]byte
	}{flags: syscall.IFF_UP}
	copy(ifreq.name[:], "lo")
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&ifreq))); errno != 0 {
		return fmt.Errorf("set lo up: %w", errno)
	}
	return nil
}

// The users that the packages' installation would have made, and one to own mail.
const mailUID = 5001

func addUsers() error {
	passwd, group, err := readUsers()
	if err != nil {
		return err
	}
	for i, name := range []string{"Debian-exim", "opensmtpd", "opensmtpq", "nsd", "mailer"} {
		id := mailUID + 10 + i
		if name == "mailer" {
			id = mailUID
		}
		if !strings.Contains("\n"+passwd, "\n"+name+":") {
			passwd += fmt.Sprintf("%s:x:%d:%d::%s:/bin/sh\n", name, id, id, root)
		}
		if !strings.Contains("\n"+group, "\n"+name+":") {
			group += fmt.Sprintf("%s:x:%d:\n", name, id)
		}
	}
	return errors.Join(os.WriteFile("/etc/passwd", []byte(passwd), 0o644), os.WriteFile("/etc/group", []byte(group), 0o644))
}

func readUsers() (passwd, group string, err error) {
	p, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return "", "", err
	}
	g, err := os.ReadFile("/etc/group")
	return string(p), string(g), err
}
