package pages

import (
	"encoding/base64"
	"fmt"
	"html/template"

	"rsc.io/qr"
)

// QR is a text for a phone's camera.
type QR struct {
	Title string
	Of    string // the text
	Says  string // what it is, for those who cannot see it
}

func (QR) template() string { return "qr" }

// Image is the code as a PNG in a URL; "" for a text that is too long for one.
func (q QR) Image() (template.URL, error) {
	code, err := qr.Encode(q.Of, qr.M)
	if err != nil {
		return "", fmt.Errorf("a QR code of %d octets: %w", len(q.Of), err)
	}
	code.Scale = 4
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(code.PNG())), nil //nolint:gosec // made here
}
