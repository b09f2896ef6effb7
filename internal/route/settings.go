package route

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Settings is the transport in a few words, without its secrets.
func (t *Transport) Settings() string {
	var out []string
	add := func(what, value string) {
		if value != "" && value != "0" {
			out = append(out, what+value)
		}
	}
	if t.Relays() {
		out = append(out, fmt.Sprintf("%s:%d", t.Host, t.PortNumber()), "security "+t.Security.Minimum().String())
		if t.ImplicitTLS() {
			out = append(out, "TLS from the start")
		}
	}
	add("as ", t.User)
	add("by ", strings.Join(t.Mechanisms, ","))
	add("through ", t.Proxy)
	add("as ", t.ProxyUser)
	add("EHLO ", t.EHLO.ASCII())
	add("only ", string(t.Family))
	add("from ", addresses(t.Sources))
	add("public ", addresses(t.Public))
	add("", strconv.Itoa(t.Code))
	add("", t.Enhanced.String())
	add("", t.Text)
	return strings.Join(out, ", ")
}

func addresses(list []netip.Addr) string {
	var out []string
	for _, a := range list {
		out = append(out, a.String())
	}
	return strings.Join(out, " ")
}
