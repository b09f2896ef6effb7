package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// World is what another process must know of a lab that stays up to see it as the
// lab's own machines do: where its addresses listen in fact, and how far its clock
// is ahead. It stands in a file beside each machine's configuration, so that
// commands that are given that configuration go the lab's way.
type World struct {
	Ahead     time.Duration             `json:"ahead"`
	Listeners map[netip.AddrPort]string `json:"listeners"`
}

const worldFile = "waxwing-lab.json"

// Open writes the file beside the configuration of each machine. What starts to
// listen later is not in it.
func (l *Lab) Open() error {
	w := World{Ahead: time.Duration(l.Clock.ahead.Load()), Listeners: l.Network.listeners()}
	b, err := json.MarshalIndent(w, "", "  ")
	if err != nil {
		return err
	}
	for _, m := range []*Machine{l.Sender, l.Receiver} {
		if err := os.WriteFile(filepath.Join(m.Dir, worldFile), b, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// WorldOf is the lab that a configuration belongs to; nil for one that belongs to none.
func WorldOf(config string) (*World, error) {
	path := filepath.Join(filepath.Dir(config), worldFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var w World
	if err := json.Unmarshal(b, &w); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &w, nil
}

// Now is the lab's time.
func (w *World) Now() time.Time { return time.Now().Add(w.Ahead) }

// DialContext dials what stands for address. It is a session.Dialer.
func (w *World) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return dialFor(ctx, network, address, func(ap netip.AddrPort) (string, bool) {
		a, ok := w.Listeners[ap]
		return a, ok
	})
}
