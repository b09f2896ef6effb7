package setup

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
)

// quote writes a TOML string.
func quote(s string) string { return strconv.Quote(s) }

// listener is one [[listen]] table.
func listener(b *strings.Builder, address, kind, comment string) {
	if comment != "" {
		comment = "                # " + comment
	}
	fmt.Fprintf(b, "\n[[listen]]%s\naddress = %s\nkind = %s\n", comment, quote(address), quote(kind))
}

func localConfig(w Wish, ports map[string]int) string {
	var b strings.Builder
	b.WriteString("# Written by \"waxwing quickstart --local\": for trying out, on loopback only.\n# \"waxwing config describe\" explains every key.\n")
	fmt.Fprintf(&b, "hostname = %s\ndata_dir = \"data\"\n", quote(w.Hostname.ASCII()))
	for _, kind := range []string{"mx", "submission", "submissions", "imap", "imaps", "admin", "metrics"} {
		listener(&b, fmt.Sprintf("127.0.0.1:%d", ports[kind]), kind, "")
	}
	b.WriteString("\n[tls]\nlocal_ca = true\n\n[resolver]\nservers = [\"system\"]\n" +
		"\n# Mail that you try out comes from domains that DNS does not know.\n[incoming]\nverify = false\n")
	return b.String()
}

func internetConfig(w Wish, f Facts, dataDir string, system bool) string {
	data := dataDir
	if !system {
		data = "data"
	}
	var b strings.Builder
	b.WriteString("# Written by \"waxwing quickstart\". \"waxwing config describe\" explains every key.\n")
	fmt.Fprintf(&b, "hostname = %s\ndata_dir = %s\n", quote(w.Hostname.ASCII()), quote(data))
	listener(&b, ":25", "mx", "mail from other servers")
	listener(&b, ":465", "submissions", "mail from your users' programs")
	listener(&b, ":587", "submission", "the same, for those that begin in plaintext")
	listener(&b, ":993", "imaps", "your users' programs read their mail")
	listener(&b, ":143", "imap", "the same, for those that begin in plaintext")
	listener(&b, ":443", "https", "MTA-STS policies; TLS reports from others; the authority")
	listener(&b, AdminAddress, "admin", "pages for you, see docs/operating/pages.md")
	listener(&b, "127.0.0.1:2592", "metrics", "")
	fmt.Fprintf(&b, "\n# Certificates from an authority, for the host's own keys in the directory keys below\n# data_dir. Until the first one comes each key vouches for itself: enough for DANE and\n# other mail servers. Its terms: https://letsencrypt.org/repository/\n[acme]\ndirectory = %s\nagree_terms = true\n", quote(Authority))
	servers := `"system"`
	if f.LocalResolver {
		servers = `"127.0.0.1"`
	}
	fmt.Fprintf(&b, "\n[resolver]\nservers = [%s]\n", servers)
	if system {
		fmt.Fprintf(&b, "\n# Mail of this machine's programs, such as cron, which run as root.\n[sendmail]\nsocket = \"/run/waxwing/sendmail.sock\"\n\n[[sendmail.user]]\nuser = \"root\"\naccount = %s\n", quote(w.Account))
	}
	return b.String()
}

// AdminAddress is where the admin pages of a new server are.
const AdminAddress = "127.0.0.1:2580"

// Authority is the directory of the authority that a new server asks for certificates.
const Authority = "https://acme-v02.api.letsencrypt.org/directory"

// AuthorityCAA is how CAA records name it.
const AuthorityCAA = "letsencrypt.org"

func sendmailConfig(w Wish) string {
	return fmt.Sprintf("# Written by \"waxwing quickstart\": where the mail of this machine's programs goes.\nsocket = \"/run/waxwing/sendmail.sock\"\nfrom = %[1]s\nroot = %[1]s\n", quote(w.Address))
}

// packaged is the unit of the Debian package.
//
//go:embed waxwing.service
var packaged string

// Unit is the systemd unit of a server (SET-1): that of the package, with the user, the
// program and the places of this one.
func Unit(user, program, config, dataDir string) string {
	if user == "" {
		user = systemUser
	}
	text := packaged
	set := func(key, value string) {
		lines := strings.Split(text, "\n")
		for i, line := range lines {
			if k, _, found := strings.Cut(line, "="); found && k == key {
				lines[i] = key + "=" + value
			}
		}
		text = strings.Join(lines, "\n")
	}
	set("User", user)
	set("Group", user)
	// systemd splits commands and lists of paths at blanks, and reads % in all of them. A
	// condition is one path to its end, which a quote would be part of.
	set("ExecStart", unitWord(program)+" serve --config "+strings.ReplaceAll(unitWord(config), "$", "$$"))
	set("ConditionPathExists", specifiers(config))
	if dataDir != SystemData {
		// systemd makes and guards only what lies in /var/lib.
		set("StateDirectoryMode", "0700\nReadWritePaths="+unitWord(dataDir))
	}
	return text
}

// specifiers keeps systemd from reading a % as the beginning of one of its own words
// (systemd.unit(5), "Specifiers").
func specifiers(s string) string { return strings.ReplaceAll(s, "%", "%%") }

// unitWord writes one word of a list in a unit (systemd.syntax(7), "Quoting"), in quotes
// where it needs them. Control characters have no form that each of the keys reads: Decide
// refuses them.
func unitWord(s string) string {
	if strings.ContainsAny(s, " \"'\\;") {
		s = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
	}
	return specifiers(s)
}
