// Package setup decides how a machine is set up (SET-1, SET-3, SET-6): from what is
// wished and what was found, which files to write where, for whom, and what is left for
// the operator to do. It is pure; package install writes what it decides.
package setup

import (
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"waxwing/dns"
	"waxwing/internal/text"
	"waxwing/smtp"
)

// Wish is what the operator asks for.
type Wish struct {
	Address  string // of the first account
	Account  string
	Domain   dns.Name
	Hostname dns.Name // zero: mail.DOMAIN
	Dir      string   // absolute; everything below it. "": where a server of this machine has it
	User     string   // who the server runs as; "": waxwing for root, else who asks
	Local    bool     // for trying out: high ports on loopback
}

// Read reads the address of the first account, and the hostname where one is typed.
func (w *Wish) Read(address, hostname string) error {
	a, rest, err := smtp.ParsePath("<"+address+">", true)
	if err != nil || rest != "" || a.Domain == "" {
		return fmt.Errorf("%q is no address such as you@example.test", address)
	}
	w.Address, w.Account = address, strings.ToLower(a.Local)
	if w.Domain, err = dns.ParseName(a.Domain); err != nil || hostname == "" {
		return err
	}
	if w.Hostname, err = dns.ParseName(hostname); err != nil {
		return fmt.Errorf("--hostname: %w", err)
	}
	return nil
}

// Facts are what was found on the machine.
type Facts struct {
	Root          bool           // who asks is root
	Writable      bool           // who asks may write to SystemDir and SystemData, as in a container
	User          bool           // the user that the server would run as exists
	Unit          bool           // a unit waxwing.service is installed, such as a package's
	Systemd       bool           // the machine is run by systemd
	LocalResolver bool           // something answers DNS at 127.0.0.1
	Program       string         // path of this program
	Ports         map[string]int // for a local machine: free ports by kind of listener
}

// Where a server of the machine has its files (SET-7).
const (
	SystemDir  = "/etc/waxwing"
	SystemData = "/var/lib/waxwing"
	systemUser = "waxwing"
	unitPath   = "/etc/systemd/system/waxwing.service"
)

// File is one file to write. It must not be there.
type File struct {
	Path string
	Text string
	Mode uint32 // permissions
	// Shared: it belongs to root and the server's group; else to the server's user alone.
	Shared bool
	// Spared: where it is there already it stays as it is, and that is no fault.
	Spared bool
}

// Plan is what is to be made.
type Plan struct {
	Wish     Wish
	Config   File
	Files    []File // beside it, written before it
	DataDir  string // absolute
	User     string // who gets what is made; "": who makes it
	UnitHint string // the command that puts the unit into place, where it cannot be written there
	Validate bool   // the resolver of the machine is used, and nobody has seen whether it validates
}

// Decide makes the plan. The error says what is in the way, and what to do.
func Decide(w Wish, f Facts) (Plan, error) {
	if w.Hostname.IsZero() {
		h, err := w.Domain.Prefix("mail")
		if err != nil {
			return Plan{}, fmt.Errorf("mail.%s is too long a name: choose another with --hostname", w.Domain)
		}
		w.Hostname = h
	}
	if !printable(w.Dir) || !printable(f.Program) {
		return Plan{}, fmt.Errorf("%q, %q: a path with control characters can stand in no unit and in few shells: choose another", w.Dir, f.Program)
	}
	if w.Local {
		return local(w, f), nil
	}
	return internet(w, f)
}

// printable reports that a path is text without control characters.
func printable(path string) bool {
	return utf8.ValidString(path) && !strings.ContainsFunc(path, unicode.IsControl)
}

func local(w Wish, f Facts) Plan {
	return Plan{Wish: w, DataDir: path.Join(w.Dir, "data"), Config: File{Path: path.Join(w.Dir, "waxwing.toml"), Text: localConfig(w, f.Ports), Mode: 0o600}}
}

func internet(w Wish, f Facts) (Plan, error) {
	system := w.Dir == ""
	switch {
	case strings.ContainsAny(f.Program, "\"'\\"):
		return Plan{}, fmt.Errorf("systemd runs no program whose path has a quote or a backslash in it: put %s elsewhere", f.Program)
	case system && !f.Root && !f.Writable:
		return Plan{}, fmt.Errorf("only root can set up the server of this machine, in %s and %s: run this as root, or choose a directory of your own with --dir", SystemDir, SystemData)
	case w.User != "" && !f.Root:
		return Plan{}, fmt.Errorf("only root can give files to the user %s: leave --user out, or run this as root", w.User)
	case w.User == "" && f.Root:
		w.User = systemUser
	}
	if f.Root && !f.User {
		return Plan{}, fmt.Errorf("this machine has no user %[1]s, as whom the server is to run: \"useradd --system --user-group %[1]s\" makes one (and so does the Debian package), or choose another with --user", w.User)
	}
	p := Plan{Wish: w, User: w.User, DataDir: SystemData, Validate: !f.LocalResolver}
	dir := SystemDir
	if !system {
		dir, p.DataDir = w.Dir, path.Join(w.Dir, "data")
	}
	p.Config = File{Path: path.Join(dir, "waxwing.toml"), Text: internetConfig(w, f, p.DataDir, system), Mode: 0o640, Shared: true}
	if system {
		p.Files = append(p.Files, File{Path: path.Join(dir, "sendmail.toml"), Text: sendmailConfig(w), Mode: 0o644, Shared: true, Spared: true})
	}
	p.unit(f, system)
	return p, nil
}

// unit adds the systemd unit, unless the machine has one: to its place where that is
// known, else beside the configuration.
func (p *Plan) unit(f Facts, system bool) {
	if system && (f.Unit || !f.Systemd) {
		return
	}
	u := File{Path: unitPath, Text: Unit(p.User, f.Program, p.Config.Path, p.DataDir), Mode: 0o644, Shared: true}
	if !system {
		u.Path = path.Join(path.Dir(p.Config.Path), "waxwing.service")
		p.UnitHint = "install -m 0644 " + text.ShellWord(u.Path) + " " + unitPath
	}
	p.Files = append(p.Files, u)
}
