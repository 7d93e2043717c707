package vault

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/ledger"
)

// dump gives all rows of the database.
func dump(t tb, v *Vault) map[string]string {
	t.Helper()
	rows := make(map[string]string)
	txn := v.db.NewTransaction(false)
	defer txn.Discard()
	check(t, eachRow(txn, nil, func(key, value []byte) error {
		rows[string(key)] = string(value)
		return nil
	}))
	return rows
}

func sameRows(a, b map[string]string) error {
	for key := range a {
		if _, ok := b[key]; !ok {
			return fmt.Errorf("a row of kind %q is missing", key[0])
		}
		if a[key] != b[key] {
			return fmt.Errorf("a row of kind %q has another value", key[0])
		}
	}
	for key := range b {
		if _, ok := a[key]; !ok {
			return fmt.Errorf("a row of kind %q is new", key[0])
		}
	}
	return nil
}

func TestDroppedDraftLeavesNothing(t *testing.T) {
	v := newVault(t, testOptions(t))
	kept := addPeople(t, v, 1, 5)[0]
	before := dump(t, v)
	b := v.Begin()
	defer b.Discard()
	d := b.Draft()
	p := newPerson(6)
	p.insert(t, v, d, 6)
	kept.insert(t, v, d, 7) // more about somebody who is there
	if !b.Empty() {
		t.Error("a draft that was not kept is in the batch")
	}
	// Within the draft it is all there.
	s, ok, err := d.FindSubject(p.ids[0])
	if !ok || err != nil {
		t.Fatalf("FindSubject in the draft: %v, %v", ok, err)
	}
	if ids := must[[]ledger.ConsentID](t)(d.Consents(s)); len(ids) != 1 || ids[0] != 6 {
		t.Errorf("Consents in the draft: %v", ids)
	}
	if k := must[ConsentKey](t)(d.ConsentKey(s, 6)); k != p.keys[6] {
		t.Error("ConsentKey in the draft is another")
	}
	if _, _, ok, err := d.ManageToken(p.token); !ok || err != nil {
		t.Errorf("ManageToken in the draft: %v, %v", ok, err)
	}
	if r, state, err := d.Recall("shop", "request-6"); state != Seen || err != nil || r.Indexes[0] != 6 {
		t.Errorf("Recall in the draft: %v, %v", state, err)
	}
	// Another draft and the readers see none of it.
	if _, ok, err := b.Draft().FindSubject(p.ids[0]); ok || err != nil {
		t.Errorf("FindSubject of another draft: %v, %v", ok, err)
	}
	if _, ok, err := findSubject(v, p.ids[0]); ok || err != nil {
		t.Errorf("FindSubject of a reader: %v, %v", ok, err)
	}
	record := must[GroupRecord](t)(b.Commit(6, 1, ledger.Hash{}))
	if record != v.Record() || record.Seq != 1 {
		t.Errorf("committing nothing gave record %v", record)
	}
	if err := sameRows(before, dump(t, v)); err != nil {
		t.Error(err)
	}
}

func TestDiscardedBatchLeavesNothing(t *testing.T) {
	v := newVault(t, testOptions(t))
	before := dump(t, v)
	b := v.Begin()
	d := b.Draft()
	newPerson(6).insert(t, v, d, 6)
	check(t, d.Keep())
	b.Discard()
	b.Discard()
	if err := sameRows(before, dump(t, v)); err != nil {
		t.Error(err)
	}
	if err := b.Draft().Keep(); err == nil {
		t.Error("kept a draft in a discarded batch")
	}
	if _, err := b.Commit(1, 1, ledger.Hash{}); err == nil {
		t.Error("committed a discarded batch")
	}
}

func TestDraftsOnlyInsert(t *testing.T) {
	v := newVault(t, testOptions(t))
	p := addPeople(t, v, 1, 5)[0]
	s, _, err := findSubject(v, p.ids[0])
	check(t, err)
	claim := Claim{Disclosure: p.claims[5][0]}
	for name, do := range map[string]func(d *Draft) error{
		"person twice": func(d *Draft) error {
			_, err := d.NewSubject(p.ids, 9)
			return err
		},
		"consent twice":              func(d *Draft) error { return d.AddConsent(s, 5, NewConsentKey()) },
		"ledger's claim twice":       func(d *Draft) error { return d.AddClaims(v.LedgerKey(), 9, claim, claim) },
		"claims of an earlier entry": func(d *Draft) error { return d.AddClaims(p.keys[5], 4, claim) },
		"claim too long": func(d *Draft) error {
			return d.AddClaims(p.keys[5], 9, Claim{Disclosure: ledger.NewDisclosure("name", strings.Repeat("x", ledger.MaxClaimValue+1))})
		},
		"consent of an earlier entry": func(d *Draft) error { return d.AddConsent(s, 4, NewConsentKey()) },
		"request twice":               func(d *Draft) error { return d.Remember(s, "shop", "request-5", [32]byte{}, nil, nil) },
		"consent 0":                   func(d *Draft) error { return d.AddConsent(s, 0, NewConsentKey()) },
		"ledger's consent":            func(d *Draft) error { return d.AddConsent(v.LedgerSubject(), 9, NewConsentKey()) },
		"nobody":                      func(d *Draft) error { _, err := d.NewSubject(nil, 9); return err },
		"identifier twice":            func(d *Draft) error { return d.AddIdentifier(s, p.ids[0], 9) },
		"somebody since replaced": func(d *Draft) error {
			return d.AddConsent(&Subject{Slot: s.Slot, key: newSecret()}, 9, NewConsentKey())
		},
		"somebody not there": func(d *Draft) error {
			return d.AddIdentifier(&Subject{Slot: s.Slot + 1, key: s.key}, Identifier{"phone", "+49"}, 9)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := v.Begin()
			defer b.Discard()
			d := b.Draft()
			err := do(d)
			if err == nil {
				t.Fatal("no error")
			}
			if strings.Contains(err.Error(), p.email) {
				t.Errorf("the error quotes an identifier: %v", err)
			}
			if err := d.Keep(); err == nil || !b.Empty() {
				t.Errorf("kept after a failed operation: %v", err)
			}
		})
	}
	b := v.Begin()
	defer b.Discard()
	d := b.Draft()
	newPerson(6).insert(t, v, d, 6)
	check(t, d.Keep())
	if err := d.Keep(); err == nil {
		t.Error("kept twice")
	}
	p.verify(t, v)
}

func TestFullBatchTakesNothingInPart(t *testing.T) {
	v := newVault(t, testOptions(t))
	b := v.Begin()
	var people []*person
	id := ledger.ConsentID(1)
	for ; !b.Full(); id++ {
		p := newPerson(int(id))
		d := b.Draft()
		p.insert(t, v, d, id)
		check(t, d.Keep())
		people = append(people, p)
	}
	d := b.Draft()
	newPerson(int(id)).insert(t, v, d, id)
	if err := d.Fits(); !errors.Is(err, ErrGroupFull) {
		t.Errorf("Fits in a full batch: %v", err)
	}
	if err := d.Keep(); !errors.Is(err, ErrGroupFull) {
		t.Errorf("Keep in a full batch: %v", err)
	}
	must[GroupRecord](t)(b.Commit(1, int(id), ledger.Hash{}))
	for _, p := range people[len(people)-100:] {
		p.verify(t, v)
	}
	if _, ok, err := subjectOf(v, id); ok || err != nil {
		t.Errorf("SubjectOf the refused draft's consent: %v, %v", ok, err)
	}
	t.Logf("%d people in a group", len(people))
	before := len(dump(t, v))
	check(t, v.DropNewestGroup())
	if after := len(dump(t, v)); before-after < 6*len(people) {
		t.Errorf("dropping the group deleted %d rows", before-after)
	}
}

// The largest decision fits on top of the fullest batch that is not full, and
// one that is larger is refused even by an empty batch.
func TestLargestDecision(t *testing.T) {
	v := newVault(t, testOptions(t))
	large := func(d *Draft, valueBytes int) (n int) {
		for d.Fits() == nil {
			k := NewConsentKey()
			check(t, d.AddClaims(k, 1, Claim{Disclosure: ledger.NewDisclosure("name", strings.Repeat("x", valueBytes))}))
			n++
		}
		return n
	}
	for _, valueBytes := range []int{1, 20_000} {
		b := v.Begin()
		d := b.Draft()
		n := large(d, valueBytes)
		if err := d.Keep(); !errors.Is(err, ErrTooLarge) || !b.Empty() {
			t.Errorf("Keep of a draft too large: %v", err)
		}
		for step := n; step > 0; { // fill up to just below full
			d := b.Draft()
			for range step {
				check(t, d.AddClaims(NewConsentKey(), 1, Claim{Disclosure: ledger.NewDisclosure("name", strings.Repeat("x", valueBytes))}))
			}
			if l := b.load; d.Fits() != nil || (load{l.rows + d.load.rows, l.bytes + d.load.bytes, l.list + d.load.list}).exceeds(v.db, 1, 2, listLimit) {
				step /= 2
				continue
			}
			check(t, d.Keep())
		}
		d = b.Draft()
		for range n - 1 {
			check(t, d.AddClaims(NewConsentKey(), 1, Claim{Disclosure: ledger.NewDisclosure("name", strings.Repeat("x", valueBytes))}))
		}
		check(t, d.Keep())
		must[GroupRecord](t)(b.Commit(1, 1, ledger.Hash{}))
		if size := len(dump(t, v)[string(keyGroup())]); size >= 1<<20 {
			t.Errorf("the group record has %d bytes, Badger stores fewer than %d inline", size, 1<<20)
		}
	}
}

func TestDropNewestGroup(t *testing.T) {
	opt := testOptions(t)
	v := newVault(t, opt)
	if err := v.DropNewestGroup(); err == nil {
		t.Error("dropped a group of an empty vault")
	}
	first := addPeople(t, v, 3, 5)
	before, record := dump(t, v), v.Record()

	dropped := newPerson(100)
	b := v.Begin()
	d := b.Draft()
	dropped.insert(t, v, d, 8)
	old := *first[0] // also more rows about a person of the first group
	old.keys, old.claims = map[ledger.ConsentID]ConsentKey{}, map[ledger.ConsentID][]ledger.Disclosure{}
	old.requests = map[ledger.ConsentID]RecallState{}
	old.insert(t, v, d, 9)
	check(t, d.Keep())
	must[GroupRecord](t)(b.Commit(8, 2, ledger.Hash{2}))
	check(t, v.Close())

	v = openVault(t, opt)
	if v.Previous() != record {
		t.Fatalf("previous %v, want %v", v.Previous(), record)
	}
	check(t, v.DropNewestGroup())
	check(t, v.Close())
	v = openVault(t, opt)
	if v.Record() != record || v.Previous() != (GroupRecord{}) {
		t.Errorf("record %v, want %v; before %v", v.Record(), record, v.Previous())
	}
	after := dump(t, v)
	delete(before, string(keyGroup())) // it no longer carries its list
	delete(after, string(keyGroup()))
	if err := sameRows(before, after); err != nil {
		t.Error(err)
	}
	if err := v.DropNewestGroup(); err == nil {
		t.Error("dropped a second group")
	}
	for _, p := range first {
		p.verify(t, v)
	}
	// The same consents can be added again.
	b = v.Begin()
	d = b.Draft()
	dropped = newPerson(100)
	dropped.insert(t, v, d, 8)
	check(t, d.Keep())
	if got := must[GroupRecord](t)(b.Commit(8, 1, ledger.Hash{3})); got.Seq != 2 || v.Previous() != record {
		t.Errorf("record %v, before %v", got, v.Previous())
	}
	dropped.verify(t, v)
}

// A pass moves rows to another generation; the newest group can still be
// dropped, whole.
func TestDropNewestGroupAfterPass(t *testing.T) {
	v := newVault(t, testOptions(t))
	old := addPeople(t, v, 40, 5)
	plan(t, v, Change{Erase: true}, old[:20]...)
	published := v.Record().Seq
	before := dump(t, v)
	addPeople(t, v, 40, 50)
	must[Shredded](t)(v.CarryOut(published))
	check(t, v.DropNewestGroup())
	for key := range dump(t, v) {
		if _, ok := before[key]; !ok && key[0] != rowShard {
			t.Errorf("a row of kind %q is still there", key[0])
		}
		if key[0] == rowShard && key[shardKeySize] == rowConsent && bytes.Compare([]byte(key[shardKeySize+1:]), u64(50)) >= 0 {
			t.Error("the row of a dropped consent is still there")
		}
	}
	for i, p := range old {
		p.erased = i < 20
		p.verify(t, v)
	}
}

// What an unpublished group planned is not carried out, and forgotten with it.
func TestDropNewestGroupWithPlan(t *testing.T) {
	for _, reopened := range []bool{false, true} {
		opt := testOptions(t)
		v := newVault(t, opt)
		people := addPeople(t, v, 3, 5)
		plan(t, v, Change{Erase: true}, people[0])
		published := v.Record()
		plan(t, v, Change{Erase: true}, people[1])
		if reopened {
			check(t, v.Close())
			v = openVault(t, opt)
		}
		if n := v.Planned(); n != 2 {
			t.Fatalf("%d plans, want 2", n)
		}
		must[Shredded](t)(v.CarryOut(published.Seq))
		people[0].erased = true
		if n := v.Planned(); n != 1 {
			t.Fatalf("%d plans, want 1", n)
		}
		check(t, v.DropNewestGroup())
		if n := v.Planned(); n != 0 {
			t.Fatalf("%d plans after dropping, want none", n)
		}
		if s := carryOut(t, v); s.Generation != 2 {
			t.Errorf("generation %d, want 2", s.Generation)
		}
		for _, p := range people {
			p.verify(t, v)
		}
		erase(t, v, people[1])
		people[1].verify(t, v)
	}
}

// What was carried out cannot be taken back with its group.
func TestDropNewestGroupCarriedOut(t *testing.T) {
	v := newVault(t, testOptions(t))
	p := addPeople(t, v, 1, 5)[0]
	erase(t, v, p)
	before := dump(t, v)
	if err := v.DropNewestGroup(); err == nil || !strings.Contains(err.Error(), "carried out") {
		t.Errorf("DropNewestGroup: %v", err)
	}
	if err := sameRows(before, dump(t, v)); err != nil {
		t.Error(err)
	}
}

func TestFirstFree(t *testing.T) {
	for taken := range uint32(200) {
		asked := 0
		got := must[uint32](t)(firstFree(func(n uint32) (bool, error) { asked++; return n < taken, nil }))
		if got != taken || asked > 17 {
			t.Errorf("firstFree of %d taken: %d after %d questions", taken, got, asked)
		}
	}
	if _, err := firstFree(func(uint32) (bool, error) { return false, ErrDamaged }); !errors.Is(err, ErrDamaged) {
		t.Errorf("firstFree: %v", err)
	}
}

func FuzzParseGroup(f *testing.F) {
	f.Add(groupRow{}.encode())
	f.Add(groupRow{GroupRecord{2, 3, 4, ledger.Hash{5}}, true, GroupRecord{Seq: 1}, [][]byte{{1}, {2, 3}}}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := parseGroup(b)
		if err == nil && !bytes.Equal(g.encode(), b) {
			t.Errorf("%x parses and encodes to %x", b, g.encode())
		}
	})
}
