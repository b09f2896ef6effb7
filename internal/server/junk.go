package server

import (
	"time"

	"waxwing/dns"
	"waxwing/internal/blocklist"
	"waxwing/internal/classifier"
	"waxwing/internal/config"
	"waxwing/internal/correspondents"
	"waxwing/internal/evidence"
	"waxwing/internal/guard"
	"waxwing/internal/junk"
	"waxwing/internal/mailboxes"
	"waxwing/internal/milters"
	"waxwing/internal/rspamd"
	"waxwing/internal/store"
	"waxwing/milter"
)

// junk makes the room that weighs mail for each account.
func (b *builder) junk(db *store.Store, resolver dns.Resolver, boxes *mailboxes.Store) *evidence.Room {
	c := b.cfg.Junk
	teacher := &evidence.Teacher{DB: db, Boxes: boxes, Now: b.Now, Rspamd: rspamd.New(c.Rspamd, b.cfg.Hostname.ASCII()), Log: b.area(config.LogReceive)}
	b.run("lessons about junk", guard.Correspondents, teacher.Run)
	known := &correspondents.Store{DB: db, Now: b.Now, Log: b.area(config.LogReceive)}
	b.run("correspondents", guard.Correspondents, known.Run)
	b.everyHour("correspondents beyond the bound were not forgotten", known.Tidy)
	lists := &blocklist.Lists{DNS: resolver, Guard: b.guard, Log: b.area(config.LogReceive), Now: b.Now, Count: b.metrics.Listed}
	for _, l := range c.DNSBL {
		lists.Zones = append(lists.Zones, blocklist.Zone{Name: l.Zone, Points: l.Points})
	}
	return &evidence.Room{DB: db, Rspamd: rspamd.New(c.Rspamd, b.cfg.Hostname.ASCII()), OnSilence: c.Rspamd.OnFailure, Greylist: c.Rspamd.Greylist, Asked: b.metrics.Filtered, Log: b.area(config.LogReceive),
		Lists: lists, Correspondents: known, Classifier: &classifier.Store{DB: db, Now: b.Now}, Limits: junk.Limits{Junk: c.Points, Reject: c.RejectPoints}, Hostname: b.cfg.Hostname, Decided: b.metrics.Weighed}
}

// milters makes the room that asks the operator's milters about mail of servers or of accounts;
// nil: none is asked. Sendmail's daemons are called MTA and MSA, which some milters look at.
func (b *builder) milters(of config.MailOf) *milters.Room {
	all := milters.New(b.cfg.Milters, of, b.milterPlaces)
	if len(all) == 0 {
		return nil
	}
	daemon := map[config.MailOf]string{config.OfServers: "MTA", config.OfAccounts: "MSA"}[of]
	return &milters.Room{Milters: all, Largest: b.cfg.LargestMessage(), Log: b.area(config.LogReceive), Answered: func(milter, result string, notDone int, took time.Duration) {
		b.metrics.Screened(milter, result, notDone, took)
		b.milterLast.Note(milter, result, took)
	},
		Macros: milter.Macros{"j": b.cfg.Hostname.ASCII(), "v": "Waxwing " + b.Version, "{daemon_name}": daemon}}
}
