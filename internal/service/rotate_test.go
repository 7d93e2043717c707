package service

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// pairOnDisk gives the seeds in a file of signing keys, as the file spells them; nil
// if it does not hold a whole pair.
func pairOnDisk(t testing.TB, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	lines := strings.Split(string(b), "\n")
	if len(lines) != 5 || lines[0] != seedsMagic {
		return nil
	}
	return lines[2:4]
}

func (f *fixture) seeds() []string {
	f.t.Helper()
	return pairOnDisk(f.t, filepath.Join(f.opt.Dir, signingKeysName))
}

// gone checks that no byte below the ledger's directory gives one of these seeds away.
func gone(t testing.TB, dir string, seeds []string) {
	t.Helper()
	if len(seeds) != 2 {
		t.Fatalf("%d seeds to look for", len(seeds))
	}
	var words [][]byte
	for _, s := range seeds {
		raw, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		words = append(words, []byte(s[:20]), []byte(s[20:]), raw[:16], raw[16:], []byte(fmt.Sprintf("%x", raw)))
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // Badger has written a log into a table meanwhile
		}
		for _, w := range words {
			if bytes.Contains(b, w) {
				t.Errorf("%s holds a seed that must be destroyed", path)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// settled checks that the ledger's files are as they must be when no rotation is going
// on: one pair, the one in force, and trust.keys as the log has it.
func (f *fixture) settled() {
	f.t.Helper()
	if _, err := os.Stat(filepath.Join(f.opt.Dir, signingKeysName+".next")); !errors.Is(err, fs.ErrNotExist) {
		f.t.Errorf("there is a next pair: %v", err)
	}
	info, err := os.Stat(filepath.Join(f.opt.Dir, signingKeysName))
	if err != nil || info.Mode().Perm() != 0o600 {
		f.t.Errorf("signing.keys: %v, %v", info.Mode(), err)
	}
	signer, err := readSigner(filepath.Join(f.opt.Dir, signingKeysName))
	if err != nil {
		f.t.Fatal(err)
	}
	snap := f.s.Log().Snapshot()
	defer snap.Release()
	inForce, err := snap.KeyEntry()
	if err != nil || !isPair(signer, inForce.Keys) {
		f.t.Errorf("signing.keys does not hold the pair in force since entry %d, %v", inForce.Index, err)
	}
	keys, err := snap.Keys()
	if err != nil || !bytes.Equal(readFile(f.t, filepath.Join(f.opt.Dir, trustKeys)), keys) {
		f.t.Errorf("trust.keys does not follow the log: %v", err)
	}
	policy, err := ledger.ParsePolicy(ledger.NewPolicy(inForce.Keys))
	if err != nil {
		f.t.Fatal(err)
	}
	if _, err := ledger.OpenCheckpoint(snap.Checkpoint(), policy); err != nil {
		f.t.Error(err)
	}
}

// verifiesWith verifies an export under the policy and the trust.keys that the
// ledger's directory has.
func (f *fixture) verifiesWith(policy *ledger.Policy) {
	f.t.Helper()
	rep, err := ledger.VerifyLog(ctx, testledger.Dir(f.export()), ledger.VerifyOptions{Policy: policy, Keys: readFile(f.t, filepath.Join(f.opt.Dir, trustKeys))})
	if err != nil || rep.Size != f.size() {
		f.t.Errorf("verifying %d entries with the first policy: %v", f.size(), err)
	}
}

func (f *fixture) policy() *ledger.Policy {
	f.t.Helper()
	p, err := ledger.ParsePolicy(readFile(f.t, filepath.Join(f.opt.Dir, trustPolicy)))
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

func (f *fixture) rotate() *RotatedKeys {
	f.t.Helper()
	r, err := f.s.RotateKey(ctx, admin, KeyRotation{})
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}

func TestRotateKey(t *testing.T) {
	t.Parallel()
	f := newService(t)
	first := f.policy()
	before, err := f.s.RequestConsent(ctx, shop, ConsentRequest{Subject: email("a@example.com"), Purposes: []string{newsletter}, Channel: "email",
		Notice: wording, Method: "web_form", Proof: true})
	if err != nil {
		t.Fatal(err)
	}
	receipt := before.Consents[0].Entry
	var retired [][]string
	var last ledger.Index
	for n := range 3 {
		retired = append(retired, f.seeds())
		size := f.size()
		r, err := f.s.RotateKey(ctx, admin, KeyRotation{Proof: true})
		if err != nil {
			t.Fatal(err)
		}
		f.wrote(size, "key.rotated")
		f.settled()
		for _, seeds := range retired {
			gone(t, f.opt.Dir, seeds)
		}
		e := f.entriesFrom(size)[0]
		if e.Source != "admin" || r.Entry.Index != ledger.Index(size) || e.Refers[0] != last || r.Keys.Ed25519.String() != e.Add[0] || r.Keys.MLDSA44.String() != e.Add[1] {
			t.Errorf("rotation %d answers %+v, its entry is by %s and refers to %v", n, r.Entry, e.Source, e.Refers)
		}
		last = e.Index
		if _, err := ledger.VerifyReceipt([]byte(r.Entry.Receipt), []byte(r.Entry.Text), first, r.TrustKeys); err != nil {
			t.Errorf("the receipt of rotation %d: %v", n, err)
		}
		own, err := ledger.ParsePolicy(r.Policy)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ledger.VerifyReceipt([]byte(r.Entry.Receipt), []byte(r.Entry.Text), own, nil); err != nil {
			t.Errorf("the receipt of rotation %d under its own policy: %v", n, err)
		}
		if _, err := ledger.VerifyReceipt([]byte(receipt.Receipt), []byte(receipt.Text), first, r.TrustKeys); err != nil {
			t.Errorf("the receipt from before with the key entries of rotation %d: %v", n, err)
		}
		f.request("later@example.com")
		f.reopen()
		f.settled()
	}
	if _, err := ledger.VerifyReceipt([]byte(receipt.Receipt), []byte(receipt.Text), first, nil); err != nil {
		t.Errorf("the receipt from before under the policy of then: %v", err)
	}
	f.verifiesWith(first)
	if f.policy().Keys().Ed25519.String() != first.Keys().Ed25519.String() {
		t.Error("trust.policy was changed")
	}
}

// TestRotateKeyAsOften: the same key does it once, another one or none does it again.
func TestRotateKeyAsOften(t *testing.T) {
	t.Parallel()
	f := newService(t)
	before := f.size()
	once, err := f.s.RotateKey(ctx, admin, KeyRotation{IdempotencyKey: "spring"})
	if err != nil {
		t.Fatal(err)
	}
	f.reopen()
	seeds := f.seeds()
	again, err := f.s.RotateKey(ctx, admin, KeyRotation{IdempotencyKey: "spring"})
	if err != nil || again.Entry.Index != once.Entry.Index || again.Keys.Ed25519.String() != once.Keys.Ed25519.String() {
		t.Errorf("repeated: %+v, %v", again, err)
	}
	f.wrote(before, "key.rotated")
	if now := f.seeds(); now[0] != seeds[0] || now[1] != seeds[1] {
		t.Error("repeated, and the seeds were replaced")
	}
	f.settled()
	f.rotate()
	later, err := f.s.RotateKey(ctx, admin, KeyRotation{IdempotencyKey: "spring"})
	if err != nil || later.Entry.Index != once.Entry.Index || !bytes.Contains(later.TrustKeys, once.TrustKeys) || len(later.TrustKeys) == len(once.TrustKeys) {
		t.Errorf("repeated after another one: %v", err)
	}
	f.wrote(before, "key.rotated key.rotated")
	f.settled()
}

// TestRotateKeyRefused: nothing is replaced, and what was staged is destroyed.
func TestRotateKeyRefused(t *testing.T) {
	t.Parallel()
	f := newService(t)
	seeds, before := f.seeds(), f.size()
	_, err := f.s.RotateKey(ctx, shop, KeyRotation{})
	refused(t, err, refusal.FailedPrecondition, "role")
	_, err = f.s.RotateKey(ctx, admin, KeyRotation{IdempotencyKey: strings.Repeat("k", 256)})
	refused(t, err, refusal.InvalidArgument, "idempotency_key")
	if now := f.seeds(); now[0] != seeds[0] || f.size() != before {
		t.Error("refused, and something was done")
	}
	f.settled()
	f.s.recorder.close()
	_, err = f.s.RotateKey(ctx, admin, KeyRotation{})
	refused(t, err, refusal.UnavailableCode, "")
	f.settled()
}

// TestRotateUnderLoad rotates while others record. Nobody ever sees a checkpoint that
// the pair in force at its size did not sign.
func TestRotateUnderLoad(t *testing.T) {
	t.Parallel()
	f := newService(t)
	first := f.policy()
	stop := make(chan struct{})
	var load, looking sync.WaitGroup
	for c := range 4 {
		load.Go(func() {
			for n := range 40 {
				if _, err := f.s.RequestConsent(ctx, shop, asking(fmt.Sprintf("c%d.%d@example.com", c, n))); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 2 {
		looking.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := trusted(f.s.Log(), first); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	var rotations sync.WaitGroup
	for range 2 { // two administrators at a time
		rotations.Go(func() {
			for range 4 {
				if _, err := f.s.RotateKey(ctx, admin, KeyRotation{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	rotations.Wait()
	load.Wait()
	close(stop)
	looking.Wait()
	f.settled()
	f.verifiesWith(first)
	if n := strings.Count(f.kindsFrom(0), "key.rotated"); n != 8 {
		t.Errorf("%d rotations are recorded, want 8", n)
	}
}

// trusted opens the newest checkpoint as a reader does who follows the key entries.
func trusted(log *store.Store, first *ledger.Policy) error {
	snap := log.Snapshot()
	defer snap.Release()
	keys, err := snap.Keys()
	if err != nil {
		return err
	}
	policy, err := first.WithKeys(keys)
	if err != nil {
		return err
	}
	_, err = ledger.OpenCheckpoint(snap.Checkpoint(), policy)
	return err
}

// TestSigningKeyFiles: what may lie there at a start, and what is made of it.
func TestSigningKeyFiles(t *testing.T) {
	t.Parallel()
	f := newService(t)
	f.rotate()
	f.close()
	path := filepath.Join(f.opt.Dir, signingKeysName)
	good := readFile(t, path)
	_, stranger, err := newSigner("ledger.example.com/test")
	if err != nil {
		t.Fatal(err)
	}
	_, foreign, err := newSigner("ledger.example.com/other")
	if err != nil {
		t.Fatal(err)
	}
	half := good[:len(good)-20]
	for name, c := range map[string]struct {
		current, next []byte      // nil: no file
		mode          fs.FileMode // for the group, that of signing.keys; for others, that of the next
		want          string      // of the error; "" for none
	}{
		"as it was":                       {good, nil, 0o600, ""},
		"a pair that never came":          {good, stranger, 0o600, ""},
		"half a pair that never came":     {good, half, 0o600, ""},
		"nothing of a pair":               {good, []byte{}, 0o600, ""},
		"the old one overwritten":         {bytes.Repeat([]byte{7}, len(good)), good, 0o600, ""},
		"the old one half overwritten":    {append(bytes.Repeat([]byte{7}, 100), good[100:]...), good, 0o600, ""},
		"the old one still there":         {stranger, good, 0o600, ""},
		"the old one lost":                {nil, good, 0o600, ""},
		"the same twice":                  {good, good, 0o600, ""},
		"none":                            {nil, nil, 0o600, "no such file"},
		"damaged":                         {half, nil, 0o600, "signing.keys is damaged"},
		"no keys":                         {[]byte("hello\n"), nil, 0o600, "is not a file of signing keys"},
		"somebody else's":                 {stranger, nil, 0o600, "are they this log's"},
		"both somebody else's":            {stranger, bytes.Clone(stranger), 0o600, "are they this log's"},
		"another ledger's next":           {good, foreign, 0o600, "another log"},
		"others may read":                 {good, nil, 0o640, "others may read"},
		"others may read what never came": {good, stranger, 0o604, "others may read"},
	} {
		next := path + ".next"
		for file, content := range map[string][]byte{path: c.current, next: c.next} {
			if err := os.RemoveAll(file); err != nil {
				t.Fatal(err)
			}
			if content == nil {
				continue
			}
			if err := os.WriteFile(file, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for file, mode := range map[string]fs.FileMode{path: c.mode &^ 0o004, next: c.mode &^ 0o040} {
			if err := os.Chmod(file, mode); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
		}
		before := tree(t, f.opt.Dir)
		s, err := Open(f.opt)
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) || tree(t, f.opt.Dir) != before {
				t.Errorf("%s: %v, or something was changed", name, err)
			}
			if err != nil {
				continue
			}
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		f.s = s
		f.settled()
		if c.want == "" && !bytes.Equal(readFile(t, path), good) {
			t.Errorf("%s: signing.keys is another one", name)
		}
		f.close()
	}
	for _, file := range []string{path + ".next", path} {
		if err := os.RemoveAll(file); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	f.open()
}

// TestTrustKeysFollows: a start makes trust.keys what the log says, also one that
// serves the log alone.
func TestTrustKeysFollows(t *testing.T) {
	t.Parallel()
	f := newService(t)
	f.rotate()
	f.close()
	path := filepath.Join(f.opt.Dir, trustKeys)
	want := readFile(t, path)
	for name, spoil := range map[string]func() error{
		"missing":            func() error { return os.Remove(path) },
		"from before":        func() error { return os.WriteFile(path, want[:len(want)/3], 0o644) },
		"with a scratch one": func() error { return errors.Join(os.Remove(path), os.WriteFile(path+".next", []byte("half"), 0o644)) },
	} {
		for _, alone := range []bool{false, true} {
			if err := spoil(); err != nil {
				t.Fatal(err)
			}
			if alone {
				log, err := OpenLog(f.opt.Dir, nil)
				if err != nil {
					t.Fatal(err)
				}
				if err := log.Close(); err != nil {
					t.Fatal(err)
				}
			} else {
				f.open()
				f.close()
			}
			if got := readFile(t, path); !bytes.Equal(got, want) {
				t.Errorf("%s: trust.keys has %d bytes, want %d", name, len(got), len(want))
			}
			if _, err := os.Stat(path + ".next"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: a scratch file is left: %v", name, err)
			}
		}
	}
	f.open()
}
