package dataset

import (
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
)

// systemMemory are the bounds that the system has, in bytes: that of the machine, of control groups, and of ulimit -v.
func systemMemory() []int64 {
	var limit syscall.Rlimit
	bounds := memoryIn(os.DirFS("/"))
	if err := syscall.Getrlimit(syscall.RLIMIT_AS, &limit); err == nil && limit.Cur < 1<<62 {
		bounds = append(bounds, int64(limit.Cur))
	}
	return bounds
}

// memoryIn are the bounds that files of root name: of /proc/meminfo, and of the control groups of the process, of
// versions 1 and 2, with those above.
func memoryIn(root fs.FS) []int64 {
	var bounds []int64
	if text, err := fs.ReadFile(root, "proc/meminfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 1 && f[0] == "MemTotal:" {
				if n, err := strconv.ParseInt(f[1], 10, 64); err == nil {
					bounds = append(bounds, n<<10)
				}
			}
		}
	}
	text, _ := fs.ReadFile(root, "proc/self/cgroup")
	for line := range strings.Lines(string(text)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) < 3 {
			continue
		}
		top, name := "sys/fs/cgroup", "memory.max" // version 2
		if f[1] != "" {
			if !strings.Contains(","+f[1]+",", ",memory,") {
				continue
			}
			top, name = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		}
		for at := path.Clean("/" + f[2]); ; at = path.Dir(at) {
			text, err := fs.ReadFile(root, path.Join(top, at, name))
			if err == nil {
				if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n < 1<<62 { // or "max"
					bounds = append(bounds, n)
				}
			}
			if at == "/" {
				break
			}
		}
	}
	return bounds
}
