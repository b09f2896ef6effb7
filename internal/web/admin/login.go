package admin

import (
	"context"
	"net/http"

	"waxwing/internal/web/deeds"
	"waxwing/internal/web/pages"
	"waxwing/internal/web/signin"
	"waxwing/internal/websession"
)

// entrance is the way in to the admin pages: for accounts that may administer, and from elsewhere than the machine itself with a
// second factor alone.
func (h *Handler) entrance() *signin.Entrance {
	return &signin.Entrance{Sessions: h.Sessions, Logins: h.Logins, Factors: h.Factors, Site: &h.site, Now: h.Now, Log: h.Log, Scope: websession.Admin,
		Lead: "These pages are for those who run this server.", Base: Path, Home: Path, Within: []string{Path}, Cookie: "waxwing-admin", Plain: h.Plain, Host: h.Host,
		Strict: !h.Plain, NeedsFactor: "These pages ask for a second factor, and this account has none. Add one at /account/factors, then log in here again.", May: h.mayAdmin}
}

func (h *Handler) mayAdmin(ctx context.Context, account string) (refusal string, err error) {
	a, err := h.Rooms.Accounts.Access(ctx, account)
	if err != nil || a.Admin {
		return "", err
	}
	return "This account does not administer the server. Who may: waxwing account rules ACCOUNT --admin yes.", nil
}

// sessionsPage lists who has logged in, and ends what should not go on (WEB-3).
func (h *Handler) sessionsPage(r *http.Request) (pages.Page, error) {
	all, err := h.Sessions.List(r.Context(), "")
	if err != nil {
		return pages.Page{}, err
	}
	end := pages.Actions{Title: "End a session"}
	for _, x := range all {
		end.Forms = append(end.Forms, pages.Form{Method: "post", Action: Path + "sessions/revoke", Submit: x.ID.String() + " of " + x.Account, Danger: true,
			Command: deeds.Command("account sessions", x.Account, deeds.Flag("end", x.ID.String())),
			Fields:  []pages.Field{{Name: "id", Kind: "hidden", Value: x.ID.String()}, {Name: "account", Kind: "hidden", Value: x.Account}}})
	}
	return pages.Page{Title: "Sessions", Lead: "Who has logged in with a browser: to these pages, to their mail and to those of their account.", Command: "waxwing account sessions ACCOUNT", Blocks: []pages.Block{pages.TableOf(websession.Listing(), all, nil), end}}, nil
}
