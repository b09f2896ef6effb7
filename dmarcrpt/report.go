package dmarcrpt

import (
	"encoding/xml"
	"io"
	"net/netip"
	"strconv"
	"time"
)

// Namespace is that of RFC 9990 §6.1.
const Namespace = "urn:ietf:params:xml:ns:dmarc-2.0"

// Report is one aggregate report (RFC 9990 §3.1.1). Texts are as received,
// without control characters, cut at 1,000 octets.
type Report struct {
	Version      string
	Org          string // org_name
	Email        string
	ExtraContact string
	ID           string // report_id
	Begin, End   time.Time
	Errors       []string
	Generator    string
	Policy       Policy
	Records      []Record
	Notes        []string // what was passed over while reading
}

// Policy is policy_published: the record as the reporter saw it.
type Policy struct {
	Domain          string
	P, SP, NP       string // none, quarantine, reject; "" where not given
	ADKIM, ASPF     string // r or s
	FO              string
	Testing         string // y or n
	DiscoveryMethod string // psl or treewalk
	Percent         string // pct of RFC 7489
}

// Record is what was seen from one address for one combination of results.
type Record struct {
	SourceIP    netip.Addr
	Count       int64
	Disposition string // none, pass, quarantine, reject
	DKIM, SPF   string // of DMARC: pass or fail
	Reasons     []Reason

	HeaderFrom, EnvelopeFrom, EnvelopeTo string

	DKIMResults []DKIMResult
	SPFResults  []SPFResult // at most one by RFC 9990; RFC 7489 has several
}

// Reason is why a policy was not followed (RFC 9990 §3.1.6).
type Reason struct {
	Type    string
	Comment string
}

// DKIMResult is the result of one signature.
type DKIMResult struct {
	Domain, Selector, Result, Human string
}

// SPFResult is the result of SPF.
type SPFResult struct {
	Domain, Scope, Result, Human string
}

// The elements in the order of RFC 9990 §3.1.1 and its schema.
type (
	xmlFeedback struct {
		XMLName  xml.Name    `xml:"urn:ietf:params:xml:ns:dmarc-2.0 feedback"`
		Version  string      `xml:"version"`
		Metadata xmlMetadata `xml:"report_metadata"`
		Policy   xmlPolicy   `xml:"policy_published"`
		Records  []xmlRecord `xml:"record"`
	}
	xmlMetadata struct {
		Org          string   `xml:"org_name"`
		Email        string   `xml:"email"`
		ExtraContact string   `xml:"extra_contact_info,omitempty"`
		ID           string   `xml:"report_id"`
		Begin        int64    `xml:"date_range>begin"`
		End          int64    `xml:"date_range>end"`
		Errors       []string `xml:"error,omitempty"`
		Generator    string   `xml:"generator,omitempty"`
	}
	xmlPolicy struct {
		Domain    string `xml:"domain"`
		Discovery string `xml:"discovery_method,omitempty"`
		P         string `xml:"p"`
		SP        string `xml:"sp,omitempty"`
		NP        string `xml:"np,omitempty"`
		FO        string `xml:"fo,omitempty"`
		ADKIM     string `xml:"adkim,omitempty"`
		ASPF      string `xml:"aspf,omitempty"`
		Testing   string `xml:"testing,omitempty"`
	}
	xmlRecord struct {
		SourceIP     string      `xml:"row>source_ip"`
		Count        int64       `xml:"row>count"`
		Disposition  string      `xml:"row>policy_evaluated>disposition"`
		DKIM         string      `xml:"row>policy_evaluated>dkim"`
		SPF          string      `xml:"row>policy_evaluated>spf"`
		Reasons      []xmlReason `xml:"row>policy_evaluated>reason"`
		HeaderFrom   string      `xml:"identifiers>header_from"`
		EnvelopeFrom string      `xml:"identifiers>envelope_from"`
		EnvelopeTo   string      `xml:"identifiers>envelope_to,omitempty"`
		DKIMResults  []xmlDKIM   `xml:"auth_results>dkim"`
		SPFResults   []xmlSPF    `xml:"auth_results>spf"`
	}
	xmlReason struct {
		Type    string `xml:"type"`
		Comment string `xml:"comment,omitempty"`
	}
	xmlDKIM struct {
		Domain   string `xml:"domain"`
		Selector string `xml:"selector"`
		Result   string `xml:"result"`
		Human    string `xml:"human_result,omitempty"`
	}
	xmlSPF struct {
		Domain string `xml:"domain"`
		Scope  string `xml:"scope,omitempty"`
		Result string `xml:"result"`
		Human  string `xml:"human_result,omitempty"`
	}
)

// Write writes a report as RFC 9990 has it. What the RFC does not know (pct,
// notes) is left out.
func (r *Report) Write(w io.Writer) error {
	f := xmlFeedback{
		Version: "1.0",
		Metadata: xmlMetadata{Org: r.Org, Email: r.Email, ExtraContact: r.ExtraContact, ID: r.ID, Begin: r.Begin.Unix(), End: r.End.Unix(),
			Errors: r.Errors, Generator: r.Generator},
		Policy: xmlPolicy{Domain: r.Policy.Domain, Discovery: r.Policy.DiscoveryMethod, P: r.Policy.P, SP: r.Policy.SP, NP: r.Policy.NP,
			FO: r.Policy.FO, ADKIM: r.Policy.ADKIM, ASPF: r.Policy.ASPF, Testing: r.Policy.Testing},
	}
	for i := range r.Records {
		f.Records = append(f.Records, recordXML(&r.Records[i]))
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", " ")
	if err := e.Encode(&f); err != nil {
		return err
	}
	return e.Close()
}

func recordXML(rec *Record) xmlRecord {
	x := xmlRecord{SourceIP: rec.SourceIP.String(), Count: rec.Count, Disposition: rec.Disposition, DKIM: rec.DKIM, SPF: rec.SPF,
		HeaderFrom: rec.HeaderFrom, EnvelopeFrom: rec.EnvelopeFrom, EnvelopeTo: rec.EnvelopeTo}
	for _, v := range rec.Reasons {
		x.Reasons = append(x.Reasons, xmlReason(v))
	}
	for _, v := range rec.DKIMResults {
		x.DKIMResults = append(x.DKIMResults, xmlDKIM(v))
	}
	for _, v := range rec.SPFResults {
		x.SPFResults = append(x.SPFResults, xmlSPF(v))
	}
	return x
}

// Messages is the sum of all counts.
func (r *Report) Messages() (n int64) {
	for i := range r.Records {
		n += r.Records[i].Count
	}
	return n
}

// Filename is the name of a report's file (RFC 9990 §3.5.2); unique may be "".
func (r *Report) Filename(receiver, unique string) string {
	s := receiver + "!" + r.Policy.Domain + "!" + strconv.FormatInt(r.Begin.Unix(), 10) + "!" + strconv.FormatInt(r.End.Unix(), 10)
	if unique != "" {
		s += "!" + unique
	}
	return s + ".xml.gz"
}

// Subject is the subject of a report's mail (RFC 9990 §3.5.2).
func (r *Report) Subject(receiver string) string {
	return "Report Domain: " + r.Policy.Domain + " Submitter: " + receiver + " Report-ID: <" + r.ID + ">"
}
