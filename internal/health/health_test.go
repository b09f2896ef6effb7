package health

import (
	"strings"
	"testing"
	"time"
)

// OPS-5: each thing that is not well is found, at the borders, and the worst comes first.
func TestFindings(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	well := Facts{Now: now, DiskKnown: true, DiskFree: 10 << 30, DiskReserve: 1 << 30, Waiting: 10, Oldest: now.Add(-oldMail), LastBackup: now.Add(-oldBackup),
		Certificates: []Certificate{{"host", now.Add(15 * 24 * time.Hour), 90 * 24 * time.Hour}}}
	if got := Findings(well); len(got) != 0 {
		t.Errorf("all is well, and yet: %v", got)
	}
	for name, x := range map[string]struct {
		change func(f *Facts)
		level  Level
		what   string
	}{
		"not running":        {func(f *Facts) { f.NotRunning = "x" }, Fault, "no server answers: x"},
		"no store":           {func(f *Facts) { f.NoStore = "x" }, Fault, "the store cannot be used: x"},
		"disk short":         {func(f *Facts) { f.DiskFree = f.DiskReserve - 1 }, Fault, "mail is refused: 1023 MiB"},
		"disk at reserve":    {func(f *Facts) { f.DiskFree = f.DiskReserve }, Warning, "nearly full"},
		"disk nearly short":  {func(f *Facts) { f.DiskFree = 2*f.DiskReserve - 1 }, Warning, "nearly full"},
		"certificate ended":  {func(f *Facts) { f.Certificates[0].Ends = now }, Fault, "has ended"},
		"certificate ending": {func(f *Facts) { f.Certificates[0].Ends = now.Add(15*24*time.Hour - 1) }, Warning, "ends in 14 days"},
		"milter, defer":      {func(f *Facts) { f.Milters = []Milter{{Name: "av", Failure: "defer", Trouble: "refused"}} }, Fault, "mail is not taken (defer): the milter av does not answer: refused"},
		"milter, accept": {func(f *Facts) {
			f.Milters = []Milter{{Name: "ok", Failure: "defer"}, {Name: "av", Failure: "accept", Trouble: "refused"}}
		}, Warning, "mail passes unseen (accept): the milter av"},
		"DNS":           {func(f *Facts) { f.DNSFaults = 1 }, Warning, "1 faults"},
		"DNS conflicts": {func(f *Facts) { f.DNSConflicts = 2 }, Warning, "2 record sets in DNS"},
		"DNS failing":   {func(f *Facts) { f.DNSFailing, f.DNSFailure = now.Add(-time.Hour), "refused" }, Warning, "for 60 minutes: refused"},
		"DNS unknown":   {func(f *Facts) { f.DNSUnknown = 1 }, Advice, "could not be looked up"},
		"old mail":      {func(f *Facts) { f.Oldest = now.Add(-oldMail - time.Hour) }, Advice, "mail waits for 2 days"},
		"much mail":     {func(f *Facts) { f.Waiting = manyWait + 1 }, Warning, "10001 recipients wait"},
		"held":          {func(f *Facts) { f.Held = 1 }, Advice, "held"},
		"closed":        {func(f *Facts) { f.Closed = 1 }, Advice, "do not answer"},
		"no backup":     {func(f *Facts) { f.LastBackup = time.Time{} }, Advice, "never a backup"},
		"old backup":    {func(f *Facts) { f.LastBackup = now.Add(-oldBackup - 1) }, Warning, "2 days ago"},
	} {
		f := well
		f.Certificates = append([]Certificate(nil), well.Certificates...)
		x.change(&f)
		got := Findings(f)
		if len(got) != 1 || got[0].Level != x.level || !strings.Contains(got[0].What, x.what) || got[0].Cure == "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for name, f := range map[string]Facts{
		"nothing waits":          {Now: now, LastBackup: now, Oldest: time.Time{}},
		"disk not known":         {Now: now, LastBackup: now, DiskReserve: 1},
		"at most so many":        {Now: now, LastBackup: now, Waiting: manyWait, Oldest: now},
		"disk is exactly enough": {Now: now, LastBackup: now, DiskKnown: true, DiskFree: 2, DiskReserve: 1},
	} {
		if got := Findings(f); len(got) != 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	all := Findings(Facts{Now: now, NotRunning: "x", Held: 1, DNSFaults: 1})
	for i := 1; i < len(all); i++ {
		if all[i].Level > all[i-1].Level {
			t.Errorf("%v comes after %v", all[i], all[i-1])
		}
	}
	for _, l := range []Level{Advice, Warning, Fault} {
		if l.String() == "" {
			t.Error("a level without a word")
		}
	}
	if span(90*time.Minute) != "90 minutes" || span(2*time.Hour) != "2 hours" || span(48*time.Hour) != "2 days" {
		t.Error("spans")
	}
}
