package server

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"waxwing/internal/config"
	"waxwing/internal/datadir"
)

// mayBeNil are what a whole server leaves at nil, by its type or by the way to it, and why.
var mayBeNil = map[string]string{
	"destination.Finder.Shuffle": "for tests; nil: math/rand",
	"queue.Queue.Rand":           "for tests; nil: math/rand",
	"stspolicy.Cache.Rand":       "for tests; nil: math/rand",
	"receive.Door.Rand":          "for tests; nil: crypto/rand",
	"outbox.Box.Crash":           "for tests",
	"outbox.Box.HTTP":            "for tests; nil: a client made of the other fields",
	"disk.Reserve.Free":          "for tests; nil: the system's",
	"dns.Client.Dial":            "for tests; nil: net.Dialer",
	"dns.Client.Validator":       "nil: the AD bit of a trusted resolver counts (VAL-2)",
	"dns.Server.TLS":             "of resolvers that are asked over TLS",
	"intake.Service.Verifier":    "for tests; nil: DKIM over DNS",
	"acme.Service.CA":            "without acme.directory",
	"zones.Asker.Dial":           "for tests; nil: net.Dialer",
	"evidence.Room.Rspamd":       "without junk.rspamd",
	"receive.Door.Milters":       "without [[milter]]",
	"session.Client.Login":       "of relays with a password",

	"Server.Rooms.DNSPublish.Asker.DNS.Cache":      "what is published now is what matters",
	"Server.Rooms.DNSPublish.Updater.Updater.Dial": "nil is net.Dialer",
	"Server.Rooms.Router.Reports.Finder.Self":      "a relay that the operator named is nobody's loop",
	"Server.Rooms.Alerts.Box.Maker":                "alerts are posted, and made by nobody",
	"Server.Rooms.Alerts.Box.Signer":               "alerts are mailed to our own postmaster, unsigned",
	"Server.Rooms.Alerts.Box.Count":                "there is no metric of alerts",
	"Server.Rooms.Alerts.Box.Hosted":               "alerts have no addresses of strangers",
	"Server.Rooms.Alerts.Box.Family.Address":       "alerts have no addresses of strangers",
}

// Nothing of a server is missing once it is built: a nil in it would be found by the
// first message that needs it.
func TestWhole(t *testing.T) {
	t.Parallel()
	cfg := parse(t, config.MX, config.Submission, config.Submissions, config.HTTPS, config.Metrics)
	dir, err := os.MkdirTemp("", "whole") // short enough for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	cfg.Listen[0].ProxyFrom = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	cfg.Companion = config.Companion{Datagrams: filepath.Join(dir, "datagrams"), Policies: []string{"unix:" + filepath.Join(dir, "policies")}, ReportRelay: "127.0.0.1:25"}
	cfg.Sendmail.Socket = filepath.Join(dir, "sendmail")
	if _, err := datadir.InitStore(t.Context(), cfg, nil); err != nil {
		t.Fatal(err)
	}
	b, err := newBuilder(Options{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	s, err := b.server(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w := walk{seen: map[uintptr]bool{}, missing: map[string]string{}}
	w.value(reflect.ValueOf(s), "Server")
	f, err := b.front(t.Context(), s.Rooms, dir)
	if err != nil {
		t.Fatal(err)
	}
	w.value(reflect.ValueOf(f.door), "door")
	w.value(reflect.ValueOf(f.logins), "logins")
	w.value(reflect.ValueOf(f.submitted()), "submission")
	w.value(reflect.ValueOf(f.apiHandler()), "api")
	used := map[string]bool{}
	for path, field := range w.missing {
		if mayBeNil[field] == "" && mayBeNil[path] == "" {
			t.Errorf("%s is nil: %s", path, field)
		}
		used[field], used[path] = true, true
	}
	for name := range mayBeNil {
		if !used[name] {
			t.Errorf("%s is never nil: take it out of the list", name)
		}
	}
	if len(w.seen) < 30 {
		t.Errorf("only %d values were looked at", len(w.seen))
	}
}

// walk goes through the structs of this module: all fields of this package's, the
// exported ones of others'.
type walk struct {
	seen    map[uintptr]bool
	missing map[string]string // the ways to what is nil, and the fields there
}

func (w walk) value(v reflect.Value, path string) {
	switch v.Kind() {
	case reflect.Interface:
		w.value(v.Elem(), path)
	case reflect.Pointer:
		if !w.seen[v.Pointer()] {
			w.seen[v.Pointer()] = true
			w.value(v.Elem(), path)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			w.value(v.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	case reflect.Struct:
		if strings.HasPrefix(v.Type().PkgPath(), "waxwing") {
			w.fields(v, path)
		}
	}
}

func (w walk) fields(v reflect.Value, path string) {
	own := v.Type().PkgPath() == reflect.TypeFor[Server]().PkgPath()
	for i := range v.NumField() {
		f, x := v.Type().Field(i), v.Field(i)
		if !own && !f.IsExported() {
			continue
		}
		switch x.Kind() {
		case reflect.Pointer, reflect.Interface, reflect.Func, reflect.Chan:
			if x.IsNil() || x.Kind() == reflect.Interface && x.Elem().Kind() == reflect.Pointer && x.Elem().IsNil() {
				w.missing[path+"."+f.Name] = v.Type().String() + "." + f.Name
				continue
			}
		}
		w.value(x, path+"."+f.Name)
	}
}
