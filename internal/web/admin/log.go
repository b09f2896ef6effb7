package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"waxwing/internal/config"
	"waxwing/internal/logline"
	"waxwing/internal/web/deeds"
	"waxwing/internal/web/pages"
)

// byConfiguration is the level of an area that is as the configuration says.
const byConfiguration = "default"

// logPage lists the areas of the log with their levels (OPS-1).
func (h *Handler) logPage(*http.Request) (pages.Page, error) {
	set := h.setLevel().Form()
	set.Folded = true
	return pages.Page{Title: "Log levels", Lead: "From which level on each area of the log is written.", Command: "waxwing log list",
		Blocks: []pages.Block{pages.TableOf(logline.Listing(), h.Rooms.Levels.List(), nil), set}}, nil
}

// setLevel gives an area of the log a level for a while.
func (h *Handler) setLevel() deeds.Deed {
	areas := []string{"all"}
	for _, a := range config.LogAreas() {
		areas = append(areas, string(a.Area))
	}
	return deeds.Deed{Path: Path + "log/set", Title: "Log more, or less, for a while", Says: "Set", Command: "log set AREA LEVEL --for TIME",
		Fields: []pages.Field{{Name: "area", Label: "Area", Kind: "select", Options: areas}, {Name: "level", Label: "Level", Kind: "select", Options: []string{"debug", "info", "warn", "error", byConfiguration}, Help: "default: as the configuration says"},
			{Name: "for", Label: "For how long", Value: "1h", Help: "such as 10m; 0: until the server ends"}},
		Do: func(_ context.Context, v deeds.Values) (deeds.Done, error) {
			name, level := v.Text("area"), v.Text("level")
			of, ok := logline.AreasOf(name)
			if !ok {
				return deeds.Done{}, fmt.Errorf("there is no area %q of the log", name)
			}
			d := deeds.Done{Command: deeds.Command("log set", name, level), Outcome: "the log of " + name + " is as the configuration says", Back: Path + "log"}
			if level == byConfiguration {
				h.Rooms.Levels.Reset(of)
				return d, nil
			}
			var t logline.Temporary
			last, err := time.ParseDuration(v.Text("for"))
			if err == nil && last < 0 {
				err = errors.New("a level cannot hold for less than no time")
			}
			if err = errors.Join(err, t.Level.UnmarshalText([]byte(level))); err != nil {
				return deeds.Done{}, err
			}
			if last > 0 {
				t.Until = h.Now().Add(last)
			}
			h.Rooms.Levels.Set(of, t)
			h.Log.Info("log level set", "of", name, "level", slog.Level(t.Level).String(), "until", t.Until)
			d.Command, d.Outcome = deeds.Command("log set", name, level, deeds.Flag("for", v.Text("for"))), "the log of "+name+" begins at "+level
			return d, nil
		}}
}
