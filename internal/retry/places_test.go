package retry

import "testing"

// QUE-3 over the whole space of a server with up to 40 places: one account, or all
// silent destinations together, leave room for others; who answers always finds some;
// more under way never makes a place free.
func TestPlaces(t *testing.T) {
	t.Parallel()
	for all := 1; all <= 40; all++ {
		for account := 0; account <= all; account++ {
			for silent := 0; silent <= all; silent++ {
				for mine := 0; mine <= min(account, silent); mine++ {
					p := Places{All: all, Account: account, Silent: silent, SilentOfAccount: mine}
					q := p
					q.Answers = true
					if p.Free() && !q.Free() {
						t.Fatalf("%+v: who answers has less room", p)
					}
					for _, more := range []Places{{all, account + 1, silent, mine, false}, {all, account, silent + 1, mine, false}, {all, account, silent, mine + 1, false}} {
						if more.Free() && !p.Free() {
							t.Fatalf("%+v is free and %+v is not", more, p)
						}
					}
					if all >= 8 && p.Free() && (silent+1 > all-all/4 || mine+1 > (all+3)/4+1 || account+1 > all-all/4) {
						t.Fatalf("%+v leaves too little", p)
					}
				}
			}
		}
		if !(Places{All: all}).Free() {
			t.Fatalf("of %d nobody may have the first", all)
		}
		// A destination that answers finds a place whatever the silent ones and another account hold.
		if all >= 4 && !(Places{All: all, Silent: all, Answers: true}).Free() {
			t.Fatalf("of %d none for one that answers", all)
		}
	}
}

func TestCrowd(t *testing.T) {
	t.Parallel()
	for all := 1; all <= 600; all += 13 {
		free := func(open, slow int, answers bool) bool { return Crowd{all, open, slow, answers}.Free() }
		most := func(answers bool) (n int) {
			for free(n, 0, answers) {
				n++
			}
			return n
		}
		unknown, known := most(false), most(true)
		if unknown < 1 || known < unknown || all >= 8 && (unknown > all/4 || known > all*7/8) {
			t.Errorf("of %d an unknown address may have %d, one that answers %d", all, unknown, known)
		}
		slow := 0
		for free(slow, slow, true) {
			slow++
		}
		if slow > unknown {
			t.Errorf("of %d a slow address that answered once may have %d", all, slow)
		}
	}
}

// QUE-3: the shares in figures, of a server with 40 places.
func TestShares(t *testing.T) {
	t.Parallel()
	most := func(free func(n int) bool) (n int) {
		for free(n) {
			n++
		}
		return n
	}
	for _, c := range []struct {
		name string
		got  int
		want int
	}{
		{"an account", most(func(n int) bool { return Places{All: 40, Account: n, Answers: true}.Free() }), 30},
		{"silent destinations", most(func(n int) bool { return Places{All: 40, Silent: n}.Free() }), 30},
		{"an account's silent destinations", most(func(n int) bool { return Places{All: 40, SilentOfAccount: n}.Free() }), 10},
		{"an unknown address", most(func(n int) bool { return Crowd{All: 40, Open: n}.Free() }), 5},
		{"an address that answers", most(func(n int) bool { return Crowd{All: 40, Open: n, Answers: true}.Free() }), 30},
		{"a slow address", most(func(n int) bool { return Crowd{All: 40, Open: n, Slow: n, Answers: true}.Free() }), 5},
	} {
		if c.got != c.want {
			t.Errorf("%s may have %d, want %d", c.name, c.got, c.want)
		}
	}
}
