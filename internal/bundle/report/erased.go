package report

import (
	"strings"

	"github.com/consentledger/consentledger/ledger"
)

// erasures says of records that were erased when that was recorded and when it was
// carried out: once for those that one entry erased.
func (d *document) erasures() {
	records := map[ledger.Index][]string{}
	var order []ledger.Index
	for i := range d.histories {
		h := &d.histories[i]
		if at := h.erased(); at != 0 {
			if records[at] == nil {
				order = append(order, at)
			}
			records[at] = append(records[at], number(h.ID))
		}
	}
	for _, at := range order {
		head, why := texts.ErasedWaits, []string{}
		for _, e := range d.entries {
			shredded := e.Kind == ledger.EvidenceShredded && e.answers(map[ledger.Index]bool{at: true})
			if shredded {
				head = texts.ErasedHead
			}
			if shredded || e.Index == at {
				why = append(why, d.both(e.Time)+": "+d.sentence(e)+" ("+d.entryRef(e.Index)+")")
			}
		}
		d.add(verdict{d.text(texts.ErasedOf, "list", strings.Join(records[at], ", ")), d.text(head), strings.Join(append(why, d.text(texts.ErasedProof)), "\n"), false})
	}
}

// erased gives the entry that erased the record, 0 if none did.
func (h *history) erased() ledger.Index {
	for _, s := range h.steps {
		if s.Kind == ledger.SubjectErased {
			return s.Index
		}
	}
	return 0
}
