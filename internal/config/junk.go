package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"waxwing/dns"
)

// Junk is which mail goes into Junk (JNK-1).
type Junk struct {
	Filter       bool `toml:"filter" doc:"Weigh what is known of each message from another server, for each account, and put into Junk what comes to too much. What DMARC asks for is done in any case."`
	Points       int  `toml:"points" min:"1" max:"1000" doc:"Points from which a message goes into Junk; docs/junk-decisions.md shows what counts how much."`
	RejectPoints int  `toml:"reject_points" min:"0" max:"1000" doc:"Points from which a message is refused, if enough of them for Junk are not opinions about its text. 0: none is, but where a milter says so."`

	DNSBL  []DNSBL `toml:"dnsbl" doc:"One table for each DNS blocklist (RFC 5782) that is asked about the addresses of clients. Many ask for a contract, and many do not answer a resolver that asks for others too; see docs/operating/junk.md."`
	Rspamd Rspamd  `toml:"rspamd" doc:"An Rspamd that is asked about each message before it is taken. What it says is one more fact."`
}

// Rspamd is an Rspamd (JNK-3).
type Rspamd struct {
	URL       string        `toml:"url" example:"http://127.0.0.1:11334" doc:"Where it answers: an address, or \"unix:\" and the path of a socket. Its controller (port 11334) answers everything, its normal worker (11333) does not learn. Empty: none is asked."`
	Password  string        `toml:"password" secret:"true" doc:"The password of its controller. Over http it goes in the clear. Empty: none."`
	Timeout   time.Duration `toml:"timeout" min:"100ms" max:"60s" doc:"How long it may take for an answer."`
	OnFailure OnFailure     `toml:"on_failure" oneof:"accept junk defer" doc:"What becomes of a message when there is no answer: \"accept\" does without, \"junk\" has it put into Junk, \"defer\" lets its sender try again later."`
	Greylist  bool          `toml:"greylist" doc:"Have messages tried again for which Rspamd says \"greylist\" or \"soft reject\"."`
	Learn     bool          `toml:"learn" doc:"Pass on to it what \"waxwing junk train\" teaches. It has one classifier for all accounts."`
	MaxSize   Size          `toml:"max_size" doc:"It is not asked about messages that are larger."`
}

// OnFailure is what becomes of mail when a filter does not answer.
type OnFailure string

// The values of OnFailure.
const (
	AcceptOnFailure OnFailure = "accept"
	JunkOnFailure   OnFailure = "junk"
	DeferOnFailure  OnFailure = "defer"
	RejectOnFailure OnFailure = "reject" // of milters only
)

// DNSBL is a blocklist.
type DNSBL struct {
	Zone   dns.Name `toml:"zone" required:"true" example:"dnsbl.example.net" doc:"Domain under which the list has its answers."`
	Points int      `toml:"points" required:"true" min:"1" max:"1000" example:"4" doc:"Points for a client on the list. Two lists of half the points for Junk each do what one alone does not."`
}

// maxDNSBL is how many lists may be asked for each message.
const maxDNSBL = 10

func (c *Config) validateJunk(d *decoder) {
	if at := c.Junk.Rspamd.URL; at != "" && !strings.HasPrefix(at, "unix:/") {
		if u, err := url.Parse(at); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" {
			d.fault("junk.rspamd.url", "must be like \"http://127.0.0.1:11334\" or \"unix:/run/rspamd/controller.sock\"")
		}
	}
	if n := len(c.Junk.DNSBL); n > maxDNSBL {
		d.fault("junk.dnsbl", "%d lists, %d are allowed", n, maxDNSBL)
	}
	for i, l := range c.Junk.DNSBL {
		if slices.ContainsFunc(c.Junk.DNSBL[:i], func(o DNSBL) bool { return o.Zone == l.Zone }) {
			d.fault(fmt.Sprintf("junk.dnsbl[%d].zone", i), "%s is listed twice", l.Zone)
		}
	}
}
