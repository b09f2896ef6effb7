package body_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"waxwing/internal/body"
	"waxwing/internal/delivery"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

const chunk = 256 << 10

func each(t *testing.T, fn func(t *testing.T, db *store.Store, s *body.Store, now *time.Time)) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
		fn(t, db, &body.Store{DB: db, Now: func() time.Time { return now }}, &now)
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, db *store.Store, fn func(tx *store.Tx) error) {
	t.Helper()
	must(t, db.Write(t.Context(), fn))
}

func rows(t *testing.T, db *store.Store) (bodies, chunks int) {
	t.Helper()
	must(t, db.Read(t.Context(), func(tx *store.Tx) error {
		return tx.Row(`SELECT (SELECT count(*) FROM bodies), (SELECT count(*) FROM body_chunks)`).Scan(&bodies, &chunks)
	}))
	return bodies, chunks
}

func read(t *testing.T, s *body.Store, id int64, size int) ([]byte, error) {
	t.Helper()
	c, err := s.Open(t.Context(), id, int64(size))
	if err != nil {
		return nil, err
	}
	r, err := c.Open()
	must(t, err)
	defer r.Close()
	return io.ReadAll(r)
}

// A body is there while somebody holds it, whatever its size, and not a moment longer.
func TestUsers(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, s *body.Store, _ *time.Time) {
		for i, size := range []int{0, 1, body.MaxInline, body.MaxInline + 1, chunk, 3*chunk + 1, 20 * chunk, 20*chunk - 1} {
			s.Keep = i%2 == 0 // compressed or not, it is the same to everybody
			data := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
			id := store.NewID()
			if size <= body.MaxInline {
				write(t, db, func(tx *store.Tx) error { return body.Insert(tx, id, body.Pack(data), 2) })
			} else {
				must(t, s.Put(t.Context(), id, delivery.Bytes(data)))
				write(t, db, func(tx *store.Tx) error { return body.Use(tx, id, 2) })
			}
			for i := range 3 { // of which the last finds it gone
				got, err := read(t, s, id, size)
				if i == 2 {
					if !errors.Is(err, body.ErrGone) {
						t.Errorf("size %d: without users %v, want ErrGone", size, err)
					}
					break
				}
				if err != nil || !bytes.Equal(got, data) {
					t.Errorf("size %d: %d octets, %v", size, len(got), err)
				}
				write(t, db, func(tx *store.Tx) error { return body.Drop(tx, id) })
				must(t, s.Remove(t.Context(), id))
			}
			for _, fn := range []func(*store.Tx) error{
				func(tx *store.Tx) error { return body.Use(tx, id, 1) },
				func(tx *store.Tx) error { return body.Drop(tx, id) },
			} {
				if err := db.Write(t.Context(), fn); !errors.Is(err, body.ErrGone) {
					t.Errorf("size %d: a body that is gone: %v", size, err)
				}
			}
		}
		if b, c := rows(t, db); b+c != 0 {
			t.Errorf("%d bodies and %d chunks are left", b, c)
		}
	})
}

// Remove leaves alone what has a user, and an undone transaction changes no count.
func TestRemoveSparesWhatIsHeld(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, s *body.Store, now *time.Time) {
		must(t, s.Put(t.Context(), 1, delivery.Bytes(make([]byte, 2*chunk))))
		write(t, db, func(tx *store.Tx) error { return body.Use(tx, 1, 1) })
		undone := errors.New("undone")
		err := db.Write(t.Context(), func(tx *store.Tx) error {
			if err := body.Drop(tx, 1); err != nil {
				return err
			}
			return undone
		})
		if !errors.Is(err, undone) {
			t.Error(err)
		}
		*now = now.Add(2 * body.OrphanAge)
		must(t, s.Remove(t.Context(), 1))
		must(t, s.Sweep(t.Context()))
		if got, err := read(t, s, 1, 2*chunk); err != nil || len(got) != 2*chunk {
			t.Errorf("%d octets, %v", len(got), err)
		}
	})
}

// The sweep takes what was put and never used once it is old enough, and what lost
// its last user at once.
func TestSweep(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, s *body.Store, now *time.Time) {
		data := delivery.Bytes(make([]byte, 9*chunk))
		for id := int64(1); id <= 3; id++ {
			must(t, s.Put(t.Context(), id, data))
		}
		write(t, db, func(tx *store.Tx) error {
			if err := body.Use(tx, 1, 1); err != nil {
				return err
			}
			return body.Use(tx, 2, 1)
		})
		write(t, db, func(tx *store.Tx) error { return body.Drop(tx, 2) }) // and the crash came before Remove
		must(t, s.Sweep(t.Context()))
		if b, c := rows(t, db); b != 2 || c != 18 {
			t.Errorf("%d bodies and %d chunks, want the one in use and the one just put", b, c)
		}
		*now = now.Add(body.OrphanAge + time.Second)
		must(t, s.Sweep(t.Context()))
		if b, c := rows(t, db); b != 1 || c != 9 {
			t.Errorf("%d bodies and %d chunks, want the one in use", b, c)
		}
	})
}

// liar announces another size than it has, or breaks.
type liar struct {
	size int64
	r    io.Reader
}

func (l liar) Size() int64                  { return l.size }
func (l liar) Open() (io.ReadCloser, error) { return io.NopCloser(l.r), nil }

// What is not as it was announced is refused, and nobody ever holds it.
func TestPutRefuses(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, s *body.Store, _ *time.Time) {
		for i, c := range []struct {
			c    liar
			want string
		}{
			{liar{2 * chunk, strings.NewReader("x")}, "1 octets, 524288 were announced"},
			{liar{chunk, bytes.NewReader(make([]byte, 5*chunk))}, "were announced"},
			{liar{chunk, iotest.ErrReader(errors.New("broken"))}, "broken"},
		} {
			id := int64(i + 1)
			if err := s.Put(t.Context(), id, c.c); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
			must(t, s.Remove(t.Context(), id))
		}
		if err := db.Write(t.Context(), func(tx *store.Tx) error {
			return body.Insert(tx, 9, body.Packed{Data: make([]byte, body.MaxInline+1)}, 1)
		}); err == nil {
			t.Error("a large body went into one transaction")
		}
		if b, c := rows(t, db); b+c != 0 {
			t.Errorf("%d bodies and %d chunks are left", b, c)
		}
	})
}

// A body that is damaged is an error, never a short message or an early EOF.
func TestDamage(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, s *body.Store, _ *time.Time) {
		for _, c := range []struct{ damage, want string }{
			{`DELETE FROM body_chunks WHERE part = 1`, "ends after 262144 of 786432 octets"},
			{`DELETE FROM body_chunks WHERE part = 2`, "ends after 524288 of 786432 octets"},
			{`UPDATE body_chunks SET data = (SELECT data FROM bodies WHERE data IS NOT NULL) WHERE part = 1`, "ends after 524289 of"},
		} {
			id := store.NewID()
			must(t, s.Put(t.Context(), id, delivery.Bytes(make([]byte, 3*chunk))))
			write(t, db, func(tx *store.Tx) error {
				if err := body.Insert(tx, store.NewID(), body.Packed{Data: []byte("x")}, 1); err != nil {
					return err
				}
				if _, err := tx.Exec(c.damage); err != nil {
					return err
				}
				return body.Use(tx, id, 1)
			})
			if got, err := read(t, s, id, 3*chunk); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %d octets, error %v; want %q", c.damage, len(got), err, c.want)
			}
			write(t, db, func(tx *store.Tx) error {
				_, err := tx.Exec(`DELETE FROM bodies`)
				return err
			})
		}
		write(t, db, func(tx *store.Tx) error { return body.Insert(tx, 7, body.Packed{Data: []byte("xy")}, 1) })
		if _, err := read(t, s, 7, 3); err == nil {
			t.Error("a small body with an octet too few was read")
		}
	})
}
