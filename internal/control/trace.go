package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"time"

	"waxwing/dns"
	"waxwing/internal/smtptrace"
)

// traceOp is where traces are asked for. The answer is a line of JSON for each line of
// the transcript, as it is said, until the client goes or the time is over.
const traceOp = "smtp/trace"

// traceWrite is how long the reader of a trace may take no line before it is parted from.
const traceWrite = 30 * time.Second

// filter is what a request means, with the addresses of a host that is named.
func (r *Running) filter(ctx context.Context, q smtptrace.Request) (smtptrace.Filter, error) {
	f, host, err := q.Parse()
	if err != nil || host == (dns.Name{}) {
		return f, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	a, aErr := r.DNS.LookupA(ctx, host)
	b, bErr := r.DNS.LookupAAAA(ctx, host)
	for _, addr := range append(a.Records, b.Records...) {
		f.Nets = append(f.Nets, netip.PrefixFrom(addr, addr.BitLen()))
	}
	if len(f.Nets) == 0 && !f.Outgoing {
		return f, fmt.Errorf("no address of %s is known, so that its connections to this server cannot be told: give an address or a network, or --outgoing: %w",
			host.ASCII(), errors.Join(errors.New("DNS has none"), aErr, bErr))
	}
	return f, nil
}

// trace answers a request for a trace.
func (s *Server) trace(w http.ResponseWriter, r *http.Request) {
	q, ok := asked[smtptrace.Request](w, r)
	if !ok {
		return
	}
	f, err := s.Running.filter(r.Context(), q)
	if err != nil {
		answer(w, http.StatusUnprocessableEntity, encode(err))
		return
	}
	limit := smtptrace.MaxFor
	if q.For > 0 {
		limit = q.For
	}
	ctx, cancel := context.WithTimeout(r.Context(), limit)
	defer cancel()
	s.log().Info("SMTP trace begins", "peer", q.Peer, "for", limit.String())
	out := &lineWriter{enc: json.NewEncoder(w), to: http.NewResponseController(w)}
	err = s.Running.Traces.Follow(ctx, f, out.begin, func(l smtptrace.Line) error { return out.write(l) })
	if errors.Is(err, smtptrace.ErrBusy) {
		answer(w, http.StatusUnprocessableEntity, encode(err))
		return
	}
	s.log().Info("SMTP trace has ended", "peer", q.Peer, "error", err)
}

// lineWriter writes values as lines of JSON, each at once.
type lineWriter struct {
	enc *json.Encoder
	to  *http.ResponseController
}

// begin tells the client that lines follow.
func (o *lineWriter) begin() error { return o.write(struct{}{}) }

func (o *lineWriter) write(v any) error {
	if err := o.to.SetWriteDeadline(time.Now().Add(traceWrite)); err != nil {
		return err
	}
	if err := o.enc.Encode(v); err != nil {
		return err
	}
	return o.to.Flush()
}

// Trace has emit called with each line that is said on the connections with a peer, and
// begun once the server watches them, until ctx or the request's time ends. Neither is an
// error.
func (c *Client) Trace(ctx context.Context, q smtptrace.Request, begun func(), emit func(smtptrace.Line) error) error {
	res, err := c.post(ctx, traceOp, q)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return readFailure(res)
	}
	for dec := json.NewDecoder(res.Body); ; {
		var l smtptrace.Line
		switch err := dec.Decode(&l); {
		case ctx.Err() != nil || errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("the trace broke off: %w", err)
		}
		if l.Time.IsZero() {
			begun()
			continue
		}
		if err := emit(l); err != nil {
			return err
		}
	}
}
