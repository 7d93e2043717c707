package service

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// What a look at the clock can find. At the moment that an item names nothing is
// late yet; what is late is so from the moment after.
const (
	watchRequestOverdue = "request_overdue"         // Art. 12(3) GDPR: the answer should have been given
	watchRequestDue     = "request_due"             // it must be given within requestAhead
	watchExpiring       = "confirmation_expiring"   // a request's newest link ends within linkAhead
	watchDormant        = "dormant"                 // not used for long: warned of, or stopped
	watchRetention      = "retention_due"           // a run of retention would do something
	watchNotEffected    = "withdrawal_not_effected" // an end is unheard of in a system longer than its purpose allows
	watchSilent         = "recipient_silent"        // told, and silent for recipientPatience
	watchUntold         = "recipient_untold"        // Art. 19 GDPR: a recipient is to be told and was not
)

// watched lists what can be found in the order in which it is told.
var watched = []string{watchRequestOverdue, watchRequestDue, watchNotEffected, watchUntold, watchSilent, watchExpiring, watchRetention, watchDormant}

const (
	requestAhead      = 7 * 24 * time.Hour
	linkAhead         = 24 * time.Hour
	recipientPatience = 30 * 24 * time.Hour
	watchFirst        = 20 // refs of an item
)

// Watch is what was overdue or coming due when somebody looked. It holds indexes
// and times only.
type Watch struct {
	AsOf  time.Time
	Size  ledger.Size
	Items []WatchItem // of what there is nothing, there is no item
}

// WatchItem is what is due for one reason. What is one of the words
// request_overdue, request_due, withdrawal_not_effected, recipient_untold,
// recipient_silent, confirmation_expiring, retention_due and dormant.
type WatchItem struct {
	What   string
	Count  int
	Oldest time.Time
	First  []WatchRef // those due first, at most 20
}

// WatchRef is one thing that is due: the index of the entry where to act, and
// when. That entry is the request.received of a rights request, the
// recipient.notified of a recipient who is silent, the entry of which a recipient
// is to be told (of several parts the first), the one that opened the request whose
// link ends, and otherwise the one that opened the consent.
type WatchRef struct {
	Index ledger.Index
	Due   time.Time
}

// watching keeps the newest look.
type watching struct {
	busy sync.Mutex // held by the one who looks

	mu   sync.Mutex
	last *Watch // guarded by mu; never changed
}

// Watch looks what is overdue or coming due, and keeps that for [Service.Status].
// Whoever is locked or erased is not looked at, except that what retention makes of
// them is, and what a recipient must be told of an erasure.
//
// It goes through the rows of all consents of one snapshot, once. It reads the
// entries of those that ended, that wait for a click, or whose purpose says what
// becomes of what nobody uses; and, while a processor is engaged, which entries
// mention a consent. Memory: 24 bytes per entry of which a recipient is still to be
// told, beside a fixed part.
func (s *Service) Watch(ctx context.Context) (*Watch, error) {
	s.watching.busy.Lock()
	defer s.watching.busy.Unlock()
	snap := s.log.Snapshot()
	defer snap.Release()
	w, err := newLook(ctx, snap, s.now().UTC()).all()
	if err != nil {
		return nil, err
	}
	s.watching.mu.Lock()
	defer s.watching.mu.Unlock()
	s.watching.last = w
	return w, nil
}

// newest gives the newest look, nil if nobody has looked.
func (w *watching) newest() *Watch {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// look is one look at the clock.
type look struct {
	ctx   context.Context
	snap  *store.Snapshot
	now   time.Time
	items map[string]*WatchItem

	request    ledger.ConsentID // whose link was counted last
	uses       *uses
	engaged    []ledger.Processor
	walk       *store.MentionWalk // while a processor is engaged; else nobody needs all mentions
	mentions   []store.Mention    // of the consent at hand, if there is a walk
	recipients *recipients
}

func newLook(ctx context.Context, snap *store.Snapshot, now time.Time) *look {
	l := &look{ctx: ctx, snap: snap, now: now, items: map[string]*WatchItem{}, uses: newUses(snap)}
	snap.Processors(func(p ledger.Processor) {
		if p.Ended.IsZero() {
			l.engaged = append(l.engaged, p)
		}
	})
	l.recipients = newRecipients(snap, l.engaged, l.uses)
	return l
}

// add counts something that is due.
func (l *look) add(what string, i ledger.Index, at time.Time) {
	item := l.items[what]
	if item == nil {
		item = &WatchItem{What: what, Oldest: at}
		l.items[what] = item
	}
	if item.Count++; at.Before(item.Oldest) {
		item.Oldest = at
	}
	ref := WatchRef{i, at}
	n, _ := slices.BinarySearchFunc(item.First, ref, func(a, b WatchRef) int {
		if c := a.Due.Compare(b.Due); c != 0 {
			return c
		}
		return int(a.Index - b.Index)
	})
	if n < watchFirst {
		item.First = slices.Insert(item.First, n, ref)
		item.First = item.First[:min(len(item.First), watchFirst)]
	}
}

func (l *look) all() (*Watch, error) {
	if err := l.requests(); err != nil {
		return nil, err
	}
	if err := l.silent(); err != nil {
		return nil, err
	}
	if len(l.engaged) > 0 {
		l.walk = l.snap.WalkMentions()
		defer l.walk.Close()
	}
	if err := l.snap.Consents(0, ledger.ConsentID(l.snap.Size()), l.consent); err != nil {
		return nil, err
	}
	for i, at := range l.recipients.todo {
		l.add(watchUntold, i, at)
	}
	w := &Watch{AsOf: l.now, Size: l.snap.Size()}
	for _, what := range watched {
		if item := l.items[what]; item != nil {
			w.Items = append(w.Items, *item)
		}
	}
	return w, nil
}

// requests looks at what persons ask for.
func (l *look) requests() error {
	return l.snap.OpenRights(func(r ledger.RightsRequest) error {
		switch {
		case l.now.After(r.Due):
			l.add(watchRequestOverdue, r.Index, r.Due)
		case !l.now.Before(r.Due.Add(-requestAhead)):
			l.add(watchRequestDue, r.Index, r.Due)
		}
		return nil
	})
}

// silent looks at recipients who were told and have not answered.
func (l *look) silent() error {
	open, err := l.snap.OpenNotifications()
	if err != nil {
		return err
	}
	for _, i := range open {
		_, e, err := readEntry(l.snap, i)
		if err != nil {
			return err
		}
		if at := happened(e).Add(recipientPatience); l.now.After(at) {
			l.add(watchSilent, i, at)
		}
	}
	return nil
}

// happened is when something happened as its source dates it, else as the ledger
// recorded it.
func happened(e *ledger.Entry) time.Time {
	if e.Occurred.IsZero() {
		return e.Time
	}
	return e.Occurred
}

// consent looks at one consent.
func (l *look) consent(c ledger.Consent) error {
	if err := l.ctx.Err(); err != nil {
		return err
	}
	if l.walk != nil {
		var err error
		if l.mentions, err = l.walk.Of(c.ID); err != nil {
			return err
		}
		if err := l.recipients.look(c, l.mentions); err != nil {
			return err
		}
	}
	if err := l.terms(c); err != nil {
		return err
	}
	if c.Overlays&(ledger.Locked|ledger.Erased) != 0 {
		return nil
	}
	return l.effected(c)
}

// terms looks at what the purpose's periods make of a consent.
func (l *look) terms(c ledger.Consent) error {
	if c.State.Allows() && c.State != ledger.Asserted && c.Overlays&(ledger.Locked|ledger.Erased) == 0 {
		return l.unused(c)
	}
	list, err := duesOf(published{l.snap}, c)
	if err != nil {
		return err
	}
	for _, d := range list {
		l.retention(d)
		// The consents of a request stand one behind the other.
		if c.State == ledger.Requested && !d.isPast(l.now) && !l.now.Before(d.at.Add(-linkAhead)) && c.Request != l.request {
			l.request = c.Request
			l.add(watchExpiring, ledger.Index(c.Request), d.at)
		}
	}
	return nil
}

// retention counts what a run of retention would do now.
func (l *look) retention(d due) {
	if d.measure != measureWarn && d.isPast(l.now) && !d.kept() {
		l.add(watchRetention, ledger.Index(d.consent.ID), d.at)
	}
}

// unused looks at a consent that counts as long as its purpose says.
func (l *look) unused(c ledger.Consent) error {
	p, _, err := l.snap.Purpose(c.Purpose)
	if err != nil || !decision.HasTerms(p) {
		return err
	}
	grant, _, err := decision.LifeOf(published{l.snap}, c, false)
	if err != nil {
		return err
	}
	var used decision.Stamp
	if decision.Rests(p) {
		if l.walk != nil {
			used, err = l.uses.newest(l.mentions)
		} else {
			used, err = l.uses.last(c.ID)
		}
		if err != nil {
			return err
		}
	}
	for _, d := range termsDue(c, p, history{grant: grant, used: used}) {
		l.retention(d)
	}
	at := decision.WarnedFrom(p, grant, used)
	if p.UnusedMeasure == decision.MeasureBlock {
		at = decision.Sooner(at, decision.RestsUntil(p, grant, used))
	}
	if decision.IsOver(at, l.now) {
		l.add(watchDormant, ledger.Index(c.ID), at)
	}
	return nil
}

// effected looks whether the end of a consent has taken effect everywhere in time:
// in every processor that is engaged for the purpose, one above it or any, since
// before the end, and where there is none, in any system.
func (l *look) effected(c ledger.Consent) error {
	p, _, err := l.snap.Purpose(c.Purpose)
	if err != nil || p.EffectHours == 0 || !hasEnded(c.State) {
		return err
	}
	end, err := firstEnd(published{l.snap}, c)
	if err != nil {
		return err
	}
	due := happened(end).Add(time.Duration(p.EffectHours) * time.Hour)
	if !l.now.After(due) {
		return nil
	}
	systems, err := l.effectedIn(c.ID, end.Index)
	if err != nil {
		return err
	}
	above, err := decision.Lineage(l.snap, c.Purpose)
	if err != nil {
		return err
	}
	missing := len(systems) == 0
	for _, e := range l.engaged {
		concerned := len(e.Covers) == 0 || slices.ContainsFunc(e.Covers, func(covered string) bool { return slices.Contains(above, covered) })
		missing = missing || concerned && !e.Since.After(end.Time) && !slices.Contains(systems, e.ID)
	}
	if missing {
		l.add(watchNotEffected, ledger.Index(c.ID), due)
	}
	return nil
}

// effectedIn names the systems in which an end is recorded to have taken effect.
func (l *look) effectedIn(id ledger.ConsentID, end ledger.Index) (systems []string, err error) {
	var at []ledger.Index
	err = l.snap.Mentions(id, ledger.Index(l.snap.Size()), func(i ledger.Index, kind ledger.Kind) bool {
		if i > end && kind == ledger.WithdrawalEffected {
			at = append(at, i)
		}
		return i > end
	})
	if err != nil {
		return nil, err
	}
	for _, i := range at {
		_, e, err := readEntry(l.snap, i)
		if err != nil {
			return nil, err
		}
		systems = append(systems, e.System)
	}
	return systems, nil
}

// hasEnded reports whether a record says that something ended that systems may go
// on with until they hear of it. What nobody ever granted has no such end.
func hasEnded(s ledger.State) bool {
	switch s {
	case ledger.Expired, ledger.Withdrawn, ledger.Objected, ledger.Revoked, ledger.Invalidated:
		return true
	}
	return false
}

// firstEnd gives the entry that ended a consent. If several did, one after the
// other, the first is it: after that nothing was allowed any more.
func firstEnd(r records, c ledger.Consent) (end *ledger.Entry, err error) {
	for i := c.Last; i >= 0; {
		e, err := r.Entry(i)
		if err != nil {
			return nil, err
		}
		if endsConsent(e.Kind) {
			end = e
		}
		i = decision.Previous(e, c.ID)
	}
	return end, nil
}

func endsConsent(k ledger.Kind) bool {
	switch k {
	case ledger.ConsentExpired, ledger.ConsentWithdrawn, ledger.ObjectionRecorded, ledger.ConsentRevoked, ledger.ConsentInvalidated:
		return true
	}
	return false
}
