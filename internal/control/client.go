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

	"waxwing/internal/desk"
	"waxwing/internal/outbox"
	"waxwing/internal/queue"
	"waxwing/internal/spool"
)

// Client is the Desk of a running server. It is safe for concurrent use.
type Client struct {
	Hello Hello
	http  *http.Client
}

var _ desk.Desk = (*Client)(nil)

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
	res, err := c.do(hctx, http.MethodGet, versionPath, nil)
	if err == nil {
		err = read(res, &c.Hello)
	}
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
func (c *Client) List(ctx context.Context, f spool.Filter) ([]spool.Item, error) {
	return ask[[]spool.Item](ctx, c, "queue/list", f)
}

// Show shows a message.
func (c *Client) Show(ctx context.Context, id int64) (spool.Shown, error) {
	return ask[spool.Shown](ctx, c, "queue/show", byID{id})
}

// Count counts recipients by state.
func (c *Client) Count(ctx context.Context) (map[spool.State]int, error) {
	return ask[map[spool.State]int](ctx, c, "queue/count", struct{}{})
}

// Closed lists destinations that cannot be reached.
func (c *Client) Closed(ctx context.Context, limit int) ([]spool.Closed, error) {
	return ask[[]spool.Closed](ctx, c, "queue/closed", atMost{limit})
}

// Act changes the queue.
func (c *Client) Act(ctx context.Context, a desk.Action) (queue.Changed, error) {
	return ask[queue.Changed](ctx, c, "queue/act", a)
}

// SendReports makes the reports of a day, of the family that has this noun.
func (c *Client) SendReports(ctx context.Context, noun string, o outbox.SendOptions) (outbox.Summary, error) {
	s, err := ask[sent](ctx, c, noun+"/send", o)
	return s.summary(), err
}

func ask[A any](ctx context.Context, c *Client, op string, q any) (a A, err error) {
	res, err := c.post(ctx, op, q)
	if err != nil {
		return a, err
	}
	return a, read(res, &a)
}

// post asks. The caller closes the body of what it returns.
func (c *Client) post(ctx context.Context, op string, q any) (*http.Response, error) {
	b, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	return c.do(ctx, http.MethodPost, "/"+op, b)
}

func (c *Client) do(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://waxwing"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set(versionHeader, strconv.Itoa(Version))
	return c.http.Do(req)
}

// read reads an answer to its end, and closes it.
func read(res *http.Response, into any) error {
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return readFailure(res)
	}
	b, err := readBody(res)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("the server's answer cannot be read: %w", err)
	}
	return nil
}

func readBody(res *http.Response) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("the server's answer broke off: %w", err)
	case len(b) > maxAnswer:
		return nil, fmt.Errorf("the server's answer is larger than %d MiB: ask for less", maxAnswer>>20)
	}
	return b, nil
}

// readFailure is the error that the server answered.
func readFailure(res *http.Response) error {
	b, err := readBody(res)
	if err != nil {
		return err
	}
	var f failure
	if err := json.Unmarshal(b, &f); err != nil || f.Text == "" {
		return fmt.Errorf("the server answered %s, which this program does not understand: are both of one version?", res.Status)
	}
	return &RemoteError{f.Word, f.Text}
}
