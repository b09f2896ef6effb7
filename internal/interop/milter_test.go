//go:build linux

package interop

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// filtered hands a message to a milter as a mail server would (Sendmail's protocol 6), and returns
// the fields that it adds, "Name: value".
func filtered(addr string, l *letter, text []byte) (fields []string, err error) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		return nil, err
	}
	m := &milterSession{nc: nc, r: bufio.NewReader(nc)}
	const leadingSpace = 0x100000 // values keep their white space
	m.send('O', binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 6), 0x1ff), leadingSpace))
	cmd, options, err := m.read()
	if err != nil || cmd != 'O' || len(options) < 12 {
		return nil, fmt.Errorf("%c %q in place of the options: %w", cmd, options, err)
	}
	spaces := binary.BigEndian.Uint32(options[8:])&leadingSpace != 0
	family, ip := "4", l.IP
	if l.addr().Is6() {
		family, ip = "6", "IPv6:"+l.IP
	}
	m.send('D', []byte("Cj\x00mx.waxwing.example\x00i\x00job\x00"))
	m.ask('C', append([]byte("client.example\x00"+family+"\x30\x39"), ip+"\x00"...))
	m.ask('H', []byte(l.HELO+"\x00"))
	m.send('D', []byte("Mi\x00job\x00"))
	m.ask('M', []byte("<"+l.Sender+">\x00"))
	m.ask('R', []byte("<carol@waxwing.example>\x00"))
	head, body, _ := bytes.Cut(text, []byte("\r\n\r\n"))
	for _, f := range strings.Split(strings.NewReplacer("\r\n ", "\n ", "\r\n\t", "\n\t").Replace(string(head)), "\r\n") {
		name, value, _ := strings.Cut(f, ":")
		if !spaces {
			value = strings.TrimPrefix(value, " ")
		}
		m.ask('L', []byte(name+"\x00"+value+"\x00"))
	}
	m.ask('N', nil)
	if len(body) > 0 {
		m.ask('B', body)
	}
	m.send('E', nil)
	for m.err == nil {
		cmd, data, err := m.read()
		if err != nil {
			return nil, err
		}
		switch cmd {
		case 'h', 'i':
			if cmd == 'i' {
				data = data[4:]
			}
			name, value, _ := strings.Cut(strings.TrimSuffix(string(data), "\x00"), "\x00")
			fields = append(fields, name+":"+value)
		case 'c', 'a':
			m.send('Q', nil)
			return fields, m.err
		case 'p', 'q', 'm', 'b':
		default:
			return fields, fmt.Errorf("the milter answers %c %q", cmd, data)
		}
	}
	return fields, m.err
}

type milterSession struct {
	nc  net.Conn
	r   *bufio.Reader
	err error
}

func (m *milterSession) send(cmd byte, data []byte) {
	if m.err == nil {
		b := binary.BigEndian.AppendUint32(nil, uint32(len(data)+1))
		_, m.err = m.nc.Write(append(append(b, cmd), data...))
	}
}

func (m *milterSession) read() (byte, []byte, error) {
	var n uint32
	if err := binary.Read(m.r, binary.BigEndian, &n); err != nil {
		return 0, nil, err
	}
	if n == 0 || n > 1<<20 {
		return 0, nil, errors.New("milter: a packet of impossible length")
	}
	b := make([]byte, n)
	_, err := io.ReadFull(m.r, b)
	return b[0], b[1:], err
}

// ask sends, and wants to hear that it may go on.
func (m *milterSession) ask(cmd byte, data []byte) {
	if m.send(cmd, data); m.err != nil {
		return
	}
	for {
		answer, text, err := m.read()
		switch {
		case err != nil:
			m.err = err
		case answer == 'p':
			continue
		case answer != 'c':
			m.err = fmt.Errorf("the milter answers %c %q to %c %.100q", answer, text, cmd, data)
		}
		return
	}
}
