package letter

import (
	"net/http"
	"strings"

	"waxwing/internal/htmlmail"
)

// words are what a document says itself, in one language.
type words struct {
	htmlmail.Words
	Lang                                           string
	From, To, Cc, Date                             string
	Where, When, Until, Organizer, Guests, Repeats string
	Cut, Empty                                     string
	methods                                        map[string]string
}

// method says what a calendar object is for.
func (w *words) method(method string, cancelled bool) string {
	if cancelled {
		method = "CANCEL"
	}
	if s := w.methods[method]; s != "" {
		return s
	}
	return w.methods["PUBLISH"]
}

var english = &words{
	Words: htmlmail.Words{Quoted: "Quoted text", Lies: "its text named"}, Lang: "en",
	From: "From", To: "To", Cc: "Cc", Date: "Date",
	Where: "Where", When: "When", Until: "until", Organizer: "Organizer", Guests: "Invited", Repeats: "repeats",
	Cut: "The mail is longer. Its source and its attachments have all of it.", Empty: "This mail has no text.",
	methods: map[string]string{"REQUEST": "Invitation", "REPLY": "Answer to an invitation", "CANCEL": "Cancelled", "COUNTER": "Another time is proposed", "PUBLISH": "Event"},
}

var german = &words{
	Words: htmlmail.Words{Quoted: "Zitierter Text", Lies: "im Text stand"}, Lang: "de",
	From: "Von", To: "An", Cc: "Kopie", Date: "Datum",
	Where: "Wo", When: "Wann", Until: "bis", Organizer: "Lädt ein", Guests: "Eingeladen", Repeats: "wiederholt sich",
	Cut: "Die Nachricht ist länger. Ihr Quelltext und ihre Anhänge haben alles.", Empty: "Diese Nachricht hat keinen Text.",
	methods: map[string]string{"REQUEST": "Einladung", "REPLY": "Antwort auf eine Einladung", "CANCEL": "Abgesagt", "COUNTER": "Ein anderer Termin wird vorgeschlagen", "PUBLISH": "Termin"},
}

// wordsFor are those of the language that a request names, or that the browser prefers.
func wordsFor(r *http.Request) *words {
	lang := r.URL.Query().Get("lang")
	if lang == "" {
		lang = r.Header.Get("Accept-Language")
	}
	if strings.HasPrefix(strings.ToLower(lang), "de") {
		return german
	}
	return english
}
