package readers

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/config"
	"waxwing/internal/datadir"
	"waxwing/internal/mailboxes"
	"waxwing/internal/server"
)

// killedEnv has the directory of the server that TestKilledServer's process runs.
const killedEnv = "WAXWING_READERS_KILLED"

// killsEnv says how often TestServerIsKilled kills it, instead of three times.
const killsEnv = "WAXWING_READERS_KILLS"

// mortalConfig is the configuration of the server in a directory.
func mortalConfig(dir string) (*config.Config, error) {
	return config.Parse(filepath.Join(dir, "waxwing.toml"), []byte(listening("mail.example.test", anyPort, "imaps", "lmtp")))
}

// TestKilledServer is the process that TestServerIsKilled kills: a whole server, until then.
func TestKilledServer(t *testing.T) {
	dir := os.Getenv(killedEnv)
	if dir == "" {
		t.Skip("this is TestServerIsKilled's process")
	}
	ctx := context.Background()
	cfg, err := mortalConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	made, err := datadir.InitStore(ctx, cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	if made {
		certify(t, cfg, host)
	}
	s, err := server.New(ctx, server.Options{Config: cfg, Log: log})
	if err == nil && made {
		if err = s.Accounts.AddDomain(ctx, dns.MustParse("example.test")); err == nil {
			err = s.Accounts.AddAccount(ctx, "joe", password)
		}
		if err == nil {
			err = s.Accounts.AddAddress(ctx, "joe@example.test", "joe")
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("READY %s %s\n", s.Addr(config.IMAPS), s.Addr(config.LMTP))
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

// mortal is such a server.
type mortal struct {
	cmd        *exec.Cmd
	imap, lmtp string
}

func (m *mortal) start(t *testing.T, dir string) {
	t.Helper()
	m.cmd = exec.Command(os.Args[0], "-test.run=^TestKilledServer$")
	m.cmd.Env = append(os.Environ(), killedEnv+"="+dir)
	m.cmd.Stderr = os.Stderr
	out, err := m.cmd.StdoutPipe()
	if err == nil {
		err = m.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if n, _ := fmt.Sscanf(lines.Text(), "READY %s %s", &m.imap, &m.lmtp); n == 2 {
			go io.Copy(io.Discard, out)
			return
		}
	}
	t.Fatal("the server did not come up")
}

func (m *mortal) kill() {
	m.cmd.Process.Kill()
	m.cmd.Wait()
}

// fate is where a message may be, by the name of the mailbox; "" is nowhere.
type fate struct {
	may   []string
	flags []string // one of these it has, where they are known
}

// book is what clients were answered, and what they have asked for and not been answered.
type book struct {
	mu    sync.Mutex
	n     int
	fates map[string]fate
	acts  map[string]int // answered OK, by what it was
}

func (b *book) name(who string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.n++
	return fmt.Sprintf("%s-%d", who, b.n)
}

func (b *book) may(subject string, f fate) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fates[subject] = f
}

func (b *book) did(what string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.acts[what]++
}

// talker is a client whose server may go at any time.
type talker struct {
	nc net.Conn
	br *bufio.Reader
}

var errGone = fmt.Errorf("the server is gone")

// say sends lines and reads up to one that begins with want.
func (c *talker) say(text, want string) (string, error) {
	c.nc.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(c.nc, text); err != nil {
		return "", errGone
	}
	for {
		l, err := c.br.ReadString('\n')
		if err != nil {
			return "", errGone
		}
		if strings.HasPrefix(l, want) {
			return l, nil
		}
	}
}

func (c *talker) ok(command string) (string, error) {
	l, err := c.say("a "+command+"\r\n", "a ")
	if err == nil && !strings.HasPrefix(l, "a OK") {
		err = fmt.Errorf("%s: %s", command, l)
	}
	return l, err
}

func (m *mortal) talker() (*talker, error) {
	nc, err := tls.Dial("tcp", m.imap, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return nil, errGone
	}
	c := &talker{nc, bufio.NewReader(nc)}
	if _, err = c.ok("LOGIN joe " + password); err == nil {
		_, err = c.ok("SELECT INBOX")
	}
	return c, err
}

var appended = regexp.MustCompile(`APPENDUID \d+ (\d+)`)

// put appends a message and returns its UID.
func (c *talker) put(b *book, subject string) (string, error) {
	text := "Subject: " + subject + "\r\n\r\n" + strings.Repeat("text\r\n", 1+rand.IntN(40))
	b.may(subject, fate{may: []string{"", "INBOX"}})
	l, err := c.ok(fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(text), text))
	if err != nil {
		return "", err
	}
	b.may(subject, fate{may: []string{"INBOX"}})
	b.did("APPEND")
	return appended.FindStringSubmatch(l)[1], nil
}

// worker does one thing again and again until the server is gone, and writes down what was answered.
func (m *mortal) worker(b *book, what string) error {
	c, err := m.talker()
	for err == nil {
		subject, uid := b.name(what), ""
		if uid, err = c.put(b, subject); err != nil {
			break
		}
		before, after := fate{may: []string{"INBOX"}}, fate{may: []string{"INBOX"}}
		command := "UID " + what + " " + uid
		switch what {
		case "STORE":
			flags := []string{`\Answered`, `\Flagged`, `\Seen`}[rand.IntN(3)]
			command += " FLAGS.SILENT (" + flags + ")"
			before.flags, after.flags = []string{"", flags}, []string{flags}
		case "MOVE":
			command += " Archive"
			before.may, after.may = []string{"INBOX", "Archive"}, []string{"Archive"}
		case "EXPUNGE":
			if _, err = c.ok("UID STORE " + uid + ` +FLAGS.SILENT (\Deleted)`); err != nil {
				return err
			}
			before.may, after.may = []string{"INBOX", ""}, []string{""}
		default:
			continue
		}
		b.may(subject, before)
		if _, err = c.ok(command); err == nil {
			b.may(subject, after)
			b.did(what)
		}
	}
	return err
}

// deliver brings mail by LMTP.
func (m *mortal) deliver(b *book) error {
	nc, err := net.Dial("tcp", m.lmtp)
	if err != nil {
		return errGone
	}
	c := &talker{nc, bufio.NewReader(nc)}
	_, err = c.say("LHLO client.example\r\n", "250 ")
	for err == nil {
		subject := b.name("delivered")
		b.may(subject, fate{may: []string{"", "INBOX"}})
		if _, err = c.say("MAIL FROM:<ann@example.net>\r\nRCPT TO:<joe@example.test>\r\nDATA\r\n", "354"); err == nil {
			_, err = c.say("From: ann@example.net\r\nSubject: "+subject+"\r\n\r\ntext\r\n.\r\n", "250 ")
		}
		if err == nil {
			b.may(subject, fate{may: []string{"INBOX"}})
			b.did("delivery")
		}
	}
	return err
}

// seenUIDs are the subjects that UIDs have had, and what each mailbox has said of itself last.
type seenUIDs struct {
	subjects map[string]string
	next     map[string][2]uint64
}

var scanned = regexp.MustCompile(`(?s)^\* \d+ FETCH \(UID (\d+) FLAGS \(([^)]*)\).*Subject: (\S+)\r\n`)

// check looks at what a server that came up again has.
func (s *seenUIDs) check(t *testing.T, m *mortal, b *book) {
	t.Helper()
	_, port, _ := net.SplitHostPort(m.imap)
	e := (&waxwing{t: t, port: port}).as("joe")
	found := map[string][]string{}
	flags := map[string]string{}
	for _, box := range []string{"INBOX", "Archive"} {
		var now [2]uint64
		status := e.do("STATUS " + box + " (UIDNEXT HIGHESTMODSEQ)")[0]
		fmt.Sscanf(status[strings.Index(status, "("):], "(UIDNEXT %d HIGHESTMODSEQ %d)", &now[0], &now[1])
		if was := s.next[box]; now[0] < was[0] || now[1] < was[1] || now[0] == 0 {
			t.Errorf("%s: UIDNEXT and HIGHESTMODSEQ are %v, and were %v", box, now, was)
		}
		s.next[box] = now
		e.do("EXAMINE " + box)
		for _, r := range e.do("UID FETCH 1:* (UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])") {
			f := scanned.FindStringSubmatch(r)
			if f == nil {
				continue
			}
			if was := s.subjects[box+f[1]]; was != "" && was != f[3] {
				t.Errorf("UID %s of %s is %s, and was %s", f[1], box, f[3], was)
			}
			s.subjects[box+f[1]] = f[3]
			found[f[3]] = append(found[f[3]], box)
			flags[f[3]] = f[2]
		}
	}
	for subject, f := range b.fates {
		at := strings.Join(found[subject], " and ")
		if !slices.Contains(f.may, at) {
			t.Errorf("%s is in %q, and may be in %q", subject, at, f.may)
		}
		if f.flags != nil && !slices.Contains(f.flags, flags[subject]) {
			t.Errorf("%s has the flags %q, and may have %q", subject, flags[subject], f.flags)
		}
		if at != "" || len(f.may) == 1 {
			continue
		}
		delete(b.fates, subject) // it was never answered, and is not there
	}
	e.do("LOGOUT")
}

// TestServerIsKilled: whatever a server was doing when it was killed, what was answered OK is there, counters equal a recount,
// UIDs are not used again, and HIGHESTMODSEQ does not go back (IMP-6, MBX-2).
func TestServerIsKilled(t *testing.T) {
	t.Parallel()
	kills := 3
	if n, err := strconv.Atoi(os.Getenv(killsEnv)); err == nil {
		kills = n
	} else if testing.Short() {
		kills = 1
	}
	dir := t.TempDir()
	b := &book{fates: map[string]fate{}, acts: map[string]int{}}
	seen := &seenUIDs{map[string]string{}, map[string][2]uint64{}}
	m := &mortal{}
	m.start(t, dir)
	kinds := []string{"APPEND", "STORE", "MOVE", "EXPUNGE", "delivery"}
	answered := func() bool {
		return !slices.ContainsFunc(kinds, func(what string) bool { return b.acts[what] == 0 })
	}
	round := 0
	for ; round < kills || !answered() && round < kills+20; round++ { // a slow machine answers little before it is killed
		var workers sync.WaitGroup
		for _, what := range kinds {
			workers.Go(func() {
				err := error(nil)
				if what == "delivery" {
					err = m.deliver(b)
				} else {
					err = m.worker(b, what)
				}
				if err != errGone {
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		time.Sleep(time.Duration(400+rand.IntN(400)) * time.Millisecond)
		m.kill()
		workers.Wait()
		recount(t, dir)
		m.start(t, dir)
		seen.check(t, m, b)
	}
	m.kill()
	t.Logf("%d kills, answered OK: %v", round, b.acts)
	if !answered() {
		t.Errorf("of %v some were never answered", kinds)
	}
}

// recount compares the counters of a server that does not run.
func recount(t *testing.T, dir string) {
	t.Helper()
	cfg, err := mortalConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	db, err := datadir.OpenStore(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if differ, err := mailboxes.Check(t.Context(), db, false); err != nil || len(differ) > 0 {
		t.Errorf("%v, %v", differ, err)
	}
}
