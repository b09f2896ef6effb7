package jmapserver_test

import (
	"fmt"
	"strings"

	"waxwing/internal/account"
	"waxwing/internal/store"
)

// refusal is an error of a method, with a request that provokes it; or why none does.
type refusal struct {
	method, kind string
	in           string // "": the method's own error; else the map in which an error of one record stands
	calls        string // in which names in capital letters stand for ids; the last call is the one that is refused
	more         string // a further member that the error must have
	never        string
	before       func(w *whole) (after func())
}

func created(method, kind, record string) refusal {
	return refusal{method: method, kind: kind, in: "notCreated", calls: calling(method, `"create": {"a": `+record+`}`)}
}

func updated(method, kind, id, patch string) refusal {
	return refusal{method: method, kind: kind, in: "notUpdated", calls: calling(method, `"update": {"`+id+`": `+patch+`}`)}
}

func destroyed(method, kind, args string) refusal {
	return refusal{method: method, kind: kind, in: "notDestroyed", calls: calling(method, args)}
}

func fails(method, kind, args string) refusal {
	return refusal{method: method, kind: kind, calls: calling(method, args)}
}

func never(method, why string, kinds ...string) (out []refusal) {
	for _, k := range kinds {
		out = append(out, refusal{method: method, kind: k, never: why})
	}
	return out
}

func (r refusal) with(member string) refusal { r.more = member; return r }

func (r refusal) once(before func(w *whole) (after func())) refusal { r.before = before; return r }

// calling is a method call in a request.
func calling(method, args string) string {
	if !strings.HasPrefix(method, "PushSubscription/") {
		args = strings.TrimSuffix(`"accountId": "ACCOUNT", `+args, ", ")
	}
	return `["` + method + `", {` + args + `}, "0"]`
}

// many is n members of an object, or items of an array, in which % stands for a number.
func many(n int, text string) string {
	out := make([]string, n)
	for i := range out {
		out[i] = strings.ReplaceAll(text, "%", fmt.Sprint(i))
	}
	return strings.Join(out, ", ")
}

// Why errors cannot happen.
const (
	ownedAll  = "everything in an account is its owner's"
	noRate    = "of this type as many are made as the requests allow"
	noSize    = "no property can have more than a request"
	manyOK    = "a record is refused before it can be too large: invalidProperties"
	noQuota   = "how many there are is bounded by something else"
	oneOnly   = "there may be several"
	oneAccess = "a login sees one account: any other is fromAccountNotFound"
)

// refusals are all errors that the RFCs name for each method, beside those that all methods have in common. They are provoked in this order.
func refusals() (out []refusal) {
	for _, method := range []string{"Mailbox/get", "Thread/get", "Email/get", "Identity/get", "EmailSubmission/get", "VacationResponse/get", "SieveScript/get", "Quota/get", "PushSubscription/get"} {
		out = append(out, fails(method, "requestTooLarge", `"ids": [MANY]`), fails(method, "invalidArguments", `"ids": [], "properties": ["nothing"]`))
	}
	for _, method := range []string{"Mailbox/changes", "Thread/changes", "Email/changes", "Identity/changes", "EmailSubmission/changes", "Quota/changes"} {
		out = append(out, fails(method, "cannotCalculateChanges", `"sinceState": "zzzzzz"`), fails(method, "invalidArguments", `"sinceState": "0", "maxChanges": 0`))
	}
	for _, method := range []string{"Mailbox/query", "Email/query", "EmailSubmission/query", "SieveScript/query", "Quota/query"} {
		out = append(out, fails(method, "anchorNotFound", `"anchor": "nothing"`), fails(method, "unsupportedSort", `"sort": [{"property": "nothing"}]`), fails(method, "unsupportedFilter", `"filter": {"nothing": 1}`), fails(method, "invalidArguments", `"limit": -1`))
	}
	for _, method := range []string{"Mailbox/queryChanges", "Email/queryChanges", "EmailSubmission/queryChanges", "Quota/queryChanges"} {
		out = append(out, fails(method, "cannotCalculateChanges", `"sinceQueryState": "nothing"`))
	}
	for _, method := range []string{"Mailbox/set", "Email/set", "Identity/set", "EmailSubmission/set", "VacationResponse/set", "SieveScript/set", "PushSubscription/set"} {
		out = append(out, fails(method, "requestTooLarge", `"destroy": [MANY]`))
		if method != "PushSubscription/set" {
			out = append(out, fails(method, "stateMismatch", `"ifInState": "nothing"`))
		}
		if method != "VacationResponse/set" {
			out = append(out, destroyed(method, "notFound", `"destroy": ["nothing"]`))
		}
	}
	out = append(out, refusal{method: "Mailbox/queryChanges", kind: "tooManyChanges", calls: calling("Mailbox/query", ``) + `, ` + calling("Mailbox/set", `"create": {"a": {"name": "change"}}`) + `,
		["Mailbox/queryChanges", {"accountId": "ACCOUNT", "#sinceQueryState": {"resultOf": "0", "name": "Mailbox/query", "path": "/queryState"}, "maxChanges": 0}, "1"]`},
		refusal{method: "Email/queryChanges", kind: "tooManyChanges", calls: calling("Email/query", `"filter": {"hasKeyword": "zzz"}`) + `, ` + calling("Email/set", `"update": {"MAIL": {"keywords/zzz": true}}`) + `,
		["Email/queryChanges", {"accountId": "ACCOUNT", "filter": {"hasKeyword": "zzz"}, "#sinceQueryState": {"resultOf": "0", "name": "Email/query", "path": "/queryState"}, "maxChanges": 0}, "1"]`})
	out = append(out, never("EmailSubmission/queryChanges", "changes of this query are never told: cannotCalculateChanges", "tooManyChanges")...)
	out = append(out, never("Quota/queryChanges", "changes of this query are never told: cannotCalculateChanges", "tooManyChanges")...)
	for _, some := range [][]refusal{ofMailboxes(), ofEmails(), ofIdentities(), ofSubmissions(), ofSorting(), ofPush(), ofOurs()} {
		out = append(out, some...)
	}
	return out
}

func ofMailboxes() []refusal {
	const set = "Mailbox/set"
	return append([]refusal{
		destroyed(set, "forbidden", `"destroy": ["INBOX"]`),
		created(set, "overQuota", `{"name": "one too many"}`).once(func(w *whole) func() {
			w.sql(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO mailboxes (id, account, name, uidvalidity, modseq, created)
				SELECT i, 'you', 'full' || i, 1, 1, 1 FROM n`)
			return func() { w.sql(`DELETE FROM mailboxes WHERE id <= 5000`) }
		}),
		updated(set, "notFound", "Mnothing", `{"name": "x"}`),
		updated(set, "invalidPatch", "ARCHIVE", `{"name/x": "x"}`),
		{method: set, kind: "willDestroy", in: "notUpdated", calls: calling(set, `"create": {"a": {"name": "short"}}`) + `, ` + calling(set, `"update": {"#a": {"name": "x"}}, "destroy": ["#a"]`)},
		created(set, "invalidProperties", `{"name": ""}`).with("properties"),
		created(set, "invalidProperties", `{"Name": "x"}`).with("properties"),
		created(set, "invalidProperties", `{"name": "x", "totalEmails": 1}`).with("properties"),
		created(set, "invalidProperties", `{"name": "x", "parentId": "Mnothing"}`).with("properties"),
		created(set, "invalidProperties", `{"name": 1}`).with("properties"),
		destroyed(set, "mailboxHasChild", `"destroy": ["PARENT"]`),
		destroyed(set, "mailboxHasEmail", `"destroy": ["CHILD"]`),
	}, append(never(set, manyOK, "tooLarge"), append(never(set, noRate, "rateLimit"), never(set, oneOnly, "singleton")...)...)...)
}

func ofEmails() []refusal {
	const set = "Email/set"
	full := func(w *whole) func() {
		w.s.Mailboxes.Quota.Messages = 1
		return func() { w.s.Mailboxes.Quota.Messages = 0 }
	}
	all := []refusal{
		created(set, "overQuota", `{"mailboxIds": {"INBOX": true}}`).once(full),
		created(set, "tooLarge", `{"mailboxIds": {"INBOX": true}, "attachments": [`+many(30, `{"blobId": "LONG"}`)+`]}`),
		updated(set, "notFound", "Enothing", `{"keywords/x": true}`),
		updated(set, "invalidPatch", "MAIL", `{"keywords": {}, "keywords/x": true}`),
		updated(set, "invalidPatch", "MAIL", `{"subject/x": true}`),
		{method: set, kind: "willDestroy", in: "notUpdated", calls: calling(set, `"create": {"a": {"mailboxIds": {"INBOX": true}}}`) + `, ` + calling(set, `"update": {"#a": {"keywords/x": true}}, "destroy": ["#a"]`)},
		updated(set, "invalidProperties", "MAIL", `{"subject": "x"}`).with("properties"),
		updated(set, "invalidProperties", "MAIL", `{"mailboxIds": {}}`).with("properties"),
		updated(set, "invalidProperties", "MAIL", `{"keywords/x": false}`).with("properties"),
		created(set, "invalidProperties", `{"mailboxIds": {"Mnothing": true}}`).with("properties"),
		created(set, "blobNotFound", `{"mailboxIds": {"INBOX": true}, "attachments": [{"blobId": "Unothing"}]}`).with("notFound"),
		updated(set, "tooManyKeywords", "MAIL", `{"keywords": {`+many(60, `"k%": true`)+`}}`),
		fails("Email/import", "requestTooLarge", `"emails": {`+many(1001, `"a%": {}`)+`}`),
		fails("Email/import", "stateMismatch", `"ifInState": "nothing", "emails": {}`),
		{method: "Email/import", kind: "invalidProperties", in: "notCreated", calls: calling("Email/import", `"emails": {"a": {"blobId": "Unothing", "mailboxIds": {"INBOX": true}}}`), more: "properties"},
		{method: "Email/import", kind: "invalidProperties", in: "notCreated", calls: calling("Email/import", `"emails": {"a": {"blobId": "LETTER", "mailboxIds": {}}}`), more: "properties"},
		{method: "Email/import", kind: "invalidProperties", in: "notCreated", calls: calling("Email/import", `"emails": {"a": {"blobId": "LETTER", "mailboxIds": {"INBOX": true}, "subject": "x"}}`), more: "properties"},
		{method: "Email/import", kind: "overQuota", in: "notCreated", calls: calling("Email/import", `"emails": {"a": {"blobId": "LETTER", "mailboxIds": {"INBOX": true}}}`), before: full},
		{method: "Email/import", kind: "invalidEmail", in: "notCreated", calls: calling("Email/import", `"emails": {"a": {"blobId": "EMPTY", "mailboxIds": {"INBOX": true}}}`)},
		fails("Email/parse", "requestTooLarge", `"blobIds": [MANY]`),
		fails("Email/parse", "invalidArguments", `"blobIds": [], "properties": ["header:From:asDate"]`),
		fails("Email/get", "invalidArguments", `"ids": [], "properties": ["header:From:asDate"]`),
		fails("SearchSnippet/get", "requestTooLarge", `"filter": null, "emailIds": [MANY]`),
		fails("SearchSnippet/get", "unsupportedFilter", `"filter": {"nothing": 1}, "emailIds": []`),
		fails("SearchSnippet/get", "invalidArguments", `"filter": null`),
		fails("Email/copy", "fromAccountNotFound", `"fromAccountId": "other", "create": {}`),
		fails("Email/copy", "invalidArguments", `"fromAccountId": "ACCOUNT", "create": {}`),
		fails("Email/copy", "requestTooLarge", `"fromAccountId": "other", "create": {`+many(1001, `"a%": {}`)+`}`),
		fails("Blob/copy", "fromAccountNotFound", `"fromAccountId": "other", "blobIds": []`),
		fails("Blob/copy", "requestTooLarge", `"fromAccountId": "other", "blobIds": [MANY]`),
		fails("Blob/copy", "invalidArguments", `"fromAccountId": "other"`),
	}
	all = append(all, never(set, ownedAll, "forbidden")...)
	all = append(all, never(set, noRate, "rateLimit")...)
	all = append(all, never(set, oneOnly, "singleton")...)
	all = append(all, never(set, "maxMailboxesPerEmail is null", "tooManyMailboxes")...)
	all = append(all, never("Email/import", "duplicates are taken", "alreadyExists")...)
	all = append(all, never("Email/copy", oneAccess, "fromAccountNotSupportedByMethod", "stateMismatch", "alreadyExists", "notFound", "overQuota", "invalidProperties")...)
	return append(all, never("Blob/copy", oneAccess, "fromAccountNotSupportedByMethod", "notFound")...)
}

func ofIdentities() []refusal {
	const set = "Identity/set"
	all := []refusal{
		destroyed(set, "forbidden", `"destroy": ["IDENTITY"]`),
		{method: set, kind: "overQuota", in: "notCreated", calls: calling(set, `"create": {`+many(201, `"a%": {"email": "you@example.test"}`)+`}`)},
		created(set, "tooLarge", `{"email": "you@example.test", "textSignature": "`+strings.Repeat("x", 65<<10)+`"}`),
		updated(set, "notFound", "Inothing", `{"name": "x"}`),
		updated(set, "invalidPatch", "IDENTITY", `{"name/x": "x"}`),
		{method: set, kind: "willDestroy", in: "notUpdated", calls: calling(set, `"update": {"OWN": {"name": "x"}}, "destroy": ["OWN"]`)},
		created(set, "invalidProperties", `{"email": "you@example.test", "nothing": 1}`).with("properties"),
		updated(set, "invalidProperties", "IDENTITY", `{"email": "eve@example.test"}`).with("properties"),
		updated(set, "invalidProperties", "IDENTITY", `{"name": 1}`).with("properties"),
		created(set, "forbiddenFrom", `{"email": "eve@example.test"}`),
	}
	return append(append(all, never(set, noRate, "rateLimit")...), never(set, oneOnly, "singleton")...)
}

func ofSubmissions() []refusal {
	const set = "EmailSubmission/set"
	sent := func(kind, email, more string) refusal {
		return created(set, kind, `{"identityId": "IDENTITY", "emailId": "`+email+`"`+more+`}`)
	}
	to := func(recipients string) string {
		return `, "envelope": {"mailFrom": {"email": "you@example.test"}, "rcptTo": [` + recipients + `]}`
	}
	all := []refusal{
		sent("tooLarge", "LARGE", "").with("maxSize"),
		sent("invalidEmail", "NOBODYS", to(`{"email": "eve@example.test"}`)),
		sent("tooManyRecipients", "MAIL", to(many(2000, `{"email": "n%@example.test"}`))).with("maxRecipients"),
		sent("noRecipients", "MAIL", to("")),
		sent("invalidRecipients", "MAIL", to(`{"email": "nobody"}`)).with("invalidRecipients"),
		sent("invalidRecipients", "MAIL", to(`{"email": "unknown@example.test"}`)).with("invalidRecipients"),
		sent("forbiddenMailFrom", "MAIL", `, "envelope": {"mailFrom": {"email": "eve@example.test"}, "rcptTo": [{"email": "eve@example.test"}]}`),
		sent("forbiddenFrom", "OTHERS", to(`{"email": "eve@example.test"}`)),
		sent("forbiddenToSend", "MAIL", to(`{"email": "eve@example.test"}`)).once(func(w *whole) func() {
			w.access(func(a account.Access) account.Access { a.Send = account.SendNothing; return a })
			return func() { w.access(func(a account.Access) account.Access { a.Send = ""; return a }) }
		}),
		sent("rateLimit", "MAIL", to(many(6, `{"email": "eve+%@example.test"}`))), // five are allowed
		sent("invalidProperties", "Enothing", "").with("properties"),
		created(set, "invalidProperties", `{"identityId": "Inothing", "emailId": "MAIL"}`).with("properties"),
		sent("invalidProperties", "MAIL", `, "undoStatus": "final"`).with("properties"),
		sent("invalidProperties", "MAIL", `, "envelope": {"mailFrom": {"email": "you@example.test", "parameters": {"NOTHING": null}}, "rcptTo": [{"email": "eve@example.test"}]}`).with("properties"),
		updated(set, "notFound", "Snothing", `{"undoStatus": "canceled"}`),
		updated(set, "invalidPatch", "SENT", `{"undoStatus": "canceled", "undoStatus/x": 1}`),
		updated(set, "invalidProperties", "SENT", `{"emailId": "MAIL2"}`).with("properties"),
		updated(set, "cannotUnsend", "SENT", `{"undoStatus": "canceled"}`),
	}
	all = append(all, never(set, ownedAll, "forbidden")...)
	all = append(all, never(set, "beyond what an account may send it is rateLimit", "overQuota")...)
	all = append(all, never(set, "what is to be taken back and forgotten is both", "willDestroy")...)
	return append(all, never(set, oneOnly, "singleton")...)
}

func ofSorting() []refusal {
	const vacation, set = "VacationResponse/set", "SieveScript/set"
	all := []refusal{
		created(vacation, "singleton", `{}`),
		destroyed(vacation, "singleton", `"destroy": ["singleton"]`),
		updated(vacation, "notFound", "nothing", `{"isEnabled": true}`),
		updated(vacation, "tooLarge", "singleton", `{"textBody": "`+strings.Repeat("x", 300<<10)+`"}`),
		updated(vacation, "invalidPatch", "singleton", `{"subject/x": 1}`),
		updated(vacation, "invalidProperties", "singleton", `{"isEnabled": 1}`).with("properties"),
		{method: set, kind: "overQuota", in: "notCreated", calls: calling(set, `"create": {`+many(33, `"a%": {"blobId": "SIEVE"}`)+`}`)},
		created(set, "tooLarge", `{"blobId": "LONG"}`).with("maxSize"),
		created(set, "blobNotFound", `{"blobId": "Unothing"}`).with("notFound"),
		created(set, "invalidSieve", `{"blobId": "LETTER"}`),
		created(set, "alreadyExists", `{"name": "runs", "blobId": "SIEVE"}`).with("existingId"),
		created(set, "invalidProperties", `{"name": "", "blobId": "SIEVE"}`).with("properties"),
		created(set, "invalidProperties", `{"name": "x", "blobId": "SIEVE", "isActive": true}`).with("properties"),
		updated(set, "notFound", "Fnothing", `{"name": "x"}`),
		updated(set, "invalidPatch", "SCRIPT", `{"name/x": 1}`),
		updated(set, "invalidProperties", "SCRIPT", `{"isActive": false}`).with("properties"),
		{method: set, kind: "willDestroy", in: "notUpdated", calls: calling(set, `"update": {"SPARE": {"name": "x"}}, "destroy": ["SPARE"]`)},
		destroyed(set, "sieveIsActive", `"destroy": ["SCRIPT"]`),
		fails("SieveScript/validate", "blobNotFound", `"blobId": "Unothing"`),
		fails("SieveScript/validate", "invalidArguments", ``),
	}
	all = append(all, never(vacation, ownedAll, "forbidden")...)
	all = append(all, never(vacation, "there is one: singleton", "overQuota")...)
	all = append(all, never(vacation, noRate, "rateLimit")...)
	all = append(all, never(vacation, "it is never destroyed: singleton", "willDestroy")...)
	all = append(all, never(set, ownedAll, "forbidden")...)
	all = append(all, never(set, noRate, "rateLimit")...)
	return append(all, never(set, oneOnly, "singleton")...)
}

func ofPush() []refusal {
	const set = "PushSubscription/set"
	const one = `{"deviceClientId": "d", "url": "https://push.example.test/"}`
	make := calling(set, `"create": {"a": `+one+`}`) + `, `
	all := []refusal{
		fails("PushSubscription/get", "forbidden", `"ids": null, "properties": ["url"]`),
		fails("PushSubscription/get", "forbidden", `"ids": null, "properties": ["keys"]`),
		fails(set, "invalidArguments", `"ifInState": "x"`),
		updated(set, "notFound", "Pnothing", `{"types": null}`),
		{method: set, kind: "invalidPatch", in: "notUpdated", calls: make + calling(set, `"update": {"#a": {"types/x": 1}}`)},
		{method: set, kind: "willDestroy", in: "notUpdated", calls: make + calling(set, `"update": {"#a": {"types": null}}, "destroy": ["#a"]`)},
		{method: set, kind: "invalidProperties", in: "notUpdated", calls: make + calling(set, `"update": {"#a": {"verificationCode": "guessed"}}`), more: "properties"},
		created(set, "invalidProperties", `{"deviceClientId": "d", "url": "http://push.example.test/"}`).with("properties"),
		created(set, "invalidProperties", `{"deviceClientId": "d", "url": "https://push.example.test/", "keys": {"p256dh": "x", "auth": "y"}}`).with("properties"),
		created(set, "invalidProperties", `{"deviceClientId": "d", "url": "https://push.example.test/`+strings.Repeat("x", 2048)+`"}`).with("properties"),
		{method: set, kind: "overQuota", in: "notCreated", calls: calling(set, `"create": {`+many(21, `"a%": `+one)+`}`)},
		{method: set, kind: "rateLimit", in: "notCreated", calls: calling(set, `"create": {`+many(31, `"a%": `+one)+`}`)},
	}
	all = append(all, never(set, "it has no state: invalidArguments", "stateMismatch")...)
	all = append(all, never(set, "it is the session of a browser that may not: the method's own forbidden", "forbidden")...)
	all = append(all, never(set, noSize+", and an address that is too long is invalidProperties", "tooLarge")...)
	return append(all, never(set, oneOnly, "singleton")...)
}

func ofOurs() []refusal {
	all := []refusal{
		fails("Travel/get", "requestTooLarge", `"ids": [MANY]`),
		fails("Travel/get", "invalidArguments", ``),
		fails("Posture/get", "requestTooLarge", `"addresses": [MANY]`),
		fails("Posture/get", "invalidArguments", ``),
		fails("Correspondent/query", "invalidArguments", `"text": "", "limit": -1`),
		fails("Unsubscribe/get", "requestTooLarge", `"ids": [MANY]`),
		fails("Unsubscribe/post", "requestTooLarge", `"ids": [MANY]`),
		{method: "Unsubscribe/post", kind: "notFound", in: "notPosted", calls: calling("Unsubscribe/post", `"ids": ["nothing"]`)},
		{method: "Unsubscribe/post", kind: "forbidden", in: "notPosted", calls: calling("Unsubscribe/post", `"ids": ["MAIL"]`)},
		fails("Invitation/get", "requestTooLarge", `"ids": [MANY]`),
		fails("Invitation/reply", "invalidArguments", `"emailId": "MAIL", "status": "perhaps"`),
		fails("Invitation/reply", "invalidArguments", `"emailId": "nothing", "status": "accepted"`),
	}
	return append(all, never("Correspondent/query", "it takes none", "anchorNotFound", "unsupportedSort", "unsupportedFilter")...)
}

// sql changes the store behind the server's back.
func (w *whole) sql(query string) {
	w.t.Helper()
	err := w.s.Store.Write(w.t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(query)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// access changes what the account may do.
func (w *whole) access(change func(account.Access) account.Access) {
	w.t.Helper()
	if err := w.s.Accounts.ChangeAccess(w.t.Context(), "you", change); err != nil {
		w.t.Fatal(err)
	}
}
