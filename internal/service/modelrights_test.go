package service

import (
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/consentledger/consentledger/ledger"
)

// naiveRequest is what a person asked for and was not answered.
type naiveRequest struct {
	id            ledger.Index
	article       string
	received, due time.Time
	extended      bool
	on            []*naiveRecord
}

// monthsOn is the end of the same day so many months on, or of the month's last.
func monthsOn(at time.Time, months int) time.Time {
	year, month, day := at.UTC().Date()
	due := time.Date(year, month+time.Month(months), day, 23, 59, 59, 0, time.UTC)
	for due.Day() != day && due.Day() < 4 { // ran over into the next month
		due = due.AddDate(0, 0, -1)
	}
	return due
}

// held is everything of the person, whoever may know of it.
func (n *naive) held() []*naiveRecord {
	all := slices.Concat(n.locked, n.list)
	slices.SortFunc(all, func(a, b *naiveRecord) int { return int(a.id - b.id) })
	return all
}

// left gives those of records that are not erased.
func (n *naive) left(records []*naiveRecord) (ids []ledger.ConsentID) {
	for _, r := range n.held() {
		if slices.Contains(records, r) {
			ids = append(ids, r.id)
		}
	}
	return ids
}

func (n *naive) ask(t *rapid.T) {
	article := rapid.SampledFrom(ledger.Articles()).Draw(t, "article")
	at := n.f.clock.now().Add(-time.Duration(rapid.IntRange(0, 900).Draw(t, "hours ago")) * time.Hour).UTC().Truncate(time.Second)
	claims := map[string]string{"reference": "letter"}
	r, err := n.f.s.OpenRequest(ctx, legal, RightsRequest{Subject: email(n.who), Article: article, ReceivedAt: at, Claims: claims})
	all := n.held()
	if err != nil || r.Consents != len(all) || !r.Due.Equal(monthsOn(at, 1)) {
		t.Fatalf("a request about %d consents: %+v, %v", len(all), r, err)
	}
	n.requests = append(n.requests, &naiveRequest{r.RequestID, article, at, r.Due, false, all})
}

// answerTo goes on with one of the requests.
func (n *naive) answerTo(t *rapid.T) {
	if len(n.requests) == 0 {
		t.Skip("no request")
	}
	i := rapid.IntRange(0, len(n.requests)-1).Draw(t, "request")
	q := n.requests[i]
	step, call := RequestStep{RequestID: q.id, Claims: map[string]string{"reference": "letter"}}, n.f.s.AnswerRequest
	if about := n.left(q.on); len(about) > 0 {
		step.Claims["reason"] = "so it is"
	}
	extends := rapid.Bool().Draw(t, "extends")
	if extends {
		call = n.f.s.ExtendRequest
	} else if rapid.Bool().Draw(t, "refuses") {
		step.Refusal, call = "other", n.f.s.RefuseRequest
	}
	late := n.f.clock.now().Truncate(time.Second).After(q.due)
	done, err := call(ctx, legal, step)
	if extends && q.extended {
		if rule(t, err) != "due" {
			t.Fatalf("extended a second time: %v", err)
		}
		return
	}
	if err != nil || (len(done.Irregular) == 1) != late {
		t.Fatalf("%+v, late %v; %v", done, late, err)
	}
	if e := n.f.entry(done.Entry.Index); !slices.Equal(e.About, n.left(q.on)) {
		t.Fatalf("answered about %v, want %v", e.About, n.left(q.on))
	}
	if extends {
		q.due, q.extended = monthsOn(q.received, 3), true
		return
	}
	n.requests = slices.Delete(n.requests, i, i+1)
	n.answered = append(n.answered, q.id)
}

// compareRequests compares the list of requests.
func (n *naive) compareRequests(t *rapid.T) {
	list, err := n.f.s.ListRequests(ctx)
	if err != nil {
		t.Fatal(err)
	}
	at := map[ledger.Index]OpenRight{}
	for _, r := range list {
		at[r.RequestID] = r
	}
	now := n.f.clock.now()
	for _, q := range n.requests {
		r, ok := at[q.id]
		overdue := now.Truncate(time.Second).After(q.due)
		if !ok || r.Article != q.article || !r.Received.Equal(q.received) || !r.Due.Equal(q.due) || r.Extended != q.extended ||
			r.Overdue != overdue || !slices.Equal(r.ConsentIDs, n.left(q.on)) {
			t.Fatalf("listed %+v, want %+v about %v", r, *q, n.left(q.on))
		}
	}
	for _, id := range n.answered {
		if r, ok := at[id]; ok {
			t.Fatalf("%+v was answered", r)
		}
	}
}

// objectToDecisions ends whatever is live for the purposes and asks for a review of
// what is under none.
func (n *naive) objectToDecisions(t *rapid.T) {
	o := Objection{Subject: email(n.who), Article: "art22"}
	o.Purposes = rapid.SampledFrom([][]string{{invoices}, {catalogue, account}, {mailings}}).Draw(t, "purposes")
	o.Channel = rapid.SampledFrom([]string{"", "email"}).Draw(t, "channel")
	var end, rest []*naiveRecord
	for _, r := range n.list {
		if covers(o.Purposes, o.Channel, r) && r.live() {
			end = append(end, r)
		} else if covers(o.Purposes, o.Channel, r) {
			rest = append(rest, r)
		}
	}
	open := n.unopposed(o.Purposes, o.Channel, end, rest)
	done, err := n.f.s.RecordObjection(ctx, shop, o)
	if err != nil {
		t.Fatal(err)
	}
	n.end(end, "objected")
	n.openObjections(t, done.Consents, open, o.Channel)
	var waits ledger.Index
	var unasked []*naiveRecord
	for _, c := range done.Consents {
		i := slices.IndexFunc(n.list, func(r *naiveRecord) bool { return r.id == c.ID })
		under := ledger.Index(0)
		for _, q := range n.requests {
			if q.article == "art22" && slices.Contains(q.on, n.list[i]) {
				under = max(under, q.id)
			}
		}
		if waits = max(waits, under); under == 0 {
			unasked = append(unasked, n.list[i])
		}
	}
	if len(unasked) == 0 {
		if done.RequestID != waits {
			t.Fatalf("the request %d waits, want %d", done.RequestID, waits)
		}
		return
	}
	e := n.f.entry(done.RequestID)
	if !slices.Equal(e.About, n.left(unasked)) {
		t.Fatalf("a review of %v, want %v", e.About, n.left(unasked))
	}
	n.requests = append(n.requests, &naiveRequest{e.Index, "art22", e.Time.Truncate(time.Second), monthsOn(e.Time, 1), false, unasked})
}
