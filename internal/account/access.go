package account

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"waxwing/internal/foreign"
	"waxwing/internal/reason"
	"waxwing/internal/text"
)

// Proof is what somebody who logs in has proven.
type Proof string

// The proofs.
const (
	ByPassword    Proof = "password"     // that they know the account's own
	ByApp         Proof = "app-password" // that they know one of its app passwords
	ByCertificate Proof = "certificate"  // that they have the key of a certificate that stands for it
	ByKey         Proof = "api-key"      // that they know one of its API keys
)

// Proven is somebody who has proven something and wants to log in.
type Proven struct {
	By       Proof
	App      AppPassword // with ByApp
	Protocol Protocol    // with ByApp
	From     netip.Addr
	At       time.Time
}

// Access is what an account may do (ACC-3). The zero value allows all.
type Access struct {
	AppOnly  bool           `json:"app_passwords_only"` // its own password logs nobody in
	Networks []netip.Prefix `json:"networks"`           // from which it logs in, masked; empty: from all
	Send     Sending        `json:"send"`
	Admin    bool           `json:"admin"` // it may administer the server on pages
	// SecondFactor is that people log in to pages with more than the password, which then lets no program in.
	// It is set where factors are kept, and not with the others.
	SecondFactor bool `json:"second_factor"`
	// IMAPDisable are extensions of IMAP that it is not offered (IMP-2), as ParseExtensions has them.
	IMAPDisable []string `json:"imap_disable"`
}

// Sending is to whom an account may send.
type Sending string

// The values of Sending.
const (
	SendAnywhere Sending = ""
	SendHosted   Sending = "hosted" // to hosted domains alone
	SendNothing  Sending = "nothing"
)

// LogIn says why somebody may not log in; "" is that they may. It is for those who have proven who
// they are: nobody else learns the reason.
func (a Access) LogIn(p Proven) reason.Word {
	switch {
	case p.By == ByApp && !p.App.Expires.IsZero() && !p.At.Before(p.App.Expires):
		return reason.AppPasswordExpired
	case p.By == ByApp && !slices.Contains(p.App.Protocols, p.Protocol):
		return reason.AppPasswordProtocol
	case p.By == ByPassword && a.NeedsApp(p.Protocol):
		return reason.AppPasswordNeeded
	case len(a.Networks) > 0 && !slices.ContainsFunc(a.Networks, func(n netip.Prefix) bool { return n.Contains(p.From.Unmap()) }):
		return reason.LoginNetwork
	}
	return ""
}

// NeedsApp reports that programs which speak p need an app password: whoever knows the account's own, and not its second
// factor, must not get in by another door.
func (a Access) NeedsApp(p Protocol) bool { return p != Web && (a.AppOnly || a.SecondFactor) }

// MaySend says why an account may not send to a recipient; "" is that it may.
func (a Access) MaySend(hosted bool) reason.Word {
	switch {
	case a.Send == SendNothing:
		return reason.AccountSendsNothing
	case a.Send == SendHosted && !hosted:
		return reason.AccountSendsHosted
	}
	return ""
}

// maxNetworks bounds those of an account.
const maxNetworks = 100

// ParseNetworks reads networks and addresses with commas or spaces between; none is all.
func ParseNetworks(s string) (out []netip.Prefix, err error) {
	words := strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
	if len(words) > maxNetworks {
		return nil, fmt.Errorf("an account has up to %d networks", maxNetworks)
	}
	for _, w := range words {
		p, err := netip.ParsePrefix(w)
		if a, aerr := netip.ParseAddr(w); aerr == nil && a.Zone() == "" {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil || p.Addr().Is4In6() {
			return nil, fmt.Errorf("%q is neither a network such as 192.0.2.0/24 nor an address", foreign.Clip(w, 100))
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// JoinNetworks is the inverse.
func JoinNetworks(all []netip.Prefix) string {
	words := make([]string, len(all))
	for i, p := range all {
		words[i] = p.String()
	}
	return strings.Join(words, " ")
}

// maxExtensions bounds those that an account is not offered.
const maxExtensions = 100

// ParseExtensions reads names of IMAP's extensions with commas or spaces between, as CAPABILITY
// announces them. They come in capitals and in order, each once.
func ParseExtensions(s string) ([]string, error) {
	words := strings.FieldsFunc(strings.ToUpper(s), func(r rune) bool { return r == ',' || r == ' ' })
	slices.Sort(words)
	if words = slices.Compact(words); len(words) > maxExtensions {
		return nil, fmt.Errorf("an account has up to %d extensions switched off", maxExtensions)
	}
	for _, w := range words {
		if len(w) > maxName || strings.ContainsFunc(w, func(r rune) bool {
			return (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("=+-&", r)
		}) {
			return nil, fmt.Errorf("%q is no extension of IMAP: CAPABILITY names them", foreign.Clip(w, 100))
		}
	}
	return words, nil
}

// ParseSending reads to whom an account may send, as it is typed.
func ParseSending(s string) (Sending, error) {
	switch v := Sending(s); v {
	case "anywhere":
		return SendAnywhere, nil
	case SendAnywhere, SendHosted, SendNothing:
		return v, nil
	}
	return "", fmt.Errorf("to whom an account sends is %q: it is anywhere, hosted or nothing", foreign.Clip(s, 100))
}

// NamedAccess is the rules of an account.
type NamedAccess struct {
	Account string `json:"account"`
	Access
}

// AccessListing is how they are listed for people.
func AccessListing() text.List[NamedAccess] {
	return text.List[NamedAccess]{Columns: text.Columns("ACCOUNT|SENDS TO|OWN PASSWORD|FROM|ADMIN|IMAP WITHOUT"), Cells: func(a *NamedAccess) []any {
		return []any{a.Account, cmp.Or(string(a.Send), "anywhere"), map[bool]string{false: "logs in", true: "does not log in"}[a.AppOnly], cmp.Or(JoinNetworks(a.Networks), "anywhere"), map[bool]string{false: "no", true: "yes"}[a.Admin], strings.Join(a.IMAPDisable, " ")}
	}}
}
