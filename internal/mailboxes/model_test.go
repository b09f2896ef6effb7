package mailboxes_test

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/internal/views"
)

// modelBox is a mailbox as a naive reading has it.
type modelBox struct {
	box  mailbox.Box
	uids map[uint32][]string // their flags
	next uint32
	gone map[uint32]bool
}

// modelSession is a client that believes what it is told, and nothing else.
type modelSession struct {
	machine int
	name    string
	look    *views.Look
	known   []uint32
	flags   map[uint32]string
}

// modelWorld is two machines on one store, with the sessions of one account on both.
type modelWorld struct {
	t        *rapid.T
	db       *store.Store
	machines []*mailboxes.Store
	account  string
	boxes    map[string]*modelBox
	sessions []*modelSession
	keywords []string // of the account, as far as they have been asked for
	steps    int
	touched  []*modelBox // by the step at hand
	rare     bool        // the step at hand is of a rare kind
}

// modelStepsEnv says how many steps TestModel goes on each database, instead of some thousands.
const modelStepsEnv = "WAXWING_MAILBOXES_MODEL_STEPS"

// fullCheck is after how many steps all is compared; meanwhile, what the step has touched.
const fullCheck = 20

var modelNames = []string{"INBOX", "Archive", "Lists/Go"}

func (w *modelWorld) must(err error) {
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *modelWorld) machine() *mailboxes.Store {
	return w.machines[rapid.IntRange(0, 1).Draw(w.t, "machine")]
}

func (w *modelWorld) box() *modelBox {
	b := w.boxes[rapid.SampledFrom(modelNames).Draw(w.t, "box")]
	w.touched = append(w.touched, b)
	return b
}

// some are ranges of UIDs, of which not all need to be there.
func (w *modelWorld) some(b *modelBox) []mailbox.Range {
	uids := rapid.SliceOfNDistinct(rapid.Uint32Range(1, b.next+1), 0, 5, rapid.ID[uint32]).Draw(w.t, "uids")
	slices.Sort(uids)
	return mailbox.Ranges(uids)
}

func (b *modelBox) in(ranges []mailbox.Range) (out []uint32) {
	for _, u := range slices.Sorted(maps.Keys(b.uids)) {
		if mailbox.In(ranges, u) {
			out = append(out, u)
		}
	}
	return out
}

var modelFlags = []string{`\Answered`, `\Deleted`, `\Seen`, "$Forwarded", "todo"}

func (w *modelWorld) drawFlags() []string {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(modelFlags), 0, 3, rapid.ID[string]).Draw(w.t, "flags")
}

func (w *modelWorld) append() {
	b := w.box()
	flags := w.drawFlags()
	n := rapid.IntRange(1, 3).Draw(w.t, "messages")
	var all []mailboxes.Appended
	for range n {
		all = append(all, mailboxes.Appended{Flags: flags, Content: delivery.Bytes([]byte("Subject: x\r\n\r\n" + b.box.Name))})
	}
	_, uids, err := w.machine().Append(w.t.Context(), w.account, b.box.Name, all)
	w.must(err)
	for _, u := range uids {
		if u != b.next {
			w.t.Fatalf("UID %d, want %d", u, b.next)
		}
		b.uids[u] = sorted(flags)
		b.next++
	}
}

// replace has one message of a mailbox replaced by one in another, where there is one.
func (w *modelWorld) replace() {
	from, to := w.box(), w.box()
	old := rapid.Uint32Range(1, from.next).Draw(w.t, "old")
	m := mailboxes.Appended{Content: delivery.Bytes("Subject: x\r\n\r\nx")}
	_, uid, err := w.machine().Replace(w.t.Context(), m, to.box.Name, from.box, []mailbox.Range{{Low: old, High: old}})
	if _, has := from.uids[old]; !has {
		if !errors.Is(err, mailboxes.ErrNoSuchMessage) {
			w.t.Fatalf("UID %d, which is not there, is replaced: %v", old, err)
		}
		return
	}
	w.must(err)
	if uid != to.next {
		w.t.Fatalf("UID %d, want %d", uid, to.next)
	}
	delete(from.uids, old)
	from.gone[old] = true
	to.uids[uid] = nil
	to.next++
}

func sorted(flags []string) []string {
	out := slices.Clone(flags)
	slices.Sort(out)
	return slices.Compact(out)
}

func (w *modelWorld) deliver() {
	b := w.box()
	m := w.machine()
	d := mailbox.Delivery{Body: store.NewID(), Data: []byte("x"), Size: 1}
	w.must(w.db.Write(w.t.Context(), func(tx *store.Tx) error {
		return m.Deliver(tx, d, []delivery.Copy{{Address: "joe@example.net", Account: w.account, Mailbox: b.box.Name}})
	}))
	b.uids[b.next] = nil
	b.next++
}

func (w *modelWorld) setFlags() {
	b := w.box()
	flags, uids := w.drawFlags(), w.some(b)
	mode := rapid.SampledFrom([]byte("=+-")).Draw(w.t, "mode")
	_, err := w.machine().SetFlags(w.t.Context(), b.box.ID, uids, mailboxes.FlagChange{Mode: mode, Flags: flags})
	w.must(err)
	for _, u := range b.in(uids) {
		was := b.uids[u]
		switch mode {
		case '=':
			was = nil
			fallthrough
		case '+':
			b.uids[u] = sorted(slices.Concat(was, flags))
		case '-':
			b.uids[u] = slices.DeleteFunc(slices.Clone(was), func(f string) bool { return slices.Contains(flags, f) })
		}
	}
}

func (w *modelWorld) transfer() {
	from, to := w.box(), w.box()
	uids := w.some(from)
	move := rapid.Bool().Draw(w.t, "move")
	fn := (*mailboxes.Store).Copy
	if move {
		fn = (*mailboxes.Store).Move
	}
	done, err := fn(w.machine(), w.t.Context(), from.box.ID, uids, to.box.Name)
	w.must(err)
	var got []uint32
	for _, g := range done.From {
		for u := g.Low; u <= g.High; u++ {
			got = append(got, u)
		}
	}
	want := from.in(uids)
	if !slices.Equal(got, want) || len(want) > 0 && (done.To[0].Low != to.next || done.To[0].High != to.next+uint32(len(want))-1) {
		w.t.Fatalf("copied %v, want %v to %d", done, want, to.next)
	}
	for _, u := range want {
		to.uids[to.next] = from.uids[u]
		to.next++
		if move {
			delete(from.uids, u)
			from.gone[u] = true
		}
	}
}

func (w *modelWorld) expunge() {
	b := w.box()
	uids := w.some(b)
	got, _, err := w.machine().Expunge(w.t.Context(), b.box.ID, uids)
	w.must(err)
	var want []uint32
	for _, u := range b.in(uids) {
		if slices.Contains(b.uids[u], `\Deleted`) {
			want = append(want, u)
			delete(b.uids, u)
			b.gone[u] = true
		}
	}
	if !slices.Equal(got, want) {
		w.t.Fatalf("expunged %v, want %v", got, want)
	}
}

// sync has a session believe what it is told; what it then knows of all must be what there is.
func (w *modelWorld) sync() {
	s := w.sessions[rapid.IntRange(0, len(w.sessions)-1).Draw(w.t, "session")]
	b := w.boxes[s.name]
	if s.look == nil || rapid.IntRange(0, 9).Draw(w.t, "again") == 0 {
		s.begin(w, b)
		return
	}
	expunges := rapid.Bool().Draw(w.t, "expunges")
	news, err := s.look.Sync(w.t.Context(), expunges)
	w.must(err)
	for _, g := range news.Gone {
		if g.Seq < 1 || g.Seq > len(s.known) || s.known[g.Seq-1] != g.UID {
			w.t.Fatalf("expunge of %d, which is to be UID %d: the session has %v", g.Seq, g.UID, s.known)
		}
		s.known = slices.Delete(s.known, g.Seq-1, g.Seq)
	}
	s.learn(w, news.Exists)
	for _, c := range news.Changed {
		if s.known[c.Seq-1] != c.UID {
			w.t.Fatalf("flags of %d, which is to be UID %d: the session has %v", c.Seq, c.UID, s.known)
		}
		s.flags[c.UID] = fmt.Sprint(w.words(c.Flags))
	}
	if !expunges {
		return
	}
	if want := slices.Sorted(maps.Keys(b.uids)); !slices.Equal(s.known, want) {
		w.t.Fatalf("the session has %v, want %v", s.known, want)
	}
	for u, f := range b.uids {
		if s.flags[u] != fmt.Sprint(f) {
			w.t.Fatalf("the session has flags %s of %d, want %s", s.flags[u], u, f)
		}
	}
}

func (s *modelSession) begin(w *modelWorld, b *modelBox) {
	if s.look != nil {
		s.look.Close()
	}
	look, err := w.machines[s.machine].Look(w.t.Context(), b.box.ID)
	w.must(err)
	s.look, s.known, s.flags = look, nil, map[uint32]string{}
	if rapid.Bool().Draw(w.t, "idle at once") {
		// It knows no more than their number; what they are it learns when it asks.
		if n := look.Count(); n != len(b.uids) {
			w.t.Fatalf("%d messages, want %d", n, len(b.uids))
		}
		s.known = slices.Sorted(maps.Keys(b.uids))
		for u, f := range b.uids {
			s.flags[u] = fmt.Sprint(f)
		}
		return
	}
	s.learn(w, look.Count())
}

// learn asks for the messages that are new to the session.
func (s *modelSession) learn(w *modelWorld, exists int) {
	lines, err := s.look.Lines(w.t.Context(), nil, len(s.known)+1, exists)
	w.must(err)
	if len(s.known)+len(lines) != exists {
		w.t.Fatalf("%d messages are new, want %d", len(lines), exists-len(s.known))
	}
	for i, l := range lines {
		if l.Seq != len(s.known)+1 || i > 0 && l.UID <= lines[i-1].UID {
			w.t.Fatalf("message %d has UID %d: %v", l.Seq, l.UID, lines)
		}
		s.known = append(s.known, l.UID)
		s.flags[l.UID] = fmt.Sprint(w.words(l.Flags))
	}
}

func (w *modelWorld) words(f mailbox.Flags) []string {
	if f&^(mailbox.Keyword(len(w.keywords))-1) != 0 { // one that has come since
		words, err := w.machines[0].Keywords(w.t.Context(), w.account)
		w.must(err)
		w.keywords = words
	}
	return sorted(f.Words(w.keywords))
}

// ask looks messages up by UID and by number, which must agree with what the session was told.
func (w *modelWorld) ask() {
	s := w.sessions[rapid.IntRange(0, len(w.sessions)-1).Draw(w.t, "session")]
	if s.look == nil || len(s.known) == 0 {
		return
	}
	i := rapid.IntRange(0, len(s.known)-1).Draw(w.t, "which")
	lines, err := s.look.Lines(w.t.Context(), nil, i+1, i+1)
	w.must(err)
	if len(lines) != 1 || lines[0].UID != s.known[i] {
		w.t.Fatalf("message %d is %v, want UID %d", i+1, lines, s.known[i])
	}
	low, high, err := s.look.Seqs(w.t.Context(), mailbox.Range{Low: s.known[i], High: s.known[i]})
	w.must(err)
	if low != i+1 || high != i+1 {
		w.t.Fatalf("UID %d is message %d to %d, want %d", s.known[i], low, high, i+1)
	}
}

// check compares what the step has touched with the list. After rare steps, and now and then, all rows are compared
// (MBX-2), and at times what is asked of them, too.
func (w *modelWorld) check() {
	w.steps++
	switch {
	case w.steps%fullCheck == 0:
		w.checkAll()
	case w.rare:
		w.checkRows(slices.Collect(maps.Values(w.boxes)))
	default:
		w.checkRows(w.touched)
	}
	w.touched, w.rare = nil, false
}

// boxRows is all that the store has of a mailbox.
type boxRows struct {
	messages, unseen, deleted, octets int64
	sum                               int64 // of the messages' octets
	uids                              map[uint32]mailbox.Flags
	gone, goneSum                     int64 // how many have gone, and the sum of their UIDs
}

func (w *modelWorld) rows(tx *store.Tx, b *modelBox) (r boxRows, err error) {
	r = boxRows{uids: map[uint32]mailbox.Flags{}}
	err = tx.Row(`SELECT b.messages, b.unseen, b.deleted, b.octets, count(g.uid), coalesce(sum(g.uid), 0) FROM mailboxes b LEFT JOIN mailbox_gone g ON g.mailbox = b.id WHERE b.id = ? GROUP BY b.id`,
		b.box.ID).Scan(&r.messages, &r.unseen, &r.deleted, &r.octets, &r.gone, &r.goneSum)
	if err != nil {
		return r, err
	}
	err = tx.Each(func(row store.Row) error {
		var uid uint32
		var flags, size int64
		err := row.Scan(&uid, &flags, &size)
		r.uids[uid], r.sum = mailbox.Flags(flags), r.sum+size
		return err
	}, `SELECT e.uid, e.flags, m.size FROM mailbox_entries e JOIN mails m ON m.id = e.mail WHERE e.mailbox = ?`, b.box.ID)
	return r, err
}

// checkRows compares the rows of mailboxes, and the counters beside them, with the list.
func (w *modelWorld) checkRows(boxes []*modelBox) {
	if len(boxes) == 0 {
		return
	}
	all := make([]boxRows, len(boxes))
	w.must(w.db.Read(w.t.Context(), func(tx *store.Tx) (err error) {
		for i, b := range boxes {
			if all[i], err = w.rows(tx, b); err != nil {
				return err
			}
		}
		return nil
	}))
	for i, b := range boxes {
		w.compare(b, &all[i])
	}
}

func (w *modelWorld) compare(b *modelBox, r *boxRows) {
	unseen, deleted := int64(0), int64(0)
	for u, want := range b.uids {
		f, there := r.uids[u]
		if !there || !slices.Equal(w.words(f), want) {
			w.t.Fatalf("UID %d of %s is there: %v, with flags %b, want %v", u, b.box.Name, there, f, want)
		}
		unseen, deleted = unseen+1-int64(f&1), deleted+int64(f&mailbox.Deleted/mailbox.Deleted)
	}
	if n := int64(len(b.uids)); len(r.uids) != len(b.uids) || r.messages != n || r.unseen != unseen || r.deleted != deleted || r.octets != r.sum {
		w.t.Fatalf("%s: %+v, want %d messages, %d unseen, %d deleted, %d octets", b.box.Name, *r, n, unseen, deleted, r.sum)
	}
	sum := int64(0)
	for u := range b.gone {
		sum += int64(u)
	}
	if r.gone != int64(len(b.gone)) || r.goneSum != sum {
		w.t.Fatalf("%s: %d have gone, with UIDs of %d together, want %v", b.box.Name, r.gone, r.goneSum, b.gone)
	}
}

// checkAll also compares what others are told of all that: Box, Gone, and a recount.
func (w *modelWorld) checkAll() {
	w.checkRows(slices.Collect(maps.Values(w.boxes)))
	differ, err := mailboxes.CheckAccount(w.t.Context(), w.db, w.account, false)
	w.must(err)
	if len(differ) > 0 {
		w.t.Fatal(differ)
	}
	for _, b := range w.boxes {
		now, err := w.machines[0].Box(w.t.Context(), w.account, b.box.Name)
		w.must(err)
		if now.UIDNext != b.next || int(now.Messages) != len(b.uids) || now.ModSeq < b.box.ModSeq || now.UIDValidity != b.box.UIDValidity {
			w.t.Fatalf("%+v, want %d messages and UIDNEXT %d", now, len(b.uids), b.next)
		}
		b.box = now
		gone, complete, err := w.machines[0].Gone(w.t.Context(), b.box.ID, 0)
		w.must(err)
		for u := range b.next {
			if in := mailbox.In(gone, u); !complete || in != b.gone[u] {
				w.t.Fatalf("UID %d is gone: %v, want %v", u, in, b.gone[u])
			}
		}
	}
}

// Sessions on two machines are told of every change once, with the right numbers (MBX-2, MBX-9).
func TestModel(t *testing.T) {
	steps, _ := strconv.Atoi(os.Getenv(modelStepsEnv))
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		must(t, f.Value.Set(strconv.Itoa(max(min(steps, stepsPerStore)/stepsPerAccount, 20))))
	}
	if steps > 0 {
		must(t, flag.Set("rapid.steps", strconv.Itoa(stepsPerAccount)))
	}
	t.Parallel()
	for left := max(steps, 1); left > 0; left -= stepsPerStore {
		storetest.Each(t, runModel)
	}
}

const (
	// stepsPerStore is after how many steps a model goes on with a new store: some of what it does looks at all that there is.
	stepsPerStore   = 50_000
	stepsPerAccount = 120
)

func runModel(t *testing.T, db *store.Store) {
	one := mailboxes.WithSheets(&mailboxes.Store{DB: db}, modelSheet)
	n, done, begin := 0, 0, time.Now()
	rapid.Check(t, func(r *rapid.T) {
		n++
		w := newModelWorld(r, db, one, fmt.Sprintf("joe%d", n))
		defer func() {
			done += w.steps
			for _, s := range w.sessions {
				if s.look != nil {
					s.look.Close()
				}
			}
		}()
		r.Repeat(w.acts())
		w.checkAll()
	})
	t.Logf("%d steps in %v", done, time.Since(begin).Round(time.Millisecond))
}

// modelSheet is how many UIDs are packed together: mailboxes of the model have few.
const modelSheet = 4

func newModelWorld(r *rapid.T, db *store.Store, one *mailboxes.Store, account string) *modelWorld {
	ctx := r.Context()
	w := &modelWorld{t: r, db: db, account: account, machines: []*mailboxes.Store{one, mailboxes.WithSheets(&mailboxes.Store{DB: db}, modelSheet)}, boxes: map[string]*modelBox{}}
	w.must(db.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO accounts (name, disabled, password, scram256, scram1, created) VALUES (?, 0, '', '', '', 0)`, w.account)
		return err
	}))
	for _, name := range modelNames {
		b, err := one.Box(ctx, w.account, name)
		if errors.Is(err, mailboxes.ErrNoSuchMailbox) {
			b, err = one.Create(ctx, w.account, name, "")
		}
		w.must(err)
		w.boxes[name] = &modelBox{box: b, uids: map[uint32][]string{}, next: 1, gone: map[uint32]bool{}}
	}
	for i, name := range []string{"INBOX", "INBOX", "Archive", "Lists/Go", "INBOX"} {
		w.sessions = append(w.sessions, &modelSession{machine: i % 2, name: name})
	}
	return w
}

// acts are the steps of the model, "" what is looked at after each.
func (w *modelWorld) acts() map[string]func(*rapid.T) {
	ctx := w.t.Context()
	rare := func(act func()) func(*rapid.T) { return func(*rapid.T) { w.rare = true; act() } }
	return map[string]func(*rapid.T){
		"append": func(*rapid.T) { w.append() }, "deliver": func(*rapid.T) { w.deliver() }, "flags": func(*rapid.T) { w.setFlags() },
		"transfer": func(*rapid.T) { w.transfer() }, "replace": rare(w.replace), "expunge": func(*rapid.T) { w.expunge() },
		"sync": func(*rapid.T) { w.sync() }, "sync too": func(*rapid.T) { w.sync() }, "ask": func(*rapid.T) { w.ask() },
		"forget": rare(func() {
			w.must(mailboxes.ForgetChanges(w.machine(), ctx, int64(rapid.IntRange(0, 3).Draw(w.t, "keep"))))
		}),
		"pack": rare(func() { w.must(mailboxes.PackAll(w.machine(), ctx)) }),
		"restart": rare(func() { // it has no views any more; sessions go on with what they have
			w.machines[rapid.IntRange(0, 1).Draw(w.t, "which")] = mailboxes.WithSheets(&mailboxes.Store{DB: w.db}, modelSheet)
		}),
		"": func(*rapid.T) { w.check() },
	}
}
