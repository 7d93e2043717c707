package vault

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

func TestRoundTrip(t *testing.T) {
	opt := testOptions(t)
	v := newVault(t, opt)
	if v.Origin() != testOrigin || v.LedgerSubject().Slot != 0 {
		t.Fatalf("origin %q, ledger slot %d", v.Origin(), v.LedgerSubject().Slot)
	}
	p := newPerson(1)
	p.bytes = bytes.Repeat([]byte("attachment "), 100_000) // three chunks
	ref := must[BlobRef](t)(v.PutBlob(p.bytes))
	p.blob = &ref
	b := v.Begin()
	d := b.Draft()
	p.insert(t, v, d, 7)
	p.insert(t, v, d, 8)
	check(t, d.Keep())
	// A later draft of the same group sees it, and adds to it.
	d = b.Draft()
	p.insert(t, v, d, 9)
	check(t, d.Keep())
	record := must[GroupRecord](t)(b.Commit(6, 4, ledger.Hash{9}))
	if want := (GroupRecord{1, 6, 4, ledger.Hash{9}}); record != want || v.Record() != want || v.Previous() != (GroupRecord{}) {
		t.Fatalf("record %v, %v, before %v", record, v.Record(), v.Previous())
	}
	p.verify(t, v)

	// Registry claims lie in the ledger's own slot.
	b = v.Begin()
	d = b.Draft()
	title := ledger.NewDisclosure("operator", "Newsletter")
	check(t, d.AddClaims(v.LedgerKey(), 10, Claim{Disclosure: title}))
	check(t, d.Remember(v.LedgerSubject(), "admin", "k", [32]byte{1}, nil, nil))
	check(t, d.Keep())
	must[GroupRecord](t)(b.Commit(10, 1, ledger.Hash{10}))
	key := v.LedgerKey()
	check(t, v.Close())

	v = openVault(t, opt)
	p.verify(t, v)
	if v.LedgerKey() != key || v.Record().Seq != 2 || v.Previous() != record {
		t.Fatal("another key or record after opening anew")
	}
	if got, blob, ok, err := v.OpenClaim(v.LedgerKey(), 10, title.Digest()); err != nil || !ok || blob != nil || got != title {
		t.Fatalf("OpenClaim: %v, %v", ok, err)
	}
	check(t, v.DropBlob(ref))
	if err := v.ReadBlob(ref, &bytes.Buffer{}); !errors.Is(err, ErrGone) {
		t.Fatalf("ReadBlob of a dropped blob: %v", err)
	}
	check(t, v.Close())
	if got, err := Probe(opt); err != nil || got.Newest.Seq != 2 || got.Previous.Seq != 1 || got.Origin != v.Origin() || got.Kept != nil {
		t.Fatalf("Probe: %v, %v", got, err)
	}
	if len(NewConsentKey().Token()) != 43 {
		t.Fatal("a token has another length than 43")
	}
}

func TestUnknownIsNoError(t *testing.T) {
	v := newVault(t, testOptions(t))
	p := newPerson(1)
	check(t, v.View(func(w View) error {
		if _, ok, err := w.FindSubject(p.ids[0]); ok || err != nil {
			t.Errorf("FindSubject: %v, %v", ok, err)
		}
		if people, err := w.FindLocked(p.ids[0]); len(people) > 0 || err != nil {
			t.Errorf("FindLocked: %d, %v", len(people), err)
		}
		if _, ok, err := w.KeyOf(3); ok || err != nil {
			t.Errorf("KeyOf: %v, %v", ok, err)
		}
		for _, token := range []string{"", "AQ", "not base64!", manageToken(newSecret(), 0, "email")} {
			if _, _, ok, err := w.ManageToken(token); ok || err != nil {
				t.Errorf("ManageToken: %v, %v", ok, err)
			}
		}
		if _, _, ok, err := w.OpenClaim(NewConsentKey(), 3, ledger.Hash{}); ok || err != nil {
			t.Errorf("OpenClaim: %v, %v", ok, err)
		}
		if _, state, err := w.Recall("shop", "k"); state != NeverSeen || err != nil {
			t.Errorf("Recall: %v, %v", state, err)
		}
		if _, err := w.ConsentKey(v.LedgerSubject(), 77); !errors.Is(err, ErrGone) {
			t.Errorf("ConsentKey: %v", err)
		}
		if on, err := w.Suppressed(p.ids[0], "newsletter"); on || err != nil {
			t.Errorf("Suppressed: %v, %v", on, err)
		}
		return nil
	}))
}

// Every damaged row must be an error, never an unknown.
func TestDamageIsNotUnknown(t *testing.T) {
	opt := testOptions(t)
	v := newVault(t, opt)
	p, locked := addPeople(t, v, 1, 5)[0], addPeople(t, v, 1, 6)[0]
	change(t, v, Change{Lock: true}, locked)
	inGroup(t, v, func(d *Draft) { check(t, d.Suppress(p.ids[0], "newsletter", "2026-11")) })
	inGroup(t, v, func(d *Draft) {
		s, _, err := d.FindSubject(p.ids[0])
		check(t, err)
		check(t, d.AddIdentifier(s, Identifier{"external_id", "later"}, 7))
		check(t, d.AddConsent(s, 8, NewConsentKey()))
	})
	plan(t, v, Change{Lock: true}, p)
	s, _, err := findSubject(v, p.ids[0])
	check(t, err)
	k := p.keys[5]
	var legal []byte
	view := v.view()
	defer view.release()
	l, _, err := view.SubjectOf(6)
	check(t, err)
	legal = append(v.tree.index[0].legal(locked.ids[0]), legalMark(view.identity(l).key, locked.ids[0])...)
	recalled := idempotencyID(v.tree.days[0], "shop", "request-5")
	read := func(fn func(w View) error) func() error { return func() error { return v.View(fn) } }
	find := func(w View) error { _, _, err := w.FindSubject(p.ids[0]); return err }
	for name, c := range map[string]struct {
		key  []byte
		read func() error
	}{
		"index":      {v.tree.shardRowKey(rowIndex, v.tree.index[0].live(p.ids[0])), read(find)},
		"legal":      {v.tree.shardRowKey(rowLegal, legal), read(func(w View) error { _, err := w.FindLocked(locked.ids[0]); return err })},
		"subject":    {v.tree.shardRowKey(rowSubject, idSlot(s.Slot)), read(find)},
		"plan":       {v.tree.shardRowKey(rowPlan, idSlot(s.Slot)), func() error { _, err := v.CarryOut(v.Record().Seq); return err }},
		"consent":    {v.tree.shardRowKey(rowConsent, idConsent(5)), read(func(w View) error { _, _, err := w.SubjectOf(5); return err })},
		"manage":     {v.tree.shardRowKey(rowManage, idManage(p.token)), read(func(w View) error { _, _, _, err := w.ManageToken(p.token); return err })},
		"recall":     {v.tree.shardRowKey(rowIdempotency, recalled), read(func(w View) error { _, _, err := w.Recall("shop", "request-5"); return err })},
		"key":        {keyConsent(s.key, 1), read(func(w View) error { _, err := w.ConsentKey(s, 8); return err })},
		"list":       {keyConsent(s.key, 1), read(func(w View) error { _, err := w.Consents(s); return err })},
		"identifier": {keyIdentifier(view.identity(s).key, uint32(len(p.ids))), read(func(w View) error { _, err := w.Identifiers(s); return err })},
		"suppression": {keySuppression(view.suppressionHash(p.ids[0], "newsletter", 0)), read(func(w View) error {
			_, err := w.Suppressed(p.ids[0], "newsletter")
			return err
		})},
		"claim": {keyClaims(k, 0), read(func(w View) error {
			_, _, _, err := w.OpenClaim(k, 5, p.claims[5][0].Digest())
			return err
		})},
	} {
		value, ok, err := readOne(v.db, c.key)
		if !ok || err != nil {
			t.Fatalf("%s: no such row: %v", name, err)
		}
		if name != "plan" { // reading that one well carries it out
			check(t, c.read())
		}
		for i := range value {
			if i%7 != 0 && i != len(value)-1 {
				continue
			}
			bad := bytes.Clone(value)
			bad[i] ^= 1
			setRow(t, v, c.key, bad)
			if err := c.read(); !errors.Is(err, ErrDamaged) {
				t.Errorf("%s with byte %d changed: %v", name, i, err)
			}
		}
		setRow(t, v, c.key, value)
	}
	// A row that names a slot that is not there is damage, too.
	txn := v.db.NewTransaction(true)
	check(t, txn.Delete(v.tree.shardRowKey(rowSubject, idSlot(s.Slot))))
	check(t, txn.Commit())
	if _, ok, err := findSubject(v, p.ids[0]); ok || !errors.Is(err, ErrDamaged) {
		t.Errorf("FindSubject without the slot: %v, %v", ok, err)
	}
	if err := v.loadLedger(); err != nil {
		t.Error(err)
	}
}

func setRow(t tb, v *Vault, key, value []byte) {
	t.Helper()
	txn := v.db.NewTransaction(true)
	check(t, txn.Set(bytes.Clone(key), value))
	check(t, txn.Commit())
}

func TestRowsCannotBeSwapped(t *testing.T) {
	v := newVault(t, testOptions(t))
	people := addPeople(t, v, 2, 5)
	one, _, err := findSubject(v, people[0].ids[0])
	check(t, err)
	two, _, err := findSubject(v, people[1].ids[0])
	check(t, err)
	a := v.tree.shardRowKey(rowConsent, idConsent(5))
	b := v.tree.shardRowKey(rowConsent, idConsent(6))
	inGroup(t, v, func(d *Draft) {
		for n, p := range people {
			s, _, err := d.FindSubject(p.ids[0])
			check(t, err)
			check(t, d.AddConsent(s, ledger.ConsentID(7+n), NewConsentKey()))
		}
	})
	for _, pair := range [][2][]byte{{a, b}, {keyConsent(one.key, 1), keyConsent(two.key, 1)},
		{v.tree.shardRowKey(rowSubject, idSlot(one.Slot)), v.tree.shardRowKey(rowSubject, idSlot(two.Slot))}} {
		value, _, err := readOne(v.db, pair[0])
		check(t, err)
		setRow(t, v, pair[1], value)
	}
	if _, _, err := subjectOf(v, 6); !errors.Is(err, ErrDamaged) {
		t.Errorf("SubjectOf with another's row: %v", err)
	}
	check(t, v.View(func(w View) error {
		if _, err := w.ConsentKey(two, 8); !errors.Is(err, ErrDamaged) {
			t.Errorf("ConsentKey with another's row: %v", err)
		}
		if _, _, err := w.FindSubject(people[1].ids[0]); !errors.Is(err, ErrDamaged) {
			t.Errorf("FindSubject with another's row: %v", err)
		}
		return nil
	}))
}

func TestSecretsDoNotPrint(t *testing.T) {
	k := newSecret()
	s := &Subject{Slot: 5, key: k, identity: identity{key: k}, first: []ownedConsent{{1, ConsentKey(k)}}}
	ref := BlobRef{Key: k}
	for _, format := range []string{"%v", "%+v", "%#v", "%x", "%s", "%q"} {
		for _, value := range []any{k, s, ConsentKey(k), ref, &ref} {
			out := fmt.Sprintf(format, value)
			if strings.Contains(out, fmt.Sprintf("%x", k[:4])) || strings.Contains(out, fmt.Sprint(k[0], " ", k[1])) ||
				strings.Contains(out, string(k[:])) || len(out) > 2*len("consent key")+2 {
				t.Errorf("%s of %T shows %q", format, value, out)
			}
		}
	}
}

func TestCreateRefusesWhatIsThere(t *testing.T) {
	opt := testOptions(t)
	check(t, Create(opt, testOrigin))
	if err := Create(opt, testOrigin); err == nil {
		t.Error("created twice")
	}
	other := opt
	other.RootKeyPath += "2"
	if err := Create(other, testOrigin); err == nil {
		t.Error("created over a vault")
	}
	if _, err := os.Stat(other.RootKeyPath); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a refused Create left a root key:", err)
	}
	openVault(t, opt)
}

func TestWritersStopAfterAnUnclearWrite(t *testing.T) {
	opt := testOptions(t)
	v := newVault(t, opt)
	p := addPeople(t, v, 1, 5)[0]
	v.opt.testOnlyStep = func(string) error { return errors.New("torn cable") }
	b := v.Begin()
	d := b.Draft()
	newPerson(6).insert(t, v, d, 6)
	check(t, d.Keep())
	if _, err := b.Commit(6, 1, ledger.Hash{}); !errors.Is(err, ErrStopped) {
		t.Fatalf("Commit: %v", err)
	}
	v.opt.testOnlyStep = nil
	b = v.Begin()
	if _, err := b.Commit(6, 1, ledger.Hash{}); !errors.Is(err, ErrStopped) {
		t.Errorf("the next Commit: %v", err)
	}
	if _, err := v.CarryOut(v.Record().Seq); !errors.Is(err, ErrStopped) {
		t.Errorf("CarryOut: %v", err)
	}
	if err := v.RotateDayKeys(time.Now()); !errors.Is(err, ErrStopped) {
		t.Errorf("RotateDayKeys: %v", err)
	}
	if _, err := v.PutBlob([]byte("x")); !errors.Is(err, ErrStopped) {
		t.Errorf("PutBlob: %v", err)
	}
	if err := v.DropNewestGroup(); !errors.Is(err, ErrStopped) {
		t.Errorf("DropNewestGroup: %v", err)
	}
	p.verify(t, v) // readers go on
	check(t, v.Close())
	p.verify(t, openVault(t, opt))
}
