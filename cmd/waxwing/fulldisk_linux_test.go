package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// onSmallDisk is a machine whose directory is a disk of 32 MiB.
func onSmallDisk(t *testing.T) *killed {
	t.Helper()
	k := &killed{t: t, dir: t.TempDir(), acked: map[string]bool{}, password: "kill-test-password"}
	if err := syscall.Mount("tmpfs", k.dir, "tmpfs", 0, "size=32m"); err != nil {
		t.Skipf("no small disk can be made here (%v): it takes root", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(k.dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	k.setup("")
	k.edit(func(s string) string {
		return strings.Replace(s, "[limits]\n", "[limits]\ndisk_reserve = \"4MiB\"\n", 1)
	})
	return k
}

// sound makes a backup of the store and reads all of it.
func (k *killed) sound() {
	k.t.Helper()
	dir := filepath.Join(k.t.TempDir(), "backups")
	k.command("", "backup", dir)
	k.command("", "backup", "verify", dir)
}

// OPS-4: a disk of 32 MiB is filled three times under a loaded server, which stays. While
// it is full mail is answered 4xx; when there is room again the same process takes mail by
// itself; nothing that was answered with 250 is lost, and the database is sound.
func TestFullDiskPasses(t *testing.T) {
	if testing.Short() {
		t.Skip("fills a disk; not with -short")
	}
	k := onSmallDisk(t)
	cmd, log := k.serve()
	defer cmd.Process.Kill()
	stop := k.load(6)
	ballast := filepath.Join(k.dir, "ballast")
	for range 3 {
		k.more(40)
		k.takeAll(ballast)
		k.answers(4, 2*time.Minute)
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		k.answers(2, time.Minute)
		k.more(40)
	}
	stop()
	cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); err != nil {
		t.Errorf("serve ended with %v: %s", err, log.String())
	}
	if s := log.String(); strings.Contains(s, "panic") || !strings.Contains(s, "the disk is nearly full") {
		t.Errorf("serve said: %s", s)
	}
	k.round.Add(1)
	k.settle()
	k.check()
	k.sound()
}

// OPS-4: TestFullDisk fills a disk of 32 MiB under a loaded server to the last octet, ends the server
// while it is full, and starts it again with room: nothing that was answered with 250 is
// lost, and nothing goes out twice, for what became of it was kept. Only where the server
// was killed may it have been before that, for what it had just been told.
func TestFullDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("fills disks for half a minute; not with -short")
	}
	k := onSmallDisk(t)
	refused, waited, killed := 0, 0, map[int64]bool{}
	for i := range 4 {
		sig := []os.Signal{os.Interrupt, os.Kill}[i%2]
		killed[k.round.Add(1)] = sig == os.Kill
		r, w := k.fill(sig)
		refused, waited = refused+r, waited+w
		k.round.Add(1)
		k.settle() // and the database's log is short again
	}
	k.check()
	k.sound()
	for id, rounds := range k.sink.all() {
		if len(rounds) > 1 && !killed[rounds[0]] {
			t.Errorf("%s arrived in the rounds %v", id, rounds)
		}
	}
	t.Logf("in %d of 4 rounds mail was refused, in %d outcomes waited for room", refused, waited)
	if refused == 0 || waited < 2 {
		t.Error("too little to show anything")
	}
}

// fill is one round, at whose end the server gets sig.
func (k *killed) fill(sig os.Signal) (refused, waited int) {
	k.t.Helper()
	cmd, stderr := k.serve()
	k.sink.busy.Lock() // what is under way comes to its end on a full disk
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				k.client(ctx, true)
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	within := func(done func() bool) {
		for end := time.Now().Add(time.Minute); !done() && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
	}
	within(func() bool { return k.sink.waits.Load() >= 5 })
	ballast := filepath.Join(k.dir, "ballast")
	k.takeAll(ballast)
	k.sink.busy.Unlock()
	within(func() bool { return k.sink.waits.Load() == 0 && strings.Contains(stderr.String(), outcomesWait) })
	time.Sleep(2 * time.Second)
	cmd.Process.Signal(sig)
	if err := cmd.Wait(); err != nil && sig != os.Kill {
		k.t.Errorf("serve ended with %v: %s", err, stderr.String())
	}
	cancel()
	wg.Wait()
	said := stderr.String()
	if strings.Contains(said, "panic") {
		k.t.Fatalf("serve said: %s", said)
	}
	if err := os.Remove(ballast); err != nil {
		k.t.Fatal(err)
	}
	return count(said, "the disk is nearly full"), count(said, outcomesWait)
}

const outcomesWait = "the store does not take what attempts came to"

func count(s, what string) int { return min(1, strings.Count(s, what)) }

// takeAll writes a file until the disk has no octet left, and goes on for a while: what
// others free is taken too.
func (k *killed) takeAll(path string) {
	f, err := os.Create(path)
	if err != nil {
		k.t.Fatal(err)
	}
	defer f.Close()
	piece := make([]byte, 4096)
	for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); {
		if _, err := f.Write(piece); errors.Is(err, syscall.ENOSPC) {
			time.Sleep(time.Millisecond)
		} else if err != nil {
			k.t.Fatal(fmt.Errorf("fill the disk: %w", err))
		}
	}
}
