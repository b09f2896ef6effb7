package sendmail

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/pelletier/go-toml/v2"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/message"
)

// config is sendmail.toml. Either Socket or Server says where mail goes.
type config struct {
	Socket       string   `toml:"socket"`
	Server       string   `toml:"server"`
	Port         int      `toml:"port"`
	TLS          string   `toml:"tls"` // implicit, starttls; "": by the port
	User         string   `toml:"user"`
	Password     string   `toml:"password"`
	PasswordFile string   `toml:"password_file"`
	Mechanisms   []string `toml:"mechanisms"`
	RootsFile    string   `toml:"roots_file"`
	EHLO         string   `toml:"ehlo"`
	From         string   `toml:"from"`
	Domain       string   `toml:"domain"`
	Root         string   `toml:"root"`
	Need         string   `toml:"need"`
	ServerConfig string   `toml:"server_config"` // of the server on this machine, for mailq

	from, root message.Address // read from From and Root
	need       delivery.TLSNeed
}

const (
	systemConfig  = "/etc/waxwing/sendmail.toml"
	defaultSocket = "/run/waxwing/sendmail.sock"
	maxConfig     = 64 << 10
)

// findConfig is where the configuration is: what -C says, else the user's, else the
// system's; "" if there is none. One that nobody named and that cannot be read is no
// reason to send no mail: it is warned of, and the next one counts.
func findConfig(given string) (path string, warnings []string) {
	if given != "" {
		return given, nil
	}
	var paths []string
	if dir, err := os.UserConfigDir(); err == nil {
		paths = append(paths, filepath.Join(dir, "waxwing", "sendmail.toml"))
	}
	for _, p := range append(paths, systemConfig) {
		f, err := os.Open(p)
		switch {
		case err == nil:
			f.Close()
			return p, warnings
		case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR):
			warnings = append(warnings, err.Error()+": this file does not count")
		}
	}
	return "", warnings
}

// loadConfig reads the configuration strictly. Without a file, mail goes to
// the local server's socket.
func loadConfig(path string) (*config, error) {
	c := &config{}
	if path == "" {
		c.Socket = defaultSocket
		return c, nil
	}
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if fi.Size() > maxConfig {
		return nil, fmt.Errorf("%s has %d octets: this is no configuration", path, fi.Size())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var errs []error
	var unknown *toml.StrictMissingError
	if err := toml.NewDecoder(bytes.NewReader(b)).DisallowUnknownFields().Decode(c); errors.As(err, &unknown) {
		for _, e := range unknown.Errors {
			errs = append(errs, fmt.Errorf("unknown key %q", strings.Join(e.Key(), ".")))
		}
	} else if err != nil {
		return nil, notRead(path, err)
	}
	if c.Password != "" && fi.Mode().Perm()&0o004 != 0 {
		errs = append(errs, fmt.Errorf("everybody may read it, and it holds a password: chmod 640 it, or use password_file"))
	}
	c.anchor(filepath.Dir(path))
	errs = append(errs, c.check()...)
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("%s: %s", path, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return c, nil
}

// notRead says where a file is no TOML, or has a value of the wrong type. What the
// decoder says of it could quote the password.
func notRead(path string, err error) error {
	var at *toml.DecodeError
	if !errors.As(err, &at) {
		return fmt.Errorf("%s: this is no TOML", path)
	}
	line, _ := at.Position()
	if key := at.Key(); len(key) > 0 {
		return fmt.Errorf("%s:%d: %s: written twice, or of the wrong type: texts stand in quotes, the port is a number, mechanisms are a list of texts", path, line, strings.Join(key, "."))
	}
	return fmt.Errorf("%s:%d: this line is no TOML: write key = \"value\"", path, line)
}

// anchor makes relative paths count from the file's directory.
func (c *config) anchor(dir string) {
	for _, p := range []*string{&c.Socket, &c.PasswordFile, &c.RootsFile, &c.ServerConfig} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
}

func (c *config) check() []error {
	var errs []error
	add := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	add(c.Server == "" && c.Socket == "", "says neither server nor socket")
	add(c.Server != "" && c.Socket != "", "either server or socket, not both")
	add(c.Socket != "" && (c.Port != 0 || c.TLS != "" || c.User != "" || c.Password != "" || c.PasswordFile != "" || len(c.Mechanisms) > 0 || c.RootsFile != "" || c.EHLO != ""),
		"the socket needs no port, tls, user, password, mechanisms, roots_file or ehlo")
	add(c.Port < 0 || c.Port > 65535, "port %d is none", c.Port)
	add(c.TLS != "" && c.TLS != "implicit" && c.TLS != "starttls", "tls is \"implicit\" or \"starttls\", not %q; mail never goes without", c.TLS)
	add(c.User == "" && (c.Password != "" || c.PasswordFile != ""), "a password without a user")
	add(c.User != "" && c.Password == "" && c.PasswordFile == "", "a user without password or password_file")
	add(c.Password != "" && c.PasswordFile != "", "either password or password_file, not both")
	if c.Server != "" {
		_, err := dns.ParseName(c.Server)
		add(err != nil, "server must be a host name, which its certificate is verified for: %v", err)
	}
	if c.Need != "" {
		var err error
		c.need, err = delivery.ParseTLSNeed(c.Need)
		add(err != nil, "need: %v", err)
	}
	if c.Domain != "" {
		_, err := dns.ParseName(c.Domain)
		add(err != nil, "domain: %v", err)
	}
	for key, v := range map[string]struct {
		text string
		into *message.Address
	}{"from": {c.From, &c.from}, "root": {c.Root, &c.root}} {
		if v.text == "" {
			continue
		}
		list, err := message.ParseAddressList(v.text)
		add(err != nil || len(list) != 1, "%s is one mail address, not %q", key, v.text)
		if err == nil && len(list) == 1 {
			*v.into = list[0]
		}
	}
	return errs
}

// port and implicit are how the server is spoken to: 465 with TLS from the
// start is the default (RFC 8314 §3.3).
func (c *config) port() int {
	switch {
	case c.Port != 0:
		return c.Port
	case c.TLS == "starttls":
		return 587
	}
	return 465
}

func (c *config) implicit() bool {
	return c.TLS == "implicit" || c.TLS == "" && c.port() == 465
}

func (c *config) password() (string, error) {
	if c.PasswordFile == "" {
		return c.Password, nil
	}
	b, err := os.ReadFile(c.PasswordFile)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		return "", fmt.Errorf("%s holds no password on its first line", c.PasswordFile)
	}
	return line, nil
}
