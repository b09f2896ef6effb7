package mails

import (
	"encoding/json"

	"waxwing/internal/jmapserver/call"
	"waxwing/jmap"
)

// createEmails makes new mails.
func (r *Room) createEmails(_ *call.Call, all map[jmap.ID]json.RawMessage, done *call.Done) error {
	for id := range all {
		call.Refuse(&done.NotCreated, id, jmap.SetErrorf(jmap.Forbidden, nil, "mails cannot be composed here yet: upload one and import it"))
	}
	return nil
}
