package process

import (
	"os/user"
	"strconv"
	"syscall"
)

// Become makes root's process one of another user, for good, with all of the user's
// groups; gid is the group where the system does not know the user.
func Become(uid, gid int) error {
	gid, groups := groupsOf(uid, gid)
	if err := syscall.Setgroups(groups); err != nil {
		return err
	}
	if err := syscall.Setgid(gid); err != nil {
		return err
	}
	return syscall.Setuid(uid)
}

// LookUp finds a user of this machine by name or number.
func LookUp(name string) (uid, gid int, err error) {
	u, err := user.Lookup(name)
	if err != nil {
		if _, nerr := strconv.Atoi(name); nerr != nil {
			return 0, 0, err
		}
		if u, err = user.LookupId(name); err != nil {
			return 0, 0, err
		}
	}
	uid, err = strconv.Atoi(u.Uid)
	if err == nil {
		gid, err = strconv.Atoi(u.Gid)
	}
	return uid, gid, err
}

// groupsOf are the groups of a user; gid alone where the system does not know the user.
func groupsOf(uid, gid int) (first int, all []int) {
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return gid, []int{gid}
	}
	if n, err := strconv.Atoi(u.Gid); err == nil {
		gid = n
	}
	ids, err := u.GroupIds()
	if err != nil {
		return gid, []int{gid}
	}
	for _, id := range ids {
		if n, err := strconv.Atoi(id); err == nil {
			all = append(all, n)
		}
	}
	return gid, all
}
