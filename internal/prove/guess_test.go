package prove

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/testbundle"
	"github.com/consentledger/consentledger/internal/testbundle/exported"
	"github.com/consentledger/consentledger/ledger"
)

// guesses is the dictionary: so many addresses, and hers among them.
const guesses = 1_000_000

func address(i int) string {
	if i == guesses/3 {
		return exported.Erika.Email
	}
	return fmt.Sprintf("person.%d@example.com", i)
}

// Whoever has a bundle that does not disclose her address cannot tell whether a guess is
// right: every commitment is salted with 256 bits that are in no file. The same search
// finds her once it is given the salt.
func TestGuess(t *testing.T) {
	t.Parallel()
	s := exported.Tell(t)
	request := service.BundleRequest{ConsentIDs: []ledger.ConsentID{s.Newsletter}, Disclose: []string{"name", "form_snapshot"}}
	asice := s.Export(request)
	sound(t, asice, options(t, s.Ledger))
	// Values of at least eight bytes, in every spelling of package testbundle.
	testbundle.Without(t, asice, exported.Erika.Email, exported.Erika.IP, exported.Erika.Agent, "ein Klick genügt", "Rundbrief 48", exported.Otto.Email, exported.Otto.Name)

	files := testbundle.Open(t, asice)
	targets := map[ledger.Hash]string{}
	for _, name := range files.Names("evidence/entries/") {
		e, err := ledger.ParseEntry(files.Get(t, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range e.Commits {
			targets[c.Digest] = fmt.Sprintf("%s of entry %d", c.Claim, e.Index)
		}
	}
	// What somebody may take for a salt: those of the values that are disclosed, the lock,
	// and the public hashes and keys of the log.
	salts := [][]byte{nil, make([]byte, 32)}
	for _, name := range files.Names("evidence/disclosures/") {
		d, err := ledger.ParseDisclosure(string(files.Get(t, name)))
		if err != nil {
			t.Fatal(err)
		}
		salts = append(salts, d.Salt[:])
	}
	for _, i := range []ledger.Index{0, ledger.Index(s.Newsletter)} {
		text := files.Get(t, fmt.Sprintf("evidence/entries/%d.txt", i))
		e, err := ledger.ParseEntry(text)
		if err != nil {
			t.Fatal(err)
		}
		leaf := ledger.LeafHash(text)
		salts = append(salts, leaf[:], e.Prev[:], e.Lock[:], e.Notice.SHA256[:])
	}
	for _, line := range strings.Split(string(files.Get(t, "checkpoint.note")), "\n") {
		if raw, err := base64.StdEncoding.DecodeString(line); err == nil && len(raw) == 32 {
			salts = append(salts, raw)
		}
	}
	if hits := search(targets, salts); len(hits) > 0 {
		t.Errorf("an address is found that is not disclosed: %v", hits)
	}
	t.Logf("%d commitments, %d addresses, %d salts", len(targets), guesses, len(salts))

	// That the search finds something: with the salt, which only a disclosure tells.
	request.Disclose = append(request.Disclose, "email")
	told := testbundle.Open(t, s.Export(request))
	d, err := ledger.ParseDisclosure(string(told.Get(t, fmt.Sprintf("evidence/disclosures/%d.email.txt", s.Newsletter))))
	if err != nil {
		t.Fatal(err)
	}
	if hits := search(targets, [][]byte{d.Salt[:]}); len(hits) != 1 || !strings.HasPrefix(hits[0], exported.Erika.Email+" is email of entry") {
		t.Errorf("with the true salt it finds %v", hits)
	}
	// And without one, where there is none.
	plain := sha256.Sum256([]byte(exported.Erika.Email))
	if hits := search(map[ledger.Hash]string{plain: "a plain hash"}, [][]byte{nil}); len(hits) == 0 {
		t.Error("the search does not find a plain hash")
	}
}

// search tries every address as anybody would, with every salt, and says which of the
// targets it hits.
func search(targets map[ledger.Hash]string, salts [][]byte) (hits []string) {
	var mu sync.Mutex
	test := func(who string, text []byte) {
		if what := targets[sha256.Sum256(text)]; what != "" {
			mu.Lock()
			defer mu.Unlock()
			if hit := who + " is " + what; !slices.Contains(hits, hit) {
				hits = append(hits, hit)
			}
		}
	}
	plain := [][2]string{{"", ""}, {"", "\n"}, {"mailto:", ""}, {`"`, `"`}, {`["email","`, `"]`}, {"email=", ""}, {"email:", ""}, {"email ", ""}}
	var before []string // an address in a disclosure of RFC 9901, as the ledger writes it
	for _, salt := range salts {
		before = append(before, `["`+base64.RawURLEncoding.EncodeToString(salt)+`","email","`)
	}
	const batch = 1000
	each(guesses/batch, func(n int) {
		var text, encoded []byte
		for i := n * batch; i < (n+1)*batch; i++ {
			who := address(i)
			for _, p := range plain {
				text = append(append(append(text[:0], p[0]...), who...), p[1]...)
				test(who, text)
			}
			for _, p := range before {
				text = append(append(append(text[:0], p...), who...), `"]`...)
				encoded = base64.RawURLEncoding.AppendEncode(encoded[:0], text)
				test(who, encoded)
			}
		}
	})
	// Some of them, and she, are tried in ways that take longer.
	list := []string{exported.Erika.Email}
	for i := 0; i < guesses; i += guesses / 500 {
		list = append(list, address(i))
	}
	each(len(list), func(i int) {
		who := list[i]
		for _, salt := range salts {
			for _, spelt := range []string{string(salt), hex.EncodeToString(salt), base64.StdEncoding.EncodeToString(salt), base64.RawURLEncoding.EncodeToString(salt)} {
				for _, text := range []string{spelt + who, who + spelt, spelt + ":" + who, spelt + "email" + who, `["` + spelt + `","email","` + who + `"]`, `["` + spelt + `", "email", "` + who + `"]`} {
					test(who, []byte(text))
					test(who, []byte(base64.StdEncoding.EncodeToString([]byte(text))))
					test(who, []byte(base64.RawURLEncoding.EncodeToString([]byte(text))))
				}
			}
			mac := hmac.New(sha256.New, salt)
			mac.Write([]byte(who))
			if what := targets[ledger.Hash(mac.Sum(nil))]; what != "" {
				mu.Lock()
				hits = append(hits, who+" is "+what)
				mu.Unlock()
			}
		}
	})
	return hits
}
