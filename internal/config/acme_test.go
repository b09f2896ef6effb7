package config

import (
	"slices"
	"strings"
	"testing"
)

// What [acme] and [dns.update] need of each other and of the listeners is said.
func TestACME(t *testing.T) {
	t.Parallel()
	const (
		head  = "hostname = \"mx.example.org\"\n[[listen]]\naddress = \"127.0.0.1:25\"\nkind = \"mx\"\n"
		https = "[[listen]]\naddress = \"127.0.0.1:443\"\nkind = \"https\"\n"
		http  = "[[listen]]\naddress = \"127.0.0.1:80\"\nkind = \"http\"\n"
		acme  = "[acme]\ndirectory = \"https://ca.example/dir\"\n"
		zone  = "[dns.update]\nserver = \"192.0.2.1:53\"\nzones = [\"example.org\"]\n"
	)
	for name, tt := range map[string]struct{ text, want string }{
		"tls-alpn-01":       {head + https + acme, "tls-alpn-01"},
		"http-01":           {head + http + acme, "http-01"},
		"all":               {head + http + https + acme + zone, "tls-alpn-01 http-01 dns-01"},
		"chosen":            {head + http + https + acme + "challenges = [\"http-01\"]\n", "http-01"},
		"persistent":        {head + acme + "challenges = [\"dns-persist-01\"]\n", "dns-persist-01"},
		"no way":            {head + acme, "! acme.challenges: the authority cannot see"},
		"no listener":       {head + http + acme + "challenges = [\"tls-alpn-01\"]\n", "! needs a [[listen]] table of kind https"},
		"no update":         {head + https + acme + "challenges = [\"dns-01\"]\n", "! dns-01 needs [dns.update]"},
		"unknown challenge": {head + https + acme + "challenges = [\"dns-02\"]\n", "! is none of"},
		"plaintext":         {head + https + strings.Replace(acme, "https:", "http:", 1), "! acme.directory"},
		"half an account":   {head + https + acme + "external_account_id = \"x\"\n", "! belong together"},
		"a bad key":         {head + https + acme + "external_account_id = \"x\"\nexternal_account_key = \"§\"\n", "! acme.external_account_key: is not base64url"},
		"with files":        {head + https + acme + "[tls]\ncert_file = \"a\"\nkey_file = \"b\"\n", "tls-alpn-01"},
		"with local_ca":     {head + https + acme + "[tls]\nlocal_ca = true\n", "! either local_ca"},
		"keys and files":    {head + "[tls]\nhost_keys = true\ncert_file = \"a\"\nkey_file = \"b\"\n", "! either host_keys"},
		"https, keys alone": {head + https + "[tls]\nhost_keys = true\n", "tls-alpn-01"},
		"https without":     {head + https, "! https needs a certificate"},
		"https of its own":  {head + https + "cert_file = \"a\"\nkey_file = \"b\"\n", "tls-alpn-01"},
		"half of its own":   {head + https + "cert_file = \"a\"\n", "! cert_file and key_file belong together"},
		"no zones":          {head + "[dns.update]\nserver = \"192.0.2.1:53\"\n", "! dns.update.zones"},
		"an empty list":     {head + strings.Replace(zone, "\"example.org\"", "", 1), "! dns.update.zones"},
		"publish, no way":   {head + "[dns.update]\nzones = [\"example.org\"]\npublish = true\n", "! dns.update.publish"},
		"a bare program":    {head + "[dns.update]\ncommand = [\"x\"]\nzones = [\"example.org\"]\n", "! dns.update.command"},
		"no port":           {head + strings.Replace(zone, ":53", "", 1), "! dns.update.server"},
		"half a TSIG key":   {head + zone + "key_name = \"x\"\n", "! belong together"},
		"a bad TSIG key":    {head + zone + "key_name = \"x\"\nkey_secret = \"§\"\n", "! key_secret: is not base64"},
	} {
		c, err := Parse("waxwing.toml", []byte(tt.text))
		if want, bad := strings.CutPrefix(tt.want, "! "); bad {
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "§") {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := c.Challenges(); !slices.Equal(got, strings.Fields(tt.want)) {
			t.Errorf("%s: %v, want %s", name, got, tt.want)
		}
	}
}
