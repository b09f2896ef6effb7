package clientconfig

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// AutodiscoverPath is where Outlook asks ([MS-OXDSCLI] §3.1.5), in whatever case.
const AutodiscoverPath = "/autodiscover/autodiscover.xml"

// The schemas of Autodiscover's documents ([MS-OXDSCLI] §2.2.1).
const (
	requestSchema  = "http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"
	responseSchema = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"
	outlookSchema  = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
)

// Bounds of a request.
const (
	MaxRequest = 8 << 10 // octets; Outlook's has 400
	maxDepth   = 8
	maxText    = 512 // octets of an address or a schema
)

// Request is what a program asks Autodiscover.
type Request struct {
	Address string // as it was given; not checked
	Schema  string // of the answer that is wanted
}

// Outlook reports that the answer is to be in the schema that is spoken here. Phones ask
// for that of ActiveSync.
func (r Request) Outlook() bool { return r.Schema == "" || r.Schema == outlookSchema }

// errRequest is what is wrong with a request that is none.
var errRequest = errors.New("not a request of Autodiscover")

// ParseRequest reads a request. It reads no more than MaxRequest octets, takes no document
// type (and so knows no entity but the five of XML), and nothing nested deeper than a request is.
func ParseRequest(r io.Reader) (Request, error) {
	limited := &io.LimitedReader{R: r, N: MaxRequest + 1}
	d := xml.NewDecoder(limited)
	d.CharsetReader = func(string, io.Reader) (io.Reader, error) { return nil, errRequest } // all of them write UTF-8
	q := &request{}
	for {
		t, err := d.RawToken()
		if limited.N <= 0 {
			return Request{}, fmt.Errorf("%w: it is larger than %d octets", errRequest, MaxRequest)
		}
		if errors.Is(err, io.EOF) {
			return q.end()
		}
		if err != nil {
			return Request{}, fmt.Errorf("%w: %v", errRequest, err)
		}
		if err := q.take(t); err != nil {
			return Request{}, err
		}
	}
}

// request is one that is being read.
type request struct {
	Request
	path  []string // of elements, without prefixes
	whole bool     // the outermost element has ended
}

func (q *request) end() (Request, error) {
	if !q.whole || q.Address == "" {
		return Request{}, fmt.Errorf("%w: it is not whole, or names no address", errRequest)
	}
	return q.Request, nil
}

func (q *request) take(t xml.Token) error {
	switch t := t.(type) {
	case xml.Directive:
		return fmt.Errorf("%w: it has a document type", errRequest)
	case xml.StartElement:
		if q.path = append(q.path, t.Name.Local); q.whole || len(q.path) > maxDepth {
			return fmt.Errorf("%w: elements stand where none can be", errRequest)
		}
	case xml.EndElement:
		if len(q.path) == 0 || q.path[len(q.path)-1] != t.Name.Local {
			return fmt.Errorf("%w: elements do not end as they begin", errRequest)
		}
		q.path = q.path[:len(q.path)-1]
		q.whole = len(q.path) == 0
	case xml.CharData:
		return q.text(strings.TrimSpace(string(t)))
	}
	return nil
}

// text is that of an element.
func (q *request) text(s string) error {
	var into *string
	switch strings.Join(q.path, "/") {
	case "Autodiscover/Request/EMailAddress":
		into = &q.Address
	case "Autodiscover/Request/AcceptableResponseSchema":
		into = &q.Schema
	default:
		return nil
	}
	if *into += s; len(*into) > maxText || !utf8.ValidString(s) {
		return fmt.Errorf("%w: an address or a schema of more than %d octets, or not of UTF-8", errRequest, maxText)
	}
	return nil
}

type autodiscover struct {
	XMLName  xml.Name `xml:"http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006 Autodiscover"`
	Response any
}

type response struct {
	XMLName xml.Name `xml:"http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a Response"`
	User    struct {
		DisplayName string
	}
	Account struct {
		AccountType string
		Action      string
		Protocol    []outlookServer
	}
}

type outlookServer struct {
	Type           string
	Server         string
	Port           uint16
	DomainRequired string
	LoginName      string
	SPA            string
	SSL            string
	Encryption     string
	AuthRequired   string
	UsePOPAuth     string `xml:",omitempty"`
	SMTPLast       string `xml:",omitempty"`
}

// Autodiscover is the answer to a request for an address of the domain.
func Autodiscover(s Settings, address string) []byte {
	var r response
	r.User.DisplayName = address
	r.Account.AccountType, r.Account.Action = "email", "settings"
	for _, kind := range []struct {
		p    Protocol
		name string
	}{{IMAP, "IMAP"}, {Submission, "SMTP"}} {
		all := s.Of(kind.p)
		if len(all) == 0 {
			continue
		}
		x := all[0] // Outlook takes one of each
		o := outlookServer{Type: kind.name, Server: x.Host, Port: x.Port, DomainRequired: "off", LoginName: address, SPA: "off", SSL: "on", Encryption: "TLS", AuthRequired: "on"}
		if x.TLS {
			o.Encryption = "SSL"
		}
		if kind.p == Submission {
			o.UsePOPAuth, o.SMTPLast = "on", "off" // the same name and password as for IMAP
		}
		r.Account.Protocol = append(r.Account.Protocol, o)
	}
	return document(autodiscover{Response: r})
}

// The codes with which Autodiscover refuses ([MS-OXDSCLI] §2.2.4.1.1.2.4).
const (
	ErrNoAddress    = 500 // there is no such address
	ErrRequest      = 600 // the request is none
	ErrNoSuchSchema = 601 // nobody here speaks the schema that is wanted
)

type failure struct {
	XMLName xml.Name `xml:"Response"`
	Error   failed
}

type failed struct {
	Time      string `xml:"Time,attr"`
	ID        string `xml:"Id,attr"`
	ErrorCode string
	Message   string
	DebugData string
}

// AutodiscoverError is the answer to a request that is refused.
func AutodiscoverError(code int, at time.Time) []byte {
	text := map[int]string{ErrNoAddress: "The email address cannot be found.", ErrRequest: "Invalid Request", ErrNoSuchSchema: "The provider is not available."}
	return document(autodiscover{Response: failure{Error: failed{Time: at.UTC().Format("15:04:05.0000000"), ID: "0", ErrorCode: strconv.Itoa(code), Message: text[code]}}})
}
