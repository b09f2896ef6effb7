package cli

import (
	"io"
	"os"

	"golang.org/x/term"

	"waxwing/internal/text"
)

// terminalOf looks at what w is. NO_COLOR (https://no-color.org), if it is not
// empty, and TERM=dumb switch colour off.
func terminalOf(w io.Writer, getenv func(string) string) text.Terminal {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return text.Terminal{}
	}
	t := text.Terminal{Colour: colour(getenv)}
	if width, _, err := term.GetSize(int(f.Fd())); err == nil {
		t.Width = width
	}
	return t
}

// ScreenOf is the terminal that w is; nil: it is none.
func ScreenOf(w io.Writer, getenv func(string) string) *text.Terminal {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	t := terminalOf(w, getenv)
	return &t
}

func colour(getenv func(string) string) bool {
	return getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
}
