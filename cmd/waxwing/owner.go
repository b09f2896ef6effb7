package main

import (
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"waxwing/internal/config"
	"waxwing/internal/server"
)

// becomeOwner makes root's command one of the user who has the data directory (SET-7),
// for good: what it makes would else be root's, and the server could not use it. What
// root made before is given to that user.
func becomeOwner(cfg *config.Config) error {
	if os.Geteuid() != 0 || cfg.Postgres != "" {
		return nil
	}
	if _, _, ok := server.User(cfg); !ok {
		return nil
	}
	if err := server.Adopt(cfg); err != nil {
		return err
	}
	return becomeUser(cfg)
}

// becomeUser is becomeOwner for who only looks: nothing is given to anybody.
func becomeUser(cfg *config.Config) error {
	if os.Geteuid() != 0 || cfg.Postgres != "" {
		return nil
	}
	uid, gid, ok := server.User(cfg)
	if !ok {
		return nil
	}
	gid, groups := groupsOf(uid, gid)
	err := syscall.Setgroups(groups)
	if err == nil {
		err = syscall.Setgid(gid)
	}
	if err == nil {
		err = syscall.Setuid(uid)
	}
	if err != nil {
		return fmt.Errorf("become the user %s, who has %s: %w", server.UserName(uid), cfg.DataDir, err)
	}
	return nil
}

// groupsOf are the groups of a user; gid alone where the system does not know the user.
func groupsOf(uid, gid int) (first int, all []int) {
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return gid, []int{gid}
	}
	if n, err := strconv.Atoi(u.Gid); err == nil {
		gid = n
	}
	ids, err := u.GroupIds()
	if err != nil {
		return gid, []int{gid}
	}
	for _, id := range ids {
		if n, err := strconv.Atoi(id); err == nil {
			all = append(all, n)
		}
	}
	return gid, all
}

// tellRisks warns of what makes a fault of the server, or a curious user of the
// machine, worse than it must be.
func tellRisks(cfg *config.Config, log *slog.Logger) {
	if os.Geteuid() == 0 {
		owner := "a user of its own"
		if uid, _, ok := server.User(cfg); ok {
			owner = fmt.Sprintf("%s, who has %s", server.UserName(uid), cfg.DataDir)
		}
		log.Warn("the server runs as root, and stays root: whoever finds a fault in it has the whole machine. Run it as " + owner +
			"; for ports below 1024 that user needs the capability CAP_NET_BIND_SERVICE and nothing else (docs/operating/first-steps.md)")
	}
	if fi, err := os.Stat(cfg.DataDir); err == nil && fi.Mode().Perm()&0o007 != 0 {
		log.Warn("everybody on this machine may look into the data directory: chmod 700 it (with systemd: StateDirectoryMode=0700)",
			"data_dir", cfg.DataDir, "mode", fmt.Sprintf("%04o", fi.Mode().Perm()))
	}
	for _, e := range cfg.Exposed() { // Check has refused them, unless it is told to warn
		log.Warn("a secret is open to everybody", "fault", e.Error())
	}
}
