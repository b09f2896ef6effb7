package route

// Secret is a password that shows itself nowhere: not in logs, not in JSON,
// not by the verbs of fmt that ask for text. string(s) is for who uses it.
type Secret string

const hidden = "[secret]"

// String hides it, and says if there is none.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// GoString hides it from %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides it from encoders, log/slog among them.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
