package vault

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
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
	must[Shredded](t)(v.Erase(people[0].consents))
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
	opt := testOptions(t)
	v := newVault(t, opt)
	setRow(t, v, keyVersion(), append(u32(2), testOrigin...))
	check(t, v.Close())
	if _, err := Open(opt); !errors.Is(err, ErrFormat) {
		t.Errorf("Open: %v", err)
	}
	if _, _, err := Probe(opt); !errors.Is(err, ErrFormat) {
		t.Errorf("Probe: %v", err)
	}
}

func TestDamagedRootRow(t *testing.T) {
	opt := testOptions(t)
	v := newVault(t, opt)
	good, _, err := readOne(v.db, keyRoot())
	check(t, err)
	for _, at := range []int{4 + 1000*rootEntrySize + 20, len(good) - 1, len(good) - 2*rootEntrySize - 1, 4 + 4095*rootEntrySize} {
		bad := bytes.Clone(good)
		bad[at] ^= 1
		if _, err := decodeTree(v.root, bad); !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d changed: %v", at, err)
		}
	}
	swapped := bytes.Clone(good)
	copy(swapped[4:], good[4+rootEntrySize:4+2*rootEntrySize])
	copy(swapped[4+rootEntrySize:], good[4:4+rootEntrySize])
	if _, err := decodeTree(v.root, swapped); !errors.Is(err, ErrDamaged) {
		t.Errorf("two shard keys swapped: %v", err)
	}
	setRow(t, v, keyRoot(), good[:len(good)-1])
	check(t, v.Close())
	if _, err := Open(opt); !errors.Is(err, ErrDamaged) {
		t.Errorf("Open with a short root row: %v", err)
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
