//go:build linux

package companion_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"waxwing/dkim"
	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/companion"
	"waxwing/internal/config"
	"waxwing/internal/datadir"
	"waxwing/internal/delivery"
	"waxwing/internal/outbox"
	"waxwing/internal/server"
	"waxwing/internal/signing"
)

// The environment of the test.
const (
	envTree     = "WAXWING_TRIXIE"           // a Debian trixie tree with postfix in it
	envRequired = "WAXWING_INTEROP"          // "required": fail where one would skip
	envInside   = "WAXWING_COMPANION_INSIDE" // set within the namespaces
	defaultTree = "/var/tmp/waxwing-trixie"  // where .ci/run makes one
)

// chroot is the tree as Postfix sees it: a layer over it that ends with the test.
const (
	private = "/mnt"
	chroot  = private + "/root"
	spool   = chroot + "/var/spool/postfix"
)

// TestPostfix makes the recorded deliveries again, with a real Postfix of 3.10
// or later in namespaces of its own.
func TestPostfix(t *testing.T) {
	if os.Getenv(envInside) != "" {
		inside(t)
		return
	}
	tree := os.Getenv(envTree)
	if tree == "" {
		tree = defaultTree
	}
	missing := ""
	if _, err := os.Stat(filepath.Join(tree, "usr/sbin/postfix")); err != nil {
		missing = fmt.Sprintf("no Debian trixie tree with Postfix in %s: make one with \"debootstrap --variant=minbase --include=postfix trixie %s\", or name it in $%s", tree, tree, envTree)
	} else if os.Geteuid() != 0 {
		missing = "only root can make namespaces with ports 25, 53 and 443 of their own"
	}
	if missing == "" {
		if err := exec.Command("unshare", "--mount", "--net", "--pid", "--fork", "true").Run(); err != nil {
			missing = "the system gives no namespaces: " + err.Error()
		}
	}
	if missing != "" && os.Getenv(envRequired) == "required" {
		t.Fatal("Postfix 3.10 cannot run: " + missing)
	} else if missing != "" {
		t.Skip("Postfix 3.10: " + missing)
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestPostfix$", "-test.v", "-test.timeout=4m")
	cmd.Env = append(os.Environ(), envInside+"=yes", envTree+"="+tree)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// deliveries are the recipients of the recording, in its order, with what
// Postfix is to log of each beside our policy server. Those that stood for a
// broken one (perm, badlevel, garbage) have published nothing, which is what ours
// finds; beside the recording's own they are delivered in replay.
func deliveries() [][2]string {
	return [][2]string{
		{"dane.test", "sent"}, {"danebad.test", "deferred"}, {"danenotls.test", "deferred"}, {"plain.test", "sent"}, {"none.test", "sent"},
		{"sts.test", "sent"}, {"stsbad.test", "deferred"}, {"ststesting.test", "sent"}, {"stsfail.test", "sent"}, {"stsnotls.test", "deferred"},
		{"notlsrpt.test", "sent"}, {"temp.test", "deferred"}, {"perm.test", "sent"}, {"badlevel.test", "sent"}, {"garbage.test", "sent"},
		{"nh.test", "sent"}, {"nh2.test", "sent"}, {"bücher.test", "bounced"}, {"Sts.TEST", "sent"},
		{"stsold.test", "sent"}, {"ststestplain.test", "sent"},
	}
}

func inside(t *testing.T) {
	furnish(t)
	w := newWorld(t)
	w.startServer(t)
	w.age(t)
	w.startPostfix(t)
	for _, d := range deliveries() {
		w.send(t, "user@"+d[0])
		if got := w.status(t, "user@"+d[0]); got != d[1] {
			t.Errorf("%s: %s, want %s\n%s", d[0], got, d[1], w.log(d[0]))
		}
	}
	const datagrams = 15 // as recorded, and stsold.test and those that stood for a broken policy server
	companion.EventuallyTest(t, "datagrams", func() bool { return w.datagrams(t) >= datagrams })
	if n := w.datagrams(t); n != datagrams {
		t.Errorf("%d datagrams, want %d", n, datagrams)
	}

	// What the recording's policy server gave otherwise: Sts.TEST is sts.test, a
	// policy is quoted in full, and Postfix is not told of faults in such a way that
	// it would hold back the mail: it calls the sessions with stsfail.test, which has
	// no policy in force, and stsold.test, whose old one is met, successes. The
	// collector does not (Faults).
	want := []string{
		"badlevel.test no-policy-found badlevel.test 1/0",
		"dane.test tlsa mx.dane.test 1/0",
		"danebad.test tlsa mx.danebad.test 0/1 1xcertificate-not-trusted 127.0.0.1>127.0.0.2(sink.example)",
		"danenotls.test tlsa mx.danenotls.test 0/1 1xstarttls-not-supported 127.0.0.1>127.0.0.3(sink.example)",
		"garbage.test no-policy-found garbage.test 1/0",
		"none.test no-policy-found none.test 2/0",
		"perm.test no-policy-found perm.test 1/0",
		"sts.test sts sts.test 2/0",
		"stsbad.test sts stsbad.test 0/1 1xcertificate-host-mismatch 127.0.0.1>127.0.0.2(sink.example)",
		"stsfail.test sts stsfail.test 0/1 1xsts-webpki-invalid >()",
		"stsnotls.test sts stsnotls.test 0/1 1xstarttls-not-supported 127.0.0.1>127.0.0.3(sink.example)",
		"stsold.test sts stsold.test 0/1 1xsts-webpki-invalid >()",
	}
	var got []string
	for _, r := range companion.DayRowsForTest(t, w.server.Store, w.now()) {
		got = append(got, companion.RowLineForTest(r))
		mode := map[string]string{"sts.test": "enforce", "stsbad.test": "enforce", "stsnotls.test": "enforce"}[r.Domain]
		if r.Type == "sts" && mode != "" && strings.Join(r.Strings, "; ") != "version: STSv1; mode: "+mode+"; mx: mx."+r.Domain+"; max_age: 604800" {
			t.Errorf("%s: policy-string %q", r.Domain, r.Strings)
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("rows:\n%s\nwant:\n%s\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"), w.log("smtp"))
	}
	w.moved.Store(true)
	companion.CheckReportsTest(t, w.server.Store, w.now(), map[string]string{
		"dane.test": "tlsa mx.dane.test 1/0", "danebad.test": "tlsa mx.danebad.test 0/1 certificate-not-trusted:1",
		"danenotls.test": "tlsa mx.danenotls.test 0/1 starttls-not-supported:1", "sts.test": "sts sts.test 2/0",
		"stsbad.test": "sts stsbad.test 0/1 certificate-host-mismatch:1", "stsfail.test": "sts stsfail.test 0/1 sts-webpki-invalid:1",
		"stsnotls.test": "sts stsnotls.test 0/1 starttls-not-supported:1",
		"stsold.test":   "sts stsold.test 0/1 sts-webpki-invalid:1",
		"mx.dane.test":  "tlsa mx.dane.test 1/0", "mx.danebad.test": "tlsa mx.danebad.test 0/1 certificate-not-trusted:1",
		"mx.danenotls.test": "tlsa mx.danenotls.test 0/1 starttls-not-supported:1",
	})
	w.reports(t)
	w.replay(t)
	w.otherMaps(t)
}

// restartPostfix lets it go by what it is configured to do now. After a reload, processes
// that were idle may still take a delivery with what they read before.
func (w *world) restartPostfix(t *testing.T) {
	t.Helper()
	w.run(t, nil, "/usr/sbin/postfix", "stop")
	w.run(t, nil, "/usr/sbin/postfix", "start")
}

// otherMaps holds what the docs say of other ways to ask: over a socket within
// Postfix's chroot, with the names of old, and of a server that is not there.
func (w *world) otherMaps(t *testing.T) {
	try := func(table, to, status, says string) {
		t.Helper()
		w.run(t, nil, "/usr/sbin/postconf", "-e", "smtp_tls_policy_maps="+table)
		w.restartPostfix(t)
		w.send(t, to)
		if got := w.status(t, to); got != status || !strings.Contains(w.log(says), says) {
			t.Errorf("%s: %s is %s, want %s and %q\n%s", table, to, got, status, says, w.log(""))
		}
	}
	const unix = "socketmap:unix:/run/tlsrpt/policies:"
	try(unix+"QUERY", "unix@sts.test", "sent", "Verified TLS connection established to mx.sts.test")
	try(unix+"QUERY", "unix@stsbad.test", "deferred", "Server certificate not verified")
	try(unix+"postfix", "name@none.test", "deferred", "there is no map of this name here")
	try("socketmap:inet:127.0.0.1:9:QUERYwithTLSRPT", "away@none.test", "deferred", "client TLS configuration problem")
	out, err := exec.Command("/usr/sbin/chroot", chroot, "/usr/sbin/postmap", "-q", "dane.test", "socketmap:inet:127.0.0.1:8642:QUERYwithTLSRPT").CombinedOutput()
	if err != nil || string(out) != "dane-only\n" {
		t.Errorf("postmap -q: %q, %v", out, err)
	}
}

// age lets our server fetch the policy of stsold.test, of which there then is a
// new one that cannot be had.
func (w *world) age(t *testing.T) {
	f := w.server.STS.Find(context.Background(), delivery.RecipientDomain{Name: dns.MustParse("stsold.test")})
	if f.Policy == nil {
		t.Fatalf("stsold.test: %+v", f)
	}
	w.stale.Store(true)
	w.dns.Remove("_mta-sts.stsold.test", "TXT")
	if err := w.dns.Add("test", `_mta-sts.stsold 0 IN TXT "v=STSv1; id=2"`); err != nil {
		t.Fatal(err)
	}
}

// reports are sent through Postfix (CMP-4), arrive even where TLS fails
// (RFC 8460 §5.3), and are themselves not reported (RPT-3).
func (w *world) reports(t *testing.T) {
	before := w.datagrams(t)
	sum, err := w.server.TLSReport.SendDay(context.Background(), outbox.SendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"dane.test", "danebad.test", "danenotls.test", "sts.test", "stsbad.test", "stsfail.test", "stsnotls.test", "stsold.test"}
	companion.EventuallyTest(t, fmt.Sprintf("reports %+v", sum.Made), func() bool { return len(w.sink.reports()) >= len(want) })
	if got := w.sink.reports(); !slices.Equal(got, want) {
		t.Errorf("reports about %v arrived, want %v", got, want)
	}
	time.Sleep(300 * time.Millisecond)
	if got := w.datagrams(t); got != before {
		t.Errorf("%d datagrams about the delivery of reports", got-before)
	}
}

// furnish makes the namespaces a machine with the tree in it.
func furnish(t *testing.T) {
	t.Helper()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	must("private mounts", syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
	must("proc", syscall.Mount("proc", "/proc", "proc", 0, ""))
	must("tmpfs", syscall.Mount("tmpfs", private, "tmpfs", 0, "mode=0755"))
	for _, d := range []string{"upper", "work", "root"} {
		must(d, os.Mkdir(filepath.Join(private, d), 0o755))
	}
	must("overlay", syscall.Mount("overlay", chroot, "overlay", 0, "lowerdir="+os.Getenv(envTree)+",upperdir="+private+"/upper,workdir="+private+"/work"))
	must("proc of the tree", syscall.Mount("proc", chroot+"/proc", "proc", 0, ""))
	must("dev of the tree", syscall.Mount("/dev", chroot+"/dev", "", syscall.MS_BIND|syscall.MS_REC, ""))
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	must("socket", err)
	defer syscall.Close(fd)
	up := struct {
		name  [16]byte
		flags uint16
		_     [22]byte
	}{flags: syscall.IFF_UP}
	copy(up.name[:], "lo")
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&up))); errno != 0 {
		t.Fatal("lo:", errno)
	}
}

// world is what stands around Postfix and us: DNS, mail hosts, policy hosts.
type world struct {
	pki    *pki
	sink   *sink
	dns    *dnstest.Server
	key    string      // SHA-256 of the mail hosts' key, as Postfix writes it
	stale  atomic.Bool // the policy host of stsold.test has lost its certificate
	server *server.Server
	moved  atomic.Bool // the clock of our server has passed midnight
}

// now is our server's clock.
func (w *world) now() time.Time {
	if w.moved.Load() {
		return time.Now().AddDate(0, 0, 1)
	}
	return time.Now()
}

func newWorld(t *testing.T) *world {
	w := &world{pki: newPKI(t), sink: &sink{}}
	mail := w.pki.issue(t, "mx.sts.test", "mx.stsold.test")
	records := []string{}
	add := func(format string, args ...any) { records = append(records, fmt.Sprintf(format, args...)) }
	for domain, ip := range map[string]string{"dane": "2", "danebad": "2", "danenotls": "3", "plain": "3", "none": "2", "sts": "2", "stsbad": "2",
		"ststesting": "2", "stsfail": "2", "stsnotls": "3", "stsold": "2", "ststestplain": "3", "notlsrpt": "2", "temp": "2",
		"perm": "2", "garbage": "2", "badlevel": "2", "xn--bcher-kva": "2"} {
		add("%s 300 IN MX 10 mx.%s", domain, domain)
		add("mx.%s 300 IN A 127.0.0.%s", domain, ip)
		if domain != "notlsrpt" {
			add(`_smtp._tls.%s 300 IN TXT "v=TLSRPTv1; rua=mailto:tls@%s.test"`, domain, domain)
		}
		if strings.HasPrefix(domain, "sts") {
			add(`_mta-sts.%s 0 IN TXT "v=STSv1; id=1"`, domain)
			add("mta-sts.%s 300 IN A 127.0.0.4", domain)
		}
	}
	key := sha256.Sum256(mail.Leaf.RawSubjectPublicKeyInfo)
	w.key = fmt.Sprintf("%X", key)
	add("_25._tcp.mx.dane 300 IN TLSA 3 1 1 %x", key)
	add("_25._tcp.mx.danenotls 300 IN TLSA 3 1 1 %x", key)
	add("_25._tcp.mx.danebad 300 IN TLSA 3 1 1 %x", make([]byte, 32))
	d, err := dnstest.StartAt("127.0.0.1:53", dnstest.Zone{Name: "test", Security: dns.Secure, Records: records})
	if err != nil {
		t.Fatal(err)
	}
	d.Fail(dnstest.Failure{Name: "_25._tcp.mx.temp.test", Type: "TLSA"})
	w.sink.listen(t, "127.0.0.2:25", &tls.Config{Certificates: []tls.Certificate{mail}})
	w.sink.listen(t, "127.0.0.3:25", nil)
	w.dns = d
	w.policyHosts(t)
	return w
}

// policyHosts serves the MTA-STS policies; that of stsfail.test has a
// certificate of nobody.
func (w *world) policyHosts(t *testing.T) {
	stranger := newPKI(t)
	certs := map[string]tls.Certificate{}
	for _, d := range []string{"sts.test", "stsbad.test", "ststesting.test", "stsfail.test", "stsnotls.test", "stsold.test", "ststestplain.test"} {
		by := w.pki
		if d == "stsfail.test" {
			by = stranger
		}
		certs["mta-sts."+d] = by.issue(t, "mta-sts."+d)
	}
	l, err := tls.Listen("tcp", "127.0.0.4:443", &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		c, ok := certs[h.ServerName]
		if h.ServerName == "mta-sts.stsold.test" && w.stale.Load() {
			c = certs["mta-sts.stsfail.test"]
		}
		if !ok {
			return nil, fmt.Errorf("no certificate for %q", h.ServerName)
		}
		return &c, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		domain := strings.TrimPrefix(r.Host, "mta-sts.")
		mode := "enforce"
		if strings.HasPrefix(domain, "ststest") {
			mode = "testing"
		}
		rw.Header().Set("Content-Type", "text/plain")
		fmt.Fprintf(rw, "version: STSv1\nmode: %s\nmx: mx.%s\nmax_age: 604800\n", mode, domain)
	})}
	go func() { _ = srv.Serve(l) }()
}

// startServer starts what "waxwing companion" runs.
func (w *world) startServer(t *testing.T) {
	dir := filepath.Join(spool, "run/tlsrpt")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse("companion.toml", []byte(`hostname = "client.sender.test"
data_dir = "`+private+`/data"
[delivery]
allow_private = true
[resolver]
servers = ["127.0.0.1"]
selftest = { signed = "", bogus = "", large = "" }
[companion]
datagrams = "`+dir+`/tlsrpt.sock"
policies = ["127.0.0.1:8642", "unix:`+dir+`/policies"]
report_relay = "127.0.0.1:25"
`))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	roots := x509.NewCertPool()
	roots.AddCert(w.pki.cert)
	if _, err := datadir.InitStore(ctx, cfg, nil); err != nil {
		t.Fatal(err)
	}
	w.server, err = server.New(ctx, server.Options{Config: cfg, Roots: roots, Now: w.now})
	if err != nil {
		t.Fatal(err)
	}
	sender := dns.MustParse("sender.test")
	if err := w.server.Accounts.AddDomain(ctx, sender); err != nil {
		t.Fatal(err)
	}
	key, err := dkim.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.server.Signing.AddKey(ctx, signing.NewKey{Domain: sender, Selector: "s", Signer: key, Now: true}); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- w.server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// mainCF is the recorded main.cf with the lines of docs/operating/postfix.md in
// the place of its own.
func mainCF(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "operating", "postfix.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, block, ok := strings.Cut(string(page), "In `main.cf`:\n\n```\n")
	block, _, end := strings.Cut(block, "```")
	if !ok || !end {
		t.Fatal("docs/operating/postfix.md shows no main.cf")
	}
	block = strings.Replace(block, "/etc/ssl/certs/ca-certificates.crt", "/etc/postfix/ca.pem", 1)
	recorded, err := os.ReadFile(filepath.Join("testdata", "main.cf"))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for l := range strings.Lines(string(recorded)) {
		name, _, _ := strings.Cut(l, " ")
		if !strings.Contains("\n"+block, "\n"+name+" = ") {
			lines = append(lines, l)
		}
	}
	return strings.Join(lines, "") + block
}

// startPostfix configures Postfix as the docs say and starts it.
func (w *world) startPostfix(t *testing.T) {
	files := map[string]string{
		"/etc/postfix/main.cf": mainCF(t), "/etc/postfix/ca.pem": w.pki.pem(),
		"/etc/resolv.conf": "nameserver 127.0.0.1\noptions trust-ad edns0\n", "/etc/hosts": "127.0.0.1 localhost\n",
	}
	for _, f := range []string{"/etc/resolv.conf", "/etc/hosts"} {
		files["/var/spool/postfix"+f] = files[f]
	}
	services, err := os.ReadFile(chroot + "/etc/services")
	if err != nil {
		services = []byte("smtp 25/tcp\n")
	}
	files["/var/spool/postfix/etc/services"] = string(services)
	for path, text := range files {
		if err := os.MkdirAll(filepath.Dir(chroot+path), 0o755); err != nil {
			t.Fatal(err)
		}
		os.Remove(chroot + path) // it may be a link
		if err := os.WriteFile(chroot+path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	w.run(t, nil, "/usr/sbin/postfix", "start")
	w.say(t)
}

func (w *world) say(t *testing.T) {
	version, err := exec.Command("/usr/sbin/chroot", chroot, "/usr/sbin/postconf", "-h", "mail_version").Output()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("Postfix %s", bytes.TrimSpace(version))
}

// run runs a program of the tree.
func (w *world) run(t *testing.T, in io.Reader, args ...string) {
	t.Helper()
	cmd := exec.Command("/usr/sbin/chroot", append([]string{chroot}, args...)...)
	cmd.Stdin = in
	// To a file: daemons keep a pipe open.
	out, err := os.CreateTemp(private, "out")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(out.Name())
		t.Fatalf("%v: %v: %s\n%s", args, err, said, w.log(""))
	}
}

func (w *world) send(t *testing.T, to string) {
	t.Helper()
	w.run(t, strings.NewReader("From: a@client.sender.test\nTo: "+to+"\nSubject: x\n\nHello.\n"), "/usr/sbin/sendmail", "-f", "a@client.sender.test", to)
}

// log is the lines of Postfix's log that hold a word.
func (w *world) log(word string) string {
	b, _ := os.ReadFile(chroot + "/var/log/postfix.log")
	var lines []string
	for l := range strings.SplitSeq(string(b), "\n") {
		if strings.Contains(l, word) {
			lines = append(lines, l)
		}
	}
	return strings.Join(lines, "\n")
}

// status is how the first attempt to a recipient ended.
func (w *world) status(t *testing.T, to string) string {
	t.Helper()
	re := regexp.MustCompile(`to=<` + regexp.QuoteMeta(to) + `>.* status=(\w+)`)
	var m []string
	companion.EventuallyTest(t, "the delivery to "+to, func() bool {
		m = re.FindStringSubmatch(w.log(to))
		return m != nil
	})
	return m[1]
}

// datagrams is how many our server has had.
func (w *world) datagrams(t *testing.T) int {
	t.Helper()
	families, err := w.server.Metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	n := 0.0
	for _, f := range families {
		if f.GetName() == "waxwing_companion_datagrams_total" {
			for _, m := range f.GetMetric() {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return int(n)
}
