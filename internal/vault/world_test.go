package vault

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"pgregory.net/rapid"

	"github.com/consentledger/consentledger/ledger"
)

// world is a vault and what is known of it.
type world struct {
	r      *rapid.T
	opt    Options
	v      *Vault
	people []*person
	number int // of the next person
	next   ledger.ConsentID
	day    int
	plans  []planned
	// suppressed is the suppression list, by identifier and purpose.
	suppressed map[string]bool

	raws  archive
	roots []rootKey
	last  *census
	// wrapped says of every key that ever was which keys ever wrapped it.
	wrapped map[secret]map[secret]bool
	// destroyed are keys that nobody may ever have again: those of people that
	// went in a pass, each ROOT but the one in force, and whatever lay under it
	// and was replaced before it was.
	destroyed map[secret]bool
	retired   map[secret]bool // replaced since ROOT was
	dropping  bool            // a group is being taken back
}

// planned is a change that is planned, by the group of a number.
type planned struct {
	who int
	Change
	seq uint64
}

func newWorld(r *rapid.T, opt Options) *world {
	w := &world{
		r: r, opt: opt, next: 1, day: 1, suppressed: make(map[string]bool),
		wrapped: make(map[secret]map[secret]bool), destroyed: make(map[secret]bool), retired: make(map[secret]bool),
	}
	w.opt.testOnlyTxnRows = rapid.SampledFrom([]int64{0, 9}).Draw(r, "rows of a transaction")
	check(r, Create(w.opt, testOrigin))
	w.v = must[*Vault](r)(Open(w.opt))
	w.last = &census{}
	w.settle()
	w.observe()
	return w
}

func (w *world) step() {
	weighted := []string{"settle", "more", "link", "plan", "plan", "plan", "pass", "pass", "pass",
		"re-key", "suppress", "day", "drop", "reopen"}
	switch rapid.SampledFrom(weighted).Draw(w.r, "step") {
	case "settle":
		w.settle()
	case "more":
		w.more()
	case "link":
		w.link()
	case "plan":
		w.plan()
	case "pass":
		w.pass(w.v.Record().Seq)
	case "re-key":
		w.rekey(w.v.Record().Seq)
	case "suppress":
		w.suppress()
	case "day":
		w.rotate()
	case "drop":
		w.drop()
	case "reopen":
		w.reopen()
	}
}

// free gives the people for whom nothing is planned and who are not erased.
func (w *world) free() (people []*person) {
	for i, p := range w.people {
		if !p.erased && !slices.ContainsFunc(w.plans, func(c planned) bool { return c.who == i }) {
			people = append(people, p)
		}
	}
	return people
}

// some draws one of the people.
func (w *world) some(people []*person) *person {
	return people[rapid.IntRange(0, len(people)-1).Draw(w.r, "person")]
}

func (w *world) settle() {
	for range rapid.IntRange(1, 4).Draw(w.r, "people") {
		p := newPerson(w.number)
		w.number++
		if rapid.Bool().Draw(w.r, "phone") {
			p.ids = append(p.ids, Identifier{"phone", fmt.Sprint("+49", w.number)})
		}
		blob := rapid.IntRange(0, 3).Draw(w.r, "blob") == 0
		if blob {
			p.bytes = fmt.Append(nil, "the picture of ", w.number)
			p.blob = new(must[BlobRef](w.r)(w.v.PutBlob(p.bytes)))
		}
		inGroup(w.r, w.v, func(d *Draft) { w.insert(d, p) })
		p.blob = nil // it belongs to the first consent only
		w.people = append(w.people, p)
	}
}

func (w *world) insert(d *Draft, p *person) {
	p.insert(w.r, w.v, d, w.next)
	w.next++
}

// more gives somebody more consents.
func (w *world) more() {
	free := slices.DeleteFunc(w.free(), func(p *person) bool { return p.locked })
	if len(free) == 0 {
		return
	}
	p := w.some(free)
	inGroup(w.r, w.v, func(d *Draft) {
		for range rapid.IntRange(1, 3).Draw(w.r, "consents") {
			w.insert(d, p)
		}
	})
}

// link gives somebody one more identifier, one that somebody had before, if it
// is free.
func (w *world) link() {
	free := slices.DeleteFunc(w.free(), func(p *person) bool { return p.locked })
	if len(free) == 0 {
		return
	}
	p := w.some(free)
	id := Identifier{"external_id", fmt.Sprint("customer-", w.number)}
	w.number++
	for _, other := range w.people {
		if (other.erased || other.locked) && !slices.Contains(p.goneIDs, other.ids[0]) {
			id = other.ids[0]
		}
	}
	inGroup(w.r, w.v, func(d *Draft) {
		if _, taken, err := d.FindSubject(id); taken || err != nil {
			return
		}
		s, _, err := d.SubjectOf(p.consents[0])
		check(w.r, err)
		check(w.r, d.AddIdentifier(s, id, ledger.Index(w.next)))
		p.ids = append(slices.Clone(p.ids), id)
	})
}

// plan plans some change of somebody.
func (w *world) plan() {
	free := w.free()
	if len(free) == 0 {
		return
	}
	p := w.some(free)
	c := p.draw(w.r)
	plan(w.r, w.v, c, p)
	w.plans = append(w.plans, planned{slices.Index(w.people, p), c, w.v.Record().Seq})
}

// suppress puts somebody on the suppression list, or takes them off it.
func (w *world) suppress() {
	id := w.some(w.people).ids[0]
	on := w.suppressed[id.Value]
	inGroup(w.r, w.v, func(d *Draft) {
		if on {
			check(w.r, d.Unsuppress(id, "newsletter"))
		} else {
			check(w.r, d.Suppress(id, "newsletter", "2026-11"))
		}
	})
	w.suppressed[id.Value] = !on
}

// rotate changes the keys of the day, so that all requests are forgotten.
func (w *world) rotate() {
	w.day += 2
	w.crashing(func() error { return w.v.RotateDayKeys(day(w.day)) })
	check(w.r, w.v.RotateDayKeys(day(w.day))) // if it crashed before
	for _, p := range w.people {
		clear(p.requests)
	}
}

// pass carries out what groups up to a number have planned, and perhaps somebody
// gets more consents while it runs, in shards that it copies.
func (w *world) pass(published uint64) {
	var late *person
	free := slices.DeleteFunc(w.free(), func(p *person) bool { return p.locked })
	if newest := published == w.v.Record().Seq; newest && len(free) > 0 && rapid.Bool().Draw(w.r, "insert meanwhile") {
		late = w.some(free)
	}
	w.crashing(func() error {
		after := w.v.opt.testOnlyStep
		w.v.opt.testOnlyStep = func(name string) error {
			if name == "erase begun" && late != nil {
				w.crowd(late)
			}
			if after == nil {
				return nil
			}
			return after(name)
		}
		_, err := w.v.CarryOut(published)
		w.v.opt.testOnlyStep = nil
		return err
	})
	later := slices.DeleteFunc(slices.Clone(w.plans), func(c planned) bool { return c.seq <= published })
	switch w.v.Planned() {
	case len(later):
		for _, c := range w.plans {
			if c.seq <= published {
				w.people[c.who].changed(c.Change)
			}
		}
		w.plans = later
	case len(w.plans):
	default:
		w.r.Fatalf("%d plans of %d are left", w.v.Planned(), len(w.plans))
	}
}

// crowd gives somebody a consent in each of a few shards that a pass touches.
func (w *world) crowd(p *person) {
	after := w.v.opt.testOnlyStep
	w.v.opt.testOnlyStep = nil
	defer func() { w.v.opt.testOnlyStep = after }()
	for _, s := range w.v.copying.touched()[:3] {
		for shardOf(rowConsent, idConsent(w.next)) != s {
			w.next++
		}
		inGroup(w.r, w.v, func(d *Draft) { w.insert(d, p) })
	}
}

// rekey re-keys the blind index when everything that groups up to a number have
// planned is carried out.
func (w *world) rekey(published uint64) {
	for slices.ContainsFunc(w.plans, func(c planned) bool { return c.seq <= published }) {
		w.pass(published)
	}
	w.observe()
	w.crashing(func() error { _, err := w.v.Reindex(context.Background(), nil); return err })
}

// crashing runs something that may crash at any step, and the recovery from
// that, too. The vault is open afterwards.
func (w *world) crashing(fn func() error) {
	if rapid.IntRange(0, 2).Draw(w.r, "crash") > 0 {
		check(w.r, fn())
		return
	}
	step, _ := crashAt(rapid.IntRange(0, 40).Draw(w.r, "at step"))
	w.v.opt.testOnlyStep, w.v.keeper.(*fileRoot).file.Step = step, step
	if err := fn(); err == nil {
		w.v.opt.testOnlyStep, w.v.keeper.(*fileRoot).file.Step = nil, func(string) error { return nil }
		return
	} else if !errors.Is(err, errCrash) {
		w.r.Fatal(err)
	}
	w.raws.take(w.r, w.opt, "crashed")
	check(w.r, w.v.Close())
	if rapid.Bool().Draw(w.r, "crash again") {
		again := w.opt
		again.testOnlyStep, _ = crashAt(rapid.IntRange(0, 20).Draw(w.r, "at step"))
		if v, err := Open(again); err == nil {
			check(w.r, v.Close())
		} else if !errors.Is(err, errCrash) {
			w.r.Fatal(err)
		}
		w.raws.take(w.r, w.opt, "crashed again")
	}
	w.v = must[*Vault](w.r)(Open(w.opt))
}

func (w *world) reopen() {
	check(w.r, w.v.Close())
	w.v = must[*Vault](w.r)(Open(w.opt))
}

// drop commits a group, lets something happen, and takes the group back.
func (w *world) drop() {
	before := w.snapshot()
	published := w.v.Record().Seq
	stranger := newPerson(w.number)
	w.number++
	inGroup(w.r, w.v, func(d *Draft) {
		w.insert(d, stranger)
		for _, p := range w.free() {
			if p.locked || rapid.Bool().Draw(w.r, "skip") {
				continue
			}
			w.insert(d, p)
			if rapid.Bool().Draw(w.r, "plan") {
				s, _, err := d.SubjectOf(p.consents[0])
				check(w.r, err)
				check(w.r, d.Plan(s, Change{Erase: true}))
				w.plans = append(w.plans, planned{slices.Index(w.people, p), Change{Erase: true}, published + 1})
			}
		}
		check(w.r, d.Suppress(stranger.ids[0], "newsletter", "2026-11"))
	})
	w.people = append(w.people, stranger)
	w.observe()
	switch rapid.SampledFrom([]string{"nothing", "pass", "re-key", "reopen"}).Draw(w.r, "meanwhile") {
	case "pass":
		w.pass(published)
	case "re-key":
		w.rekey(published)
	case "reopen":
		w.reopen()
	}
	before.plans = slices.DeleteFunc(before.plans, func(c planned) bool {
		done := !slices.ContainsFunc(w.plans, func(left planned) bool { return left.who == c.who && left.seq == c.seq })
		if done {
			before.people[c.who].changed(c.Change)
		}
		return done
	})
	w.observe()
	check(w.r, w.v.DropNewestGroup())
	w.people, w.plans = before.people, before.plans
	w.dropping = true
	if _, ok, err := findSubject(w.v, stranger.ids[0]); ok || err != nil {
		w.r.Fatalf("somebody of a dropped group is found: %v, %v", ok, err)
	}
}

// snapshot is what a dropped group must leave as it was.
type snapshot struct {
	people []*person
	plans  []planned
}

func (w *world) snapshot() (s snapshot) {
	for _, p := range w.people {
		q := *p
		q.keys, q.claims, q.requests = maps.Clone(p.keys), maps.Clone(p.claims), maps.Clone(p.requests)
		q.consents, q.ids = slices.Clone(p.consents), slices.Clone(p.ids)
		s.people = append(s.people, &q)
	}
	s.plans = slices.Clone(w.plans)
	return s
}
