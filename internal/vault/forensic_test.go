package vault

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/ledger"
)

// stale is one version of one row as it lies in a copy of Badger's files,
// superseded and deleted ones too.
type stale struct{ key, value string }

// rawRows parses all versions of all rows out of copies of a vault.
func rawRows(t *testing.T, dirs ...string) map[stale]bool {
	t.Helper()
	rows := make(map[stale]bool)
	for _, dir := range dirs {
		// No compaction and no version limit: what lies there is to be seen.
		db, err := badger.Open(badger.DefaultOptions(filepath.Join(dir, "vault")).
			WithNumVersionsToKeep(math.MaxInt32).WithNumCompactors(0).WithMemTableSize(8 << 20).
			WithValueLogFileSize(1 << 20).WithLogger(nil))
		check(t, err)
		txn := db.NewTransaction(false)
		it := txn.NewIterator(badger.IteratorOptions{AllVersions: true})
		for it.Rewind(); it.Valid(); it.Next() {
			value := must[[]byte](t)(it.Item().ValueCopy(nil))
			if len(value) > 0 {
				rows[stale{string(it.Item().Key()), string(value)}] = true
			}
		}
		it.Close()
		txn.Discard()
		check(t, db.Close())
	}
	return rows
}

// attacker tries every key that it comes to know against every row.
type attacker struct {
	sealed []sealedRow // all rows but 'R', 'G' and 'V', which are not one sealed value
	keys   map[secret]bool
	todo   []secret
	opened map[stale][][]byte // what each row gave
}

// attack gives everything that opens, starting from some root keys.
func attack(rows map[stale]bool, roots ...rootKey) *attacker {
	a := &attacker{keys: make(map[secret]bool), opened: make(map[stale][][]byte)}
	for r := range rows {
		if r.key[0] != rowRoot && r.key[0] != rowGroup && r.key[0] != rowVersion {
			a.sealed = append(a.sealed, sealedRow{r, []byte(r.key), []byte(r.value)})
		}
	}
	var others, shardKeys []secret
	for _, root := range roots {
		others = append(others, root.key)
		for r := range rows {
			// Whatever generation a root row claims, the key is tried on it.
			generation, err := rootGeneration([]byte(r.value))
			if r.key != string(keyRoot()) || err != nil {
				continue
			}
			t, err := decodeTree(rootKey{generation, root.key}, []byte(r.value))
			if err != nil {
				continue
			}
			for s := range t.shards {
				shardKeys = append(shardKeys, t.shards[s].key)
			}
			others = append(others, t.index, t.days[0].key, t.days[1].key)
		}
	}
	for _, k := range others {
		a.learn(k)
	}
	for _, k := range shardKeys {
		if !a.keys[k] {
			a.keys[k] = true
			a.tryShard(k)
		}
	}
	for len(a.todo) > 0 {
		k := a.todo[0]
		a.todo = a.todo[1:]
		a.try(k)
		for _, label := range []string{"wrap", "list", "identity", "claims", "erasure"} {
			a.try(derive(k, label))
		}
		for _, day := range others {
			a.tryInner(derive(k, "idempotency", string(day[:])))
		}
	}
	return a
}

// sealedRow is a stale row, ready to be opened.
type sealedRow struct {
	stale
	aad, sealed []byte
}

func (a *attacker) learn(k secret) {
	if !a.keys[k] {
		a.keys[k] = true
		a.todo = append(a.todo, k)
	}
}

// gain notes what a row gave and learns every key in it.
func (a *attacker) gain(r stale, plain []byte) {
	for _, had := range a.opened[r] {
		if bytes.Equal(had, plain) {
			return
		}
	}
	a.opened[r] = append(a.opened[r], plain)
	if len(plain) == 32 {
		a.learn(secret(plain))
	}
	if len(plain) > blobRefSize && plain[0] == 1 {
		a.learn(secret(plain[17:49]))
	}
}

// tryShard tries a shard key against all shard rows of whatever shard.
func (a *attacker) tryShard(k secret) {
	aead := newAEAD(k)
	for _, r := range a.sealed {
		if r.aad[0] != rowShard {
			continue
		}
		if plain, err := aead.Open(nil, nil, r.sealed, r.aad); err == nil {
			a.gain(r.stale, plain)
		}
	}
}

// try tries a key against all rows.
func (a *attacker) try(k secret) {
	aead := newAEAD(k)
	for _, r := range a.sealed {
		if plain, err := aead.Open(nil, nil, r.sealed, r.aad); err == nil {
			a.gain(r.stale, plain)
		}
	}
}

// tryInner tries a key against the inner parts of idempotency rows.
func (a *attacker) tryInner(k secret) {
	aead := newAEAD(k)
	for r, plains := range a.opened {
		if r.key[0] != rowShard || r.key[shardKeySize] != rowIdempotency {
			continue
		}
		inner, err := aead.Open(nil, nil, plains[0][8:], innerLabel([]byte(r.key[shardKeySize+1:])))
		if err == nil {
			a.gain(r, inner)
		}
	}
}

// finds gives in how many rows that were opened a text stands, in clear or
// within a disclosure.
func (a *attacker) finds(text string) (n int) {
	for _, plains := range a.opened {
		for _, plain := range plains {
			raw := plain
			if len(plain) > 1 {
				// A disclosure is base64url; a reference to a blob may precede it.
				for _, from := range []int{1, 1 + blobRefSize} {
					if len(plain) > from {
						if b, err := base64.RawURLEncoding.DecodeString(string(plain[from:])); err == nil {
							raw = append(append([]byte{}, raw...), b...)
						}
					}
				}
			}
			if bytes.Contains(raw, []byte(text)) {
				n++
				break
			}
		}
	}
	return n
}

// TestForensics copies all files of a vault before, during and after an erasure,
// and shows that with all keys that exist afterwards nothing of the erased
// opens in any of the copies; and that it does for somebody who kept the old
// root key.
func TestForensics(t *testing.T) {
	count := 200
	if testing.Short() {
		count = 40
	}
	opt := testOptions(t)
	v := newVault(t, opt)
	secretPicture := bytes.Repeat([]byte("PICTURE OF PERSON "), 50)
	var people []*person
	b := v.Begin()
	for i := range count {
		p := newPerson(i)
		if i == 0 {
			b.Discard()
			ref := must[BlobRef](t)(v.PutBlob(secretPicture))
			p.blob, p.bytes = &ref, secretPicture
			b = v.Begin()
		}
		d := b.Draft()
		p.insert(t, v, d, ledger.ConsentID(i+1))
		check(t, d.Keep())
		people = append(people, p)
	}
	must[GroupRecord](t)(b.Commit(1, count, ledger.Hash{}))
	// Erasures of others before: the attacker also has what those left.
	must[Shredded](t)(v.Erase(people[1].consents))
	people[1].erased = true

	var ids []ledger.ConsentID
	for i, p := range people {
		if i%8 == 0 {
			ids = append(ids, p.consents...)
			p.erased = true
		}
	}
	crowd(t, v, people[2], ids, 1<<20)
	e := must[*erasure](t)(v.planErasure(ids))
	mine := erasedRows(t, v, e)
	oldRoot, oldTree := v.root, v.tree
	oldKeys := keysOf(t, v, ids)
	before := copyOf(t, opt)
	var during []string
	v.opt.testOnlyStep = func(name string) error {
		if name == "erase listed" || name == "erase switched" {
			during = append(during, copyOf(t, opt))
		}
		return nil
	}
	must[Shredded](t)(v.Erase(ids))
	checkOldKeys(t, v, e, oldTree, oldRoot)
	after := copyOf(t, opt)
	root := v.root
	check(t, v.Close())

	dirs := append(during, before, after)
	for _, dir := range dirs {
		noCanary(t, dir, people, oldRoot.key, root.key)
	}
	noBytes(t, after, oldRoot.key[:])
	rows := rawRows(t, dirs...)
	t.Logf("%d versions of rows in the copies", len(rows))

	a := attack(rows, root)
	for r := range a.opened {
		if mine[r.key] {
			t.Errorf("a row of kind %q of an erased person opens", r.key[0])
		}
	}
	for _, k := range oldKeys {
		if a.keys[k] {
			t.Error("a key of an erased person was found")
		}
	}
	control := attack(rows, root, oldRoot)
	for _, p := range people {
		now, then := a.finds(p.email), control.finds(p.email)
		switch {
		case p == people[1] && (now > 0 || then > 0):
			t.Error("somebody erased earlier is found")
		case p == people[1]:
		case p.erased && now > 0:
			t.Errorf("an erased person is found in %d rows", now)
		case !p.erased && now < 2: // identifier and claims: the attack works
			t.Errorf("a survivor is found in %d rows", now)
		case then < 2:
			t.Errorf("with the old root key, a person is found in %d rows", then)
		}
	}
	opens := make(map[string]bool)
	for r := range control.opened {
		opens[r.key] = true
	}
	for key := range mine {
		if !opens[key] {
			t.Errorf("control: with the old root key, a row of kind %q does not open", key[0])
		}
	}
	for _, k := range oldKeys {
		if !control.keys[k] {
			t.Error("control: with the old root key, a key of an erased person is not found")
		}
	}
}

// erasedRows gives the keys of all rows of the people to be erased but the
// outer idempotency rows, as they are before the erasure.
func erasedRows(t *testing.T, v *Vault, e *erasure) map[string]bool {
	t.Helper()
	rows := make(map[string]bool)
	for id := range e.omit {
		rows[string(v.tree.shardRowKey(id[0], []byte(id[1:])))] = true
	}
	for _, key := range e.dead {
		rows[string(key)] = true
	}
	for key := range rows {
		if _, ok, err := readOne(v.db, []byte(key)); !ok || err != nil {
			t.Fatalf("a row of kind %q was to be erased and is not there: %v", key[0], err)
		}
	}
	return rows
}

// keysOf gives all keys of the people of these consents.
func keysOf(t *testing.T, v *Vault, ids []ledger.ConsentID) (keys []secret) {
	t.Helper()
	check(t, v.read(func(w view) error {
		for _, id := range ids {
			s, _, err := w.SubjectOf(id)
			check(t, err)
			k := must[ConsentKey](t)(w.ConsentKey(s, id))
			keys = append(keys, s.key, must[secret](t)(w.identityKey(s)), secret(k))
		}
		return nil
	}))
	return keys
}

// noCanary makes sure that no personal value and no key stands in clear in any
// file of the database.
func noCanary(t *testing.T, dir string, people []*person, roots ...secret) {
	t.Helper()
	texts := [][]byte{[]byte("@mail.example"), []byte("PICTURE OF PERSON"), []byte("name of "),
		[]byte(base64.RawURLEncoding.EncodeToString([]byte("@mail.example"))), []byte("request-")}
	for _, root := range roots {
		texts = append(texts, root[:])
	}
	for _, p := range people {
		texts = append(texts, []byte(p.email), []byte(p.token))
		for _, k := range p.keys {
			texts = append(texts, k[:])
		}
	}
	for _, text := range texts {
		noBytes(t, filepath.Join(dir, "vault"), text)
	}
}

var fileCache = make(map[string][]byte)

func noBytes(t *testing.T, dir string, text []byte) {
	t.Helper()
	files := 0
	check(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		files++
		if fileCache[path] == nil {
			b := must[[]byte](t)(os.ReadFile(path))
			fileCache[path] = bytes.TrimRight(b, "\x00") // logs are mostly holes
		}
		if bytes.Contains(fileCache[path], text) {
			t.Errorf("%s contains %d bytes that it must not", filepath.Base(path), len(text))
		}
		return nil
	}))
	if files == 0 {
		t.Fatal("no files to search")
	}
}

// The canary test can fail: the origin stands in clear.
func TestCanaryIsSeen(t *testing.T) {
	opt := testOptions(t)
	newVault(t, opt).Close()
	found := false
	check(t, filepath.WalkDir(opt.Dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			found = found || bytes.Contains(must[[]byte](t)(os.ReadFile(path)), []byte(testOrigin))
		}
		return err
	}))
	if !found {
		t.Error("the origin is in no file")
	}
}

// The log must not tell more than that a row of some kind is there: errors of
// damaged rows and of Badger carry neither keys nor values.
func TestErrorsQuoteNoRow(t *testing.T) {
	v := newVault(t, testOptions(t))
	p := addPeople(t, v, 1, 5)[0]
	index := v.IndexKey("email", p.email)
	setRow(t, v, v.tree.shardRowKey(rowIndex, index[:]), []byte("short"))
	_, _, err := v.FindSubject(index)
	for _, hidden := range []string{p.email, fmt.Sprintf("%x", index[:4]), string(index[:4]), fmt.Sprintf("%q", index[:])} {
		if err == nil || bytes.Contains([]byte(err.Error()), []byte(hidden)) {
			t.Errorf("error %v", err)
		}
	}
	wrapped := fmt.Errorf("DB::Get key: %q: %w", index[:], badger.ErrDBClosed)
	if got := readError(wrapped).Error(); got != "reading a row of the vault: "+badger.ErrDBClosed.Error() {
		t.Errorf("readError: %s", got)
	}
}
