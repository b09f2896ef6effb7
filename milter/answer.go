package milter

import (
	"math"
	"strconv"
	"strings"
)

// maxReplyLines bounds a filter's reply; smfi_setmlreply takes 32.
const maxReplyLines = 64

// verb is the answer of a packet that changes nothing; ok is false for others.
func verb(cmd byte, data []byte) (a Answer, ok bool, err error) {
	switch cmd {
	case ansContinue:
		return Answer{Verb: Continue}, true, nil
	case ansAccept:
		return Answer{Verb: Accept}, true, nil
	case ansDiscard:
		return Answer{Verb: Discard}, true, nil
	case ansReject:
		return Answer{Verb: Reject}, true, nil
	case ansTempFail, ansConnFail, ansShutdown:
		return Answer{Verb: TempFail}, true, nil
	case ansReply:
		a.Verb = ReplyWith
		a.Reply, err = parseReply(data)
		return a, true, err
	}
	return a, false, nil
}

// parseReply reads a reply: lines such as "550-5.7.1 text", parted by CRLF, with a NUL at the end.
func parseReply(data []byte) (r Reply, err error) {
	text, err := split(data, 1)
	if err != nil {
		return r, err
	}
	lines := strings.Split(strings.ReplaceAll(text[0], "\r\n", "\n"), "\n")
	if len(lines) > maxReplyLines {
		return r, fault("a reply of %d lines, %d are allowed", len(lines), maxReplyLines)
	}
	for i, line := range lines {
		if len(line) < 3 || len(line) > 3 && line[3] != ' ' && line[3] != '-' {
			return r, fault("a reply without a code: %.40q", line)
		}
		code, err := strconv.Atoi(line[:3])
		if err != nil || code < 400 || code > 599 || i > 0 && code != r.Code {
			return r, fault("a reply with the code %.3q", line)
		}
		e, rest := enhanced(strings.TrimPrefix(strings.TrimPrefix(line[3:], " "), "-"), code/100)
		if i == 0 {
			r.Code, r.Enhanced = code, e
		}
		// libmilter has "%" doubled in what filters set.
		r.Lines = append(r.Lines, strings.ReplaceAll(strings.ReplaceAll(rest, "%%", "%"), "\r", " "))
	}
	return r, nil
}

// enhanced takes an enhanced status code (RFC 3463) off the front of a text. One of another
// class than the reply's says nothing.
func enhanced(s string, class int) (e [3]int, rest string) {
	first, rest, _ := strings.Cut(s, " ")
	parts := strings.Split(first, ".")
	if len(parts) != 3 {
		return e, s
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || len(p) > 3 {
			return [3]int{}, s
		}
		e[i] = int(n)
	}
	if e[0] != class {
		return [3]int{}, rest
	}
	return e, rest
}

// change is what a packet asks to be changed; ok is false for a packet that asks for no change.
func change(cmd byte, data []byte) (c Change, ok bool, err error) {
	switch cmd {
	case ansAddField:
		c, err = field(AddField, 0, data)
	case ansInsert, ansChange:
		op := map[byte]Op{ansInsert: InsertField, ansChange: ChangeField}[cmd]
		var n uint32
		if n, data, err = number(data); err == nil {
			c, err = field(op, n, data)
		}
	case ansAddRcpt, ansDelRcpt, ansQuarantine:
		c.Op = map[byte]Op{ansAddRcpt: AddRecipient, ansDelRcpt: RemoveRecipient, ansQuarantine: Quarantine}[cmd]
		c.Value, err = one(data)
	case ansAddRcptPar, ansSender:
		c.Op = map[byte]Op{ansAddRcptPar: AddRecipient, ansSender: ChangeSender}[cmd]
		c.Value, c.Param, err = oneOrTwo(data)
	default:
		return c, false, nil
	}
	return c, true, err
}

func field(op Op, n uint32, data []byte) (Change, error) {
	if n > math.MaxInt32 {
		return Change{}, fault("the index %d", n)
	}
	s, err := split(data, 2)
	if err != nil {
		return Change{}, err
	}
	return Change{Op: op, Index: int(n), Name: s[0], Value: s[1]}, nil
}

func one(data []byte) (string, error) {
	s, err := split(data, 1)
	if err != nil {
		return "", err
	}
	return s[0], nil
}

// oneOrTwo is an address, and its parameters where it has some.
func oneOrTwo(data []byte) (address, param string, err error) {
	if s, err := split(data, 1); err == nil {
		return s[0], "", nil
	}
	s, err := split(data, 2)
	if err != nil {
		return "", "", err
	}
	return s[0], s[1], nil
}
