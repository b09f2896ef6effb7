package sound

import (
	"crypto/tls"
	"strings"
)

// Server is TLS as a server has it (CRT-4): TLS 1.2 and later, with ciphers that
// authenticate what they encrypt (AEAD) and keys that leave no trace (ECDHE), among
// them X25519MLKEM768, which crypto/tls prefers. Mail from other servers would come in
// plaintext rather than not at all: for them there is CBC as well, which is taken only
// where a sender has nothing better, and no session tickets: some senders stumble over
// them, and a resumed session proves less.
func Server(fromServers bool) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: serverSuites(fromServers), SessionTicketsDisabled: fromServers}
}

// serverSuites are those of TLS 1.2; those of TLS 1.3 are all good.
func serverSuites(cbc bool) []uint16 {
	var ids []uint16
	for _, s := range tls.CipherSuites() {
		aead := strings.Contains(s.Name, "_GCM_") || strings.Contains(s.Name, "_CHACHA20_")
		if strings.HasPrefix(s.Name, "TLS_ECDHE_") && (aead || cbc) {
			ids = append(ids, s.ID)
		}
	}
	return ids
}
