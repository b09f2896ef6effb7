// Package api serves the HTTP API for programs (OPS-8), below /api/: they hand in mail, ask
// what became of it, and read what has come. Who calls is told by an API key. What there is
// to call stands as data in operations.go, of which the server's routes, the OpenAPI document
// and the page in the documentation are made.
package api
