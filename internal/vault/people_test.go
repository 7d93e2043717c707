package vault

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/consentledger/consentledger/internal/badgerdb"
	"github.com/consentledger/consentledger/ledger"
)

// tb is what helpers need of *testing.T, *testing.B and *rapid.T.
type tb interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

const testOrigin = "consent.example.org/ledger"

// testOptions gives options for a vault in a fresh directory, small in memory.
func testOptions(t testing.TB) Options {
	return optionsIn(t.TempDir())
}

func optionsIn(dir string) Options {
	return Options{
		Dir:           filepath.Join(dir, "vault"),
		RootKeyPath:   filepath.Join(dir, "root.key"),
		MemTableBytes: badgerdb.MinMemTableBytes,
	}
}

func must[T any](t tb) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func check(t tb, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newVault creates and opens a vault; it is closed with the test.
func newVault(t testing.TB, opt Options) *Vault {
	t.Helper()
	check(t, Create(opt, testOrigin))
	return openVault(t, opt)
}

func openVault(t testing.TB, opt Options) *Vault {
	t.Helper()
	v := must[*Vault](t)(Open(opt))
	t.Cleanup(func() { v.Close() })
	return v
}

// person is what a test knows of somebody it put into a vault.
type person struct {
	email    string // the first identifier
	ids      []Identifier
	token    string // the newest for the channel "email"
	consents []ledger.ConsentID
	keys     map[ledger.ConsentID]ConsentKey
	claims   map[ledger.ConsentID][]ledger.Disclosure
	requests map[ledger.ConsentID]RecallState
	blob     *BlobRef
	bytes    []byte
	slot     Slot // once verified or added

	erased, locked bool
	goneConsents   []ledger.ConsentID
	goneIDs        []Identifier
	goneTokens     []string
}

func newPerson(n int) *person {
	email := fmt.Sprintf("person-%d@mail.example", n)
	return &person{
		email:    email,
		ids:      []Identifier{{"email", email}},
		keys:     make(map[ledger.ConsentID]ConsentKey),
		claims:   make(map[ledger.ConsentID][]ledger.Disclosure),
		requests: make(map[ledger.ConsentID]RecallState),
	}
}

// insert adds p, or what is new of p, with one more consent and its claims. The
// person is known from the entry that opens the first consent on.
func (p *person) insert(t tb, v *Vault, d *Draft, id ledger.ConsentID) {
	t.Helper()
	s, ok, err := d.FindSubject(p.ids[0])
	check(t, err)
	if !ok {
		s = must[*Subject](t)(d.NewSubject(p.ids, ledger.Index(id)))
	}
	p.slot = s.Slot
	p.addConsent(t, d, s, id)
	p.token = must[string](t)(d.ManageTokenFor(s, "email"))
	check(t, d.Remember(s, "shop", fmt.Sprintf("request-%d", id), v.RequestMAC("shop", fmt.Sprint(id), []byte(p.email)),
		[]ledger.Index{ledger.Index(id)}, []byte("extra")))
	p.requests[id] = Seen
}

func (p *person) addConsent(t tb, d *Draft, s *Subject, id ledger.ConsentID) {
	t.Helper()
	k := NewConsentKey()
	check(t, d.AddConsent(s, id, k))
	p.consents = append(p.consents, id)
	p.keys[id] = k
	var claims []Claim
	for _, claim := range []string{"email", "name", "ip"} {
		disclosure := ledger.NewDisclosure(claim, claim+" of "+p.email)
		var blob *BlobRef
		if claim == "name" {
			blob = p.blob
		}
		claims = append(claims, Claim{disclosure, blob})
		p.claims[id] = append(p.claims[id], disclosure)
	}
	check(t, d.AddClaims(k, ledger.Index(id), claims...))
}

// changed takes note that c was carried out.
func (p *person) changed(c Change) {
	switch {
	case c.Erase:
		p.erased = true
		return
	case c.Lock:
		p.locked = true
		return
	}
	p.consents = slices.DeleteFunc(slices.Clone(p.consents), func(id ledger.ConsentID) bool { return slices.Contains(c.Consents, id) })
	p.goneConsents = append(p.goneConsents, c.Consents...)
	p.ids = slices.DeleteFunc(slices.Clone(p.ids), func(id Identifier) bool { return slices.Contains(c.Identifiers, id) })
	p.goneIDs = append(p.goneIDs, c.Identifiers...)
	if slices.Contains(c.Channels, "email") {
		p.goneTokens = append(p.goneTokens, p.token)
		p.token = ""
	}
	for id := range p.requests {
		p.requests[id] = PersonErased
	}
}

// addPeople inserts n people in one group, one consent each from first on.
func addPeople(t tb, v *Vault, n int, first ledger.ConsentID) []*person {
	t.Helper()
	b := v.Begin()
	defer func() { b.Discard() }()
	var people []*person
	for i := range n {
		p := newPerson(int(first) + i)
		d := b.Draft()
		p.insert(t, v, d, first+ledger.ConsentID(i))
		check(t, d.Keep())
		people = append(people, p)
		if b.Full() {
			must[GroupRecord](t)(b.Commit(ledger.Size(first), i, ledger.Hash{1}))
			b = v.Begin()
		}
	}
	must[GroupRecord](t)(b.Commit(ledger.Size(first), n, ledger.Hash{1}))
	return people
}

// inGroup commits what fn does in one draft as a group.
func inGroup(t tb, v *Vault, fn func(d *Draft)) {
	t.Helper()
	b := v.Begin()
	defer b.Discard()
	d := b.Draft()
	fn(d)
	check(t, d.Keep())
	must[GroupRecord](t)(b.Commit(ledger.Size(v.Record().Base)+1, 1, ledger.Hash{7}))
}

// inVain runs fn with a draft that is dropped.
func inVain(v *Vault, fn func(d *Draft)) {
	b := v.Begin()
	defer b.Discard()
	fn(b.Draft())
}

// plan plans a change of each of the people, in one group.
func plan(t tb, v *Vault, c Change, people ...*person) {
	t.Helper()
	b := v.Begin()
	defer b.Discard()
	for _, p := range people {
		d := b.Draft()
		s, ok, err := d.SubjectOf(p.consents[0])
		if !ok || err != nil {
			t.Fatalf("SubjectOf: %v, %v", ok, err)
		}
		check(t, d.Plan(s, c))
		check(t, d.Keep())
	}
	must[GroupRecord](t)(b.Commit(v.Record().Base+1, 1, ledger.Hash{8}))
}

func carryOut(t tb, v *Vault) Shredded {
	t.Helper()
	return must[Shredded](t)(v.CarryOut(v.Record().Seq))
}

// change plans a change and carries it out.
func change(t tb, v *Vault, c Change, people ...*person) Shredded {
	t.Helper()
	plan(t, v, c, people...)
	s := carryOut(t, v)
	for _, p := range people {
		p.changed(c)
	}
	return s
}

func erase(t tb, v *Vault, people ...*person) Shredded {
	t.Helper()
	return change(t, v, Change{Erase: true}, people...)
}

func findSubject(v *Vault, id Identifier) (s *Subject, ok bool, err error) {
	err = v.View(func(w View) (err error) { s, ok, err = w.FindSubject(id); return })
	return s, ok, err
}

func subjectOf(v *Vault, id ledger.ConsentID) (s *Subject, ok bool, err error) {
	err = v.View(func(w View) (err error) { s, ok, err = w.SubjectOf(id); return })
	return s, ok, err
}

func recall(v *Vault, source, key string) (r Remembered, state RecallState, err error) {
	err = v.View(func(w View) (err error) { r, state, err = w.Recall(source, key); return })
	return r, state, err
}

// verify makes sure that everything of p opens, or that nothing does.
func (p *person) verify(t tb, v *Vault) {
	t.Helper()
	check(t, v.View(func(w View) error {
		if p.erased {
			p.verifyErased(t, v, w)
			return nil
		}
		s := p.verifyIdentity(t, w)
		if got := must[[]ledger.ConsentID](t)(w.Consents(s)); fmt.Sprint(got) != fmt.Sprint(p.consents) {
			t.Fatalf("Consents: %v, want %v", got, p.consents)
		}
		for _, id := range p.consents {
			p.verifyConsent(t, v, w, s, id)
		}
		for _, id := range p.goneConsents {
			p.verifyGone(t, w, id)
		}
		p.verifyRequests(t, v, w)
		return nil
	}))
}

func (p *person) verifyIdentity(t tb, w View) *Subject {
	t.Helper()
	s, ok, err := w.SubjectOf(p.consents[0])
	if err != nil || !ok || s.Slot != p.slot {
		t.Fatalf("SubjectOf: %v, %v", ok, err)
	}
	if got := must[[]Identifier](t)(w.Identifiers(s)); !slices.Equal(got, p.ids) {
		t.Fatalf("Identifiers gave %d of them or others, want %d", len(got), len(p.ids))
	}
	for _, id := range p.ids {
		live, legal := found(t, w, id, p.slot)
		if live == p.locked || legal != p.locked {
			t.Fatalf("locked %v; found: %v, among the locked: %v", p.locked, live, legal)
		}
	}
	for _, id := range p.goneIDs {
		if live, legal := found(t, w, id, p.slot); live || legal {
			t.Fatalf("found by a dropped identifier: %v, among the locked: %v", live, legal)
		}
	}
	if p.token != "" {
		if by, channel, ok, err := w.ManageToken(p.token); err != nil || !ok || by.Slot != s.Slot || channel != "email" {
			t.Fatalf("ManageToken: channel %q, %v, %v", channel, ok, err)
		}
	}
	for _, token := range p.goneTokens {
		if _, _, ok, err := w.ManageToken(token); ok || err != nil {
			t.Fatalf("ManageToken of a dropped channel: %v, %v", ok, err)
		}
	}
	return s
}

// found tells whether a person is found by an identifier.
func found(t tb, w View, id Identifier, slot Slot) (live, legal bool) {
	t.Helper()
	s, ok, err := w.FindSubject(id)
	check(t, err)
	for _, l := range must[[]*Subject](t)(w.FindLocked(id)) {
		legal = legal || l.Slot == slot
	}
	return ok && s.Slot == slot, legal
}

func (p *person) verifyConsent(t tb, v *Vault, w View, s *Subject, id ledger.ConsentID) {
	t.Helper()
	if by, ok, err := w.SubjectOf(id); err != nil || !ok || by.Slot != s.Slot || by.key != s.key {
		t.Fatalf("SubjectOf(%d): %v, %v", id, ok, err)
	}
	k, ok, err := w.KeyOf(id)
	if !ok || err != nil || k != p.keys[id] {
		t.Fatalf("KeyOf(%d): %v, %v, or another", id, ok, err)
	}
	for _, want := range p.claims[id] {
		got, blob, ok, err := w.OpenClaim(k, ledger.Index(id), want.Digest())
		if err != nil || !ok || got != want {
			t.Fatalf("OpenClaim of consent %d: %v, %v", id, ok, err)
		}
		if blob != nil {
			var out bytes.Buffer
			check(t, v.ReadBlob(*blob, &out))
			if !bytes.Equal(out.Bytes(), p.bytes) {
				t.Fatal("ReadBlob gave other bytes")
			}
		}
	}
}

// verifyGone makes sure that nothing is left of a consent.
func (p *person) verifyGone(t tb, w View, id ledger.ConsentID) {
	t.Helper()
	if _, ok, err := w.SubjectOf(id); ok || err != nil {
		t.Fatalf("SubjectOf an erased consent: %v, %v", ok, err)
	}
	for _, claim := range p.claims[id] {
		// Even with the key that the test kept nothing is there.
		if _, _, ok, err := w.OpenClaim(p.keys[id], ledger.Index(id), claim.Digest()); ok || err != nil {
			t.Fatalf("OpenClaim of an erased consent: %v, %v", ok, err)
		}
	}
}

func (p *person) verifyRequests(t tb, v *Vault, w View) {
	t.Helper()
	for id, want := range p.requests {
		r, state, err := w.Recall("shop", fmt.Sprintf("request-%d", id))
		if err != nil || state != want {
			t.Fatalf("Recall of consent %d: %v, %v", id, state, err)
		}
		if state == Seen && (r.Subject.Slot != p.slot || r.Indexes[0] != ledger.Index(id) || string(r.Extra) != "extra" ||
			r.Request != v.RequestMAC("shop", fmt.Sprint(id), []byte(p.email))) {
			t.Fatalf("Recall of consent %d gave something else", id)
		}
	}
}

func (p *person) verifyErased(t tb, v *Vault, w View) {
	t.Helper()
	for _, id := range append(slices.Clone(p.ids), p.goneIDs...) {
		if live, legal := found(t, w, id, p.slot); live || legal {
			t.Fatalf("an erased person is found: %v, among the locked: %v", live, legal)
		}
	}
	for _, token := range append(slices.Clone(p.goneTokens), p.token) {
		if _, _, ok, err := w.ManageToken(token); ok || err != nil {
			t.Fatalf("ManageToken of an erased person: %v, %v", ok, err)
		}
	}
	for _, id := range append(slices.Clone(p.consents), p.goneConsents...) {
		p.verifyGone(t, w, id)
	}
	for id := range p.requests {
		if _, state, err := w.Recall("shop", fmt.Sprintf("request-%d", id)); state != PersonErased || err != nil {
			t.Fatalf("Recall of an erased person: %v, %v", state, err)
		}
	}
	if p.blob != nil {
		if err := v.ReadBlob(*p.blob, &bytes.Buffer{}); !errors.Is(err, ErrGone) {
			t.Fatalf("ReadBlob of an erased person: %v", err)
		}
	}
}

// planOf reads what is planned as a pass does.
func planOf(t tb, v *Vault) *pass {
	t.Helper()
	return must[*pass](t)(v.newPass(math.MaxUint64))
}

// deadOf gives the keys of the rows outside the shards that a pass deletes.
func deadOf(t tb, v *Vault, p *pass) (keys [][]byte) {
	t.Helper()
	check(t, v.View(func(w View) error {
		for _, m := range p.people {
			check(t, m.deadRows(w, func(key []byte) error {
				keys = append(keys, bytes.Clone(key))
				return nil
			}))
		}
		return nil
	}))
	return keys
}

// crowd gives p one more consent in each shard that a pass would touch, so that
// these shards have a row that stays; the ids of the consents are from next on.
// Among few people in 4096 shards it would hardly happen.
func crowd(t tb, v *Vault, p *person, next ledger.ConsentID) ledger.ConsentID {
	t.Helper()
	touched := planOf(t, v).touched()
	b := v.Begin()
	defer b.Discard()
	for _, s := range touched {
		for ; shardOf(rowConsent, idConsent(next)) != s; next++ {
		}
		d := b.Draft()
		p.insert(t, v, d, next)
		check(t, d.Keep())
		next++
	}
	must[GroupRecord](t)(b.Commit(ledger.Size(next), 1, ledger.Hash{}))
	return next
}
