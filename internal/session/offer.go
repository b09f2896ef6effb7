package session

import (
	"crypto/tls"
	"strings"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/internal/sound"
)

// offered is the offer that a session of the plan may make: a plan that is not
// satisfied with any session contradicts itself if it offers anything, which policy's
// tests rule out. The stricter half holds.
func offered(p *delivery.Plan) delivery.TLSOffer {
	if p.Demanding() {
		return delivery.OfferSound
	}
	return p.Offer
}

// applyOffer makes of an offer what crypto/tls wants (POL-10): it sets versions, cipher suites and key exchanges. The order of the suites
// is crypto/tls's: modern ones first.
func applyOffer(config *tls.Config, offer delivery.TLSOffer, small bool) {
	config.MinVersion = tls.VersionTLS12
	if offer == delivery.OfferAny {
		config.MinVersion = tls.VersionTLS10
	}
	config.CipherSuites = sound.CipherSuites(offer)
	if !small {
		return
	}
	// A post-quantum key share makes the hello longer than one TCP segment, which some
	// hosts and boxes on the way cannot take; very old ones stumble over TLS 1.3.
	config.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521}
	if offer == delivery.OfferAny {
		config.MaxVersion = tls.VersionTLS12
	}
}

// smallMayHelp: the failure may lie in our hello, so that a smaller and older one may
// be understood. What the host said of certificates, and what we found in its own, no
// hello changes.
func smallMayHelp(why reason.Word) bool {
	switch why {
	case reason.TLSTimeout, reason.TLSClosed, reason.TLSVersion, reason.TLSHandshake:
		return true
	}
	alert, ok := why.AlertName()
	if !ok {
		return false
	}
	switch alert {
	case "unrecognized-name", "access-denied", "certificate-required", "no-certificate", "bad-certificate", "unsupported-certificate",
		"certificate-revoked", "certificate-expired", "certificate-unknown", "unknown-ca", "user-canceled":
		return false
	}
	return true
}

// keyExchange names how the session's key was agreed on.
func keyExchange(cs *tls.ConnectionState) string {
	switch {
	case cs.CurveID != 0:
		return cs.CurveID.String()
	case strings.HasPrefix(tls.CipherSuiteName(cs.CipherSuite), "TLS_RSA_"):
		return "RSA"
	}
	return ""
}
