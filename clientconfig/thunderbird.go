package clientconfig

import (
	"bytes"
	"encoding/xml"
)

// Where Thunderbird and others who read its format ask (draft-ietf-mailmaint-autoconfig
// §4): below autoconfig.DOMAIN, and below the domain itself.
const (
	ThunderbirdPath = "/mail/config-v1.1.xml"
	WellKnownPath   = "/.well-known/autoconfig/mail/config-v1.1.xml"
)

// anyAddress is replaced by the program with the address that it was given.
const anyAddress = "%EMAILADDRESS%"

type clientConfig struct {
	XMLName  xml.Name `xml:"clientConfig"`
	Version  string   `xml:"version,attr"`
	Provider provider `xml:"emailProvider"`
}

type provider struct {
	ID        string         `xml:"id,attr"`
	Domain    string         `xml:"domain"`
	Name      string         `xml:"displayName"`
	ShortName string         `xml:"displayShortName"`
	Incoming  []configServer `xml:"incomingServer"`
	Outgoing  []configServer `xml:"outgoingServer"`
}

type configServer struct {
	Type           string `xml:"type,attr"`
	Host           string `xml:"hostname"`
	Port           uint16 `xml:"port"`
	Socket         string `xml:"socketType"`
	Authentication string `xml:"authentication"`
	User           string `xml:"username"`
}

// Thunderbird is the settings as Thunderbird's configuration file, version 1.1.
func Thunderbird(s Settings) []byte {
	list := func(p Protocol, kind string) (out []configServer) {
		for _, x := range s.Of(p) {
			socket := "STARTTLS"
			if x.TLS {
				socket = "SSL"
			}
			out = append(out, configServer{Type: kind, Host: x.Host, Port: x.Port, Socket: socket, Authentication: "password-cleartext", User: anyAddress})
		}
		return out
	}
	return document(clientConfig{Version: "1.1", Provider: provider{ID: s.Domain, Domain: s.Domain, Name: s.Domain, ShortName: s.Domain,
		Incoming: list(IMAP, "imap"), Outgoing: list(Submission, "smtp")}})
}

// document is a value as an XML document.
func document(v any) []byte {
	var b bytes.Buffer
	b.WriteString(xml.Header)
	e := xml.NewEncoder(&b)
	e.Indent("", "  ")
	if err := e.Encode(v); err != nil {
		panic(err) // of the types here none can fail
	}
	b.WriteByte('\n')
	return b.Bytes()
}
