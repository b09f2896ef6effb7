//go:build linux

package interop

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// process is a peer that runs until the namespaces end.
type process struct {
	name string
	mu   sync.Mutex
	said bytes.Buffer
	done chan struct{}
}

// Write keeps what the process says, up to a bound.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.said.Len() < 4<<20 {
		p.said.Write(b)
	}
	return len(b), nil
}

func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

// start runs a program in the foreground and waits until it listens on addr.
func start(name, addr, program string, args ...string) (*process, error) {
	p := &process{name: name, done: make(chan struct{})}
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = p, p
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.done)
		if err := cmd.Wait(); err != nil {
			fmt.Fprintf(p, "%s ended: %v\n", name, err)
		}
	}()
	// While it lives it is waited for: what else the machine does may take minutes. The test's own end is the bound.
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		nc, err := net.Dial("tcp", addr)
		if err == nil {
			nc.Close()
			return p, nil
		}
		select {
		case <-p.done:
			return nil, fmt.Errorf("%s did not start: %s", name, p.log())
		default:
		}
	}
	return nil, fmt.Errorf("%s does not listen on %s: %s", name, addr, p.log())
}

// output runs a program in dir and returns what it says.
func output(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	// OpenSSL would spend most of its time reading the system's authorities.
	cmd.Env = append(os.Environ(), "SSL_CERT_FILE=/dev/null", "SSL_CERT_DIR=/nonexistent", "LC_ALL=C")
	b, err := cmd.CombinedOutput()
	if err != nil {
		return string(b), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, b)
	}
	return string(b), nil
}
