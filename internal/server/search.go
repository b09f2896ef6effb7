package server

import (
	"waxwing/internal/config"
	"waxwing/internal/guard"
	"waxwing/internal/mailboxes"
	"waxwing/internal/search"
	"waxwing/internal/store"
)

// search makes the index of the words of mail; a service takes mail into it.
func (b *builder) search(db *store.Store, boxes *mailboxes.Store) *search.Store {
	s := &search.Service{Store: &search.Store{DB: db, Mails: boxes}, Log: b.area(config.LogSearch), Guard: b.guard}
	b.run("index for searches", guard.Search, s.Run)
	b.everyHour("mail that is gone was not removed from the index for searches", s.Tidy)
	return s.Store
}
