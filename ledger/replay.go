package ledger

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"time"
)

// Replay is the state that a log's entries lead to, held compactly: 24 bytes
// per consent and about 50 per open lock. The zero value is not ready; use [NewReplay]. It implements
// [History] and [Referred]. It is not safe for concurrent use.
type Replay struct {
	chain    Chain
	consents consentTable
	open     lockTable
	purposes map[string]Purpose
	notices  map[string][]Notice
	sources  map[string]Source
	state    StateTree
	// erasures holds the subject.erased entries that are not yet carried out:
	// 0 while keys to their contents exist, then the Unix second by which nobody
	// shall find their existence any more.
	erasures map[Index]int64
	holds    map[Index][]ConsentID // the hold.set entries that are not lifted

	processors    map[string]Processor
	claims        map[string]bool
	rights        map[Index]rightsRow // the requests that wait for their answer
	notifications map[Index]bool      // the recipient.notified entries that are not acknowledged
	keys          KeyEntry            // the newest
	workers       int                 // goroutines that compute a state root; 0 is one
}

// rightsRow is a RightsRequest without its index, in Unix seconds.
type rightsRow struct {
	received, due int64
	extended      bool
}

// NewReplay gives the state of an empty log.
func NewReplay() *Replay {
	return &Replay{
		consents: consentTable{numbers: map[string]uint16{}},
		open:     newLockTable(),
		purposes: map[string]Purpose{},
		notices:  map[string][]Notice{},
		sources:  map[string]Source{},
		erasures: map[Index]int64{},
		holds:    map[Index][]ConsentID{},

		processors:    map[string]Processor{},
		claims:        map[string]bool{},
		rights:        map[Index]rightsRow{},
		notifications: map[Index]bool{},
	}
}

// Add checks the next entry against chain, rules and, for state.committed, the
// state tree, and applies it. leaf is the entry's leaf hash.
func (r *Replay) Add(e *Entry, leaf Hash) (*Effects, error) {
	s := new(step)
	if err := r.add(e, knownKinds[e.Kind], leaf, s); err != nil {
		return nil, err
	}
	return &s.eff, nil
}

// add is [Replay.Add] into a step that is there.
func (r *Replay) add(e *Entry, kind *knownKind, leaf Hash, s *step) error {
	if err := r.chain.Add(e, leaf); err != nil {
		return err
	}
	if err := s.run(e, kind, r); err != nil {
		return err
	}
	if e.Kind == StateCommitted {
		root, err := r.state.root(Size(e.Index), r.consents.each, r.workers)
		if err != nil {
			return err
		}
		if root != e.StateRoot {
			return &RuleError{"state_root", e.Index, -1, fmt.Sprintf("state root is %v, want %v", e.StateRoot, root)}
		}
	}
	if err := CheckRefers(e, r, &s.eff); err != nil {
		return err
	}
	r.refer(e)
	return r.apply(&s.eff)
}

// refer follows what later entries can refer to.
func (r *Replay) refer(e *Entry) {
	switch e.Kind {
	case SubjectErased:
		r.erasures[e.Index] = 0
	case EvidenceShredded:
		for _, i := range e.Refers {
			if e.Contents.IsZero() {
				delete(r.erasures, i)
			} else {
				r.erasures[i] = e.ExistenceDue.Unix()
			}
		}
	case HoldSet:
		r.holds[e.Index] = slices.Clone(e.About)
	case HoldLifted:
		delete(r.holds, e.Refers[0])
	case RequestAnswered, RequestRefused:
		delete(r.rights, e.Refers[0])
	case RecipientNotified:
		r.notifications[e.Index] = true
	case RecipientAcknowledged:
		delete(r.notifications, e.Refers[0])
	}
}

func (r *Replay) apply(eff *Effects) error {
	if eff.Opened != nil {
		if err := r.consents.add(*eff.Opened); err != nil {
			return err
		}
		r.state.Touch(eff.Opened.ID)
	}
	for _, c := range eff.Changed {
		r.consents.set(c)
		r.state.Touch(c.ID)
	}
	for _, c := range eff.Noted {
		r.consents.set(c) // its leaf in the state tree stays as it is
	}
	for _, o := range []*OpenRequest{eff.Open, eff.Former} {
		if o != nil {
			if err := r.open.set(o); err != nil {
				return err
			}
		}
	}
	if eff.Closed != nil {
		r.open.delete(*eff.Closed)
	}
	if eff.Purpose != nil {
		r.purposes[eff.Purpose.ID] = *eff.Purpose
	}
	if eff.Notice != nil {
		r.notices[eff.Notice.ID] = append(r.notices[eff.Notice.ID], *eff.Notice)
	}
	if eff.Source != nil {
		r.sources[eff.Source.Name] = *eff.Source
	}
	if p := eff.Processor; p != nil {
		r.processors[p.ID] = *p
	}
	if eff.Claim != "" {
		r.claims[eff.Claim] = true
	}
	if eff.KeyEntry != nil {
		r.keys = *eff.KeyEntry
	}
	if q := eff.Rights; q != nil {
		r.rights[q.Index] = rightsRow{q.Received.Unix(), q.Due.Unix(), q.Extended}
	}
	return nil
}

// Chain gives the chain as it stands.
func (r *Replay) Chain() *Chain { return &r.chain }

// PendingErasures counts the subject.erased entries whose keys are not yet
// recorded as shredded.
func (r *Replay) PendingErasures() (n int) {
	for _, due := range r.erasures {
		n += present(due == 0)
	}
	return n
}

// Overdue lists the subject.erased entries, ascending, whose existence should
// have been destroyed before the last entry and is not recorded as destroyed.
func (r *Replay) Overdue() (list []Index) {
	for i, due := range r.erasures {
		if due != 0 && r.chain.last.After(time.Unix(due, 0)) {
			list = append(list, i)
		}
	}
	slices.Sort(list)
	return list
}

// Erasure implements [Referred].
func (r *Replay) Erasure(i Index) (ErasurePhase, error) {
	due, ok := r.erasures[i]
	switch {
	case !ok:
		return NoErasure, nil
	case due == 0:
		return ContentsWait, nil
	}
	return ExistenceWaits, nil
}

// OpenRights counts the requests under Art. 15 to 22 GDPR that wait for their
// answer, and those of them that should have had it before the last entry.
func (r *Replay) OpenRights() (open, overdue int) {
	for _, row := range r.rights {
		overdue += present(r.chain.last.After(time.Unix(row.due, 0)))
	}
	return len(r.rights), overdue
}

// RightsRequest implements [Referred].
func (r *Replay) RightsRequest(i Index) (RightsRequest, bool, error) {
	row, ok := r.rights[i]
	return RightsRequest{i, time.Unix(row.received, 0).UTC(), time.Unix(row.due, 0).UTC(), row.extended}, ok, nil
}

// Notification implements [Referred].
func (r *Replay) Notification(i Index) (bool, error) { return r.notifications[i], nil }

// Held implements [Referred].
func (r *Replay) Held(i Index) ([]ConsentID, error) { return r.holds[i], nil }

// StateRoot gives the root of the state tree over the log as it stands.
func (r *Replay) StateRoot() (Hash, error) { return r.state.Root(r.chain.size, r.consents.each) }

// Consents calls yield for the consents with from ≤ id < to, ascending.
func (r *Replay) Consents(from, to ConsentID, yield func(Consent)) error {
	return r.consents.each(from, to, yield)
}

// Consent implements [History].
func (r *Replay) Consent(id ConsentID) (Consent, bool, error) {
	c, ok := r.consents.get(id)
	return c, ok, nil
}

// OpenRequest implements [History].
func (r *Replay) OpenRequest(lock Hash) (OpenRequest, bool, error) {
	open, ok := r.open.get(lock)
	return open, ok, nil
}

// Purpose implements [History].
func (r *Replay) Purpose(id string) (Purpose, bool, error) {
	p, ok := r.purposes[id]
	return p, ok, nil
}

// Notice implements [History].
func (r *Replay) Notice(id string, version int64) (Notice, bool, error) {
	list := r.notices[id]
	if version == 0 {
		version = int64(len(list))
	}
	if version < 1 || version > int64(len(list)) {
		return Notice{}, false, nil
	}
	return list[version-1], true, nil
}

// Source implements [History].
func (r *Replay) Source(name string) (Source, bool, error) {
	s, ok := r.sources[name]
	return s, ok, nil
}

// Processor implements [History].
func (r *Replay) Processor(id string) (Processor, bool, error) {
	p, ok := r.processors[id]
	return p, ok, nil
}

// Claim implements [History].
func (r *Replay) Claim(name string) (bool, error) { return r.claims[name], nil }

// KeyEntry implements [History].
func (r *Replay) KeyEntry() (KeyEntry, error) { return r.keys, nil }

// consentTable holds consents in ascending order of their ids, in chunks so
// that growing never copies what is there.
type consentTable struct {
	chunks [][]consentRow // all full but the last
	rows   int
	// starts gives for every 256 entries how many consents the entries before them
	// opened, which leaves few rows to be searched for an id.
	starts  []uint32
	names   []string // purposes by number
	numbers map[string]uint16
}

// consentRow is a Consent in 24 bytes: ids of 48 bits, and two values in a byte
// where they fit.
type consentRow struct {
	id, last     uint32 // their low bits
	evidence     Evidence
	idHigh       uint16
	lastHigh     uint16
	purpose      uint16
	channel      uint8
	stateBasis   uint8
	overlaysMode uint8
	toRequest    uint8 // id - Request; a request opens at most MaxPurposes consents
	held         uint8 // Holds, and keptBit if Kept
}

func (r *consentRow) key() ConsentID { return ConsentID(int64(r.idHigh)<<32 | int64(r.id)) }

// move takes over what an entry can change of a consent.
func (r *consentRow) move(c Consent) {
	r.last, r.lastHigh = uint32(c.Last), uint16(c.Last>>32)
	r.stateBasis = uint8(c.State) | uint8(c.Basis)<<4
	r.overlaysMode = uint8(c.Overlays) | uint8(c.Mode)<<4
	r.evidence, r.held = c.Evidence, heldByte(c)
}

const keptBit = 0x80 // Holds is at most MaxHolds and leaves it free

func heldByte(c Consent) uint8 {
	if c.Kept {
		return c.Holds | keptBit
	}
	return c.Holds
}

// consentChunk is how many rows a chunk holds, startBlock how many ids one of starts
// speaks of.
const (
	consentChunk = 1 << 14
	startBlock   = 256
)

func (t *consentTable) number(name string) (uint16, error) {
	n, ok := t.numbers[name]
	if !ok {
		if len(t.names) > 0xffff {
			return 0, errors.New("more than 65,536 purposes")
		}
		n, name = uint16(len(t.names)), strings.Clone(name) // not the text that it is a part of
		t.names = append(t.names, name)
		t.numbers[name] = n
	}
	return n, nil
}

// newRow gives the row of a consent that an entry opened.
func (t *consentTable) newRow(c Consent) (consentRow, error) {
	purpose, err := t.number(c.Purpose)
	distance := c.ID - c.Request
	if err == nil && (distance > 0xff || c.ID>>48 != 0 || t.rows == math.MaxUint32) {
		err = fmt.Errorf("entry %d: a request of more than 256 consents, or more entries than fit", c.ID)
	}
	row := consentRow{id: uint32(c.ID), idHigh: uint16(c.ID >> 32), purpose: purpose, channel: channelNumber(c.Channel), toRequest: uint8(distance)}
	row.move(c)
	return row, err
}

// add adds the consent that the next entry opened.
func (t *consentTable) add(c Consent) error {
	row, err := t.newRow(c)
	if err != nil {
		return err
	}
	if t.rows%consentChunk == 0 {
		t.chunks = append(t.chunks, make([]consentRow, 0, consentChunk))
	}
	for len(t.starts) <= int(c.ID/startBlock) {
		t.starts = append(t.starts, uint32(t.rows))
	}
	last := &t.chunks[len(t.chunks)-1]
	*last = append(*last, row)
	t.rows++
	return nil
}

// channelNumber numbers a channel, the reserved one last.
func channelNumber(name string) uint8 {
	if name == AnyChannel {
		return uint8(len(channels))
	}
	return uint8(slices.Index(channels, name))
}

func channelName(n uint8) string {
	if int(n) == len(channels) {
		return AnyChannel
	}
	return channels[n]
}

func (t *consentTable) row(n int) *consentRow { return &t.chunks[n/consentChunk][n%consentChunk] }

// find gives the number of the row of the lowest id that is not below id; that of the
// row after the last if there is none.
func (t *consentTable) find(id ConsentID) int {
	block, low, high := int(max(id, 0)/startBlock), t.rows, t.rows
	if block < len(t.starts) {
		low = int(t.starts[block])
	}
	if block+1 < len(t.starts) {
		high = int(t.starts[block+1])
	}
	return low + sort.Search(high-low, func(i int) bool { return t.row(low+i).key() >= id })
}

func (t *consentTable) get(id ConsentID) (Consent, bool) {
	n := t.find(id)
	if n == t.rows || t.row(n).key() != id {
		return Consent{}, false
	}
	return t.consent(t.row(n)), true
}

func (t *consentTable) consent(r *consentRow) Consent {
	id := r.key()
	return Consent{ID: id, Last: Index(int64(r.lastHigh)<<32 | int64(r.last)), State: State(r.stateBasis & 0xf), Basis: Basis(r.stateBasis >> 4),
		Overlays: Overlays(r.overlaysMode & 0xf), Mode: Mode(r.overlaysMode >> 4), Kept: r.held&keptBit != 0, Holds: r.held &^ keptBit,
		Evidence: r.evidence, Purpose: t.names[r.purpose], Channel: channelName(r.channel), Request: id - ConsentID(r.toRequest)}
}

func (t *consentTable) set(c Consent) { t.row(t.find(c.ID)).move(c) }

func (t *consentTable) each(from, to ConsentID, yield func(Consent)) error {
	for n := t.find(from); n < t.rows && t.row(n).key() < to; n++ {
		yield(t.consent(t.row(n)))
	}
	return nil
}
