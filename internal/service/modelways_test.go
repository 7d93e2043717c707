package service

import (
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/consentledger/consentledger/ledger"
)

// The other ways of consenting and of ending, in the naive model.

var naiveChannels = []string{"email", "phone"}

// grant opens a record that grants something.
func (n *naive) grant(c Consent, state, basis string) *naiveRecord {
	r := n.open(c, state, time.Time{}, n.event+1)
	if r.basis = basis; basis == "consent" {
		r.granted = r.last
	}
	return r
}

func (n *naive) give(t *rapid.T) {
	g := giving(email(n.who), rapid.SampledFrom(naiveChannels).Draw(t, "channel"),
		rapid.SampledFrom([][]string{{newsletter}, {digest}, {catalogue, invoices}}).Draw(t, "purposes")...)
	given, err := n.f.s.GiveConsent(ctx, shop, g)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range given.Consents {
		n.grant(c, "given", "consent")
	}
	if g.Channel == "email" {
		n.manage = given.ManageToken
	}
}

func (n *naive) refuse(t *rapid.T) {
	r := Refusal{Subject: email(n.who), Channel: "email", Method: "app",
		Purposes: rapid.SampledFrom([][]string{{newsletter}, {digest}, {invoices, catalogue}}).Draw(t, "purposes")}
	list, err := n.f.s.RefuseConsent(ctx, shop, r)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		opened := n.open(c, "refused", time.Time{}, n.event+1)
		opened.basis, opened.ended = "consent", opened.last
	}
}

// signal lets the person's browser say something about tracking, of which nobody in
// this model ever consents to anything.
func (n *naive) signal(t *rapid.T) {
	x := rapid.SampledFrom([]PreferenceSignal{gpc(email(n.who)), tcString(email(n.who), tcNo), tcString(email(n.who), tcYes)}).Draw(t, "signal")
	got, err := n.f.s.RecordSignal(ctx, shop, x)
	if err != nil {
		t.Fatal(err)
	}
	own := slices.DeleteFunc(slices.Clone(n.list), func(r *naiveRecord) bool { return r.purpose != opens })
	no := x.Value != tcYes
	if len(own) == 0 && no {
		r := n.open(got.Consents[0], "refused", time.Time{}, n.event+1)
		r.basis, r.ended = "consent", r.last
		own = append(own, r)
	}
	for _, r := range own {
		r.signalled = no
	}
	if len(got.Consents) != len(own) || (got.Says == "no") != no {
		t.Fatalf("a signal about %d records: %+v", len(own), got)
	}
}

// tracked is how far the person may be tracked on a channel.
func (n *naive) tracked(channel string) string {
	switch {
	case channel != "email":
		return "" // nothing is tracked there
	case slices.ContainsFunc(n.list, func(r *naiveRecord) bool { return r.signalled }):
		return "none"
	}
	return "anonymous"
}

// some draws records of the person, ascending.
func (n *naive) some(t *rapid.T) (list []*naiveRecord, all []ledger.ConsentID) {
	if len(n.list) == 0 {
		t.Skip("no consent")
	}
	list = rapid.SliceOfNDistinct(rapid.SampledFrom(n.list), 1, min(3, len(n.list)), rapid.ID).Draw(t, "consents")
	slices.SortFunc(list, func(a, b *naiveRecord) int { return int(a.id - b.id) })
	for _, r := range list {
		all = append(all, r.id)
	}
	return list, all
}

func (n *naive) renew(t *rapid.T) {
	list, all := n.some(t)
	want := ""
	for _, r := range list {
		if !r.allows() || r.state == "asserted" {
			want = "transition"
		}
	}
	_, err := n.f.s.RenewConsent(ctx, shop, Renewal{ConsentIDs: all, Method: "app"})
	if got := rule(t, err); got != want {
		t.Fatalf("renewing %v: refused at %q, want %q", all, got, want)
	}
	if want == "" {
		n.byRequest(list, func(r *naiveRecord) { r.state, r.granted = "renewed", n.f.clock.now() })
	}
}

func (n *naive) imports(t *rapid.T) {
	i := importing(email(n.who), rapid.SampledFrom(naivePurposes).Draw(t, "purpose"), rapid.SampledFrom(naiveChannels).Draw(t, "channel"))
	done, err := n.f.s.ImportConsent(ctx, shop, i)
	if err != nil {
		t.Fatal(err)
	}
	noGap := func(r *naiveRecord) bool {
		return r.on(i.Channel) && (r.purpose == i.Purpose || stops(r.purpose, i.Purpose) && (r.state == "withdrawn" || r.state == "objected"))
	}
	want := ""
	if slices.ContainsFunc(n.locked, noGap) {
		want = skippedSuppressed
	}
	if slices.ContainsFunc(n.list, noGap) {
		want = skippedExists
	}
	if done.Skipped != want {
		t.Fatalf("import of %s by %s: skipped %q, want %q", i.Purpose, i.Channel, done.Skipped, want)
	}
	if want == "" {
		n.grant(done.Consent, "imported", "consent").doubly = true
	}
}

func (n *naive) assert(t *rapid.T) {
	a := asserting(email(n.who), rapid.SampledFrom([]string{catalogue, invoices}).Draw(t, "purpose"),
		rapid.SampledFrom([]string{"email", "phone", "post"}).Draw(t, "channel"), rapid.SampledFrom(ledger.Bases()[1:]).Draw(t, "basis"))
	marketing, interest := a.Purpose == catalogue, a.Basis == "legitimate_interest"
	want := ""
	switch {
	case !marketing && a.Basis == "existing_customer":
		want = "basis"
	case a.Basis == "existing_customer" && a.Channel == "phone", marketing && interest && a.Channel != "post":
		want = "basis_channel"
	}
	stopped := func(r *naiveRecord) bool {
		waits := interest && r.basis == a.Basis && r.restricted
		return (marketing || interest) && r.on(a.Channel) && stops(r.purpose, a.Purpose) &&
			(r.state == "objected" || marketing && r.state == "withdrawn" || waits)
	}
	if slices.ContainsFunc(n.locked, stopped) {
		want = "suppressed"
	}
	if slices.ContainsFunc(n.list, stopped) {
		want = "objected"
	}
	c, err := n.f.s.AssertBasis(ctx, shop, a)
	if got := rule(t, err); got != want {
		t.Fatalf("%s for %s by %s: refused at %q, want %q", a.Basis, a.Purpose, a.Channel, got, want)
	}
	if want == "" {
		n.grant(*c, "asserted", a.Basis)
	}
}

func (n *naive) object(t *rapid.T) {
	o := Objection{Subject: email(n.who), Article: "art21_2"}
	o.Purposes = rapid.SampledFrom([][]string{nil, {newsletter}, {mailings}, {digest, catalogue}}).Draw(t, "purposes")
	o.Channel = rapid.SampledFrom([]string{"", "email", "phone"}).Draw(t, "channel")
	var end, rest []*naiveRecord
	for _, r := range n.list {
		if covers(o.Purposes, o.Channel, r) && r.live() {
			end = append(end, r)
		} else {
			rest = append(rest, r)
		}
	}
	open := n.unopposed(o.Purposes, o.Channel, end, rest)
	got, err := ofObjection(n.f.s.RecordObjection(ctx, shop, o))
	if err != nil {
		t.Fatal(err)
	}
	n.end(end, "objected")
	n.openObjections(t, got, open, o.Channel)
}

// unopposed gives the purposes against which nothing stands that is newer than what
// an objection ends.
func (n *naive) unopposed(purposes []string, channel string, end, rest []*naiveRecord) (open []string) {
	for _, p := range named(purposes) {
		newest := -1
		for _, r := range end {
			if covers(only(p), channel, r) {
				newest = r.opened
			}
		}
		if !slices.ContainsFunc(rest, func(r *naiveRecord) bool { return r.objects(p, channel) && r.opened > newest }) {
			open = append(open, p)
		}
	}
	return open
}

func (n *naive) objectToInterest(t *rapid.T) {
	o := Objection{Subject: email(n.who), Article: "art21_1"}
	o.Purposes = rapid.SampledFrom([][]string{nil, {invoices}, {catalogue, account}}).Draw(t, "purposes")
	o.Channel = rapid.SampledFrom([]string{"", "email", "post"}).Draw(t, "channel")
	var rests, restrict []*naiveRecord
	for _, r := range n.list {
		if r.on(o.Channel) && (o.Purposes == nil || slices.Contains(o.Purposes, r.purpose)) && r.basis == "legitimate_interest" && r.allows() {
			if rests = append(rests, r); !r.restricted {
				restrict = append(restrict, r)
			}
		}
	}
	var open []string
	for _, p := range o.Purposes {
		answered := slices.ContainsFunc(rests, func(r *naiveRecord) bool { return r.purpose == p }) ||
			slices.ContainsFunc(n.list, func(r *naiveRecord) bool { return r.objects(p, o.Channel) })
		if !answered {
			open = append(open, p)
		}
	}
	want := ""
	if o.Purposes == nil && len(rests) == 0 {
		want = "purposes"
	}
	got, err := ofObjection(n.f.s.RecordObjection(ctx, shop, o))
	if at := rule(t, err); at != want {
		t.Fatalf("objecting to %v: refused at %q, want %q", o.Purposes, at, want)
	}
	n.byRequest(restrict, func(r *naiveRecord) { r.restricted, r.ground = true, "art18_1_d" })
	n.openObjections(t, got, open, o.Channel)
}

// endByOperator revokes or invalidates; one entry for all.
func (n *naive) endByOperator(t *rapid.T) {
	list, all := n.some(t)
	e := Ending{Kind: rapid.SampledFrom([]ledger.Kind{ledger.ConsentRevoked, ledger.ConsentInvalidated}).Draw(t, "kind"), ConsentIDs: all, Cause: "error"}
	state := map[ledger.Kind]string{ledger.ConsentRevoked: "revoked", ledger.ConsentInvalidated: "invalidated"}[e.Kind]
	final := []string{"withdrawn", "objected", "invalidated", state}
	list = slices.DeleteFunc(list, func(r *naiveRecord) bool { return slices.Contains(final, r.state) })
	done, err := n.f.s.EndConsents(ctx, legal, e)
	if err != nil || done.Consents != len(list) {
		t.Fatalf("%s ended %+v, want %d; %v", e.Kind, done, len(list), err)
	}
	n.event++
	for _, r := range list {
		r.state, r.changed, r.last = state, n.event, n.f.clock.now()
		r.ended = r.last
	}
}

// compareHistory applies the entries of a record's history one after the other:
// that gives the record as it is.
func (n *naive) compareHistory(t *rapid.T) {
	all := slices.Concat(n.list, n.locked)
	if len(all) == 0 {
		t.Skip("no consent")
	}
	r := rapid.SampledFrom(all).Draw(t, "consent")
	h, err := n.f.s.History(ctx, legal, r.id)
	if err != nil {
		t.Fatal(err)
	}
	snap := n.f.s.Log().Snapshot()
	defer snap.Release()
	want, _, err := snap.Consent(r.id)
	if err != nil {
		t.Fatal(err)
	}
	got := ledger.Consent{ID: want.ID, Purpose: want.Purpose, Channel: want.Channel, Request: want.Request}
	for _, e := range h.Entries {
		got = ledger.Apply(got, e.parsed)
	}
	if got != want || got.State.String() != r.state {
		t.Fatalf("the history gives %+v, the log has %+v, the model %s", got, want, r.state)
	}
}
