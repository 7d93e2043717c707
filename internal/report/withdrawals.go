package report

import (
	"slices"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// Withdrawals says what ended, when that took effect elsewhere, and whether anything
// was used after its end. An end is the first entry after which a record allows
// nothing any more: a withdrawal, an objection, a revocation, an invalidation or an
// expiry. The ends of the period are counted, and what became of them until the end
// of the log.
type Withdrawals struct {
	Ends      int64            `json:"ends"`
	ByKind    map[string]int64 `json:"ends_by_kind"`
	ByPurpose map[string]int64 `json:"ends_by_purpose"`
	ByChannel map[string]int64 `json:"ends_by_channel"`
	// BySystem measures from an end to the first record that it took effect in a
	// system.
	BySystem map[string]*Durations `json:"end_to_effect_by_system"`
	// Effect is about the ends of purposes that give a time for it.
	Effect Effect `json:"purposes_with_a_time"`
	// UsesAfter measures uses of what had ended, from the end, by the dates of their
	// sources.
	UsesAfter      *Durations       `json:"end_to_use_after_it"`
	UsesByKind     map[string]int64 `json:"uses_after_end_by_kind_of_end"`
	UsesDatedFirst int64            `json:"uses_recorded_after_end_and_dated_before"`
	// FirstUses lists the first 100 uses after an end.
	FirstUses []UseAfter `json:"first_uses_after_end"`

	ends       map[ledger.ConsentID]*end
	names      names
	purposes   map[string]ledger.Purpose
	processors map[string]ledger.Processor
}

// Effect says how ends took effect where there is a time for it: in every processor
// that was engaged for the purpose, for one above it or for any when it ended, and
// still is; where there is none, in any one system.
type Effect struct {
	Ends    int64 `json:"ends"`
	InTime  int64 `json:"in_time"`
	Late    int64 `json:"late"`
	Missing int64 `json:"not_effected"` // and the time is over
	Running int64 `json:"time_running"`
	// Erased counts those without whose records were erased meanwhile: what the
	// systems were told then is in the report on erasures.
	Erased int64 `json:"erased_without"`
	// FirstMissing lists the first 100 of Missing.
	FirstMissing []ledger.ConsentID `json:"first_not_effected"`
}

// UseAfter is a use of a record that had ended.
type UseAfter struct {
	Entry   ledger.Index     `json:"entry"`
	Consent ledger.ConsentID `json:"consent"`
	Seconds int64            `json:"seconds_after_end"`
}

// listed is how many facts are listed one by one.
const listed = 100

// end is kept small: there can be as many as consents. Times are Unix microseconds.
type end struct {
	at, recorded   int64
	effects        []effect
	purpose        uint32 // number of its name
	kind           uint8  // index in endKinds
	within, erased bool
}

// effect is the first record that an end took effect in a system.
type effect struct {
	at     int64
	system uint32
}

// names numbers purposes and systems.
type names struct {
	list   []string
	number map[string]uint32
}

func (n *names) of(name string) uint32 {
	i, ok := n.number[name]
	if !ok {
		i = uint32(len(n.list))
		n.list, n.number[name] = append(n.list, name), i
	}
	return i
}

func between(from, to int64) time.Duration { return time.Duration(to-from) * time.Microsecond }

func newWithdrawals() *Withdrawals {
	return &Withdrawals{ByKind: map[string]int64{}, ByPurpose: map[string]int64{}, ByChannel: map[string]int64{}, BySystem: map[string]*Durations{},
		Effect: Effect{FirstMissing: []ledger.ConsentID{}}, UsesAfter: new(Durations), UsesByKind: map[string]int64{}, FirstUses: []UseAfter{},
		ends: map[ledger.ConsentID]*end{}, names: names{number: map[string]uint32{}}, purposes: map[string]ledger.Purpose{}, processors: map[string]ledger.Processor{}}
}

func (w *Withdrawals) each(e *ledger.Entry, eff *ledger.Effects, _ ledger.History, within bool) error {
	if eff.Purpose != nil {
		w.purposes[eff.Purpose.ID] = *eff.Purpose
	}
	if eff.Processor != nil {
		w.processors[eff.Processor.ID] = *eff.Processor
	}
	if e.Kind == ledger.SubjectErased {
		for _, c := range eff.Changed {
			if end := w.ends[c.ID]; end != nil {
				end.erased = true
			}
		}
	}
	if kind := slices.Index(endKinds, e.Kind); kind >= 0 {
		if eff.Opened != nil {
			w.ended(e, uint8(kind), *eff.Opened, within)
		}
		for _, c := range eff.Changed {
			w.ended(e, uint8(kind), c, within)
		}
	}
	for _, id := range e.About {
		end := w.ends[id]
		switch {
		case end == nil || !end.within:
		case e.Kind == ledger.WithdrawalEffected:
			w.effected(end, e)
		case e.Kind == ledger.ConsentUsed:
			w.used(end, id, e)
		}
	}
	return nil
}

// endKinds lists what ends a record.
var endKinds = []ledger.Kind{ledger.ConsentWithdrawn, ledger.ObjectionRecorded, ledger.ConsentRevoked, ledger.ConsentInvalidated, ledger.ConsentExpired}

func (w *Withdrawals) ended(e *ledger.Entry, kind uint8, c ledger.Consent, within bool) {
	if w.ends[c.ID] != nil {
		return
	}
	w.ends[c.ID] = &end{at: happened(e).UnixMicro(), recorded: e.Time.UnixMicro(), kind: kind, purpose: w.names.of(c.Purpose), within: within}
	if within {
		w.Ends++
		w.ByKind[string(e.Kind)]++
		w.ByPurpose[c.Purpose]++
		w.ByChannel[c.Channel]++
	}
}

func (w *Withdrawals) effected(end *end, e *ledger.Entry) {
	x := effect{happened(e).UnixMicro(), w.names.of(e.System)}
	if slices.ContainsFunc(end.effects, func(before effect) bool { return before.system == x.system }) {
		return
	}
	end.effects = append(end.effects, x)
	if w.BySystem[e.System] == nil {
		w.BySystem[e.System] = new(Durations)
	}
	w.BySystem[e.System].add(between(end.at, x.at))
}

func (w *Withdrawals) used(end *end, id ledger.ConsentID, e *ledger.Entry) {
	took := between(end.at, happened(e).UnixMicro())
	if took < 0 {
		w.UsesDatedFirst++
		return
	}
	w.UsesAfter.add(took)
	w.UsesByKind[string(endKinds[end.kind])]++
	if len(w.FirstUses) < listed {
		w.FirstUses = append(w.FirstUses, UseAfter{e.Index, id, int64(took / time.Second)})
	}
}

func (w *Withdrawals) finish(_ ledger.Size, last time.Time) {
	for id, end := range w.ends {
		p := w.purposes[w.names.list[end.purpose]]
		if !end.within || p.EffectHours == 0 {
			continue
		}
		w.Effect.Ends++
		due := end.at + (time.Duration(p.EffectHours) * time.Hour).Microseconds()
		done, complete := w.complete(end)
		switch {
		case complete && done <= due:
			w.Effect.InTime++
		case complete:
			w.Effect.Late++
		case end.erased:
			w.Effect.Erased++
		case last.UnixMicro() > due:
			w.Effect.Missing++
			n, _ := slices.BinarySearch(w.Effect.FirstMissing, id)
			if n < listed {
				w.Effect.FirstMissing = slices.Insert(w.Effect.FirstMissing, n, id)
				w.Effect.FirstMissing = w.Effect.FirstMissing[:min(len(w.Effect.FirstMissing), listed)]
			}
		default:
			w.Effect.Running++
		}
	}
}

// complete gives when an end had taken effect wherever it must, if it has.
func (w *Withdrawals) complete(end *end) (done int64, complete bool) {
	at := map[string]int64{}
	for i, x := range end.effects {
		if at[w.names.list[x.system]] = x.at; i == 0 || x.at < done {
			done = x.at // in any one system
		}
	}
	expected := false
	for _, p := range w.processors {
		if !p.Ended.IsZero() || p.Since.UnixMicro() > end.recorded || !w.covers(p, w.names.list[end.purpose]) {
			continue
		}
		effected, ok := at[p.ID]
		if !ok {
			return 0, false
		}
		if !expected || effected > done {
			done = effected
		}
		expected = true
	}
	return done, expected || len(at) > 0
}

// covers reports whether a processor is engaged for a purpose, or one above it. One
// that is engaged for none in particular is so for any.
func (w *Withdrawals) covers(p ledger.Processor, purpose string) bool {
	if len(p.Covers) == 0 {
		return true
	}
	for purpose != "" {
		if slices.Contains(p.Covers, purpose) {
			return true
		}
		purpose = w.purposes[purpose].Parent
	}
	return false
}

func (w *Withdrawals) text(p *printer) {
	p.Line("Ends: %d. Uses after an end: %d; recorded after it and dated before: %d.", w.Ends, len(w.UsesAfter.seconds), w.UsesDatedFirst)
	x := w.Effect
	p.Line("Of purposes that give a time in which an end must take effect: %d; in time %d, late %d, not at all %d, erased before %d, time running %d.",
		x.Ends, x.InTime, x.Late, x.Missing, x.Erased, x.Running)
	p.counts("Ends by kind", w.ByKind)
	p.counts("Ends by purpose", w.ByPurpose)
	p.counts("Ends by channel", w.ByChannel)
	var lines []string
	for _, system := range sorted(w.BySystem) {
		lines = append(lines, system+"  "+w.BySystem[system].String())
	}
	p.List("From the end to its effect, by system", lines)
	p.List("Not effected: consents", ids(x.FirstMissing, x.Missing))
	if len(w.FirstUses) > 0 {
		p.Line("")
		p.Line("From the end to a use after it: %s", w.UsesAfter)
		p.counts("Uses after an end, by kind of the end", w.UsesByKind)
		p.List("Uses after an end: entry, consent, time since the end", useLines(w.FirstUses, len(w.UsesAfter.seconds)))
	}
}

func (*Withdrawals) cannotShow() []string {
	return []string{
		"messages that were sent and not recorded as uses",
		"that an end took effect where a system only says so",
	}
}
