package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/spf13/pflag"

	"waxwing/dns"
	"waxwing/internal/accounts"
	"waxwing/internal/certs"
	"waxwing/internal/config"
	"waxwing/internal/server"
	"waxwing/internal/signing"
	"waxwing/smtp"
)

// quickstartVerb sets a machine up (SET-1, SET-3).
func (p *program) quickstartVerb() verb {
	var local bool
	var dir, hostname string
	return verb{use: "quickstart ADDRESS --local [--dir DIR]", short: "write a configuration, keys and a first account", bare: true,
		example: "quickstart --local you@example.test", flags: func(fs *pflag.FlagSet) {
			fs.BoolVar(&local, "local", false, "set up for trying out: high ports on loopback, an authority of its own, no DNS")
			fs.StringVar(&dir, "dir", ".", "write everything below this `directory`")
			fs.StringVar(&hostname, "hostname", "", "`name` of this server; mail.DOMAIN if empty")
		}, run: func(ctx context.Context, args []string) error {
			if !local {
				return usagef("only --local is there in this version: it sets up a machine for trying out")
			}
			q, err := newQuickstart(args[0], dir, hostname)
			if err != nil {
				return err
			}
			if err := q.write(ctx); err != nil {
				q.undo()
				return err
			}
			q.tell(p.env)
			return nil
		}}
}

// quickstart is one set-up under way.
type quickstart struct {
	account  string
	address  string
	domain   dns.Name
	hostname dns.Name
	dir      string
	password string
	ports    map[string]int
	ca       string   // file of the local authority
	made     []string // what to remove if it fails
}

func newQuickstart(address, dir, hostname string) (*quickstart, error) {
	a, rest, err := smtp.ParsePath("<"+address+">", true)
	if err != nil || rest != "" || a.Domain == "" {
		return nil, usagef("%q is no address such as you@example.test", address)
	}
	domain, err := dns.ParseName(a.Domain)
	if err != nil {
		return nil, usagef("%v", err)
	}
	if hostname == "" {
		hostname = "mail." + domain.ASCII()
	}
	host, err := dns.ParseName(hostname)
	if err != nil {
		return nil, parseFlag("hostname", err)
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	q := &quickstart{account: strings.ToLower(a.Local), address: address, domain: domain, hostname: host, dir: dir, password: newPassword()}
	q.ports = freePorts(map[string]int{"mx": 2525, "submission": 2587, "submissions": 2465, "metrics": 2592})
	return q, nil
}

// freePorts moves a port that is taken to a free one.
func freePorts(want map[string]int) map[string]int {
	got := map[string]int{}
	for kind, port := range want {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			l, err = net.Listen("tcp", "127.0.0.1:0")
		}
		if err == nil {
			port = l.Addr().(*net.TCPAddr).Port
			defer l.Close() // after all were chosen, so that no two are the same
		}
		got[kind] = port
	}
	return got
}

var localConfig = template.Must(template.New("waxwing.toml").Parse(`# Written by "waxwing quickstart --local": for trying out, on loopback only.
# "waxwing config describe" explains every key.
hostname = "{{.Hostname}}"
data_dir = "data"

[[listen]]
address = "127.0.0.1:{{index .Ports "mx"}}"
kind = "mx"

[[listen]]
address = "127.0.0.1:{{index .Ports "submission"}}"
kind = "submission"

[[listen]]
address = "127.0.0.1:{{index .Ports "submissions"}}"
kind = "submissions"

[[listen]]
address = "127.0.0.1:{{index .Ports "metrics"}}"
kind = "metrics"

[tls]
local_ca = true

[resolver]
servers = ["system"]
`))

func (q *quickstart) write(ctx context.Context) error {
	path := filepath.Join(q.dir, "waxwing.toml")
	data := filepath.Join(q.dir, "data")
	for _, p := range []string{path, data} {
		_, err := os.Lstat(p)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("nothing can be written to %s: %w; choose another --dir", q.dir, err)
		}
		if err == nil {
			return fmt.Errorf("%s is there already, and nothing is overwritten: choose another --dir, or remove it", p)
		}
	}
	var text bytes.Buffer
	if err := localConfig.Execute(&text, map[string]any{"Hostname": q.hostname.ASCII(), "Ports": q.ports}); err != nil {
		return err
	}
	if top := missing(q.dir); top != "" {
		q.made = append(q.made, top)
	}
	if err := os.MkdirAll(q.dir, 0o755); err != nil {
		return err
	}
	q.made = append(q.made, data)
	cfg, err := config.Parse(path, text.Bytes())
	if err != nil {
		return err
	}
	var files certs.LocalFiles
	files.Cert, files.Key, files.CA = cfg.TLSFiles()
	if err := certs.MakeLocal(files, time.Now(), q.hostname.ASCII(), "localhost"); err != nil {
		return err
	}
	q.ca = files.CA
	if err := q.fill(ctx, cfg); err != nil {
		return err
	}
	// The configuration comes last: where it stands, everything stands.
	return q.create(path, text.Bytes())
}

// create writes a file that must not be there yet.
func (q *quickstart) create(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	q.made = append(q.made, path)
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// missing is the topmost of dir and the directories above it that is not there.
func missing(dir string) string {
	top := ""
	for {
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			return top
		}
		top, dir = dir, filepath.Dir(dir)
	}
}

// fill makes domain, account, address and keys in the store.
func (q *quickstart) fill(ctx context.Context, cfg *config.Config) error {
	if _, err := server.InitStore(ctx, cfg, nil); err != nil {
		return err
	}
	db, err := server.OpenStore(ctx, cfg, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	acc := &accounts.Store{DB: db}
	if err := acc.AddDomain(ctx, q.domain); err != nil {
		return err
	}
	if err := acc.AddAccount(ctx, q.account, q.password); err != nil {
		return fmt.Errorf("%w; choose another name before the @, and add the address afterwards", err)
	}
	if err := acc.AddAddress(ctx, q.address, q.account); err != nil {
		return err
	}
	sign := &signing.Service{Store: db}
	for selector, algorithm := range map[string]string{"ed25519": "ed25519", "rsa": "rsa"} {
		var key crypto.Signer
		if key, err = newKey(algorithm); err != nil {
			return err
		}
		if _, err := sign.AddKey(ctx, signing.NewKey{Domain: q.domain, Selector: selector, Signer: key, Now: true}); err != nil {
			return err
		}
	}
	return nil
}

// undo leaves nothing half done.
func (q *quickstart) undo() {
	for _, p := range q.made {
		os.RemoveAll(p)
	}
}

func (q *quickstart) tell(e env) {
	program, in := cmp.Or(e.program, "waxwing"), ""
	if wd, err := os.Getwd(); err == nil && wd != q.dir {
		in = " --config " + shellWord(filepath.Join(q.dir, "waxwing.toml"))
	}
	fmt.Fprintf(e.stdout, `Waxwing is set up for trying out in %s.

  account   %s   address %s
  password  %s   (shown this once)

Start it:            %s serve%s
Send a first mail:   swaks --server 127.0.0.1:%d --tls --auth-user %s --auth-password %s \
                       --from %s --to %s
Read it:             %s mail list%s %s   (and "mail show" with an id of that list)
Its certificate is signed by an authority made for this set-up: %s
`, q.dir, q.account, q.address, q.password, program, in, q.ports["submission"], q.account, q.password, shellWord(q.address), shellWord(q.address), program, in, q.account, q.ca)
}
