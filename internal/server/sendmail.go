package server

import (
	"context"
	"fmt"
	"net"
	"os/user"
	"strconv"

	"waxwing/internal/config"
	"waxwing/internal/receive"
	"waxwing/internal/submitsocket"
)

// kindSendmail is the submission socket among the listeners.
const kindSendmail config.Kind = "sendmail"

// sendmail makes the submission socket, where the configuration has one (TRA-5).
func (f *front) sendmail() error {
	c, lim, m := f.cfg.Sendmail, f.cfg.Limits, f.rooms.Metrics
	if c.Socket == "" {
		return nil
	}
	users, err := f.sendmailUsers()
	if err != nil {
		return err
	}
	srv := &submitsocket.Server{Hostname: f.cfg.Hostname.ASCII(), Users: users, MessageSize: int64(lim.MaxMessageSize),
		Recipients: lim.MaxRecipients, Connections: c.MaxConnections, PerUser: c.ConnectionsPerUser, Log: f.area(config.LogSendmail), Guard: f.guard,
		Count:    func(refused string) { m.Connected(string(kindSendmail), refused) },
		Ended:    func() { m.Disconnected(string(kindSendmail), "closed") },
		Accepted: func() { m.Accepted(string(kindSendmail)) }}
	l, err := submitsocket.Listen(c.Socket)
	if err != nil {
		return err
	}
	f.open(l, kindSendmail, func(ctx context.Context) error { return srv.Serve(ctx, l) })
	return nil
}

// sendmailUsers are the users of this machine who may use it, by their ids.
func (f *front) sendmailUsers() (map[uint32]submitsocket.User, error) {
	users := map[uint32]submitsocket.User{}
	for _, u := range f.cfg.Sendmail.User {
		uid, err := userID(u.User)
		if err != nil {
			return nil, fmt.Errorf("sendmail.user %q: %w", u.User, err)
		}
		if _, ok := users[uid]; ok {
			return nil, fmt.Errorf("sendmail.user %q: the user id %d has a table already, under another name", u.User, uid)
		}
		backend := f.submitted()
		if len(u.Addresses) > 0 {
			if backend.Accounts, err = receive.LimitTo(backend.Accounts, u.Addresses); err != nil {
				return nil, fmt.Errorf("sendmail.user %q: %w", u.User, err)
			}
		}
		users[uid] = submitsocket.User{Account: u.Account, Backend: backend}
	}
	return users, nil
}

// userID finds a user of this machine by name or number.
func userID(name string) (uint32, error) {
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		return uint32(n), nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return 0, fmt.Errorf("%w: create the user, or give its number", err)
	}
	n, err := strconv.ParseUint(u.Uid, 10, 32)
	return uint32(n), err
}

// Socket is where the submission socket listens; nil if there is none.
func (s *Server) Socket() net.Addr { return s.Addr(kindSendmail) }
