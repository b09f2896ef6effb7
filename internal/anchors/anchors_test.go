package anchors

import (
	"context"
	"crypto"
	"errors"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/dns/validate"
	"waxwing/dns/validate/proof"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// VAL-3: what one machine has seen of a roll-over counts for all, also after a start; a zone is asked for once.
func TestRoom(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx := context.Background()
		now := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
		var keys []*wire.DNSKEY
		var signers []crypto.Signer
		for range 2 {
			k := &wire.DNSKEY{Hdr: wire.RR_Header{Name: ".", Rrtype: wire.TypeDNSKEY, Class: wire.ClassINET, Ttl: 172800}, Flags: 257, Protocol: 3, Algorithm: wire.ECDSAP256SHA256}
			p, err := k.Generate(256)
			if err != nil {
				t.Fatal(err)
			}
			keys, signers = append(keys, k), append(signers, p.(crypto.Signer))
		}
		asked, silent := 0, false
		fetch := func(context.Context, string, uint16, int) (*wire.Msg, error) {
			if asked++; silent {
				return nil, errors.New("silent")
			}
			m := &wire.Msg{Answer: []wire.RR{keys[0], keys[1]}}
			sig := &wire.RRSIG{Hdr: wire.RR_Header{Ttl: 172800}, KeyTag: keys[0].KeyTag(), SignerName: ".", Algorithm: keys[0].Algorithm,
				Inception: uint32(now.Add(-time.Hour).Unix()), Expiration: uint32(now.Add(20 * 24 * time.Hour).Unix())}
			if err := sig.Sign(signers[0], m.Answer); err != nil {
				t.Fatal(err)
			}
			m.Answer = append(m.Answer, sig)
			return m, nil
		}
		base := []proof.Anchor{{Zone: ".", DS: []*wire.DS{keys[0].ToDS(wire.SHA256)}}}
		var set []proof.Anchor
		machine := func() *Room {
			return &Room{DB: db, Base: base, Fetch: fetch, Set: func(a []proof.Anchor) { set = a }, Now: func() time.Time { return now }}
		}
		look := func(wantAsked, wantKeys int) {
			t.Helper()
			for range 2 {
				if err := machine().Look(ctx); err != nil {
					t.Fatal(err)
				}
			}
			if asked != wantAsked || len(set) != 1 || len(set[0].Keys) != wantKeys {
				t.Errorf("asked %d times, anchors %+v; want %d, %d keys", asked, set, wantAsked, wantKeys)
			}
		}
		look(1, 1)
		now = now.Add(16 * 24 * time.Hour)
		silent = true
		look(2, 1)
		silent = false
		now = now.Add(25 * 24 * time.Hour)
		look(3, 2)
		got, err := machine().Tracked(ctx, ".")
		if err != nil || len(got.Keys) != 2 || got.Keys[0].State != validate.KeyValid || got.Keys[1].State != validate.KeyValid || !got.Success.Equal(now) {
			t.Errorf("%+v, %v", got, err)
		}
	})
}
