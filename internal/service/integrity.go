package service

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// CheckReport counts what [Service.Check] found in order.
type CheckReport struct {
	Origin string
	Size   ledger.Size
	Root   ledger.Hash

	Consents int // in the log, whatever became of them
	Held     int // whose person and key are in the vault
	Erased   int // whose keys are recorded as shredded and are gone
	Fenced   int // whose erasure is recorded, the shredding not yet
	People   int

	Claims      int // commitments opened, once for each consent they concern
	Destroyed   int // commitments under keys that are gone
	Attachments int // bytes beside a claim, read and hashed

	Purposes int // defined or superseded, their titles opened
	Notices  int // versions, their texts hashed
	Sources  int
}

// Check derives everything again from the entries and compares it with what is
// stored, then the vault with the log: every consent that is not erased has its
// person, who is found by each of their identifiers, and its key, under which
// every commitment opens to the value it was made for; a consent that is
// recorded as shredded has none. progress, if set, is called now and then.
//
// Nothing may be recorded meanwhile. It goes on behind what it finds; the error, a
// *[store.Found], names what is wrong by the numbers of entries and consents. Without
// a report, not even the log's entries follow one another.
//
// Limits: it starts from the log, so it does not see rows in the vault that no
// entry leads to. They would be ciphertext whose keys nobody asks for.
func (s *Service) Check(progress func(done, total ledger.Size)) (*CheckReport, error) {
	if progress == nil {
		progress = func(ledger.Size, ledger.Size) {}
	}
	snap := s.log.Snapshot()
	defer snap.Release()
	size := snap.Size()
	replay, err := snap.Check(func(done ledger.Size) { progress(done, 2*size) })
	if replay == nil {
		return nil, err
	}
	c := &integrity{s: s, snap: snap, people: map[vault.Slot]bool{}, named: map[ledger.ConsentID]bool{}, former: map[ledger.ConsentID]bool{},
		report: &CheckReport{Origin: s.log.Origin(), Size: size, Root: snap.Root()}}
	c.Add(err)
	c.Add(s.vault.View(func(w vault.View) error {
		c.w = w
		return c.run(replay, progress)
	}))
	return c.report, c.Err()
}

// run compares one view of the vault with the log.
func (c *integrity) run(replay *ledger.Replay, progress func(done, total ledger.Size)) error {
	if err := c.findFenced(); err != nil {
		return err
	}
	if err := c.consents(replay); err != nil {
		return err
	}
	size := c.report.Size
	err := c.snap.Entries(0, int(size), func(i ledger.Index, text []byte) error {
		if i%1024 == 0 {
			progress(size+ledger.Size(i), 2*size)
		}
		c.Add(c.entry(text))
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(c.former)) {
		c.Add(fmt.Errorf("consent %d: %w: it commits to an identifier that is not its person's", id, vault.ErrDamaged))
	}
	return nil
}

// integrity is one check of the vault against the log.
type integrity struct {
	s      *Service
	w      vault.View
	snap   *store.Snapshot
	report *CheckReport
	fenced map[ledger.ConsentID]bool // erased, their keys not yet shredded
	people map[vault.Slot]bool       // those already checked: 9 bytes and more per person
	named  map[ledger.ConsentID]bool // with a finding about their person or key
	listed int                       // consents in the lists of all people
	former map[ledger.ConsentID]bool // with an identifier that is not the person's, and no rectification yet
	store.Findings
}

func (c *integrity) findFenced() error {
	c.fenced = map[ledger.ConsentID]bool{}
	pending, _, err := c.snap.PendingErasures()
	for _, i := range pending {
		_, e, err := readEntry(c.snap, i)
		if err != nil {
			return err
		}
		for _, l := range e.Consents {
			c.fenced[l.Consent] = true
		}
	}
	return err
}

// consents checks every consent's person and key, both ways: each consent that
// is held is in its person's list, because the lists name held consents of their
// own person only, and as many as are held.
func (c *integrity) consents(replay *ledger.Replay) error {
	err := replay.Consents(0, ledger.ConsentID(c.report.Size), func(d ledger.Consent) {
		c.report.Consents++
		if err := c.consent(d); err != nil {
			c.named[d.ID] = true
			c.Add(err)
		}
	})
	if err != nil {
		return err
	}
	// Where something is missing the numbers say nothing more.
	if c.listed != c.report.Held && c.Err() == nil {
		return fmt.Errorf("%w: %d consents are held, %d stand in the lists of their people", vault.ErrDamaged, c.report.Held, c.listed)
	}
	return nil
}

func (c *integrity) consent(d ledger.Consent) error {
	subject, ok, err := c.w.SubjectOf(d.ID)
	switch {
	case c.fenced[d.ID]:
		c.report.Fenced++
		return nil
	case err != nil:
		return fmt.Errorf("consent %d: %w", d.ID, err)
	case d.Overlays.Has(ledger.Erased) && ok:
		return fmt.Errorf("%w: consent %d is recorded as shredded and its person is still there", vault.ErrDamaged, d.ID)
	case d.Overlays.Has(ledger.Erased):
		c.report.Erased++
		return nil
	case !ok:
		return fmt.Errorf("%w: consent %d has no person, and no erasure is recorded", vault.ErrDamaged, d.ID)
	}
	if _, err := c.w.ConsentKey(subject, d.ID); err != nil {
		return err
	}
	c.report.Held++
	if c.people[subject.Slot] {
		return nil
	}
	c.people[subject.Slot] = true
	c.report.People++
	if err := c.person(subject); err != nil {
		return fmt.Errorf("the person of consent %d: %w", d.ID, err)
	}
	return nil
}

// person checks that the identifiers lead to the person and that their consents
// are theirs.
func (c *integrity) person(subject *vault.Subject) error {
	ids, err := c.w.Identifiers(subject)
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		return fmt.Errorf("%w: there is no identifier", vault.ErrDamaged)
	}
	list, err := c.w.Consents(subject)
	if err != nil {
		return err
	}
	open, locked, err := c.registersOf(list)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if back, err := c.leadsTo(id, subject, open, locked); err != nil {
			return err
		} else if !back {
			return fmt.Errorf("%w: an identifier of kind %s does not lead back", vault.ErrDamaged, id.Kind)
		}
	}
	c.listed += len(list)
	for i, id := range list {
		owner, ok, err := c.w.SubjectOf(id)
		if err != nil {
			return err
		}
		d, known, err := c.snap.Consent(id)
		if err != nil {
			return err
		}
		if i > 0 && list[i-1] >= id || !ok || owner.Slot != subject.Slot || !known || d.Overlays.Has(ledger.Erased) {
			return fmt.Errorf("%w: consent %d stands in a list where it does not belong", vault.ErrDamaged, id)
		}
	}
	return nil
}

// registersOf says in which index a person with these consents may stand: the
// one that everybody is looked up in, the one of those who are locked. Both, when
// a run of retention was interrupted between moving somebody whose other
// consents are locked and shredding the requests that had lapsed.
func (c *integrity) registersOf(list []ledger.ConsentID) (open, locked bool, err error) {
	settled := true // nothing but what is locked or lapsed
	for _, id := range list {
		d, ok, err := c.snap.Consent(id)
		switch {
		case err != nil:
			return false, false, err
		case ok && hidden(d):
			locked = true
		case ok:
			open, settled = true, settled && d.State == ledger.Lapsed
		}
	}
	return open, locked && settled, nil
}

// leadsTo reports whether an identifier leads to a person.
func (c *integrity) leadsTo(id vault.Identifier, subject *vault.Subject, open, locked bool) (bool, error) {
	same := func(found *vault.Subject) bool { return found.Slot == subject.Slot }
	if open {
		found, ok, err := c.w.FindSubject(id)
		if err != nil || ok && same(found) {
			return err == nil, err
		}
	}
	if !locked {
		return false, nil
	}
	found, err := c.w.FindLocked(id)
	return slices.ContainsFunc(found, same), err
}

// entry opens what an entry commits to, under the key of each consent that it
// concerns, or under the ledger's own.
func (c *integrity) entry(text []byte) error {
	e, err := ledger.ParseEntry(text)
	if err != nil {
		return err
	}
	switch e.Kind {
	case ledger.PurposeDefined:
		c.report.Purposes++
	case ledger.NoticePublished:
		c.report.Notices++
	case ledger.SourceDeclared:
		c.report.Sources++
	case ledger.SubjectRectified:
		if e.Change != "added" {
			for _, id := range e.About {
				delete(c.former, id)
			}
		}
	}
	if len(e.Commits) == 0 {
		return nil
	}
	owners := ownersOf(e)
	_, known, err := c.snap.Consent(owners[0])
	if err != nil {
		return err
	}
	if namesNobody := len(e.About)+len(e.Consents) == 0 && !known; namesNobody || e.Kind == ledger.ConsentUsed {
		return c.claims(e, c.s.vault.LedgerKey(), 0, nil)
	}
	for _, id := range owners {
		c.Add(c.claimsOf(e, id))
	}
	return nil
}

// ownersOf gives the consents under whose keys an entry's claims are sealed: those
// that it names, or the one that it opens. The claims of an entry that does neither,
// for which there is no such consent, and of consent.used are the ledger's own.
func ownersOf(e *ledger.Entry) []ledger.ConsentID {
	switch {
	case len(e.About) > 0:
		return e.About
	case len(e.Consents) == 0:
		return []ledger.ConsentID{ledger.ConsentID(e.Index)}
	}
	ids := make([]ledger.ConsentID, 0, len(e.Consents))
	for _, l := range e.Consents {
		ids = append(ids, l.Consent)
	}
	return ids
}

func (c *integrity) claimsOf(e *ledger.Entry, id ledger.ConsentID) error {
	d, ok, err := c.snap.Consent(id)
	switch {
	case err != nil:
		return err
	case !ok:
		return fmt.Errorf("entry %d: %w: consent %d is not in the log", e.Index, store.ErrDamaged, id)
	case c.fenced[id], c.named[id]:
		return nil
	case d.Overlays.Has(ledger.Erased):
		c.report.Destroyed += len(e.Commits)
		return nil
	}
	subject, ok, err := c.w.SubjectOf(id)
	if err == nil && !ok {
		err = vault.ErrGone
	}
	if err != nil {
		return fmt.Errorf("consent %d: %w", id, err)
	}
	key, err := c.w.ConsentKey(subject, id)
	if err != nil {
		return err
	}
	return c.claims(e, key, id, subject)
}

// claims opens an entry's commitments under one key, that of a consent. subject
// is nil for the ledger's own.
func (c *integrity) claims(e *ledger.Entry, key vault.ConsentKey, id ledger.ConsentID, subject *vault.Subject) error {
	for _, commit := range e.Commits {
		d, blob, ok, err := c.w.OpenClaim(key, e.Index, commit.Digest)
		if err == nil && !ok {
			err = fmt.Errorf("%w: it is not there", vault.ErrDamaged)
		}
		if err == nil && d.Claim != commit.Claim {
			err = fmt.Errorf("%w: the vault has it under another name", vault.ErrDamaged)
		}
		if err == nil && blob != nil {
			err = c.attachment(d.Value, *blob)
		}
		if err == nil && subject != nil && ledger.IsIdentifierClaim(d.Claim) {
			err = c.identifier(id, subject, d)
		}
		if err != nil {
			c.Add(fmt.Errorf("entry %d, the claim %s: %w", e.Index, commit.Claim, err))
			continue
		}
		c.report.Claims++
	}
	return nil
}

// identifier checks that an entry was about the person whose key opens it. A
// former identifier is one that a later rectification took away.
func (c *integrity) identifier(id ledger.ConsentID, subject *vault.Subject, d ledger.Disclosure) error {
	ids, err := c.w.Identifiers(subject)
	if err == nil && !slices.Contains(ids, vault.Identifier{Kind: d.Claim, Value: d.Value}) {
		c.former[id] = true
	}
	return err
}

// attachment reads the bytes beside a claim and compares their hash.
func (c *integrity) attachment(value string, blob vault.BlobRef) error {
	var want fileValue
	if err := json.Unmarshal([]byte(value), &want); err != nil {
		return fmt.Errorf("%w: there are bytes beside a value that has no hash", vault.ErrDamaged)
	}
	sum := sha256.New()
	if err := c.s.vault.ReadBlob(blob, sum); err != nil {
		return err
	}
	if hex.EncodeToString(sum.Sum(nil)) != want.SHA256 {
		return fmt.Errorf("%w: the bytes beside it have another hash", vault.ErrDamaged)
	}
	c.report.Attachments++
	return nil
}
