package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
)

// session is a connection with its prepared statements. One goroutine at a time uses it.
type session struct {
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
	// What returns no rows goes to the driver itself: a delivery has a dozen such statements, with a
	// hundred values. The connection is this session's alone until it is closed.
	raw   driver.ConnPrepareContext
	execs map[string]driver.Stmt
	args  []driver.NamedValue
}

func newSession(ctx context.Context, db *sql.DB) (*session, error) {
	c, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	s := &session{conn: c, stmts: map[string]*sql.Stmt{}, execs: map[string]driver.Stmt{}}
	return s, c.Raw(func(c any) error { s.raw = c.(driver.ConnPrepareContext); return nil })
}

func (s *session) close() error {
	for _, st := range s.stmts {
		st.Close()
	}
	for _, st := range s.execs {
		st.Close()
	}
	return s.conn.Close()
}

// set runs a statement that is not worth keeping.
func (s *session) set(q string) error {
	_, err := s.conn.ExecContext(context.Background(), q)
	return err
}

// do runs a statement of the engine's own.
func (s *session) do(q string) error {
	_, err := s.exec(context.Background(), q, nil)
	return err
}

// prepared is the statement for q among those that are kept; the zero value where there are too many already or q is
// wrong, which running it unprepared will tell.
func prepared[S any](s *session, kept map[string]S, q string, prepare func(context.Context, string) (S, error)) (st S) {
	if st, ok := kept[q]; ok || len(s.stmts)+len(s.execs) >= maxCached {
		return st
	}
	if new, err := prepare(context.Background(), q); err == nil {
		st, kept[q] = new, new
	}
	return st
}

func (s *session) stmt(q string) *sql.Stmt { return prepared(s, s.stmts, q, s.conn.PrepareContext) }

func (s *session) exec(ctx context.Context, q string, args []any) (sql.Result, error) {
	st, ok := prepared(s, s.execs, q, s.raw.PrepareContext).(driver.StmtExecContext)
	if !ok {
		return s.conn.ExecContext(ctx, q, args...)
	}
	s.args = s.args[:0]
	defer func() { clear(s.args) }()
	for i, a := range args {
		v, err := driver.DefaultParameterConverter.ConvertValue(a)
		if err != nil {
			return nil, err
		}
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	return st.ExecContext(ctx, s.args)
}

func (s *session) query(ctx context.Context, q string, args []any) (*sql.Rows, error) {
	if st := s.stmt(q); st != nil {
		return st.QueryContext(ctx, args...)
	}
	return s.conn.QueryContext(ctx, q, args...)
}

func (s *session) row(ctx context.Context, q string, args []any) *sql.Row {
	if st := s.stmt(q); st != nil {
		return st.QueryRowContext(ctx, args...)
	}
	return s.conn.QueryRowContext(ctx, q, args...)
}
