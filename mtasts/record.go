package mtasts

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"waxwing/dns"
	"waxwing/internal/reason"
)

// Record is a parsed TXT record (RFC 8461 §3.1).
type Record struct {
	ID         string
	Extensions []Extension // unknown fields, in order
}

const recordVersion = "v=STSv1"

// ParseRecord takes the TXT records found at _mta-sts.<domain> (STS-1, STS-12). The
// words of its errors are NoRecord, MultipleRecords and RecordSyntax: the last two are
// for records that mean to be MTA-STS, so that their owner can be told; to RFC 8461
// §3.1 they are as good as none.
func ParseRecord(txts []string) (*Record, *Error) {
	var found, meant []string
	for _, t := range txts {
		switch {
		case isRecord(t):
			found = append(found, t)
		case meansRecord(t):
			meant = append(meant, t)
		}
	}
	switch {
	case len(found) > 1:
		return nil, &Error{Word: reason.STSMultipleRecords, Detail: fmt.Sprintf(`%d TXT records begin with "v=STSv1;", remove all but one`, len(found))}
	case len(found) == 0 && len(meant) > 0:
		return nil, &Error{Word: reason.STSRecordSyntax, Detail: fmt.Sprintf(`the record %q must begin with "v=STSv1;", in these letters`, clip(meant[0]))}
	case len(found) == 0:
		return nil, &Error{Word: reason.STSNoRecord, Detail: fmt.Sprintf(`none of %d TXT records begins with "v=STSv1;"`, len(txts))}
	}
	rec, err := parseRecord(found[0])
	if err != nil {
		return nil, &Error{Word: reason.STSRecordSyntax, Detail: err.Error(), Err: err}
	}
	return rec, nil
}

// isRecord: the version, and a delimiter or the end behind it. White space before the
// semicolon belongs to the delimiter (RFC 8461 §3.1, sts-field-delim).
func isRecord(txt string) bool {
	rest, ok := strings.CutPrefix(txt, recordVersion)
	rest = strings.TrimLeft(rest, " \t")
	return ok && (rest == "" || rest[0] == ';')
}

// meansRecord: written by somebody who wanted a record, and not as RFC 8461 has it.
// Of other versions nothing is known.
func meansRecord(txt string) bool {
	txt = strings.TrimLeft(txt, " \t\"'")
	n := len(recordVersion)
	return len(txt) >= n && strings.EqualFold(txt[:n], recordVersion) && (len(txt) == n || !strings.Contains(alphanumeric, txt[n:n+1]))
}

// parseRecord follows the grammar of RFC 8461 §3.1; of a repeated field the
// first counts (§3.2).
func parseRecord(txt string) (*Record, error) {
	rec := &Record{}
	fields := strings.Split(txt, ";")[1:]
	for i, f := range fields {
		f = strings.Trim(f, " \t")
		if f == "" && i == len(fields)-1 {
			break
		}
		key, value, ok := strings.Cut(f, "=")
		switch {
		case !ok:
			return nil, fmt.Errorf(`field %q is not of the form "name=value"`, clip(f))
		case key != "id":
			if !extensionName(key) || !recordValue(value) {
				return nil, fmt.Errorf("field %q has a character that RFC 8461 §3.1 does not allow", clip(f))
			}
			rec.Extensions = append(rec.Extensions, Extension{key, value})
		case rec.ID != "":
		case !recordID(value):
			return nil, fmt.Errorf("id %q is not 1 to 32 letters and digits", clip(value))
		default:
			rec.ID = value
		}
	}
	if rec.ID == "" {
		return nil, errors.New(`the required field "id" is missing`)
	}
	return rec, nil
}

func recordID(s string) bool {
	return len(s) >= 1 && len(s) <= 32 && strings.Trim(s, alphanumeric) == ""
}

const alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// extensionName is sts-ext-name, the same in record and policy.
func extensionName(s string) bool {
	return len(s) >= 1 && len(s) <= 32 && strings.Contains(alphanumeric, s[:1]) && strings.Trim(s, alphanumeric+"_-.") == ""
}

// recordValue is sts-ext-value of a record: no "=", ";", space or control.
func recordValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '=' || c == ';' {
			return false
		}
	}
	return s != ""
}

// LookupRecord looks up the record of domain. DNSTemporary comes to the words
// of ParseRecord: then nobody can say whether the domain has MTA-STS. The
// answer is valid unless the word is DNSTemporary; its TTL bounds how long the
// record may be believed (STS-8).
func LookupRecord(ctx context.Context, r dns.Resolver, domain dns.Name) (dns.Answer[string], *Record, *Error) {
	name, err := domain.Prefix("_mta-sts")
	if err != nil {
		return dns.Answer[string]{}, nil, &Error{Word: reason.STSNoRecord, Detail: "the domain's name is too long to have a record: " + err.Error(), Err: err}
	}
	answer, err := r.LookupTXT(ctx, name)
	if err != nil {
		return answer, nil, &Error{Word: reason.STSLookupFailed, Detail: clip(err.Error()), Err: err}
	}
	rec, perr := ParseRecord(answer.Records)
	return answer, rec, perr
}

// clip bounds text from outside that goes into a message for people.
func clip(s string) string {
	const most = 200
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(s, "�")
}
