package upkeep

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"waxwing/dns"
	"waxwing/internal/accounts"
	"waxwing/internal/checkup"
	"waxwing/internal/config"
	"waxwing/internal/control"
	"waxwing/internal/datadir"
	"waxwing/internal/doctor"
	"waxwing/internal/machine"
	"waxwing/internal/resolver"
	"waxwing/internal/setup"
)

// SetUp is the machine of a configuration, with its server; version is this program's.
func SetUp(ctx context.Context, cfg *config.Config, path, version string) (s machine.Subject, w *machine.Outside, err error) {
	s, w, err = subjectOf(cfg)
	if err != nil {
		return s, nil, err
	}
	s.Files = func() doctor.Files { return files(cfg, path) }
	s.Server = running(cfg, version)
	s.Milters = func(ctx context.Context) (out []doctor.Milter) {
		for _, m := range checkup.MiltersOf(ctx, cfg) {
			out = append(out, doctor.Milter{Name: m.Name, Address: m.Address, About: m.About, Failure: m.Failure, Trouble: m.Trouble})
		}
		return out
	}
	s.Domains = domainsOf(ctx, cfg)
	return s, w, nil
}

// Planned is the machine of a plan, as doctor looks at it.
func Planned(plan setup.Plan) (s machine.Subject, w *machine.Outside, err error) {
	cfg, err := config.Parse(plan.Config.Path, []byte(plan.Config.Text))
	if err != nil {
		return s, nil, err
	}
	s, w, err = subjectOf(cfg)
	s.Domains = []dns.Name{plan.Wish.Domain}
	return s, w, err
}

// subjectOf is what a configuration says of a machine.
func subjectOf(cfg *config.Config) (s machine.Subject, w *machine.Outside, err error) {
	client, err := resolver.New(cfg, datadir.Anchors(cfg))
	if err != nil {
		return s, nil, err
	}
	s = machine.Subject{Hostname: cfg.Hostname, DataDir: cfg.DataDir, Reserve: uint64(cfg.Limits.DiskReserve)}
	if cfg.ACME.Directory == setup.Authority {
		s.CA = setup.AuthorityCAA
	}
	for _, l := range cfg.Listen {
		if l.Socket != "" {
			continue // no port of the machine
		}
		s.Listen = append(s.Listen, machine.Place{Kind: string(l.Kind), Addr: l.Address})
	}
	return s, machine.World(client, resolver.SelfTestNames(cfg)), nil
}

// files are the configuration, and who has what it names.
func files(cfg *config.Config, path string) doctor.Files {
	f := doctor.Files{Path: path, Dir: cfg.DataDir, Store: cfg.Postgres != ""}
	var faults config.Errors
	if errors.As(cfg.Check(), &faults) {
		for _, e := range faults {
			f.Faults = append(f.Faults, e.Error())
		}
	}
	info, err := os.Stat(cfg.DataDir)
	if err != nil {
		return f
	}
	f.Owner, f.Open = "root", info.Mode().Perm()&0o007 != 0
	if uid, _, ok := datadir.User(cfg); ok {
		f.Owner = datadir.UserName(uid)
	}
	if _, err := os.Stat(datadir.StoreFile(cfg)); !errors.Is(err, fs.ErrNotExist) {
		f.Store = true
	}
	return f
}

// running asks whether the server of a configuration runs, and compares its version.
func running(cfg *config.Config, version string) func(context.Context) doctor.Server {
	return func(ctx context.Context) doctor.Server {
		s := doctor.Server{Program: version}
		c, err := control.Dial(ctx, cfg.DataDir)
		var other *control.MismatchError
		switch {
		case err == nil:
			s.Runs, s.Version = true, c.Hello.Program
		case errors.As(err, &other):
			s.Runs, s.Version = true, other.Program
		case !errors.Is(err, control.ErrNotRunning):
			s.Err = err.Error()
		}
		return s
	}
}

// domainsOf are the hosted domains, as far as the store tells them.
func domainsOf(ctx context.Context, cfg *config.Config) (out []dns.Name) {
	db, err := datadir.PeekStore(ctx, cfg)
	if err != nil {
		return nil // the check of the files says more
	}
	defer db.Close()
	all, err := (&accounts.Store{DB: db}).Domains(ctx)
	if err != nil || datadir.Adopt(cfg) != nil { // what SQLite may have made as root
		return nil
	}
	for _, d := range all {
		out = append(out, d.Name)
	}
	return out
}
