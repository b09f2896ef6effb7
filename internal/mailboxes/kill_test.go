package mailboxes_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/schema"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// killedEnv has the store that a process of TestKilled changes until it is killed.
const killedEnv = "WAXWING_TEST_MAILBOXES_KILLED"

// TestKilledProcess is that process: it changes mail in any way, and says after each change what was answered.
func TestKilledProcess(t *testing.T) {
	where := os.Getenv(killedEnv)
	if where == "" {
		t.Skip("this is TestKilled's process")
	}
	db := killedStore(t, where)
	m := &mailboxes.Store{DB: db}
	for range 4 {
		go func() {
			for {
				changeAnything(t, m)
			}
		}()
	}
	for {
		boxes, err := m.Boxes(context.Background(), "joe")
		must(t, err)
		for _, b := range boxes {
			fmt.Printf("%s %d %d\n", b.Name, b.UIDNext, b.ModSeq)
		}
	}
}

func killedStore(t *testing.T, where string) *store.Store {
	t.Helper()
	o := store.Options{Create: true, Path: where, Migrations: schema.FS}
	if strings.HasPrefix(where, "postgres") {
		o = store.Options{Create: true, Postgres: where, Migrations: schema.FS}
	}
	db, err := store.Open(context.Background(), o)
	must(t, err)
	return db
}

func changeAnything(t *testing.T, m *mailboxes.Store) {
	ctx := context.Background()
	boxes, err := m.Boxes(ctx, "joe")
	must(t, err)
	b, to := boxes[rand.IntN(len(boxes))], boxes[rand.IntN(len(boxes))]
	uid := func() uint32 { return 1 + rand.Uint32N(b.UIDNext) }
	some := []mailbox.Range{{Low: uid(), High: 0}}
	some[0].High = some[0].Low + rand.Uint32N(20)
	switch rand.IntN(6) {
	case 0:
		_, _, err = m.Append(ctx, "joe", b.Name, []mailboxes.Appended{{Content: delivery.Bytes("x")}, {Content: delivery.Bytes(strings.Repeat("large", 40_000))}})
	case 1:
		d := mailbox.Delivery{Body: store.NewID(), Data: []byte("x"), Size: 1}
		err = m.DB.Write(ctx, func(tx *store.Tx) error {
			return m.Deliver(tx, d, []delivery.Copy{{Address: "joe@example.net", Account: "joe", Mailbox: b.Name}})
		})
	case 2:
		_, err = m.SetFlags(ctx, b.ID, some, mailboxes.FlagChange{Mode: "+-="[rand.IntN(3)], Flags: []string{`\Deleted`, `\Seen`}})
	case 3:
		_, err = m.Move(ctx, b.ID, some, to.Name)
	case 4:
		_, err = m.Copy(ctx, b.ID, some, to.Name)
	case 5:
		_, _, err = m.Expunge(ctx, b.ID, some)
	}
	must(t, err)
}

// Whatever a process was doing when it was killed: counters equal a recount, and what it has said of UIDs and modification
// sequences still holds (MBX-2, MBX-5, MBX-9).
func TestKilled(t *testing.T) {
	t.Parallel()
	rounds := 12
	if testing.Short() {
		rounds = 4
	}
	run := func(t *testing.T, where string) {
		db := killedStore(t, where)
		must(t, db.Write(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(`INSERT INTO accounts (name, disabled, password, scram256, scram1, created) VALUES ('joe', 0, '', '', '', 0)`)
			return err
		}))
		must(t, db.Close())
		changes := uint64(0)
		for round := range rounds {
			said := runKilled(t, where, time.Duration(100+rand.IntN(400))*time.Millisecond)
			db := killedStore(t, where)
			if differ, err := mailboxes.Check(t.Context(), db, false); err != nil || len(differ) > 0 {
				t.Errorf("round %d: %v, %v", round, differ, err)
			}
			boxes, err := (&mailboxes.Store{DB: db}).Boxes(t.Context(), "joe")
			must(t, err)
			for _, b := range boxes {
				was := said[b.Name]
				if b.UIDNext < was[0] || b.ModSeq < uint64(was[1]) {
					t.Errorf("round %d: %s has UIDNEXT %d and HIGHESTMODSEQ %d, and said %v", round, b.Name, b.UIDNext, b.ModSeq, was)
				}
				changes = max(changes, b.ModSeq)
			}
			must(t, db.Close())
		}
		t.Logf("%d kills, %d changes", rounds, changes)
		if changes < uint64(rounds) {
			t.Error("hardly anything was changed")
		}
	}
	t.Run("sqlite", func(t *testing.T) { run(t, filepath.Join(t.TempDir(), "waxwing.db")) })
	t.Run("postgres", func(t *testing.T) { run(t, storetest.Postgres(t)) })
}

// runKilled lets the process work until it is killed, and returns what it has said of each mailbox last.
func runKilled(t *testing.T, where string, after time.Duration) map[string][2]uint32 {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledProcess$")
	cmd.Env = append(os.Environ(), killedEnv+"="+where)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	said := map[string][2]uint32{}
	lines := bufio.NewScanner(out)
	var end *time.Timer
	for lines.Scan() {
		if end == nil { // it has begun
			end = time.AfterFunc(after, func() { cmd.Process.Kill() })
		}
		var name string
		var n [2]uint32
		if k, _ := fmt.Sscan(lines.Text(), &name, &n[0], &n[1]); k != 3 {
			if strings.Contains(lines.Text(), "FAIL") {
				t.Error(lines.Text())
			}
			continue
		}
		if n[0] < said[name][0] || n[1] < said[name][1] {
			t.Errorf("%s says %v after %v", name, n, said[name])
		}
		said[name] = n
	}
	cmd.Wait()
	return said
}
