package service

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// told is an answer that somebody was given.
type told struct {
	who  string
	kind []ledger.Kind // the entries that can be behind it
	list []Consent
	// decision is that of a check of purpose, nil for other answers.
	decision *Decision
	purpose  string
}

// crowd is many callers who act on few people, and what they were told.
type crowd struct {
	f      *fixture
	people []string

	mu      sync.Mutex
	answers []told
	tokens  []string
	manage  []string
	ids     []ledger.ConsentID
}

func (c *crowd) tell(a told) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers = append(c.answers, a)
}

// pick gives one of a list that others append to, or the zero value.
func pick[T any](c *crowd, r *rand.Rand, list *[]T) (v T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(*list) == 0 {
		return v
	}
	// Mostly new ones, so that calls meet.
	n := len(*list)
	return (*list)[n-1-r.IntN(min(n, 12))]
}

// act does one thing to one of the people.
func (c *crowd) act(r *rand.Rand) error {
	s, who := c.f.s, c.people[r.IntN(len(c.people))]
	purposes := [][]string{{newsletter}, {offers}, {newsletter, offers}, {account}}[r.IntN(4)]
	key := ""
	if r.IntN(3) == 0 {
		key = fmt.Sprint("key ", r.IntN(20))
	}
	var list []Consent
	var err error
	var kinds []ledger.Kind
	switch n := r.IntN(100); {
	case n < 25:
		ask := asking(who, purposes...)
		ask.IdempotencyKey = key
		var q *Requested
		if q, err = s.RequestConsent(ctx, shop, ask); err == nil {
			list, kinds = q.Consents, []ledger.Kind{ledger.ConsentRequested}
			c.mu.Lock()
			c.tokens, c.manage, c.ids = append(c.tokens, q.Token), append(c.manage, q.ManageToken), append(c.ids, ids(list)...)
			c.mu.Unlock()
		}
	case n < 45:
		var d *Confirmed
		click := Click{Token: pick(c, r, &c.tokens)}
		if r.IntN(2) == 0 {
			click.Claims = map[string]string{"ip": "203.0.113.1"}
		}
		if d, err = s.ConfirmConsent(ctx, shop, click); err == nil {
			// A restriction since is a later entry that stands for it.
			list, kinds, who = d.Consents, []ledger.Kind{ledger.ConsentConfirmed, ledger.ConsentRenewed, ledger.RestrictionSet, ledger.RestrictionLifted}, ""
		}
	case n < 50:
		list, err = s.RejectConfirmation(ctx, shop, Click{Token: pick(c, r, &c.tokens)})
		kinds, who = []ledger.Kind{ledger.ConfirmationRejected, ledger.RestrictionSet, ledger.RestrictionLifted}, ""
	case n < 62:
		w := Withdrawal{Subject: email(who), IdempotencyKey: key}
		if r.IntN(2) == 0 {
			w.Purposes = purposes
		}
		if r.IntN(3) == 0 {
			w.Subject, w.ManageToken, who = Subject{}, pick(c, r, &c.manage), ""
		}
		list, err = ofWithdrawal(s.WithdrawConsent(ctx, shop, w))
		kinds = []ledger.Kind{ledger.ConsentWithdrawn, ledger.ObjectionRecorded, ledger.RestrictionSet, ledger.RestrictionLifted}
	case n < 66:
		// What is restricted already answers with the entry that stands.
		list, err = s.SetRestriction(ctx, shop, Restriction{Subject: email(who), Ground: "art18_1_a", IdempotencyKey: key})
	case n < 71:
		// What is not restricted answers with the entry that stands.
		list, err = s.LiftRestriction(ctx, shop, c.f.lifting(email(who)))
	case n < 74:
		_, _, err = s.RecordUses(ctx, other, Uses{ConsentIDs: []ledger.ConsentID{pick(c, r, &c.ids)}, Reference: "mailing", IdempotencyKey: key})
	case n < 82:
		list, kinds, err = c.otherWays(r, who, purposes, key)
	case n < 88:
		kinds, who, err = nil, "", c.changeKeys(r, who)
	default:
		var d *Decision
		if d, err = s.CheckConsent(ctx, Question{Subject: email(who), Purpose: purposes[0], Channel: "email"}); err == nil {
			c.tell(told{who: who, decision: d, purpose: purposes[0]})
		}
		return err
	}
	var no *refusal.Error
	switch {
	case err == nil:
		c.tell(told{who: who, kind: kinds, list: list})
	case errors.As(err, &no) && (no.Code == refusal.NotFoundCode || no.Code == refusal.FailedPrecondition || no.Code == refusal.InvalidArgument && no.At != "subject.email"):
		return nil
	}
	return err
}

// otherWays consents or ends what was consented to without a link.
func (c *crowd) otherWays(r *rand.Rand, who string, purposes []string, key string) (list []Consent, kinds []ledger.Kind, err error) {
	s := c.f.s
	switch r.IntN(6) {
	case 0:
		g := Giving{Subject: email(who), Purposes: purposes, Channel: "email", Notice: wording, Method: "paper", IdempotencyKey: key}
		var given *Given
		if given, err = s.GiveConsent(ctx, shop, g); err == nil {
			list, kinds = given.Consents, []ledger.Kind{ledger.ConsentGiven}
		}
	case 1:
		list, err = s.RefuseConsent(ctx, shop, Refusal{Subject: email(who), Purposes: purposes, Channel: "email", Method: "app", IdempotencyKey: key})
		kinds = []ledger.Kind{ledger.ConsentRefused}
	case 2:
		var items []Import
		for _, p := range purposes {
			items = append(items, importing(email(who), p, "email"))
		}
		for _, done := range s.BatchImport(ctx, shop, items) {
			if done.Err != nil {
				err = done.Err
			} else if done.Skipped != skippedSuppressed {
				list = append(list, done.Consent)
			}
		}
	case 3:
		list, err = ofObjection(s.RecordObjection(ctx, shop, Objection{Subject: email(who), Article: "art21_2", IdempotencyKey: key}))
		kinds = []ledger.Kind{ledger.ObjectionRecorded, ledger.RestrictionSet, ledger.RestrictionLifted}
		if r.IntN(3) == 0 {
			list, err = ofObjection(s.RecordObjection(ctx, shop, Objection{Subject: email(who), Article: "art22", Purposes: purposes}))
		}
	case 4:
		_, err = s.RenewConsent(ctx, shop, Renewal{ConsentIDs: []ledger.ConsentID{pick(c, r, &c.ids)}, Method: "app"})
		return nil, nil, err // of whomever
	case 5:
		_, err = s.EndConsents(ctx, legal, Ending{Kind: ledger.ConsentInvalidated, ConsentIDs: []ledger.ConsentID{pick(c, r, &c.ids)}, Cause: "error"})
	}
	c.mu.Lock()
	c.ids = append(c.ids, ids(list)...)
	c.mu.Unlock()
	return list, kinds, err
}

// changeKeys does something that changes how a person is known, whether at all,
// or under which keys.
func (c *crowd) changeKeys(r *rand.Rand, who string) (err error) {
	s := c.f.s
	one, other := external("one-"+who), external("other-"+who)
	switch r.IntN(10) {
	case 0:
		_, err = s.EraseSubject(ctx, shop, erasure(who))
	case 1:
		_, err = s.EraseSubject(ctx, shop, Erasure{Subject: one, Reason: "art17", Mode: lockThenShred})
	case 2, 3:
		_, err = s.LinkSubject(ctx, shop, Link{Subject: email(who), Add: one})
	case 4:
		_, err = s.RectifySubject(ctx, legal, Rectification{Subject: email(who), Remove: one, Add: other, IdempotencyKey: "one " + who})
	case 5:
		_, err = s.RectifySubject(ctx, legal, Rectification{Subject: other, Remove: other})
	case 6:
		var held *Held
		if held, err = s.SetHold(ctx, legal, HoldRequest{Subject: email(who)}); err == nil {
			_, err = s.LiftHold(ctx, legal, HoldRelease{Hold: held.Hold})
		}
	case 7:
		err = s.RekeyIndex(ctx)
	case 8:
		_, err = s.VerifyIdentity(ctx, legal, IdentityCheck{Subject: email(who), Means: "login"})
	case 9:
		err = c.ask(r, who)
	}
	return err
}

// ask asks for a right, or goes on with a request that waits.
func (c *crowd) ask(r *rand.Rand, who string) error {
	s, letter := c.f.s, []Attachment{{Claim: "reference", MediaType: "text/plain", Bytes: []byte("a letter")}}
	waiting, err := s.ListRequests(ctx)
	if len(waiting) < 3 || err != nil {
		_, err = s.OpenRequest(ctx, legal, RightsRequest{Subject: email(who), Article: "art17", Attachments: letter})
		return err
	}
	step := RequestStep{RequestID: waiting[r.IntN(len(waiting))].RequestID, Claims: because("x"), Attachments: letter}
	if r.IntN(2) == 0 {
		_, err = s.ExtendRequest(ctx, legal, step)
		return err
	}
	_, err = s.AnswerRequest(ctx, legal, step)
	return err
}

// TestCrowd lets 32 callers do what comes to their minds to five people, and
// explains every answer by the log in the end.
func TestCrowd(t *testing.T) {
	t.Parallel()
	f := newService(t, func(o *Options) { o.StateEntries, o.StateInterval = 50, time.Millisecond })
	c := &crowd{f: f}
	for i := range 5 {
		c.people = append(c.people, fmt.Sprintf("person%d@example.com", i))
	}
	end := time.Now().Add(3 * time.Second)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			for time.Now().Before(end) {
				if err := c.act(r); err != nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	wg.Wait()
	c.explain()
	if rep := f.verify(); rep.StateRoots == 0 {
		t.Error("no state tree was committed")
	}
}

// explain replays the log and compares it with what callers were told.
func (c *crowd) explain() {
	t := c.f.t
	t.Helper()
	entries := c.f.entriesFrom(0)
	owner := map[ledger.ConsentID]string{}
	checks := map[ledger.Size][]told{}
	checked, allowed := 0, 0
	for _, a := range c.answers {
		if a.decision != nil {
			checks[a.decision.Size] = append(checks[a.decision.Size], a)
			continue
		}
		for _, s := range a.list {
			if a.who != "" {
				if before, ok := owner[s.ID]; ok && before != a.who {
					t.Errorf("consent %d is said to be of two people", s.ID)
				}
				owner[s.ID] = a.who
			}
			e := entries[s.Entry.Index]
			text, err := e.Encode()
			if err != nil || ledger.LeafHash(text) != s.Entry.Leaf {
				t.Errorf("an answer names entry %d with another leaf hash: %v", s.Entry.Index, err)
			}
			if !concerns(e, s.ID) || a.kind != nil && !slices.Contains(a.kind, e.Kind) {
				t.Errorf("an answer about consent %d names entry %d, a %s", s.ID, e.Index, e.Kind)
			}
		}
	}
	replay := ledger.NewReplay()
	for _, e := range entries {
		text, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := replay.Add(e, ledger.LeafHash(text)); err != nil {
			t.Fatal(err)
		}
		for _, a := range checks[ledger.Size(e.Index)+1] {
			checked++
			if a.decision.Allowed {
				allowed++
			}
			c.explainCheck(replay, entries, owner, a)
		}
	}
	kinds := map[ledger.Kind]int{}
	for _, e := range entries {
		kinds[e.Kind]++
	}
	t.Logf("%d entries, %d answers, %d checks of which %d allowed; %v", len(entries), len(c.answers), checked, allowed, kinds)
	if checked < 20 || allowed == 0 {
		t.Errorf("%d checks, %d allowed: this crowd did nothing", checked, allowed)
	}
}

func concerns(e *ledger.Entry, id ledger.ConsentID) bool {
	return ledger.ConsentID(e.Index) == id || slices.ContainsFunc(e.Consents, func(l ledger.Link) bool { return l.Consent == id })
}

// explainCheck derives from the log what a check could answer at its size.
func (c *crowd) explainCheck(replay *ledger.Replay, entries []*ledger.Entry, owner map[ledger.ConsentID]string, a told) {
	t := c.f.t
	t.Helper()
	var held, restricted bool
	allows, imported, objected := ledger.ConsentID(-1), ledger.ConsentID(-1), ledger.ConsentID(-1)
	err := replay.Consents(0, ledger.ConsentID(a.decision.Size), func(r ledger.Consent) {
		if owner[r.ID] != a.who || hidden(r) {
			return
		}
		held = true
		restricted = restricted || r.Overlays.Has(ledger.Restricted)
		switch {
		case r.State.Allows() && r.Purpose == a.purpose && r.Evidence&ledger.EvConfirmed != 0, r.State == ledger.Renewed && r.Purpose == a.purpose && r.Evidence&ledger.EvImported != 0:
			allows = r.ID
		case r.State == ledger.Imported && r.Purpose == a.purpose:
			imported = r.ID
		case r.State == ledger.Objected && (r.Purpose == a.purpose || r.Purpose == ledger.AllMarketing && a.purpose != account):
			objected = r.ID
		}
	})
	if err != nil {
		t.Error(err)
	}
	d := a.decision
	if !held || d.Reason == decision.ReasonUnknownSubject {
		// Somebody whose keys are gone, or who is locked, is a stranger also to
		// those who asked just before that.
		erasedSince := slices.ContainsFunc(entries[min(int(d.Size), len(entries)):], func(e *ledger.Entry) bool {
			return (e.Kind == ledger.SubjectErased || e.Kind == ledger.SubjectLocked) && owner[e.Consents[0].Consent] == a.who
		})
		if d.Reason != decision.ReasonUnknownSubject || held && !erasedSince {
			t.Errorf("check %+v: held %v", d, held)
		}
		return
	}
	if want := !restricted && (allows > objected || imported > 0 && objected < 0); d.Allowed != want || (d.Reason == decision.ReasonRestricted) != restricted || d.Reason == reasonUnavailable {
		t.Errorf("check %s: %+v: restricted %v, allowed by %d, objected in %d", a.purpose, d, restricted, allows, objected)
	}
}
