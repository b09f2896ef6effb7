package submitsocket

import (
	"cmp"
	"context"
	"sync"
	"time"

	"waxwing/internal/turns"
)

// queues hands out turns: a user has a part of them, so that the programs of one,
// however many and slow, keep nobody else's waiting.
type queues struct {
	users map[uint32]*turns.Turns
	all   turns.Turns
	most  int // programs of one user, at work or waiting

	mu   sync.Mutex
	here map[uint32]int
}

func (s *Server) queues() *queues {
	total, wait := cmp.Or(s.Connections, 100), cmp.Or(s.Wait, time.Minute)
	each := min(cmp.Or(s.PerUser, 25), total)
	waiting := cmp.Or(s.Waiting, 200)
	q := &queues{users: map[uint32]*turns.Turns{}, most: each + waiting, here: map[uint32]int{},
		all: turns.Turns{AtOnce: total, Waiting: each * len(s.Users), Wait: wait}}
	for uid := range s.Users {
		q.users[uid] = &turns.Turns{AtOnce: each, Waiting: waiting, Wait: wait}
	}
	return q
}

// enter counts a user's program; false where too many of them are here already.
func (q *queues) enter(uid uint32) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.here[uid] >= q.most {
		return false
	}
	q.here[uid]++
	return true
}

func (q *queues) leave(uid uint32) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.here[uid]--; q.here[uid] == 0 {
		delete(q.here, uid)
	}
}

// turn waits for one among the user's, and then among all.
func (q *queues) turn(ctx context.Context, uid uint32) (end func(), err error) {
	own, err := q.users[uid].Take(ctx, turns.Caller{})
	if err != nil {
		return nil, err
	}
	any, err := q.all.Take(ctx, turns.Caller{})
	if err != nil {
		own()
		return nil, err
	}
	return func() {
		any()
		own()
	}, nil
}
