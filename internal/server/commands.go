package server

import (
	"context"

	"waxwing/dns"
	"waxwing/internal/datadir"
	"waxwing/internal/desk"
	"waxwing/internal/destination"
	"waxwing/internal/explain"
	"waxwing/internal/session"
	"waxwing/internal/store"
	"waxwing/internal/stspolicy"
	"waxwing/internal/stspublish"
	"waxwing/internal/transport"
	"waxwing/mtasts"
)

// What commands need where no server has to run: rooms that nobody starts.

// commandRooms makes the rooms of the server that o describes, on a store that a
// command has opened.
func commandRooms(o Options, db *store.Store) (*Rooms, error) {
	b, err := newBuilder(o)
	if err != nil {
		return nil, err
	}
	b.owner = "command"
	return b.rooms(db)
}

// oneRoom makes them and gives one out.
func oneRoom[T any](o Options, db *store.Store, pick func(*Rooms) *T) (*T, error) {
	r, err := commandRooms(o, db)
	if err != nil {
		return nil, err
	}
	return pick(r), nil
}

// Desk makes the rooms that answer commands where no server runs. What they
// change in the store, a server on another machine sees within a second.
func Desk(o Options, db *store.Store) (*desk.Rooms, error) {
	r, err := commandRooms(o, db)
	if err != nil {
		return nil, err
	}
	d := r.desk()
	d.Changed = func(ctx context.Context) error {
		return db.Write(ctx, func(tx *store.Tx) error { return tx.Raise(QueueArea) })
	}
	return d, nil
}

// STSCache makes the room of MTA-STS policies.
func STSCache(o Options, db *store.Store) (*stspolicy.Cache, error) {
	return oneRoom(o, db, func(r *Rooms) *stspolicy.Cache { return r.STS })
}

// STSPublish makes the room of published MTA-STS policies.
func STSPublish(o Options, db *store.Store) (*stspublish.Service, error) {
	return oneRoom(o, db, func(r *Rooms) *stspublish.Service { return r.STSPublish })
}

// Ways makes the router.
func Ways(o Options, db *store.Store) (*transport.Router, error) {
	return oneRoom(o, db, func(r *Rooms) *transport.Router { return r.Router })
}

// Reports makes the rooms, for those of reports. What they queue, the running server
// delivers once its generation QueueArea is raised.
func Reports(o Options, db *store.Store) (*Rooms, error) { return commandRooms(o, db) }

// Explainer makes the room that answers what would happen to a mail.
func Explainer(o Options, db *store.Store) (*explain.Explainer, error) {
	return oneRoom(o, db, func(r *Rooms) *explain.Explainer { return r.explainer(db) })
}

// Look is what commands need that look at hosts of others without a store.
type Look struct {
	Finder  *destination.Finder
	Probe   *session.Client
	Fetcher *mtasts.Fetcher
	DNS     dns.Resolver
}

// Looking makes the rooms that look at hosts and MTA-STS policies. A port other
// than 0 is that of the connections and of the TLSA names; otherwise TLSA names are
// those of port 25. Hosts that are this server itself are looked at like any other.
func Looking(o Options, port uint16) (*Look, error) {
	b, err := newBuilder(o)
	if err != nil {
		return nil, err
	}
	resolver, err := b.lookups(datadir.Anchors(o.Config))
	if err != nil {
		return nil, err
	}
	d := o.Config.Delivery
	l := &Look{DNS: resolver, Probe: b.sessions()(), Fetcher: b.fetcher(resolver),
		Finder: &destination.Finder{DNS: resolver, AllowPrivate: d.AllowPrivate, MaxHosts: d.MaxHosts, Port: int(port)}}
	if port != 0 {
		l.Probe.Port, l.Probe.ImplicitTLS = int(port), port == 465
	}
	return l, nil
}
