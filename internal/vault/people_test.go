package vault

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

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
		MemTableBytes: 8 << 20,
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
	email    string
	token    string
	consents []ledger.ConsentID
	keys     map[ledger.ConsentID]ConsentKey
	claims   map[ledger.ConsentID][]ledger.Disclosure
	blob     *BlobRef
	bytes    []byte
	erased   bool
}

func newPerson(n int) *person {
	return &person{
		email:  fmt.Sprintf("person-%d@mail.example", n),
		keys:   make(map[ledger.ConsentID]ConsentKey),
		claims: make(map[ledger.ConsentID][]ledger.Disclosure),
	}
}

// insert adds p, or what is new of p, with one more consent and its claims.
func (p *person) insert(t tb, v *Vault, d *Draft, id ledger.ConsentID) {
	t.Helper()
	index := v.tree.indexKey("email", p.email) // the batch keeps the tree
	s, ok, err := d.FindSubject(index)
	check(t, err)
	if !ok {
		s = must[*Subject](t)(d.NewSubject([]Identifier{{"email", p.email}}, []IndexKey{index}))
	}
	k := NewConsentKey()
	check(t, d.AddConsent(s, id, k))
	p.consents = append(p.consents, id)
	p.keys[id] = k
	var sealed []SealedClaim
	for _, claim := range []string{"email", "name", "ip"} {
		disclosure := ledger.NewDisclosure(claim, claim+" of "+p.email)
		var blob *BlobRef
		if claim == "name" {
			blob = p.blob
		}
		sealed = append(sealed, SealClaim(k, disclosure, blob))
		p.claims[id] = append(p.claims[id], disclosure)
	}
	check(t, d.AddClaims(sealed...))
	p.token = must[string](t)(d.ManageTokenFor(s, "email"))
	check(t, d.Remember(s, "shop", fmt.Sprintf("request-%d", id), v.RequestMAC("shop", fmt.Sprint(id), []byte(p.email)),
		[]ledger.Index{ledger.Index(id)}, []byte("extra")))
}

// addPeople inserts n people in one group, one consent each from first on.
func addPeople(t tb, v *Vault, n int, first ledger.ConsentID) []*person {
	t.Helper()
	b := v.Begin()
	defer b.Discard()
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

// verify makes sure that everything of p opens, or that nothing does.
func (p *person) verify(t tb, v *Vault) {
	t.Helper()
	if p.erased {
		p.verifyErased(t, v)
		return
	}
	s, ok, err := v.FindSubject(v.IndexKey("email", p.email))
	if err != nil || !ok {
		t.Fatalf("FindSubject: %v, %v", ok, err)
	}
	if got := must[[]Identifier](t)(v.Identifiers(s)); len(got) != 1 || got[0] != (Identifier{"email", p.email}) {
		t.Fatalf("Identifiers gave %d of them or others", len(got))
	}
	if got := must[[]ledger.ConsentID](t)(v.Consents(s)); fmt.Sprint(got) != fmt.Sprint(p.consents) {
		t.Fatalf("Consents: %v, want %v", got, p.consents)
	}
	if by, channel, ok, err := v.ManageToken(p.token); err != nil || !ok || by.Slot != s.Slot || channel != "email" {
		t.Fatalf("ManageToken: channel %q, %v, %v", channel, ok, err)
	}
	for _, id := range p.consents {
		if by, ok, err := v.SubjectOf(id); err != nil || !ok || *by != *s {
			t.Fatalf("SubjectOf(%d): %v, %v", id, ok, err)
		}
		k := must[ConsentKey](t)(v.ConsentKey(s, id))
		if k != p.keys[id] {
			t.Fatalf("ConsentKey(%d) is another", id)
		}
		for _, want := range p.claims[id] {
			got, blob, ok, err := v.OpenClaim(k, want.Digest())
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
		r, state, err := v.Recall("shop", fmt.Sprintf("request-%d", id))
		if err != nil || state != Seen || r.Subject.Slot != s.Slot || r.Indexes[0] != ledger.Index(id) || string(r.Extra) != "extra" ||
			r.Request != v.RequestMAC("shop", fmt.Sprint(id), []byte(p.email)) {
			t.Fatalf("Recall of consent %d: %v, %v", id, state, err)
		}
	}
}

func (p *person) verifyErased(t tb, v *Vault) {
	t.Helper()
	if _, ok, err := v.FindSubject(v.IndexKey("email", p.email)); ok || err != nil {
		t.Fatalf("FindSubject of an erased person: %v, %v", ok, err)
	}
	if _, _, ok, err := v.ManageToken(p.token); ok || err != nil {
		t.Fatalf("ManageToken of an erased person: %v, %v", ok, err)
	}
	for _, id := range p.consents {
		if _, ok, err := v.SubjectOf(id); ok || err != nil {
			t.Fatalf("SubjectOf an erased consent: %v, %v", ok, err)
		}
		for _, claim := range p.claims[id] {
			// Even with the key that the test kept nothing is there.
			if _, _, ok, err := v.OpenClaim(p.keys[id], claim.Digest()); ok || err != nil {
				t.Fatalf("OpenClaim of an erased consent: %v, %v", ok, err)
			}
		}
		if _, state, err := v.Recall("shop", fmt.Sprintf("request-%d", id)); state != PersonErased || err != nil {
			t.Fatalf("Recall of an erased person: %v, %v", state, err)
		}
	}
	if p.blob != nil {
		if err := v.ReadBlob(*p.blob, &bytes.Buffer{}); !errors.Is(err, ErrGone) {
			t.Fatalf("ReadBlob of an erased person: %v", err)
		}
	}
}
