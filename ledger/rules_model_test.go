package ledger

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// model is a naive second reading of DESIGN § 4: it knows consents by number,
// keeps everything for ever and looks nothing up in the code's tables.
type model struct {
	consents map[int]*modelConsent
	requests []*modelRequest
}

type modelConsent struct {
	state      string
	restricted bool
	erased     bool
	last       int
	request    *modelRequest
	purpose    string
}

type modelRequest struct {
	token    int
	expires  time.Time
	revealed bool
	newest   int // index of its newest consent
	channel  string
	size     int
}

// open gives the open request with the token's lock.
func (m *model) open(token int, now time.Time) *modelRequest {
	for _, r := range m.requests {
		if r.token == token && !r.revealed && !now.After(r.expires) {
			return r
		}
	}
	return nil
}

// expired tells a token that came too late from one that nobody drew: the
// newest request with its lock, if it was never revealed.
func (m *model) expired(token int) bool {
	for _, r := range slices.Backward(m.requests) {
		if r.token == token {
			return !r.revealed
		}
	}
	return false
}

// request gives the rule that an opening entry violates, and records it.
func (m *model) request(index, token int, purpose, channel string, now, expires time.Time) string {
	switch {
	case purpose != "newsletter" && purpose != "email.open_tracking" && purpose != "survey":
		return "purpose"
	case channel == "any":
		return "channel"
	case purpose == "survey":
		return "notice_coverage"
	case !expires.After(now):
		return "expires"
	}
	r := m.open(token, now)
	switch {
	case r == nil:
		r = &modelRequest{token: token, expires: expires, channel: channel}
		m.requests = append(m.requests, r)
	case r.newest != index-1 || r.channel != channel || !r.expires.Equal(expires):
		return "lock_used"
	case r.size == 32:
		return "request_size"
	}
	r.newest, r.size = index, r.size+1
	m.consents[index] = &modelConsent{state: "requested", last: index, request: r, purpose: purpose}
	return ""
}

// change gives the rule that a changing entry violates, and records it.
func (m *model) change(index int, kind Kind, token int, links []Link, now time.Time) string {
	var r *modelRequest
	if kind == ConsentConfirmed || kind == ConfirmationRejected {
		if r = m.open(token, now); r == nil && m.expired(token) {
			return "token_expired"
		} else if r == nil {
			return "token"
		}
	}
	for _, l := range links {
		c := m.consents[int(l.Consent)]
		switch {
		case c == nil:
			return "consent"
		case c.last != int(l.After):
			return "after"
		case r != nil && c.request != r:
			return "token"
		case c.erased:
			return "erased"
		case (kind == ConsentConfirmed || kind == ConfirmationRejected) && c.state != "requested",
			kind == ConsentWithdrawn && c.state == "withdrawn":
			return "transition"
		case kind == RestrictionSet && c.restricted, kind == RestrictionLifted && !c.restricted:
			return "overlay"
		}
	}
	if r != nil {
		r.revealed = true
	}
	for _, l := range links {
		c := m.consents[int(l.Consent)]
		c.last = index
		switch kind {
		case ConsentConfirmed:
			c.state = "confirmed"
		case ConfirmationRejected:
			c.state = "lapsed"
		case ConsentWithdrawn:
			c.state = "withdrawn"
		case ObjectionRecorded:
			c.state = "objected"
		case RestrictionSet:
			c.restricted = true
		case RestrictionLifted:
			c.restricted = false
		case SubjectErased:
			c.erased = true
		}
	}
	return ""
}

// mention gives the rule that a mentioning entry violates, and the irregular
// facts it makes.
func (m *model) mention(kind Kind, about []ConsentID) (rule string, irregular []string) {
	for _, id := range about {
		c := m.consents[int(id)]
		if c == nil {
			return "consent", nil
		}
		regular := c.state == "requested"
		if kind == ConsentUsed {
			regular = c.state == "confirmed"
		}
		switch {
		case c.erased:
			irregular = append(irregular, string(kind)+".erased")
		case !regular:
			irregular = append(irregular, string(kind)+"."+c.state)
		case kind == ConsentUsed && c.restricted:
			irregular = append(irregular, "consent.used.restricted")
		}
	}
	return "", irregular
}

// stateLeaf is the leaf of the state tree as DESIGN § 5 spells it.
func (c *modelConsent) overlays() string {
	text := c.state
	if c.restricted {
		text += " restricted"
	}
	if c.erased {
		text += " erased"
	}
	return text
}

// TestRulesAgainstModel lets random histories run through the model and the
// code: what is refused, with which rule, what is irregular, and where every
// consent stands must be the same after every entry.
func TestRulesAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := newLogForTest(t)
		ref := l.prelude()
		m := &model{consents: map[int]*modelConsent{}}
		accepted := 0
		for range rapid.IntRange(1, 60).Draw(rt, "entries") {
			l.now = l.now.Add(time.Duration(rapid.IntRange(0, 3).Draw(rt, "hours")) * time.Hour)
			e, rule, irregular := m.draw(rt, l, ref)
			e.Index, e.Prev, e.Time = Index(len(l.texts)), l.prev, l.now
			text, err := e.Encode()
			if err != nil {
				rt.Fatal(err)
			}
			eff, err := l.replay.Add(mustParse(rt, text), LeafHash(text))
			if rule != "" {
				var violation *RuleError
				if !errors.As(err, &violation) || violation.Rule != rule {
					rt.Fatalf("%s: %v, the model says %s", e.Kind, err, rule)
				}
				// The server refuses it: it takes no index and leaves no trace. The
				// chain of the replay has it already, so the replay is built anew.
				l.rebuild()
				continue
			}
			if err != nil {
				rt.Fatalf("%s: %v, the model allows it", e.Kind, err)
			}
			accepted++
			l.texts, l.prev = append(l.texts, text), LeafHash(text)
			var names []string
			for _, irr := range eff.Irregular {
				names = append(names, irr.Name)
			}
			if !slices.Equal(names, irregular) {
				rt.Fatalf("%s: irregular is %v, the model says %v", e.Kind, names, irregular)
			}
			m.compare(rt, l.replay)
		}
	})
}

func mustParse(rt *rapid.T, text []byte) *Entry {
	e, err := ParseEntry(text)
	if err != nil {
		rt.Fatal(err)
	}
	return e
}

// rebuild replays the log's entries into a fresh replay.
func (l *logForTest) rebuild() {
	l.replay = NewReplay()
	for _, text := range l.texts {
		e, err := ParseEntry(text)
		if err != nil {
			l.Fatal(err)
		}
		if _, err := l.replay.Add(e, LeafHash(text)); err != nil {
			l.Fatal(err)
		}
	}
}

// draw draws an entry, and the model's word on it.
func (m *model) draw(rt *rapid.T, l *logForTest, ref NoticeRef) (e *Entry, rule string, irregular []string) {
	index := len(l.texts)
	kind := rapid.SampledFrom([]Kind{ConsentRequested, ConsentRequested, ConsentRequested, ConsentConfirmed, ConsentConfirmed,
		ConfirmationRejected, ConsentWithdrawn, ObjectionRecorded, RestrictionSet, RestrictionLifted, SubjectErased, ConfirmationSent, ConsentUsed}).Draw(rt, "kind")
	token := rapid.IntRange(1, 4).Draw(rt, "token")
	if kind == ConsentRequested {
		e = l.requested(token, rapid.SampledFrom([]string{"newsletter", "newsletter", "email.open_tracking", "survey", "catalogue"}).Draw(rt, "purpose"), ref)
		e.Channel = rapid.SampledFrom([]string{"email", "email", "email", "email", "sms", "any"}).Draw(rt, "channel")
		e.Expires = l.now.Add(time.Duration(rapid.IntRange(-1, 6).Draw(rt, "lifetime")) * time.Hour).Truncate(time.Second)
		if r := m.open(token, l.now); r != nil && rapid.IntRange(0, 3).Draw(rt, "join") > 0 {
			e.Expires, e.Channel = r.expires, r.channel
		}
		return e, m.request(index, token, e.Purpose, e.Channel, l.now, e.Expires), nil
	}
	ids := m.drawIDs(rt, index)
	e = l.changed(kind, ids...)
	for i, link := range e.Consents {
		e.Consents[i].After = Index(link.Consent)
		if c := m.consents[int(link.Consent)]; c != nil && rapid.IntRange(0, 9).Draw(rt, "after") > 0 {
			e.Consents[i].After = Index(c.last)
		}
	}
	if kind == ConfirmationSent || kind == ConsentUsed {
		rule, irregular = m.mention(kind, e.About)
		return e, rule, irregular
	}
	if kind == ConsentConfirmed || kind == ConfirmationRejected {
		e.Token = tokenForTest(token)
	}
	return e, m.change(index, kind, token, e.Consents, l.now), nil
}

// drawIDs draws one to three ids, mostly of consents that exist.
func (m *model) drawIDs(rt *rapid.T, index int) []ConsentID {
	ids := map[ConsentID]bool{}
	for range rapid.IntRange(1, 3).Draw(rt, "consents") {
		ids[ConsentID(rapid.IntRange(min(6, index-1), index-1).Draw(rt, "id"))] = true
	}
	var list []ConsentID
	for id := range ids {
		if m.consents[int(id)] != nil || rapid.IntRange(0, 9).Draw(rt, "unknown") == 0 || len(ids) == 1 {
			list = append(list, id)
		}
	}
	if list == nil {
		list = []ConsentID{6}
	}
	slices.Sort(list)
	return list
}

// compare demands that model and replay hold the same consents.
func (m *model) compare(rt *rapid.T, r *Replay) {
	n := 0
	err := r.Consents(0, 1<<40, func(c Consent) {
		n++
		want := m.consents[int(c.ID)]
		if want == nil || describe(c) != want.overlays() || int(c.Last) != want.last || c.Purpose != want.purpose {
			rt.Fatalf("consent %d is %+v, the model says %+v", c.ID, c, want)
		}
		leaf := string(AppendStateLeaf(nil, c))
		if !strings.HasSuffix(leaf, " state "+want.overlays()+"\n") {
			rt.Fatalf("consent %d has the leaf %q", c.ID, leaf)
		}
	})
	if err != nil || n != len(m.consents) {
		rt.Fatalf("%d consents, the model has %d; %v", n, len(m.consents), err)
	}
}
