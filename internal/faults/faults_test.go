package faults

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/consentledger/consentledger/internal/service"
)

// fault is something that happens to a directory, and what a start says then.
type fault struct {
	name string
	do   func(t *testing.T, w *world, dir string)
	says string // a part of the message; "" if the fault does no harm
	todo string // a part of the remedy
}

const (
	restore = "bring back the newest backup: see `ledgerd restore --help`"
	rootKey = "With a key backup: see `ledgerd restore --help`. Without one, `ledgerd serve --log-only` still serves the log"
	signing = "Put back your own copy of signing.keys"
)

// faults is the table of FAULTS.md. They happen to a ledger that was closed and opened
// again, has tables and logs, and was then killed.
var faults = []fault{
	{"the head file is missing", remove("head"), "its head file is missing", restore},
	{"the head file is empty", cut("head", 0), "no head", restore},
	{"both slots of the head file are damaged", func(t *testing.T, _ *world, dir string) {
		edit(t, dir, "head", func(b []byte) []byte { b[100] ^= 1; b[slot+100] ^= 1; return b })
	}, "checksum does not match", restore},
	{"one slot of the head file is damaged", func(t *testing.T, _ *world, dir string) {
		edit(t, dir, "head", func(b []byte) []byte { b[100] ^= 1; return b })
	}, "", ""},
	{"the head file is of an older copy", older("head"), "the head file is not signed with the signing keys given", "bring back the newest backup, see `ledgerd restore --help`"},
	{"the head file is of another ledger", foreign("head"), "the head file is not signed with the signing keys given", "Put back the signing.keys that belong to this directory"},
	{"the log is of an older copy", older("log"), "were acknowledged; ", restore},
	{"the vault is of an older copy", older("vault"), "the vault is older than root.key", "put the newest copy back"},
	{"the vault is of another ledger", foreign("vault"), "the root key does not belong to this state of the vault", rootKey},
	{"the vault and its root key are of another ledger", func(t *testing.T, w *world, dir string) {
		foreign("vault", "root.key")(t, w, dir)
	}, "the vault belongs to another ledger", restore},
	{"the vault and its root key are of an older copy", func(t *testing.T, w *world, dir string) {
		older("vault")(t, w, dir)
		older("root.key")(t, w, dir)
	}, "the vault and the log do not belong together: the vault's newest group is number ", restore},
	{"the log is missing", remove("log"), "there is no database in ", restore},
	{"the vault is missing", remove("vault"), "there is no database in ", restore},
	{"a manifest is missing", remove("vault/MANIFEST"), "there is no database in ", restore},
	{"a manifest is of an older copy", func(t *testing.T, w *world, dir string) {
		copyFile(t, filepath.Join(w.fresh, "vault/MANIFEST"), filepath.Join(dir, "vault/MANIFEST"))
	}, "does not name table ", restore},
	{"a manifest is damaged", flipped("log/MANIFEST", 20), "MANIFEST is damaged: ", restore},
	{"a table is missing", remove("vault/000002.sst"), "a table is missing: ", restore},
	{"a table of the log is damaged", flipped("log/000002.sst", 5000), "000002.sst is damaged: block ", restore},
	{"a table of the vault is damaged", flipped("vault/000002.sst", 5000), "000002.sst is damaged: block ", restore},
	{"the middle of a write-ahead log is damaged", flipped("vault/00001.mem", 1000), "00001.mem is damaged: from byte ", restore},
	{"a write-ahead log of the log lost its end", shorter("log/00001.mem"), "were acknowledged; ", restore},
	{"a write-ahead log of the vault lost its end", shorter("vault/00001.mem"), "the vault and the log do not belong together", restore},
	{"the write-ahead log of the log is missing", remove("log/00001.mem"), "were acknowledged; ", restore},
	{"a key registry is damaged", flipped("log/KEYREGISTRY", 20), "it holds nothing: remove it, and it is made anew", ""},
	{"a key registry is missing", remove("log/KEYREGISTRY"), "", ""},
	{"the value logs are missing", func(t *testing.T, w *world, dir string) {
		names, err := filepath.Glob(filepath.Join(dir, "*/*.vlog"))
		if err != nil || len(names) == 0 {
			t.Fatal(names, err)
		}
		for _, name := range names {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}, "", ""},
	{"root.key is missing", remove("root.key"), "the root key is missing", rootKey},
	{"root.key is of an older generation", older("root.key"), "root.key is older than the vault", "put the newest root key back"},
	{"root.key is of another ledger", foreign("root.key"), "the root key does not belong to this state of the vault", rootKey},
	{"root.key was cut", cut("root.key", 40), "the file of the root key is damaged", rootKey},
	{"root.key is readable by others", mode("root.key", 0o644), "others may read the root key", "chmod 600 "},
	{"signing.keys is missing", remove("signing.keys"), "the signing keys cannot be used", signing},
	{"signing.keys was cut", cut("signing.keys", 100), "signing.keys is damaged", signing},
	{"signing.keys is of an older copy", older("signing.keys"), "the head file is not signed with the signing keys given", "Put back the signing.keys that belong to this directory"},
	{"signing.keys is of another ledger", foreign("signing.keys"), "the head file is not signed with the signing keys given", "Put back the signing.keys that belong to this directory"},
	{"signing.keys is readable by others", mode("signing.keys", 0o640), "others may read", "chmod 600 "},
	{"trust.keys is missing", remove("trust.keys"), "", ""},
	{"the directory was moved", func(*testing.T, *world, string) {}, "", ""},
}

// TestFaults: each fault is refused for its reason with its remedy, and nothing is
// changed; or the ledger opens and says what it always said.
func TestFaults(t *testing.T) {
	w := making(t)
	want := sound(t, w.both)
	page, err := os.ReadFile("FAULTS.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "moved")
			copyTree(t, w.both, dir)
			f.do(t, w, dir)
			refusedOr(t, dir, f.says, f.todo, want)
			if row := "| " + f.name + " | "; !strings.Contains(string(page), row) {
				t.Errorf("FAULTS.md has no row %q", row)
			}
			if !strings.Contains(string(page), strings.TrimSpace(f.says)) {
				t.Errorf("FAULTS.md does not quote %q", f.says)
			}
		})
	}
}

// refusedOr opens a directory: it is refused and says these words, and nothing is
// changed, or with none it opens and answers want.
func refusedOr(t *testing.T, dir, says, todo, want string) {
	t.Helper()
	before := files(t, dir)
	s, err := service.Open(service.Options{Dir: dir})
	switch {
	case err == nil:
		defer s.Close()
		if says != "" {
			t.Errorf("the ledger opens; want a refusal with %q", says)
		} else if got, err := answers(s); err != nil || got != want {
			t.Errorf("it answers %s, %v; want %s", got, err, want)
		}
	case says == "":
		t.Error(err)
	default:
		text := service.Remedied(err).Error()
		if !strings.Contains(text, says) || !strings.Contains(text, todo) {
			t.Errorf("it says %q; want %q and %q", text, says, todo)
		}
		if strings.Contains(text, "@example.org") || strings.Contains(text, "203.0.113") {
			t.Errorf("the message holds personal data: %s", text)
		}
		if how := changed(before, files(t, dir)); how != "" {
			t.Errorf("a start that was refused has changed %s", how)
		}
	}
}

func remove(name string) func(*testing.T, *world, string) {
	return func(t *testing.T, _ *world, dir string) {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

func cut(name string, size int64) func(*testing.T, *world, string) {
	return func(t *testing.T, _ *world, dir string) {
		if err := os.Truncate(filepath.Join(dir, name), size); err != nil {
			t.Fatal(err)
		}
	}
}

// shorter takes the last byte of a file's data.
func shorter(name string) func(*testing.T, *world, string) {
	return func(t *testing.T, w *world, dir string) {
		data, err := content(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		cut(name, int64(len(data)-1))(t, w, dir)
	}
}

func mode(name string, m os.FileMode) func(*testing.T, *world, string) {
	return func(t *testing.T, _ *world, dir string) {
		if err := os.Chmod(filepath.Join(dir, name), m); err != nil {
			t.Fatal(err)
		}
	}
}

func flipped(name string, at int64) func(*testing.T, *world, string) {
	return func(t *testing.T, _ *world, dir string) {
		(&one{t: t, dir: dir}).flip(flip{file: name, at: at, mask: 1})
	}
}

func edit(t *testing.T, dir, name string, change func([]byte) []byte) {
	t.Helper()
	path := filepath.Join(dir, name)
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, change(b), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// older puts a file or directory of the closed ledger in its place.
func older(name string) func(*testing.T, *world, string) {
	return func(t *testing.T, w *world, dir string) { put(t, w.tables, dir, name) }
}

// foreign puts files or directories of another ledger in their place.
func foreign(names ...string) func(*testing.T, *world, string) {
	return func(t *testing.T, w *world, dir string) {
		other := filepath.Join(t.TempDir(), "other")
		if err := service.Create(other, "ledger.example.com/other", "", nil); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			put(t, other, dir, name)
		}
	}
}

func put(t *testing.T, from, to, name string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(to, name)); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(from, name)); err != nil {
		t.Fatal(err)
	} else if info.IsDir() {
		copyTree(t, filepath.Join(from, name), filepath.Join(to, name))
	} else {
		copyFile(t, filepath.Join(from, name), filepath.Join(to, name))
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestOlderCopies puts together parts of the ledger of yesterday and of today in every
// way: none but those of one day opens, and yesterday's does not record when a kept
// checkpoint is today's.
func TestOlderCopies(t *testing.T) {
	w := making(t)
	parts := []string{"log", "head", "vault", "root.key", "signing.keys"}
	for set := range 1 << len(parts) {
		dir := filepath.Join(t.TempDir(), "data")
		copyTree(t, w.both, dir)
		var old []string
		for i, name := range parts {
			if set>>i&1 == 1 {
				old = append(old, name)
				put(t, w.tables, dir, name)
			}
		}
		before := files(t, dir)
		s, err := service.Open(service.Options{Dir: dir})
		whole := len(old) == 0 || len(old) == len(parts)
		if whole != (err == nil) {
			t.Errorf("older %v: %v", old, err)
		}
		if err == nil {
			if stopped := s.Fault() != nil; stopped != (len(old) > 0) {
				t.Errorf("older %v: recording is stopped: %v", old, stopped)
			}
			s.Close()
		} else if how := changed(before, files(t, dir)); how != "" {
			t.Errorf("older %v: refused, and %s was changed: %v", old, how, err)
		} else if service.Remedied(err).Error() == err.Error() {
			t.Errorf("older %v: no remedy: %v", old, err)
		}
		os.RemoveAll(dir)
	}
}

// TestCutLogs cuts and zeroes write-ahead logs as a power cut would that takes back what
// was synced: nothing that was acknowledged is missing, or the start refuses.
func TestCutLogs(t *testing.T) {
	w := making(t)
	want := sound(t, w.logs)
	for _, name := range []string{"log/00001.mem", "vault/00001.mem"} {
		data, err := content(filepath.Join(w.logs, name))
		if err != nil {
			t.Fatal(err)
		}
		step := max(1, len(data)/10)
		if every := os.Getenv("FAULTS_EVERY_BYTE"); every != "" {
			step = max(1, len(data)/2000)
		}
		refused := 0
		for at := len(data); at >= 0; at -= step {
			for _, zeroed := range []bool{false, true} {
				dir := filepath.Join(t.TempDir(), "data")
				copyTree(t, w.logs, dir)
				path := filepath.Join(dir, name)
				size := int64(at)
				if err := os.Truncate(path, size); err != nil {
					t.Fatal(err)
				}
				if zeroed {
					size = 64 << 20
					if err := os.Truncate(path, size); err != nil {
						t.Fatal(err)
					}
				}
				before := files(t, dir)
				s, err := service.Open(service.Options{Dir: dir})
				if err != nil {
					refused++
					if how := changed(before, files(t, dir)); how != "" {
						t.Errorf("%s, of %d bytes %d are left: refused, and %s was changed: %v", name, len(data), at, how, err)
					}
					if at == len(data) {
						t.Errorf("%s is whole: %v", name, err)
					}
				} else {
					if got, err := answers(s); err != nil || got != want {
						t.Errorf("%s, of %d bytes %d are left, zeros behind: %v: it answers %s, %v", name, len(data), at, zeroed, got, err)
					}
					s.Close()
				}
				os.RemoveAll(dir)
			}
		}
		if refused == 0 {
			t.Errorf("%s: no cut was refused", name)
		}
	}
}

// TestTwoProcesses: the second opener is told, and so is `ledgerd check`.
func TestTwoProcesses(t *testing.T) {
	w := making(t)
	dir := filepath.Join(t.TempDir(), "data")
	copyTree(t, w.tables, dir)
	s, err := service.Open(service.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if other, err := service.Open(service.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "stop it first") {
		t.Errorf("a second opener: %v", err)
		if err == nil {
			other.Close()
		}
	}
	if _, err := service.Inspect(service.Options{Dir: dir}, nil); err == nil || !strings.Contains(err.Error(), "stop it first") {
		t.Errorf("a check beside it: %v", err)
	}
}

// TestReadOnly: a file system that cannot be written is refused with what to do.
func TestReadOnly(t *testing.T) {
	w := making(t)
	mnt := t.TempDir()
	if err := unix.Mount("tmpfs", mnt, "tmpfs", 0, "size=64m"); err != nil {
		t.Skipf("mounting takes root: %v", err)
	}
	defer unix.Unmount(mnt, unix.MNT_DETACH)
	dir := filepath.Join(mnt, "data")
	copyTree(t, w.tables, dir)
	if err := unix.Mount("", mnt, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	refusedOr(t, dir, "read-only file system", "mount it so that it can be written", "")
}

// TestWrongOwner starts as somebody whom the directory does not belong to.
func TestWrongOwner(t *testing.T) {
	if dir := os.Getenv("FAULTS_OPEN"); dir != "" {
		_, err := service.Open(service.Options{Dir: dir})
		os.Stdout.WriteString(service.Remedied(err).Error())
		os.Exit(0)
	}
	if os.Getuid() != 0 {
		t.Skip("becoming another user takes root")
	}
	w := making(t)
	dir, err := os.MkdirTemp("", "faults-owner-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	copyTree(t, w.tables, filepath.Join(dir, "data"))
	binary := filepath.Join(dir, "test")
	self, err := os.ReadFile("/proc/self/exe")
	if err := errors.Join(err, os.WriteFile(binary, self, 0o755), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	for _, m := range []os.FileMode{0o700, 0o755} { // the directory itself, then its files
		if err := os.Chmod(filepath.Join(dir, "data"), m); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		c := exec.Command(binary, "-test.run=^TestWrongOwner$")
		c.Env, c.Dir, c.Stdout = append(os.Environ(), "FAULTS_OPEN="+filepath.Join(dir, "data")), dir, &out
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if err := c.Run(); err != nil {
			t.Fatal(err, out.String())
		}
		if text := out.String(); !strings.Contains(text, "permission denied") || !strings.Contains(text, "Run it as the user that the directory") {
			t.Errorf("mode %v: it says %q", m, text)
		}
	}
}
