package dane

// Certificate usages (RFC 6698 §2.1.1). SMTP knows TA and EE only (RFC 7672 §3.1.3).
const (
	UsagePKIXTA uint8 = 0
	UsagePKIXEE uint8 = 1
	UsageTA     uint8 = 2
	UsageEE     uint8 = 3
)

// Record is one TLSA record that is usable for SMTP (DANE-1); Usable makes
// them from what DNS gave.
type Record struct {
	Usage, Selector, MatchingType uint8
	Data                          []byte
}
