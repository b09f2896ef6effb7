package companion

import (
	"strings"
	"testing"

	"waxwing/dns"
	"waxwing/internal/delivery"
)

// A batch is bounded in octets as well: what is unpacked at one time is what it holds.
func TestIntakeTakesFewLargeOnes(t *testing.T) {
	t.Parallel()
	q := newIntake(100, 1000)
	for _, size := range []int{30, 30, 30, 200, 1, 1} {
		if !q.put(make([]byte, size)) {
			t.Fatalf("%d octets do not fit", size)
		}
	}
	for i, want := range []int{2, 1, 1, 2, 0} {
		if got := len(q.take(10, 60)); got != want {
			t.Errorf("batch %d has %d datagrams, want %d", i, got, want)
		}
	}
	if q.bytes != 0 || q.items != nil {
		t.Errorf("left: %d octets, %v", q.bytes, q.items)
	}
}

// INB-2: a datagram of a hundred thousand strings leaves no more than are stored; it
// waits, with hundreds like it, until the store can be written.
func TestDatagramOfManyStrings(t *testing.T) {
	t.Parallel()
	many := strings.Repeat(`"",`, 40_000)
	long := `"` + strings.Repeat("x", 5000) + `"`
	b := []byte(`{"d":"a.test","policies":[{"policy-type":2,"policy-domain":"a.test","policy-string":[` + long + `,` + many + `""],"mx-host":[` + many + `""],"f":1}]}`)
	if len(b) > maxDatagram {
		t.Fatalf("%d octets", len(b))
	}
	o, err := observe(b, func(dns.Name) *delivery.TLSFailure { return nil })
	if err != nil || len(o.observations) != 1 {
		t.Fatal(o, err)
	}
	got := o.observations[0]
	if len(got.Strings) != maxStrings || cap(got.Strings) > 2*maxStrings || len(got.MX) != maxStrings || len(got.Strings[0]) > 4*maxText {
		t.Errorf("%d strings of %d, %d hosts; the first has %d octets", len(got.Strings), cap(got.Strings), len(got.MX), len(got.Strings[0]))
	}
}
