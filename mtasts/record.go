package mtasts

import (
	"context"

	"waxwing/dns"
)

// Record is a parsed TXT record (RFC 8461 §3.1).
type Record struct {
	ID         string
	Extensions []Extension
}

// ParseRecord takes the TXT records found at _mta-sts.<domain> (STS-1). The
// words of its errors are NoRecord, MultipleRecords and RecordSyntax.
func ParseRecord(txts []string) (*Record, *Error) { return nil, &Error{Word: NoRecord} }

// LookupRecord looks up the record of domain; DNSTemporary comes to the words of ParseRecord.
func LookupRecord(ctx context.Context, r dns.Resolver, domain dns.Name) (dns.Answer[string], *Record, *Error) {
	return dns.Answer[string]{}, nil, &Error{Word: NoRecord}
}
