package jmapserver_test

import (
	"strings"
	"testing"

	"waxwing/internal/jmapserver/sorting"
	"waxwing/internal/scripts"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/jmap"
	"waxwing/sieve"
)

// sorts gives a world the methods about what becomes of mail that comes.
func (w *world) sorts() *scripts.Store {
	kept := &scripts.Store{DB: w.db, Now: w.s.Now}
	r := &sorting.Room{Scripts: kept, Blob: w.s.Mails.Blob, Changed: w.s.Changed}
	w.s.Mails.Scripts = r.Text
	w.s.Rooms = append(w.s.Rooms, r.Served()...)
	w.using = append(w.using, sorting.SieveCapability, sorting.VacationCapability)
	return kept
}

// JMP-3, RFC 9661: scripts are stored, changed, renamed, activated and removed, and what must not be is refused; they are those of
// ManageSieve.
func TestSieveScripts(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		w := newWorld(t, db)
		kept := w.sorts()
		if err := kept.Put(t.Context(), "you", "old", "keep;"); err != nil {
			t.Fatal(err)
		}
		if err := kept.Put(t.Context(), "eve", "hers", "discard;"); err != nil {
			t.Fatal(err)
		}
		before := w.call("SieveScript/get", ``)
		old := before["list"].([]any)[0].(object)
		if len(before["list"].([]any)) != 1 || old["name"] != "old" || old["isActive"] != false || w.octets(old["blobId"].(string)) != "keep;" {
			t.Fatalf("%v", before)
		}
		good, bad := w.uploaded("require \"fileinto\"; fileinto \"Archive\";"), w.uploaded("nothing like this;")
		w.want(w.call("SieveScript/validate", `"blobId": "`+good+`"`)["error"], `null`)
		if e := w.call("SieveScript/validate", `"blobId": "`+bad+`"`)["error"].(object); e["type"] != "invalidSieve" || !strings.Contains(e["description"].(string), "line 1") {
			t.Errorf("validate: %v", e)
		}
		if got := w.fails("SieveScript/validate", `"blobId": "Unone"`); got != "blobNotFound" {
			t.Errorf("validate of nothing: %s", got)
		}
		got := w.call("SieveScript/set", `"create": {"a": {"name": "new", "blobId": "`+good+`"}, "b": {"blobId": "`+good+`"}}, "onSuccessActivateScript": "#a"`)
		made := got["created"].(object)
		a, b := made["a"].(object), made["b"].(object)
		if a["isActive"] != true || b["isActive"] != false || b["name"] == "" || got["oldState"] != before["state"] || got["newState"] == before["state"] {
			t.Errorf("created: %v", got)
		}
		id, other := a["id"].(string), b["id"].(string)
		lib, err := kept.Library(t.Context(), "you")
		if err != nil || lib == nil || lib.Active != "new" {
			t.Errorf("runs: %v, %v", lib, err)
		}
		for args, want := range map[string]string{
			`"create": {"x": {"name": "old", "blobId": "` + good + `"}}`:                                  "alreadyExists",
			`"create": {"x": {"name": "y", "blobId": "` + bad + `"}}`:                                     "invalidSieve",
			`"create": {"x": {"name": "y", "blobId": "Unone"}}`:                                           "blobNotFound",
			`"create": {"x": {"name": "` + strings.Repeat("x", 129) + `", "blobId": "` + good + `"}}`:     "invalidProperties",
			`"create": {"x": {"name": "y", "blobId": "` + good + `", "isActive": true}}`:                  "invalidProperties",
			`"create": {"x": {"blobId": "` + w.uploaded(strings.Repeat("#", scripts.MaxScript+1)) + `"}}`: "tooLarge",
			`"update": {"` + id + `": {"name": "old"}}`:                                                   "alreadyExists",
			`"update": {"` + id + `": {"isActive": false}}`:                                               "invalidProperties",
			`"update": {"` + id + `": {"blobId": "` + bad + `"}}`:                                         "invalidSieve",
			`"update": {"` + id + `": {"name/x": "y"}}`:                                                   "invalidPatch",
			`"update": {"Fnone": {"name": "y"}}`:                                                          "notFound",
			`"destroy": ["Fnone"]`:                                                                        "notFound",
			`"destroy": ["` + id + `"], "onSuccessDeactivateScript": true`:                                "sieveIsActive", // in a call of its own first
		} {
			got := w.call("SieveScript/set", args)
			found := ""
			for _, in := range []string{"notCreated", "notUpdated", "notDestroyed"} {
				m, _ := got[in].(object)
				for _, e := range m {
					found = e.(object)["type"].(string)
				}
			}
			if found != want {
				t.Errorf("%.120s: %v, want %s", args, got, want)
			}
		}
		got = w.call("SieveScript/set", `"update": {"`+id+`": {"id": "`+id+`", "name": "newer", "blobId": "`+w.uploaded("stop;")+`"}}, "onSuccessActivateScript": "`+other+`"`)
		updated := got["updated"].(object)
		if updated[id].(object)["isActive"] != false || updated[other].(object)["isActive"] != true || updated[id].(object)["blobId"] == a["blobId"] {
			t.Errorf("updated: %v", got)
		}
		w.want(w.call("SieveScript/query", `"filter": {"name": "ew"}, "sort": [{"property": "name"}]`)["ids"], `["`+id+`"]`)
		w.want(w.call("SieveScript/query", `"filter": {"isActive": true}`)["ids"], `["`+other+`"]`)
		w.want(w.call("SieveScript/query", `"sort": [{"property": "isActive", "isAscending": false}, {"property": "name", "isAscending": false}], "limit": 2`)["ids"], `["`+other+`", "`+old["id"].(string)+`"]`)
		for args, want := range map[string]string{`"filter": {"x": 1}`: "unsupportedFilter", `"filter": {"name": 1}`: "invalidArguments", `"sort": [{"property": "x"}]`: "unsupportedSort"} {
			if got := w.fails("SieveScript/query", args); got != want {
				t.Errorf("query %s: %s", args, got)
			}
		}
		w.want(w.call("SieveScript/set", `"onSuccessActivateScript": "Fnone"`)["updated"], `null`)
		w.want(w.call("SieveScript/set", `"onSuccessDeactivateScript": true`)["updated"], `{"`+other+`": {"isActive": false}}`)
		w.want(w.call("SieveScript/set", `"destroy": ["`+id+`", "`+other+`"]`)["destroyed"], `["`+id+`", "`+other+`"]`)
		if text, ok, err := w.s.Mails.Scripts(t.Context(), "eve", jmap.ID(old["blobId"].(string))); ok || text != "" || err != nil {
			t.Errorf("eve reads your script: %q, %v", text, err)
		}
		_, session := w.request("GET", "/.well-known/jmap", "", nil)
		if !strings.Contains(string(session), `"maxNumberScripts":32`) || !strings.Contains(string(session), `"`+sieve.Capabilities()[0]+`"`) {
			t.Errorf("session: %s", session)
		}
	})
}

// JMP-1, RFC 8621 §8: there is one vacation response, and what of it is set is kept.
func TestVacationResponse(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		w := newWorld(t, db)
		kept := w.sorts()
		got := w.call("VacationResponse/get", ``)
		w.want(got["list"], `[{"id": "singleton", "isEnabled": false, "fromDate": null, "toDate": null, "subject": null, "textBody": null, "htmlBody": null}]`)
		w.want(w.call("VacationResponse/get", `"ids": ["x"]`)["notFound"], `["x"]`)
		state := got["state"].(string)
		set := w.call("VacationResponse/set", `"ifInState": "`+state+`", "update": {"singleton": {"isEnabled": true, "fromDate": "2026-01-01T00:00:00Z", "toDate": "2026-02-01T00:00:00Z", "subject": "Away", "textBody": "Later.", "htmlBody": "<p>Later.</p>"}}`)
		w.want(set["updated"], `{"singleton": null}`)
		w.want(w.call("VacationResponse/get", `"ids": ["singleton"], "properties": ["isEnabled", "toDate", "textBody"]`)["list"], `[{"id": "singleton", "isEnabled": true, "toDate": "2026-02-01T00:00:00Z", "textBody": "Later."}]`)
		if lib, err := kept.Library(t.Context(), "you"); err != nil || lib == nil || !lib.Vacation.At(noon) || lib.Vacation.At(noon.AddDate(0, 1, 0)) || lib.Vacation.At(noon.AddDate(0, -1, 0)) {
			t.Errorf("%v, %v", lib, err)
		}
		if got := w.fails("VacationResponse/set", `"ifInState": "x", "update": {}`); got != "stateMismatch" {
			t.Errorf("%s", got)
		}
		for args, want := range map[string]string{
			`"create": {"a": {}}`:                                                                         "singleton",
			`"destroy": ["singleton"]`:                                                                    "singleton",
			`"update": {"x": {"isEnabled": true}}`:                                                        "notFound",
			`"update": {"singleton": {"isEnabled": 1}}`:                                                   "invalidProperties",
			`"update": {"singleton": {"fromDate": "tomorrow"}}`:                                           "invalidProperties",
			`"update": {"singleton": {"fromDate": "9999-01-01T00:00:00Z"}}`:                               "invalidProperties",
			`"update": {"singleton": {"more": 1}}`:                                                        "invalidProperties",
			`"update": {"singleton": {"subject/x": 1}}`:                                                   "invalidPatch",
			`"update": {"singleton": {"textBody": "` + strings.Repeat("x", scripts.MaxVacation+1) + `"}}`: "tooLarge",
		} {
			got := w.call("VacationResponse/set", args)
			found := ""
			for _, in := range []string{"notCreated", "notUpdated", "notDestroyed"} {
				m, _ := got[in].(object)
				for _, e := range m {
					found = e.(object)["type"].(string)
				}
			}
			if found != want {
				t.Errorf("%.80s: %v", args, got)
			}
		}
		w.call("VacationResponse/set", `"update": {"singleton": {"id": "singleton", "isEnabled": false, "subject": null, "fromDate": null}}`)
		if v, err := kept.Vacation(t.Context(), "you"); err != nil || v.Enabled || v.Subject != "" || !v.Since.IsZero() || v.Plain != "Later." {
			t.Errorf("%+v, %v", v, err)
		}
		if v, err := kept.Vacation(t.Context(), "eve"); err != nil || v != (scripts.Vacation{}) {
			t.Errorf("eve has %+v, %v", v, err)
		}
	})
}
