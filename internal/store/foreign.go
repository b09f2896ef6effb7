package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// foreignEach is how often a SQLite file is asked whether another process has written, and
// how long a connection that was lost waits for the next one.
const foreignEach = 500 * time.Millisecond

// Tell sends payload to all that Listen on channel, this process included, once the
// transaction is committed. On SQLite nothing is sent: Listen sees that something was written.
func (tx *Tx) Tell(channel, payload string) error {
	if !tx.pg {
		return nil
	}
	_, err := tx.Exec(`SELECT pg_notify(?, ?)`, channel, payload)
	return err
}

// Listen calls fn with what others Tell on channel, until ctx ends; with "" where something
// may have been told that was missed: on SQLite after each write of another process,
// on PostgreSQL when the connection has been made, or was lost.
func (s *Store) Listen(ctx context.Context, channel string, fn func(payload string)) error {
	for ctx.Err() == nil {
		if err := s.engine.listen(ctx, channel, fn); err != nil && ctx.Err() == nil {
			fn("")
		}
		select {
		case <-ctx.Done():
		case <-time.After(foreignEach):
		}
	}
	return nil
}

// listen on SQLite asks the writing connection, which is told of what other processes wrote
// and not of what it has written itself.
func (e *sqliteEngine) listen(ctx context.Context, _ string, fn func(string)) error {
	seen := int64(-1)
	for {
		var version int64
		err := e.writer.write(ctx, now, func(tx *Tx) error {
			if err := tx.Row(`PRAGMA data_version`).Scan(&version); err != nil {
				return err
			}
			return errNothingWritten
		})
		switch {
		case !errors.Is(err, errNothingWritten):
			return err
		case version != seen && seen >= 0:
			fn("")
		}
		seen = version
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(foreignEach):
		}
	}
}

var errNothingWritten = errors.New("store: nothing was written")

func (e *pgEngine) listen(ctx context.Context, channel string, fn func(string)) error {
	c, err := e.reads.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Raw(func(driver any) error {
		conn := driver.(*stdlib.Conn).Conn()
		defer conn.Close(context.WithoutCancel(ctx)) // not to be given to anybody else
		if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{channel}.Sanitize()); err != nil {
			return err
		}
		fn("")
		for {
			n, err := conn.WaitForNotification(ctx)
			if err != nil {
				return err
			}
			fn(n.Payload)
		}
	})
}
