package daemon

import (
	"fmt"
	"log/slog"
	"os"

	"waxwing/internal/config"
	"waxwing/internal/datadir"
	"waxwing/internal/process"
)

// BecomeOwner makes root's command one of the user who has the data directory (SET-7),
// for good: what it makes would else be root's, and the server could not use it. What
// root made before is given to that user.
func BecomeOwner(cfg *config.Config) error {
	if os.Geteuid() != 0 || cfg.Postgres != "" {
		return nil
	}
	if _, _, ok := datadir.User(cfg); !ok {
		return nil
	}
	if err := datadir.Adopt(cfg); err != nil {
		return err
	}
	return BecomeUser(cfg)
}

// BecomeUser is BecomeOwner for who only looks: nothing is given to anybody.
func BecomeUser(cfg *config.Config) error {
	if os.Geteuid() != 0 || cfg.Postgres != "" {
		return nil
	}
	uid, gid, ok := datadir.User(cfg)
	if !ok {
		return nil
	}
	if err := process.Become(uid, gid); err != nil {
		return fmt.Errorf("become the user %s, who has %s: %w", datadir.UserName(uid), cfg.DataDir, err)
	}
	return nil
}

// tellRisks warns of what makes a fault of the server, or a curious user of the
// machine, worse than it must be.
func tellRisks(cfg *config.Config, log *slog.Logger) {
	if os.Geteuid() == 0 {
		owner := "a user of its own"
		if uid, _, ok := datadir.User(cfg); ok {
			owner = fmt.Sprintf("%s, who has %s", datadir.UserName(uid), cfg.DataDir)
		}
		log.Warn("the server runs as root, and stays root: whoever finds a fault in it has the whole machine. Run it as " + owner +
			"; for ports below 1024 that user needs the capability CAP_NET_BIND_SERVICE and nothing else (docs/operating/first-steps.md)")
	}
	if fi, err := os.Stat(cfg.DataDir); err == nil && fi.Mode().Perm()&0o007 != 0 {
		log.Warn("everybody on this machine may look into the data directory: chmod 700 it (with systemd: StateDirectoryMode=0700)",
			"data_dir", cfg.DataDir, "mode", fmt.Sprintf("%04o", fi.Mode().Perm()))
	}
	for _, e := range cfg.Exposed() { // Check has refused them, unless it is told to warn
		log.Warn("a secret is open to everybody", "error", e)
	}
}
