package reports

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestGiveWay(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	at := func(ago time.Duration, octets int64) progress { return progress{now.Add(-ago), octets} }
	for _, tt := range []struct {
		name   string
		bodies []progress
		want   int
	}{
		{"none", nil, -1},
		{"young", []progress{at(grace-1, 0)}, -1},
		{"fast enough", []progress{at(10*time.Second, 10*slowest)}, -1},
		{"too slow", []progress{at(10*time.Second, 10*slowest-1)}, 0},
		{"the slowest", []progress{at(10*time.Second, 500), at(20*time.Second, 500), at(10*time.Second, 501), at(0, 0)}, 1},
		{"much, and then nothing", []progress{at(30*time.Second, 900<<10), at(time.Second, 900<<10)}, 0},
	} {
		if got := giveWay(tt.bodies, now); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

// client posts from an address of ours.
func client(own string) *http.Client {
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(own)}}).DialContext(ctx, network, addr)
	}}}
}

// RPT-15: slow bodies from so many networks that they have all places keep nobody
// from posting: the slowest gives way, and is told why.
func TestSlowBodiesOfManyNetworks(t *testing.T) {
	t.Parallel()
	h := &Handler{Sink: &sink{}, Log: slog.New(slog.DiscardHandler), Now: time.Now}
	srv := httptest.NewServer(h)
	defer srv.Close()
	const gz = "application/tlsrpt+gzip"
	answers := make(chan int, reading)
	began := time.Now()
	for i := range reading {
		nc, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, byte(1+i/atATime), 1)}}).Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		fmt.Fprintf(nc, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: 1000\r\n\r\nx", Path, gz)
		go func() {
			var code int
			nc.SetReadDeadline(time.Now().Add(20 * time.Second))
			fmt.Fscanf(nc, "HTTP/1.1 %d", &code)
			answers <- code
		}()
	}
	for { // until all have their place
		h.room.mu.Lock()
		n := len(h.room.in)
		h.room.mu.Unlock()
		if n == reading {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	for i := range 3 {
		var status int
		for status != 200 {
			r, err := client("127.0.100.1").Post(srv.URL+Path, gz, strings.NewReader("x"))
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, r.Body)
			r.Body.Close()
			if status = r.StatusCode; status == 503 && time.Since(began) > 10*grace {
				t.Fatalf("post %d: busy after %s", i, time.Since(began))
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	if code := <-answers; code != http.StatusRequestTimeout {
		t.Errorf("a slow one is answered %d", code)
	}
}
