package doctor

import (
	"fmt"
	"time"
)

// Clock is what the system says of its clock.
type Clock struct {
	Now    time.Time
	Known  bool // whether it is synchronised could be seen
	Synced bool
}

// built is before any machine's present: a clock that is behind it was never set.
var built = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Finding says whether the clock can be believed: certificates, DNSSEC and reports need it.
func (c Clock) Finding() Finding {
	b := bad{"certificates, DNSSEC signatures and reports go by it", "\"apt install chrony\" (or \"timedatectl set-ntp true\")"}
	switch {
	case c.Now.Before(built):
		return b.fail("the clock says %s", c.Now.UTC().Format(time.DateOnly))
	case c.Known && !c.Synced:
		return b.warn("nothing keeps the clock right")
	case !c.Known:
		return unseen("whether something keeps the clock right", "this system does not tell")
	}
	return ok("the clock is kept right")
}

// Disk is the file system of the data directory.
type Disk struct {
	Dir         string
	Type        string // "ext4", "tmpfs", "nfs"; "": not known
	Free, Total uint64 // octets
	FreeFiles   uint64
	Files       uint64 // 0: it does not count them
	Reserve     uint64 // what the configuration keeps free
	Err         string
}

const gib = 1 << 30

// Findings say whether there is room, on a disk that keeps what it was given.
func (d Disk) Findings() []Finding {
	if d.Err != "" {
		return []Finding{unseen("the disk of "+d.Dir, d.Err)}
	}
	var out []Finding
	room := bad{"a server without room answers 452 to all mail", "make room, or move data_dir to a larger disk"}
	switch {
	case d.Free <= d.Reserve:
		out = append(out, room.fail("%s has %s left, and %s are kept free", d.Dir, octets(d.Free), octets(d.Reserve)))
	case d.Free < gib || d.Free < d.Total/20:
		out = append(out, room.warn("%s has %s left of %s", d.Dir, octets(d.Free), octets(d.Total)))
	}
	if d.Files > 0 && d.FreeFiles < 1000 {
		out = append(out, room.warn("the file system of %s has room for %d more files", d.Dir, d.FreeFiles))
	}
	switch d.Type {
	case "tmpfs", "ramfs":
		out = append(out, bad{"mail is gone when the machine is started again", "move data_dir to a disk"}.fail("%s is in memory (%s)", d.Dir, d.Type))
	case "nfs", "cifs", "fuse", "9p":
		out = append(out, bad{"SQLite needs locks and syncs that network file systems do not keep; mail can be lost", "move data_dir to a disk of this machine, or use PostgreSQL"}.warn("%s is on a file system of the kind %s", d.Dir, d.Type))
	}
	if len(out) == 0 {
		out = append(out, ok("%s has %s left of %s", d.Dir, octets(d.Free), octets(d.Total)))
	}
	return out
}

// Memory is what programs of the machine can have.
type Memory struct {
	Available, Total uint64
	Err              string
}

// Finding says whether the server has enough: it needs some 100 MiB, and 200 more under load.
func (m Memory) Finding() Finding {
	const least, good = 128 << 20, 384 << 20
	switch {
	case m.Err != "":
		return unseen("memory", m.Err)
	case m.Available < least:
		return bad{"the system may end the server at any time", "end other programs, add memory, or add swap"}.fail("%s of memory are free, of %s", octets(m.Available), octets(m.Total))
	case m.Available < good:
		return bad{"under load it may be short", "add memory or swap; the server keeps to 75 % of it"}.warn("%s of memory are free, of %s", octets(m.Available), octets(m.Total))
	}
	return ok("%s of memory are free, of %s", octets(m.Available), octets(m.Total))
}

func octets(n uint64) string {
	if n >= 10*gib {
		return fmt.Sprintf("%d GiB", n/gib)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}

// Files is the configuration, and who has what it names.
type Files struct {
	Path   string   // of the configuration
	Faults []string // what is wrong with it
	Dir    string   // the data directory
	Owner  string   // of it; "": it is not there
	Store  bool     // it holds a store, or the configuration names a database
	Open   bool     // others than the owner may look into it
}

// Findings say whether a server could start with them.
func (f Files) Findings() []Finding {
	var out []Finding
	for _, fault := range f.Faults {
		out = append(out, bad{"the server does not start", "mend it, then \"waxwing config check\""}.fail("%s", fault))
	}
	switch {
	case len(out) > 0:
	case f.Owner == "":
		out = append(out, bad{"the server does not start", "see that its file system is mounted; \"waxwing store init\" makes a new store"}.fail("%s is not there", f.Dir))
	case !f.Store:
		out = append(out, bad{"the server does not start", "see that its file system is mounted; \"waxwing store init\" makes a new one"}.fail("%s holds no store", f.Dir))
	case f.Owner == "root":
		out = append(out, bad{"the server runs as root then, and whoever finds a fault in it has the whole machine", "\"useradd --system --user-group waxwing; chown -R waxwing: " + f.Dir + "\""}.warn("%s belongs to root", f.Dir))
	case f.Open:
		out = append(out, bad{"other users of the machine see what is in it", "\"chmod 700 " + f.Dir + "\""}.warn("everybody may look into %s", f.Dir))
	}
	if len(out) == 0 {
		out = append(out, ok("%s is in order; %s belongs to %s", f.Path, f.Dir, f.Owner))
	}
	return out
}

// Milter is a filter that is asked about mail before it is taken.
type Milter struct {
	Name    string
	Address string
	About   string // whose mail it is asked about
	Failure string // what becomes of mail while it does not answer
	Trouble string // why it cannot be asked; "": it can
}

// Milters say whether each can be asked.
func Milters(all []Milter) (out []Finding) {
	for _, m := range all {
		b := bad{"mail of " + m.About + " passes unseen (" + m.Failure + ")", "see that it runs, and that this server may write to " + m.Address}
		switch {
		case m.Trouble == "":
			out = append(out, ok("the milter %s answers at %s, and is asked about mail of %s", m.Name, m.Address, m.About))
		case m.Failure == "defer" || m.Failure == "reject":
			b.cause = "mail of " + m.About + " is not taken (" + m.Failure + ")"
			out = append(out, b.fail("the milter %s does not answer: %s", m.Name, m.Trouble))
		default:
			out = append(out, b.warn("the milter %s does not answer: %s", m.Name, m.Trouble))
		}
	}
	if len(all) == 0 {
		out = append(out, ok("no milter is asked"))
	}
	return out
}
