package service

import (
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/ledger"
)

type naiveHold struct {
	index ledger.Index
	on    []*naiveRecord
}

func (n *naive) restrict(t *rapid.T, set bool) {
	var err error
	ground, src, list := "", shop, n.list
	if rapid.Bool().Draw(t, "by the legal role") {
		src, list = legal, n.held()
	}
	if set {
		ground = rapid.SampledFrom(ledger.Grounds()).Draw(t, "ground")
		_, err = n.f.s.SetRestriction(ctx, src, Restriction{Subject: email(n.who), Ground: ground})
	} else {
		_, err = n.f.s.LiftRestriction(ctx, src, n.f.lifting(email(n.who)))
	}
	if (err == nil) != (len(list) > 0) {
		t.Fatalf("restricting %d consents: %v", len(list), err)
	}
	keeps := ground == "art18_1_b" || ground == "art18_1_c"
	var move []*naiveRecord
	for _, r := range list {
		if r.restricted != set {
			move = append(move, r)
		} else if set && ground != "art18_1_d" && r.ground != ground {
			move = append(move, r)
		}
	}
	n.byRequest(move, func(r *naiveRecord) { r.restricted, r.kept, r.ground = set, set && (r.kept || keeps), ground })
}

// uwg is until when the proof of consent to calls is kept.
func (r *naiveRecord) uwg() time.Time {
	if r.granted.IsZero() || r.channel != "phone" || !naiveMarketing[r.purpose] {
		return time.Time{}
	}
	year, month, day := r.granted.UTC().Date()
	if month == time.February && day == 29 {
		day = 28
	}
	return time.Date(year+5, month, day, 24, 0, 0, 0, time.UTC)
}

// evidence is until when a record is kept for legal claims.
func (r *naiveRecord) evidence() time.Time {
	if until := r.uwg(); !until.IsZero() {
		return until
	}
	return time.Date(r.last.UTC().Year()+4, 1, 1, 0, 0, 0, 0, time.UTC)
}

// erase destroys what may be destroyed: nothing that a hold or a restriction
// keeps, and no proof of consent to calls, which is younger than five years.
// What of the person's is locked goes with the rest.
func (n *naive) erase(t *rapid.T) {
	want := ""
	former := slices.DeleteFunc(slices.Clone(n.locked), func(r *naiveRecord) bool { return r.life == n.life })
	for _, r := range slices.Concat(n.list, n.locked) {
		if r.life != n.life {
			continue
		}
		if r.kept || r.holds > 0 {
			want = "held"
		} else if want == "" && n.f.clock.now().Before(r.uwg()) {
			want = "uwg_7a"
		}
	}
	if len(n.list) == 0 {
		want = "subject"
	}
	_, err := n.f.s.EraseSubject(ctx, shop, Erasure{Subject: email(n.who), Reason: "art17", Mode: "shred_now"})
	if got := rule(t, err); got != want {
		t.Fatalf("erasing %d consents: refused at %q, want %q", len(n.list), got, want)
	}
	if want == "" {
		n.locked = former
		n.leave()
	}
}

const month = 30 * 24 * time.Hour

// retain does what is due: requests lapse, ended consents are locked, lapsed
// ones and those whose lock has ended are shredded unless something keeps them.
func (n *naive) retain() {
	now := n.f.clock.now()
	var expire []*naiveRecord
	for _, r := range n.list {
		if r.state == "requested" && now.After(r.expires) {
			expire = append(expire, r)
		}
	}
	n.end(expire, "lapsed")
	gone := func(r *naiveRecord) bool {
		lapsed := r.ended
		if r.expires.Before(lapsed) {
			lapsed = r.expires
		}
		switch {
		case r.purpose == opens && (r.state == "refused" || r.signalled) && !r.live():
			return false // it keeps tracking off
		case r.state == "lapsed" && now.After(lapsed.Add(month)):
			return !r.kept && r.holds == 0
		case !r.live() && r.state != "lapsed" && r.state != "objected" && now.After(r.ended.Add(month)):
			r.until = decision.Later(r.evidence(), r.ended.Add(month))
			n.locked = append(n.locked, r)
			return true
		}
		return false
	}
	had := len(n.list)
	n.list = slices.DeleteFunc(n.list, gone)
	n.locked = slices.DeleteFunc(n.locked, func(r *naiveRecord) bool { return now.After(r.until) && !r.kept && r.holds == 0 })
	if len(n.list) == 0 && had > 0 {
		n.leave()
	}
	for token, of := range n.tokens {
		of = slices.DeleteFunc(of, func(r *naiveRecord) bool { return !slices.Contains(n.list, r) })
		if n.tokens[token] = of; len(of) == 0 {
			delete(n.tokens, token)
			n.stale = append(n.stale, token)
		}
	}
}

func (n *naive) lock(t *rapid.T) {
	_, err := n.f.s.EraseSubject(ctx, shop, Erasure{Subject: email(n.who), Reason: "objection", Mode: "lock_then_shred"})
	if (err == nil) != (len(n.list) > 0) {
		t.Fatalf("locking %d consents: %v", len(n.list), err)
	}
	var until time.Time
	for _, r := range slices.Concat(n.list, n.locked) {
		if r.life == n.life {
			until = decision.Later(until, r.evidence())
		}
	}
	for _, r := range n.list {
		r.until = until
	}
	n.locked = append(n.locked, n.list...)
	n.leave()
}

// leave makes the person a stranger.
func (n *naive) leave() {
	for token := range n.tokens {
		n.stale = append(n.stale, token)
	}
	if n.manage != "" {
		n.staleManage = append(n.staleManage, n.manage)
	}
	n.list, n.tokens, n.manage = nil, map[string][]*naiveRecord{}, ""
	n.life++
}

func (n *naive) hold(t *rapid.T) {
	all := slices.Concat(n.locked, n.list)
	held, err := n.f.s.SetHold(ctx, legal, HoldRequest{Subject: email(n.who)})
	if (err == nil) != (len(all) > 0) || err == nil && held.Consents != len(all) {
		t.Fatalf("a hold on %d consents: %+v, %v", len(all), held, err)
	}
	if err == nil {
		for _, r := range all {
			r.holds++
		}
		n.holds = append(n.holds, naiveHold{held.Hold, all})
	}
}

func (n *naive) liftHold(t *rapid.T) {
	if len(n.holds) == 0 {
		t.Skip("no hold")
	}
	i := rapid.IntRange(0, len(n.holds)-1).Draw(t, "hold")
	if _, err := n.f.s.LiftHold(ctx, legal, HoldRelease{Hold: n.holds[i].index}); err != nil {
		t.Fatal(err)
	}
	for _, r := range n.holds[i].on {
		r.holds--
	}
	n.holds = slices.Delete(n.holds, i, i+1)
}

// compareAll compares what the legal role sees.
func (n *naive) compareAll(t *rapid.T) {
	all := slices.Concat(n.locked, n.list)
	slices.SortFunc(all, func(a, b *naiveRecord) int { return int(a.id - b.id) })
	list, err := n.f.s.ListAll(ctx, email(n.who))
	if err != nil || len(list) != len(all) {
		t.Fatalf("%d consents for the legal role, want %d; %v", len(list), len(all), err)
	}
	for i, c := range list {
		r := all[i]
		locked := slices.Contains(n.locked, r)
		if c.ID != r.id || c.State.String() != r.state || c.Holds != r.holds || c.LockedUntil.IsZero() == locked || slices.Contains(c.Overlays, "locked") != locked {
			t.Fatalf("consent %+v, want %+v, locked %v", c, *r, locked)
		}
	}
}
