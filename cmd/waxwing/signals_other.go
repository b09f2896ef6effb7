//go:build !unix

package main

import "os"

// watchSignals: there are none here.
func watchSignals() (got <-chan os.Signal, stop func()) { return nil, func() {} }

func isVerbose(os.Signal) bool { return false }
