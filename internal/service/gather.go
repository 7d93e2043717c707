package service

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// gathering puts a dossier together from one published log and one view of the
// vault.
type gathering struct {
	*Dossier
	ctx      context.Context
	snap     *store.Snapshot
	log      published
	view     vault.View
	consents []ledger.Consent // the person's, ascending
	keys     map[ledger.ConsentID]vault.ConsentKey
	about    map[ledger.Index][]ledger.ConsentID // by entry
}

// dossier gathers what is held about those whose records the entries of out name;
// about a stranger if out is nil.
func (s *Service) dossier(ctx context.Context, id Identifier, out *outcome) (*Dossier, error) {
	d := &Dossier{Origin: s.log.Origin(), At: s.now().UTC().Truncate(time.Second), Identifiers: []Identifier{id}, s: s}
	if out != nil {
		var err error
		if d.Disclosed, err = s.entries(out.Entries, true); err != nil {
			return nil, err
		}
	}
	snap := s.log.Snapshot()
	defer snap.Release()
	d.Size = snap.Size()
	_, first, err := readEntry(snap, 0)
	if err != nil {
		return nil, err
	}
	d.Controller = first.Controller
	err = s.vault.View(func(w vault.View) error {
		g := &gathering{Dossier: d, ctx: ctx, snap: snap, log: published{snap}, view: w,
			keys: map[ledger.ConsentID]vault.ConsentKey{}, about: map[ledger.Index][]ledger.ConsentID{}}
		return g.run(id)
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

func (g *gathering) run(id Identifier) error {
	for _, step := range []func() error{g.people, g.history, g.referring, g.entries, g.notices, g.purposes, g.processors, g.records, g.requests, g.suppressed, g.tracking} {
		if err := step(); err != nil {
			return err
		}
		if err := g.ctx.Err(); err != nil {
			return err
		}
	}
	return g.unverified(id)
}

// people finds the records, their keys, and under what their people are known.
func (g *gathering) people() error {
	seen := map[vault.Slot]bool{}
	for _, e := range g.Disclosed {
		_, parsed, err := readEntry(g.snap, e.Index)
		if err != nil {
			return err
		}
		for _, id := range parsed.About {
			c, _, err := g.snap.Consent(id)
			if err != nil {
				return err
			}
			subject, ok, err := g.view.SubjectOf(id)
			if err != nil {
				return err
			}
			if !ok || c.Overlays.Has(ledger.Erased) {
				return errGoneMeanwhile
			}
			if g.keys[id], err = g.view.ConsentKey(subject, id); err != nil {
				return err
			}
			g.consents = append(g.consents, c)
			if seen[subject.Slot] {
				continue
			}
			seen[subject.Slot] = true
			known, err := g.view.Identifiers(subject)
			if err != nil {
				return err
			}
			for _, k := range known {
				if own := (Identifier{IdentifierKind(k.Kind), k.Value}); !slices.Contains(g.Identifiers, own) {
					g.Identifiers = append(g.Identifiers, own)
				}
			}
		}
	}
	return nil
}

// history finds the entries that name the records.
func (g *gathering) history() error {
	for _, c := range g.consents {
		indexes, err := concerning(g.snap, c)
		if err != nil {
			return err
		}
		for _, i := range indexes {
			g.about[i] = append(g.about[i], c.ID)
		}
	}
	return nil
}

// referring finds the entries that name nobody and refer to one that was found:
// that a recipient was told of it, what the recipient answered, that keys are shredded.
func (g *gathering) referring() error {
	queue := slices.Collect(maps.Keys(g.about))
	for len(queue) > 0 {
		to := queue[0]
		queue = queue[1:]
		err := g.snap.Referring(to, func(i ledger.Index, _ ledger.Kind) error {
			if g.about[i] != nil {
				return nil
			}
			_, e, err := readEntry(g.snap, i)
			if err == nil && len(e.About) == 0 { // what names the person was found
				g.about[i] = slices.Clone(g.about[to])
				queue = append(queue, i)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// entries reads the entries and opens what they commit to.
func (g *gathering) entries() error {
	for _, i := range slices.Sorted(maps.Keys(g.about)) {
		text, e, err := readEntry(g.snap, i)
		if err != nil {
			return err
		}
		slices.Sort(g.about[i])
		held := HeldEntry{Entry: e, Leaf: ledger.LeafHash(text), Text: string(text), Of: g.about[i]}
		g.leaveOut(&held)
		for _, c := range e.Commits {
			claim, err := g.open(held.Of, commitmentAt{i, c})
			if err != nil {
				return err
			}
			held.Claims = append(held.Claims, claim)
		}
		g.Entries = append(g.Entries, held)
	}
	g.findFiles()
	return nil
}

// findFiles finds the bytes of files of which an entry has the hash and another one,
// such as that of a mail that was attached later, the bytes.
func (g *gathering) findFiles() {
	kept := map[string]*HeldFile{}
	var files []*HeldFile
	for _, e := range g.Entries {
		for _, c := range e.Claims {
			if c.File != nil && c.File.Kept {
				kept[c.File.SHA256] = c.File
			} else if c.File != nil {
				files = append(files, c.File)
			}
		}
	}
	for _, f := range files {
		if k := kept[f.SHA256]; k != nil {
			f.Size, f.Kept, f.blob = k.Size, true, k.blob
		}
	}
}

// leaveOut leaves out of an entry what names records that are not the person's, or
// not any more.
func (g *gathering) leaveOut(e *HeldEntry) {
	foreign := func(id ledger.ConsentID) bool { _, own := g.keys[id]; return !own }
	var lines []string
	for _, l := range e.Consents {
		if foreign(l.Consent) {
			lines = append(lines, fmt.Sprintf("\nconsent %d after %d\n", l.Consent, l.After))
		}
	}
	for _, id := range e.About {
		if foreign(id) {
			lines = append(lines, fmt.Sprintf("\nabout %d\n", id))
		}
	}
	for _, line := range lines {
		e.Text = strings.Replace(e.Text, line, "\n", 1)
	}
	e.Omitted = len(lines)
	e.Consents = slices.DeleteFunc(e.Consents, func(l ledger.Link) bool { return foreign(l.Consent) })
	e.About = slices.DeleteFunc(e.About, foreign)
}

// open opens a claim under the key of one of the person's records that it may be
// about, or else under the ledger's own.
func (g *gathering) open(of []ledger.ConsentID, c commitmentAt) (held HeldClaim, err error) {
	for _, id := range of {
		d, blob, ok, err := g.view.OpenClaim(g.keys[id], c.index, c.Digest)
		if err != nil {
			return held, err
		}
		if ok {
			return heldClaim(d, blob), nil
		}
	}
	d, blob, ok, err := g.view.OpenClaim(g.s.vault.LedgerKey(), c.index, c.Digest)
	if err == nil && !ok {
		err = c.missing()
	}
	return heldClaim(d, blob), err
}

func heldClaim(d ledger.Disclosure, blob *vault.BlobRef) HeldClaim {
	c := HeldClaim{Disclosure: d}
	if file, ok := parseFile(d.Value); ok {
		c.File = &HeldFile{Name: file.Name, MediaType: file.MediaType, SHA256: file.SHA256, Kept: blob != nil}
		if blob != nil {
			c.File.Size, c.File.blob = blob.Size, *blob
		}
	}
	return c
}

// WriteFile writes the bytes of a file that is kept, at most 512 KiB of them at a
// time in memory. It is refused once one of the records is erased, whatever the vault
// still has. An error may come after some bytes were written.
func (d *Dossier) WriteFile(f *HeldFile, w io.Writer) error {
	ids := make([]ledger.ConsentID, len(d.Consents))
	for i, c := range d.Consents {
		ids[i] = c.ID
	}
	return d.s.writeFile(f, w, ids)
}

// writeFile writes the bytes of a file that is kept, unless one of these records is
// erased.
func (s *Service) writeFile(f *HeldFile, w io.Writer, of []ledger.ConsentID) error {
	if err := s.stillHeld(of); err != nil {
		return err
	}
	sum := sha256.New()
	if err := s.vault.ReadBlob(f.blob, io.MultiWriter(w, sum)); errors.Is(err, vault.ErrGone) {
		return errGoneMeanwhile
	} else if err != nil {
		return fmt.Errorf("reading a file: %w", err)
	}
	if hex.EncodeToString(sum.Sum(nil)) != f.SHA256 {
		return fmt.Errorf("%w: the bytes of a file are others", vault.ErrDamaged)
	}
	return nil
}

// stillHeld refuses records of which one is erased.
func (s *Service) stillHeld(ids []ledger.ConsentID) error {
	snap := s.log.Snapshot()
	defer snap.Release()
	for _, id := range ids {
		if c, _, err := snap.Consent(id); err != nil {
			return err
		} else if c.Overlays.Has(ledger.Erased) {
			return errGoneMeanwhile
		}
	}
	return nil
}

// suppressed finds for what the person's identifiers stand on the suppression list.
func (g *gathering) suppressed() error {
	if !g.s.vault.AnySuppressed() {
		return nil
	}
	names := []string{ledger.AllMarketing}
	g.snap.Purposes(func(p ledger.Purpose) { names = append(names, p.ID) })
	slices.Sort(names)
	for _, id := range g.Identifiers {
		listed, err := suppressed(g.view, []vault.Identifier{id.inVault()}, names)
		if err != nil {
			return err
		}
		for _, name := range listed {
			g.Suppressed = append(g.Suppressed, Listed{id, name})
		}
	}
	return nil
}

// unverified counts what is kept under the identifier of others.
func (g *gathering) unverified(id Identifier) error {
	all, err := everybody(g.view, g.snap, g.Size, id)
	if err != nil || len(g.Disclosed) == 0 {
		return err
	}
	for _, who := range all {
		for _, c := range who.all() {
			if _, own := g.keys[c.ID]; !own && ledger.Index(c.ID) < g.Disclosed[0].Index {
				g.Unverified++
			}
		}
	}
	return nil
}
