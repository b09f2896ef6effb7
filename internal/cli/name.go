package cli

import (
	"os"
	"path/filepath"
	"strings"

	"waxwing/internal/text"
)

// programName is how the program is typed once more: in the words of its caller,
// who may have it in the path, in a directory, or run it by "go run". It is pure but
// for isFile.
func programName(argv0, exe string, isFile func(string) bool) string {
	const source = "cmd/waxwing"
	switch {
	case !strings.Contains(filepath.ToSlash(exe), "/go-build") || filepath.Base(filepath.Dir(exe)) != "exe": // where "go run" puts it
	case isFile(source + "/main.go"):
		return "go run ./" + source
	default:
		return text.ShellWord(exe) // it is there as long as "go run" is
	}
	if argv0 == "" {
		return "waxwing"
	}
	return text.ShellWord(argv0)
}

func isFile(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().IsRegular()
}
