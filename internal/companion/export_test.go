package companion

// For the tests that build a whole server, which this package cannot import.
var (
	RecordedForTest  = recorded
	RowLineForTest   = rowLine
	DayRowsForTest   = dayRows
	CheckReportsTest = checkReports
	EventuallyTest   = eventually
)
