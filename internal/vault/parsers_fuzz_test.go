package vault

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/ledger"
)

// FuzzClaims: claims are read as they were added.
func FuzzClaims(f *testing.F) {
	one := Claim{Disclosure: ledger.NewDisclosure("email", "a@b.example")}
	two := Claim{ledger.NewDisclosure("document", `{"sha256":"00"}`), &BlobRef{ID: [16]byte{1}, Key: [32]byte{2}, Size: math.MaxInt64}}
	f.Add(u64(7))
	f.Add(appendClaim(u64(7), one))
	f.Add(appendClaim(appendClaim(u64(7), one), two))
	f.Add(appendClaim(appendClaim(u64(7), two), one)[:200])
	f.Add(append(u64(7), 1))
	f.Add(append(append(u64(7), 2), appendClaim(nil, one)[1:]...))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := parseAdded(b)
		again := u64(uint64(a.since))
		if err == nil {
			err = a.each(func(c Claim) { again = appendClaim(again, c) })
		}
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Error(err)
			}
			return
		}
		if !bytes.Equal(again, b) {
			t.Errorf("%x is written as %x", b, again)
		}
	})
}

// FuzzSubject: a person's row is read as it was written.
func FuzzSubject(f *testing.F) {
	known := &Subject{Slot: 7, key: secret{1}, identity: identity{secret{2}, []Identifier{{"email", "a@b.example"}}, []channel{{0, [32]byte{3}, "email"}}},
		first: []ownedConsent{{5, ConsentKey{4}}, {6, ConsentKey{5}}}}
	f.Add((&Subject{key: secret{1}}).encode())
	f.Add(known.encode())
	f.Add(known.encode()[:40])
	f.Add(known.encode()[:70])
	f.Add(append(known.encode(), 'i', 0xff, 0xff, 0xff, 0xff))
	f.Add(append(known.encode(), 'k', 0, 0, 0, 1, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseSubject(7, b)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Error(err)
			}
			return
		}
		// Identifiers stand before channels, and those before consents.
		if again, err := parseSubject(7, s.encode()); err != nil || !reflect.DeepEqual(s, again) || len(s.encode()) != len(b) {
			t.Errorf("%x is written as %+v, %v", b, again, err)
		}
	})
}

// FuzzRemembered: what is remembered of a request is read as it was written.
func FuzzRemembered(f *testing.F) {
	f.Add(encodeInner([32]byte{1}, nil, nil))
	f.Add(encodeInner([32]byte{2}, []ledger.Index{0, 7, math.MaxInt64}, []byte(`{"Entries":[7]}`)))
	f.Add(append(make([]byte, 32), 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseInner(b)
		if err == nil && !bytes.Equal(encodeInner(r.Request, r.Indexes, r.Extra), b) {
			t.Errorf("%x is written as %x", b, encodeInner(r.Request, r.Indexes, r.Extra))
		}
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Error(err)
		}
	})
}

// FuzzTree: what a root row holds under the right root key is read as it was written,
// whatever its length; under another one it is refused.
func FuzzTree(f *testing.F) {
	root := newRootKey(3)
	aead := newAEAD(root.key)
	good := newTree(3).encode(root)
	body := must[[]byte](f)(aead.Open(nil, nil, good[4+rootProofSize:], rootLabel("keys", 3)))
	f.Add(0, []byte(nil), 0)
	f.Add(4, []byte{0, 0, 0, 9, 1, 2, 3}, 0)
	f.Add(len(body)-8, []byte{1}, 0)
	f.Add(len(body), make([]byte, indexKeySize), 0)
	f.Add(len(body), make([]byte, 2*indexKeySize), 0)
	f.Add(0, []byte(nil), 1)
	f.Add(0, []byte(nil), len(body))
	f.Fuzz(func(t *testing.T, at int, patch []byte, cut int) {
		if at < 0 || at > len(body) || cut < 0 || cut > len(body) || len(patch) > len(body) {
			return
		}
		b := append(bytes.Clone(body[:at]), patch...)
		if end := at + len(patch); end < len(body) {
			b = append(b, body[end:]...)
		}
		b = b[:max(0, len(b)-cut)]
		row := aead.Seal(bytes.Clone(good[:4+rootProofSize]), nil, b, rootLabel("keys", 3))
		if _, err := decodeTree(newRootKey(3), row); !errors.Is(err, ErrDamaged) {
			t.Errorf("another root key: %v", err)
		}
		tree, err := decodeTree(root, row)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Error(err)
			}
			return
		}
		again := tree.encode(root)
		if plain, err := aead.Open(nil, nil, again[4+rootProofSize:], rootLabel("keys", 3)); err != nil || !bytes.Equal(plain, b) {
			t.Errorf("%d bytes are written as %d, %v", len(b), len(plain), err)
		}
	})
}

// FuzzRow: a row of the vault that says something else, and one more row, change no
// answer: what was recorded is given, or an error.
func FuzzRow(f *testing.F) {
	v := newVault(f, testOptions(f))
	s := newStory(f, v)
	s.add(3)
	s.group(func(d *Draft, _ ledger.Index) { check(f, d.Suppress(s.people[0].ids[0], "newsletter", "2026-11")) })
	s.plan(map[*person]Change{s.people[2]: {Erase: true}})
	var rows []row
	check(f, v.db.View(func(txn *badger.Txn) error {
		return eachRow(txn, nil, func(key, value []byte) error {
			if !bytes.HasPrefix(key, []byte("!badger!")) {
				rows = append(rows, row{bytes.Clone(key), bytes.Clone(value)})
			}
			return nil
		})
	}))
	want, err := answers(v, s.people)
	check(f, err)
	for n, r := range rows {
		f.Add(n, len(r.key), []byte(nil), len(r.value)-1, []byte(nil))
		f.Add(n, len(r.key)-1, []byte(nil), len(r.value), []byte{0})
		f.Add(n, 1, []byte(nil), len(r.value), []byte(nil))
		f.Add(n, min(shardKeySize+1, len(r.key)), []byte(nil), 0, []byte(nil))
		f.Add(n, len(r.key), []byte{0}, len(r.value), []byte(nil))
	}
	// A record may list keys that are none.
	for n, r := range rows {
		if r.key[0] == rowGroup {
			f.Add(n, 1, []byte(nil), len(r.value), []byte{1, rowShard})
			f.Add(n, 1, []byte(nil), len(r.value), append([]byte{shardKeySize + 1}, v.tree.shardRowKey(rowPlan, idSlot(1))[:shardKeySize+1]...))
		}
	}
	f.Fuzz(func(t *testing.T, n, keep int, more []byte, keepValue int, moreValue []byte) {
		was := rows[uint(n)%uint(len(rows))]
		key := append(bytes.Clone(was.key[:max(1, min(keep, len(was.key)))]), more...)
		value := append(bytes.Clone(was.value[:max(0, min(keepValue, len(was.value)))]), moreValue...)
		if len(key) > 200 || len(value) > 1<<18 {
			return
		}
		before, there, err := readOne(v.db, key)
		check(t, err)
		check(t, v.db.Update(func(txn *badger.Txn) error { return txn.Set(key, value) }))
		defer func() {
			check(t, v.db.Update(func(txn *badger.Txn) error {
				if there {
					return txn.Set(key, before)
				}
				return txn.Delete(key)
			}))
		}()
		if got, err := answers(v, s.people); err == nil && got != want {
			t.Errorf("with the row %x of kind %q: %s, without it %s", key, key[0], got, want)
		}
	})
}

// answers reads, as a start does and then as callers do, everything that the vault
// knows of people.
func answers(v *Vault, people []*person) (string, error) {
	if _, err := readVersion(v.db); err != nil {
		return "", err
	}
	group, err := readGroup(v.db)
	if err != nil {
		return "", err
	}
	row, _, err := readOne(v.db, keyRoot())
	if err != nil {
		return "", err
	}
	tree, err := decodeTree(v.root, row)
	if err != nil {
		return "", err
	}
	fresh := &Vault{opt: v.opt, db: v.db, group: group, tree: tree, root: v.root}
	fresh.loadPlans()
	fresh.loadSuppressed()
	fresh.loadLocked()
	var b strings.Builder
	fmt.Fprintf(&b, "%d planned, %v, %v;", len(fresh.plans), fresh.anySuppressed.Load(), fresh.anyLocked.Load())
	if err := fresh.loadLedger(); err != nil {
		return "", err
	}
	return b.String(), fresh.View(func(w View) error {
		for _, p := range people {
			s, ok, err := w.FindSubject(p.ids[0])
			if err != nil || !ok {
				return errors.Join(err, fmt.Errorf("person found: %v", ok))
			}
			ids, err := w.Consents(s)
			if err != nil {
				return err
			}
			channels, err := w.channels(w.identity(s))
			if err != nil {
				return err
			}
			suppressed, err := w.Suppressed(p.ids[0], "newsletter")
			if err != nil {
				return err
			}
			_, state, err := w.Recall("shop", fmt.Sprintf("request-%d", p.consents[0]))
			if err != nil {
				return err
			}
			byToken, channel, known, err := w.ManageToken(p.token)
			if err != nil {
				return err
			}
			if known && byToken.Slot != s.Slot {
				return errors.New("a token is somebody else's")
			}
			locked, err := w.FindLocked(p.ids[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %d locked, token %v %s", len(locked), known, channel)
			fmt.Fprintf(&b, " %v %d channels, suppressed %v, request %v", ids, len(channels), suppressed, state)
			for _, id := range ids {
				k, err := w.ConsentKey(s, id)
				if err != nil {
					return err
				}
				for _, want := range p.claims[id] {
					d, _, ok, err := w.OpenClaim(k, ledger.Index(id), want.Digest())
					if err != nil || !ok || d != want {
						return errors.Join(err, fmt.Errorf("claim found: %v", ok))
					}
				}
			}
		}
		err := eachRow(w.txn, []byte{rowSuppression}, func(key, sealed []byte) error {
			_, err := w.tree.openSuppression(key, sealed)
			return err
		})
		if err == nil {
			_, err = writeBackup(io.Discard, testOrigin, w)
		}
		return err
	})
}

// FuzzManageToken: nobody is found by a token that was not given out, in whatever
// spelling it comes.
func FuzzManageToken(f *testing.F) {
	v := newVault(f, testOptions(f))
	s := newStory(f, v)
	s.add(2)
	good := s.people[0].token
	for _, token := range []string{good, good[:len(good)-1], good + "=", good + "\n", good[:20] + "\r\n" + good[20:], "", strings.Repeat("A", 44), strings.ToUpper(good)} {
		f.Add(token, 0, byte(0))
	}
	f.Fuzz(func(t *testing.T, token string, at int, with byte) {
		// What another process was given, it found nobody by here.
		mine := []byte(good)
		mine[uint(at)%uint(len(mine))] ^= with
		for _, token := range []string{token, string(mine)} {
			check(t, v.View(func(w View) error {
				_, channel, ok, err := w.ManageToken(token)
				if ok != (token == good) || ok && channel != "email" {
					t.Errorf("%q finds %v on the channel %q", token, ok, channel)
				}
				return err
			}))
		}
	})
}

// FuzzBackupRows is FuzzReadBackup behind the shard keys, which are most of a small
// backup, and with the sum that the content should have.
func FuzzBackupRows(f *testing.F) {
	v := newVault(f, testOptions(f))
	newStory(f, v).add(1)
	var good bytes.Buffer
	check(f, v.View(func(w View) error { _, err := writeBackup(&good, testOrigin, w); return err }))
	// The rows begin after the one index key.
	begin := bytes.Index(good.Bytes(), v.tree.index[0].key[:]) + 32
	head, rows := good.Bytes()[:begin], good.Bytes()[begin:]
	rows = rows[:len(rows)-32]
	f.Add(rows)
	f.Add(rows[:len(rows)-17])
	f.Add(append([]byte{0}, make([]byte, 16)...))
	f.Add(append(bytes.Clone(rows), 0))
	f.Add([]byte{1, rowShard, 0, 0, 0, 0})
	f.Add([]byte{8, rowShard, 0, 0, 0, 0, 0, 1, rowSubject, 0, 0, 0, 0})
	f.Add([]byte{1, rowIdentity, 0xff, 0xff, 0xff, 0xff})
	f.Add(append(append([]byte{1, rowIdentity, 0, 0, 0, 0}, 1, rowIdentity, 0, 0, 0, 0, 0), append(make([]byte, 15), 2)...))
	f.Add(append([]byte{1, rowClaim, 0, 0, 0, 0, 0}, append(make([]byte, 15), 1)...))
	f.Fuzz(func(t *testing.T, tail []byte) {
		b := append(bytes.Clone(head), tail...)
		sum := sha256.Sum256(b)
		b = append(b, sum[:]...)
		var keys [][]byte
		h, totals, err := readBackup(bytes.NewReader(b), func(_ *backupHead, key, value []byte) error {
			keys = append(keys, bytes.Clone(key))
			return nil
		})
		if err != nil {
			if !errors.Is(err, ErrBackupContent) && !errors.Is(err, ErrDamaged) {
				t.Errorf("refused as %v", err)
			}
			return
		}
		if h.origin != testOrigin || totals.rows != uint64(len(keys)) || totals.sum != sum {
			t.Errorf("%d rows of %q, counted %d", len(keys), h.origin, totals.rows)
		}
		for i, key := range keys {
			if i > 0 && bytes.Compare(keys[i-1], key) >= 0 || !bytes.ContainsRune([]byte{rowWrapped, rowIdentity, rowShard, rowSuppression}, rune(key[0])) {
				t.Errorf("a row %x after %x", key, keys[max(0, i-1)])
			}
		}
	})
}

// FuzzSealedBackup: a key backup opens as it was sealed, or not at all.
func FuzzSealedBackup(f *testing.F) {
	v := newVault(f, testOptions(f))
	newStory(f, v).add(1)
	id := must[*backupIdentity](f)(newBackupIdentity(testOrigin, 1))
	path := filepath.Join(f.TempDir(), "keys-1.age")
	var want backupTotals
	check(f, v.View(func(w View) (err error) { want, err = writeSealed(path, testOrigin, id, w); return err }))
	good := must[[]byte](f)(os.ReadFile(path))
	f.Add(0, byte(0), len(good), []byte(nil))
	f.Add(len(good)/2, byte(1), len(good), []byte(nil))
	f.Add(0, byte(0), len(good)-1, []byte(nil))
	f.Add(0, byte(0), len(good), []byte{0})
	f.Add(30, byte(0x20), len(good), []byte(nil))
	f.Fuzz(func(t *testing.T, at int, with byte, keep int, more []byte) {
		b := bytes.Clone(good)
		b[uint(at)%uint(len(b))] ^= with
		b = append(b[:max(0, min(keep, len(b)))], more...)
		check(t, os.WriteFile(path, b, 0o600))
		rows := 0
		_, totals, err := readSealed(path, id, func(*backupHead, []byte, []byte) error { rows++; return nil })
		if same := bytes.Equal(b, good); same != (err == nil) || err == nil && (totals != want || rows != int(want.rows)) {
			t.Errorf("byte %d ^ %x, %d of %d bytes kept, %d more: %d rows, %v", at, with, keep, len(good), len(more), rows, err)
		}
		if err != nil && !errors.Is(err, ErrBackupContent) {
			t.Errorf("refused as %v", err)
		}
		if h, err := readSealedHead(path, id); err == nil && (h.origin != testOrigin || h.generation != 1) {
			t.Errorf("the head is that of %q, generation %d", h.origin, h.generation)
		}
	})
}
