package account

import (
	"strings"
	"testing"
)

// MAIL-7: every page has its place in the list, and every act is below a page of it.
func TestPlaces(t *testing.T) {
	t.Parallel()
	all := map[string]bool{}
	for _, p := range places() {
		if p.name == "" || !strings.HasPrefix(p.path, Path) || all[p.path] {
			t.Errorf("%+v", p)
		}
		all[p.path] = true
	}
	for path := range acts() {
		page, _, _ := strings.Cut(path, "/")
		if !all[Path+page] {
			t.Errorf("%s is an act of no page", path)
		}
	}
	listed := 0
	for _, g := range groups() {
		listed += len(g.Places)
	}
	if listed != len(all) {
		t.Errorf("%d places are listed, of %d", listed, len(all))
	}
}
