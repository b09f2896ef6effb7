package api

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"waxwing/internal/openapi"
	"waxwing/internal/webhooks"
)

const problemMedia = "application/problem+json"

// Document is the description of the API, made of its operations. Version is the program's.
func Document(version string) openapi.Document {
	var s openapi.Schemas
	d := openapi.Document{OpenAPI: openapi.Version, Servers: []openapi.Server{{URL: "/"}}, Paths: map[string]openapi.PathItem{},
		Info: openapi.Info{Title: "Waxwing", Version: cmp.Or(version, "unreleased"), License: openapi.License{Name: "MIT", Identifier: "MIT"},
			Description: "Send mail, ask what became of it, read what has come. Every request but that for this description carries an API key, which \"waxwing api key add\" makes."},
		Security: []map[string][]string{{"key": {}}}}
	for _, o := range operations() {
		if d.Paths[o.path] == nil {
			d.Paths[o.path] = openapi.PathItem{}
		}
		d.Paths[o.path][strings.ToLower(o.method)] = o.describe(&s)
	}
	d.Webhooks = map[string]openapi.PathItem{}
	for _, t := range webhooks.Types() {
		d.Webhooks[string(t)] = openapi.PathItem{"post": describeEvent(&s, t)}
	}
	d.Components = openapi.Components{Schemas: s.All,
		SecuritySchemes: map[string]openapi.SecurityScheme{"key": {Type: "http", Scheme: "bearer", Description: "An API key: wxk_…"}}}
	return d
}

// describeEvent describes what a webhook is posted.
func describeEvent(s *openapi.Schemas, t webhooks.Type) openapi.Operation {
	header := func(name, text string) openapi.Parameter {
		return openapi.Parameter{Name: name, In: "header", Required: true, Description: text, Schema: openapi.Text("")}
	}
	return openapi.Operation{ID: "event-" + string(t), Summary: "An event of the type " + string(t), Security: []map[string][]string{{}},
		Parameters: []openapi.Parameter{header("webhook-id", "The event's id, the same each time it is posted."), header("webhook-timestamp", "When it was posted, in seconds since 1970."),
			header("webhook-signature", "v1 and a comma, then the HMAC-SHA256 of id, timestamp and body, with dots between, in base64.")},
		Body:      &openapi.Body{Required: true, Content: map[string]openapi.Media{jsonMedia: {Schema: openapi.Of[webhooks.Event](s)}}},
		Responses: map[string]openapi.Response{"2XX": {Description: "It was taken."}, "410": {Description: "No more events are wanted: the webhook is disabled."}, "default": {Description: "It is posted again, for a day."}}}
}

// describe makes the description of one operation.
func (o *operation) describe(s *openapi.Schemas) openapi.Operation {
	out := openapi.Operation{ID: o.id, Summary: o.summary, Description: o.more, Parameters: o.params, Responses: map[string]openapi.Response{}}
	if o.public {
		out.Security = []map[string][]string{{}}
	}
	if o.right != "" {
		out.Description = strings.TrimSpace(out.Description + " The key needs the right " + string(o.right) + ".")
	}
	if o.takes != nil {
		out.Body = &openapi.Body{Required: true, Content: contents(s, o.takes)}
	}
	out.Responses[strconv.Itoa(o.gives.status)] = openapi.Response{Description: o.gives.text, Content: contents(s, o.gives.content), Headers: o.gives.headers}
	for status, titles := range o.refusals() {
		r := openapi.Response{Description: strings.Join(titles, "; ") + ".", Content: map[string]openapi.Media{problemMedia: {Schema: openapi.Of[Problem](s)}}}
		if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
			r.Headers = map[string]openapi.Header{"Retry-After": {Description: "Seconds to wait.", Schema: &openapi.Schema{Type: "integer"}}}
		}
		out.Responses[strconv.Itoa(status)] = r
	}
	return out
}

// refusals are the titles of the problems that an operation may have, by status.
func (o *operation) refusals() map[int][]string {
	out, may := map[int][]string{}, slices.Clone(o.problems)
	if !o.public {
		may = append(may, noKey, badKey, slowDown, unavailable)
	}
	if o.right != "" {
		may = append(may, missingRight)
	}
	for _, k := range kinds() {
		if slices.Contains(may, k.name) {
			out[k.status] = append(out[k.status], k.title)
		}
	}
	return out
}

func contents(s *openapi.Schemas, all map[string]media) map[string]openapi.Media {
	if all == nil {
		return nil
	}
	out := map[string]openapi.Media{}
	for name, schema := range all {
		out[name] = openapi.Media{Schema: schema(s)}
	}
	return out
}

func (h *Handler) document(w http.ResponseWriter, _ caller) error {
	if h.undescribed != nil {
		return h.undescribed
	}
	return answer(w, http.StatusOK, h.described)
}

// Reference is the list of operations and problems for the documentation, in Markdown.
func Reference() string {
	var b strings.Builder
	b.WriteString("| request | right | what it does |\n|---|---|---|\n")
	for _, o := range operations() {
		right := cmp.Or(string(o.right), "any key")
		if o.public {
			right = "no key"
		}
		fmt.Fprintf(&b, "| `%s %s` | %s | %s |\n", o.method, o.path, right, o.summary)
	}
	b.WriteString("\n### What a message may have\n\n| field | | meaning |\n|---|---|---|\n")
	var s openapi.Schemas
	openapi.Of[Message](&s)
	for _, name := range []string{"Message", "Attachment", "HeaderField"} {
		if name != "Message" {
			fmt.Fprintf(&b, "\n%s:\n\n| field | | meaning |\n|---|---|---|\n", map[string]string{"Attachment": "Each of `attachments`", "HeaderField": "Each of `headers`"}[name])
		}
		writeFields(&b, s.All[name])
	}
	b.WriteString("\n### Problems\n\n| status | type | meaning |\n|--:|---|---|\n")
	for _, k := range kinds() {
		fmt.Fprintf(&b, "| %d | `%s` | %s |\n", k.status, problem(k.name, "").Type, k.title)
	}
	return b.String()
}

// writeFields lists the fields of a schema, those that are needed first.
func writeFields(b *strings.Builder, s *openapi.Schema) {
	var names []string
	for name := range s.Properties {
		names = append(names, name)
	}
	needed := func(name string) bool { return slices.Contains(s.Required, name) }
	slices.SortFunc(names, func(x, y string) int {
		if needed(x) != needed(y) {
			return map[bool]int{true: -1, false: 1}[needed(x)]
		}
		return cmp.Compare(x, y)
	})
	for _, name := range names {
		p := s.Properties[name]
		word := ""
		if needed(name) {
			word = "needed"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", name, word, fieldText(p))
	}
}

func fieldText(p *openapi.Schema) string {
	words := p.Enum
	if p.Items != nil && p.Items.Enum != nil {
		words = p.Items.Enum
	}
	text := p.Description
	if len(words) > 0 {
		text += " One of `" + strings.Join(words, "`, `") + "`."
	}
	return text
}

// JSON is the description as a file.
func JSON(version string) ([]byte, error) {
	b, err := json.MarshalIndent(Document(version), "", "  ")
	return append(b, '\n'), err
}
