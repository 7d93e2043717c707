package store

import (
	"maps"
	"slices"

	"github.com/consentledger/consentledger/ledger"
)

// layer holds what is not in the database yet.
type layer struct {
	consents map[ledger.ConsentID]ledger.Consent
	openings map[ledger.ConsentID]Opening // of those that were opened
	locks    map[ledger.Hash]seenLock
	mentions map[ledger.ConsentID][]mention  // ascending
	refers   map[[2]ledger.Index]ledger.Kind // by what is referred to, and the entry that does
	erasures map[ledger.Index]erasure
	holds    map[ledger.Index][]ledger.ConsentID // hold.set entries and their consents; nil once they are lifted

	rights        map[ledger.Index]*ledger.RightsRequest // nil once they are answered or refused
	notifications map[ledger.Index]bool                  // false once they are acknowledged

	anchors map[ledger.Index]ledger.Size // checkpoint.anchored entries and what was stamped
}

func newLayer() layer {
	return layer{map[ledger.ConsentID]ledger.Consent{}, map[ledger.ConsentID]Opening{}, map[ledger.Hash]seenLock{}, map[ledger.ConsentID][]mention{}, map[[2]ledger.Index]ledger.Kind{},
		map[ledger.Index]erasure{}, map[ledger.Index][]ledger.ConsentID{}, map[ledger.Index]*ledger.RightsRequest{}, map[ledger.Index]bool{},
		map[ledger.Index]ledger.Size{}}
}

// cleared gives an empty layer, in the room of this one if that is little.
func (l *layer) cleared() layer {
	const little = 64 // rows; to clear a map takes as long as it once was large
	if l.rows() > little {
		return newLayer()
	}
	clear(l.consents)
	clear(l.openings)
	clear(l.locks)
	clear(l.mentions)
	clear(l.refers)
	clear(l.erasures)
	clear(l.holds)
	clear(l.rights)
	clear(l.notifications)
	clear(l.anchors)
	return *l
}

// apply takes over what an entry did.
func (l *layer) apply(e *ledger.Entry, eff *ledger.Effects) {
	if eff.Opened != nil {
		l.consents[eff.Opened.ID], l.openings[eff.Opened.ID] = *eff.Opened, openingOf(e)
	}
	for _, c := range slices.Concat(eff.Changed, eff.Noted) {
		l.consents[c.ID] = c
	}
	for _, id := range e.About {
		l.mentions[id] = append(l.mentions[id], mention{e.Index, e.Kind})
	}
	for _, i := range e.Refers {
		l.refers[[2]ledger.Index{i, e.Index}] = e.Kind
	}
	switch e.Kind {
	case ledger.SubjectErased:
		l.erasures[e.Index] = erasure{}
	case ledger.EvidenceShredded:
		for _, i := range e.Refers {
			l.erasures[i] = erasure{e.Index, e.Contents.IsZero()}
		}
	case ledger.HoldSet:
		l.holds[e.Index] = e.About
	case ledger.HoldLifted:
		l.holds[e.Refers[0]] = nil
	case ledger.RequestAnswered, ledger.RequestRefused:
		l.rights[e.Refers[0]] = nil
	case ledger.RecipientNotified:
		l.notifications[e.Index] = true
	case ledger.RecipientAcknowledged:
		l.notifications[e.Refers[0]] = false
	case ledger.CheckpointAnchored:
		l.anchors[e.Index] = e.Size
	}
	if eff.Rights != nil {
		l.rights[eff.Rights.Index] = eff.Rights
	}
	for _, o := range []*ledger.OpenRequest{eff.Open, eff.Former} {
		if o != nil {
			l.locks[o.Lock] = seenLock{*o, false}
		}
	}
}

// rows is how many rows the layer will be.
func (l *layer) rows() int64 {
	n := len(l.consents) + len(l.locks) + len(l.refers) + len(l.erasures) + len(l.holds) + len(l.rights) + len(l.notifications) + len(l.anchors)
	for _, list := range l.mentions {
		n += len(list)
	}
	return int64(n)
}

// maxNoticeName is how long the name of a notice may be: an identifier, @ and a number.
const maxNoticeName = 64 + 1 + 19

// bytes is about how many bytes of a transaction these rows take.
func (l *layer) bytes() int64 {
	n := 96*int64(len(l.locks)) + 64*int64(len(l.erasures)+len(l.holds)+len(l.rights)+len(l.notifications)+len(l.anchors))
	n += 80 * int64(len(l.refers))
	for _, list := range l.mentions {
		n += 72 * int64(len(list))
	}
	for _, c := range l.consents {
		n += int64(72 + len(c.Purpose) + len(c.Channel) + maxNoticeName)
	}
	return n
}

// add lays what is newer over what is there.
func (l *layer) add(newer *layer) {
	maps.Copy(l.consents, newer.consents)
	maps.Copy(l.openings, newer.openings)
	maps.Copy(l.locks, newer.locks)
	for id, list := range newer.mentions {
		l.mentions[id] = append(l.mentions[id], list...)
	}
	maps.Copy(l.refers, newer.refers)
	maps.Copy(l.erasures, newer.erasures)
	maps.Copy(l.holds, newer.holds)
	maps.Copy(l.rights, newer.rights)
	maps.Copy(l.notifications, newer.notifications)
	maps.Copy(l.anchors, newer.anchors)
}

// appendRows appends the rows of the layer; one without a value is deleted. before
// gives what is kept of the opening of a consent that the layer did not open.
func (l *layer) appendRows(rows []row, before func(ledger.ConsentID) (Opening, error)) ([]row, error) {
	for id, c := range l.consents {
		o, ok := l.openings[id]
		if !ok {
			var err error
			if o, err = before(id); err != nil {
				return nil, err
			}
		}
		rows = append(rows, row{indexKey(consentKey, int64(id)), encodeConsent(c, o)})
	}
	for lock, seen := range l.locks {
		rows = append(rows, row{hashKey(lockKey, lock), encodeLock(seen)})
	}
	for id, list := range l.mentions {
		for _, m := range list {
			rows = append(rows, row{mentionKey(id, m.index), []byte(m.kind)})
		}
	}
	for i, kind := range l.refers {
		rows = append(rows, row{referKey(i[0], i[1]), []byte(kind)})
	}
	for i, e := range l.erasures {
		r := row{key: indexKey(erasureRow, int64(i))}
		if !e.gone {
			r.value = encodeIndex(e.shredded)
		}
		rows = append(rows, r)
	}
	for i, about := range l.holds {
		r := row{key: indexKey(holdRow, int64(i))}
		if about != nil {
			r.value = []byte{}
		}
		rows = append(rows, r)
	}
	for i, size := range l.anchors {
		rows = append(rows, row{anchorKey(size, i), []byte{}})
	}
	return l.appendWaiting(rows), nil
}
