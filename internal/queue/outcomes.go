package queue

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/store"
)

// outcomes is a file for what attempts came to while the store does not take it: the
// disk is full, or the database away. What stands there survives a crash, and is settled
// when the server starts again; without it the attempts would be made again, and
// recipients would have their mail twice.
//
// All octets of the file are written when it is made, and later ones stand in their
// place: no full disk stands in the way. It may be used from any goroutine.
type outcomes struct {
	mu   sync.Mutex
	file *os.File // nil: there is none
	end  int64
	open int // outcomes in the file that are not settled
	bad  int // outcomes that the file held and that cannot be read
}

// outcome is what one attempt came to.
type outcome struct {
	Message, Claim int64
	Recipients     []int64 // their identifiers
	Result         delivery.Result
	Stopped        bool // it was broken off by the server's end
}

const (
	outcomesSize   = 4 << 20
	outcomesHeader = 8 // length and CRC-32 (IEEE) of the JSON that follows, big-endian
)

var errOutcomesFull = errors.New("the file is full")

// openOutcomes opens the file, or makes it, and returns what it holds. What a crash left
// half written ends the list: nobody was told that it was kept.
func openOutcomes(path string) (*outcomes, []outcome, error) {
	dir, err := os.OpenRoot(filepath.Dir(path)) // no link leads out of it
	if err != nil {
		return nil, nil, err
	}
	defer dir.Close()
	f, err := dir.OpenFile(filepath.Base(path), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, err
	}
	o := &outcomes{file: f}
	list, err := o.read()
	if err == nil {
		err = o.fill()
	}
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	o.open = len(list)
	return o, list, nil
}

func (o *outcomes) read() (list []outcome, err error) {
	b, err := io.ReadAll(io.LimitReader(o.file, outcomesSize))
	if err != nil {
		return nil, err
	}
	for rest := b; len(rest) >= outcomesHeader; {
		n := int64(binary.BigEndian.Uint32(rest))
		if n == 0 || n > int64(len(rest)-outcomesHeader) {
			break
		}
		text := rest[outcomesHeader : outcomesHeader+n]
		if crc32.ChecksumIEEE(text) != binary.BigEndian.Uint32(rest[4:]) {
			break
		}
		var one outcome
		if err := json.Unmarshal(text, &one); err != nil {
			o.bad++ // of another release
		} else {
			list = append(list, one)
		}
		o.end += outcomesHeader + n
		rest = rest[outcomesHeader+n:]
	}
	return list, nil
}

// fill gives the file all its blocks.
func (o *outcomes) fill() error {
	fi, err := o.file.Stat()
	if err != nil || fi.Size() >= outcomesSize {
		return err
	}
	if _, err := o.file.WriteAt(make([]byte, outcomesSize-fi.Size()), fi.Size()); err != nil {
		return err
	}
	return o.file.Sync()
}

// keep writes an outcome, whole if it can be, and else without what only reports and
// the history would tell.
func (o *outcomes) keep(one outcome) error {
	if o == nil {
		return errors.New("there is no file for it")
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file == nil {
		return os.ErrClosed
	}
	one.Result.Destination = delivery.Destination{}
	err := o.append(one)
	if err != nil {
		r := &one.Result
		one.Result = delivery.Result{Recipients: r.Recipients, Copies: r.Copies, Started: r.Started, Ended: r.Ended, Transport: r.Transport, Name: r.Name}
		err = o.append(one)
	}
	if err == nil {
		o.open++
	}
	return err
}

func (o *outcomes) append(one outcome) error {
	text, err := json.Marshal(one)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, new(outcome)); err != nil { // what cannot be read is not kept
		return err
	}
	size := int64(outcomesHeader + len(text))
	if o.end+size+4 > outcomesSize {
		return errOutcomesFull
	}
	b := make([]byte, outcomesHeader, size+4)
	binary.BigEndian.PutUint32(b, uint32(len(text)))
	binary.BigEndian.PutUint32(b[4:], crc32.ChecksumIEEE(text))
	b = append(append(b, text...), 0, 0, 0, 0) // the end of the list
	if _, err := o.file.WriteAt(b, o.end); err != nil {
		return err
	}
	if err := o.file.Sync(); err != nil {
		return err
	}
	o.end += size
	return nil
}

// settled says that one of the file's outcomes is in the store, or not needed any more.
// With the last the list is empty. If that is not written, nothing is lost: what is read
// again finds no lease to settle.
func (o *outcomes) settled() {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.open--; o.open > 0 || o.file == nil {
		return
	}
	o.end = 0
	_, _ = o.file.WriteAt(make([]byte, outcomesHeader), 0)
}

func (o *outcomes) close() error {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	f := o.file
	o.file = nil
	if f == nil {
		return nil
	}
	return f.Close()
}

// openOutcomes opens the file of outcomes and says what it holds. Their leases are
// not released, and nothing is claimed until settleKept has been through them all.
func (q *Queue) openOutcomes() []outcome {
	if q.Outcomes == "" {
		return nil
	}
	file, list, err := openOutcomes(q.Outcomes)
	if err != nil {
		q.Log.Error("no file for outcomes that the store does not take", "error", err)
		return nil
	}
	q.outcomes = file
	if file.bad > 0 {
		q.Log.Error("outcomes that the last run could not store cannot be read: their messages will be tried again", "file", q.Outcomes, "outcomes", file.bad)
	}
	q.board.Await(len(list))
	for _, o := range list {
		for _, id := range o.Recipients {
			q.settling.add(leasedRow{id, o.Claim}, 1)
		}
	}
	return list
}

// settleKept settles what the last run could not. What is settled already, or leased by
// another since, is left alone.
func (q *Queue) settleKept(ctx context.Context, o outcome) {
	defer func() {
		for _, id := range o.Recipients {
			q.settling.add(leasedRow{id, o.Claim}, -1)
		}
		if q.board.Await(-1) {
			q.goOn()
		}
	}()
	var j *job
	for pause := settlePause; ; pause = min(2*pause, longestWait) {
		var err error
		if j, err = q.jobOf(ctx, o); err == nil {
			break
		}
		q.Log.Error("cannot read the message of a kept outcome, will try again", "message", LogID(o.Message), "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
	if j == nil {
		q.outcomes.settled()
		return
	}
	q.Log.Info("settling what the last run could not", "message", LogID(o.Message), "recipients", len(j.rows))
	s := q.settlement(j, &o.Result, o.Stopped)
	s.kept = true
	s.run(context.WithoutCancel(ctx))
}

// jobOf is the job whose outcome was kept; nil where its lease is no more.
func (q *Queue) jobOf(ctx context.Context, o outcome) (*job, error) {
	var rows []Entry
	var envs map[int64]delivery.Envelope
	err := q.Store.Read(ctx, func(tx *store.Tx) error {
		rows = nil
		err := eachIn(o.Recipients, func(list string, args []any) error {
			some, err := store.Collect(tx, scanClaimed, `SELECT `+entryColumns+` FROM recipients WHERE state = 1 AND claim = ? AND id IN `+list, append([]any{o.Claim}, args...)...)
			rows = append(rows, some...)
			return err
		})
		if err == nil {
			envs, err = envelopes(tx, rows)
		}
		return err
	})
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return q.newJob(envs[o.Message], rows, o.Claim, q.Now().Add(q.Lease)), nil
}
