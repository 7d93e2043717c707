package vault

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestInvariant runs whatever can happen to a vault, crashes too, against a
// naive model, and takes a census after every step, by which it knows each key
// that ever was and what ever wrapped it. In the end, with all copies of the
// files and the root key in force: whatever wrapped a key that went is beyond
// reach, everybody who stays opens, and no key stands anywhere in clear.
// Longer runs: -rapid.checks=1000.
func TestInvariant(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		dir := must[string](r)(os.MkdirTemp("", "vault-*"))
		defer os.RemoveAll(dir)
		w := newWorld(r, optionsIn(dir))
		defer func() { w.v.Close() }()
		for range rapid.IntRange(5, 40).Draw(r, "steps") {
			w.step()
			w.observe()
		}
		w.end()
	})
}

// observe compares the vault with the model and notes all keys.
func (w *world) observe() {
	w.raws.take(w.r, w.opt, "step")
	now := takeCensus(w.r, w.v, 0)
	live := 0
	for _, p := range w.people {
		p.verify(w.r, w.v)
		if !p.erased {
			live++
		}
	}
	if len(now.people)-1 != live { // the ledger's own slot is nobody
		w.r.Fatalf("%d people are there, want %d", len(now.people)-1, live)
	}
	for value, on := range w.suppressed {
		kind := "email"
		for _, p := range w.people {
			for _, id := range slices.Concat(p.ids, p.goneIDs) {
				if id.Value == value {
					kind = id.Kind
				}
			}
		}
		if got := suppressed(w.r, w.v, Identifier{kind, value}, "newsletter"); got != on {
			w.r.Fatalf("on the suppression list: %v, want %v", got, on)
		}
	}
	state := w.v.keeper.Read()
	if state.currentErr != nil || state.current != w.v.root || !errors.Is(state.stagedErr, fs.ErrNotExist) {
		w.r.Fatalf("root key file: %v, staged: %v", state.currentErr, state.stagedErr)
	}
	w.note(now)
}

// note takes down which keys there are and which went.
func (w *world) note(now *census) {
	replaced := len(w.roots) > 0 && w.roots[len(w.roots)-1] != w.v.root
	for k := range w.last.wrapped {
		if _, ok := now.wrapped[k]; ok {
			continue
		}
		switch {
		case !w.last.ofPeople[k]:
			w.retired[k] = true
		case replaced:
			w.destroyed[k] = true
		case !w.dropping:
			w.r.Fatal("a key of somebody has vanished without a pass")
		}
	}
	if replaced {
		w.destroyed[w.roots[len(w.roots)-1].key] = true
		for k := range w.retired {
			w.destroyed[k] = true
		}
		clear(w.retired)
	}
	if len(w.roots) == 0 || replaced {
		w.roots = append(w.roots, w.v.root)
	}
	for k, by := range now.wrapped {
		if w.wrapped[k] == nil {
			w.wrapped[k] = make(map[secret]bool)
		}
		w.wrapped[k][by] = true
	}
	w.last, w.dropping = now, false
}

// end closes the vault and lets a raider try all copies.
func (w *world) end() {
	check(w.r, w.v.Close())
	w.raws.take(w.r, w.opt, "closed")
	for _, p := range w.people {
		for id, k := range p.keys {
			if gone := p.erased || slices.Contains(p.goneConsents, id); gone != w.destroyed[secret(k)] {
				w.r.Fatalf("the key of a consent was to go: %v, went in a pass: %v", gone, !gone)
			}
		}
	}
	h := newHoard(w.raws.rows(w.r))
	now := newRaider(h)
	now.learn(w.v.root)
	for k := range w.destroyed {
		w.beyondReach(now, k)
	}
	for k := range w.last.wrapped {
		if !now.keys[k] {
			w.r.Fatal("a key in force is not found: the raid shows nothing")
		}
	}
	old := newRaider(h)
	old.learn(w.roots...)
	var keys [][]byte
	for k := range w.wrapped {
		if !old.keys[k] {
			w.r.Fatal("control: with all root keys that ever were, a key is not found")
		}
		keys = append(keys, k[:])
	}
	for _, root := range w.roots {
		keys = append(keys, root.key[:])
	}
	if n := len(w.raws.contains(keys)); n > 0 {
		w.r.Fatalf("%d times a key stands in clear in a file of the database", n)
	}
}

// beyondReach makes sure that a raider has neither a key nor anything that ever
// wrapped it.
func (w *world) beyondReach(r *raider, k secret) {
	if r.keys[k] {
		w.r.Fatal("a key that went is found")
	}
	for by := range w.wrapped[k] {
		w.beyondReach(r, by)
	}
}
