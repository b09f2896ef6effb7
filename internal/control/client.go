package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"waxwing/internal/queue"
	"waxwing/internal/tlsreport"
)

// Client is the Desk of a running server. It is safe for concurrent use.
type Client struct {
	Hello Hello
	http  *http.Client
}

var _ Desk = (*Client)(nil)

// helloTimeout bounds the first exchange. A server that serves answers at once.
const helloTimeout = 10 * time.Second

// Dial reaches the server of a data directory. Errors: ErrNotRunning,
// *MismatchError, and of the system, with what to do.
func Dial(ctx context.Context, dir string) (*Client, error) {
	c := &Client{http: &http.Client{Transport: &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, dir) },
		DisableKeepAlives: true,
	}}}
	hctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	err := c.do(hctx, http.MethodGet, versionPath, nil, &c.Hello)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, ErrNotRunning
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("a server may be running, and this user may not control it (%s: permission denied): run the command as the user the server runs as, or as root",
			filepath.Join(dir, Socket))
	case err != nil && ctx.Err() == nil && hctx.Err() != nil:
		return nil, fmt.Errorf("the server at %s does not answer within %s: see its log", filepath.Join(dir, Socket), helloTimeout)
	case err != nil:
		return nil, fmt.Errorf("ask the running server: %w", err)
	case c.Hello.Protocol != Version:
		return nil, &MismatchError{Server: c.Hello.Protocol, Client: Version, Program: c.Hello.Program}
	}
	return c, nil
}

// List lists recipients.
func (c *Client) List(ctx context.Context, f queue.Filter) ([]queue.Item, error) {
	return ask[[]queue.Item](ctx, c, "queue/list", f)
}

// Show shows a message.
func (c *Client) Show(ctx context.Context, id int64) (queue.Shown, error) {
	return ask[queue.Shown](ctx, c, "queue/show", byID{id})
}

// Count counts recipients by state.
func (c *Client) Count(ctx context.Context) (map[queue.State]int, error) {
	return ask[map[queue.State]int](ctx, c, "queue/count", struct{}{})
}

// Closed lists destinations that cannot be reached.
func (c *Client) Closed(ctx context.Context, limit int) ([]queue.Closed, error) {
	return ask[[]queue.Closed](ctx, c, "queue/closed", atMost{limit})
}

// Act changes the queue.
func (c *Client) Act(ctx context.Context, a Action) (queue.Changed, error) {
	return ask[queue.Changed](ctx, c, "queue/act", a)
}

// SendReports makes the reports of a day.
func (c *Client) SendReports(ctx context.Context, o tlsreport.SendOptions) (tlsreport.Summary, error) {
	s, err := ask[sent](ctx, c, "tlsrpt/send", o)
	return s.summary(), err
}

func ask[A any](ctx context.Context, c *Client, op string, q any) (a A, err error) {
	b, err := json.Marshal(q)
	if err != nil {
		return a, err
	}
	return a, c.do(ctx, http.MethodPost, "/"+op, b, &a)
}

// do makes one exchange.
func (c *Client) do(ctx context.Context, method, path string, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://waxwing"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set(versionHeader, strconv.Itoa(Version))
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("the server's answer broke off: %w", err)
	case len(b) > maxAnswer:
		return fmt.Errorf("the server's answer is larger than %d MiB: ask for less", maxAnswer>>20)
	case res.StatusCode != http.StatusOK:
		var f failure
		if err := json.Unmarshal(b, &f); err != nil || f.Text == "" {
			return fmt.Errorf("the server answered %s, which this program does not understand: are both of one version?", res.Status)
		}
		return &RemoteError{f.Word, f.Text}
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("the server's answer cannot be read: %w", err)
	}
	return nil
}
