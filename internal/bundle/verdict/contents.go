package verdict

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/ledger"
)

// What a bundle.exported commits to, and its bundle always discloses.
const (
	claimReason    = "reason"
	claimRecipient = "recipient"
)

// disclosures checks that every value that is disclosed is what its entry committed to,
// and that nothing is disclosed of what was erased.
func (v *verifier) disclosures() error {
	v.named, v.told = map[string]bool{}, map[string]string{}
	for _, f := range v.of(bundle.KindDisclosure) {
		if err := v.disclosure(f); err != nil {
			return fmt.Errorf("file %q: %w", f.Name, err)
		}
	}
	for _, e := range v.order {
		if len(e.owners) > 0 || v.inRange(e) {
			v.rep.Disclosed += len(e.disclosed)
			v.rep.Undisclosed += len(e.Commits) - len(e.disclosed)
		}
	}
	v.checked("that each of %d disclosed values is what its entry committed to", v.rep.Disclosed)
	return nil
}

func (v *verifier) disclosure(f bundle.FileInfo) error {
	text, err := v.c.File(f.Name)
	if err != nil {
		return err
	}
	d, err := ledger.ParseDisclosure(string(text))
	if err != nil {
		return err
	}
	e := v.entries[f.Index()]
	switch {
	case e == nil || len(e.owners) == 0:
		return errors.New("its entry is none of a record of the bundle")
	case d.Claim != f.Text:
		return fmt.Errorf("it discloses %s", d.Claim)
	}
	if digest, ok := e.Commit(d.Claim); !ok || digest != d.Digest() {
		return errors.New("the entry did not commit to it")
	}
	if v.isExported(e) {
		v.told[d.Claim] = d.Value
	} else if !slices.ContainsFunc(e.owners, func(r *record) bool { return !r.now.Overlays.Has(ledger.Erased) }) {
		return errors.New("it discloses what was erased")
	}
	e.disclosed = append(e.disclosed, d.Claim)
	var file struct {
		Name      string `json:"name"`
		MediaType string `json:"media_type"`
		SHA256    string `json:"sha256"`
	}
	if json.Unmarshal([]byte(d.Value), &file) == nil {
		if sum, err := hex.DecodeString(file.SHA256); err == nil && len(sum) == len(ledger.Hash{}) {
			v.named[file.SHA256] = true
		}
	}
	return nil
}

// files checks that every file is what a disclosed value names. Its content is not read:
// the container has its digest.
func (v *verifier) files() error {
	files := v.of(bundle.KindFile)
	for _, f := range files {
		if hex.EncodeToString(f.SHA256[:]) != f.Text {
			return fmt.Errorf("file %q: its content has another hash", f.Name)
		}
		if !v.named[f.Text] {
			return fmt.Errorf("file %q: no disclosed value names it", f.Name)
		}
	}
	if len(files) > 0 {
		v.checked("that each of %d files is what a disclosed value names", len(files))
	}
	return nil
}

// notices checks that every document is what an entry published, and that those of the
// notices are here that the records' entries, or those of the range, name as shown.
func (v *verifier) notices() error {
	published, refs := map[string]bool{}, map[ledger.NoticeRef]*entry{}
	for _, e := range v.order {
		if e.Kind == ledger.NoticePublished {
			refs[e.Notice] = e
			published[hex.EncodeToString(e.Notice.SHA256[:])] = true
			published[hex.EncodeToString(e.Facts[:])] = true
		}
	}
	for _, f := range v.of(bundle.KindNotice) {
		if hex.EncodeToString(f.SHA256[:]) != f.Text {
			return fmt.Errorf("file %q: its content has another hash", f.Name)
		}
		if !published[f.Text] {
			return fmt.Errorf("file %q: no entry published it", f.Name)
		}
	}
	shown := 0
	for _, e := range v.order {
		if e.Notice.ID == "" || len(e.owners) == 0 && !(v.inRange(e) && e.Kind == ledger.NoticePublished) {
			continue
		}
		by := refs[e.Notice]
		if by == nil {
			return fmt.Errorf("entry %d: its notice %s is published by no entry of the bundle", e.Index, e.Notice.Name())
		}
		for _, sum := range []ledger.Hash{by.Notice.SHA256, by.Facts} {
			if _, ok := v.c.Lookup(bundle.NoticePath(sum)); !ok && sum != (ledger.Hash{}) {
				return fmt.Errorf("entry %d: file %q of its notice is missing", e.Index, bundle.NoticePath(sum))
			}
		}
		shown++
	}
	if shown > 0 {
		v.checked("that the words of every notice that an entry names are those that were published")
	}
	return nil
}

// isExported reports whether an entry is a part of the bundle's own bundle.exported.
func (v *verifier) isExported(e *entry) bool {
	if v.index.Exported == nil {
		return false
	}
	first := v.entries[*v.index.Exported]
	return first != nil && e.Kind == ledger.BundleExported && e.Index-ledger.Index(max(e.Part-1, 0)) == first.Index
}

// export checks that the log records that the bundle was made, and what it shows, as
// custody.json has it.
func (v *verifier) export() error {
	u := v.custody
	if v.index.About == bundle.AboutRange {
		if u.Exported != nil || len(u.Disclosed) > 0 || u.Reason != "" || u.Recipient != "" {
			return fmt.Errorf("%s: an auditor's bundle leaves no entry, and has no reason and no recipient", bundle.KindCustody)
		}
		return nil
	}
	i := *v.index.Exported
	if u.Exported == nil || *u.Exported != i {
		return fmt.Errorf("%s: exported is not that of %s", bundle.KindCustody, bundle.KindIndex)
	}
	parts, err := v.allParts(i, ledger.BundleExported)
	if err != nil {
		return err
	}
	first := parts[0]
	switch {
	case u.Exporter != first.Source:
		return fmt.Errorf("%s: exporter is not the source of entry %d", bundle.KindCustody, i)
	case u.Reason != v.told[claimReason], u.Recipient != v.told[claimRecipient]:
		return fmt.Errorf("%s: reason or recipient is not what entry %d committed to and the bundle discloses", bundle.KindCustody, i)
	case len(first.disclosed) != len(first.Commits):
		return fmt.Errorf("entry %d: the bundle does not disclose its reason and recipient", i)
	case u.Made.Before(first.Time.Truncate(time.Second)):
		return fmt.Errorf("%s: made is before entry %d, which records it", bundle.KindCustody, i)
	}
	if err := v.shown(i+ledger.Index(len(parts)), u.Disclosed); err != nil {
		return err
	}
	v.checked("that the log records for whom and why the bundle was made, and what it shows")
	return nil
}

// allParts gives the entry of a kind that is about exactly the bundle's records, with all
// parts of its list.
func (v *verifier) allParts(i ledger.Index, kind ledger.Kind) (parts []*entry, err error) {
	var about []ledger.ConsentID
	for n := i; ; n++ {
		e := v.entries[n]
		if e == nil || e.Kind != kind || e.Part != 0 && ledger.Index(e.Part) != n-i+1 {
			return nil, fmt.Errorf("entry %d is no %s, or not all of it is in the bundle", n, kind)
		}
		parts, about = append(parts, e), append(about, e.About...)
		if e.Part == e.Parts {
			break
		}
	}
	if !slices.EqualFunc(about, v.records, func(id ledger.ConsentID, r *record) bool { return id == r.ID }) {
		return nil, fmt.Errorf("entry %d: is not about the records of the bundle", i)
	}
	return parts, nil
}

// shown checks the evidence.disclosed of a bundle that shows claims.
func (v *verifier) shown(next ledger.Index, listed []ledger.Index) error {
	var claims []string
	for _, e := range v.order {
		if !v.isExported(e) {
			claims = append(claims, e.disclosed...)
		}
	}
	slices.Sort(claims)
	if claims = slices.Compact(claims); len(claims) == 0 {
		if len(listed) > 0 {
			return fmt.Errorf("%s: nothing is disclosed that an entry would have to record", bundle.KindCustody)
		}
		return nil
	}
	parts, err := v.allParts(next, ledger.EvidenceDisclosed)
	if err != nil {
		return fmt.Errorf("what the bundle discloses is not recorded: %w", err)
	}
	if first := parts[0]; first.Occasion != "bundle" || !slices.Equal(slices.Sorted(slices.Values(first.Shown)), claims) {
		return fmt.Errorf("entry %d: records that %v was shown, the bundle discloses %v", next, first.Shown, claims)
	}
	if !slices.EqualFunc(listed, parts, func(i ledger.Index, e *entry) bool { return i == e.Index }) {
		return fmt.Errorf("%s: disclosed is not what entry %d records", bundle.KindCustody, next)
	}
	return nil
}
