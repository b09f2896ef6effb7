package upkeep

import (
	"waxwing/internal/accounts"
	"waxwing/internal/config"
	"waxwing/internal/mailboxes"
	"waxwing/internal/routes"
	"waxwing/internal/server"
	"waxwing/internal/signing"
	"waxwing/internal/store"
)

// Opened is the store and the rooms over it, for commands that need no server.
type Opened struct {
	Options   server.Options
	Config    *config.Config
	Store     *store.Store
	Accounts  *accounts.Store
	Mailboxes *mailboxes.Store
	Signing   *signing.Service
	Routes    *routes.Store
}

// Opening makes the rooms over a store.
func Opening(o server.Options, db *store.Store) *Opened {
	return &Opened{Options: o, Config: o.Config, Store: db, Accounts: &accounts.Store{DB: db, Now: o.Now}, Mailboxes: &mailboxes.Store{DB: db, Now: o.Now},
		Signing: &signing.Service{Store: db, Now: o.Now, Log: o.Log}, Routes: &routes.Store{DB: db}}
}

// Bounded is the mailboxes with the accounts' quota (MBX-5): for what brings mail in. Mailboxes has
// none, so that an operator can always bring back what was removed, and move it.
func (o *Opened) Bounded() *mailboxes.Store {
	return &mailboxes.Store{DB: o.Store, Now: o.Options.Now, Quota: server.Quota(o.Config.Mail)}
}
