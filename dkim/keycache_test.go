package dkim

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
)

// A cache says of each record what reading it says, whatever was asked before, and stays within
// its bounds.
func TestKeyCache(t *testing.T) {
	t.Parallel()
	_, z := keys(t)
	var texts []string
	for _, a := range z.txt {
		texts = append(texts, a...)
	}
	if len(texts) < 2 {
		t.Fatalf("%d records", len(texts))
	}
	texts = append(texts, "", "v=DKIM1; p=", "v=DKIM1; p=!", texts[0]+"; t=s:y", texts[0]+"; n="+strings.Repeat("x", maxKeyText))
	var c KeyCache
	for range 3 {
		for i, txt := range texts {
			got, err := c.parse(txt)
			want, wantErr := parseRecord(txt)
			if !reflect.DeepEqual(got, want) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
				t.Errorf("record %d: %+v, %v, want %+v, %v", i, got, err, want, wantErr)
			}
		}
	}
	if n := len(c.recent) + len(c.older); n != len(texts)-4 { // three that cannot be read, and a long one
		t.Errorf("%d are kept", n)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 3 * maxKeys {
				txt := fmt.Sprintf("v=DKIM1; n=%d; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", i)
				if _, err := c.parse(txt); err != nil {
					t.Error(err)
				}
				if _, err := c.parse(texts[0]); err != nil { // in use all the time
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(c.recent) + len(c.older); n > maxKeys {
		t.Errorf("%d are kept", n)
	}
	if _, kept := c.recent[texts[0]]; !kept {
		if _, kept = c.older[texts[0]]; !kept {
			t.Error("what is in use was thrown away")
		}
	}
	var none *KeyCache
	if r, err := none.parse(texts[0]); err != nil || r.public == nil {
		t.Errorf("without a cache: %+v, %v", r, err)
	}
}
