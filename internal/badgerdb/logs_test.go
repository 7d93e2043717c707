package badgerdb

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// TestCheckLogEveryByte flips every bit of a write-ahead log and compares what
// checkLog makes of it with what Badger's own replay loses.
func TestCheckLogEveryByte(t *testing.T) {
	const entries = 6
	opt, log, end := crashedLog(t, entries)
	name := filepath.Join(opt.Dir, log)
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	data = data[:end+100]
	whole, err := checkLog(data)
	if err != nil || whole.last-whole.first != entries-1 {
		t.Fatalf("%+v, %v", whole, err)
	}
	lastBegins := int64(0)
	for i := range data {
		for bit := range 8 {
			data[i] ^= 1 << bit
			span, err := checkLog(data)
			data[i] ^= 1 << bit
			at := int64(i)
			switch {
			case at >= 8 && at < logHeader, at >= end:
				if err != nil || span != whole {
					t.Fatalf("byte %d, which means nothing: %+v, %v", at, span, err)
				}
			case err == nil:
				// Taken for a torn tail: the last transaction alone is lost.
				if lastBegins == 0 {
					lastBegins = at
				}
				if span.first != whole.first || span.last != whole.last-1 {
					t.Fatalf("byte %d: nothing is found, with %+v of %+v", at, span, whole)
				}
			case at >= lastBegins && lastBegins != 0:
				t.Fatalf("byte %d of the last transaction: %v", at, err)
			}
		}
	}
	if got := end - lastBegins; got > 2*end/entries {
		t.Errorf("the last %d of %d bytes are taken for a torn tail, with %d transactions", got, end, entries)
	}
	for n := range data {
		if span, err := checkLog(data[:n]); err != nil || span.last > whole.last {
			t.Fatalf("cut to %d: %+v, %v", n, span, err)
		}
	}
}

// TestCheckLogsBehindOneAnother cuts the older of two logs.
func TestCheckLogsBehindOneAnother(t *testing.T) {
	opt, log, end := crashedLog(t, 4)
	older := filepath.Join(opt.Dir, log)
	// Badger goes on in a new log when it has opened a database.
	live := opt
	live.Dir = filepath.Join(t.TempDir(), "log")
	copyDir(t, opt.Dir, live.Dir)
	db, err := Open(live)
	if err != nil {
		t.Fatal(err)
	}
	if err := put(db, 4); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(live.Dir, "00002.mem"))
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, db)
	if err := os.WriteFile(filepath.Join(opt.Dir, "00002.mem"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	if n := mustProbe(t, opt); n != 5 {
		t.Fatalf("both logs hold %d entries, want 5", n)
	}
	for _, size := range []int64{end - 1, end / 2, end / 3} {
		if err := os.Truncate(older, size); err != nil {
			t.Fatal(err)
		}
		if _, err := probe(t, opt); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "00002.mem is damaged: it begins with transaction 5") {
			t.Errorf("an older log that was cut to %d of %d bytes: %v", size, end, err)
		}
	}
}

// TestOlderManifest brings back the manifest from before the newest table.
func TestOlderManifest(t *testing.T) {
	opt := smallOptions(filepath.Join(t.TempDir(), "log"))
	mustClose(t, mustCreate(t, opt, 5))
	name := filepath.Join(opt.Dir, badger.ManifestFilename)
	before, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	db, err := Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := put(db, 5); err != nil {
		t.Fatal(err)
	}
	mustClose(t, db)
	after, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(after) {
		if err := os.WriteFile(name, after[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := probe(t, opt); !errors.Is(err, ErrDamaged) {
			t.Errorf("the manifest cut to %d of %d bytes: %v", n, len(after), err)
		}
	}
	if err := os.WriteFile(name, before, 0o600); err != nil {
		t.Fatal(err)
	}
	if findings, err := Examine(opt); err != nil || len(findings) != 1 || !strings.Contains(findings[0].Error(), "does not name table "+filepath.Join(opt.Dir, "000002.sst")) {
		t.Errorf("an older manifest: %v, %v", findings, err)
	}
}
