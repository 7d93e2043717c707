package service

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentledger/consentledger/internal/badgerdb"
	"github.com/consentledger/consentledger/internal/refusal"
)

// askAgain is how long a caller waits who was refused because a disk is nearly full.
const askAgain = 30 * time.Second

// space watches over the room on the disks that the log, the vault and the head file
// lie on. What the databases may write by themselves, beside what is recorded, must
// always be free: the floor. The reserve is half as much again. While less than the
// reserve is free, only what ends or limits consent is recorded, which a person may
// demand at any time: rejections of confirmation mails, withdrawals, objections, opt-out
// signals, the tracking mode none, restrictions, suppressions, erasures. While less than
// the floor is, nothing is. When there is room again, recording goes on by itself.
type space struct {
	logger *slog.Logger
	free   func(dir string) (int64, error)

	mu    sync.Mutex // guards what follows, and the databases' spaces
	disks []disk
	level level // when somebody looked last
}

// disk is a file system, by a directory on it, and the databases that lie there.
type disk struct {
	dir       string
	databases []*badgerdb.Space
}

// room is how much may be recorded on a disk: everything, what is urgent, nothing.
type room struct {
	level         level
	free, reserve int64  // in bytes
	reason        string // why not everything is; without paths, because callers read it
}

type level int

const (
	everything level = iota
	onlyUrgent
	noRoom
)

// refuse gives the refusal of a task, or nil.
func (r room) refuse(urgent bool) error {
	if r.level == everything || urgent && r.level == onlyUrgent {
		return nil
	}
	return &refusal.Error{Code: refusal.ResourceExhausted, Reason: r.reason, Wait: askAgain}
}

// smallFiles is room for the head file, keys and what else is small.
const smallFiles = 1 << 20

func newSpace(s *Service, dir string, free func(dir string) (int64, error)) (*space, error) {
	w := &space{logger: s.logger, free: free}
	if free == nil {
		w.free = badgerdb.Free
	}
	at := map[uint64]int{}
	add := func(dir string, databases ...*badgerdb.Space) error {
		info, err := os.Stat(dir)
		if err != nil {
			return fmt.Errorf("looking at the room on the disk: %w", err)
		}
		device := uint64(info.Sys().(*syscall.Stat_t).Dev)
		i, known := at[device]
		if !known {
			i = len(w.disks)
			at[device] = i
			w.disks = append(w.disks, disk{dir: dir})
		}
		w.disks[i].databases = append(w.disks[i].databases, databases...)
		return nil
	}
	log, vault := s.log.Space(), s.vault.Space()
	return w, errors.Join(add(dir), add(log.Dir(), log), add(vault.Dir(), vault))
}

// directories are those of the databases.
func (w *space) directories() (list []string) {
	for _, d := range w.disks {
		for _, db := range d.databases {
			list = append(list, db.Dir())
		}
	}
	return list
}

// look looks at the disks and gives how the worst of them is. It takes microseconds,
// and is safe for concurrent use.
func (w *space) look() (worst room) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, d := range w.disks {
		r := w.lookAt(d)
		if i == 0 || r.level > worst.level || r.level == worst.level && r.free-r.reserve < worst.free-worst.reserve {
			worst = r
		}
	}
	if worst.level != w.level {
		w.level = worst.level
		if worst.level == everything {
			w.logger.Info("there is room on the disk again, and everything is recorded", "free_bytes", worst.free)
		} else {
			w.logger.Error("the disk is nearly full", "reason", worst.reason, "free_bytes", worst.free, "reserve_bytes", worst.reserve)
		}
	}
	return worst
}

func (w *space) lookAt(d disk) room {
	floor := int64(smallFiles)
	for _, db := range d.databases {
		need, err := db.Keep()
		if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
			return room{level: noRoom, reason: "nothing is recorded: the disk has no room for the next entries; make room"}
		} else if err != nil {
			return w.unknown(err)
		}
		floor += need
	}
	free, err := w.free(d.dir)
	if err != nil {
		return w.unknown(err)
	}
	r := room{free: free, reserve: floor + floor/2}
	enough := r.reserve
	if w.level != everything {
		enough += enough / 16 // so that the last byte does not decide to and fro
	}
	switch {
	case free < floor:
		r.level = noRoom
		r.reason = fmt.Sprintf("nothing is recorded: the disk has %d MiB free and needs %d MiB; make room", free>>20, enough>>20+1)
	case free < enough:
		r.level = onlyUrgent
		r.reason = fmt.Sprintf("only what ends or limits consent is recorded: the disk has %d MiB free and needs %d MiB; make room",
			free>>20, enough>>20+1)
	}
	return r
}

// unknown is a disk that cannot be looked at.
func (w *space) unknown(err error) room {
	if w.level != noRoom {
		w.logger.Error("the room on the disk is not known", "error", err.Error())
	}
	return room{level: noRoom, reason: "nothing is recorded: how much room the disk has cannot be found out"}
}

// roomForKeys is asked by the vault before it writes rows that are no group's. An
// open that finishes what a crash interrupted comes before there is a space. A log that
// has ended takes room until the table of it is written, so it waits as long as a
// commit may take.
func (s *Service) roomForKeys() error {
	if s.space == nil {
		return nil
	}
	for end := time.Now().Add(s.recorder.commits.slow); ; time.Sleep(10 * time.Millisecond) {
		if err := s.space.look().refuse(true); err == nil || time.Now().After(end) {
			return err
		}
	}
}
