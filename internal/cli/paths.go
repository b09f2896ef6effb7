package cli

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"waxwing/internal/text"
)

// ServerConfig is the configuration of the machine's server.
const ServerConfig = "/etc/waxwing/waxwing.toml"

// Where else the configuration is looked for (SET-7).
const (
	configVariable = "WAXWING_CONFIG"
	hereConfig     = "waxwing.toml"
)

// configPath is the configuration that a command reads: the one that is named, else the
// one of the environment, else the machine's, else the one here.
func configPath(named, environment string, there func(string) bool) string {
	switch {
	case named != "":
		return named
	case environment != "":
		return environment
	case there(ServerConfig):
		return ServerConfig
	}
	return hereConfig
}

// findConfig completes --config.
func (p *Program) findConfig() {
	p.Config = configPath(p.Config, os.Getenv(configVariable), notMissing)
}

// notMissing reports that a file is there, or may be: one that cannot be looked at is not
// passed over for another.
func notMissing(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// Found reports that commands in a directory find a configuration without being told
// where it is.
func Found(config, wd string) bool {
	found := configPath("", os.Getenv(configVariable), notMissing)
	if !filepath.IsAbs(found) {
		found = filepath.Join(wd, found)
	}
	return found == config
}

// Calling is how the program is typed, with the configuration where it is not found without.
func (p *Program) Calling(config string) func(verb string) string {
	in := ""
	if wd, err := os.Getwd(); err == nil && !Found(config, wd) {
		in = " --config " + text.ShellWord(config)
	}
	return func(verb string) string {
		return strings.Join([]string{cmp.Or(p.Name, "waxwing"), verb}, " ") + in
	}
}
