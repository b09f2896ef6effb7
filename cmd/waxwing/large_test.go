package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestLargeToMany: one message of 50 MiB to a hundred addresses of one account is stored
// once, arrives once, and holds up nobody who sends a small one meanwhile.
func TestLargeToMany(t *testing.T) {
	if testing.Short() {
		t.Skip("sends 50 MiB; not with -short")
	}
	k := &killed{t: t, dir: t.TempDir(), acked: map[string]bool{}, password: "kill-test-password"}
	k.setup("")
	stop := k.served()
	var usual sync.WaitGroup
	before := k.small(t, &usual, context.Background(), 50)
	usual.Wait()
	stop()
	room := k.stored() // its log is in the database now

	stop = k.served()
	ctx, enough := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	during := k.small(t, &wg, ctx, 1<<30)
	k.large(t)
	for end := time.Now().Add(2 * time.Minute); k.larges() == 0 && time.Now().Before(end); {
		time.Sleep(100 * time.Millisecond)
	}
	enough()
	wg.Wait()
	if n := k.larges(); n != 1 {
		t.Errorf("%d copies in the mailbox", n)
	}
	stop()
	grown := k.stored() - room
	slowest, n := during.slowest()
	ordinary, _ := before.slowest()
	t.Logf("%d small messages meanwhile, the slowest %v (without the large one %v); the store grew by %d MiB", n, slowest, ordinary, grown>>20)
	// Held up behind the large one they would wait for a minute and more; on a machine that is busy with other tests all are slow.
	if bar := max(500*time.Millisecond, 10*ordinary); slowest > bar || n < 20 {
		t.Errorf("of %d small messages one waited for %v, more than %v", n, slowest, bar)
	}
	if bar := int64(52<<20 + n*16<<10); grown > bar { // the message once, and room for the small ones
		t.Errorf("the store grew by %d octets, more than %d", grown, bar)
	}
}

// served starts the server, and returns what ends it as an operator would.
func (k *killed) served() (stop func()) {
	k.t.Helper()
	cmd, stderr := k.serve()
	return func() {
		k.t.Helper()
		cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			k.t.Errorf("serve ended with %v: %s", err, stderr.String())
		}
	}
}

// waits are how long messages took from MAIL to 250.
type waits struct {
	mu  sync.Mutex
	all []time.Duration
}

func (w *waits) slowest() (d time.Duration, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, x := range w.all {
		d = max(d, x)
	}
	return d, len(w.all)
}

// small sends messages over four connections, until ctx ends or each has sent most.
func (k *killed) small(t *testing.T, wg *sync.WaitGroup, ctx context.Context, most int) *waits {
	w := &waits{}
	k.connected(wg, 4, func(c *smtp.Client) {
		for i := 0; i < most && ctx.Err() == nil; i++ {
			began := time.Now()
			if err := k.send(c, "someone@elsewhere.test", "anyone@local.test"); err != nil {
				t.Error(err)
				return
			}
			w.mu.Lock()
			w.all = append(w.all, time.Since(began))
			w.mu.Unlock()
			time.Sleep(5 * time.Millisecond)
		}
	})
	return w
}

// large sends the large message.
func (k *killed) large(t *testing.T) {
	nc, err := net.Dial("tcp", k.mx)
	if err != nil {
		t.Fatal(err)
	}
	c, err := smtp.NewClient(nc, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Mail("someone@elsewhere.test"); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if err := c.Rcpt(fmt.Sprintf("you+%d@local.test", i)); err != nil {
			t.Fatal(err)
		}
	}
	d, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(d, "From: <someone@elsewhere.test>\r\nSubject: large\r\nMessage-ID: <large@client.test>\r\nDate: Mon, 02 Jan 2006 15:04:05 +0000\r\n\r\n")
	line := strings.Repeat("x", 76) + "\r\n"
	block := strings.Repeat(line, 1000)
	for n := 0; n+len(block) < 50<<20-1000; n += len(block) {
		if _, err := d.Write([]byte(block)); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// larges counts the copies of the large message in the mailbox.
func (k *killed) larges() (n int) {
	var page []struct{ Size int64 }
	if err := json.Unmarshal(k.command("", "mail", "list", "-json", "-limit", "1000", "you"), &page); err != nil {
		k.t.Fatal(err)
	}
	for _, m := range page {
		if m.Size > 49<<20 {
			n++
		}
	}
	return n
}

// stored is what the data directory holds, in octets.
func (k *killed) stored() (n int64) {
	err := filepath.WalkDir(filepath.Join(k.dir, "data"), func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // a file may have gone meanwhile
		}
		if fi, err := d.Info(); err == nil {
			n += fi.Size()
		}
		return nil
	})
	if err != nil {
		k.t.Fatal(err)
	}
	return n
}
