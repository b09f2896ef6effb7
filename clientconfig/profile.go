package clientconfig

import (
	"bytes"
	"crypto/sha256"
	"encoding/xml"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Where Apple's profile is to be had below Settings.Base, with the address in a parameter,
// and its media type.
const (
	ProfilePath      = "/mail.mobileconfig"
	AddressParameter = "emailaddress"
	ProfileType      = "application/x-apple-aspen-config"
)

// ProfileURL is where the profile for an address is to be had; "" where nowhere.
func ProfileURL(s Settings, address string) string {
	if s.Base == "" {
		return ""
	}
	return s.Base + ProfilePath + "?" + url.Values{AddressParameter: {address}}.Encode()
}

// pair is a key of a property list with its value: a string, an int, a bool, a []pair
// (a dictionary) or a [][]pair (a list of them).
type pair struct {
	key   string
	value any
}

// Profile is the settings as a configuration profile of Apple's (com.apple.mail.managed), for
// one address. The device asks for the password. The same address gives the same identifiers,
// so that a later profile replaces an earlier one. Without servers there is none.
func Profile(s Settings, address string) []byte {
	in, out := s.Of(IMAP), s.Of(Submission)
	if len(in) == 0 || len(out) == 0 {
		return nil
	}
	id := reversed(s.Host) + ".mail." + fmt.Sprintf("%x", sha256.Sum256([]byte(address)))[:16]
	mail := []pair{
		{"PayloadType", "com.apple.mail.managed"}, {"PayloadVersion", 1}, {"PayloadIdentifier", id + ".account"}, {"PayloadUUID", uuid(id + ".account")},
		{"PayloadDisplayName", "Mail of " + address},
		{"EmailAccountDescription", s.Domain}, {"EmailAccountType", "EmailTypeIMAP"}, {"EmailAddress", address},
		{"IncomingMailServerAuthentication", "EmailAuthPassword"}, {"IncomingMailServerHostName", in[0].Host}, {"IncomingMailServerPortNumber", int(in[0].Port)},
		{"IncomingMailServerUseSSL", true}, {"IncomingMailServerUsername", address},
		{"OutgoingMailServerAuthentication", "EmailAuthPassword"}, {"OutgoingMailServerHostName", out[0].Host}, {"OutgoingMailServerPortNumber", int(out[0].Port)},
		{"OutgoingMailServerUseSSL", true}, {"OutgoingMailServerUsername", address}, {"OutgoingPasswordSameAsIncomingPassword", true},
	}
	whole := []pair{
		{"PayloadType", "Configuration"}, {"PayloadVersion", 1}, {"PayloadIdentifier", id}, {"PayloadUUID", uuid(id)},
		{"PayloadDisplayName", "Mail of " + address}, {"PayloadDescription", "Sets up mail of " + address + " at " + s.Host + "."},
		{"PayloadOrganization", s.Domain}, {"PayloadRemovalDisallowed", false}, {"PayloadContent", [][]pair{mail}},
	}
	var b bytes.Buffer
	b.WriteString(xml.Header)
	b.WriteString(`<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">` + "\n<plist version=\"1.0\">\n")
	dictionary(&b, whole)
	b.WriteString("</plist>\n")
	return b.Bytes()
}

func dictionary(b *bytes.Buffer, all []pair) {
	b.WriteString("<dict>\n")
	for _, p := range all {
		b.WriteString("<key>" + p.key + "</key>")
		switch v := p.value.(type) {
		case string:
			b.WriteString("<string>")
			xml.EscapeText(b, []byte(v)) // into a buffer, which never fails
			b.WriteString("</string>\n")
		case int:
			b.WriteString("<integer>" + strconv.Itoa(v) + "</integer>\n")
		case bool:
			b.WriteString("<" + strconv.FormatBool(v) + "/>\n")
		case [][]pair:
			b.WriteString("<array>\n")
			for _, d := range v {
				dictionary(b, d)
			}
			b.WriteString("</array>\n")
		}
	}
	b.WriteString("</dict>\n")
}

// reversed is a name with its labels in the order of identifiers: org.example.mx.
func reversed(host string) string {
	labels := strings.Split(host, ".")
	for i, j := 0, len(labels)-1; i < j; i, j = i+1, j-1 {
		labels[i], labels[j] = labels[j], labels[i]
	}
	return strings.Join(labels, ".")
}

// uuid is a UUID made of a name (RFC 9562 §5.8: of SHA-256, version 8).
func uuid(name string) string {
	h := sha256.Sum256([]byte(name))
	h[6], h[8] = h[6]&0x0f|0x80, h[8]&0x3f|0x80
	return strings.ToUpper(fmt.Sprintf("%x-%x-%x-%x-%x", h[0:4], h[4:6], h[6:8], h[8:10], h[10:16]))
}
