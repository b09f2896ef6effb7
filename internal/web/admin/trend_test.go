package admin

import (
	"reflect"
	"testing"
	"time"

	"waxwing/internal/trends"
	"waxwing/internal/web/pages"
)

// ADM-3: a day's bar has the sum of its hours, of what happened, and the most, of how things were.
func TestPlots(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC)
	all := []trends.Point{
		{Hour: at, Measure: trends.Measure{Kind: trends.Sessions, Name: "none", N: 1}}, {Hour: at, Measure: trends.Measure{Kind: trends.Sessions, Name: "dane", N: 2}},
		{Hour: at.Add(time.Hour), Measure: trends.Measure{Kind: trends.Sessions, Name: "dane", N: 3}},
		{Hour: at, Measure: trends.Measure{Kind: trends.Age, Name: "oldest", N: 180}}, {Hour: at.Add(time.Hour), Measure: trends.Measure{Kind: trends.Age, Name: "oldest", N: 60}},
	}
	for _, tt := range []struct {
		drawing int
		byDay   bool
		series  []string
		want    []pages.Point
	}{
		{0, false, []string{"dane", "none"}, []pages.Point{{Label: "30. 10:00", Values: []int64{2, 1}}, {Label: "30. 11:00", Values: []int64{3, 0}}}},
		{0, true, []string{"dane", "none"}, []pages.Point{{Label: "11-30", Values: []int64{5, 1}}}},
		{4, true, []string{"oldest"}, []pages.Point{{Label: "11-30", Values: []int64{3}}}},
		{1, true, nil, nil},
	} {
		p := drawn()[tt.drawing].plot(all, tt.byDay)
		var names []string
		for _, s := range p.Series {
			names = append(names, s.Name)
		}
		if !reflect.DeepEqual(names, tt.series) || !reflect.DeepEqual(p.Points, tt.want) {
			t.Errorf("%s: %v %+v", p.Title, names, p.Points)
		}
	}
}
