package vault

import (
	"bytes"
	"encoding/base64"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// moment is what was in force at some time.
type moment struct {
	root rootKey
	tree *tree
}

func (w *town) now() moment { return moment{w.v.root, w.v.tree} }

// testErased shows what must hold of the rows in the copies around a pass. It
// gives a raider who has the key that was in force then.
func (w *town) testErased(t *testing.T, h *hoard, before, after moment) *raider {
	late := w.raws.at(t, "erase checked again")
	lateRoots := late.roots(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		r := newRaiderOf(h, late)
		r.learn(lateRoots...)
		w.gone.everything(t, r, "control: in the copy just before the old root key was destroyed")
	})
	defer wg.Wait()
	now := newRaider(h)
	now.learn(after.root)
	w.gone.nothing(t, now, "with all keys that exist")
	if k := w.knows(now, w.people); k.went > 0 || k.stayed != k.stayedOf {
		t.Errorf("with all keys that exist, of %d things that went %d are found, of %d that stayed %d",
			k.wentOf, k.went, k.stayedOf, k.stayed)
	}

	if n := now.lists(); n > 0 {
		t.Errorf("with all keys that exist, %d lists of rows that went are opened", n)
	}

	kept := now.clone()
	kept.learnTree(must[*tree](t)(decodeTree(after.root, keepingKeys(after.tree, before.tree).encode(after.root))))
	kept.goOn()
	w.gone.everything(t, kept, "control: the touched shards keep their keys")

	old := now.clone()
	old.learn(before.root)
	w.gone.everything(t, old, "control: with the old root key")
	if old.lists() == 0 {
		t.Error("control: with the old root key, no list of rows that went is opened")
	}
	if k := w.knows(old, w.earlier); k.went > 0 {
		t.Errorf("with the old root key, of %d things that went before it came %d are found", k.wentOf, k.went)
	}
	return now
}

// testForgotten shows what must hold of the copies after a re-key of the blind
// index: true identifiers lead nowhere. before is who raided before it.
func (w *town) testForgotten(t *testing.T, h *hoard, before *raider) {
	now := newRaider(h)
	now.learnRoot(w.v.root)
	then, after := newTracker(before), newTracker(now)
	var marks [][]byte
	for _, p := range w.people {
		for _, id := range p.ids {
			was, is := then.follow(id), after.follow(id)
			switch {
			case !p.erased && !is.slots[p.slot]:
				t.Fatal("control: after the re-key, who stays is not found by an identifier")
			case p.erased && (is.known || is.told):
				t.Fatal("after the re-key, an identifier leads to somebody who was erased")
			case p.erased && !was.told, p.erased && !isLater(id) && !(was.slots[p.slot] && was.consents[p.consents[0]]):
				t.Fatal("control: before the re-key, an identifier does not lead to who was erased")
			}
			if p.erased {
				marks = append(marks, after.marks(id)...)
			}
		}
		for _, id := range p.goneIDs {
			if is := after.follow(id); is.known {
				t.Fatal("after the re-key, an identifier leads to somebody who has it no more")
			}
			if was := then.follow(id); !was.slots[p.slot] {
				t.Fatal("control: before the re-key, an identifier does not lead to who had it")
			}
			marks = append(marks, after.marks(id)...)
		}
	}
	for i := 0; i < len(w.people); i += 40 {
		if known, told := after.suppressed(Identifier{"email", w.people[i].email}, "all-marketing"); !known || told {
			t.Fatalf("by the suppression list: known %v, led on %v", known, told)
		}
	}
	for i, m := range marks {
		marks[i] = m[1+4:] // without type and epoch
	}
	if found := w.raws.contains(marks); len(found) > 0 {
		t.Errorf("%d times what is made of an identifier that went stands somewhere in a file", len(found))
	}
	stay := after.marks(w.people[1].ids[0])[0][1+4:]
	if len(w.raws.contains([][]byte{stay})) == 0 {
		t.Error("control: what is made of an identifier that stays stands in no file")
	}
}

// testPlain scans all files of the database for personal data in clear, and for
// keys.
func (w *town) testPlain(t *testing.T) {
	texts := []string{"@mail.example", " of person-", "PICTURE OF PERSON", "request-", "customer-", "+49170"}
	for _, text := range texts[:6] {
		for skip := range 3 { // wherever it begins within three bytes
			coded := base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("x", skip) + text))
			texts = append(texts, coded[(skip*8+5)/6:len(coded)-1])
		}
	}
	in := func(text string) (files int) {
		for _, c := range w.raws.contents {
			if !strings.HasPrefix(c.name, "root.key") && bytes.Contains(c.bytes, []byte(text)) {
				files++
			}
		}
		return files
	}
	for _, text := range texts {
		if n := in(text); n > 0 {
			t.Errorf("%q stands in %d files", text, n)
		}
	}
	if in(testOrigin) == 0 {
		t.Error("control: the origin stands in no file")
	}
	keys := [][]byte{w.v.root.key[:]}
	for _, k := range w.gone.keys {
		keys = append(keys, k[:])
	}
	for _, p := range w.people {
		for _, k := range p.keys {
			keys = append(keys, k[:])
		}
		for _, token := range append(slices.Clone(p.goneTokens), p.token) {
			if token != "" {
				keys = append(keys, []byte(token))
			}
		}
	}
	if n := len(w.raws.contains(keys)); n > 0 {
		t.Errorf("%d times a key or a token stands in a file in clear", n)
	}
}

// TestRaid20k copies all files of a vault with 20,000 people after every step of
// a pass that erases 1,000 and takes a part from some others, and shows that
// with all keys that exist afterwards a raider opens nothing of what went in any
// of the copies and everything of those who stay; and that the same raider opens
// all of it with the old root key, in the copy before that was destroyed, and if
// the shards had kept their keys. VAULT_RAID_PEOPLE sets another number of
// people, up to some 25,000: beyond, Badger would compact its tables.
func TestRaid20k(t *testing.T) {
	n := 20_000
	if testing.Short() {
		n = 2_000
	}
	if s := os.Getenv("VAULT_RAID_PEOPLE"); s != "" {
		n = must[int](t)(strconv.Atoi(s))
	}
	start := time.Now()
	lap := func(what string) { t.Logf("%5.1f s: %s", time.Since(start).Seconds(), what) }
	w := newTown(t, n, n/20)
	lap("planned")
	before := w.now()
	w.copying(t, func() { carryOut(t, w.v) })
	w.changed()
	lap("erased")
	after := w.now()
	w.copying(t, func() { reindex(t, w.v) })
	lap("re-keyed")
	h := w.close(t)
	t.Logf("%d copies, %d MB, %d versions of rows", len(w.raws.copies), w.raws.size()>>20, len(h.rows))
	lap("parsed")
	raider := w.testErased(t, h, before, after)
	lap("raided")
	w.testForgotten(t, h, raider)
	lap("tracked")
	w.testPlain(t)
	lap("scanned")
}

// keepingKeys is what the tree would be if the touched shards had kept their
// keys.
func keepingKeys(after, before *tree) *tree {
	t := *after
	for s := range t.shards {
		t.shards[s].key = before.shards[s].key
	}
	return &t
}

// TestRaidIsExhaustive shows that a raider finds in a small vault exactly what
// trying every key against every row does, with and without the old root key.
func TestRaidIsExhaustive(t *testing.T) {
	w := newTown(t, 40, 30)
	before := w.v.root
	dirs := []string{copyOf(t, w.opt)}
	w.copying(t, func() { carryOut(t, w.v) })
	w.changed()
	h := w.close(t)
	dirs = append(dirs, copyOf(t, w.opt))
	parsed := make(map[stale]bool)
	for _, r := range h.rows {
		if len(r.value) > 0 {
			parsed[stale{string(r.key), string(r.value)}] = true
		}
	}
	for r := range rawRows(t, dirs...) {
		if !parsed[r] {
			t.Fatalf("a row of kind %q that Badger finds is not parsed", r.key[0])
		}
	}
	for _, roots := range [][]rootKey{{w.v.root}, {w.v.root, before}} {
		r := newRaider(h)
		r.learn(roots...)
		opened := make(map[stale][][]byte)
		for n, plains := range r.opened {
			if row := h.rows[n]; len(plains) > 0 {
				opened[stale{string(row.key), string(row.value)}] = plains
			}
		}
		all := attack(parsed, roots...)
		if len(all.opened) < 250 {
			t.Fatalf("only %d rows open", len(all.opened))
		}
		for row, plains := range all.opened {
			if len(opened[row]) != len(plains) {
				t.Errorf("a row of kind %q gives %d times something to a raider, want %d", row.key[0], len(opened[row]), len(plains))
			}
		}
		if len(opened) != len(all.opened) {
			t.Errorf("a raider opens %d rows, want %d", len(opened), len(all.opened))
		}
		for k := range r.keys {
			if !all.keys[k] {
				t.Error("a raider has a key that opens nothing")
			}
		}
		t.Logf("%d root keys: %d of %d versions of rows open", len(roots), len(opened), len(parsed))
	}
}

// TestRaidFindsKeptKeys carries out a pass that leaves the touched shards their
// keys: the raider finds what should be gone.
func TestRaidFindsKeptKeys(t *testing.T) {
	w := newTown(t, 40, 30)
	v := w.v
	v.opt.testOnlyStep = func(name string) error {
		if name == "erase begun" {
			for s, m := range v.copying.shards {
				m.fresh = shard{m.fresh.generation, v.tree.shards[s].key, v.tree.shards[s].aead}
			}
		}
		return nil
	}
	carryOut(t, v)
	r := newRaider(w.close(t))
	r.learn(v.root)
	w.gone.everything(t, r, "control: a pass that keeps the keys of shards")
}
