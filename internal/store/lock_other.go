//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package store

// lockDir does nothing here: two programs must not make one new database at the same moment.
func lockDir(string) (unlock func(), err error) { return func() {}, nil }

// lockServer does nothing here: two servers must not open one database.
func lockServer(string) (unlock func(), err error) { return func() {}, nil }
