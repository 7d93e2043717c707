package ledger

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErasureReport says what an erasure receipt proves.
type ErasureReport struct {
	Format  string `json:"format"` // consent-ledger/verify-erasure/v1
	Verdict string `json:"verdict"`
	Reason  string `json:"reason,omitempty"` // why the verdict is not VERIFIED
	Origin  string `json:"origin,omitempty"`
	// Entries are those of the receipt that are proven to be in the log.
	Entries []ErasureEntry `json:"entries"`

	// What follows, up to the anchors, is filled only when the verdict is VERIFIED.

	// Consents are all that the entry erases, ascending: those of one person, or
	// of several who were erased together.
	Consents      []ConsentID `json:"consents"`
	ErasureReason string      `json:"erasure_reason,omitempty"` // FORMAT.md lists the reasons of erasure
	Recorded      time.Time   `json:"recorded,omitzero"`        // when the erasure was recorded, by the operator's clock
	// Generation numbers the root key that replaced the destroyed one; Medium is
	// where the destroyed one lay.
	Generation int64  `json:"generation,omitempty"`
	Medium     string `json:"medium,omitempty"`
	// ContentsDestroyed says from when on nobody can read the erased data.
	ContentsDestroyed time.Time `json:"contents_destroyed,omitzero"`
	// ExistenceDue says by when nobody shall find that the person was known;
	// ExistenceDestroyed from when on, zero unless the receipt records it.
	ExistenceDue       time.Time `json:"existence_due,omitzero"`
	ExistenceDestroyed time.Time `json:"existence_destroyed,omitzero"`

	// Anchors says whose word the history rests on: UNANCHORED, or the witnesses
	// of every checkpoint in the receipt.
	Anchors    string   `json:"anchors,omitempty"`
	Witnesses  []string `json:"witnesses,omitempty"`
	Checked    []string `json:"checked"`
	NotChecked []string `json:"not_checked"`
	// CannotProve lists what this receipt cannot show.
	CannotProve []string `json:"cannot_prove"`
}

// ErasureEntry is an entry that an erasure receipt proves to be in the log of
// this size and root.
type ErasureEntry struct {
	Index    Index     `json:"index"`
	Kind     string    `json:"kind,omitempty"`
	Time     time.Time `json:"time,omitzero"`
	LeafHash string    `json:"leaf_hash"`
	Size     Size      `json:"size"`
	Root     string    `json:"root"`
	// Cosigned and Bounds are as in [ReceiptReport].
	Cosigned []Cosigned `json:"cosigned,omitempty"`
	Bounds   *Interval  `json:"bounds,omitempty"`
}

// VerifyErasureReceipt checks an erasure receipt under a policy: that each of
// its entries is in the log, as [VerifyReceipt] does; that they are one whole
// subject.erased, each part of which an evidence.shredded after it says is
// carried out; and that nothing in it contradicts the rest. keys is the content
// of a trust.keys file, or empty. The error says why the verdict is not
// Verified; the report is never nil.
func VerifyErasureReceipt(receipt []byte, policy *Policy, keys []byte) (*ErasureReport, error) {
	rep := &ErasureReport{Format: "consent-ledger/verify-erasure/v1", Entries: []ErasureEntry{}, Consents: []ConsentID{},
		Checked: []string{}, NotChecked: []string{}, CannotProve: []string{}}
	err := rep.verify(receipt, policy, keys)
	rep.Verdict = VerdictOf(err).String()
	if err != nil {
		rep.Reason = err.Error()
	}
	return rep, err
}

func (rep *ErasureReport) verify(receipt []byte, policy *Policy, keys []byte) error {
	policy, err := policy.WithKeys(keys)
	if err != nil {
		return err
	}
	r, err := ParseErasureReceipt(receipt)
	if err != nil {
		return fmt.Errorf("erasure receipt: %w", err)
	}
	var newer error
	x := erasure{phases: map[Index]ErasurePhase{}}
	for _, s := range r.Sections {
		entry, err := ParseEntry(s.Entry)
		if err != nil && !errors.Is(err, ErrNewer) {
			return fmt.Errorf("erasure receipt: %w", err)
		}
		if newer == nil && err != nil {
			newer = fmt.Errorf("entry %d: %w", s.Receipt.Index, err)
		}
		leaf := LeafHash(s.Entry)
		if err := rep.prove(&s.Receipt, entry, leaf, policy); err != nil {
			return fmt.Errorf("entry %d: %w", s.Receipt.Index, err)
		}
		if newer != nil {
			continue // what the receipt says of the erasure can no longer be judged
		}
		if err := x.add(entry, leaf); err != nil {
			return err
		}
	}
	rep.Checked = append(rep.Checked, "both signatures of every checkpoint, Ed25519 and ML-DSA-44", "that every entry is in the log at its index")
	if newer != nil {
		rep.NotChecked = append(rep.NotChecked, "what the receipt says of the erasure: it needs a newer verifier")
		return newer
	}
	if err := x.complete(); err != nil {
		return err
	}
	rep.Checked = append(rep.Checked, "that the erasure's list is whole", "that every part of it is recorded, after it, as carried out")
	rep.NotChecked = append(rep.NotChecked, "the rest of the log: use verify log on a copy of it")
	rep.tell(&x)
	return nil
}

// prove checks one entry's receipt, and that its checkpoint contradicts none
// before it.
func (rep *ErasureReport) prove(r *Receipt, entry *Entry, leaf Hash, policy *Policy) error {
	head, err := r.open(entry, leaf, policy)
	if err != nil {
		return err
	}
	witnesses := policy.independent(head.Witnesses)
	if len(rep.Entries) > 0 {
		witnesses = slices.DeleteFunc(witnesses, func(name string) bool { return !slices.Contains(rep.Witnesses, name) })
	}
	rep.Origin, rep.Witnesses, rep.Anchors = head.Origin, witnesses, policy.Anchors(witnesses, nil)
	root := head.Root.String()
	for _, e := range rep.Entries {
		if e.Size == head.Size && e.Root != root {
			return fmt.Errorf("at %d entries the root is %s, but %s in the receipt of entry %d: the log has shown two histories",
				head.Size, root, e.Root, e.Index)
		}
	}
	const sizes = "that the receipt's checkpoints, which are of different sizes, are of one history"
	if n := len(rep.Entries); n > 0 && rep.Entries[n-1].Size != head.Size {
		rep.note(sizes)
	}
	for _, line := range head.Unchecked {
		rep.note("signature line by a key outside the policy: " + line)
	}
	rep.Entries = append(rep.Entries, ErasureEntry{r.Index, string(entry.Kind), entry.Time, leaf.String(), head.Size, root, head.Cosigned, nil})
	return nil
}

// note adds to what is not checked, once.
func (rep *ErasureReport) note(line string) {
	if !slices.Contains(rep.NotChecked, line) {
		rep.NotChecked = append(rep.NotChecked, line)
	}
}

// tell fills in what the receipt says of the erasure, and what it cannot show.
func (rep *ErasureReport) tell(x *erasure) {
	first := x.parts[0]
	for _, e := range x.parts {
		for _, l := range e.Consents {
			rep.Consents = append(rep.Consents, l.Consent)
		}
	}
	rep.ErasureReason, rep.Recorded, rep.Medium = first.Reason, first.Time, x.shredded[0].Medium
	for _, e := range x.shredded {
		rep.ContentsDestroyed, rep.ExistenceDue = latest(rep.ContentsDestroyed, e.Contents), latest(rep.ExistenceDue, e.ExistenceDue)
		if !e.Contents.IsZero() {
			rep.Generation = max(rep.Generation, e.Generation)
		}
		if x.waiting == 0 {
			rep.ExistenceDestroyed = latest(rep.ExistenceDestroyed, e.Existence)
		}
	}
	rep.CannotProve = append(rep.CannotProve,
		"that the controller did what it recorded: the receipt shows its signed word, which it can no longer take back unnoticed",
		mediumLimits[rep.Medium],
		"that nobody made a copy of the root key before it was destroyed: with one, and data from before, the erased can still be read")
	if rep.ExistenceDestroyed.IsZero() {
		rep.CannotProve = append(rep.CannotProve, fmt.Sprintf("that nobody who runs the ledger can find out whether a guessed address was in it: "+
			"promised by %s, and no entry of this receipt records it; ask for a receipt after that", rep.ExistenceDue.Format(secondsLayout)))
	}
	rep.CannotProve = append(rep.CannotProve,
		"whose consents these were: the log names nobody, and several people can be erased together; compare the numbers with those that you were given",
		"that no copy of the data is kept outside the ledger: in a mailing system, an export, a proof that was handed out",
		"absolute time: entry times are the operator's clock unless an anchor bounds them",
		"that the operator keeps no second log under another name")
}

// mediumLimits says, for each medium of a root key, what its destruction there
// does not guarantee.
var mediumLimits = map[string]string{
	"file": "that no trace of the destroyed root key is left where it lay, in a file: overwriting it does not reach " +
		"older bytes that an SSD, a snapshot or a backup of its volume may keep",
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// erasure is what the entries of an erasure receipt say together.
type erasure struct {
	chain    Chain    // of the entries, as far as they follow each other
	parts    []*Entry // the subject.erased: one entry, or all parts of a list
	shredded []*Entry // the evidence.shredded
	phases   map[Index]ErasurePhase
	waiting  int // how many of the parts' existence is not recorded as destroyed
}

// add takes the next entry of the receipt.
func (x *erasure) add(e *Entry, leaf Hash) error {
	if err := x.follow(e, leaf); err != nil {
		return err
	}
	switch {
	case e.Kind == SubjectErased && (len(x.parts) == 0 || e.Part > 1):
		x.parts, x.phases[e.Index], x.waiting = append(x.parts, e), ContentsWait, x.waiting+1
		return nil
	case e.Kind == SubjectErased:
		return fmt.Errorf("entry %d: an erasure receipt is about one erasure, and begins with it", e.Index)
	case e.Kind != EvidenceShredded:
		return fmt.Errorf("entry %d: %s does not belong in an erasure receipt", e.Index, e.Kind)
	case e.Source != SourceLedger:
		return fmt.Errorf("entry %d: only the ledger itself writes %s", e.Index, e.Kind)
	}
	return x.shred(e)
}

// follow demands what a log demands of entries that stand in this order: none
// in between may be missing only where the indexes leave room for it.
func (x *erasure) follow(e *Entry, leaf Hash) error {
	switch next := Index(x.chain.Size()); {
	case e.Index < next:
		return fmt.Errorf("entry %d: stands after entry %d", e.Index, next-1)
	case e.Index > next && !x.chain.Complete():
		return fmt.Errorf("entry %d, a part of the erasure's list, is missing", next)
	case e.Index > next:
		x.chain = ResumeChain(Size(e.Index), e.Prev, x.chain.Last())
	}
	return x.chain.Add(e, leaf)
}

// shred notes which parts an evidence.shredded says are carried out. It may
// refer to other erasures, too.
func (x *erasure) shred(e *Entry) error {
	about := 0
	for _, i := range e.Refers {
		phase, ours := x.phases[i]
		switch {
		case !ours:
			continue
		case phase == ContentsWait && !e.Contents.IsZero():
			x.phases[i] = ExistenceWaits
		case phase == ExistenceWaits && e.Contents.IsZero():
			x.phases[i] = NoErasure
			x.waiting--
		default:
			return fmt.Errorf("entry %d: what it records of entry %d is not what was to come next", e.Index, i)
		}
		about++
	}
	if about == 0 {
		return fmt.Errorf("entry %d: refers to another erasure than the receipt's", e.Index)
	}
	x.shredded = append(x.shredded, e)
	return nil
}

// complete demands that no part is missing and each is recorded as carried out.
func (x *erasure) complete() error {
	if !x.chain.Complete() {
		return fmt.Errorf("entry %d, a part of the erasure's list, is missing", x.chain.Size())
	}
	for _, e := range x.parts {
		if x.phases[e.Index] == ContentsWait {
			return fmt.Errorf("entry %d: no entry of the receipt records that its keys are destroyed", e.Index)
		}
	}
	return nil
}
