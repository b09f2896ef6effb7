package server

import (
	"crypto/tls"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"waxwing/internal/config"
)

// INB-2: what a stranger may send over HTTP/2 before anybody reads it is 64 KiB for the
// connection, not a MiB; and few requests at a time.
func TestHTTPSHoldsLittle(t *testing.T) {
	t.Parallel()
	s := run(t, parse(t, config.HTTPS))
	c, err := tls.Dial("tcp", s.Addr(config.HTTPS).String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Minute))
	if p := c.ConnectionState().NegotiatedProtocol; p != "h2" {
		t.Fatalf("spoken is %q", p)
	}
	if _, err := c.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	f := http2.NewFramer(c, c)
	if err := f.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	window, stream, streams, headers := uint32(65535), uint32(65535), uint32(0), uint32(0)
	for acked := false; !acked; {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch fr := frame.(type) {
		case *http2.WindowUpdateFrame:
			window += fr.Increment
		case *http2.SettingsFrame:
			acked = fr.IsAck()
			if v, ok := fr.Value(http2.SettingInitialWindowSize); ok {
				stream = v
			}
			if v, ok := fr.Value(http2.SettingMaxConcurrentStreams); ok {
				streams = v
			}
			if v, ok := fr.Value(http2.SettingMaxHeaderListSize); ok {
				headers = v
			}
		}
	}
	if window > (64<<10) || stream > (64<<10) || streams == 0 || streams > 10 || headers == 0 || headers > 32<<10 {
		t.Errorf("window %d, of a stream %d, %d streams, header lists of %d octets", window, stream, streams, headers)
	}
}
