package machine_test

import (
	"net"
	"time"
)

type netConn = net.Conn

// impatient is a connection whose deadlines are soon.
type impatient struct{ net.Conn }

func (i impatient) SetDeadline(time.Time) error {
	return i.Conn.SetDeadline(time.Now().Add(200 * time.Millisecond))
}
