package body

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"

	"waxwing/internal/store"
)

// Damage is what is stored of a body and is not what was stored.
type Damage struct {
	Body int64
	Part int64 // of a large one
	Why  string
}

// Verified is what Verify has looked at.
type Verified struct {
	Pieces  int64 // bodies, or parts of large ones
	Octets  int64 // as they are stored
	Without int64 // pieces that have no SHA-256: of mail that passes, or of versions that kept none
}

// piece is what one row has.
type piece struct {
	Damage
	packed Packed
}

// How many rows Verify reads at a time: up to so many times 128 KiB, and 256 KiB.
const (
	verifyBodies = 64
	verifyParts  = 16
)

// Verify reads all that is stored of bodies and compares it with its SHA-256 (MBX-1). No transaction lasts longer than reading some
// megabytes; what goes meanwhile is left out.
func Verify(ctx context.Context, db *store.Store, damaged func(Damage)) (v Verified, err error) {
	scan := func(r store.Row) (p piece, err error) {
		return p, r.Scan(&p.Body, &p.Part, &p.packed.Data, &p.packed.Coding, &p.packed.Sum)
	}
	var last piece
	last.Body = -1 << 63
	for some := []piece{{}}; len(some) > 0 && err == nil; {
		some, err = store.List(ctx, db, scan, `SELECT id, CAST(0 AS BIGINT), data, coding, sha256 FROM bodies WHERE id > ? AND data IS NOT NULL ORDER BY id LIMIT ?`, last.Body, int64(verifyBodies))
		last = v.look(some, last, damaged)
	}
	last = piece{Damage: Damage{Body: -1 << 63}}
	for some := []piece{{}}; len(some) > 0 && err == nil; {
		some, err = store.List(ctx, db, scan, `SELECT body, part, data, coding, sha256 FROM body_chunks WHERE (body, part) > (?, ?) ORDER BY body, part LIMIT ?`,
			last.Body, last.Part, int64(verifyParts))
		last = v.look(some, last, damaged)
	}
	if err != nil {
		return v, fmt.Errorf("read the messages' bodies: %w", err)
	}
	return v, nil
}

// look looks at pieces, and returns the last of them.
func (v *Verified) look(some []piece, last piece, damaged func(Damage)) piece {
	for _, p := range some {
		last = piece{Damage: p.Damage}
		v.Pieces, v.Octets = v.Pieces+1, v.Octets+int64(len(p.packed.Data))
		if len(p.packed.Sum) == 0 {
			v.Without++
			continue
		}
		if p.Why = p.packed.fault(); p.Why != "" {
			damaged(p.Damage)
		}
	}
	return last
}

// fault says what is wrong with what was read; "": nothing.
func (p Packed) fault() string {
	if sum := sha256.Sum256(p.Data); !bytes.Equal(sum[:], p.Sum) {
		return "its SHA-256 is another"
	}
	if _, err := p.unpack(); err != nil {
		return err.Error()
	}
	return ""
}
