package deeds

import (
	"context"
	"errors"
	"net/url"
	"testing"

	"waxwing/internal/web/pages"
)

// ADM-1: a deed's form names its command, and what cannot be undone is done only where the box is ticked.
func TestDeed(t *testing.T) {
	t.Parallel()
	ran := 0
	d := Deed{Path: "/admin/x/remove", Says: "Remove", Command: "x remove NAME", Sure: "It is gone.", Fields: []pages.Field{{Name: "name", Label: "Name"}},
		Do: func(_ context.Context, v Values) (Done, error) {
			ran++
			return Done{Command: Command("x remove", v.Text("name"), Flag("why", "a b"), Flag("how", ""))}, nil
		}}
	f := d.Form("name", "joe", "from", "list")
	if f.Command != "waxwing x remove NAME" || !f.Danger || f.Fields[0].Value != "joe" || f.Fields[1].Kind != "hidden" || f.Fields[1].Value != "list" || d.Fields[0].Value != "" {
		t.Errorf("%+v", f)
	}
	if _, err := d.Run(t.Context(), Values{url.Values{"name": {"joe"}}}); !errors.Is(err, ErrNotSure) || ran > 0 {
		t.Errorf("without the box: %v", err)
	}
	done, err := d.Run(t.Context(), Values{url.Values{"name": {" joe's "}, "sure": {"yes"}}})
	if err != nil || done.Command != `waxwing x remove 'joe'\''s' --why 'a b'` {
		t.Errorf("%q, %v", done.Command, err)
	}
	if w := (Values{url.Values{"m": {"a@b.test, c@d.test\r\ne@f.test"}}}).Words("m"); len(w) != 3 {
		t.Errorf("%q", w)
	}
	if _, err := (Values{url.Values{}}).Need("sender_domain"); err == nil || err.Error() != "sender domain is missing" {
		t.Error(err)
	}
}
