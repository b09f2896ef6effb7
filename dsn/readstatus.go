package dsn

import (
	"bytes"
	"net/mail"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/smtp"
)

// fields are those of the message or of a recipient, by their lower-case names; of
// several with one name the first counts. A value has its lines, without the
// white space around them.
type fields map[string][]string

func (f fields) get(name string) string { return strings.Join(f[strings.ToLower(name)], " ") }

func (f fields) has(name string) bool { _, ok := f[name]; return ok }

// readStatus reads the fields of a delivery status (RFC 3464 §2.1). Empty lines
// should part the groups; some generators leave them out, or put them elsewhere
// (QUE-13). So a recipient begins where a field says so, or comes that the one
// before has already.
func (r *Report) readStatus(body []byte) {
	whole := fields{}
	var rcpts []fields
	in, last := whole, "" // where fields go, and the one that a continuation line belongs to
	for line := range bytes.Lines(body) {
		text := strings.TrimRight(string(line), "\r\n")
		name, value, isField := fieldLine(text)
		switch {
		case strings.TrimSpace(text) == "":
			last = ""
			continue
		case !isField && last != "":
			in[last] = append(in[last], strings.TrimSpace(text))
		}
		if !isField {
			continue
		}
		if begins(in, name, len(rcpts) == 0) {
			if len(rcpts) == maxRecipients {
				break
			}
			in = fields{}
			rcpts = append(rcpts, in)
		}
		if last = name; in.has(name) {
			last = "" // told already
			continue
		}
		in[name] = []string{value}
	}
	r.readWhole(whole)
	for _, f := range rcpts {
		// One without an address was made of strays, unless it is all there is.
		if rc := recipient(f); rc.Address != "" || len(rcpts) == 1 {
			r.Recipients = append(r.Recipients, rc)
		}
	}
}

// fieldLine takes a line apart that begins a field. RFC 3464 §2.1 wants
// continuation lines indented, as in RFC 5322; some generators write replies of
// several lines as they were. So what begins a field must look like the name of
// one: words with hyphens, or one of the two without.
func fieldLine(text string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(text, ":")
	name = strings.ToLower(strings.TrimRight(name, " \t"))
	if !ok || name == "" || name[0] < 'a' || name[0] > 'z' {
		return "", "", false
	}
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return "", "", false
		}
	}
	return name, strings.TrimSpace(value), strings.Contains(name, "-") || name == "action" || name == "status"
}

// begins reports that a field is the first of a recipient: of the first one, or of
// another than that whose fields stand before.
func begins(before fields, name string, first bool) bool {
	switch name {
	case "final-recipient", "action", "status":
		return first || before.has(name)
	case "original-recipient":
		return first || before.has(name) || before.has("final-recipient") && (before.has("action") || before.has("status"))
	}
	return false
}

// readWhole takes the fields that are about the message.
func (r *Report) readWhole(f fields) {
	r.EnvID = f.get("Original-Envelope-Id")
	r.Arrival = date(f.get("Arrival-Date"))
	_, r.ReceivedBy = typed(f.get("Received-From-MTA"))
	_, host := typed(f.get("Reporting-MTA"))
	if n, err := dns.ParseLax(word(host)); err == nil {
		r.Hostname = n
	}
}

func recipient(f fields) Recipient {
	var rc Recipient
	rc.Address = address(f.get("Final-Recipient"))
	rc.Original = f.get("Original-Recipient")
	if rc.Address == "" {
		rc.Address = address(rc.Original)
	}
	_, mta := typed(f.get("Remote-MTA"))
	mta, comment, _ := strings.Cut(mta, " (")
	rc.RemoteMTA = mta
	comment = strings.TrimPrefix(strings.Trim(comment, "[])"), "IPv6:")
	if a, err := netip.ParseAddr(comment); err == nil {
		rc.RemoteAddr = a
	}
	rc.readDiagnostic(f["diagnostic-code"])
	rc.Status = enhanced(f.get("Status"))
	if rc.Status.IsZero() && rc.Reply != nil {
		rc.Status = rc.Reply.Enhanced
	}
	rc.Action = action(f.get("Action"), rc)
	rc.LastAttempt = date(f.get("Last-Attempt-Date"))
	rc.RetryUntil = date(f.get("Will-Retry-Until"))
	rc.LogID = f.get("Final-Log-ID")
	return rc
}

// action reads "failed", with anything after it; where there is none, the status
// says what it was.
func action(s string, rc Recipient) Action {
	a := Action(strings.ToLower(strings.TrimRight(word(s), ".,;")))
	switch {
	case a == "failure":
		return Failed
	case a == "delay":
		return Delayed
	case a != "":
		return a
	}
	class := rc.Status.Class
	if class == 0 && rc.Reply != nil {
		class = rc.Reply.Code / 100
	}
	switch class {
	case 2:
		return Delivered
	case 4:
		return Delayed
	case 5:
		return Failed
	}
	return ""
}

// address reads "rfc822; bob@example.net", also without the type, in brackets or
// with a comment.
func address(s string) string {
	typ, addr, typed := strings.Cut(s, ";")
	if !typed {
		typ, addr = "", s
	}
	addr = strings.TrimSpace(addr)
	if i := strings.Index(addr, " ("); i >= 0 {
		addr = strings.TrimSpace(addr[:i])
	}
	if len(addr) > 2 && addr[0] == '<' && addr[len(addr)-1] == '>' {
		addr = addr[1 : len(addr)-1]
	}
	if plain, ok := decodeUnitext(addr); ok && strings.EqualFold(strings.TrimSpace(typ), "utf-8") {
		return plain
	}
	return addr
}

// readDiagnostic reads the lines of a Diagnostic-Code: a reply, or what else its
// type has.
func (rc *Recipient) readDiagnostic(lines []string) {
	if len(lines) == 0 {
		return
	}
	typ, first, ok := strings.Cut(lines[0], ";")
	if typ = strings.TrimSpace(typ); !ok || strings.ContainsAny(typ, " \t") { // it lacks its type
		typ, first = "smtp", lines[0]
	}
	value := append([]string{strings.TrimSpace(first)}, lines[1:]...)
	if value[0] == "" && len(value) > 1 {
		value = value[1:]
	}
	if strings.EqualFold(typ, "smtp") {
		rc.Reply = reply(value)
	}
	if rc.Reply == nil {
		rc.Text = strings.Join(value, " ")
	}
}

// typed splits "type; value".
func typed(s string) (typ, value string) {
	typ, value, _ = strings.Cut(s, ";")
	return strings.TrimSpace(typ), strings.TrimSpace(value)
}

func date(s string) time.Time {
	t, err := mail.ParseDate(s)
	if err != nil {
		return time.Time{}
	}
	return t
}

// enhanced reads "5.1.1", with anything before and after it.
func enhanced(s string) smtp.Enhanced {
	for _, w := range strings.Fields(s) {
		if e, ok := enhancedWord(strings.Trim(w, "#(),;:<>[].")); ok {
			return e
		}
	}
	return smtp.Enhanced{}
}

func enhancedWord(word string) (smtp.Enhanced, bool) {
	var n [3]int
	parts := strings.Split(word, ".")
	if len(parts) != 3 {
		return smtp.Enhanced{}, false
	}
	for i, p := range parts {
		v, err := strconv.ParseUint(p, 10, 16)
		if err != nil || v > 999 {
			return smtp.Enhanced{}, false
		}
		n[i] = int(v)
	}
	return smtp.Enhanced{Class: n[0], Subject: n[1], Detail: n[2]}, n[0] == 2 || n[0] == 4 || n[0] == 5
}

// reply reads a diagnostic code of type smtp: code, enhanced code, text. Lines that
// repeat the code are lines of the reply; others go on where a fold parted them.
func reply(lines []string) *smtp.Reply {
	var r *smtp.Reply
	for _, line := range lines {
		code, text, ok := coded(line)
		switch {
		case r == nil && !ok:
			return nil
		case r == nil:
			r = &smtp.Reply{Code: code}
			word, rest, _ := strings.Cut(text, " ")
			if e, ok := enhancedWord(strings.TrimLeft(word, "#")); ok {
				r.Enhanced, text = e, rest
			}
			r.Lines = []string{text}
		case ok && code == r.Code:
			if word, rest, _ := strings.Cut(text, " "); !r.Enhanced.IsZero() && word == r.Enhanced.String() {
				text = rest
			}
			r.Lines = append(r.Lines, text)
		case r.Lines[len(r.Lines)-1] == "":
			r.Lines[len(r.Lines)-1] = line
		default:
			r.Lines[len(r.Lines)-1] += " " + line
		}
	}
	return r
}

// coded parts "550-text" or "550 text".
func coded(line string) (code int, text string, ok bool) {
	if len(line) < 3 || len(line) > 3 && line[3] >= '0' && line[3] <= '9' {
		return 0, "", false
	}
	code, err := strconv.Atoi(line[:3])
	if err != nil || code < 200 || code > 599 {
		return 0, "", false
	}
	return code, strings.TrimSpace(strings.TrimPrefix(line[3:], "-")), true
}

// quotedReply finds the reply that a text quotes behind an address.
func quotedReply(text, addr string) *smtp.Reply {
	at := strings.Index(text, addr)
	if at < 0 {
		return nil
	}
	n := 0
	for line := range strings.Lines(text[at:]) {
		if n++; n > 10 {
			break
		}
		f := strings.Fields(line)
		for i := range f {
			if r := reply([]string{strings.Join(f[i:], " ")}); r != nil && r.Code >= 400 && len(f[i]) >= 3 && (len(f[i]) == 3 || f[i][3] == '-') {
				return r
			}
		}
	}
	return nil
}
