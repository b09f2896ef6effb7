//go:build !linux

package machine

import (
	"time"

	"waxwing/internal/doctor"
)

func diskOf(dir string) doctor.Disk {
	return doctor.Disk{Dir: dir, Err: "this system does not tell"}
}

func clockOf() doctor.Clock { return doctor.Clock{Now: time.Now()} }
