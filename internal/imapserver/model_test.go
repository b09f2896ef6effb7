package imapserver

import (
	"bufio"
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"waxwing/imap"
	"waxwing/internal/account"
	"waxwing/internal/guard"
	"waxwing/internal/mailboxes"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/internal/wire"
)

// stepsEnv says how many steps TestIMAPModel goes on each database, instead of some hundreds.
const stepsEnv = "WAXWING_IMAP_MODEL_STEPS"

// listBox is a mailbox as a naive reading has it.
type listBox struct {
	name string
	uids map[uint32][]string // their flags, sorted
	next uint32
}

func (b *listBox) sorted() []uint32 { return slices.Sorted(maps.Keys(b.uids)) }

// listWorld is the mailboxes of an account, and five sessions with two servers that share a store.
type listWorld struct {
	t        *rapid.T
	fatalf   func(format string, args ...any)
	boxes    map[string]*listBox
	sessions []*believer
}

// believer is a client that believes what it is told, and nothing else.
type believer struct {
	w     *listWorld
	nc    net.Conn
	br    *bufio.Reader
	tag   int
	qr    bool                // has enabled QRESYNC
	box   *listBox            // that is selected; nil: none
	known []uint32            // by sequence number; 0: not known
	flags map[uint32][]string // sorted; nil: not told
	// bySeq: the command at hand goes by sequence numbers, which must not change meanwhile.
	bySeq  bool
	modseq uint64 // of the box
	cached map[string]*cache
}

// cache is what a client with QRESYNC remembers of a mailbox that it has left.
type cache struct {
	uids   []uint32
	flags  map[uint32][]string
	modseq uint64
}

var (
	modelNames = []string{"INBOX", "Archive"}
	modelFlags = []string{`\Answered`, `\Deleted`, `\Flagged`, `\Seen`, "todo"}
	toldFetch  = regexp.MustCompile(`^\* (\d+) FETCH \((?:UID (\d+))?(?: ?FLAGS \(([^)]*)\))?(?: ?UID (\d+))?(?: ?MODSEQ \((\d+)\))?\)$`)
	toldCode   = regexp.MustCompile(`\[(UIDVALIDITY|HIGHESTMODSEQ|APPENDUID|COPYUID) ([^]]*)\]`)
)

// do sends a command, which must be answered as wanted, and believes all that comes. It returns the lines.
func (s *believer) do(want, command string) (lines []string) {
	s.tag++
	tag := "m" + strconv.Itoa(s.tag) + " "
	s.nc.SetDeadline(time.Now().Add(10 * time.Minute))
	if _, err := io.WriteString(s.nc, tag+command+"\r\n"); err != nil {
		s.w.fatalf("%s: %v", command, err)
	}
	for {
		l, err := s.br.ReadString('\n')
		if err != nil {
			s.w.fatalf("%s: %v after %q", command, err, l)
		}
		l = strings.TrimSuffix(l, "\r\n")
		lines = append(lines, l)
		if rest, ok := strings.CutPrefix(l, tag); ok {
			if !slices.Contains(strings.Fields(want), strings.Fields(rest)[0]) {
				s.w.fatalf("%s: %s", command, strings.Join(lines, "\n"))
			}
			s.code(rest)
			return lines
		}
		if why := s.believe(l); why != "" {
			s.w.fatalf("%s: %s: %s; the session has %v", command, strings.Join(lines, "\n"), why, s.known)
		}
	}
}

// believe takes in one untagged response, and says what is wrong with it.
func (s *believer) believe(l string) string {
	f := strings.Fields(l)
	n, _ := strconv.Atoi(f[1])
	switch {
	case f[1] == "OK":
		s.code(l)
	case f[1] == "VANISHED":
		if f[2] == "(EARLIER)" {
			return s.vanished(f[3], true)
		}
		return s.vanished(f[2], false)
	case len(f) < 3:
	case f[2] == "EXISTS":
		if n < len(s.known) {
			return "fewer messages without an expunge"
		}
		s.known = append(s.known, make([]uint32, n-len(s.known))...)
	case f[2] == "EXPUNGE":
		switch {
		case s.qr:
			return "EXPUNGE, and not VANISHED"
		case s.bySeq:
			return "EXPUNGE while sequence numbers are in use"
		case n < 1 || n > len(s.known):
			return "there is no message of that number"
		}
		return s.gone(n - 1)
	case f[2] == "FETCH":
		return s.fetched(l)
	}
	return ""
}

// gone takes out a message, which must have gone.
func (s *believer) gone(i int) string {
	u := s.known[i]
	if _, there := s.box.uids[u]; there {
		return fmt.Sprintf("UID %d is there", u)
	}
	s.known = slices.Delete(s.known, i, i+1)
	delete(s.flags, u)
	return ""
}

func (s *believer) vanished(set string, earlier bool) string {
	ranges, err := imap.ParseSet(set)
	switch {
	case err != nil:
		return err.Error()
	case !s.qr:
		return "VANISHED without QRESYNC"
	case s.bySeq && !earlier:
		return "VANISHED while sequence numbers are in use"
	}
	for _, g := range ranges.Ranges {
		for u := g.Low; u <= g.High; u++ {
			if _, there := s.box.uids[u]; there {
				return fmt.Sprintf("UID %d is there", u)
			}
			i := slices.Index(s.known, u)
			if i < 0 && !earlier { // it can only be one that is not known yet, behind those of lower UIDs
				for i = len(s.known); i > 0 && (s.known[i-1] == 0 || s.known[i-1] > u); i-- {
				}
				if i >= len(s.known) || s.known[i] != 0 {
					return fmt.Sprintf("UID %d was never there", u)
				}
			}
			if i >= 0 {
				s.known = slices.Delete(s.known, i, i+1)
			}
			delete(s.flags, u)
		}
	}
	return ""
}

func (s *believer) fetched(l string) string {
	m := toldFetch.FindStringSubmatch(l)
	if m == nil {
		return "that is no FETCH that was asked for"
	}
	n, _ := strconv.Atoi(m[1])
	if n < 1 || n > len(s.known) {
		return "there is no message of that number"
	}
	if uid, _ := strconv.ParseUint(cmp.Or(m[2], m[4]), 10, 32); uid != 0 {
		if was := s.known[n-1]; was != 0 && was != uint32(uid) {
			return fmt.Sprintf("message %d is UID %d", n, was)
		}
		s.known[n-1] = uint32(uid)
	}
	u := s.known[n-1]
	if strings.Contains(l, "FLAGS (") && u != 0 {
		flags := append([]string{}, strings.Fields(m[3])...)
		slices.Sort(flags)
		s.flags[u] = flags
	}
	return ""
}

// code takes in a response code.
func (s *believer) code(l string) {
	m := toldCode.FindStringSubmatch(l)
	if m == nil {
		return
	}
	if m[1] == "HIGHESTMODSEQ" {
		n, _ := strconv.ParseUint(m[2], 10, 64)
		if n < s.modseq && s.box != nil {
			s.w.fatalf("HIGHESTMODSEQ goes back from %d to %d", s.modseq, n)
		}
		s.modseq = n
	}
}

// some draws messages of the session's mailbox, by sequence numbers or by UIDs: the set, and which of them are there.
func (s *believer) some(bySeq bool) (set string, there []uint32) {
	t := s.w.t
	top := int(s.box.next)
	if bySeq {
		if top = len(s.known); top == 0 {
			return "", nil
		}
	}
	numbers := rapid.SliceOfNDistinct(rapid.IntRange(1, top), 1, 4, rapid.ID[int]).Draw(t, "which")
	for _, n := range numbers {
		set += "," + strconv.Itoa(n)
		u := uint32(n)
		if bySeq {
			u = s.known[n-1]
		}
		if _, is := s.box.uids[u]; is {
			there = append(there, u)
		}
	}
	slices.Sort(there)
	return set[1:], there
}

// numbered runs a command by sequence numbers or UIDs.
func (s *believer) numbered(bySeq bool, want, verb, rest string) []string {
	if bySeq {
		s.bySeq = true
		defer func() { s.bySeq = false }()
		return s.do(want, verb+" "+rest)
	}
	return s.do(want, "UID "+verb+" "+rest)
}

// learn asks for what is new to the session, and for flags that it has not been told: of a new message that it has changed
// itself, silently, it may have heard the UID alone.
func (s *believer) learn() {
	untold := func(u uint32) bool { return u == 0 || s.flags[u] == nil }
	for i := slices.IndexFunc(s.known, untold); i >= 0; i = slices.IndexFunc(s.known, untold) {
		s.numbered(true, "OK NO", "FETCH", fmt.Sprintf("%d:%d (UID FLAGS)", i+1, len(s.known)))
		if slices.ContainsFunc(s.known, untold) { // some have gone: then it hears of that
			s.do("OK", "NOOP")
		}
	}
}

// compare has the session hear all that there is, which must be what is in the list.
func (s *believer) compare() {
	if s.box == nil {
		return
	}
	s.do("OK", "NOOP")
	s.learn()
	s.same()
}

func (s *believer) same() {
	if want := s.box.sorted(); !slices.Equal(s.known, want) {
		s.w.t.Fatalf("the session has %v of %s, want %v", s.known, s.box.name, want)
	}
	for u, f := range s.box.uids {
		if !slices.Equal(s.flags[u], f) {
			s.w.t.Fatalf("the session has flags %v of UID %d in %s, want %v", s.flags[u], u, s.box.name, f)
		}
	}
}

// leave remembers the mailbox.
func (s *believer) leave() {
	if s.box != nil && s.qr && !slices.ContainsFunc(s.known, func(u uint32) bool { return u == 0 || s.flags[u] == nil }) {
		s.cached[s.box.name] = &cache{slices.Clone(s.known), maps.Clone(s.flags), s.modseq}
	} else if s.box != nil {
		delete(s.cached, s.box.name)
	}
	s.box, s.known, s.flags, s.modseq = nil, nil, map[uint32][]string{}, 0
}

// enter selects a mailbox: a client with QRESYNC that has been there knows all of it then.
func (s *believer) enter(b *listBox) {
	validity := s.validity(b)
	s.leave()
	s.box = b
	c := s.cached[b.name]
	if c == nil || c.modseq == 0 {
		s.do("OK", "SELECT "+b.name)
		s.learn()
		s.same()
		return
	}
	s.flags = maps.Clone(c.flags)
	s.known = nil
	lines := s.do("OK", fmt.Sprintf("SELECT %s (QRESYNC (%s %d))", b.name, validity, c.modseq))
	// What it had and what is not said to have gone is there, and what is new has been told of.
	uids := map[uint32]bool{}
	for u := range s.flags {
		uids[u] = true
	}
	if got := slices.Sorted(maps.Keys(uids)); !slices.Equal(got, b.sorted()) {
		s.w.t.Fatalf("after QRESYNC the session has %v of %s, want %v:\n%s", got, b.name, b.sorted(), strings.Join(lines, "\n"))
	}
	if len(s.known) != len(b.uids) {
		s.w.t.Fatalf("%d EXISTS, want %d", len(s.known), len(b.uids))
	}
	s.known = b.sorted()
	s.same()
}

// validity asks for the UIDVALIDITY, as a client remembers it.
func (s *believer) validity(b *listBox) string {
	l := s.do("OK", "STATUS "+b.name+" (UIDVALIDITY)")
	_, n, _ := strings.Cut(l[0], "(UIDVALIDITY ")
	return strings.TrimSuffix(n, ")")
}

func (w *listWorld) drawFlags() []string {
	f := rapid.SliceOfNDistinct(rapid.SampledFrom(modelFlags), 0, 3, rapid.ID[string]).Draw(w.t, "flags")
	slices.Sort(f)
	return f
}

func (w *listWorld) drawBox() *listBox {
	return w.boxes[rapid.SampledFrom(modelNames).Draw(w.t, "box")]
}

func (w *listWorld) append(s *believer) {
	b, flags := w.drawBox(), w.drawFlags()
	n := rapid.IntRange(1, 3).Draw(w.t, "messages")
	one := fmt.Sprintf(" (%s) {5+}\r\na: b\n", strings.Join(flags, " "))
	want := fmt.Sprintf("APPENDUID %%s %d", b.next)
	if n > 1 {
		want += fmt.Sprintf(":%d", int(b.next)+n-1)
	}
	for range n { // the server may tell of them in the same breath
		b.uids[b.next] = flags
		b.next++
	}
	lines := s.do("OK", "APPEND "+b.name+strings.Repeat(one, n))
	m := toldCode.FindStringSubmatch(lines[len(lines)-1])
	if m == nil || m[0] != "["+fmt.Sprintf(want, strings.Fields(m[2])[0])+"]" {
		w.t.Fatalf("APPEND: %s, want %s", lines[len(lines)-1], want)
	}
}

func (w *listWorld) store(s *believer) {
	bySeq := rapid.Bool().Draw(w.t, "by number")
	set, there := s.some(bySeq)
	if set == "" {
		return
	}
	flags := w.drawFlags()
	mode := rapid.SampledFrom([]string{"", "+", "-"}).Draw(w.t, "mode")
	silent := rapid.Bool().Draw(w.t, "silent")
	after := func(was []string) []string {
		out := slices.Clone(flags)
		switch mode {
		case "+":
			out = append(out, was...)
		case "-":
			out = slices.DeleteFunc(slices.Clone(was), func(f string) bool { return slices.Contains(flags, f) })
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	for _, u := range there {
		s.box.uids[u] = after(s.box.uids[u])
	}
	word := mode + "FLAGS"
	if silent {
		word += ".SILENT"
	}
	s.numbered(bySeq, "OK", "STORE", fmt.Sprintf("%s %s (%s)", set, word, strings.Join(flags, " ")))
	for _, u := range there { // a client that wants no answer knows itself what has become of what it was told
		if was, knows := s.flags[u]; silent && knows {
			s.flags[u] = after(was)
		}
	}
}

func (w *listWorld) transfer(s *believer) {
	bySeq := rapid.Bool().Draw(w.t, "by number")
	set, there := s.some(bySeq)
	if set == "" {
		return
	}
	to := w.drawBox()
	verb := rapid.SampledFrom([]string{"COPY", "MOVE"}).Draw(w.t, "verb")
	from, first := s.box, to.next
	for _, u := range there {
		to.uids[to.next] = from.uids[u]
		to.next++
		if verb == "MOVE" {
			delete(from.uids, u)
		}
	}
	lines := strings.Join(s.unnumbered(bySeq, verb, set+" "+to.name), "\n")
	m := toldCode.FindStringSubmatch(lines[max(strings.Index(lines, "[COPYUID"), 0):])
	if len(there) == 0 {
		return
	}
	if m == nil || m[1] != "COPYUID" {
		w.t.Fatalf("%s: no COPYUID in\n%s", verb, lines)
	}
	a, _ := imap.ParseSet(strings.Fields(m[2])[1])
	c, _ := imap.ParseSet(strings.Fields(m[2])[2])
	if fmt.Sprint(a.Ranges) != fmt.Sprint(imap.Numbers(there)) || c.Ranges[0].Low != first {
		w.t.Fatalf("%s %s: %s, want %v to %d", verb, set, m[0], there, first)
	}
}

// unnumbered is numbered for commands during which messages may go (RFC 9051 §7.5.1).
func (s *believer) unnumbered(bySeq bool, verb, rest string) []string {
	if bySeq {
		return s.do("OK", verb+" "+rest)
	}
	return s.do("OK", "UID "+verb+" "+rest)
}

func (w *listWorld) expunge(s *believer) {
	uids := s.box.sorted()
	command := rapid.SampledFrom([]string{"EXPUNGE", "UID EXPUNGE ", "CLOSE"}).Draw(w.t, "how")
	if command == "UID EXPUNGE " {
		set, there := s.some(false)
		uids, command = there, command+set
	}
	for _, u := range uids {
		if slices.Contains(s.box.uids[u], `\Deleted`) {
			delete(s.box.uids, u)
		}
	}
	s.do("OK", command)
	if command == "CLOSE" {
		b := s.box
		delete(s.cached, b.name)
		s.box = nil
		s.leave()
	}
}

func (w *listWorld) fetch(s *believer) {
	bySeq := rapid.Bool().Draw(w.t, "by number")
	set, _ := s.some(bySeq)
	if set != "" {
		s.numbered(bySeq, "OK NO", "FETCH", set+" (FLAGS UID)")
	}
}

// search finds what the list has, once the client has been told of all.
func (w *listWorld) search(s *believer) {
	s.compare()
	f := rapid.SampledFrom(modelFlags[:4]).Draw(w.t, "flag")
	var want []string
	for _, u := range s.box.sorted() {
		if slices.Contains(s.box.uids[u], f) {
			want = append(want, strconv.Itoa(int(u)))
		}
	}
	lines := s.do("OK", "UID SEARCH "+strings.ToUpper(f[1:]))
	i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "* SEARCH") })
	if got := strings.TrimSpace(strings.TrimPrefix(lines[max(i, 0)], "* SEARCH")); got != strings.Join(want, " ") {
		w.t.Fatalf("%s: found %s, want %v", f, got, want)
	}
}

// step has one session do something.
func (w *listWorld) step() {
	s := w.sessions[rapid.IntRange(0, len(w.sessions)-1).Draw(w.t, "session")]
	what := rapid.IntRange(0, 19).Draw(w.t, "what")
	if s.box == nil && what > 3 {
		what = 4
	}
	if s.box != nil && len(s.box.uids) > 25 && what < 4 {
		what = 9 // so that mailboxes stay small
	}
	switch {
	case what < 4:
		w.append(s)
	case what == 4:
		s.enter(w.drawBox())
	case what < 9:
		s.learn()
		w.store(s)
	case what < 11:
		w.expunge(s)
	case what < 14:
		s.learn()
		w.transfer(s)
	case what < 16:
		w.fetch(s)
	case what == 16:
		w.search(s)
	default:
		s.compare()
	}
}

// connect begins a session of an account that has logged in already, without TLS.
func (w *listWorld) connect(ctx context.Context, srv *Server, user string, qr bool) *believer {
	ws := &wire.Server{Protocol: account.IMAP, Auth: anybody{}, Guard: srv.Guard, Area: guard.IMAP, Timeouts: wire.Timeouts{Login: 24 * time.Hour}}
	ws.Handle = func(ctx context.Context, c *wire.Conn) {
		s := newSession(srv, c)
		s.account = user
		defer s.close()
		s.serve(ctx)
	}
	here, there := net.Pipe()
	go ws.ServeConn(ctx, there)
	s := &believer{w: w, nc: here, br: bufio.NewReader(here), qr: qr, flags: map[uint32][]string{}, cached: map[string]*cache{}}
	if qr {
		s.do("OK", "ENABLE QRESYNC")
	}
	return s
}

// stepsPerStore is after how many steps the model goes on with a new store, which is small again.
const stepsPerStore = 60_000

// IMP-6: five sessions with two servers, some with QRESYNC, against a list: no wrong sequence number, UID,
// FETCH, EXPUNGE or VANISHED, and nothing that is not told.
func TestIMAPModel(t *testing.T) {
	steps, _ := strconv.Atoi(os.Getenv(stepsEnv))
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		f.Value.Set(strconv.Itoa(max(min(steps, stepsPerStore)/300, 2)))
		flag.Lookup("rapid.steps").Value.Set(map[bool]string{true: "100", false: "300"}[steps == 0])
	}
	for left := max(steps, 1); left > 0; left -= stepsPerStore {
		storetest.Each(t, runIMAPModel)
	}
}

func runIMAPModel(t *testing.T, db *store.Store) {
	w := newWorld(t, db)
	servers := []*Server{w.srv, {Hostname: "two.example.test", Boxes: &mailboxes.Store{DB: db}, Annotations: w.srv.Annotations, TempDir: t.TempDir(), Guard: w.srv.Guard}}
	n, done := 0, 0
	begin := time.Now()
	rapid.Check(t, func(r *rapid.T) {
		n++
		name := fmt.Sprintf("joe%d", n)
		w.account(name)
		l := &listWorld{t: r, fatalf: r.Fatalf, boxes: map[string]*listBox{}}
		for _, b := range modelNames {
			l.boxes[b] = &listBox{name: b, uids: map[uint32][]string{}, next: 1}
		}
		for i := range 5 {
			l.sessions = append(l.sessions, l.connect(t.Context(), servers[i%2], name, i > 2))
		}
		defer func() {
			for _, s := range l.sessions {
				s.nc.Close()
			}
		}()
		r.Repeat(map[string]func(*rapid.T){"step": func(*rapid.T) { done++; l.step() }})
		for _, s := range l.sessions {
			s.compare()
		}
		if differ, err := mailboxes.CheckAccount(t.Context(), db, name, false); err != nil || len(differ) > 0 {
			r.Fatal(differ, err)
		}
	})
	t.Logf("%d steps in %v", done, time.Since(begin).Round(time.Millisecond))
}
