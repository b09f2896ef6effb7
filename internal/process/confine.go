package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"

	"waxwing/internal/config"
)

// Rooms are the directories and files that a process needs, with all below them. What is
// not there is passed over.
type Rooms struct {
	Read  []string
	Write []string // and read
}

// systemRooms are what the parts of a server read that are the system's: name services,
// certificate authorities, time zones, libraries (of a program that is not static), what is known of the process and its limits.
func systemRooms() []string {
	return []string{"/etc", "/usr/share", "/usr/lib", "/lib", "/lib64", "/usr/local/share/ca-certificates", "/proc", "/sys/fs/cgroup"}
}

// RoomsOf are those of a server: what its configuration at path names, as it stands when
// it starts. The program itself is one, so that the next one can take over.
func RoomsOf(cfg *config.Config, path, program string) Rooms {
	r := Rooms{Read: append(systemRooms(), filepath.Dir(program), filepath.Dir(path)), Write: []string{cfg.DataDir, "/dev/null"}}
	read := []string{"/etc/resolv.conf", path}
	for _, f := range cfg.NamedFiles() {
		r.Read = append(r.Read, filepath.Dir(f.Path)) // a file that is replaced is another one
		read = append(read, f.Path)
	}
	for _, link := range read {
		if real, err := filepath.EvalSymlinks(link); err == nil {
			r.Read = append(r.Read, filepath.Dir(real))
		}
	}
	if len(cfg.DNS.Update.Command) > 0 { // it is a script, as a rule
		r.Read = append(r.Read, "/bin", "/usr/bin", "/usr/local/bin")
	}
	for _, socket := range cfg.Sockets() {
		r.Write = append(r.Write, filepath.Dir(socket))
	}
	return r
}

// rules are the rooms that are there.
func (r Rooms) rules() (all []landlock.Rule, err error) {
	for _, x := range []struct {
		paths     []string
		dir, file func(...string) landlock.FSRule
	}{{r.Read, landlock.RODirs, landlock.ROFiles}, {r.Write, landlock.RWDirs, landlock.RWFiles}} {
		slices.Sort(x.paths)
		for _, p := range slices.Compact(x.paths) {
			info, err := os.Stat(p)
			switch {
			case errors.Is(err, fs.ErrNotExist):
			case errors.Is(err, fs.ErrPermission): // then it is not ours to use
			case err != nil:
				return nil, err
			case info.IsDir():
				all = append(all, x.dir(p))
			default:
				all = append(all, x.file(p))
			}
		}
	}
	return all, nil
}

// confinedBefore says in the environment that this process is confined already: a program
// takes over what the one before it was allowed, and the kernel counts how often.
const confinedBefore = "WAXWING_CONFINED"

// Confine takes from this process, and from all that it starts, the right to anything else
// in the file system, for good (Landlock, landlock(7)). Files and sockets that are open
// stay. It is false where the kernel cannot do that.
func Confine(r Rooms) (bool, error) {
	if os.Getenv(confinedBefore) != "" {
		return true, nil
	}
	if v, err := ll.LandlockGetABIVersion(); err != nil || v < 1 {
		return false, nil
	}
	rules, err := r.rules()
	if err == nil {
		err = landlock.V5.BestEffort().RestrictPaths(rules...)
	}
	if err == nil {
		err = os.Setenv(confinedBefore, "1")
	}
	if err != nil {
		return false, fmt.Errorf("confine this process to its own files: %w; landlock = \"off\" in the configuration does without", err)
	}
	return true, nil
}
