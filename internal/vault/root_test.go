package vault

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestRootKeyFile(t *testing.T) {
	opt := testOptions(t)
	check(t, Create(opt, testOrigin))
	good := must[[]byte](t)(os.ReadFile(opt.RootKeyPath))
	if info := must[fs.FileInfo](t)(os.Stat(opt.RootKeyPath)); info.Mode().Perm() != 0o600 || info.Size() != rootFileSize {
		t.Errorf("root.key: %v, %d bytes", info.Mode(), info.Size())
	}
	changed := func(at int, to byte) []byte {
		b := bytes.Clone(good)
		b[at] = to
		return b
	}
	newer := must[rootKey](t)(parseRoot(good))
	newer.generation = 7
	for name, c := range map[string]struct {
		content []byte
		want    error
		says    string
	}{
		"magic":       {changed(0, 'X'), ErrRootMagic, "does not begin"},
		"empty":       {nil, ErrRootMagic, "does not begin"},
		"version":     {changed(11, 2), ErrRootVersion, "version 2"},
		"cut":         {good[:40], ErrRootContent, "40 bytes"},
		"longer":      {append(bytes.Clone(good), 0), ErrRootContent, "49 bytes"},
		"no version":  {good[:9], ErrRootContent, "ends early"},
		"zero":        {append(bytes.Clone(good[:16]), make([]byte, 32)...), ErrRootContent, "zero"},
		"key":         {changed(20, good[20]^1), ErrRootMismatch, "another vault"},
		"generation":  {changed(15, 0), ErrRootContent, "zero"},
		"newer":       {newer.encode(), ErrRootMismatch, "vault is older than root.key"},
		"other vault": {newRootKey(1).encode(), ErrRootMismatch, "another vault"},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, os.WriteFile(opt.RootKeyPath, c.content, 0o600))
			_, err := Open(opt)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("Open: %v, want %v with %q", err, c.want, c.says)
			}
			for _, other := range []error{ErrRootMagic, ErrRootVersion, ErrRootContent, ErrRootMismatch} {
				if other != c.want && errors.Is(err, other) {
					t.Errorf("Open: %v is %v, too", err, other)
				}
			}
		})
	}
	check(t, os.WriteFile(opt.RootKeyPath, good, 0o600))
	openVault(t, opt).Close()

	for _, mode := range []fs.FileMode{0o640, 0o604, 0o660, 0o777} {
		check(t, os.Chmod(opt.RootKeyPath, mode))
		if _, err := Open(opt); !errors.Is(err, ErrRootMode) || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("Open with permissions %o: %v", mode, err)
		}
	}
	check(t, os.Chmod(opt.RootKeyPath, 0o600))
	check(t, os.Rename(opt.RootKeyPath, opt.RootKeyPath+".away"))
	if _, err := Open(opt); !errors.Is(err, ErrRootMissing) || !strings.Contains(err.Error(), opt.RootKeyPath) {
		t.Errorf("Open without a root key: %v", err)
	}
	check(t, os.Symlink(opt.RootKeyPath+".away", opt.RootKeyPath))
	if _, err := Open(opt); !errors.Is(err, ErrRootMagic) {
		t.Errorf("Open through a symbolic link: %v", err)
	}
}

// After an erasure the old root key and the old vault are both useless, and the
// error says which of them is old.
func TestOldCopiesAreToldApart(t *testing.T) {
	opt := testOptions(t)
	v := newVault(t, opt)
	people := addPeople(t, v, 3, 5)
	check(t, v.Close())
	before := optionsIn(copyOf(t, opt))
	v = openVault(t, opt)
	erase(t, v, people[0])
	check(t, v.Close())

	oldRoot := must[[]byte](t)(os.ReadFile(before.RootKeyPath))
	newRoot := must[[]byte](t)(os.ReadFile(opt.RootKeyPath))
	check(t, os.WriteFile(opt.RootKeyPath, oldRoot, 0o600))
	if _, err := Open(opt); !errors.Is(err, ErrRootMismatch) || !strings.Contains(err.Error(), "root.key is older than the vault") {
		t.Errorf("Open with the old root key: %v", err)
	}
	check(t, os.WriteFile(before.RootKeyPath, newRoot, 0o600))
	if _, err := Open(before); !errors.Is(err, ErrRootMismatch) || !strings.Contains(err.Error(), "the vault is older than root.key") {
		t.Errorf("Open of the old vault: %v", err)
	}
	check(t, os.WriteFile(opt.RootKeyPath, newRoot, 0o600))
	v = openVault(t, opt)
	people[1].verify(t, v)
}

// A vault whose format row has another version is refused, and left alone.
func TestOtherFormat(t *testing.T) {
	for version, says := range map[uint32]string{1: "before the first release", 3: "before the first release", formatVersion + 1: "a newer one"} {
		opt := testOptions(t)
		v := newVault(t, opt)
		setRow(t, v, keyVersion(), append(u32(version), testOrigin...))
		check(t, v.Close())
		if _, err := Open(opt); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), says) {
			t.Errorf("Open: %v", err)
		}
		if _, err := Probe(opt); !errors.Is(err, ErrFormat) {
			t.Errorf("Probe: %v", err)
		}
	}
}

func TestDamagedRootRow(t *testing.T) {
	opt := testOptions(t)
	v := newVault(t, opt)
	good, _, err := readOne(v.db, keyRoot())
	check(t, err)
	for at := 4 + rootProofSize; at < len(good); at += 5000 {
		bad := bytes.Clone(good)
		bad[at] ^= 1
		if _, err := decodeTree(v.root, bad); !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d changed: %v", at, err)
		}
	}
	setRow(t, v, keyRoot(), good[:len(good)-1])
	check(t, v.Close())
	if _, err := Open(opt); !errors.Is(err, ErrDamaged) {
		t.Errorf("Open with a short root row: %v", err)
	}
}

// What is in the root row comes back, with and without a second index key.
func TestRootRow(t *testing.T) {
	before := newTree(7)
	before.oldestDay, before.shards[9].generation = 3, 5
	before.index[0] = indexKey{4, 6, 1 << 40, newSecret()}
	root := newRootKey(7)
	for range 2 {
		row := before.encode(root)
		again := must[*tree](t)(decodeTree(root, row))
		if again.generation != 7 || again.oldestDay != 3 || again.days != before.days || again.suppression != before.suppression ||
			!slices.Equal(again.index, before.index) {
			t.Error("another tree comes back")
		}
		for s := range before.shards {
			if a, b := before.shards[s], again.shards[s]; a.generation != b.generation || a.key != b.key {
				t.Fatalf("shard %d is another", s)
			}
		}
		before = before.withIndex(before.index[0], indexKey{5, 7, 0, newSecret()})
	}
}

func FuzzParseRoot(f *testing.F) {
	f.Add(newRootKey(1).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := parseRoot(b)
		if err == nil && !bytes.Equal(k.encode(), b) {
			t.Errorf("%x parses and encodes to %x", b, k.encode())
		}
	})
}
