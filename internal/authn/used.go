package authn

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// When each key was used last stands in a file beside that of the keys, under its
// name and ".used". It is text:
//
//	consent-ledger/apikeys-used/v1
//	<hash> <time>
//	end <sum>
//
// in ascending order of hash; hash, time and sum are those of the file of the keys.
// Nothing depends on it, and whoever deletes it loses what it says and nothing
// else.
//
// It is written a minute after a use at the latest, and when the server ends: a
// crash loses a minute at most. Each writing starts from what the file says and no
// time ever goes back. A file that cannot be read is therefore not replaced.
const (
	usesMagic   = "consent-ledger/apikeys-used/"
	usesVersion = "v1"
)

// writeUsesAfter is how long a use waits to be written, together with all others
// until then.
const writeUsesAfter = time.Minute

func usesPath(path string) string { return path + ".used" }

// uses collects what is to be written. Its methods neither fail nor, but for
// write, wait for a disk: what happens to the file is not the callers' concern.
type uses struct {
	path string // of the file of uses
	log  *slog.Logger

	writing sync.Mutex // held while the file is read and replaced; taken before mu

	mu      sync.Mutex // guards what follows
	pending map[[32]byte]time.Time
	timer   *time.Timer // nil unless one will write
	fault   string      // of the last writing; empty when it went well
}

// mark notes that a key was used.
func (u *uses) mark(hash [32]byte, at time.Time) {
	at = at.UTC().Truncate(time.Second)
	u.mu.Lock()
	defer u.mu.Unlock()
	if at.After(u.pending[hash]) {
		u.pending[hash] = at
	}
	u.schedule()
}

// schedule sees to it that what is pending will be written. Callers hold mu.
func (u *uses) schedule() {
	if u.timer == nil {
		u.timer = time.AfterFunc(writeUsesAfter, u.write)
	}
}

// write writes what is pending. What cannot be written stays pending, and is tried
// again after a minute.
func (u *uses) write() {
	u.writing.Lock()
	defer u.writing.Unlock()
	u.mu.Lock()
	if u.timer != nil {
		u.timer.Stop()
		u.timer = nil
	}
	pending := maps.Clone(u.pending)
	u.mu.Unlock()
	if len(pending) == 0 {
		return
	}
	err := mergeUses(u.path, pending)

	u.mu.Lock()
	defer u.mu.Unlock()
	fault := ""
	if err != nil {
		fault = err.Error()
		u.schedule()
	} else {
		maps.DeleteFunc(u.pending, func(hash [32]byte, at time.Time) bool { return pending[hash].Equal(at) })
	}
	if fault != "" && fault != u.fault {
		u.log.Warn("when API keys were used last cannot be written; they work all the same", "error", fault)
	}
	u.fault = fault
}

// mergeUses puts times into the file that are later than those in it. The server
// that has the ledger open is the only one who does.
func mergeUses(path string, later map[[32]byte]time.Time) error {
	all, err := readUses(path)
	if err != nil {
		return err
	}
	for hash, at := range later {
		if at.After(all[hash]) {
			all[hash] = at
		}
	}
	data := encodeUses(all)
	if len(data) > maxFileSize {
		return fmt.Errorf("%s would be larger than %d bytes; it may be deleted", path, maxFileSize)
	}
	return replace(path, data)
}

// readUses reads the file; one that is not there says nothing.
func readUses(path string) (map[[32]byte]time.Time, error) {
	data, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return make(map[[32]byte]time.Time), nil
	}
	if err != nil {
		return nil, err
	}
	all, err := parseUses(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; it may be deleted", path, err)
	}
	return all, nil
}

func encodeUses(all map[[32]byte]time.Time) []byte {
	lines := make([]string, 0, len(all))
	for hash, at := range all {
		lines = append(lines, b64.EncodeToString(hash[:])+" "+formatTime(at)+"\n")
	}
	slices.Sort(lines)
	return seal(usesMagic + usesVersion + "\n" + strings.Join(lines, ""))
}

// parseUses accepts exactly what encodeUses writes.
func parseUses(data []byte) (map[[32]byte]time.Time, error) {
	lines, err := splitLines(data)
	if err != nil {
		return nil, err
	}
	version, ok := strings.CutPrefix(lines[0], usesMagic)
	if !ok {
		return nil, errors.New("line 1: this is no file of uses of API keys")
	}
	if err := checkVersion(version, usesVersion); err != nil {
		return nil, err
	}
	if lines, err = unseal(lines); err != nil {
		return nil, err
	}
	all := make(map[[32]byte]time.Time)
	for i, line := range lines[1:] {
		if line <= lines[i] && i > 0 {
			return nil, fmt.Errorf("line %d: is not in order", i+2)
		}
		text, at, _ := strings.Cut(line, " ")
		var hash [32]byte
		if err := decode32(&hash, text); err != nil {
			return nil, fmt.Errorf("line %d: hash %w", i+2, err)
		}
		if _, twice := all[hash]; twice {
			return nil, fmt.Errorf("line %d: the key stands above", i+2)
		}
		if all[hash], err = parseTime(at); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+2, err)
		}
	}
	return all, nil
}
