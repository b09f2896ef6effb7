package config_test

import (
	"errors"
	"reflect"
	"testing"

	"waxwing/internal/config"
)

// TestDocument (OPS-6): what can be read is read, a missing list differs from an empty one, and
// every fault has its line and column.
func TestDocument(t *testing.T) {
	t.Parallel()
	type thing struct {
		Name string   `toml:"name" required:"yes" example:"x"`
		List []string `toml:"list,omitempty"`
	}
	type file struct {
		Version int     `toml:"version"`
		Things  []thing `toml:"thing"`
		Others  []thing `toml:"other"`
		Gone    []thing `toml:"gone"`
	}
	var f file
	doc, err := config.ParseDocument("f", []byte("version = 2\nother = []\n[[thing]]\nname = \"a\"\nlist = [\"\u00fc\", 3]\n[[thing]]\n  nmae = \"b\"\n"), &f)
	if err != nil {
		t.Fatal(err)
	}
	doc.Fault("thing[1].name", "is empty")
	doc.Fault("thing[0].name", "is %q", f.Things[0].Name)
	want := "f:4:1: thing[0].name: is \"a\"\nf:5:14: thing[0].list[1]: must be text in quotes\n" +
		"f:6:3: thing[1].name: missing; it is needed, as in name = \"x\"\nf:7:3: thing[1].nmae: unknown key; did you mean \"name\"?"
	if err := doc.Err(); err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
	if f.Version != 2 || f.Others == nil || f.Gone != nil || !reflect.DeepEqual(f.Things[0].List, []string{"\u00fc", ""}) {
		t.Errorf("%+v", f)
	}
	var faults config.Errors
	if _, err = config.ParseDocument("f", []byte("a = 1\n b = = 2\n"), &f); !errors.As(err, &faults) || faults[0].Line != 2 || faults[0].Column != 6 {
		t.Errorf("%v", err)
	}
}
