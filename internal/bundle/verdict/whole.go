package verdict

import (
	"fmt"

	"github.com/consentledger/consentledger/ledger"
)

// wholeLog holds the bundle against a copy of the whole log: the log has the bundle's
// checkpoint in its history, so that what is proven here is there, and it has no entry
// that belongs in the bundle and is not in it.
func (v *verifier) wholeLog() error {
	if v.opt.Verify == nil {
		return nil
	}
	var left error
	log, err := v.opt.Verify(v.ctx, ledger.VerifyOptions{Policy: v.opt.Policy, Keys: v.opt.Keys, Since: v.head.Signed, Stamps: v.opt.Stamps,
		Each: func(e *ledger.Entry, _ *ledger.Effects, _ ledger.History) error {
			if why := v.wanted(e); left == nil && why != "" {
				left = fmt.Errorf("entry %d (%s), which %s, was left out of the bundle", e.Index, e.Kind, why)
			}
			return nil
		}})
	v.rep.Log = log
	if err != nil {
		return fmt.Errorf("held against the log: %w", err)
	}
	if left != nil {
		return left
	}
	v.checked("the whole log: it has the bundle's checkpoint in its history, and no entry up to its size was left out that concerns a record of the bundle or defines one of its purposes")
	if v.unsatisfied != nil {
		v.notChecked("the policy for the bundle alone, in place of which the log satisfies it: %v", v.unsatisfied)
	}
	if v.stamps = log; len(v.rep.Witnesses) == 0 {
		v.rep.Witnesses, v.rep.Cosigned = log.Witnesses, log.Cosigned
	}
	return nil
}

// wanted says why an entry of the log belongs in the bundle, "" if it does not or is
// there.
func (v *verifier) wanted(e *ledger.Entry) string {
	if v.entries[e.Index] != nil || ledger.Size(e.Index) >= v.head.Size {
		return ""
	}
	for _, l := range e.Consents {
		if v.byID[l.Consent] != nil {
			return fmt.Sprintf("changes consent %d", l.Consent)
		}
	}
	for _, id := range e.About {
		if v.byID[id] != nil {
			return fmt.Sprintf("mentions consent %d", id)
		}
	}
	switch {
	case e.Kind == ledger.KeyRotated:
		return "replaces the log's keys"
	case v.history == nil:
		return ""
	case e.Kind == ledger.PurposeDefined && v.history.purposes[e.Purpose].ID != "":
		return "defines a purpose of the bundle"
	case (e.Kind == ledger.ProcessorEngaged || e.Kind == ledger.ProcessorEnded) && v.history.processors[e.Processor].ID != "":
		return "concerns a processor of the bundle"
	}
	if len(e.Consents)+len(e.About) == 0 {
		for _, i := range e.Refers {
			if to := v.entries[i]; to != nil && len(to.owners) > 0 {
				return fmt.Sprintf("refers to entry %d", i)
			}
		}
	}
	return ""
}
