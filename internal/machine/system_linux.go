package machine

import (
	"time"

	"golang.org/x/sys/unix"

	"waxwing/internal/doctor"
)

// kinds are the file systems that matter, by their magic numbers (statfs(2)).
var kinds = map[int64]string{unix.TMPFS_MAGIC: "tmpfs", unix.RAMFS_MAGIC: "ramfs", unix.NFS_SUPER_MAGIC: "nfs",
	unix.SMB2_SUPER_MAGIC: "cifs", unix.CIFS_SUPER_MAGIC: "cifs", unix.FUSE_SUPER_MAGIC: "fuse", unix.V9FS_MAGIC: "9p"}

func diskOf(dir string) doctor.Disk {
	d := doctor.Disk{Dir: dir}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		d.Err = err.Error()
		return d
	}
	size := uint64(st.Bsize)
	d.Type, d.Free, d.Total, d.Files, d.FreeFiles = kinds[int64(st.Type)], st.Bavail*size, st.Blocks*size, st.Files, st.Ffree
	return d
}

// clockOf asks the kernel whether something keeps its clock right (adjtimex(2)).
func clockOf() doctor.Clock {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	return doctor.Clock{Now: time.Now(), Known: err == nil, Synced: state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0}
}
