package account

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"waxwing/clientconfig"
	"waxwing/dns"
	nouns "waxwing/internal/account"
	"waxwing/internal/listing"
	"waxwing/internal/login"
	"waxwing/internal/text"
	"waxwing/internal/web/pages"
	"waxwing/internal/websession"
	"waxwing/smtp"
)

// place is one page.
type place struct {
	group, name string
	path        string // whole
	show        func(h *Handler, a *asked) (pages.Page, error)
}

func (p place) pattern() string {
	if strings.HasSuffix(p.path, "/") {
		return p.path + "{$}"
	}
	return p.path
}

// The groups of pages.
const (
	mail     = "Mail"
	security = "Security"
)

func places() []place {
	return []place{
		{"", "Overview", Path, overview},
		{mail, "Rules and vacation", Path + "rules", rulesPage},
		{mail, "Addresses", Path + "addresses", addressesPage},
		{mail, "Storage", Path + "storage", storagePage},
		{mail, "Import and export", Path + "transfer", transferPage},
		{mail, "Set up a mail program", Path + "setup", setupPage},
		{security, "Password", Path + "password", passwordPage},
		{security, "Second factors", Path + "factors", factorsPage},
		{security, "App passwords", Path + "app-passwords", appPasswordsPage},
		{security, "Sessions", Path + "sessions", sessionsPage},
		{security, "Log of logins", Path + "logins", loginsPage},
	}
}

// acts are what forms do, by the path below Path that they are sent to.
func acts() map[string]func(*Handler, *asked) (act, error) {
	return map[string]func(*Handler, *asked) (act, error){
		"password":             changePassword,
		"app-passwords/add":    addAppPassword,
		"app-passwords/remove": removeAppPassword,
		"factors/app":          addApp,
		"factors/passkey":      addPasskey,
		"factors/remove":       removeFactor,
		"factors/codes":        newCodes,
		"sessions/end":         endSession,
		"sessions/end-others":  endOthers,
		"rules/" + addRule:     rulesAct(addRule),
		"rules/" + dropRule:    rulesAct(dropRule),
		"rules/" + raiseRule:   rulesAct(raiseRule),
		"rules/" + setForward:  rulesAct(setForward),
		"rules/" + setAnswer:   rulesAct(setAnswer),
	}
}

// groups are the pages as they stand in their list.
func groups() (out []pages.Group) {
	for _, p := range places() {
		if len(out) == 0 || out[len(out)-1].Name != p.group {
			out = append(out, pages.Group{Name: p.group})
		}
		g := &out[len(out)-1]
		g.Places = append(g.Places, pages.Place{Name: p.name, Path: p.path})
	}
	return out
}

// overview says what there is, and what should be done.
func overview(h *Handler, a *asked) (pages.Page, error) {
	ctx, who := a.Context(), a.who()
	use, err := h.Rooms.Boxes.Usage(ctx, who)
	all, err2 := h.Rooms.Factors.List(ctx, who)
	left, err3 := h.Rooms.Factors.CodesLeft(ctx, who)
	open, err4 := h.Sessions.List(ctx, who)
	apps, err5 := h.Rooms.Accounts.AppPasswords(ctx, who)
	own, err6 := h.addresses(a)
	if err := errors.Join(err, err2, err3, err4, err5, err6); err != nil {
		return pages.Page{}, err
	}
	p := pages.Page{Title: "Your account", Command: waxwing("account list")}
	if use.Over() {
		p.Blocks = append(p.Blocks, pages.Notice{Tone: pages.Bad, What: "Your mailboxes are full: no more mail is taken for you.", Cure: "Remove messages that you do not need.", Link: Path + "storage"})
	}
	switch {
	case len(all) == 0:
		p.Blocks = append(p.Blocks, pages.Notice{What: "Whoever learns your password can read your mail.", Cure: "A second factor keeps them out.", Link: Path + "factors"})
	case left < 3:
		p.Blocks = append(p.Blocks, pages.Notice{Tone: pages.Waits, What: text.Count(left, "recovery code") + " left.", Cure: "Make new ones, before you need them.", Link: Path + "factors"})
	}
	stored := text.Octets(use.Octets) + " octets"
	if use.Max.Octets > 0 {
		stored = fmt.Sprintf("%d %%", use.Octets*100/use.Max.Octets)
	}
	p.Blocks = append(p.Blocks, pages.Figures{Items: []pages.Figure{
		{Name: "messages", Value: fmt.Sprint(use.Messages), Link: Path + "storage"},
		{Name: "of your storage", Value: stored, Link: Path + "storage"},
		{Name: "app passwords", Value: fmt.Sprint(len(apps)), Link: Path + "app-passwords"},
		{Name: "open sessions", Value: fmt.Sprint(len(open)), Link: Path + "sessions"},
	}})
	facts := pages.Facts{Title: "Who you are here", Items: []pages.Fact{{Name: "account", Cell: pages.Cell{Text: who}}, {Name: "this session began", Cell: pages.Cell{When: a.x.Created}}}}
	for _, o := range own {
		facts.Items = append(facts.Items, pages.Fact{Name: "address", Cell: pages.Cell{Text: o.Address}})
	}
	p.Blocks = append(p.Blocks, facts)
	return p, nil
}

// addresses are the account's own.
func (h *Handler) addresses(a *asked) ([]nouns.Address, error) {
	all, err := h.Rooms.Accounts.Addresses(a.Context())
	return slices.DeleteFunc(all, func(x nouns.Address) bool { return x.Account != a.who() }), err
}

func addressesPage(h *Handler, a *asked) (pages.Page, error) {
	own, err := h.addresses(a)
	all, err2 := h.Rooms.Accounts.Aliases(a.Context())
	if err := errors.Join(err, err2); err != nil {
		return pages.Page{}, err
	}
	mine := map[string]bool{}
	for _, o := range own {
		mine[o.Address] = true
	}
	// The other members are not this account's business.
	var in []nouns.Alias
	for _, al := range all {
		if slices.ContainsFunc(al.Members, func(m string) bool { return mine[m] || m == a.who() }) {
			in = append(in, nouns.Alias{Address: al.Address, Posting: al.Posting, SenderCopy: al.SenderCopy})
		}
	}
	addresses := pages.TableOf(nouns.AddressListing(), own, nil)
	addresses.Title, addresses.None = "Yours alone", "You have none: no mail reaches you."
	aliases := pages.Table{Title: "Shared with others", None: "None leads to you.", Heads: []pages.Head{{Text: "ALIAS"}, {Text: "WHO MAY WRITE"}}}
	for _, al := range in {
		aliases.Rows = append(aliases.Rows, []pages.Cell{{Text: al.Address}, {Text: string(al.Posting)}})
	}
	return pages.Page{Title: "Addresses", Lead: "By which mail reaches you. The operator of this server gives them out.", Command: "waxwing address list", Blocks: []pages.Block{addresses, aliases}}, nil
}

func storagePage(h *Handler, a *asked) (pages.Page, error) {
	boxes, err := listing.Folders(a.Context(), h.Rooms.Boxes, a.who())
	use, err2 := h.Rooms.Boxes.Usage(a.Context(), a.who())
	if err := errors.Join(err, err2); err != nil {
		return pages.Page{}, err
	}
	keep := slices.DeleteFunc([]string{some(use.Max.Octets, "octets"), some(use.Max.Messages, "messages")}, func(s string) bool { return s == "" })
	facts := pages.Facts{Title: "Altogether", Items: []pages.Fact{
		{Name: "stored", Cell: pages.Cell{Text: text.Octets(use.Octets) + " octets in " + text.Count(int(use.Messages), "message"), Tone: map[bool]pages.Tone{true: pages.Bad}[use.Over()]}},
		{Name: "you may keep", Cell: pages.Cell{Text: cmp.Or(strings.Join(keep, ", "), "as much as you like")}},
	}}
	return pages.Page{Title: "Storage", Command: waxwing("mail folders", a.who()), Blocks: []pages.Block{facts, pages.TableOf(listing.FolderListing(), boxes, nil)}}, nil
}

// some is so much of something; "" for none.
func some(n int64, of string) string {
	if n == 0 {
		return ""
	}
	return text.Octets(n) + " " + of
}

func sessionsPage(h *Handler, a *asked) (pages.Page, error) {
	all, err := h.Sessions.List(a.Context(), a.who())
	if err != nil {
		return pages.Page{}, err
	}
	end := pages.Actions{Title: "End a session"}
	for _, x := range all {
		if x.ID == a.x.ID {
			continue // that is what the button above is for
		}
		end.Forms = append(end.Forms, pages.Form{Method: "post", Action: Path + "sessions/end", Submit: cmp.Or(x.Remote, "?") + ", " + x.ID.String(), Danger: true,
			Fields: []pages.Field{{Name: "id", Kind: "hidden", Value: x.ID.String()}}})
	}
	p := pages.Page{Title: "Sessions", Lead: "Browsers that are logged in to your account. Yours is " + a.x.ID.String() + ".", Command: waxwing("account sessions", a.who()),
		Blocks: []pages.Block{pages.TableOf(websession.Listing(), all, nil)}}
	if len(end.Forms) > 0 {
		end.Forms = append(end.Forms, pages.Form{Method: "post", Action: Path + "sessions/end-others", Submit: "All but this one", Danger: true})
		p.Blocks = append(p.Blocks, end)
	}
	return p, nil
}

func loginsPage(h *Handler, a *asked) (pages.Page, error) {
	all, err := h.Rooms.Journal.Entries(a.Context(), a.who())
	if err != nil {
		return pages.Page{}, err
	}
	t := pages.TableOf(login.Listing(), all, nil)
	t.None = "Nobody has."
	return pages.Page{Title: "Log of logins", Lead: "Who logged in to your account, and who tried. What is alike within an hour is one line.", Command: waxwing("account logins", a.who()), Blocks: []pages.Block{t}}, nil
}

// setupPage says what a mail program is told (CLI-1), for each address.
func setupPage(h *Handler, a *asked) (pages.Page, error) {
	own, err := h.addresses(a)
	if err != nil {
		return pages.Page{}, err
	}
	p := pages.Page{Title: "Set up a mail program", Lead: "Most programs find all of this by themselves, by your address. The password is best one of its own.", Command: waxwing("account client-setup")}
	for _, o := range own {
		who, domain, ok := parseAddress(o.Address)
		if !ok {
			continue // such as a catchall: nobody logs in with it
		}
		s, hosted, err := h.Rooms.Settings(a.Context(), domain)
		if err != nil {
			return pages.Page{}, err
		}
		if !hosted {
			continue
		}
		t := pages.Table{Title: who, None: "No program can read or send mail of this address here.", Heads: []pages.Head{{Text: "FOR"}, {Text: "SERVER"}, {Text: "PORT"}, {Text: "SECURITY"}, {Text: "USER NAME"}}}
		for _, x := range s.Servers {
			t.Rows = append(t.Rows, []pages.Cell{{Text: clientconfig.Use(x.Protocol)}, {Text: x.Host}, {Text: fmt.Sprint(x.Port)}, {Text: x.Security()}, {Text: who}})
		}
		p.Blocks = append(p.Blocks, t)
		if url := profile(s, who); url != "" {
			p.Blocks = append(p.Blocks, pages.QR{Title: "iPhone and iPad", Of: url, Says: "A code with the address of the profile for " + who},
				pages.Prose{Body: "Point the camera at the code, or on the device itself:", Link: url, Says: "open the profile"})
		}
	}
	p.Blocks = append(p.Blocks, pages.Prose{Body: "A password for the program alone:", Link: Path + "app-passwords", Says: "make an app password"})
	return p, nil
}

func profile(s clientconfig.Settings, who string) string {
	if !s.Complete() {
		return ""
	}
	return clientconfig.ProfileURL(s, who)
}

func parseAddress(s string) (string, dns.Name, bool) {
	at, err := smtp.ParseAddress(s, true)
	if err != nil || at.Local == "*" {
		return "", dns.Name{}, false
	}
	domain, err := dns.ParseName(at.Domain)
	return smtp.Address{Local: at.Local, Domain: domain.ASCII()}.String(), domain, err == nil
}
