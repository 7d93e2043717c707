package main

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// machine is what the doctor sees of the computer.
type machine struct {
	proc, sys string // directories
	now       func() time.Time
	user      int    // effective
	traceback string // GOTRACEBACK
	coreLimit func() (uint64, error)
	// inSync says whether something keeps the clock right.
	inSync func() (bool, error)
	// fileSystem looks at the one that holds a path.
	fileSystem func(path string) (fileSystem, error)
}

// fileSystem is what is asked about one.
type fileSystem struct {
	magic      int64
	free, size uint64 // bytes
	inodes     uint64 // free ones
	hasInodes  bool   // whether their number is limited
	device     uint64
}

func thisMachine() machine {
	return machine{
		proc: "/proc", sys: "/sys", now: time.Now, user: os.Geteuid(), traceback: os.Getenv("GOTRACEBACK"),
		coreLimit: func() (uint64, error) {
			var limit unix.Rlimit
			err := unix.Getrlimit(unix.RLIMIT_CORE, &limit)
			return limit.Cur, err
		},
		inSync:     clockInSync,
		fileSystem: statFileSystem,
	}
}

func statFileSystem(path string) (fileSystem, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return fileSystem{}, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	var file unix.Stat_t
	if err := unix.Stat(path, &file); err != nil {
		return fileSystem{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	block := uint64(st.Bsize)
	return fileSystem{magic: int64(st.Type), free: st.Bavail * block, size: st.Blocks * block, inodes: st.Ffree, hasInodes: st.Files > 0,
		device: uint64(file.Dev)}, nil
}

// lookAtMachine looks at what concerns the memory and the clock. head is the file that
// every entry changes.
func (d *doctor) lookAtMachine(head string) {
	if d.machine.user == 0 {
		d.unwise("user", "Run the server as a user of its own; internal/deploy/ledgerd.service does.",
			"this runs as root; if the server does, too, a fault in it is a fault of the whole machine")
	}
	d.lookAtSwap()
	d.lookAtCores()
	switch inSync, err := d.machine.inSync(); {
	case err != nil:
		d.unwise("clock", "Look with `timedatectl`.", "whether the clock is kept right cannot be seen: %v", err)
	case !inSync:
		d.unwise("clock", "Run chrony, ntpd or systemd-timesyncd.",
			"nothing keeps the clock right (the kernel calls it unsynchronised); entries are dated by it")
	}
	if info, err := os.Stat(head); err == nil && info.ModTime().After(d.machine.now().Add(time.Minute)) {
		d.wrong("clock", "Set the clock. If it is right, and the ledger refuses to record, see --accept-clock.",
			"the newest entry was written at %s, and now it is %s: the clock went back", utc(info.ModTime()), utc(d.machine.now()))
	}
}

// utc shows a time to the second.
func utc(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// lookAtSwap: memory holds the keys of the vault, and swap is a disk that keeps them.
func (d *doctor) lookAtSwap() {
	const remedy = "Switch it off (`swapoff -a`, and take it out of /etc/fstab), encrypt it, or keep the server out of it: MemorySwapMax=0 in its unit."
	text, err := os.ReadFile(filepath.Join(d.machine.proc, "swaps"))
	if err != nil {
		d.unwise("swap", remedy, "whether there is swap cannot be seen: %v", err)
		return
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	for _, line := range lines[1:] {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		name := filepath.Base(fields[0])
		if strings.HasPrefix(name, "zram") {
			continue // memory
		}
		uuid, _ := os.ReadFile(filepath.Join(d.machine.sys, "class/block", name, "dm/uuid"))
		if !strings.HasPrefix(string(uuid), "CRYPT-") {
			d.unwise("swap", remedy, "%s takes what is in memory, keys and personal data, to a disk as it is", fields[0])
		}
	}
}

// lookAtCores: a core dump is a copy of the memory.
func (d *doctor) lookAtCores() {
	const remedy = "Start the server with LimitCORE=0 in its unit, or `ulimit -c 0`."
	if d.machine.traceback == "crash" {
		d.wrong("core dumps", "Unset GOTRACEBACK.", "GOTRACEBACK=crash makes the program leave a core dump, with keys and personal data, when it fails")
	}
	limit, err := d.machine.coreLimit()
	if err != nil {
		d.unwise("core dumps", remedy, "whether they are made cannot be seen: %v", err)
		return
	}
	pattern, _ := os.ReadFile(filepath.Join(d.machine.proc, "sys/kernel/core_pattern"))
	to := strings.TrimSpace(string(pattern))
	switch {
	case strings.HasPrefix(to, "|") && limit == 0 && !strings.Contains(to, "systemd-coredump"):
		// Linux does not look at the limit when it pipes; systemd-coredump does.
		d.unwise("core dumps", "Take the program out of /proc/sys/kernel/core_pattern.", "they are given to a program (%s) whatever the limit is", to)
	case limit > 0 && to != "":
		d.unwise("core dumps", remedy, "they are allowed here, and go to %q: copies of the memory, with keys and personal data", to)
	}
}
