// Package apikeys keeps the keys with which programs use the HTTP API (OPS-8): each belongs
// to an account and has some of a closed set of rights. A key is shown once, when it is
// made; of its 256 random bits only a SHA-256 is kept, which nobody can search for, so that
// it needs no slow hash.
package apikeys
