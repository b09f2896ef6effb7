package smtpclient

import (
	"crypto/tls"
	"errors"
	"net"
	"strconv"
)

// Alert is the peer's TLS alert: its number, and the name that the IANA registry
// of TLS alerts gives it ("handshake_failure"), or "alert_200" for one that is
// not registered. ok is false where the peer sent none.
func (e *HandshakeError) Alert() (number uint8, name string, ok bool) {
	var op *net.OpError
	if !errors.As(e.Err, &op) || op.Op != "remote error" {
		return 0, "", false
	}
	// crypto/tls tells the number to nobody but QUIC; its text is one to one.
	text := op.Err.Error()
	for n := range 256 {
		if tls.AlertError(n).Error() == text {
			return uint8(n), alertName(uint8(n)), true
		}
	}
	return 0, "", false
}

// alertName is the alert's name as RFC 8446 §6 and its predecessors write it.
// crypto/tls words some differently, and may do so anew in its next version.
func alertName(n uint8) string {
	switch n {
	case 0:
		return "close_notify"
	case 10:
		return "unexpected_message"
	case 20:
		return "bad_record_mac"
	case 21:
		return "decryption_failed"
	case 22:
		return "record_overflow"
	case 30:
		return "decompression_failure"
	case 40:
		return "handshake_failure"
	case 41:
		return "no_certificate"
	case 60:
		return "export_restriction"
	case 70:
		return "protocol_version"
	case 71:
		return "insufficient_security"
	case 80:
		return "internal_error"
	case 86:
		return "inappropriate_fallback"
	case 90:
		return "user_canceled"
	case 100:
		return "no_renegotiation"
	}
	return certificateAlert(n)
}

// certificateAlert names the alerts about certificates, parameters and extensions.
func certificateAlert(n uint8) string {
	switch n {
	case 42:
		return "bad_certificate"
	case 43:
		return "unsupported_certificate"
	case 44:
		return "certificate_revoked"
	case 45:
		return "certificate_expired"
	case 46:
		return "certificate_unknown"
	case 47:
		return "illegal_parameter"
	case 48:
		return "unknown_ca"
	case 49:
		return "access_denied"
	case 50:
		return "decode_error"
	case 51:
		return "decrypt_error"
	case 109:
		return "missing_extension"
	case 110:
		return "unsupported_extension"
	case 111:
		return "certificate_unobtainable"
	case 112:
		return "unrecognized_name"
	case 113:
		return "bad_certificate_status_response"
	case 114:
		return "bad_certificate_hash_value"
	case 115:
		return "unknown_psk_identity"
	case 116:
		return "certificate_required"
	case 120:
		return "no_application_protocol"
	case 121:
		return "ech_required"
	}
	return "alert_" + strconv.Itoa(int(n))
}
