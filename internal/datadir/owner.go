package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"waxwing/internal/config"
)

// StoreFiles are the store's in the data directory, as they are made.
func StoreFiles(cfg *config.Config) []string {
	db := filepath.Join(cfg.DataDir, databaseName)
	return []string{db, db + "-wal", db + "-shm", db + ".serve"}
}

// owned is who a file or directory belongs to.
type owned struct {
	uid, gid int
	there    bool
}

func ownerOf(path string) owned {
	fi, err := os.Lstat(path)
	if err != nil {
		return owned{}
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return owned{}
	}
	return owned{int(st.Uid), int(st.Gid), true}
}

// User is who a server on the data directory runs as, where it is not root. Root's
// commands run as that user (SET-7), or what they make could not be read by the server.
func User(cfg *config.Config) (uid, gid int, ok bool) {
	o := userOf(ownerOf(cfg.DataDir), ownerOf(StoreFiles(cfg)[0]))
	return o.uid, o.gid, o.there
}

// userOf decides for User: it is who the directory belongs to; in one of root's, who
// the database in it belongs to.
func userOf(dir, db owned) owned {
	switch {
	case dir.there && dir.uid != 0:
		return dir
	case db.there && db.uid != 0:
		return db
	}
	return owned{}
}

// Adopt gives what root has made of the store to the user of the data directory. It
// does nothing where this process is not root, or no such user is there.
func Adopt(cfg *config.Config) error {
	uid, gid, ok := User(cfg)
	if os.Geteuid() != 0 || !ok || cfg.Postgres != "" {
		return nil
	}
	var errs []error
	for _, path := range append(StoreFiles(cfg), Spool(cfg), Outcomes(cfg)) {
		errs = append(errs, adopt(path, uid, gid))
	}
	return errors.Join(errs...)
}

// closeStore sees to it that nobody else can use the store's files, whoever made them
// and however.
func closeStore(cfg *config.Config, log *slog.Logger) error {
	for _, path := range StoreFiles(cfg) {
		fi, err := os.Lstat(path)
		if err != nil || !fi.Mode().IsRegular() || fi.Mode().Perm()&0o007 == 0 {
			continue
		}
		mode := fmt.Sprintf("%04o", fi.Mode().Perm())
		err = closeFile(cfg, path, fi.Mode().Perm()&^0o007)
		switch {
		case err == nil:
			log.Warn("everybody on this machine could read or change the store; this is mended", "file", path, "mode", mode)
		case cfg.ExposedSecrets == config.ExposedWarn:
			log.Warn("everybody on this machine can read or change the store", "file", path, "mode", mode, "error", err)
		default:
			return fmt.Errorf("everybody on this machine can read or change %s (mode %s), and this cannot be mended: %w; chmod o-rwx %s, or set exposed_secrets = \"warn\"", path, mode, err, path)
		}
	}
	return nil
}

func closeFile(cfg *config.Config, path string, mode fs.FileMode) error {
	if _, _, ok := User(cfg); ok && os.Geteuid() == 0 {
		return errors.New("its directory is another user's, where root follows no names")
	}
	if err := os.Chmod(path, mode); err != nil {
		return err
	}
	if fi, err := os.Lstat(path); err != nil || fi.Mode().Perm() != mode {
		return errors.Join(errors.New("its file system keeps no permissions"), err)
	}
	return nil
}

// whose completes an error of opening the store with what belongs to the wrong user.
func whose(cfg *config.Config, err error) error {
	dir, aerr := filepath.Abs(cfg.DataDir)
	if aerr != nil {
		dir = cfg.DataDir
	}
	for _, path := range append([]string{cfg.DataDir}, StoreFiles(cfg)...) {
		need := uint32(unix.R_OK | unix.W_OK)
		if path == cfg.DataDir {
			need |= unix.X_OK
		}
		denied := unix.Faccessat(unix.AT_FDCWD, path, need, unix.AT_EACCESS)
		if o := ownerOf(path); o.there && errors.Is(denied, fs.ErrPermission) {
			return fmt.Errorf("%w: %s", err, wrongUser(filepath.Join(dir, strings.TrimPrefix(path, cfg.DataDir)), dir, UserName(o.uid), UserName(os.Geteuid())))
		}
	}
	return err
}

// wrongUser says what to do about a file of the data directory that we may not use.
func wrongUser(path, dir, owner, own string) string {
	give := fmt.Sprintf("\"chown -R %s %s\"", own, dir)
	switch owner {
	case own:
		return fmt.Sprintf("%s belongs to %s, and its mode lets even its owner not use it: \"chmod -R u+rwX %s\"", path, own, dir)
	case "root":
		return fmt.Sprintf("%s belongs to root, who has perhaps made it with a command, and this is %s: as root, %s", path, own, give)
	}
	return fmt.Sprintf("%s belongs to %s, and this is %s: run this as %s, or as root %s", path, owner, own, owner, give)
}

// UserName is a user's name, or the number of one without.
func UserName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}
