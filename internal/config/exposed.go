package config

import (
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
)

// Exposed are the files with secrets that everybody on this machine can read: this one,
// if it holds one, and private keys. Check refuses them, unless exposed_secrets says
// "warn".
func (c *Config) Exposed() Errors {
	d := decoder{file: c.name, places: c.places}
	if keys := c.secrets(); len(keys) > 0 && OthersRead(c.name) {
		d.fault(keys[0], "everybody on this machine can read this file, and %s may hold a password: chmod o-rwx %s, and give it to the user that the server runs as, or set exposed_secrets = \"warn\"", keys[0], c.name)
	}
	if _, key, _ := c.TLSFiles(); key != "" && OthersRead(key) {
		at := "tls.key_file"
		if c.TLS.LocalCA {
			at = "tls.local_ca"
		}
		d.fault(at, "everybody on this machine can read the private key %s: chmod o-rwx %s, or set exposed_secrets = \"warn\"", key, key)
	}
	c.exposedKeys(&d)
	return d.errs
}

// exposedKeys are private keys beside that of [tls]: of listeners, and the host's own.
func (c *Config) exposedKeys(d *decoder) {
	for i, l := range c.Listen {
		if l.KeyFile != "" && OthersRead(l.KeyFile) {
			d.fault(fmt.Sprintf("listen[%d].key_file", i), "everybody on this machine can read the private key %s: chmod o-rwx %s, or set exposed_secrets = \"warn\"", l.KeyFile, l.KeyFile)
		}
	}
	if !c.UsesHostKeys() {
		return
	}
	files, err := filepath.Glob(filepath.Join(c.HostKeysDir(), "*.key"))
	if err != nil {
		return // the pattern is good
	}
	for _, file := range files {
		if OthersRead(file) {
			d.fault("data_dir", "everybody on this machine can read the private key %s: chmod o-rwx %s, or set exposed_secrets = \"warn\"", file, file)
		}
	}
}

// secrets are the keys of the file that hold a secret. An address of a database
// without a password is none.
func (c *Config) secrets() []string {
	keys := secretKeys("", reflect.ValueOf(c).Elem())
	if u, err := url.Parse(c.Postgres); err == nil {
		if _, in := u.User.Password(); !in && !u.Query().Has("password") {
			keys = slices.DeleteFunc(keys, func(k string) bool { return k == "postgres" })
		}
	}
	return keys
}

// secretKeys are the keys below a table that are declared secret and are set.
func secretKeys(path string, v reflect.Value) (keys []string) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name := f.Tag.Get("toml")
		switch {
		case name == "":
		case f.Tag.Get("secret") != "":
			if !v.Field(i).IsZero() {
				keys = append(keys, join(path, name))
			}
		case f.Type.Kind() == reflect.Struct:
			keys = append(keys, secretKeys(join(path, name), v.Field(i))...)
		}
	}
	return keys
}

// OthersRead reports a file that users can read who are neither its owner nor of its
// group: by its mode, and through all directories above it.
func OthersRead(path string) bool {
	path, err := filepath.Abs(path)
	if err != nil {
		return false
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return false
	}
	fi, err := os.Stat(path)
	if err != nil {
		return false
	}
	var above []fs.FileMode
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		di, err := os.Stat(dir)
		if err != nil {
			return false
		}
		above = append(above, di.Mode())
		if dir == filepath.Dir(dir) {
			return open(fi.Mode(), above)
		}
	}
}

// open decides for OthersRead.
func open(file fs.FileMode, above []fs.FileMode) bool {
	if file.Perm()&0o004 == 0 {
		return false
	}
	for _, dir := range above {
		if dir.Perm()&0o001 == 0 {
			return false
		}
	}
	return true
}
