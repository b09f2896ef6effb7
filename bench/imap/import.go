package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"waxwing/internal/transfer/mbox"
)

// importing measures "waxwing mail import" beside a running server (MBX-8): how long it takes, what both hold in memory,
// how long a mail program waits meanwhile, and whether an export gives the same octets back.
type importing struct {
	w        *waxwing
	dir      string
	messages int
	size     int // octets of a message
	figures  []figure
}

func (m *importing) note(work, unit string, value float64) {
	m.figures = append(m.figures, figure{work, unit, value})
}

func (m *importing) run(ctx context.Context) error {
	if err := os.MkdirAll(m.dir, 0o755); err != nil {
		return err
	}
	if err := m.w.setUp(ctx, m.dir); err != nil {
		return err
	}
	server, err := m.w.start(ctx)
	if err != nil {
		return err
	}
	defer m.w.stop()
	in, out := filepath.Join(m.dir, "in.mbox"), filepath.Join(m.dir, "out.mbox")
	if err := m.write(in); err != nil {
		return err
	}
	if err := m.take(ctx, server, in); err != nil {
		return err
	}
	from := time.Now()
	if _, err := m.command(ctx, "mail", "export", "you", out, "--format", "mbox", "--mailbox", "INBOX"); err != nil {
		return err
	}
	m.note("export", "s", time.Since(from).Seconds())
	return same(in, out, m.messages)
}

// write writes an mbox file.
func (m *importing) write(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	b := bufio.NewWriterSize(f, 1<<20)
	w := mbox.NewWriter(b, false)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range m.messages {
		text := message(r, i)
		for len(text) < m.size {
			text = fmt.Appendf(text, "word%d word%d word%d word%d word%d word%d\r\n", r.IntN(vocabulary), r.IntN(vocabulary), r.IntN(vocabulary), r.IntN(vocabulary), r.IntN(vocabulary), r.IntN(vocabulary))
		}
		var flags []string
		if i%3 == 0 {
			flags = []string{`\Seen`}
		}
		if err := w.Write(mbox.Message{Sender: fmt.Sprintf("s%d@example.org", i%100), Date: time.Unix(1.7e9+int64(i), 0), Flags: flags}, bytes.NewReader(text)); err != nil {
			return err
		}
	}
	return errors.Join(w.Flush(), b.Flush())
}

func (m *importing) command(ctx context.Context, args ...string) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, m.w.bin, append(args, "--config", m.w.conf)...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("waxwing %s: %w: %s", strings.Join(args[:2], " "), err, said.String())
	}
	return cmd, nil
}

// take imports, and is a mail program meanwhile.
func (m *importing) take(ctx context.Context, server int, path string) error {
	user, password := m.w.login()
	c, err := dial(m.w.addr(), user, password)
	if err != nil {
		return err
	}
	defer c.close()
	done := make(chan error, 1)
	var importer *exec.Cmd
	from := time.Now()
	go func() {
		cmd, err := m.command(ctx, "mail", "import", "you", path, "--over-quota")
		importer = cmd
		done <- err
	}()
	var longest time.Duration
	looks := 0
	for {
		select {
		case err := <-done:
			if err != nil {
				return err
			}
			took := time.Since(from)
			m.note("import", "s", took.Seconds())
			m.note("import", "messages/s", float64(m.messages)/took.Seconds())
			m.note("longest SELECT, the 10 newest and a STORE meanwhile", "ms", ms(longest))
			m.note("looks meanwhile", "", float64(looks))
			m.note("most memory of the import", "MiB", float64(rusage(importer))/1024)
			m.note("most memory of the server", "MiB", float64(most(server))/1024)
			return nil
		case <-time.After(200 * time.Millisecond):
		}
		d, err := look(c)
		if err != nil {
			return err
		}
		longest, looks = max(longest, d), looks+1
	}
}

// look is what a mail program does that is opened.
func look(c *client) (time.Duration, error) {
	from := time.Now()
	a, err := c.do("SELECT INBOX")
	if err != nil {
		return 0, err
	}
	n := 0
	for _, l := range a.kept {
		if before, ok := strings.CutSuffix(strings.TrimSpace(l), " EXISTS"); ok {
			n, _ = strconv.Atoi(strings.TrimPrefix(before, "* "))
		}
	}
	if n == 0 {
		return time.Since(from), nil
	}
	for _, command := range []string{fmt.Sprintf("FETCH %d:%d (UID FLAGS ENVELOPE)", max(n-9, 1), n), fmt.Sprintf(`STORE %d +FLAGS.SILENT (\Answered)`, n)} {
		if _, err := c.do(command); err != nil {
			return 0, err
		}
	}
	return time.Since(from), nil
}

// most is what a process held in memory at its largest, in KiB.
func most(pid int) int64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.SplitSeq(string(b), "\n") {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmHWM:" {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			return n
		}
	}
	return 0
}

// same compares the texts of two mbox files, message by message.
func same(in, out string, n int) error {
	var sums [2][][sha256.Size]byte
	for i, path := range []string{in, out} {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		r := mbox.NewReader(f, mbox.RD)
		for {
			_, err = r.Next()
			if err != nil {
				break
			}
			h := sha256.New()
			if _, err = io.Copy(h, r); err != nil {
				break
			}
			sums[i] = append(sums[i], [sha256.Size]byte(h.Sum(nil)))
		}
		f.Close()
		if err != io.EOF {
			return fmt.Errorf("%s: %w", path, err)
		}
		if len(sums[i]) != n {
			return fmt.Errorf("%s has %d messages, want %d", path, len(sums[i]), n)
		}
	}
	for i := range sums[0] {
		if sums[0][i] != sums[1][i] {
			return fmt.Errorf("message %d has other octets", i+1)
		}
	}
	return nil
}
