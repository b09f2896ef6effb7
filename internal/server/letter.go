package server

import (
	"errors"
	"net/http"

	"waxwing/internal/config"
	"waxwing/internal/jmapserver"
	"waxwing/internal/web/gate"
	"waxwing/internal/web/letter"
)

// letters serves single mails as documents (MAIL-2), to those who may read them by JMAP.
func (f *front) letters(s *jmapserver.Server) http.Handler {
	log := f.area(config.LogHTTPS)
	return gate.Counted(f.rooms.Metrics.Requested, "letter", &letter.Handler{Mails: s.Mails, Log: log, Who: func(w http.ResponseWriter, r *http.Request) (string, bool) {
		account, err := s.Authenticate(r)
		var refused *jmapserver.Refused
		switch {
		case errors.As(err, &refused):
			http.Error(w, refused.Text, refused.Status)
		case err != nil:
			log.Error("who asks for a mail could not be found out", "error", err)
			http.Error(w, "internal error", http.StatusInternalServerError)
		}
		return account, err == nil
	}})
}
