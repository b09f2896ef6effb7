package letter

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// places has the letters of an account wait for each other: one whose client takes its letters slowly keeps nobody else waiting.
type places struct {
	mu sync.Mutex
	of map[string]*place
}

// place is an account's.
type place struct {
	room  *semaphore.Weighted
	users int // that have it or wait for it
}

// take waits for a place, which leave gives back; nil: ctx has ended.
func (p *places) take(ctx context.Context, account string) (leave func()) {
	at := p.join(account)
	if at.room.Acquire(ctx, 1) != nil {
		p.leave(account)
		return nil
	}
	return func() {
		at.room.Release(1)
		p.leave(account)
	}
}

func (p *places) join(account string) *place {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of == nil {
		p.of = map[string]*place{}
	}
	at := p.of[account]
	if at == nil {
		at = &place{room: semaphore.NewWeighted(ofOne)}
		p.of[account] = at
	}
	at.users++
	return at
}

func (p *places) leave(account string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of[account].users--; p.of[account].users == 0 {
		delete(p.of, account)
	}
}
