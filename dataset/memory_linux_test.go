package dataset

import (
	"slices"
	"testing"
	"testing/fstest"
)

// TestMemoryIn: bounds are those of the machine and of control groups of both versions, with those above.
func TestMemoryIn(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	meminfo := file("MemTotal:       16384 kB\nMemFree: 1 kB\n")
	for name, c := range map[string]struct {
		root fstest.MapFS
		want []int64
	}{
		"nothing": {fstest.MapFS{}, nil},
		"machine": {fstest.MapFS{"proc/meminfo": meminfo}, []int64{16 << 20}},
		"version 2": {fstest.MapFS{"proc/meminfo": meminfo, "proc/self/cgroup": file("0::/a/b\n"),
			"sys/fs/cgroup/a/b/memory.max": file("max\n"), "sys/fs/cgroup/a/memory.max": file("5000\n")},
			[]int64{16 << 20, 5000}},
		"version 2, in a container": {fstest.MapFS{"proc/self/cgroup": file("0::/\n"),
			"sys/fs/cgroup/memory.max": file("7000\n")}, []int64{7000}},
		"version 1": {fstest.MapFS{"proc/self/cgroup": file("5:cpu,cpuacct:/x\n4:memory:/a\n"),
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes": file("9000\n"),
			"sys/fs/cgroup/memory/memory.limit_in_bytes":   file("9223372036854771712\n"),
			"sys/fs/cgroup/x/memory.limit_in_bytes":        file("1\n")}, []int64{9000}},
	} {
		if got := memoryIn(c.root); !slices.Equal(got, c.want) {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
