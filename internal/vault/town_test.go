package vault

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/ledger"
)

// town is a vault with many people of every kind.
type town struct {
	opt    Options
	v      *Vault
	people []*person
	next   ledger.ConsentID
	raws   archive
	// plans says what is planned of whom, in the order of people.
	planned []*person
	plans   map[*person]Change
	// earlier are those who were erased long ago.
	earlier []*person
	// gone is what is to go in the pass.
	gone gone
}

// gone is what a pass must put beyond reach.
type gone struct {
	rows map[string]bool // the keys of rows as they are before the pass
	keys []secret
}

// newTown makes a vault with n people, some of the first early of whom were
// erased, locked, or got another address long ago, and plans the changes of one
// pass: every 20th person is to go, and something happens to some others.
func newTown(t *testing.T, n, early int) *town {
	w := &town{opt: testOptions(t), next: 1, plans: make(map[*person]Change)}
	w.opt.MemTableBytes = 0 // as large as it gets: Badger never compacts
	w.v = newVault(t, w.opt)
	w.settle(t, early)
	w.before(t, early)
	w.settle(t, n-early)
	w.suppress(t)
	w.planAll(t)
	return w
}

// settle inserts n people.
func (w *town) settle(t *testing.T, n int) {
	b := w.v.Begin()
	defer func() { b.Discard() }()
	commit := func() {
		must[GroupRecord](t)(b.Commit(ledger.Size(w.next), 1, ledger.Hash{1}))
		b = w.v.Begin()
	}
	for range n {
		i := len(w.people)
		p := newPerson(i)
		if i%3 == 0 {
			p.ids = append(p.ids, Identifier{"phone", fmt.Sprintf("+49170%07d", i)})
		}
		if i%5 == 0 {
			p.ids = append(p.ids, Identifier{"external_id", fmt.Sprintf("customer-%07d", i)})
		}
		if i%50 == 0 {
			p.bytes = fmt.Appendf(nil, "PICTURE OF PERSON %d", i)
			p.blob = new(must[BlobRef](t)(w.v.PutBlob(p.bytes)))
		}
		d := b.Draft()
		p.insert(t, w.v, d, w.next)
		w.next++
		if i%4 == 0 {
			p.insert(t, w.v, d, w.next)
			w.next++
		}
		check(t, d.Keep())
		w.people = append(w.people, p)
		if b.Full() {
			commit()
		}
	}
	commit()
}

// before is what happened long ago: a first pass over every 10th of the first n
// people, who are erased, locked, or got another address.
func (w *town) before(t *testing.T, n int) {
	for i := 0; i < n; i += 10 {
		p := w.people[i]
		switch i / 10 % 3 {
		case 0:
			w.plan(p, Change{Erase: true})
		case 1:
			w.plan(p, Change{Lock: true})
		case 2:
			inGroup(t, w.v, func(d *Draft) { p.rectify(t, d, "moved") })
			w.plan(p, Change{Identifiers: p.ids[:1]})
		}
	}
	w.commitPlans(t)
	carryOut(t, w.v)
	w.changed()
	for _, p := range w.people {
		if p.erased {
			w.earlier = append(w.earlier, p)
		}
	}
}

func (w *town) plan(p *person, c Change) {
	w.planned = append(w.planned, p)
	w.plans[p] = c
}

// commitPlans commits what is planned as a group.
func (w *town) commitPlans(t *testing.T) {
	inGroup(t, w.v, func(d *Draft) {
		for _, p := range w.planned {
			s, ok, err := d.SubjectOf(p.consents[0])
			if !ok || err != nil {
				t.Fatalf("SubjectOf: %v, %v", ok, err)
			}
			check(t, d.Plan(s, w.plans[p]))
		}
	})
}

// changed takes note that all plans were carried out.
func (w *town) changed() {
	for _, p := range w.planned {
		p.changed(w.plans[p])
	}
	w.planned = nil
	clear(w.plans)
}

// rectify gives a person one more address.
func (p *person) rectify(t tb, d *Draft, how string) {
	t.Helper()
	s, ok, err := d.SubjectOf(p.consents[0])
	if err != nil || !ok {
		t.Fatalf("SubjectOf: %v, %v", ok, err)
	}
	id := Identifier{"email", how + "." + p.email}
	check(t, d.AddIdentifier(s, id, ledger.Index(p.consents[0])))
	p.ids = append(slices.Clone(p.ids), id)
}

// isLater tells whether a person got the identifier by rectify: no row of that
// group names the person.
func isLater(id Identifier) bool { return strings.Contains(id.Value, ".person-") }

// suppress puts every 40th person on the suppression list, in a group of its
// own: rows of one group can be seen to belong together.
func (w *town) suppress(t *testing.T) {
	inGroup(t, w.v, func(d *Draft) {
		for i := 0; i < len(w.people); i += 40 {
			check(t, d.Suppress(Identifier{"email", w.people[i].email}, "all-marketing", "2026-11"))
		}
	})
}

// planAll plans what the pass is to do: of 400 people 20 are erased, one is
// locked, one gets another address and one loses one of two consents.
func (w *town) planAll(t *testing.T) {
	var moved []*person
	for i, p := range w.people {
		switch {
		case p.erased:
		case i%20 == 0:
			w.plan(p, Change{Erase: true})
		case i%400 == 21 && !p.locked:
			w.plan(p, Change{Lock: true})
		case i%400 == 23 && !p.locked:
			moved = append(moved, p)
		case i%400 == 24 && !p.locked:
			w.plan(p, Change{Consents: p.consents[1:]})
		}
	}
	inGroup(t, w.v, func(d *Draft) {
		for _, p := range moved {
			p.rectify(t, d, "new")
			w.plan(p, Change{Identifiers: p.ids[:1], Channels: []string{"email"}})
		}
	})
	w.commitPlans(t)
	w.gone = goneOf(t, w.v)
}

// goneOf reads what the next pass must put beyond reach: of every row that it
// deletes or replaces the present version, and every key that goes.
func goneOf(t tb, v *Vault) gone {
	t.Helper()
	p := planOf(t, v)
	g := gone{rows: make(map[string]bool)}
	check(t, v.View(func(w View) error {
		for _, m := range p.shards {
			for id := range m.rows {
				key := w.tree.shardRowKey(id[0], []byte(id[1:]))
				if must[bool](t)(w.has(key)) {
					g.rows[string(key)] = true
				}
			}
		}
		for _, m := range p.people {
			if m.Lock {
				continue // keeps all keys
			}
			g.keys = append(g.keys, m.subject.key)
			if m.Erase || m.reidentified() {
				g.keys = append(g.keys, m.subject.identity.key)
			}
			for _, id := range must[[]ledger.ConsentID](t)(w.Consents(m.subject)) {
				if m.drops(id) {
					g.keys = append(g.keys, secret(must[ConsentKey](t)(w.ConsentKey(m.subject, id))))
				}
			}
		}
		return nil
	}))
	for _, key := range deadOf(t, v, p) {
		g.rows[string(key)] = true
	}
	return g
}

// finds counts what a raider has of what must be gone: keys, rows.
func (g gone) finds(r *raider) (keys, rows int) {
	for _, k := range g.keys {
		if r.keys[k] {
			keys++
		}
	}
	seen := make(map[string]bool)
	for n, plains := range r.opened {
		if key := r.rows[n].key; len(plains) > 0 && g.rows[string(key)] {
			seen[string(key)] = true
		}
	}
	return keys, len(seen)
}

// nothing makes sure that a raider has nothing of what must be gone.
func (g gone) nothing(t *testing.T, r *raider, who string) {
	t.Helper()
	if keys, rows := g.finds(r); keys+rows > 0 {
		t.Errorf("%s: %d of %d keys and %d of %d rows that went are found", who, keys, len(g.keys), rows, len(g.rows))
	}
}

// everything makes sure that a raider has all of it.
func (g gone) everything(t *testing.T, r *raider, who string) {
	t.Helper()
	if keys, rows := g.finds(r); keys != len(g.keys) || rows != len(g.rows) {
		t.Errorf("%s: only %d of %d keys and %d of %d rows that went are found", who, keys, len(g.keys), rows, len(g.rows))
	}
}

// known counts identifiers, claims, keys and what names people and their consents:
// what went, what stayed, and how much of either a raider has.
type known struct{ went, wentOf, stayed, stayedOf int }

func (k *known) count(gone, found bool) {
	part, all := &k.stayed, &k.stayedOf
	if gone {
		part, all = &k.went, &k.wentOf
	}
	*all++
	if found {
		*part++
	}
}

func (w *town) knows(r *raider, people []*person) (k known) {
	for _, p := range people {
		for _, id := range p.ids {
			k.count(p.erased, r.said[id.Kind+"\x00"+id.Value])
		}
		for _, id := range p.goneIDs {
			k.count(true, r.said[id.Kind+"\x00"+id.Value])
		}
		for id, claims := range p.claims {
			gone := p.erased || slices.Contains(p.goneConsents, id)
			k.count(gone, r.keys[secret(p.keys[id])])
			k.count(gone, r.people[p.slot] != nil && r.people[p.slot].consents[id])
			for _, d := range claims {
				k.count(gone, r.said[d.Text()])
			}
		}
		if p.blob != nil {
			k.count(p.erased, r.keys[p.blob.Key])
		}
		slot := r.people[p.slot]
		k.count(p.erased, slot != nil && len(slot.keys) > 0)
		k.count(p.erased, slot != nil && slot.named > 0)
	}
	return k
}

// close closes the vault and parses all copies, the last of which is taken then.
func (w *town) close(t *testing.T) *hoard {
	t.Helper()
	check(t, w.v.Close())
	w.raws.take(t, w.opt, "closed")
	w.uncompacted(t)
	return newHoard(w.raws.rows(t))
}

// copying runs fn and copies the files before it and after every step, of those
// that add rows to the index some.
func (w *town) copying(t *testing.T, fn func()) {
	w.raws.take(t, w.opt, "before")
	times := make(map[string]int)
	step := func(name string) error {
		if times[name]++; name != "reindex rows added" || times[name]%20 == 1 {
			w.raws.take(t, w.opt, name)
		}
		return nil
	}
	w.v.opt.testOnlyStep, w.v.keeper.(*fileRoot).file.Step = step, step
	fn()
	w.v.opt.testOnlyStep, w.v.keeper.(*fileRoot).file.Step = nil, func(string) error { return nil }
}

// uncompacted makes sure that Badger has thrown nothing away: every table that
// ever lay there lies there still.
func (w *town) uncompacted(t *testing.T) {
	last := w.raws.copies[len(w.raws.copies)-1]
	for name, c := range w.raws.last {
		if _, ok := last.files[c]; !ok && strings.HasSuffix(name, ".sst") {
			t.Fatalf("Badger has compacted %s: too many people for this test", name)
		}
	}
}
