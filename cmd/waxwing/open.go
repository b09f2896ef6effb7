package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"time"

	"waxwing/internal/accounts"
	"waxwing/internal/cli"
	"waxwing/internal/config"
	"waxwing/internal/lab"
	"waxwing/internal/logline"
	"waxwing/internal/mailboxes"
	"waxwing/internal/server"
	"waxwing/internal/signing"
	"waxwing/internal/store"
)

// opened is the store and the rooms over it, for commands that need no server.
type opened struct {
	options   server.Options
	cfg       *config.Config
	store     *store.Store
	accounts  *accounts.Store
	mailboxes *mailboxes.Store
	signing   *signing.Service
}

// storeFlags are the flags of every command that opens the store.
type storeFlags struct {
	config string
	json   bool
}

func (f *storeFlags) add(fs *flag.FlagSet) {
	fs.StringVar(&f.config, "config", "waxwing.toml", "configuration `file`")
}

// addJSON is add, for what prints an answer: always, or where the action is one of printing.
func (f *storeFlags) addJSON(fs *flag.FlagSet, action string, printing ...string) {
	f.add(fs)
	if len(printing) == 0 || slices.Contains(printing, action) {
		fs.BoolVar(&f.json, "json", false, "print JSON")
	}
}

// withStore reads the configuration, opens the store, runs fn and closes it.
func withStore(ctx context.Context, e env, f storeFlags, fn func(*opened) error) error {
	o, err := loadOptions(f.config)
	if err != nil {
		return err
	}
	if err := becomeOwner(o.Config); err != nil {
		return err
	}
	o.Log = slog.New(logline.New(e.stderr, logline.Options{Level: slog.LevelWarn}))
	db, err := server.OpenStore(ctx, o.Config, o.Log)
	if err != nil {
		return err
	}
	defer db.Close()
	return fn(&opened{options: o, cfg: o.Config, store: db, accounts: &accounts.Store{DB: db, Now: o.Now},
		mailboxes: &mailboxes.Store{DB: db, Now: o.Now}, signing: &signing.Service{Store: db, Now: o.Now, Log: o.Log}})
}

// loadOptions reads the configuration, and where it is one of a lab that stays up,
// has what is made of it go the lab's way.
func loadOptions(path string) (server.Options, error) {
	cfg, err := loadConfig(path)
	if err != nil {
		return server.Options{}, err
	}
	o := server.Options{Config: cfg, Now: time.Now}
	w, err := lab.WorldOf(path)
	if w != nil {
		o.Now, o.Dialer = w.Now, w
	}
	return o, err
}

// now is the time on the machine of a configuration.
func now(path string) time.Time {
	if w, err := lab.WorldOf(path); err == nil && w != nil {
		return w.Now()
	}
	return time.Now()
}

// loadConfig reads the configuration, and says what to do where there is none.
func loadConfig(path string) (*config.Config, error) {
	cfg, err := config.Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: say with -config where it is, or make one with \"waxwing quickstart\"", err)
	}
	return cfg, err
}

// printJSON writes v indented. An empty list is [], never null.
func printJSON(w io.Writer, v any) error {
	if r := reflect.ValueOf(v); r.Kind() == reflect.Slice && r.IsNil() {
		v = []any{}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// table writes rows under a heading, columns aligned. In a terminal that is too
// narrow, texts take several lines, and the columns of giveWay are left out, the
// first of them first.
func table(e env, head []string, rows [][]string, giveWay ...string) error {
	const narrowest = 12
	var t cli.Table
	for _, h := range head {
		c := cli.Column{Head: h, Wrap: narrowest}
		if i := slices.Index(giveWay, h); i >= 0 {
			c.Rank = len(giveWay) - i
		}
		t.Columns = append(t.Columns, c)
	}
	for _, r := range rows {
		cells := make([]cli.Cell, len(r))
		for i, c := range r {
			cells[i].Text = c
		}
		t.Rows = append(t.Rows, cells)
	}
	left, err := t.Write(e.stdout, e.terminal)
	if err == nil {
		err = tellLeft(e, left)
	}
	return err
}

// tellLeft says which columns a table had no room for.
func tellLeft(e env, left []string) error {
	if len(left) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(e.stdout, "Not shown for want of room: %s (-json has all).\n", strings.Join(left, ", "))
	return err
}
