package dmarcrpt

import (
	"bytes"
	"compress/gzip"
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
	Version      string    `json:"version,omitempty"`
	Org          string    `json:"org_name"`
	Email        string    `json:"email"`
	ExtraContact string    `json:"extra_contact_info,omitempty"`
	ID           string    `json:"report_id"`
	Begin        time.Time `json:"begin"`
	End          time.Time `json:"end"`
	Errors       []string  `json:"errors,omitempty"`
	Generator    string    `json:"generator,omitempty"`
	Policy       Policy    `json:"policy_published"`
	Records      []Record  `json:"records"`
	Notes        []string  `json:"notes,omitempty"` // what was passed over while reading
}

// Policy is policy_published: the record as the reporter saw it.
type Policy struct {
	Domain          string `json:"domain"`
	P               string `json:"p"` // none, quarantine, reject; "" where not given, as of SP and NP
	SP              string `json:"sp,omitempty"`
	NP              string `json:"np,omitempty"`
	ADKIM           string `json:"adkim,omitempty"` // r or s, as ASPF
	ASPF            string `json:"aspf,omitempty"`
	FO              string `json:"fo,omitempty"`
	Testing         string `json:"testing,omitempty"`          // y or n
	DiscoveryMethod string `json:"discovery_method,omitempty"` // psl or treewalk
	Percent         string `json:"pct,omitempty"`              // of RFC 7489
}

// Record is what was seen from one address for one combination of results.
type Record struct {
	SourceIP     netip.Addr   `json:"source_ip"`
	Count        int64        `json:"count,omitempty"`
	Disposition  string       `json:"disposition"` // none, pass, quarantine, reject
	DKIM         string       `json:"dkim"`        // of DMARC: pass or fail
	SPF          string       `json:"spf"`
	Reasons      []Reason     `json:"reasons,omitempty"`
	HeaderFrom   string       `json:"header_from"`
	EnvelopeFrom string       `json:"envelope_from"`
	EnvelopeTo   string       `json:"envelope_to,omitempty"`
	DKIMResults  []DKIMResult `json:"dkim_results,omitempty"`
	SPFResults   []SPFResult  `json:"spf_results,omitempty"` // at most one by RFC 9990; RFC 7489 has several
}

// Reason is why a policy was not followed (RFC 9990 §3.1.6).
type Reason struct {
	Type    string `json:"type"`
	Comment string `json:"comment,omitempty"`
}

// DKIMResult is the result of one signature.
type DKIMResult struct {
	Domain   string `json:"domain"`
	Selector string `json:"selector"`
	Result   string `json:"result"`
	Human    string `json:"human_result,omitempty"`
}

// SPFResult is the result of SPF.
type SPFResult struct {
	Domain string `json:"domain"`
	Scope  string `json:"scope,omitempty"`
	Result string `json:"result"`
	Human  string `json:"human_result,omitempty"`
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

// Pack is the report as it is written, and as it is sent: in gzip.
func (r *Report) Pack() (text, file []byte, err error) {
	var plain, packed bytes.Buffer
	if err := r.Write(&plain); err != nil {
		return nil, nil, err
	}
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(plain.Bytes()); err != nil {
		return nil, nil, err
	}
	if err := z.Close(); err != nil {
		return nil, nil, err
	}
	return plain.Bytes(), packed.Bytes(), nil
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

// Passed reports whether DMARC passed: either mechanism did for an aligned identifier.
func (r *Record) Passed() bool { return r.DKIM == "pass" || r.SPF == "pass" }

// Messages is the sum of all counts.
func (r *Report) Messages() (n int64) {
	for i := range r.Records {
		n += r.Records[i].Count
	}
	return n
}

// Totals are the messages for which DMARC passed, and the others.
func (r *Report) Totals() (passed, failed int64) {
	for i := range r.Records {
		if rec := &r.Records[i]; rec.Passed() {
			passed += rec.Count
		} else {
			failed += rec.Count
		}
	}
	return passed, failed
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
