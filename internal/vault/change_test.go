package vault

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/ledger"
)

var phone = Identifier{"phone", "+4930123456"}

// twoSided makes a person with two identifiers, two consents and manage tokens
// for two channels; it gives the token of the second.
func twoSided(t tb, v *Vault, n int) (p *person, sms string) {
	t.Helper()
	p = newPerson(n)
	p.ids = append(p.ids, Identifier{"phone", fmt.Sprint("+49", n)})
	inGroup(t, v, func(d *Draft) {
		p.insert(t, v, d, ledger.ConsentID(n))
		p.insert(t, v, d, ledger.ConsentID(n+1))
		s, _, err := d.SubjectOf(ledger.ConsentID(n))
		check(t, err)
		sms = must[string](t)(d.ManageTokenFor(s, "sms"))
	})
	return p, sms
}

// dropped makes sure that of all rows of before, which were p's and are to go
// in the change that is planned, none is there any more.
func dropped(t tb, v *Vault, c Change, p *person) {
	t.Helper()
	plan(t, v, c, p)
	pass := planOf(t, v)
	before, root := v.tree, v.root
	dead := deadOf(t, v, pass)
	carryOut(t, v)
	p.changed(c)
	checkOldKeys(t, v, pass, before, root)
	rows := dump(t, v)
	for _, key := range dead {
		if _, ok := rows[string(key)]; ok {
			t.Fatalf("a dead row of kind %q is still there", key[0])
		}
	}
	p.verify(t, v)
}

// Part of a person goes under a new subject key; the rest stays readable, and
// takes more.
func TestPartOfAPerson(t *testing.T) {
	opt := testOptions(t)
	v := newVault(t, opt)
	bystander := addPeople(t, v, 1, 9000)[0]
	p, sms := twoSided(t, v, 5)
	rest := len(dump(t, v))

	old, _, err := subjectOf(v, 6)
	check(t, err)
	dropped(t, v, Change{Consents: []ledger.ConsentID{5}}, p)
	now, _, err := subjectOf(v, 6)
	check(t, err)
	if now.key == old.key || now.Slot != old.Slot {
		t.Error("the subject key was not replaced, or the slot was")
	}
	// The row that names the person and that of the claims went; the key stood in the
	// person's own.
	if n := len(dump(t, v)); n != rest-2 {
		t.Errorf("%d rows, want %d", n, rest-2)
	}
	inVain(v, func(d *Draft) {
		if err := d.AddConsent(old, 77, NewConsentKey()); !errors.Is(err, ErrGone) {
			t.Errorf("AddConsent under the old key: %v", err)
		}
	})
	inGroup(t, v, func(d *Draft) { p.insert(t, v, d, 7) })
	p.verify(t, v)

	dropped(t, v, Change{Identifiers: p.ids[:1], Channels: []string{"email"}}, p)
	check(t, v.View(func(w View) error {
		s, channel, ok, err := w.ManageToken(sms)
		if err != nil || !ok || s.Slot != p.slot || channel != "sms" {
			t.Errorf("the link of another channel: %q, %v, %v", channel, ok, err)
		}
		return nil
	}))
	inGroup(t, v, func(d *Draft) { p.insert(t, v, d, 8) })
	if slices.Contains(p.goneTokens, p.token) {
		t.Error("the token of a dropped channel is back")
	}
	check(t, v.Close())
	v = openVault(t, opt)
	p.verify(t, v)
	bystander.verify(t, v)
	erase(t, v, p)
	p.verify(t, v)
}

// A dropped channel's token does not come back, though no identifier went.
func TestDropChannel(t *testing.T) {
	v := newVault(t, testOptions(t))
	p, sms := twoSided(t, v, 5)
	dropped(t, v, Change{Channels: []string{"sms"}}, p)
	inGroup(t, v, func(d *Draft) {
		s, _, err := d.SubjectOf(5)
		check(t, err)
		if token := must[string](t)(d.ManageTokenFor(s, "sms")); token == sms {
			t.Error("the token of a dropped channel is back")
		}
	})
	check(t, v.View(func(w View) error {
		if _, _, ok, err := w.ManageToken(sms); ok || err != nil {
			t.Errorf("the link of a dropped channel: %v, %v", ok, err)
		}
		return nil
	}))
	p.verify(t, v) // with the token for "email" that was given out before
}

// Whoever is locked is a stranger to all but FindLocked, and to somebody new
// under the same address.
func TestLock(t *testing.T) {
	v := newVault(t, testOptions(t))
	first, _ := twoSided(t, v, 5)
	change(t, v, Change{Lock: true}, first)
	first.verify(t, v)
	if _, ok, err := findSubject(v, first.ids[0]); ok || err != nil {
		t.Fatalf("FindSubject of a locked person: %v, %v", ok, err)
	}
	second := newPerson(5)
	inVain(v, func(d *Draft) {
		s, _, err := d.SubjectOf(5)
		check(t, err)
		if err := d.AddIdentifier(s, phone, 100); err == nil {
			t.Error("a locked person takes an identifier")
		}
	})
	inGroup(t, v, func(d *Draft) { second.insert(t, v, d, 100) })
	if second.slot == first.slot {
		t.Fatal("somebody new has the slot of who is locked")
	}
	first.verify(t, v)
	second.verify(t, v)
	third, _ := twoSided(t, v, 200)
	change(t, v, Change{Lock: true}, third)
	back := newPerson(200)
	inGroup(t, v, func(d *Draft) { back.insert(t, v, d, 300) })
	everybody := func() {
		t.Helper()
		for _, p := range []*person{first, second, third, back} {
			p.verify(t, v)
		}
	}
	everybody()
	// Locked under the same address, too: both are found, each by their own.
	change(t, v, Change{Lock: true}, second)
	everybody()
	// A part of who is locked goes; the rest stays locked, and whoever else has
	// the address stays as they are.
	dropped(t, v, Change{Consents: first.consents[:1]}, first)
	everybody()
	dropped(t, v, Change{Identifiers: first.ids[:1]}, first)
	dropped(t, v, Change{Identifiers: third.ids[:1], Consents: third.consents[:1]}, third)
	everybody()
	erase(t, v, third)
	everybody()
	erase(t, v, first)
	everybody()
	erase(t, v, second, back)
	everybody()
	for key := range dump(t, v) {
		if key[0] == rowShard && (key[shardKeySize] == rowIndex || key[shardKeySize] == rowLegal) {
			t.Errorf("a row of type %q is left", key[shardKeySize])
		}
	}
}

// From the decision on drafts put off whoever changes; readers see them as they
// are.
func TestChangingIsFenced(t *testing.T) {
	opt := testOptions(t)
	v := newVault(t, opt)
	p, other := addPeople(t, v, 1, 5)[0], addPeople(t, v, 1, 6)[0]
	refused := func(d *Draft, where string) {
		t.Helper()
		for name, find := range map[string]func() error{
			"FindSubject": func() error { _, _, err := d.FindSubject(p.ids[0]); return err },
			"SubjectOf":   func() error { _, _, err := d.SubjectOf(5); return err },
			"KeyOf":       func() error { _, _, err := d.KeyOf(5); return err },
			"ManageToken": func() error { _, _, _, err := d.ManageToken(p.token); return err },
			"Recall":      func() error { _, _, err := d.Recall("shop", "request-5"); return err },
		} {
			if err := find(); !errors.Is(err, ErrChanging) {
				t.Errorf("%s %s: %v", name, where, err)
			}
		}
		if _, ok, err := d.FindSubject(other.ids[0]); !ok || err != nil {
			t.Errorf("FindSubject of another %s: %v, %v", where, ok, err)
		}
	}
	b := v.Begin()
	d := b.Draft()
	s, _, err := d.FindSubject(p.ids[0])
	check(t, err)
	check(t, d.Plan(s, Change{Erase: true}))
	if _, ok, err := d.FindSubject(p.ids[0]); !ok || err != nil {
		t.Errorf("FindSubject in the draft that planned: %v, %v", ok, err)
	}
	check(t, d.Remember(s, "shop", "erasure", [32]byte{}, nil, nil))
	if _, ok, err := b.Draft().FindSubject(p.ids[0]); !ok || err != nil {
		t.Errorf("FindSubject before the plan is kept: %v, %v", ok, err)
	}
	check(t, d.Keep())
	refused(b.Draft(), "in the batch")
	for name, do := range map[string]func(d *Draft) error{
		"AddConsent":     func(d *Draft) error { return d.AddConsent(s, 50, NewConsentKey()) },
		"AddIdentifier":  func(d *Draft) error { return d.AddIdentifier(s, phone, 50) },
		"ManageTokenFor": func(d *Draft) error { _, err := d.ManageTokenFor(s, "sms"); return err },
		"Plan":           func(d *Draft) error { return d.Plan(s, Change{Lock: true}) },
	} {
		if err := do(b.Draft()); !errors.Is(err, ErrChanging) {
			t.Errorf("%s: %v", name, err)
		}
	}
	must[GroupRecord](t)(b.Commit(7, 1, ledger.Hash{}))
	p.verify(t, v)
	b = v.Begin()
	refused(b.Draft(), "after the commit")
	b.Discard()
	check(t, v.Close())
	v = openVault(t, opt)
	b = v.Begin()
	refused(b.Draft(), "after opening anew")
	b.Discard()
	p.verify(t, v)
	carryOut(t, v)
	p.erased = true
	p.verify(t, v)
	b = v.Begin()
	defer b.Discard()
	if _, ok, err := b.Draft().FindSubject(p.ids[0]); ok || err != nil {
		t.Errorf("FindSubject when carried out: %v, %v", ok, err)
	}
	if _, state, err := b.Draft().Recall("shop", "erasure"); state != PersonErased || err != nil {
		t.Errorf("Recall of the erasure: %v, %v", state, err)
	}
}

// A plan that is dropped with its draft fences nobody.
func TestDroppedPlan(t *testing.T) {
	v := newVault(t, testOptions(t))
	p := addPeople(t, v, 1, 5)[0]
	b := v.Begin()
	d := b.Draft()
	s, _, err := d.SubjectOf(5)
	check(t, err)
	check(t, d.Plan(s, Change{Erase: true}))
	if _, ok, err := b.Draft().SubjectOf(5); !ok || err != nil {
		t.Errorf("SubjectOf: %v, %v", ok, err)
	}
	b.Discard()
	if v.Planned() != 0 {
		t.Error("planned by a batch that was discarded")
	}
	b = v.Begin()
	defer b.Discard()
	if _, ok, err := b.Draft().SubjectOf(5); !ok || err != nil {
		t.Errorf("SubjectOf: %v, %v", ok, err)
	}
	p.verify(t, v)
}

func TestPlanRefuses(t *testing.T) {
	v := newVault(t, testOptions(t))
	p, _ := twoSided(t, v, 5)
	other := addPeople(t, v, 1, 50)[0]
	locked := addPeople(t, v, 1, 60)[0]
	change(t, v, Change{Lock: true}, locked)
	for name, c := range map[string]struct {
		who  *person
		c    Change
		says string
	}{
		"nothing":             {p, Change{}, "one of"},
		"erase and lock":      {p, Change{Erase: true, Lock: true}, "one of"},
		"erase and a consent": {p, Change{Erase: true, Consents: []ledger.ConsentID{5}}, "one of"},
		"lock and a channel":  {p, Change{Lock: true, Channels: []string{"email"}}, "one of"},
		"all consents":        {p, Change{Consents: []ledger.ConsentID{5, 6}}, "erase the person"},
		"all identifiers":     {p, Change{Identifiers: p.ids}, "erase the person"},
		"another's consent":   {p, Change{Consents: []ledger.ConsentID{50}}, "not the person's"},
		"another's address":   {p, Change{Identifiers: other.ids}, "not the person's"},
		"a consent twice":     {&person{consents: []ledger.ConsentID{5}}, Change{Consents: []ledger.ConsentID{5, 5}}, "erase the person"},
		"locked already":      {locked, Change{Lock: true}, "locked already"},
	} {
		b := v.Begin()
		d := b.Draft()
		s, _, err := d.SubjectOf(c.who.consents[0])
		check(t, err)
		if err := d.Plan(s, c.c); err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "mail.example") {
			t.Errorf("%s: %v", name, err)
		}
		b.Discard()
	}
	inGroup(t, v, func(d *Draft) { p.insert(t, v, d, 7) })
	b := v.Begin()
	defer b.Discard()
	d := b.Draft()
	s, _, err := d.SubjectOf(5)
	check(t, err)
	if err := d.Plan(s, Change{Consents: []ledger.ConsentID{5, 5}}); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("a consent named twice: %v", err)
	}
	if err := b.Draft().Plan(v.LedgerSubject(), Change{Erase: true}); err == nil {
		t.Error("a change of the ledger's own slot")
	}
}

// A person with 600 consents loses 599 of them in one change, and then all.
func TestManyConsents(t *testing.T) {
	v := newVault(t, testOptions(t))
	p := newPerson(1)
	const count = 600
	for from := 1; from <= count; from += 100 {
		b := v.Begin()
		for id := from; id < from+100; id++ {
			d := b.Draft()
			p.insert(t, v, d, ledger.ConsentID(id))
			check(t, d.Keep())
		}
		must[GroupRecord](t)(b.Commit(ledger.Size(from), 100, ledger.Hash{}))
	}
	p.verify(t, v)
	dropped(t, v, Change{Consents: slices.Clone(p.consents[:3])}, p)
	dropped(t, v, Change{Consents: slices.Clone(p.consents[1:])}, p)
	inGroup(t, v, func(d *Draft) { p.insert(t, v, d, count+1) })
	p.verify(t, v)

	q := newPerson(2)
	b := v.Begin()
	for id := 1001; id <= 1000+count; id++ {
		d := b.Draft()
		q.insert(t, v, d, ledger.ConsentID(id))
		check(t, d.Keep())
		if b.Full() {
			must[GroupRecord](t)(b.Commit(ledger.Size(id), 100, ledger.Hash{}))
			b = v.Begin()
		}
	}
	must[GroupRecord](t)(b.Commit(5000, 100, ledger.Hash{}))
	erase(t, v, p, q)
	p.verify(t, v)
	q.verify(t, v)
	if n := len(dump(t, v)); n != 4+2*count+1 { // the outer rows of requests stay
		t.Errorf("%d rows are left", n)
	}
}

func FuzzParseChange(f *testing.F) {
	f.Add(Change{Erase: true}.encode())
	f.Add(append([]byte{4}, make([]byte, 12)...)) // a flag that there is not
	f.Add(Change{Consents: []ledger.ConsentID{1, math.MaxInt64}, Identifiers: []Identifier{phone}, Channels: []string{"", "sms"}}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parseChange(b)
		if err == nil && !bytes.Equal(c.encode(), b) {
			t.Errorf("%x parses and encodes to %x", b, c.encode())
		}
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Error(err)
		}
	})
}
