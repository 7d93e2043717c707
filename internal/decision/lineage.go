package decision

import (
	"fmt"
	"slices"

	"github.com/consentledger/consentledger/ledger"
)

// Lineage gives a purpose and those above it, from the purpose up. A purpose
// that is not defined, such as all-marketing, has nothing above it.
func Lineage(in Purposes, purpose string) (list []string, err error) {
	for purpose != "" {
		if slices.Contains(list, purpose) { // in no log that follows its rules
			return nil, fmt.Errorf("purpose %s is above itself", purpose)
		}
		list = append(list, purpose)
		p, _, err := in.Purpose(purpose)
		if err != nil {
			return nil, err
		}
		purpose = p.Parent
	}
	return list, nil
}

// StopsOf gives the purposes of which an objection or a suppression stops this
// one: for marketing all marketing, then itself and those above it.
func StopsOf(in Purposes, p ledger.Purpose) (list []string, err error) {
	if p.Marketing {
		list = append(list, ledger.AllMarketing)
	}
	above, err := Lineage(in, p.ID)
	return append(list, above...), err
}
