package verdict

import (
	"fmt"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/ledger"
)

// ofRange checks an auditor's bundle: every entry of the range is there, and besides them
// only what they name or rest on. The rules can be checked only where the range begins
// with entry 0: then over all of it.
func (v *verifier) ofRange() error {
	if v.index.About != bundle.AboutRange {
		return nil
	}
	x := v.index.Range
	if x.Start < 0 || x.Start >= x.End || ledger.Size(x.End) > v.head.Size {
		return fmt.Errorf("%s: a range from %d to %d in a log of %d entries", bundle.KindIndex, x.Start, x.End, v.head.Size)
	}
	if missing := v.firstMissing(x.Start); missing < x.End {
		return fmt.Errorf("entry %d of the range is not in the bundle", missing)
	}
	replay := ledger.NewReplay()
	v.rep.Range = &RangeReport{x.Start, x.End, map[string]int{}}
	for _, e := range v.order {
		if !v.inRange(e) {
			if !standing(e.Kind) {
				return fmt.Errorf("entry %d: is not of the range", e.Index)
			}
			continue
		}
		v.rep.Range.Kinds[string(e.Kind)]++
		if x.Start > 0 {
			continue
		}
		eff, err := replay.Add(e.Entry, e.leaf)
		if err != nil {
			return err
		}
		v.irregular(eff.Irregular...)
	}
	v.checked("that all of the entries %d to %d are there", x.Start, x.End-1)
	if x.Start > 0 {
		v.unlessLog("the rules, for which the bundle does not hold the history")
	} else {
		v.checked("the rules and every committed state tree from entry 0 on")
	}
	return nil
}

// inRange reports whether an entry is one of those that an auditor's bundle is about.
func (v *verifier) inRange(e *entry) bool {
	x := v.index.Range
	return x != nil && x.Start <= e.Index && e.Index < x.End
}

// standing reports whether entries of a kind may stand in a bundle because another entry
// names them or rests on them.
func standing(kind ledger.Kind) bool {
	switch kind {
	case ledger.LedgerCreated, ledger.KeyRotated, ledger.SourceDeclared, ledger.PurposeDefined, ledger.NoticePublished, ledger.ClaimDeclared,
		ledger.ProcessorEngaged, ledger.ProcessorEnded, ledger.StateCommitted, ledger.CheckpointAnchored:
		return true
	}
	return false
}
