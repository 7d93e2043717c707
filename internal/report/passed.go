package report

import (
	"slices"
	"strings"

	"github.com/consentledger/consentledger/ledger"
)

// passedTo remembers to which processors data of a record were passed. There are few
// sets of processors, and many records.
type passedTo struct {
	sets   [][]string // each ascending
	number map[string]uint32
	of     map[ledger.ConsentID]uint32
}

func newPassedTo() passedTo {
	return passedTo{[][]string{nil}, map[string]uint32{"": 0}, map[ledger.ConsentID]uint32{}}
}

// add takes a consent.used.
func (p *passedTo) add(e *ledger.Entry) {
	if e.Processor == "" {
		return
	}
	for _, id := range e.About {
		set := p.sets[p.of[id]]
		if slices.Contains(set, e.Processor) {
			continue
		}
		set = union(set, []string{e.Processor})
		name := strings.Join(set, " ") // an identifier has no blank
		n, ok := p.number[name]
		if !ok {
			n = uint32(len(p.sets))
			p.sets, p.number[name] = append(p.sets, set), n
		}
		p.of[id] = n
	}
}

// take gives the processors of a record, ascending, and forgets them.
func (p *passedTo) take(id ledger.ConsentID) []string {
	set := p.sets[p.of[id]]
	delete(p.of, id)
	return set
}

// union gives what is in a or in b, ascending.
func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}
