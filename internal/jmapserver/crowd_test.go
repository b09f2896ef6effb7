package jmapserver_test

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
	"waxwing/internal/jmapserver"
	"waxwing/internal/mailboxes"
	"waxwing/internal/store/storetest"
)

// waiting is a connection of the event source that has heard its greeting.
type waiting struct {
	net.Conn
	r *bufio.Reader
}

// wait opens one.
func (w *world) wait(account string) (*waiting, error) {
	c, err := tls.Dial("tcp", strings.TrimPrefix(w.url, "https://"), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	if err != nil {
		return nil, err
	}
	w.t.Cleanup(func() { c.Close() })
	login := base64.StdEncoding.EncodeToString([]byte(account + ":" + account))
	fmt.Fprintf(c, "GET /jmap/eventsource/?types=*&closeafter=no&ping=0 HTTP/1.1\r\nHost: x\r\nAuthorization: Basic %s\r\n\r\n", login)
	x := &waiting{c, bufio.NewReaderSize(c, 16)}
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	_, err = x.until(": hello")
	return x, err
}

// eventsAs asks for the event source as an account, and does not wait for anything.
func (w *world) eventsAs(account string) (*bufio.Reader, *http.Response) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), "GET", w.url+"/jmap/eventsource/?types=*&closeafter=no&ping=0", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.SetBasicAuth(account, account)
	resp, err := w.http.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { resp.Body.Close() })
	return bufio.NewReader(resp.Body), resp
}

// until reads up to a line that begins so.
func (x *waiting) until(begin string) (string, error) {
	for {
		line, err := x.r.ReadString('\n')
		if err != nil || strings.HasPrefix(line, begin) {
			return line, err
		}
	}
}

// JMP-1: hundreds of connections (with WAXWING_TEST_CROWD=1: 1,000) wait for news at once, each costs little, and a change is heard by all of its account within a second. The
// memory counted is that of both ends, this test's with it.
func TestCrowd(t *testing.T) { // not parallel: it counts memory
	many, each := 300, 100
	if testing.Short() {
		many, each = 100, 50
	} else if os.Getenv("WAXWING_TEST_CROWD") != "" {
		many = 1000
	}
	w := newWorld(t, storetest.Open(t))
	users := &accounts.Store{DB: w.db}
	w.s.Authenticate = func(r *http.Request) (string, error) {
		_, account, ok := r.BasicAuth()
		if !ok {
			return "", &jmapserver.Refused{Status: http.StatusUnauthorized, Text: "no"}
		}
		return account, nil
	}
	var names []string
	for i := range many / each {
		name := fmt.Sprintf("a%d", i)
		names = append(names, name)
		if err := users.AddAccount(t.Context(), name, "correct horse battery"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.boxes.Boxes(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	memory := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	before := memory()
	all := make([]*waiting, many)
	for i := range all {
		var err error
		if all[i], err = w.wait(names[i/each]); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
	cost := int64(memory()-before) / int64(many)
	if _, resp := w.eventsAs(names[0]); each == 100 && resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("one more than an account may have: %d", resp.StatusCode)
	}
	from := time.Now()
	for _, name := range names {
		if _, _, err := w.boxes.Append(t.Context(), name, "INBOX", []mailboxes.Appended{{Date: noon, Content: delivery.Bytes("Subject: x\r\n\r\nx\r\n")}}); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for _, x := range all {
		wg.Go(func() {
			_ = x.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := x.until("event: state"); err != nil {
				t.Errorf("nothing was heard: %v", err)
			}
		})
	}
	wg.Wait()
	took := time.Since(from)
	t.Logf("%d connections of %d accounts: %d KiB each, both ends; all had heard after %s", many, len(names), cost>>10, took)
	if took > 10*time.Second || cost > 256<<10 {
		t.Errorf("%d KiB each, %s", cost>>10, took)
	}
}
