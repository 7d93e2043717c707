package ledger

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// VerifyConsistency checks that a log has only grown: that the proof leads from
// the root of its first old entries to a later checkpoint (RFC 6962 § 2.1.2). A
// proof from the empty log, or between equal sizes, has no hashes; one between
// equal sizes demands equal roots. It verifies no signature.
//
// That a proof fails does not yet show that the log has two histories: whoever
// sent it may have sent a wrong one. Two roots of one size do; see [VerifyFork].
func VerifyConsistency(old Size, oldRoot Hash, later Checkpoint, proof []Hash) error {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("consistency of %d with %d entries: "+format, append([]any{old, later.Size}, args...)...)
	}
	switch {
	case old < 0 || old > later.Size:
		return refuse("a log does not shrink")
	case len(proof) > MaxProofHashes:
		return refuse("%d hashes are more than %d", len(proof), MaxProofHashes)
	case old == later.Size && oldRoot != later.Root:
		return refuse("the roots differ: %v and %v", oldRoot, later.Root)
	case old == 0 && oldRoot != emptyRoot:
		return refuse("%v is not the root of the empty log", oldRoot)
	case old == 0 || old == later.Size:
		if len(proof) > 0 {
			return refuse("a proof of %d hashes, want none", len(proof))
		}
		return later.check()
	}
	if err := tlog.CheckTree(proof, int64(later.Size), later.Root, int64(old), oldRoot); err != nil {
		return refuse("the proof does not lead from one root to the other")
	}
	return nil
}
