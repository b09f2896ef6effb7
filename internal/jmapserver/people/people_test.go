package people

import (
	"strings"
	"testing"
	"time"

	"waxwing/internal/correspondents"
	"waxwing/internal/junk"
)

// MAIL-4: those to whom one writes come first, and no one whose mail was junk.
func TestFind(t *testing.T) {
	t.Parallel()
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	all := []correspondents.Correspondent{
		{Who: "ann@a.test", Written: day(1)}, {Who: "bob@ann.test", Written: day(2)}, {Who: "@a.test", Written: day(9)}, {Who: "joanna@c.test", Written: day(3)},
		{Who: "spam@ann.test", Mark: junk.MarkedJunk, Marked: day(3), Received: 9}, {Who: "friend.ann@d.test", Received: 2}, {Who: "z.ann@d.test", Received: 1},
		{Who: "pardoned@ann.test", Mark: junk.MarkedJunk, Marked: day(1), Written: day(4)},
	}
	for _, tt := range []struct {
		text  string
		limit int
		want  string
	}{
		{"ann", 10, "pardoned@ann.test bob@ann.test ann@a.test friend.ann@d.test z.ann@d.test"},
		{" ANN", 2, "pardoned@ann.test bob@ann.test"},
		{"anna", 10, ""},
		{"joa", 10, "joanna@c.test"},
		{"", 2, "pardoned@ann.test joanna@c.test"},
		{"d.test", 10, "friend.ann@d.test z.ann@d.test"},
	} {
		var got []string
		for _, p := range Find(all, tt.text, tt.limit) {
			got = append(got, p.Who)
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%q: %s, want %s", tt.text, s, tt.want)
		}
	}
}
