package cli

import (
	"strings"

	"rsc.io/qr"
)

// quietZone is how many modules around a QR code stay light (ISO/IEC 18004 §6.3.8).
const quietZone = 4

// QR is a text as a QR code for a terminal, two rows of modules to a line. With colour it is
// dark on light whatever the terminal's colours are; else characters stand for what is light, since
// most terminals are dark.
func QR(s string, colour bool) (string, error) {
	code, err := qr.Encode(s, qr.M)
	if err != nil {
		return "", err
	}
	dark := func(x, y int) bool {
		return x >= 0 && y >= 0 && x < code.Size && y < code.Size && code.Black(x, y)
	}
	blocks := [2][2]string{{"█", "▀"}, {"▄", " "}} // by whether the upper and the lower module are dark
	if colour {
		blocks = [2][2]string{{" ", "▄"}, {"▀", "█"}}
	}
	var b strings.Builder
	for y := -quietZone; y < code.Size+quietZone; y += 2 {
		if colour {
			b.WriteString("\x1b[30;107m")
		}
		for x := -quietZone; x < code.Size+quietZone; x++ {
			b.WriteString(blocks[number(dark(x, y))][number(dark(x, y+1))])
		}
		if colour {
			b.WriteString("\x1b[0m")
		}
		b.WriteByte('\n')
	}
	return b.String(), nil
}

func number(is bool) int {
	if is {
		return 1
	}
	return 0
}
