package server

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"

	"waxwing/internal/crew"
	"waxwing/internal/guard"
	"waxwing/internal/process"
)

// plan is what the rooms have asked for: what runs while the server does, and what is
// done when it reloads or ends. A room asks in the function that builds it.
type plan struct {
	services  []crew.Service // run until all faces have ended
	faces     []crew.Service // take connections; end first
	listeners []*listener
	bound     []process.Socket // all TCP sockets that are listened on, as the kernel has them
	hourly    []chore
	reloads   []func() error
	closers   []io.Closer // in the order of their opening
}

// chore is done once an hour; failed is logged where it cannot be done.
type chore struct {
	failed string
	do     func(context.Context) error
}

// run has something run while the server serves and drains.
func (p *plan) run(name string, area guard.Area, run func(context.Context) error) {
	p.services = append(p.services, crew.Service{Name: name, Area: area, Run: run})
}

// face has something take connections until the server drains.
func (p *plan) face(name string, area guard.Area, run func(context.Context) error) {
	p.faces = append(p.faces, crew.Service{Name: name, Area: area, Run: run})
}

// everyHour has something done at start and then once an hour.
func (p *plan) everyHour(failed string, do func(context.Context) error) {
	p.hourly = append(p.hourly, chore{failed, do})
}

// onReload has something read again what may have changed (OPS-10). Its error says what
// stays as it was.
func (p *plan) onReload(do func() error) { p.reloads = append(p.reloads, do) }

// onClose has something closed at the end, before what was opened earlier.
func (p *plan) onClose(c io.Closer) { p.closers = append(p.closers, c) }

// close closes everything. Much of it is closed already after a run.
func (p *plan) close() error {
	var errs []error
	for _, c := range slices.Backward(p.closers) {
		if err := c.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
