// Package config reads waxwing.toml: what belongs to one machine. It is
// strict: an unknown key is an error with its line, and all errors are told at
// once. Each key is documented where it is declared, and the reference page,
// `waxwing config describe` and `waxwing config example` are made from that.
//
// Parse checks the text alone; Check looks at the machine (files, addresses).
package config
