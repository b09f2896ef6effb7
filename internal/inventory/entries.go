package inventory

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Domain is a hosted domain.
type Domain struct {
	Name          string `toml:"name" key:"yes" required:"yes" example:"example.org"`
	Disabled      bool   `toml:"disabled,omitempty"`
	DisabledMail  string `toml:"disabled_mail,omitempty"` // what becomes of mail while it is disabled: "refuse", "keep"; empty: it is put off
	Separators    string `toml:"separators,omitempty"`    // empty: "+"; "none": none
	CaseSensitive bool   `toml:"case_sensitive,omitempty"`
	Transport     string `toml:"transport,omitempty"` // of kind lmtp, to whoever keeps the mailboxes; empty: here
}

// Key is the name.
func (d Domain) Key() string { return d.Name }

// Needs nothing.
func (d Domain) Needs() []Ref { return nil }

// Complete has no secrets to add.
func (d Domain) Complete(Entry) (Entry, error) { return d, nil }

// Account is who may log in. Its limits are numbers or "none"; empty: as the configuration says.
type Account struct {
	Name         string   `toml:"name" key:"yes" required:"yes" example:"joe"`
	Disabled     bool     `toml:"disabled,omitempty"`
	DisabledMail string   `toml:"disabled_mail,omitempty"` // "refuse"; empty: it is kept
	Messages     string   `toml:"messages_per_day,omitempty"`
	Recipients   string   `toml:"recipients_per_day,omitempty"`
	Send         string   `toml:"send,omitempty"`                  // "hosted", "nothing"; empty: to anybody
	Admin        bool     `toml:"admin,omitempty"`                 // it may administer the server on pages
	AppOnly      bool     `toml:"app_passwords_only,omitempty"`    // its own password logs nobody in
	Networks     []string `toml:"networks,omitempty"`              // from which it logs in; empty: from all
	IMAPDisable  []string `toml:"imap_disable,omitempty"`          // extensions of IMAP that it is not offered
	Transport    string   `toml:"transport,omitempty"`             // as a domain's; empty: as the domain says, "local": here
	Trusted      []string `toml:"trusted_forwarders,omitempty"`    // mailing lists and forwarders, by domain
	Password     string   `toml:"password,omitempty" secret:"yes"` // argon2id, in PHC form
	SCRAM256     string   `toml:"scram_sha_256,omitempty" secret:"yes"`
	SCRAM1       string   `toml:"scram_sha_1,omitempty" secret:"yes"`
}

// Key is the name.
func (a Account) Key() string { return a.Name }

// Needs nothing.
func (a Account) Needs() []Ref { return nil }

// Complete keeps the password. An account that there is not yet has none.
func (a Account) Complete(now Entry) (Entry, error) {
	if old, ok := now.(Account); ok && a.Password == "" {
		a.Password, a.SCRAM256, a.SCRAM1 = old.Password, old.SCRAM256, old.SCRAM1
	}
	return a, nil
}

// Address leads to an account, or is refused.
type Address struct {
	Address string `toml:"address" key:"yes" required:"yes" example:"joe@example.org"`
	Account string `toml:"account,omitempty" example:"joe"`
	Mailbox string `toml:"mailbox,omitempty"` // empty: the inbox
	Refused bool   `toml:"refused,omitempty"` // its mail is refused, though there may be a catchall
}

// Key is the address.
func (a Address) Key() string { return a.Address }

// Needs are its domain and its account.
func (a Address) Needs() []Ref {
	all := []Ref{{"domain", domainOf(a.Address)}}
	if a.Account != "" {
		all = append(all, Ref{"account", a.Account})
	}
	return all
}

func domainOf(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

// Complete has no secrets to add.
func (a Address) Complete(Entry) (Entry, error) { return a, nil }

// Alias is an address whose mail goes to its members.
type Alias struct {
	Address      string   `toml:"address" key:"yes" required:"yes" example:"info@example.org"`
	Members      []string `toml:"members" required:"yes" example:"joe@example.org"`
	Posting      string   `toml:"posting,omitempty"` // "anyone" (empty), "members", "listed"
	Posters      []string `toml:"posters,omitempty"` // addresses, or @domain
	NoSenderCopy bool     `toml:"no_sender_copy,omitempty"`
}

// Key is the address.
func (a Alias) Key() string { return a.Address }

// Needs is its domain. Its members may be there or not.
func (a Alias) Needs() []Ref { return []Ref{{"domain", domainOf(a.Address)}} }

// Complete has no secrets to add.
func (a Alias) Complete(Entry) (Entry, error) { return a, nil }

// Policy is the MTA-STS policy that is served for a hosted domain.
type Policy struct {
	Domain string   `toml:"domain" key:"yes" required:"yes" example:"example.org"`
	Mode   string   `toml:"mode" required:"yes" example:"testing"`
	MaxAge string   `toml:"max_age" required:"yes" example:"7d"`
	MX     []string `toml:"mx,omitempty"`
}

// Key is the domain.
func (p Policy) Key() string { return p.Domain }

// Needs is its domain.
func (p Policy) Needs() []Ref { return []Ref{{"domain", p.Domain}} }

// Complete has no secrets to add.
func (p Policy) Complete(Entry) (Entry, error) { return p, nil }

// Key is a DKIM key. Record is its public half, as it is published; with a private half, it
// may be left out.
type Key struct {
	Domain     string   `toml:"domain" key:"yes" required:"yes" example:"example.org"`
	Selector   string   `toml:"selector" key:"yes" required:"yes" example:"2026-11-ed25519"`
	Services   []string `toml:"services,omitempty"`
	Retired    bool     `toml:"retired,omitempty"`
	SignAtOnce bool     `toml:"sign_at_once,omitempty"` // also before DNS shows the record
	Record     string   `toml:"record,omitempty"`
	PrivateKey string   `toml:"private_key,omitempty,multiline" secret:"yes"` // PKCS #8, PEM
}

// Key is the name of the record in DNS.
func (k Key) Key() string { return k.Selector + "._domainkey." + k.Domain }

// Needs nothing: a key may be there before its domain is hosted.
func (k Key) Needs() []Ref { return nil }

// Complete keeps the private half, which must be that of the record.
func (k Key) Complete(now Entry) (Entry, error) {
	old, there := now.(Key)
	switch {
	case k.PrivateKey != "":
	case there && (k.Record == "" && len(k.Services) == 0 || k.Record == old.Record && slices.Equal(k.Services, old.Services)):
		k.Record, k.PrivateKey, k.Services = old.Record, old.PrivateKey, old.Services
	case there:
		return k, errors.New("another key is stored under this selector, and the private half of this one is not in the file: export it with --keys, or make a key with another selector (\"waxwing dkim add\")")
	default:
		return k, errors.New("its private half is neither in the file nor stored: export it with --keys, or take it out of the file and make a key (\"waxwing dkim add\")")
	}
	return k, nil
}

// Transport is a way out (package route).
type Transport struct {
	Name          string   `toml:"name" key:"yes" required:"yes" example:"isp"`
	Kind          string   `toml:"kind" required:"yes" example:"submission"`
	EHLO          string   `toml:"ehlo,omitempty"`
	Family        string   `toml:"family,omitempty"`
	Sources       []string `toml:"sources,omitempty"`
	Host          string   `toml:"host,omitempty"`
	Port          int      `toml:"port,omitempty" max:"65535"`
	Implicit      bool     `toml:"implicit_tls,omitempty"`
	Security      string   `toml:"security,omitempty"`
	User          string   `toml:"user,omitempty"`
	Password      string   `toml:"password,omitempty" secret:"yes"`
	Mechanisms    []string `toml:"mechanisms,omitempty"`
	Proxy         string   `toml:"proxy,omitempty"`
	ProxyUser     string   `toml:"proxy_user,omitempty"`
	ProxyPassword string   `toml:"proxy_password,omitempty" secret:"yes"`
	Public        []string `toml:"public,omitempty"`
	Code          int      `toml:"code,omitempty"`
	Enhanced      string   `toml:"enhanced,omitempty"`
	Text          string   `toml:"text,omitempty"`
}

// Key is the name.
func (t Transport) Key() string { return t.Name }

// Needs nothing.
func (t Transport) Needs() []Ref { return nil }

// Complete keeps the passwords, as long as they go to whom they went. The operator who set
// them gave them to that host and user alone.
func (t Transport) Complete(now Entry) (Entry, error) {
	old, _ := now.(Transport)
	if t.User != "" && t.Password == "" {
		if old.Password == "" || t.Kind != old.Kind || t.Host != old.Host || t.Port != old.Port || t.User != old.User || t.Security != old.Security {
			return t, errWithout("password", "host, port, security and user")
		}
		t.Password = old.Password
	}
	if t.ProxyUser != "" && t.ProxyPassword == "" {
		if old.ProxyPassword == "" || t.Proxy != old.Proxy || t.ProxyUser != old.ProxyUser {
			return t, errWithout("proxy_password", "proxy and user")
		}
		t.ProxyPassword = old.ProxyPassword
	}
	return t, nil
}

func errWithout(field, of string) error {
	return fmt.Errorf("%s is not in the file, and none is stored for this %s: export it with --keys, or set the transport up first (\"waxwing transport add\", \"waxwing transport set\")", field, of)
}

// Route is a rule that says which transport takes a mail. Those of accounts are asked first,
// then those of domains, then those of the server, each in the order in which they stand.
type Route struct {
	Account   string `toml:"account,omitempty" key:"yes"`
	Domain    string `toml:"domain,omitempty" key:"yes"`
	To        string `toml:"to,omitempty" key:"yes"`
	From      string `toml:"from,omitempty" key:"yes"`
	Attempts  int    `toml:"attempts,omitempty" key:"yes" max:"1000"`
	Need      string `toml:"need,omitempty" key:"yes"`
	Transport string `toml:"transport" key:"yes" required:"yes" example:"isp"`
}

// Key is the whole rule: one that says something else is another.
func (r Route) Key() string {
	var words []string
	for _, f := range fieldsOf(r) {
		if f.text != "" {
			words = append(words, f.name+" "+f.text)
		}
	}
	return strings.Join(words, ", ")
}

// Needs are its transport and whose it is.
func (r Route) Needs() []Ref {
	var all []Ref
	if r.Transport != "direct" && r.Transport != "local" { // these are built in
		all = append(all, Ref{"transport", r.Transport})
	}
	if r.Account != "" {
		all = append(all, Ref{"account", r.Account})
	}
	if r.Domain != "" {
		all = append(all, Ref{"domain", r.Domain})
	}
	return all
}

// Complete has no secrets to add.
func (r Route) Complete(Entry) (Entry, error) { return r, nil }

// GlobalScript is a script of the operator's, which those of accounts may include.
type GlobalScript struct {
	Name   string `toml:"name" key:"yes" required:"yes" example:"common"`
	Script string `toml:"script,multiline" required:"yes" example:"keep;"`
}

// Key is the name.
func (g GlobalScript) Key() string { return g.Name }

// Needs nothing.
func (g GlobalScript) Needs() []Ref { return nil }

// Complete has no secrets to add.
func (g GlobalScript) Complete(Entry) (Entry, error) { return g, nil }

// Script is a Sieve script of an account's. Its owner may change it too.
type Script struct {
	Account string `toml:"account" key:"yes" required:"yes" example:"joe"`
	Name    string `toml:"name" key:"yes" required:"yes" example:"main"`
	Active  bool   `toml:"active,omitempty"`
	Script  string `toml:"script,multiline" required:"yes" example:"keep;"`
}

// Key is the account and the name.
func (c Script) Key() string { return c.Account + " " + c.Name }

// Needs nothing that a document must tell of: scripts go with their account.
func (c Script) Needs() []Ref { return nil }

// Complete has no secrets to add.
func (c Script) Complete(Entry) (Entry, error) { return c, nil }
