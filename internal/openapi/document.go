// Package openapi describes HTTP APIs in the form of OpenAPI 3.1: the part of it that this
// program's own API needs, and schemas made from the Go types that its JSON is made from, so
// that neither can be changed without the other.
package openapi

// Version is that of the form.
const Version = "3.1.0"

// Document is a whole description.
type Document struct {
	OpenAPI    string                `json:"openapi"`
	Info       Info                  `json:"info"`
	Servers    []Server              `json:"servers,omitempty"`
	Security   []map[string][]string `json:"security,omitempty"`
	Paths      map[string]PathItem   `json:"paths"`
	Webhooks   map[string]PathItem   `json:"webhooks,omitempty"`
	Components Components            `json:"components"`
}

// Info says what is described.
type Info struct {
	Title       string  `json:"title"`
	Version     string  `json:"version"`
	Description string  `json:"description,omitempty"`
	License     License `json:"license"`
}

// License is that of the program.
type License struct {
	Name       string `json:"name"`
	Identifier string `json:"identifier,omitempty"` // of SPDX
}

// Server is where the API is.
type Server struct {
	URL string `json:"url"`
}

// PathItem is the operations of a path, by method in lower case.
type PathItem map[string]Operation

// Operation is one request and its answers.
type Operation struct {
	ID          string                `json:"operationId"`
	Summary     string                `json:"summary"`
	Description string                `json:"description,omitempty"`
	Tags        []string              `json:"tags,omitempty"`
	Parameters  []Parameter           `json:"parameters,omitempty"`
	Body        *Body                 `json:"requestBody,omitempty"`
	Responses   map[string]Response   `json:"responses"`
	Security    []map[string][]string `json:"security,omitempty"`
}

// Parameter is a part of the path, the query or the header.
type Parameter struct {
	Name        string  `json:"name"`
	In          string  `json:"in"` // path, query, header
	Description string  `json:"description,omitempty"`
	Required    bool    `json:"required,omitempty"`
	Schema      *Schema `json:"schema"`
}

// Body is what a request carries, by media type.
type Body struct {
	Description string           `json:"description,omitempty"`
	Required    bool             `json:"required"`
	Content     map[string]Media `json:"content"`
}

// Media is a body of one media type.
type Media struct {
	Schema *Schema `json:"schema"`
}

// Response is one answer.
type Response struct {
	Description string            `json:"description"`
	Headers     map[string]Header `json:"headers,omitempty"`
	Content     map[string]Media  `json:"content,omitempty"`
}

// Header is a header field of an answer.
type Header struct {
	Description string  `json:"description,omitempty"`
	Schema      *Schema `json:"schema"`
}

// Components are what the rest refers to.
type Components struct {
	Schemas         map[string]*Schema        `json:"schemas"`
	SecuritySchemes map[string]SecurityScheme `json:"securitySchemes,omitempty"`
}

// SecurityScheme is how a client says who it is.
type SecurityScheme struct {
	Type        string `json:"type"`
	Scheme      string `json:"scheme,omitempty"`
	Description string `json:"description,omitempty"`
}
