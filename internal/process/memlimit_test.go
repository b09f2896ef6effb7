package process

import (
	"math"
	"os"
	"testing"
	"testing/fstest"
)

// The Go runtime keeps within the control group, or within most of the machine, and
// leaves room for what it does not count itself.
func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for r, want := range map[room]int64{
		{}:                                       0,
		{machine: 1024 * mib}:                    768 * mib,
		{machine: 1024 * mib, group: 512 * mib}:  512*mib - 512*mib/10,
		{machine: 1024 * mib, group: 2048 * mib}: 768 * mib, // the group's limit is none
		{group: 128 * mib}:                       96 * mib,
		{group: 32 * mib}:                        16 * mib,
		{group: 1}:                               1,
		{group: math.MaxInt64}:                   math.MaxInt64 - math.MaxInt64/10,
	} {
		if got, _ := memoryLimit(r); got != want {
			t.Errorf("%+v: %d, want %d", r, got, want)
		}
	}
	for group := int64(1); group < 1<<40; group = group*3/2 + 1 {
		if got, of := memoryLimit(room{group: group, machine: 1 << 50}); got < group/2 || got > group || of != "control group" {
			t.Errorf("%d: %d of %s", group, got, of)
		}
	}
}

// Both versions of control groups, seen from the host and from a container, and
// systems that have none.
func TestReadRoom(t *testing.T) {
	t.Parallel()
	const (
		meminfo = "MemTotal:        8000000 kB\nMemFree: 1 kB\n"
		v2      = "31 23 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
		v1      = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
	)
	for name, tt := range map[string]struct {
		files map[string]string
		want  room
	}{
		"nothing":     {nil, room{}},
		"no group":    {map[string]string{"proc/meminfo": meminfo}, room{machine: 8000000 << 10}},
		"odd meminfo": {map[string]string{"proc/meminfo": "MemTotal: 99999999999999999 kB\n"}, room{}},
		"v2, a service": {map[string]string{"proc/self/cgroup": "0::/system.slice/waxwing.service\n", "proc/self/mountinfo": v2,
			"sys/fs/cgroup/system.slice/waxwing.service/memory.max": "max\n", "sys/fs/cgroup/system.slice/waxwing.service/memory.high": "400\n",
			"sys/fs/cgroup/system.slice/memory.max": "500\n"}, room{group: 400}},
		"v2, the slice's": {map[string]string{"proc/self/cgroup": "0::/system.slice/waxwing.service\n", "proc/self/mountinfo": v2,
			"sys/fs/cgroup/system.slice/waxwing.service/memory.max": "600\n", "sys/fs/cgroup/system.slice/memory.max": "500\n"}, room{group: 500}},
		"v2, a container of its own name space": {map[string]string{"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": v2,
			"sys/fs/cgroup/memory.max": "700\n"}, room{group: 700}},
		"v1, the host": {map[string]string{"proc/self/cgroup": "5:cpu:/x\n4:memory:/a/b\n", "proc/self/mountinfo": v1,
			"sys/fs/cgroup/memory/a/b/memory.limit_in_bytes": "9223372036854771712\n", "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "800\n",
			"sys/fs/cgroup/cpu/x/memory.limit_in_bytes": "1\n"}, room{group: 800}},
		"v1, a container": {map[string]string{"proc/self/cgroup": "4:cpu,memory:/docker/1\n",
			"proc/self/mountinfo":                        "35 31 0:32 /docker/1 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "900\n", "sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes": "1\n"}, room{group: 900}},
		"another part of the tree": {map[string]string{"proc/self/cgroup": "0::/../other\n", "proc/self/mountinfo": v2,
			"sys/fs/cgroup/memory.max": "1000\n"}, room{group: 1000}},
		"garbage": {map[string]string{"proc/self/cgroup": "x\n0::\n:::\n", "proc/self/mountinfo": "\n - cgroup2\n- cgroup2 a b\n",
			"memory.max": "-1\n"}, room{}},
	} {
		root := fstest.MapFS{}
		for file, text := range tt.files {
			root[file] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := readRoom(root); got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
	if got := readRoom(os.DirFS("/")); got.machine == 0 {
		if _, err := os.Stat("/proc/meminfo"); err == nil {
			t.Error("the memory of this machine is not known")
		}
	}
}
