package keyfile_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/consentledger/consentledger/internal/keyfile"
)

var (
	older = bytes.Repeat([]byte("older"), 20)
	newer = bytes.Repeat([]byte("newer"), 30)
)

// made gives a file that holds older, and the steps that it tells of. fail names
// the step that fails.
func made(t *testing.T, fail *string) (keyfile.File, *[]string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, older, 0o600); err != nil {
		t.Fatal(err)
	}
	var steps []string
	return keyfile.New(path, "key", func(step string) error {
		steps = append(steps, step)
		if step == *fail {
			return errors.New("the disk has a fault")
		}
		return nil
	}), &steps
}

func holds(t *testing.T, path string, want []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if want == nil && !errors.Is(err, fs.ErrNotExist) || want != nil && (err != nil || !bytes.Equal(b, want)) {
		t.Errorf("%s holds %q, %v; want %q", filepath.Base(path), b, err, want)
	}
}

func TestReplace(t *testing.T) {
	never := ""
	f, steps := made(t, &never)
	if err := f.Stage(newer); err != nil {
		t.Fatal(err)
	}
	holds(t, f.Path(), older)
	holds(t, f.Next(), newer)
	if info, err := os.Stat(f.Next()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the staged key: %v, %v", info.Mode(), err)
	}
	if err := f.Stage(older); !errors.Is(err, fs.ErrExist) {
		t.Errorf("staged over a staged key: %v", err)
	}
	holds(t, f.Next(), newer)
	// Whoever had the file open sees that its bytes are gone, not only its name.
	open, err := os.Open(f.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if err := f.Promote(); err != nil {
		t.Fatal(err)
	}
	holds(t, f.Path(), newer)
	holds(t, f.Next(), nil)
	left := make([]byte, 2*len(older))
	if n, _ := open.Read(left); n != len(older) || bytes.Contains(left, []byte("older")) {
		t.Errorf("the old file holds %q", left[:n])
	}
	want := []string{"key.next made", "key.next synced", "key overwritten", "key renamed", "key promoted"}
	if !slices.Equal(*steps, want) {
		t.Errorf("steps %q, want %q", *steps, want)
	}
}

// TestInterrupted fails at every step of a replacement; taken again, it ends as
// if nothing had happened.
func TestInterrupted(t *testing.T) {
	for _, step := range []string{"key overwritten", "key renamed", "key promoted"} {
		fail := step
		f, _ := made(t, &fail)
		if err := f.Stage(newer); err != nil {
			t.Fatal(err)
		}
		if err := f.Promote(); err == nil {
			t.Errorf("%s: no error", step)
		}
		fail = ""
		if step == "key overwritten" {
			if err := f.Promote(); err != nil {
				t.Error(err)
			}
		}
		holds(t, f.Path(), newer)
		holds(t, f.Next(), nil)
	}
}

func TestDropStaged(t *testing.T) {
	never := ""
	f, _ := made(t, &never)
	if err := f.DropStaged(); err != nil { // there is none
		t.Error(err)
	}
	if err := f.Stage(newer); err != nil {
		t.Fatal(err)
	}
	open, err := os.Open(f.Next())
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if err := f.DropStaged(); err != nil {
		t.Error(err)
	}
	holds(t, f.Path(), older)
	holds(t, f.Next(), nil)
	left := make([]byte, 2*len(newer))
	if n, _ := open.Read(left); n != len(newer) || bytes.Contains(left, []byte("newer")) {
		t.Errorf("the dropped file holds %q", left[:n])
	}
	if err := keyfile.Destroy(f.Path()); err != nil {
		t.Error(err)
	}
	holds(t, f.Path(), nil)
	if err := keyfile.Destroy(f.Path()); err != nil { // again
		t.Error(err)
	}
}
