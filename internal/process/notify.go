package process

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Manager is the service manager that has started this process, and wants to hear how it
// does (sd_notify(3)). The zero value is nobody.
type Manager struct {
	socket string
	// Watchdog is how often the manager wants to hear of the process, or it kills it; 0:
	// it does not.
	Watchdog time.Duration
}

// ManagerOf finds the manager in the environment.
func ManagerOf(getenv func(string) string, pid int) Manager {
	m := Manager{socket: getenv("NOTIFY_SOCKET")}
	if name, abstract := strings.CutPrefix(m.socket, "@"); abstract {
		m.socket = "\x00" + name
	}
	usec, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64)
	if whose := getenv("WATCHDOG_PID"); err == nil && usec > 0 && (whose == "" || whose == strconv.Itoa(pid)) {
		m.Watchdog = time.Duration(usec) * time.Microsecond
	}
	return m
}

// The states of a service.
const (
	Ready    = "READY=1"
	Stopping = "STOPPING=1"
	Alive    = "WATCHDOG=1"
)

// Reloading is the state of a service that reads its configuration again, or gives way
// to a new program; Ready ends it.
func Reloading() string {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return "RELOADING=1"
	}
	return fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", now.Nano()/1000)
}

// Tell tells the manager, if there is one, states and what people may read.
func (m Manager) Tell(states ...string) error {
	if m.socket == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: m.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(strings.Join(states, "\n"))); err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	return nil
}
