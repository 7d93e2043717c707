package ledger

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// ReceiptReport says what a receipt proves.
type ReceiptReport struct {
	Format   string    `json:"format"` // consent-ledger/verify-receipt/v1
	Verdict  string    `json:"verdict"`
	Reason   string    `json:"reason,omitempty"`
	Origin   string    `json:"origin,omitempty"`
	Index    Index     `json:"index"`
	Size     Size      `json:"size"`
	Root     string    `json:"root,omitempty"`
	LeafHash string    `json:"leaf_hash,omitempty"`
	Kind     string    `json:"kind,omitempty"`
	Time     time.Time `json:"time,omitzero"`
	// Anchors says whose word the history rests on: UNANCHORED, or the witnesses.
	Anchors   string   `json:"anchors,omitempty"`
	Witnesses []string `json:"witnesses,omitempty"`
	// Cosigned says when each witness signed the checkpoint, by its own clock: the entry
	// was in the log then.
	Cosigned []Cosigned `json:"cosigned,omitempty"`
	// Bounds bounds the time of the entry, for whoever holds the log's report; see
	// [LogReport.Interval]. [VerifyReceipt] leaves it nil.
	Bounds     *Interval `json:"bounds,omitempty"`
	Checked    []string  `json:"checked"`
	NotChecked []string  `json:"not_checked"`
	// CannotProve lists what no receipt can show.
	CannotProve []string `json:"cannot_prove"`
}

// VerifyReceipt checks that the entry is in the log whose keys the policy
// names: that it parses, that the receipt (C2SP tlog-proof) proves its inclusion
// at its index, and both signatures of the checkpoint. keys is the content of a
// trust.keys file, or empty. The error says why the verdict is not Verified;
// the report is never nil.
func VerifyReceipt(receipt, entry []byte, policy *Policy, keys []byte) (*ReceiptReport, error) {
	rep := &ReceiptReport{Format: "consent-ledger/verify-receipt/v1", Checked: []string{}, NotChecked: []string{}, CannotProve: cannotProve}
	err := rep.verify(receipt, entry, policy, keys)
	rep.Verdict = VerdictOf(err).String()
	if err != nil {
		rep.Reason = err.Error()
	}
	return rep, err
}

func (rep *ReceiptReport) verify(receipt, text []byte, policy *Policy, keys []byte) error {
	policy, err := policy.WithKeys(keys)
	if err != nil {
		return err
	}
	proof, err := ParseReceipt(receipt)
	if err != nil {
		return fmt.Errorf("receipt: %w", err)
	}
	entry, newer := ParseEntry(text)
	if newer != nil && !errors.Is(newer, ErrNewer) {
		return fmt.Errorf("entry: %w", newer)
	}
	leaf := LeafHash(text)
	rep.Index, rep.LeafHash, rep.Kind, rep.Time = proof.Index, leaf.String(), string(entry.Kind), entry.Time
	head, err := proof.open(entry, leaf, policy)
	if head != nil {
		rep.Origin, rep.Size, rep.Root, rep.Witnesses = head.Origin, head.Size, head.Root.String(), policy.independent(head.Witnesses)
		rep.Anchors, rep.Cosigned = policy.Anchors(rep.Witnesses, nil), head.Cosigned
	}
	if err != nil {
		return err
	}
	rep.Checked = []string{"both signatures of the checkpoint, Ed25519 and ML-DSA-44", "that the entry is in the log at its index"}
	rep.NotChecked = []string{"the rest of the log: use verify log on a copy of it", "what happened to the consent after this entry"}
	for _, line := range head.Unchecked {
		rep.NotChecked = append(rep.NotChecked, "signature line by a key outside the policy: "+line)
	}
	if newer == nil {
		rep.Checked = append(rep.Checked, "the entry's form")
	}
	return newer
}

// open checks that the receipt proves the entry under the policy; of an entry
// that needs a newer verifier only what is known of it. The checkpoint is nil if
// it does not satisfy the policy.
func (r *Receipt) open(entry *Entry, leaf Hash, policy *Policy) (*OpenedCheckpoint, error) {
	head, err := OpenCheckpoint(r.Checkpoint, policy)
	switch {
	case err != nil && errors.Is(err, ErrPolicy) && !errors.As(err, new(otherKeysError)):
		return nil, fmt.Errorf("receipt: %w; fetch the receipt again when the witnesses have signed", err)
	case err != nil:
		return nil, fmt.Errorf("receipt: %w", err)
	case entry.Kind != "" && entry.Index != r.Index:
		return head, fmt.Errorf("the entry has index %d, the receipt %d", entry.Index, r.Index)
	case Size(r.Index) >= head.Size:
		return head, fmt.Errorf("receipt: index %d in a log of %d entries", r.Index, head.Size)
	}
	if err := tlog.CheckRecord(r.Proof, int64(head.Size), head.Root, int64(r.Index), leaf); err != nil {
		return head, errors.New("receipt: does not prove that this entry is in the log")
	}
	return head, nil
}
