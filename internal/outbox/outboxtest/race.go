//go:build race

package outboxtest

const raceDetector = true
