// Package arch holds the test that keeps the layers of docs/architecture.md
// true. It has no code of its own.
package arch
