package companion

import (
	"strings"
	"testing"
)

// For the tests that build a whole server, which this package cannot import.
var (
	RecordedForTest  = recorded
	RowLineForTest   = rowLine
	DayRowsForTest   = dayRows
	CheckReportsTest = checkReports
	EventuallyTest   = eventually

	RecordedQueriesForTest = recordedQueries
)

// RecordedDatagramsForTest are the recorded ones, but of hosts with another key.
func RecordedDatagramsForTest(t *testing.T, key string) []string {
	lines := recorded(t, datagramsFile)
	for i := range lines {
		lines[i] = strings.ReplaceAll(lines[i], strings.ToUpper(hexOfKey), key)
	}
	return lines
}
