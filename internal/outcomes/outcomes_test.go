package outcomes

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
)

func outcomesOf(t *testing.T, path string) []Outcome {
	t.Helper()
	o, list, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	return list
}

// Every field of a Result comes back from the file as it was.
func TestResultsSurviveTheFile(t *testing.T) {
	t.Parallel()
	var want delivery.Result
	fill(t, reflect.ValueOf(&want).Elem(), 0)
	path := filepath.Join(t.TempDir(), "outcomes")
	o, _, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Keep(Outcome{Message: 1, Claim: 1 << 62, Recipients: []int64{3}, Result: want}); err != nil {
		t.Fatal(err)
	}
	list := outcomesOf(t, path)
	want.Destination = delivery.Destination{} // explain's, and nobody's who settles
	if len(list) != 1 || list[0].Claim != 1<<62 || !reflect.DeepEqual(list[0].Result, want) {
		t.Errorf("got  %+v\nwant %+v", list, want)
	}
}

// fill gives every field a value.
func fill(t *testing.T, v reflect.Value, depth int) {
	t.Helper()
	switch v.Interface().(type) {
	case dns.Name:
		v.Set(reflect.ValueOf(dns.MustParse("mx.example.test")))
		return
	case delivery.MXHost:
		v.Set(reflect.ValueOf(delivery.MXHost{Name: dns.MustParse("mx.example.test")}))
		return
	case netip.Addr:
		v.Set(reflect.ValueOf(netip.MustParseAddr("192.0.2.1")))
		return
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(9, 7).UTC()))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("text")
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint8, reflect.Uint16:
		v.SetUint(1)
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.IsExported() && f.Tag.Get("json") != "-" { // secrets
				fill(t, v.Field(i), depth+1)
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), depth+1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(t, v.Index(0), depth+1)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		k, e := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(t, k, depth+1)
		fill(t, e, depth+1)
		v.SetMapIndex(k, e)
	case reflect.Interface: // errors, for the log only
	default:
		t.Fatalf("no value for %s", v.Type())
	}
}

// The file takes outcomes until it is full, the large ones of them without their
// sessions, and reads nothing that a crash left half written.
func TestOutcomesFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "outcomes")
	o, list, err := Open(path)
	if err != nil || len(list) != 0 {
		t.Fatal(list, err)
	}
	fi, err := os.Stat(path)
	if err != nil || fi.Size() != fileSize || fi.Mode().Perm() != 0o600 {
		t.Fatal(fi, err)
	}
	large := Outcome{Claim: 1, Result: delivery.Result{Recipients: []delivery.RecipientResult{{ID: 5, Outcome: delivery.Delivered, Text: strings.Repeat("x", 10_000)}},
		Visits: []delivery.Visit{{Sessions: []delivery.Session{{Transcript: []string{strings.Repeat("x", 200_000)}}}}}}}
	n := 0
	for ; err == nil; n++ {
		err = o.Keep(large)
	}
	if !errors.Is(err, errFull) || n < 30 {
		t.Errorf("%d kept, then %v", n, err)
	}
	list = outcomesOf(t, path)
	if len(list) != n-1 || len(list[0].Result.Visits) != 1 || len(list[n-2].Result.Visits) != 0 || list[n-2].Result.Recipients[0].ID != 5 {
		t.Errorf("%d of %d read", len(list), n-1)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{1, 2, 3}, 300_000); err != nil { // somewhere in the second
		t.Fatal(err)
	}
	if list := outcomesOf(t, path); len(list) != 1 {
		t.Errorf("%d read although the second is damaged", len(list))
	}
	for range n - 1 {
		o.Settled()
	}
	if list := outcomesOf(t, path); len(list) != 0 {
		t.Errorf("%d left", len(list))
	}
	if err := o.Keep(large); err != nil || len(outcomesOf(t, path)) != 1 {
		t.Errorf("after it was emptied: %v", err)
	}
	if err := (*File)(nil).Keep(large); err == nil {
		t.Error("kept without a file")
	}
}
