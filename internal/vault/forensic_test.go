package vault

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/ledger"
)

// TestForensics copies all files of a vault before, during and after an erasure,
// and shows that with all keys that exist afterwards nothing of the erased
// opens in any of the copies; and that it does for somebody who kept the old
// root key.
func TestForensics(t *testing.T) {
	count := 100
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
	erase(t, v, people[1])
	// Somebody loses only a part, an address and the first of two consents.
	part := people[3]
	inGroup(t, v, func(d *Draft) {
		part.insert(t, v, d, ledger.ConsentID(count+1))
		s, _, err := d.SubjectOf(part.consents[0])
		check(t, err)
		part.ids = append(part.ids, Identifier{"phone", "+49301234567"})
		check(t, d.AddIdentifier(s, part.ids[1], 9))
	})
	partly := Change{Consents: part.consents[:1], Identifiers: part.ids[1:]}

	var erased []*person
	for i, p := range people {
		if i%8 == 0 {
			erased = append(erased, p)
		}
	}
	plan(t, v, Change{Erase: true}, erased...)
	plan(t, v, partly, part)
	crowd(t, v, people[2], 1<<20)
	p := planOf(t, v)
	mine := goneRows(t, v, p)
	oldRoot, oldTree := v.root, v.tree
	oldKeys := goneKeys(t, v, p)
	before := copyOf(t, opt)
	var during []string
	v.opt.testOnlyStep = func(name string) error {
		if name == "erase listed" || name == "erase switched" {
			during = append(during, copyOf(t, opt))
		}
		return nil
	}
	carryOut(t, v)
	for _, p := range erased {
		p.changed(Change{Erase: true})
	}
	part.changed(partly)
	checkOldKeys(t, v, p, oldTree, oldRoot)
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
	if a.finds(part.goneIDs[0].Value) > 0 {
		t.Error("a dropped identifier is found")
	}
	control := attack(rows, root, oldRoot)
	if control.finds(part.goneIDs[0].Value) == 0 {
		t.Error("control: with the old root key, a dropped identifier is not found")
	}
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

// goneRows gives the keys of all rows that go in a pass, as they are before it,
// but the outer idempotency rows.
func goneRows(t *testing.T, v *Vault, p *pass) map[string]bool {
	t.Helper()
	rows := make(map[string]bool)
	for _, m := range p.shards {
		for id := range m.rows {
			rows[string(v.tree.shardRowKey(id[0], []byte(id[1:])))] = true
		}
	}
	for _, key := range deadOf(t, v, p) {
		rows[string(key)] = true
	}
	for key := range rows {
		if _, ok, err := readOne(v.db, []byte(key)); !ok || err != nil {
			t.Fatalf("a row of kind %q was to go and is not there: %v", key[0], err)
		}
	}
	return rows
}

// goneKeys gives all keys that go in a pass.
func goneKeys(t *testing.T, v *Vault, p *pass) (keys []secret) {
	t.Helper()
	check(t, v.View(func(w View) error {
		for _, m := range p.people {
			keys = append(keys, m.subject.key)
			if m.Erase || m.reidentified() {
				keys = append(keys, m.subject.identity.key)
			}
			for _, id := range must[[]ledger.ConsentID](t)(w.Consents(m.subject)) {
				if m.drops(id) {
					keys = append(keys, secret(must[ConsentKey](t)(w.ConsentKey(m.subject, id))))
				}
			}
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
	index := v.tree.index[0].live(p.ids[0])
	setRow(t, v, v.tree.shardRowKey(rowIndex, index), []byte("short"))
	_, _, err := findSubject(v, p.ids[0])
	index = index[4:] // the epoch stands in front
	for _, hidden := range []string{p.email, fmt.Sprintf("%x", index[:4]), string(index[:4]), fmt.Sprintf("%q", index)} {
		if err == nil || bytes.Contains([]byte(err.Error()), []byte(hidden)) {
			t.Errorf("error %v", err)
		}
	}
	check(t, v.Close())
	if _, _, err := findSubject(v, p.ids[0]); err == nil || err.Error() != "reading a row of the vault: "+badger.ErrDBClosed.Error() {
		t.Errorf("FindSubject of a closed vault: %v", err)
	}
}
