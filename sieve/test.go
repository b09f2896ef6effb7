package sieve

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"waxwing/internal/foreign"
	"waxwing/message"
)

// perName is what it costs to look for a mailbox among those of the account.
const perName = 40

// test evaluates a test.
func (r *run) test(k *call) bool {
	if r.err != nil || r.spend(1) {
		return false
	}
	ok := r.evaluate(k)
	if r.env.Trace != nil && r.err == nil {
		r.env.Trace(Step{Line: k.line, Depth: r.level, Name: k.name, Test: true, True: ok, Seen: r.seen})
		r.seen = nil
	}
	return ok
}

func (r *run) evaluate(k *call) bool {
	switch k.name {
	case "true":
		return true
	case "false":
		return false
	case "not":
		return !r.test(k.tests[0])
	case "allof":
		return !slices.ContainsFunc(k.tests, func(t *call) bool { return !r.test(t) })
	case "anyof":
		return slices.ContainsFunc(k.tests, r.test)
	case "exists":
		return !slices.ContainsFunc(r.expandAll(k.args[0].strings), func(name string) bool { return len(r.fields(name)) == 0 })
	case "size":
		if a, ok := k.tags["over"]; ok {
			return uint64(r.m.Size) > a.number
		}
		return uint64(r.m.Size) < k.tags["under"].number
	case "ihave":
		return k.ihave
	case "duplicate":
		return r.duplicate(k)
	case "mailboxexists":
		return r.env.Mailbox != nil && !slices.ContainsFunc(r.expandAll(k.args[0].strings), func(m string) bool { return r.spend(perName) || !r.env.Mailbox(m) })
	case "specialuse_exists":
		mailbox := ""
		if k.given == 2 {
			mailbox = r.expand(k.args[0].strings[0])
		}
		uses := r.expandAll(k.args[1].strings)
		return !r.spend(perName*len(uses)) && r.env.SpecialUse != nil && r.env.SpecialUse(mailbox, uses)
	case "notify_method_capability":
		return r.notifyCapability(k)
	case "valid_notify_method":
		return !slices.ContainsFunc(r.expandAll(k.args[0].strings), func(s string) bool { return !r.validMethod(s) })
	}
	return r.compare(k)
}

// compare evaluates the tests that hold values against keys.
func (r *run) compare(k *call) bool {
	keys := r.expandAll(k.args[len(k.args)-1].strings)
	values := r.values(k)
	if r.env.Trace != nil {
		r.seen = values
	}
	return r.matchAny(k, keys, values)
}

func (r *run) values(k *call) []string {
	switch k.name {
	case "header":
		return r.headerValues(k)
	case "address":
		return r.addressValues(k)
	case "envelope":
		return r.envelopeValues(k)
	case "string":
		list := r.expandAll(k.args[0].strings)
		if k.has("count") && !r.spend(len(list)) { // RFC 5229 §5: empty strings do not count
			list = slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == "" })
		}
		return list
	case "hasflag":
		return r.flagValues(k)
	case "date":
		return r.dateValues(k)
	case "currentdate":
		return []string{datePart(r.inZone(k, r.env.Now), strings.ToLower(k.args[0].strings[0]))}
	case "body":
		return r.bodyValues(k)
	case "environment":
		if v, ok := r.env.Values[strings.ToLower(r.expand(k.args[0].strings[0]))]; ok {
			return []string{v}
		}
	case "spamtest":
		return []string{r.spam(k.has("percent"))}
	}
	return nil
}

// spam is the value of RFC 5235: 0 untested, 1 to 10, or with :percent 0 to 100.
func (r *run) spam(percent bool) string {
	p := min(max(r.env.Spam.Percent, 0), 100)
	switch {
	case !r.env.Spam.Tested:
		return "0"
	case percent:
		return strconv.Itoa(p)
	}
	return strconv.Itoa(1 + p*9/100)
}

// fields are the values of all fields of a name.
func (r *run) fields(name string) []string {
	if r.spend(1 + len(r.header)/4) {
		return nil
	}
	var out []string
	for _, f := range r.header {
		if strings.EqualFold(f.Name, name) {
			out = append(out, f.Value)
		}
	}
	return out
}

// value is a field's value decoded, which is remembered: many rules look at the same field.
func (r *run) value(raw string) string {
	if v, ok := r.decoded[raw]; ok {
		r.spend(len(raw) / 256)
		return v
	}
	cost := len(raw) / 16
	if strings.Contains(raw, "=?") {
		cost = len(raw)
	}
	if r.spend(1 + cost) {
		return ""
	}
	if r.decoded == nil {
		r.decoded = map[string]string{}
	}
	v := foreign.Cut(decoded(raw), maxString)
	r.decoded[raw] = v
	return v
}

// decoded is a value unfolded, encoded words decoded, without outer blanks
// (RFC 5228 §2.4.2.2).
func decoded(value string) string {
	return strings.TrimSpace(message.DecodeWords(unfold(value)))
}

func unfold(s string) string {
	if !strings.ContainsAny(s, "\r\n") {
		return s
	}
	return strings.NewReplacer("\r\n", "", "\n", "", "\r", "").Replace(s)
}

func (r *run) headerValues(k *call) []string {
	var out []string
	for _, name := range r.expandAll(k.args[0].strings) {
		for _, v := range pick(k, r.fields(name)) {
			out = append(out, r.value(v))
		}
		if r.err != nil {
			return nil
		}
	}
	return out
}

func (r *run) addressValues(k *call) []string {
	var out []string
	for _, name := range r.expandAll(k.args[0].strings) {
		for _, v := range pick(k, r.fields(name)) {
			if r.spend(10 + len(v)) {
				return nil
			}
			list, err := message.ParseAddressList(unfold(v))
			if err != nil {
				continue
			}
			for _, a := range list {
				out = r.addressPart(k, out, a.Local, a.Domain)
			}
		}
	}
	return out
}

// addressPart adds the part of an address that a test looks at (RFC 5228 §2.7.4, 5233 §4).
func (r *run) addressPart(k *call, out []string, local, domain string) []string {
	separator := r.env.Separator
	if separator == "" {
		separator = "+"
	}
	user, detail, found := strings.Cut(local, separator)
	switch {
	case k.has("localpart"):
		return append(out, local)
	case k.has("domain"):
		return append(out, domain)
	case k.has("user"):
		return append(out, user)
	case k.has("detail"):
		if !found {
			return out // RFC 5233 §4: no detail, no match
		}
		return append(out, detail)
	}
	if domain == "" {
		return append(out, local)
	}
	return append(out, local+"@"+domain)
}

func (r *run) envelopeValues(k *call) []string {
	var out []string
	for _, part := range r.expandAll(k.args[0].strings) {
		if r.spend(8) {
			return nil
		}
		address := ""
		switch strings.ToLower(part) {
		case "from":
			address = r.env.From
		case "to":
			address = r.env.To
		default:
			continue
		}
		local, domain := address, ""
		if i := strings.LastIndexByte(address, '@'); i >= 0 {
			local, domain = address[:i], address[i+1:]
		}
		out = r.addressPart(k, out, local, domain)
	}
	return out
}

func (r *run) flagValues(k *call) []string {
	if k.given < 2 {
		return r.flags
	}
	var out []string
	for _, name := range r.expandAll(k.args[0].strings) {
		out = append(out, r.flagList([]string{r.variable(strings.ToLower(name))})...)
	}
	return out
}

func (r *run) bodyValues(k *call) []string {
	if r.m.Body == nil {
		return nil
	}
	var types []string
	if a, ok := k.tags["content"]; ok {
		types = r.expandAll(a.strings)
		r.spend(20 * len(types)) // each part is looked at for each
	} else if !k.has("raw") {
		types = []string{"text"}
	}
	texts := slices.Clone(r.m.Body(k.has("raw"), types))
	for _, t := range texts {
		r.spend(1 + len(t)/64)
	}
	if k.has("matches") || k.has("regex") { // their cost grows with the value
		for i := range texts {
			texts[i] = foreign.Cut(texts[i], maxString)
		}
	}
	return texts
}

// duplicate is RFC 7352.
func (r *run) duplicate(k *call) bool {
	id, period := r.tag(k, "uniqueid"), 7*24*time.Hour
	if a, ok := k.tags["seconds"]; ok {
		period = time.Duration(min(a.number, 365*24*3600)) * time.Second
	}
	if !k.has("uniqueid") {
		name := "Message-ID"
		if k.has("header") {
			name = r.tag(k, "header")
		}
		values := r.fields(name)
		if len(values) == 0 {
			return false
		}
		id = r.value(values[0])
	}
	if r.spend(500) { // what is remembered is read from the store
		return false
	}
	id = r.tag(k, "handle") + "\x00" + foreign.Cut(id, 1000)
	seen := r.env.Duplicate != nil && r.env.Duplicate(id, period, k.has("last"))
	if !seen || k.has("last") {
		r.do(Seen{id, period}, k)
	}
	return seen
}

// notifyCapability is RFC 5435 §5 with RFC 5436 §2.3: whether somebody will look at mail now, nobody
// knows.
func (r *run) notifyCapability(k *call) bool {
	if !r.validMethod(r.expand(k.args[0].strings[0])) || !strings.EqualFold(r.expand(k.args[1].strings[0]), "online") {
		return false
	}
	return r.matchAny(k, r.expandAll(k.args[2].strings), []string{"maybe"})
}
