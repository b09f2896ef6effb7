package listing

import (
	"waxwing/internal/config"
	"waxwing/internal/text"
)

// SettingListing is how keys of the configuration are listed for people.
func SettingListing() text.List[config.Setting] {
	return text.List[config.Setting]{Columns: text.Columns("KEY|VALUE|"), Cells: func(s *config.Setting) []any {
		return []any{s.Key, s.Value, map[bool]string{true: "changed"}[s.Given]}
	}}
}
