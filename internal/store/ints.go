package store

import (
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"

	"modernc.org/sqlite"
)

// Ints is Each for very many rows of integers: columns are their names, rest is what follows them in the
// query. On the way to Go, a row of such a query costs a multiple of what it costs the engine; here the
// engine packs all rows into one, of which this process needs some octets a row. A caller that wants more
// than some ten thousand rows asks for some at a time.
//
// The rows come in ascending order of the first column, which must be that of the index by which rest finds
// them. row is overwritten after fn returns.
func (tx *Tx) Ints(fn func(row []int64) error, columns []string, rest string, args ...any) error {
	pack, next := packVarint, varint
	if tx.pg {
		pack, next = packBig, bigEndian
	}
	rows, err := tx.Query(pack(columns)+" "+rest, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var all []byte
	if rows.Next() {
		if err := rows.Scan(&all); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if err := rows.Close(); err != nil { // so that fn may ask for something
		return err
	}
	return unpack(all, make([]int64, len(columns)), next, fn)
}

// unpack calls fn for each row of what an engine has packed.
func unpack(all []byte, row []int64, next func([]byte) (int64, int), fn func([]int64) error) error {
	last := int64(math.MinInt64)
	for len(all) > 0 {
		for i := range row {
			n := 0
			if row[i], n = next(all); n <= 0 {
				return fmt.Errorf("store: %d octets of rows are left that cannot be read", len(all))
			}
			all = all[n:]
		}
		if row[0] < last {
			return errors.New("store: the rows of a query for integers are not in the order of an index")
		}
		last = row[0]
		if err := fn(row); err != nil {
			return err
		}
	}
	return nil
}

func varint(b []byte) (int64, int) { return binary.Varint(b) }

func bigEndian(b []byte) (int64, int) {
	if len(b) < 8 {
		return 0, 0
	}
	return int64(binary.BigEndian.Uint64(b)), 8
}

// packBig packs on PostgreSQL.
func packBig(columns []string) string {
	sends := make([]string, len(columns))
	for i, c := range columns {
		sends[i] = "int8send(CAST(" + c + " AS BIGINT))"
	}
	return "SELECT string_agg(" + strings.Join(sends, " || ") + ", '' ORDER BY " + columns[0] + ")"
}

// packVarint packs on SQLite, by a function of ours. Ordered there by ORDER BY, all rows would be sorted.
func packVarint(columns []string) string {
	return "SELECT " + packFunction + "(" + strings.Join(columns, ", ") + ")"
}

const packFunction = "waxwing_pack"

// registerPack makes the function known to connections that are opened after it: the driver knows functions
// for the whole process.
var registerPack = sync.OnceValue(func() error {
	return sqlite.RegisterFunction(packFunction, &sqlite.FunctionImpl{NArgs: -1, Deterministic: true,
		MakeAggregate: func(sqlite.FunctionContext) (sqlite.AggregateFunction, error) { return new(packer), nil }})
})

// packer is the function in one query.
type packer struct{ all []byte }

func (p *packer) Step(_ *sqlite.FunctionContext, row []driver.Value) error {
	for _, v := range row {
		n, ok := v.(int64)
		if !ok {
			return fmt.Errorf("%s: %T is no integer", packFunction, v)
		}
		p.all = binary.AppendVarint(p.all, n)
	}
	return nil
}

// WindowInverse would be of a window, of which there is none.
func (p *packer) WindowInverse(*sqlite.FunctionContext, []driver.Value) error {
	return fmt.Errorf("%s is not for windows", packFunction)
}

func (p *packer) WindowValue(*sqlite.FunctionContext) (driver.Value, error) { return p.all, nil }
func (p *packer) Final(*sqlite.FunctionContext)                             {}
