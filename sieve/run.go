package sieve

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"waxwing/internal/foreign"
	"waxwing/message"
)

// Field is one field of a message's header, in the order of the message.
type Field struct {
	Name  string
	Value string // without the line end; may be folded
	Raw   []byte // the whole field as it stands in the message; nil: the script has added it
}

// Message is what a script looks at.
type Message struct {
	Header []Field
	Size   int64
	// Body returns texts of the body, decoded to UTF-8: of the parts whose media type
	// is one of types ("text", "text/plain"; "" for all), or with raw, the body as it
	// is. Nil: there is none to look at.
	Body func(raw bool, types []string) []string
}

// Environment is where and when a script runs. Nil functions answer no.
type Environment struct {
	Now        time.Time         // in the account's time zone
	From, To   string            // of the envelope; From is "" for the null reverse-path
	Separator  string            // between user and detail of a local part; "": "+"
	Values     map[string]string // of the test environment (RFC 5183): name, version, host, domain, remote-ip, …
	Mailbox    func(name string) bool
	SpecialUse func(mailbox string, flags []string) bool // mailbox "": any
	// Duplicate reports that an identifier was seen within the period. With last, the
	// period begins anew. That it is seen now, is an action (Seen).
	Duplicate func(id string, period time.Duration, last bool) bool
	Include   func(name string, global bool) (*Program, bool)
	Spam      Spam
	Budget    Budget
	// Trace is told of each command and test as it is evaluated, a test after those in it; nil: nobody is.
	Trace func(Step)
}

// Spam is what the message was found to be (RFC 5235).
type Spam struct {
	Tested  bool
	Percent int // 0: certainly not spam, 100: certainly spam
}

// Step is a command or test that was evaluated.
type Step struct {
	Line  int
	Depth int // of blocks and included scripts
	Name  string
	Test  bool
	True  bool     // of a test
	Seen  []string // of a test that compares: the values that it looked at
}

// Budget bounds a run. Zero fields are the defaults.
type Budget struct {
	Steps     int // about 50 ns each; 0: 100,000
	Memory    int // octets of all variables; 0: 256 KiB
	Redirects int // 0: 4
	Actions   int // 0: 32
}

// Action is what a script wants done: one of the types below.
type Action interface{ action() }

// The actions. A Keep that no command asked for is Implicit.
type (
	Keep struct {
		Flags    []string
		Implicit bool
	}
	FileInto struct {
		Mailbox    string
		SpecialUse string // preferred over Mailbox, where such a mailbox exists
		Flags      []string
		Create     bool
	}
	Redirect struct{ Address string }
	Discard  struct{}
	Reject   struct {
		Reason string
		Early  bool // ereject: refuse at SMTP where that is still possible
	}
	Vacation struct {
		Reason, Subject, From string
		Addresses             []string
		MIME                  bool
		Handle                string
		Period                time.Duration
	}
	Notify struct {
		Method, From, Importance, Message string
		Options                           []string
	}
	// Seen says that Duplicate looked for an identifier: it is to be remembered.
	Seen struct {
		ID     string
		Period time.Duration
	}
	// SetHeader replaces the message's header (editheader), for the actions behind it.
	SetHeader struct{ Header []Field }
)

func (Keep) action()      {}
func (FileInto) action()  {}
func (Redirect) action()  {}
func (Discard) action()   {}
func (Reject) action()    {}
func (Vacation) action()  {}
func (Notify) action()    {}
func (Seen) action()      {}
func (SetHeader) action() {}

// Errors of a run. Whoever runs a script keeps the message then (RFC 5228 §2.10.6).
var (
	ErrBudget = errors.New("the script needs more time or memory than it may have")
)

// Run runs a script on a message. With an error there are no actions: the
// message is to be kept, and the owner told.
func (p *Program) Run(m Message, env Environment) ([]Action, error) {
	r := &run{p: p, m: m, env: env, header: m.Header, keep: true, vars: map[string]string{}, included: map[string]bool{}}
	r.steps = cmp.Or(env.Budget.Steps, 100_000)
	r.memory = cmp.Or(env.Budget.Memory, 256<<10)
	r.commands(p.commands)
	if r.err != nil {
		return nil, r.err
	}
	filed := slices.ContainsFunc(r.actions, func(a Action) bool { _, ok := a.(Keep); return ok })
	if r.keep && !filed {
		r.actions = append(r.actions, Keep{Flags: r.flags, Implicit: true})
	}
	return r.actions, nil
}

// run is one run of a program.
type run struct {
	p         *Program
	m         Message
	env       Environment
	header    []Field
	actions   []Action
	keep      bool // the implicit keep stands
	stopped   bool // stop
	returned  bool // return
	err       error
	steps     int
	memory    int
	vars      map[string]string
	globals   map[string]string // shared with included scripts
	shared    map[string]bool   // names declared global
	groups    []string
	flags     []string // the internal variable of imap4flags
	included  map[string]bool
	depth     int // of included scripts
	level     int // of blocks and included scripts, for Trace
	redirects int
	seen      []string          // values of the last comparison, for Trace
	folded    map[string]string // long values to themselves in capitals
	decoded   map[string]string // header values as they stand in the message, to what tests look at
}

// spend takes steps off the budget; true when there are none left.
func (r *run) spend(n int) bool {
	r.steps -= n
	if r.steps < 0 && r.err == nil {
		r.err = ErrBudget
	}
	return r.err != nil
}

func (r *run) over() bool { return r.err != nil || r.stopped || r.returned }

func (r *run) fail(line int, format string, args ...any) {
	if r.err == nil {
		r.err = fault(line, format, args...)
	}
}

func (r *run) commands(calls []*call) {
	r.level++
	defer func() { r.level-- }()
	done := false // a branch of the current if was taken
	for _, k := range calls {
		if r.over() || r.spend(1) {
			return
		}
		switch k.name {
		case "if":
			done = r.test(k.tests[0])
			if done {
				r.commands(k.block)
			}
		case "elsif":
			if !done && r.test(k.tests[0]) {
				done = true
				r.commands(k.block)
			}
		case "else":
			if !done {
				r.commands(k.block)
			}
		default:
			r.command(k)
		}
	}
}

func (r *run) command(k *call) {
	if r.env.Trace != nil {
		r.env.Trace(Step{Line: k.line, Depth: r.level, Name: k.name})
	}
	switch k.name {
	case "stop":
		r.stopped = true
	case "return":
		r.returned = true
	case "keep":
		r.keep = false
		r.inbox(k)
	case "discard":
		r.keep = false
	case "redirect":
		r.redirect(k)
	case "fileinto":
		r.fileInto(k)
	case "reject", "ereject":
		r.reject(k)
	case "vacation":
		r.vacation(k)
	case "set":
		r.set(k)
	case "setflag", "addflag", "removeflag":
		r.changeFlags(k)
	case "addheader", "deleteheader":
		r.editHeader(k)
	case "include":
		r.include(k)
	case "global":
		r.spend(5 * len(k.args[0].strings))
		for _, name := range k.args[0].strings {
			r.declareGlobal(strings.ToLower(name), k.line)
		}
	case "notify":
		r.notify(k)
	case "error":
		r.fail(k.line, "%s", foreign.Clip(r.expand(k.args[0].strings[0]), 60))
	}
}

// do adds an action, but one that is there already.
func (r *run) do(a Action, k *call) {
	if len(r.actions) >= cmp.Or(r.env.Budget.Actions, 32) {
		r.fail(k.line, "more actions than %d", cmp.Or(r.env.Budget.Actions, 32))
		return
	}
	r.actions = append(r.actions, a)
}

// inbox files into the inbox: once, with the last flags.
func (r *run) inbox(k *call) {
	r.actions = slices.DeleteFunc(r.actions, func(a Action) bool { _, ok := a.(Keep); return ok })
	r.do(Keep{Flags: r.flagsOf(k)}, k)
}

func (r *run) redirect(k *call) {
	to := r.expand(k.args[0].strings[0])
	if r.spend(10 + len(to)) {
		return
	}
	list, err := message.ParseAddressList(to)
	if err != nil || len(list) != 1 {
		r.fail(k.line, "redirect to %q, which is no address", foreign.Clip(to, 60))
		return
	}
	address := list[0].Addr()
	if !k.has("copy") {
		r.keep = false
	}
	for _, a := range r.actions {
		if d, ok := a.(Redirect); ok && strings.EqualFold(d.Address, address) {
			return
		}
	}
	if r.redirects++; r.redirects > cmp.Or(r.env.Budget.Redirects, 4) {
		r.fail(k.line, "more redirects than %d", cmp.Or(r.env.Budget.Redirects, 4))
		return
	}
	r.do(Redirect{address}, k)
}

func (r *run) fileInto(k *call) {
	f := FileInto{Mailbox: r.expand(k.args[0].strings[0]), Flags: r.flagsOf(k), Create: k.has("create")}
	if a, ok := k.tags["specialuse"]; ok {
		f.SpecialUse = r.expand(a.strings[0])
	}
	if f.Mailbox == "" {
		r.fail(k.line, "fileinto without a mailbox")
		return
	}
	if !k.has("copy") {
		r.keep = false
	}
	if strings.EqualFold(f.Mailbox, "INBOX") && f.SpecialUse == "" {
		r.inbox(k) // where keep files, so that both together file once
		return
	}
	for i, a := range r.actions {
		if old, ok := a.(FileInto); ok && old.Mailbox == f.Mailbox && old.SpecialUse == f.SpecialUse {
			r.actions[i] = f // once, with the last flags
			return
		}
	}
	r.do(f, k)
}

func (r *run) reject(k *call) {
	for _, a := range r.actions {
		switch a.(type) {
		case Seen, SetHeader:
		default: // RFC 5429 §2.2: incompatible with what keeps or sends the message
			r.fail(k.line, "%s together with another action", k.name)
			return
		}
	}
	r.keep = false
	r.do(Reject{Reason: r.expand(k.args[0].strings[0]), Early: k.name == "ereject"}, k)
}

func (r *run) vacation(k *call) {
	if slices.ContainsFunc(r.actions, func(a Action) bool { _, ok := a.(Vacation); return ok }) {
		r.fail(k.line, "a second vacation") // RFC 5230 §4.7
		return
	}
	v := Vacation{Reason: r.expand(k.args[0].strings[0]), Subject: r.tag(k, "subject"), From: r.tag(k, "from"), MIME: k.has("mime"),
		Handle: r.tag(k, "handle"), Period: 7 * 24 * time.Hour}
	if a, ok := k.tags["addresses"]; ok {
		v.Addresses = r.expandAll(a.strings)
	}
	if a, ok := k.tags["days"]; ok {
		v.Period = time.Duration(min(max(a.number, 1), 365)) * 24 * time.Hour
	}
	if a, ok := k.tags["seconds"]; ok {
		v.Period = time.Duration(min(a.number, 365*24*3600)) * time.Second
	}
	if v.Handle == "" { // RFC 5230 §4.2: what makes two responses the same
		v.Handle = fmt.Sprintf("%q %q %q %v", v.Subject, v.From, v.Reason, v.MIME)
	}
	r.do(v, k)
}

func (r *run) notify(k *call) {
	n := Notify{Method: r.expand(k.args[0].strings[0]), From: r.tag(k, "from"), Importance: r.tag(k, "importance"), Message: r.tag(k, "message")}
	if a, ok := k.tags["options"]; ok {
		n.Options = r.expandAll(a.strings)
	}
	if !r.validMethod(n.Method) {
		r.fail(k.line, "notify by %q, which is not known", foreign.Clip(n.Method, 60))
		return
	}
	r.do(n, k)
}

func (r *run) validMethod(s string) bool {
	if r.spend(40 + len(s)) {
		return false
	}
	address, ok := strings.CutPrefix(strings.ToLower(s), "mailto:")
	list, err := message.ParseAddressList(strings.SplitN(address, "?", 2)[0])
	return ok && err == nil && len(list) == 1
}

// tag is the expanded string behind a tag; "" without it.
func (r *run) tag(k *call, name string) string {
	a, ok := k.tags[name]
	if !ok {
		return ""
	}
	return r.expand(a.strings[0])
}

func (r *run) include(k *call) {
	name := r.expand(k.args[0].strings[0])
	if r.spend(len(name) / 16) {
		return
	}
	global := k.has("global")
	key := fmt.Sprintf("%v %s", global, name)
	if k.has("once") && r.included[key] {
		return
	}
	if r.depth++; r.depth > 10 {
		r.fail(k.line, "scripts include each other deeper than 10")
		return
	}
	defer func() { r.depth-- }()
	r.included[key] = true
	p, ok := (*Program)(nil), false
	if r.env.Include != nil {
		p, ok = r.env.Include(name, global)
	}
	if !ok {
		if !k.has("optional") {
			r.fail(k.line, "there is no script %q", foreign.Clip(name, 60))
		}
		return
	}
	mine, vars, shared, groups := r.p, r.vars, r.shared, r.groups
	r.p, r.vars, r.shared, r.groups = p, map[string]string{}, nil, nil
	r.commands(p.commands)
	r.p, r.vars, r.shared, r.groups, r.returned = mine, vars, shared, groups, false
}

// editHeader is RFC 5293.
func (r *run) editHeader(k *call) {
	name := r.expand(k.args[0].strings[0])
	if !fieldName(name) || protected(name) || r.spend(20+4*len(r.header)) {
		return // RFC 5293 §6: silently
	}
	if k.name == "addheader" {
		if r.spend(len(k.args[1].strings[0]) / 16) {
			return
		}
		f := Field{Name: name, Value: strings.Map(func(c rune) rune {
			if c == '\r' || c == '\n' || c == 0 {
				return ' '
			}
			return c
		}, r.expand(k.args[1].strings[0]))}
		if k.has("last") {
			r.header = append(slices.Clone(r.header), f)
		} else {
			r.header = append([]Field{f}, r.header...)
		}
	} else {
		r.deleteHeader(k, name)
	}
	if n := len(r.actions); n > 0 {
		if _, ok := r.actions[n-1].(SetHeader); ok { // nothing was done with the header before
			r.actions = r.actions[:n-1]
		}
	}
	r.do(SetHeader{r.header}, k)
}

func fieldName(s string) bool {
	return s != "" && len(s) <= 76 && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' || c == ':' })
}

// protected fields prove where a message has been and what was found: no script changes them.
func protected(name string) bool {
	switch strings.ToLower(name) {
	case "received", "auto-submitted", "return-path", "delivered-to", "authentication-results", "dkim-signature":
		return true
	}
	return false
}

func (r *run) deleteHeader(k *call, name string) {
	var at []int
	for i, f := range r.header {
		if strings.EqualFold(f.Name, name) {
			at = append(at, i)
		}
	}
	at = pick(k, at)
	out := make([]Field, 0, len(r.header))
	keys := r.expandAll(k.args[1].strings)
	for i, f := range r.header {
		chosen := len(at) > 0 && at[0] == i // they ascend
		if chosen {
			at = at[1:]
		}
		if !chosen || len(keys) > 0 && !r.match(k, keys, r.value(f.Value)) {
			out = append(out, f)
		}
	}
	r.header = out
}

// pick is :index and :last (RFC 5260 §6): one of several.
func pick[T any](k *call, list []T) []T {
	a, ok := k.tags["index"]
	if !ok {
		return list
	}
	n := int(min(a.number, 1<<20))
	if n < 1 || n > len(list) {
		return nil
	}
	if k.has("last") {
		return list[len(list)-n : len(list)-n+1]
	}
	return list[n-1 : n]
}
