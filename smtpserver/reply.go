package smtpserver

import (
	"bufio"
	"strconv"
	"unicode/utf8"

	"waxwing/smtp"
)

// maxReplyText is how much of a reply's line is sent (RFC 5321 §4.5.3.1.5: 512
// octets with code and CRLF).
const maxReplyText = 480

// writeReply writes r, with UTF-8 only in a transaction with SMTPUTF8 (RFC 6531 §3.5).
// What would break the line out of its place is replaced: texts may hold what a
// client or a remote server said. Errors stay in w.
func writeReply(w *bufio.Writer, r *smtp.Reply, allow8 bool) {
	lines := r.Lines
	if len(lines) == 0 {
		lines = []string{""}
	}
	for i, l := range lines {
		var num [8]byte
		w.Write(strconv.AppendInt(num[:0], int64(r.Code), 10))
		if i < len(lines)-1 {
			w.WriteByte('-')
		} else {
			w.WriteByte(' ')
		}
		if !r.Enhanced.IsZero() {
			w.Write(strconv.AppendInt(num[:0], int64(r.Enhanced.Class), 10))
			w.WriteByte('.')
			w.Write(strconv.AppendInt(num[:0], int64(r.Enhanced.Subject), 10))
			w.WriteByte('.')
			w.Write(strconv.AppendInt(num[:0], int64(r.Enhanced.Detail), 10))
			w.WriteByte(' ')
		}
		writeText(w, l, allow8)
		w.WriteString("\r\n")
	}
}

func writeText(w *bufio.Writer, s string, allow8 bool) {
	if len(s) > maxReplyText {
		s = s[:maxReplyText]
	}
	clean := true
	for i := range len(s) {
		clean = clean && s[i] >= ' ' && s[i] < 0x7f
	}
	if clean {
		w.WriteString(s)
		return
	}
	for _, c := range s {
		if c < ' ' || c == 0x7f || c == utf8.RuneError || c > 0x7f && !allow8 || c >= 0x80 && c < 0xa0 {
			c = '?'
		}
		w.WriteRune(c)
	}
}

func status(class, subject, detail int) smtp.Enhanced {
	return smtp.Enhanced{Class: class, Subject: subject, Detail: detail}
}
