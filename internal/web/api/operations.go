package api

import (
	"net/http"

	"waxwing/internal/apikeys"
	"waxwing/internal/listing"
	"waxwing/internal/openapi"
)

// Paths of the API.
const (
	DocumentPath = "/api/openapi.json"
	v1           = "/api/v1"
	MessagesPath = v1 + "/messages"
)

// operation is one thing that can be called: the route, the description and what is done.
type operation struct {
	method, path, id string
	public           bool          // it needs no key
	right            apikeys.Right // "": any key will do
	summary, more    string
	params           []openapi.Parameter
	takes            map[string]media // bodies of the request by media type
	gives            given            // the answer if all goes well
	problems         []string         // kinds, beside those that every operation has
	serve            func(h *Handler, w http.ResponseWriter, c caller) error
}

// media is the schema of a body.
type media func(*openapi.Schemas) *openapi.Schema

// given is an answer.
type given struct {
	status  int
	text    string
	content map[string]media
	headers map[string]openapi.Header
}

func octets(*openapi.Schemas) *openapi.Schema { return &openapi.Schema{Type: "string"} }

// ok is an answer of 200 with a JSON body.
func ok[T any](text string) given {
	return given{status: http.StatusOK, text: text, content: map[string]media{jsonMedia: openapi.Of[T]}}
}

// operations are all there are.
func operations() []operation {
	return []operation{
		{method: http.MethodPost, path: MessagesPath, id: "sendMessage", right: apikeys.Send, summary: "Send a message",
			more: "The message goes through the same door as mail that the account submits by SMTP: its sender must be the account's, the account's daily allowance counts, and it is signed with DKIM. " +
				"It is sent to all recipients or, if one is refused, to none. 202 means that it is durable: it is delivered, or its sender is told. " +
				"As message/rfc822, recipients and options stand in the query; without to, the recipients are those of the fields To, Cc and Bcc, of which Bcc is taken out. " +
				"With an Idempotency-Key, a request that is repeated within seven days is answered as the first one and not sent again.",
			params: sendParams(),
			takes:  map[string]media{jsonMedia: openapi.Of[Message], mailMedia: octets},
			gives: given{http.StatusAccepted, "The message is durable.", map[string]media{jsonMedia: openapi.Of[Sent]},
				map[string]openapi.Header{"Location": {Description: "Where its state is.", Schema: openapi.Text("")}}},
			problems: []string{badRequest, notAllowed, noLength, tooLarge, badMedia, refused, keyReused},
			serve:    (*Handler).send},
		{method: http.MethodGet, path: MessagesPath, id: "listMessages", right: apikeys.Read, summary: "The newest messages that the account has handed in",
			more:   "By this API or by SMTP, newest first. Settled ones are kept for delivery.history.",
			params: []openapi.Parameter{limitParam(pageMessages), inQuery("before", "The id of a message: list those before it.")},
			gives:  ok[Messages]("A page of messages."), problems: []string{badRequest}, serve: (*Handler).listMessages},
		{method: http.MethodGet, path: MessagesPath + "/{id}", id: "showMessage", right: apikeys.Read, summary: "What became of a message",
			more:   "Its whole life, as \"waxwing mail trace --json\" tells it: every recipient with its state, every attempt with its decision and TLS facts.",
			params: []openapi.Parameter{inPath("id", "The id of the message.")},
			gives:  ok[listing.Travel]("The message."), problems: []string{badRequest, notFound}, serve: (*Handler).showMessage},
		{method: http.MethodGet, path: v1 + "/suppressions", id: "listSuppressions", right: apikeys.Read, summary: "Recipients that the account sends no more to",
			more:   "Those that refused mail for good, and those that somebody entered. Mail to them fails at once.",
			params: []openapi.Parameter{limitParam(pageSuppressions), inQuery("after", "An address: list those after it.")},
			gives:  ok[Suppressions]("A page of recipients, in the order of their addresses."), problems: []string{badRequest}, serve: (*Handler).listSuppressions},
		{method: http.MethodDelete, path: v1 + "/suppressions/{address}", id: "removeSuppression", right: apikeys.Suppressions, summary: "Send to a recipient again",
			params: []openapi.Parameter{inPath("address", "The recipient's address.")},
			gives:  given{status: http.StatusNoContent, text: "It is off the list."}, problems: []string{notFound}, serve: (*Handler).removeSuppression},
		{method: http.MethodGet, path: v1 + "/mail", id: "listMail", right: apikeys.Mail, summary: "What lies in a mailbox",
			more:   "Newest first.",
			params: []openapi.Parameter{inQuery("mailbox", "The mailbox; without one, INBOX."), limitParam(pageMail), inQuery("before", "The id of a message: list those before it.")},
			gives:  ok[Mail]("A page of messages."), problems: []string{badRequest}, serve: (*Handler).listMail},
		{method: http.MethodGet, path: v1 + "/mail/{id}", id: "showMail", right: apikeys.Mail, summary: "A message of a mailbox, with its header",
			params: []openapi.Parameter{inPath("id", mailID)},
			gives:  ok[MailHeader]("The message."), problems: []string{badRequest, notFound}, serve: (*Handler).showMail},
		{method: http.MethodGet, path: v1 + "/mail/{id}/raw", id: "rawMail", right: apikeys.Mail, summary: "A message of a mailbox, as it lies there",
			params: []openapi.Parameter{inPath("id", mailID)},
			gives:  given{status: http.StatusOK, text: "The message (RFC 5322).", content: map[string]media{mailMedia: octets}}, problems: []string{badRequest, notFound}, serve: (*Handler).rawMail},
		{method: http.MethodGet, path: v1 + "/key", id: "showKey", summary: "The key itself: its account and its rights",
			gives: ok[apikeys.Key]("The key."), serve: (*Handler).showKey},
		{method: http.MethodGet, path: DocumentPath, id: "openapi", public: true, summary: "This description",
			gives: given{status: http.StatusOK, text: "OpenAPI 3.1.", content: map[string]media{jsonMedia: func(*openapi.Schemas) *openapi.Schema { return &openapi.Schema{Type: "object"} }}},
			serve: (*Handler).document},
	}
}

const mailID = "The id of the copy, as lists have it, or of the message, as events have it."

func inPath(name, text string) openapi.Parameter {
	return openapi.Parameter{Name: name, In: "path", Description: text, Required: true, Schema: openapi.Text("")}
}

func inQuery(name, text string) openapi.Parameter {
	return openapi.Parameter{Name: name, In: "query", Description: text, Schema: openapi.Text("")}
}

func limitParam(most int64) openapi.Parameter {
	least := int64(1)
	return openapi.Parameter{Name: "limit", In: "query", Description: "How many at most.", Schema: &openapi.Schema{Type: "integer", Minimum: &least, Maximum: &most}}
}

// sendParams are the header field of an idempotency key, and for message/rfc822 what the
// JSON form has in fields.
func sendParams() []openapi.Parameter {
	out := []openapi.Parameter{{Name: "Idempotency-Key", In: "header", Schema: openapi.Text(""),
		Description: "A word of the program's own for this message, such as the number of an order: up to 255 printable characters."}}
	var s openapi.Schemas
	openapi.Of[Options](&s)
	add := func(name string, x *openapi.Schema) {
		text := x.Description
		x.Description = ""
		out = append(out, openapi.Parameter{Name: name, In: "query", Description: "For message/rfc822: " + text, Schema: x})
	}
	add("to", &openapi.Schema{Type: "array", Items: openapi.Text(""), Description: "the recipients, in place of those in the header."})
	for _, name := range []string{"sender", "tls", "hold_for", "hold_until", "notify", "return", "envelope_id"} {
		add(name, s.All["Options"].Properties[name])
	}
	return out
}
