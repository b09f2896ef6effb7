// Package process is what this process is on its machine: how much memory it takes, how
// often it collects garbage, which user it is.
package process

import (
	"io/fs"
	"math"
	"os"
	"path"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
)

// room is how much memory there is, in octets; 0 is unknown.
type room struct {
	group   int64 // the smallest limit of the process's control groups
	machine int64
}

// memoryLimit is what the Go runtime may use of it (debug.SetMemoryLimit) and whose
// limit that follows; 0 leaves the runtime's own, none. The rest is for what the
// runtime does not count: the database's memory, mapped files, and on a machine that is
// not the server's alone, others.
func memoryLimit(r room) (limit int64, of string) {
	switch {
	case r.group > 0 && (r.machine <= 0 || r.group < r.machine):
		return r.group - max(r.group/10, min(32<<20, r.group/2)), "control group"
	case r.machine > 0:
		return r.machine / 4 * 3, "machine"
	}
	return 0, ""
}

// LimitMemory sets the memory limit, unless the environment does (GOMEMLIMIT). Beyond
// it, garbage is collected all the time rather than the process killed.
func LimitMemory() (limit int64, of string) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return debug.SetMemoryLimit(-1), "GOMEMLIMIT"
	}
	if limit, of = memoryLimit(readRoom(os.DirFS("/"))); limit > 0 {
		debug.SetMemoryLimit(limit)
	}
	return limit, of
}

// readRoom asks Linux. What is not there, or cannot be read, limits nothing.
func readRoom(root fs.FS) room {
	r := room{machine: memTotal(root)}
	for _, file := range groupFiles(root) {
		text, err := fs.ReadFile(root, file)
		if err != nil {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		// Version 2 says "max" and version 1 a number near the largest for none.
		if err == nil && n > 0 && n < math.MaxInt64/2 && (r.group == 0 || n < r.group) {
			r.group = n
		}
	}
	return r
}

func memTotal(root fs.FS) int64 {
	text, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "MemTotal:" && f[2] == "kB" {
			n, err := strconv.ParseInt(f[1], 10, 43)
			if err != nil {
				return 0
			}
			return n << 10
		}
	}
	return 0
}

// groupFiles are the files that hold the memory limits of the process's control groups
// and of all above them, in both versions (cgroups(7)).
func groupFiles(root fs.FS) (files []string) {
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return nil
	}
	mounts, err := fs.ReadFile(root, "proc/self/mountinfo")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(groups)) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3) // hierarchy:controllers:path
		if len(f) != 3 {
			continue
		}
		controllers := strings.Split(f[1], ",")
		switch {
		case f[0] == "0" && f[1] == "":
			files = append(files, above(string(mounts), "cgroup2", "", f[2], "memory.max", "memory.high")...)
		case slices.Contains(controllers, "memory"):
			files = append(files, above(string(mounts), "cgroup", "memory", f[2], "memory.limit_in_bytes")...)
		}
	}
	return files
}

// above are the files of a group and of those above it, where a file system of the
// kind, with the option, is mounted. In a container the mount may begin at the
// group itself.
func above(mounts, kind, option, group string, names ...string) (files []string) {
	for line := range strings.Lines(mounts) {
		// proc(5): id parent device root point options … - kind source options
		before, after, _ := strings.Cut(line, " - ")
		m, k := strings.Fields(before), strings.Fields(after)
		if len(m) < 5 || len(k) < 3 || k[0] != kind || option != "" && !slices.Contains(strings.Split(k[2], ","), option) {
			continue
		}
		below, ok := strings.CutPrefix(group+"/", strings.TrimSuffix(m[3], "/")+"/")
		if !ok {
			below = "" // mounted is another part of the tree, whose top may still limit us
		}
		top := strings.TrimPrefix(path.Clean(m[4]), "/")
		for dir := path.Join(top, path.Join("/", below)); ; dir = path.Dir(dir) {
			for _, n := range names {
				files = append(files, path.Join(dir, n))
			}
			if dir == top || dir == "." {
				break
			}
		}
	}
	return files
}
