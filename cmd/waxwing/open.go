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
	"text/tabwriter"

	"waxwing/internal/accounts"
	"waxwing/internal/config"
	"waxwing/internal/mailboxes"
	"waxwing/internal/server"
	"waxwing/internal/signing"
	"waxwing/internal/store"
)

// opened is the store and the rooms over it, for commands that need no server.
type opened struct {
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
	cfg, err := loadConfig(f.config)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(e.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	db, err := server.OpenStore(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer db.Close()
	return fn(&opened{cfg: cfg, store: db, accounts: &accounts.Store{DB: db},
		mailboxes: &mailboxes.Store{DB: db}, signing: &signing.Service{Store: db, Log: log}})
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

// table writes rows under a heading, columns aligned.
func table(w io.Writer, head []string, rows [][]string) error {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	line := func(cells []string) {
		for i, c := range cells {
			if i > 0 {
				fmt.Fprint(tw, "\t")
			}
			fmt.Fprint(tw, c)
		}
		fmt.Fprintln(tw)
	}
	line(head)
	for _, r := range rows {
		line(r)
	}
	return tw.Flush()
}
