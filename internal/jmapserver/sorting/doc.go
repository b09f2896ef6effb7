// Package sorting answers the JMAP methods about what becomes of mail that comes: SieveScript (RFC 9661) and
// VacationResponse (RFC 8621 §8). The scripts are those of ManageSieve and of the commands; a vacation response is kept beside
// them, so that neither changes the other.
package sorting

import (
	"context"
	"io"

	"waxwing/internal/jmapserver/call"
	"waxwing/internal/scripts"
	"waxwing/internal/store"
	"waxwing/jmap"
	"waxwing/sieve"
)

// Room answers them. Its fields are set before its first use.
type Room struct {
	Scripts *scripts.Store
	// Blob opens what an id names for an account; nil: there is nothing.
	Blob func(ctx context.Context, account string, id jmap.ID) (io.ReadCloser, string, error)
	// Changed tells those who wait for news of an account, in the transaction of the change.
	Changed func(tx *store.Tx, account string) error
}

// Capabilities of what is answered.
const (
	SieveCapability    = "urn:ietf:params:jmap:sieve"
	VacationCapability = "urn:ietf:params:jmap:vacationresponse"
)

// maxRedirects is how many times a script may send a message on (SIV-1).
const maxRedirects = 4

// nameOctets are those of the longest name, 128 characters (RFC 9661 §1.2.1).
const nameOctets = 512

// Served are the capabilities with what they do.
func (r *Room) Served() []call.Capability {
	limits := map[string]any{"maxSizeScriptName": nameOctets, "maxSizeScript": scripts.MaxScript, "maxNumberScripts": scripts.MaxScripts, "maxNumberRedirects": maxRedirects,
		"sieveExtensions": sieve.Capabilities(), "notificationMethods": []string{"mailto"}, "externalLists": nil}
	return []call.Capability{
		{URI: SieveCapability, Session: map[string]any{"implementation": "Waxwing"}, Account: limits, States: r.scriptStates, Methods: map[string]call.Method{
			"SieveScript/get": r.scriptGet, "SieveScript/set": r.scriptSet, "SieveScript/query": r.scriptQuery, "SieveScript/validate": r.scriptValidate}},
		{URI: VacationCapability, Session: map[string]any{}, Account: map[string]any{}, States: r.vacationStates, Methods: map[string]call.Method{
			"VacationResponse/get": r.vacationGet, "VacationResponse/set": r.vacationSet}},
	}
}

// changed tells of a change that package scripts has written by itself.
func (r *Room) changed(c *call.Call) error {
	return r.Scripts.DB.Write(c.Ctx, func(tx *store.Tx) error { return r.Changed(tx, c.Name) })
}
