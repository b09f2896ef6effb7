package datadir

import (
	"strings"
	"testing"
)

// SET-7: whose a data directory is, over all that can be there.
func TestUserOf(t *testing.T) {
	t.Parallel()
	none, root, ann, bob := owned{}, owned{0, 0, true}, owned{1000, 100, true}, owned{1001, 100, true}
	for _, tt := range []struct{ dir, db, want owned }{
		{none, none, none}, {root, none, none}, {root, root, none}, {none, ann, ann},
		{ann, none, ann}, {ann, root, ann}, {ann, bob, ann}, {ann, ann, ann}, {root, ann, ann},
	} {
		if got := userOf(tt.dir, tt.db); got != tt.want {
			t.Errorf("directory %+v, database %+v: %+v, want %+v", tt.dir, tt.db, got, tt.want)
		}
	}
}

// The error of a file that cannot be used names it, its owner and the cure.
func TestWrongUser(t *testing.T) {
	t.Parallel()
	const dir, file = "/var/lib/waxwing", "/var/lib/waxwing/waxwing.db"
	for _, tt := range []struct{ owner, own, want string }{
		{"root", "waxwing", `as root, "chown -R waxwing /var/lib/waxwing"`},
		{"ann", "waxwing", `run this as ann, or as root "chown -R waxwing /var/lib/waxwing"`},
		{"waxwing", "waxwing", `"chmod -R u+rwX /var/lib/waxwing"`},
	} {
		if got := wrongUser(file, dir, tt.owner, tt.own); !strings.HasPrefix(got, file+" belongs to "+tt.owner) || !strings.Contains(got, tt.want) {
			t.Errorf("%s's file, used by %s: %s", tt.owner, tt.own, got)
		}
	}
}
