//go:build linux

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Addresses of the name servers.
const (
	resolverIP = "127.0.0.1" // unbound, which validates
	authorIP   = "127.0.0.2" // NSD, with the root and everything below
)

// trust is how far a zone can be trusted.
type trust int

const (
	signed   trust = iota // signed, with a DS record in the zone above
	unsigned              // no signatures, and no DS record that would promise any
	expired               // signed, with signatures that ran out long ago
)

// zone is a zone to serve. Records are lines of a zone file below its SOA.
type zone struct {
	name    string // without the final dot; "" is the root
	trust   trust
	nsec3   bool
	records []string
}

// Everything is under .example: unbound, also within danetool, answers for
// .test itself (RFC 6761).

// tree writes all zones, signs them from the leaves up, and starts the servers.
// The root and example are added.
func tree(dir string, zones []zone) (*process, *process, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, nil, err
	}
	zones = append(zones, zone{}, zone{name: "example", nsec3: true, records: []string{"ns.example. A " + authorIP}})
	slices.SortFunc(zones, func(a, b zone) int { return b.depth() - a.depth() })
	for i, z := range zones {
		ds, err := z.write(dir)
		if err != nil {
			return nil, nil, fmt.Errorf("zone %s: %w", z.name, err)
		}
		up := slices.IndexFunc(zones, z.below)
		if up < 0 { // the root
			if err := os.WriteFile(filepath.Join(dir, "anchor"), []byte(ds+"\n"), 0o644); err != nil {
				return nil, nil, err
			}
			continue
		}
		zones[up].records = append(zones[up].records, z.name+". NS ns.example.", ds)
		if i > up {
			return nil, nil, fmt.Errorf("zone %s is signed after the zone above it", z.name)
		}
	}
	nsd, err := startNSD(dir, zones)
	if err != nil {
		return nil, nil, err
	}
	unbound, err := startUnbound(dir, resolverIP, "validator iterator")
	return nsd, unbound, err
}

func (z zone) depth() int {
	if z.name == "" {
		return 0
	}
	return 1 + strings.Count(z.name, ".")
}

// below reports whether z is under up. Of zones in tree's order, the first such
// is the one that delegates to it.
func (z zone) below(up zone) bool {
	return z.name != up.name && (up.name == "" || strings.HasSuffix(z.name, "."+up.name))
}

func (z zone) file() string {
	if z.name == "" {
		return "root.zone"
	}
	return z.name + ".zone"
}

// write makes the zone's file, signed by ldns, and returns its DS record.
func (z zone) write(dir string) (ds string, err error) {
	lines := []string{"$TTL 300", "$ORIGIN " + z.name + ".", "@ SOA ns.example. hostmaster.example. 1 3600 600 864000 60", "@ NS ns.example."}
	text := strings.Join(append(lines, z.records...), "\n") + "\n"
	path := filepath.Join(dir, z.file())
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil || z.trust == unsigned {
		return "", err
	}
	key, err := output(dir, "ldns-keygen", "-a", "ECDSAP256SHA256", "-k", z.name+".")
	if err != nil {
		return "", err
	}
	key = strings.TrimSpace(key)
	args := []string{"-f", path, "-o", z.name + "."}
	if z.nsec3 {
		args = append(args, "-n", "-t", "0")
	}
	if z.trust == expired {
		args = append(args, "-i", stamp(-60), "-e", stamp(-30))
	}
	if _, err := output(dir, "ldns-signzone", append(args, path, key)...); err != nil {
		return "", err
	}
	b, err := os.ReadFile(filepath.Join(dir, key+".ds"))
	return strings.TrimSpace(string(b)), err
}

func stamp(days int) string { return time.Now().UTC().AddDate(0, 0, days).Format("20060102150405") }

func startNSD(dir string, zones []zone) (*process, error) {
	conf := "server:\n ip-address: " + authorIP + "\n server-count: 1\n username: \"\"\n chroot: \"\"\n zonesdir: " + dir +
		"\n pidfile: " + dir + "/nsd.pid\n xfrdfile: " + dir + "/xfrd.state\n database: \"\"\n zonelistfile: " + dir + "/zone.list\n xfrdir: " + dir +
		"\n rrl-ratelimit: 0\nremote-control:\n control-enable: no\n"
	for _, z := range zones {
		conf += fmt.Sprintf("zone:\n name: %q\n zonefile: %q\n", z.name+".", z.file())
	}
	path := filepath.Join(dir, "nsd.conf")
	if err := os.WriteFile(path, []byte(conf), 0o644); err != nil {
		return nil, err
	}
	return start("nsd", authorIP+":53", "nsd", "-d", "-c", path)
}

// startUnbound starts a resolver on an address; with the module "iterator" alone it does not validate.
func startUnbound(dir, ip, modules string) (*process, error) {
	hints := ". NS ns.example.\nns.example. A " + authorIP + "\n"
	if err := os.WriteFile(filepath.Join(dir, "hints"), []byte(hints), 0o644); err != nil {
		return nil, err
	}
	anchor := ""
	if strings.HasPrefix(modules, "validator") {
		anchor = "trust-anchor-file: anchor\n val-log-level: 2"
	}
	// unbound answers for "example." itself if it is not told otherwise (RFC 6761).
	conf := fmt.Sprintf(`server:
 interface: %s
 access-control: 127.0.0.0/8 allow
 do-ip6: no
 do-not-query-localhost: no
 local-zone: "example." nodefault
 username: ""
 chroot: ""
 directory: %q
 pidfile: ""
 root-hints: hints
 %s
 module-config: %q
 use-syslog: no
 logfile: ""
 num-threads: 1
remote-control:
 control-enable: no
`, ip, dir, anchor, modules)
	path := filepath.Join(dir, "unbound-"+ip+".conf")
	if err := os.WriteFile(path, []byte(conf), 0o644); err != nil {
		return nil, err
	}
	return start("unbound", ip+":53", "unbound", "-d", "-c", path)
}
