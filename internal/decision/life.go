package decision

import "github.com/consentledger/consentledger/ledger"

// Previous gives the entry that changed a consent before e did, -1 where e did not
// change it, as the one that opened it.
func Previous(e *ledger.Entry, id ledger.ConsentID) ledger.Index {
	if i, ok := e.Follows(id); ok {
		return i
	}
	return -1
}

// LifeOf gives the newest grant of a consent, and its newest use if that is asked
// for. It reads as few entries as it can.
func LifeOf(l Log, c ledger.Consent, use bool) (grant, used Stamp, err error) {
	for i := c.Last; i >= 0; {
		e, err := l.Entry(i)
		if err != nil {
			return grant, used, err
		}
		if Grants(e.Kind) {
			grant = StampOf(e)
			break
		}
		i = Previous(e, c.ID)
	}
	if use {
		_, used, err = LastUse(l, c.ID)
	}
	return grant, used, err
}

// LastUse gives the newest use of a consent; -1 if there is none.
func LastUse(l Log, id ledger.ConsentID) (at ledger.Index, used Stamp, err error) {
	at, ok, err := l.LastUse(id)
	if !ok || err != nil {
		return -1, used, err
	}
	e, err := l.Entry(at)
	if err != nil {
		return -1, used, err
	}
	return at, StampOf(e), nil
}

// Grants reports whether an entry of a kind grants the consents that it opens or
// changes.
func Grants(kind ledger.Kind) bool {
	return kind == ledger.ConsentConfirmed || kind == ledger.ConsentGiven || kind == ledger.ConsentRenewed || kind == ledger.ConsentImported
}

// GroundOf gives the ground on which a consent is restricted, "" if it is not.
func GroundOf(l Log, c ledger.Consent) (string, error) {
	if !c.Overlays.Has(ledger.Restricted) {
		return "", nil
	}
	for i := c.Last; ; {
		e, err := l.Entry(i)
		if err != nil {
			return "", err
		}
		if e.Kind == ledger.RestrictionSet {
			return e.Ground, nil
		}
		i = Previous(e, c.ID)
	}
}
