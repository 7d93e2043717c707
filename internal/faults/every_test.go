package faults

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/badgerdb"
	"github.com/consentledger/consentledger/internal/service"
)

// A region is a part of a file in which a flipped byte may go unnoticed, because it
// changes nothing that the ledger says.
type region struct {
	file   string // of the directory, a pattern of path.Match
	from   int64
	to     int64 // 0 for the file's end
	reason string
}

const toItsEnd = 0

// harmless is the list. A byte outside it that goes unnoticed fails the test, and so
// does a region in which nothing was ever unnoticed.
var harmless = []region{
	{"*/LOCK", 0, toItsEnd, "Badger's note of the process id; the lock itself is the kernel's"},
	{"*/DISCARD", 0, toItsEnd, "how much of each value log could be collected; no value is in a value log"},
	{"*/KEYREGISTRY", 0, 16, "what the encryption of a database begins with; ours are not encrypted by Badger"},
	{"*/*.vlog", 8, toItsEnd, "all values are stored inline: a value log holds its header and nothing else, and 8 bytes of that name a key"},
	{"*/*.mem", 8, 20, "what the encryption of a write-ahead log begins with"},
	{"log/*.mem", tail, toItsEnd, "zeros behind the last transaction: Badger stops there"},
	{"vault/*.mem", tail, toItsEnd, "zeros behind the last transaction: Badger stops there"},
	{"log/*.sst", 0, toItsEnd, "bits of what is compressed that mean nothing: what is read is what was written"},
	{"head", tail, toItsEnd, "behind the checkpoint and its checksum a slot has zeros"},
	{"head", 0, slot, "behind the checkpoint and its checksum a slot has zeros"},
	{"trust.policy", 0, toItsEnd, "comments, and the names of its own groups: what it demands is the same"},
}

const (
	tail = -1      // where the data of a file end
	slot = 8 << 10 // of the head file
)

// one is a copy of a directory of which one file is damaged at a time.
type one struct {
	t    testing.TB
	from string // the sound directory
	dir  string // its copy
	want string // what it answers
}

// noticed says how a fault is noticed, "" if it is not. What only reads comes first:
// what that names is what `ledgerd check` names, and most of it refuses a start.
// Where start is false that is all.
func (o *one) noticed(file string, start bool) string {
	if database, _, ok := strings.Cut(file, "/"); ok {
		if found, err := badgerdb.Examine(badgerdb.Options{Dir: filepath.Join(o.dir, database)}); err != nil || len(found) > 0 {
			return fmt.Sprint(found, err)
		}
	} else if err := service.InspectFiles(o.dir); err != nil {
		return err.Error()
	}
	if file == "apikeys" {
		if _, _, err := authn.List(filepath.Join(o.dir, file)); err != nil {
			return err.Error()
		}
	}
	if !start {
		return ""
	}
	dir, err := os.MkdirTemp(filepath.Dir(o.dir), "started-")
	if err != nil {
		o.t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	copyTree(o.t, o.dir, dir)
	if file == "trust.keys" { // a start writes it anew, so that only who has looked before can tell
		found, err := service.Inspect(service.Options{Dir: dir}, nil)
		if err = errors.Join(err, found.Found); err != nil {
			return err.Error()
		}
	}
	before := files(o.t, dir)
	s, err := service.Open(service.Options{Dir: dir})
	if err != nil {
		if after := files(o.t, dir); changed(before, after) != "" {
			o.t.Errorf("a start that was refused has changed %s: %v", changed(before, after), err)
		}
		return err.Error()
	}
	defer s.Close()
	got, err := answers(s)
	if err != nil {
		return err.Error()
	}
	if got != o.want {
		o.t.Errorf("a start that notices nothing answers %s; want %s", got, o.want)
	}
	return ""
}

// changed names the files that differ.
func changed(a, b map[string]string) string {
	var list []string
	for name := range a {
		if a[name] != b[name] {
			list = append(list, name)
		}
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// flip is a byte that is to be damaged.
type flip struct {
	file string
	at   int64
	mask byte
	data int64 // where the file's data end
}

// flips lists what is flipped in a directory: of each file that is not in seen every
// step-th byte of its data in two ways, and some of the zeros behind; or, with 0, a few
// bytes, each in one way.
func flips(t testing.TB, dir string, step int64, seen map[string]bool) (list []flip) {
	all := files(t, dir)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if seen[all[name]] {
			continue
		}
		seen[all[name]] = true
		data, err := content(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		end, by, i := int64(len(data)), step, 0
		if step == 0 {
			by = max(1, end/6)
		} else if end <= 64 {
			by = 1
		}
		add := func(at int64) {
			masks := []byte{0x01, 0xff}
			if step == 0 { // one of them in turn
				masks = masks[i%2 : i%2+1]
			}
			for _, m := range masks {
				list = append(list, flip{name, at, m, end})
			}
			i++
		}
		for at := int64(0); at < end; at += by {
			add(at)
		}
		for at := int64(1); end+at < info.Size(); at *= 64 {
			add(end + at - 1)
		}
	}
	return list
}

// TestEveryByte flips bytes of every file of a data directory, one at a time. Each is
// noticed, or stands in the list of harmless regions and changes no answer. All bytes
// are flipped with FAULTS_EVERY_BYTE=1, every 40th with 40, a few of each file without.
// Of those that nobody notices who only reads a large file, a start is tried with every
// 16th.
func TestEveryByte(t *testing.T) {
	w := making(t)
	step, err := strconv.ParseInt(cmp.Or(os.Getenv("FAULTS_EVERY_BYTE"), "0"), 10, 64)
	if err != nil || step < 0 {
		t.Fatal("FAULTS_EVERY_BYTE is no number of bytes")
	}
	seen := map[string]bool{}
	used := make([]atomic.Int64, len(harmless))
	for _, dir := range []string{w.logs, w.tables, w.both} {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			list := flips(t, dir, step, seen)
			next := make(chan flip, len(list))
			for _, f := range list {
				next <- f
			}
			close(next)
			var unnoticed atomic.Int64
			var all sync.WaitGroup
			for range runtime.GOMAXPROCS(0) {
				o := &one{t: t, from: dir, dir: filepath.Join(t.TempDir(), "data")}
				copyTree(t, dir, o.dir)
				o.want = sound(t, dir)
				all.Go(func() {
					for f := range next {
						restore := o.damage(f)
						start := step == 0 || f.data <= 64 || f.at%16 == 0
						how := o.noticed(f.file, start)
						restore()
						if i := regionOf(f); how == "" && i >= 0 {
							unnoticed.Add(1)
							used[i].Add(1)
						} else if how == "" && start {
							t.Errorf("byte %d of %s (its data end at %d), ^%#x: nobody notices", f.at, f.file, f.data, f.mask)
						}
					}
				})
			}
			all.Wait()
			t.Logf("%d flipped bytes, %d of them harmless", len(list), unnoticed.Load())
		})
	}
	if step == 1 {
		for i, r := range harmless {
			if used[i].Load() == 0 {
				t.Errorf("every byte of %s from %d to %d is noticed: it does not belong into the list", r.file, r.from, r.to)
			}
		}
	}
}

var soundly sync.Map

// sound gives what an undamaged directory answers.
func sound(t testing.TB, dir string) string {
	t.Helper()
	if s, ok := soundly.Load(dir); ok {
		return s.(string)
	}
	to := filepath.Join(t.TempDir(), "sound")
	copyTree(t, dir, to)
	found, err := service.Inspect(service.Options{Dir: to}, nil)
	if err = errors.Join(err, found.Start, found.Found); err != nil {
		t.Fatalf("%s, undamaged: %v", dir, err)
	}
	s, err := service.Open(service.Options{Dir: to})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	text, err := answers(s)
	if err != nil {
		t.Fatal(err)
	}
	soundly.Store(dir, text)
	return text
}

func regionOf(f flip) int {
	return slices.IndexFunc(harmless, func(r region) bool {
		from, to := r.from, r.to
		if from == tail {
			from = f.data
		}
		ok, err := filepath.Match(r.file, f.file)
		return err == nil && ok && f.at >= from && (to == toItsEnd || f.at < to)
	})
}

// damage flips a byte in place and gives what flips it back.
func (o *one) damage(f flip) (restore func()) {
	o.flip(f)
	return func() { o.flip(f) }
}

func (o *one) flip(f flip) {
	file, err := os.OpenFile(filepath.Join(o.dir, f.file), os.O_RDWR, 0)
	if err != nil {
		o.t.Fatal(err)
	}
	var b [1]byte
	_, err = file.ReadAt(b[:], f.at)
	if err == nil {
		b[0] ^= f.mask
		_, err = file.WriteAt(b[:], f.at)
	}
	if err = errors.Join(err, file.Close()); err != nil {
		panic(fmt.Sprint(f, err))
	}
}
