package config

import (
	"encoding/base64"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// validateACME makes the checks of [acme] and [dns.update].
func (c *Config) validateACME(d *decoder) {
	switch {
	case c.TLS.LocalCA && c.UsesHostKeys():
		d.fault("tls.local_ca", "either local_ca, or certificates for the host's own keys ([acme], host_keys), not both")
	case c.TLS.HostKeys && c.TLS.CertFile != "":
		d.fault("tls.host_keys", "either host_keys, or cert_file and key_file, not both")
	}
	c.DNS.Update.validate(d)
	a := c.ACME
	if (a.EABKeyID == "") != (a.EABKey == "") {
		d.fault("acme.external_account_id", "external_account_id and external_account_key belong together: give both or none")
	}
	if _, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(a.EABKey, "=")); err != nil {
		d.fault("acme.external_account_key", "is not base64url") // it is not repeated
	}
	if a.Email != "" && !strings.Contains(a.Email, "@") {
		d.fault("acme.email", "%q is no mail address", a.Email)
	}
	if a.Directory == "" {
		return
	}
	if u, err := url.Parse(a.Directory); err != nil || u.Scheme != "https" || u.Host == "" {
		d.fault("acme.directory", "%q is no address like \"https://acme-v02.api.letsencrypt.org/directory\"", a.Directory)
	}
	for _, kind := range c.Challenges() {
		c.validateChallenge(d, kind)
	}
	if len(c.Challenges()) == 0 {
		d.fault("acme.challenges", "the authority cannot see that the name is ours: add a [[listen]] table of kind https on port 443 or of kind http on port 80, or [dns.update]")
	}
}

// validateChallenge: a challenge that is named needs its listener or way into the zone.
func (c *Config) validateChallenge(d *decoder, kind string) {
	need := map[string]Kind{"tls-alpn-01": HTTPS, "http-01": HTTP}[kind]
	switch {
	case need != "" && !slices.ContainsFunc(c.Listen, func(l Listen) bool { return l.Kind == need }):
		d.fault("acme.challenges", "%s needs a [[listen]] table of kind %s", kind, need)
	case kind == "dns-01" && !c.DNS.Update.On():
		d.fault("acme.challenges", "dns-01 needs [dns.update]")
	}
}

func (u DNSUpdate) validate(d *decoder) {
	if len(u.Command) > 0 && !filepath.IsAbs(u.Command[0]) {
		d.fault("dns.update.command", "%q is no path from the root, like \"/usr/local/bin/my-provider\"", u.Command[0])
	}
	if u.On() && len(u.Zones) == 0 {
		d.fault("dns.update.zones", "no zone may be written to: name those that may")
	}
	if u.Publish && !u.On() {
		d.fault("dns.update.publish", "needs server or command: say how records are written")
	}
	if u.Server != "" {
		if _, _, err := net.SplitHostPort(u.Server); err != nil {
			d.fault("dns.update.server", "%q is no address with a port, like \"192.0.2.53:53\"", u.Server)
		}
	}
	if (u.KeyName == "") != (u.Secret == "") {
		d.fault("dns.update.key_name", "key_name and key_secret belong together: give both or none")
	}
	if _, err := base64.StdEncoding.DecodeString(u.Secret); err != nil {
		d.fault("dns.update.key_secret", "is not base64") // it is not repeated
	}
}
