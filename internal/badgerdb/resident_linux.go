package badgerdb

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Resident keeps the part of tables that is in this process's memory below a limit.
// Badger maps tables into memory, and what was read of them stays until the kernel
// needs the room: on an idle machine, all of it. It costs nothing to give back, but
// whoever looks at the process takes it for its need.
//
// One goroutine at a time.
type Resident struct {
	Dirs  []string // of databases
	Limit int64    // in bytes, of all mapped files, the program's own among them

	last uint64 // the address of the table that was given back last
	rest int64  // what was left when all tables had been given back and that was not enough
}

// Trim gives tables back, the next ones in turn, when the limit is reached, until a
// quarter of it is free. It takes microseconds below the limit.
func (r *Resident) Trim() error {
	mapped, err := mappedBytes()
	if err != nil || mapped <= max(r.Limit, r.rest+r.Limit/2) {
		return err
	}
	tables, err := r.tables()
	if err != nil {
		return err
	}
	from := slices.IndexFunc(tables, func(t [2]uint64) bool { return t[0] > r.last })
	for i := range tables {
		t := tables[(max(from, 0)+i)%len(tables)]
		// It only gives back: a table that was unmapped meanwhile, and what may be
		// there in its place, is not changed by it.
		_, _, errno := unix.Syscall(unix.SYS_MADVISE, uintptr(t[0]), uintptr(t[1]-t[0]), unix.MADV_PAGEOUT)
		if errno != 0 && errno != unix.ENOMEM {
			return fmt.Errorf("giving back a table's memory: %w", errno)
		}
		r.last = t[0]
		if mapped, err = mappedBytes(); err != nil || mapped <= r.Limit/4*3 {
			return err
		}
	}
	r.rest = mapped
	return nil
}

// tables lists where the tables are mapped, ascending.
func (r *Resident) tables() (list [][2]uint64, err error) {
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil, fmt.Errorf("looking for mapped tables: %w", err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		// 7f0c5e000000-7f0c5e200000 rw-s 00000000 fe:00 131 /srv/consent/log/000007.sst
		at := strings.Index(lines.Text(), "/")
		if at < 0 || !strings.HasSuffix(lines.Text(), ".sst") || !slices.Contains(r.Dirs, filepath.Dir(lines.Text()[at:])) {
			continue
		}
		var begin, end uint64
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x ", &begin, &end); err != nil {
			return nil, fmt.Errorf("looking for mapped tables: %w", err)
		}
		list = append(list, [2]uint64{begin, end})
	}
	return list, nil
}

// mappedBytes is how much of mapped files is in this process's memory.
func mappedBytes() (int64, error) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, fmt.Errorf("asking for this process's memory: %w", err)
	}
	fields := strings.Fields(string(text)) // pages: size, resident, of these shared, …
	if len(fields) < 3 {
		return 0, fmt.Errorf("asking for this process's memory: statm says %q", text)
	}
	pages, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("asking for this process's memory: %w", err)
	}
	return pages * int64(os.Getpagesize()), nil
}
