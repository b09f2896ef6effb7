package submitsocket

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"

	"waxwing/smtp"
)

// Submit hands a message in over the socket at path and returns the server's
// reply. msg has CRLF line ends. An error means that no answer came: whether the
// server has the message is then not known, unless it is an ErrConnect.
func Submit(ctx context.Context, path string, req Request, msg []byte) (*smtp.Reply, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConnect, err)
	}
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	req.Version, req.Size = Version, int64(len(msg))
	head, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	if len(head) >= maxRequest {
		return nil, errors.New("too many recipients for one message")
	}
	// The server may refuse and close before it has read all; its answer counts.
	_, werr := (&net.Buffers{append(head, '\n'), msg}).WriteTo(nc)
	line, err := readLine(bufio.NewReader(nc), maxAnswer)
	if err != nil {
		return nil, fmt.Errorf("no answer over the socket %s: %w", path, errors.Join(werr, err))
	}
	var a answer
	if err := json.NewDecoder(bytes.NewReader(line)).Decode(&a); err != nil {
		return nil, fmt.Errorf("answer over the socket %s: %w", path, err)
	}
	return a.reply()
}

// ErrConnect is wrapped where nothing was handed in, because nobody listens.
var ErrConnect = errors.New("cannot connect to the local server")
