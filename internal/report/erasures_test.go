package report

import (
	"testing"
	"time"

	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

func TestErasures(t *testing.T) {
	l := newLogbook(t)
	ids := l.gives(8)
	for _, p := range []string{"mailer", "printer"} {
		l.add(ledger.Entry{Kind: ledger.ProcessorEngaged, Processor: p})
	}
	l.uses("mailer", ids[0], ids[1], ids[2])
	l.uses("printer", ids[1])
	l.uses("", ids[3])
	asks := func(article string, ids ...ledger.ConsentID) ledger.Index {
		return l.add(ledger.Entry{Kind: ledger.RequestReceived, Article: article, About: ids, Due: ledger.AnswerDue(l.now, 1)})
	}
	erases := func(reason string, ids ...ledger.ConsentID) ledger.Index {
		return l.changes(ledger.Entry{Kind: ledger.SubjectErased, Reason: reason}, ids...)
	}
	l.now = day(2)
	first, second := asks("art17", ids[0], ids[1]), asks("art17", ids[2])
	third, other := asks("art17"), asks("art15", ids[3])
	l.now = l.now.Add(6 * time.Hour)
	a := erases("art17", ids[0], ids[1])
	l.shreds(2, 40*time.Second, a)
	l.add(ledger.Entry{Kind: ledger.RequestAnswered, Refers: []ledger.Index{first}})
	l.add(ledger.Entry{Kind: ledger.RequestRefused, Refers: []ledger.Index{second}, Refusal: "legal_claims"})
	l.add(ledger.Entry{Kind: ledger.RequestExtended, Refers: []ledger.Index{third}, Due: ledger.AnswerDue(day(2), 3)})
	l.add(ledger.Entry{Kind: ledger.RequestRefused, Refers: []ledger.Index{other}, Refusal: "excessive"})
	l.changes(ledger.Entry{Kind: ledger.SubjectLocked, Reason: "retention", Until: day(20)}, ids[3])
	b := erases("retention", ids[3])
	c := erases("art17", ids[2]) // refused first, and then done all the same
	l.shreds(3, 20*time.Second, b)
	told := l.add(ledger.Entry{Kind: ledger.RecipientNotified, Refers: []ledger.Index{a}, Processor: "mailer"})
	l.add(ledger.Entry{Kind: ledger.RecipientAcknowledged, Refers: []ledger.Index{told}})
	l.rekeys(4, 48*time.Hour, a)
	l.now = day(6)
	l.add(ledger.Entry{Kind: ledger.RecipientNotified, Refers: []ledger.Index{a}, Commits: []ledger.Commitment{{Claim: "recipient"}}})
	l.uses("", ids[4])

	r := l.report("erasures", Period{})
	want := `{"art17_requests":{"received":3,"answered":1,"refused":1,"refused_by_reason":{"legal_claims":1},"extended":1,"answered_or_refused_late":0,"open":1,"overdue":0},` +
		`"request_to_erasure":{"count":2,"p50_seconds":21600,"p95_seconds":21640,"max_seconds":21640},` +
		`"erasures":3,"records_erased":4,"erasures_by_reason":{"art17":2,"retention":1},"records_locked_first":1,` +
		`"erasure_to_contents_destroyed":{"count":2,"p50_seconds":20,"p95_seconds":40,"max_seconds":40},` +
		`"erasure_to_existence_destroyed":{"count":1,"p50_seconds":172860,"p95_seconds":172860,"max_seconds":172860},` +
		`"waiting":{"contents":1,"existence":1,"existence_overdue":1},` +
		`"root_generations_by_medium":{"file":3},"newest_root_generation":4,` +
		`"recipients":{"erasures_of_data_passed_on":2,"all_processors_told":0,"notifications_by_processor":{"(none)":1,"mailer":1},"notifications_acknowledged":1,"notifications_not_acknowledged":1}}`
	if got := figures(t, r); got != want {
		t.Errorf("figures\n%s\nwant\n%s", got, want)
	}
	says(t, r, "from the request to the erasure            2: p50 6 h, p95 6 h, longest 6 h", "from the erasure to the contents destroyed 2: p50 20 s, p95 40 s, longest 40 s",
		"Erasures: 3, of 4 records, 1 of which had been locked before.", "1  legal_claims")

	// The second processor is told, and the request is overdue; a batch of several parts.
	l.add(ledger.Entry{Kind: ledger.RecipientNotified, Refers: []ledger.Index{a}, Processor: "printer"})
	l.now = day(2).AddDate(0, 4, 0)
	l.uses("mailer", ids[6])
	parts := l.group(func(*store.Group) []*ledger.Entry {
		return []*ledger.Entry{{Kind: ledger.SubjectErased, Source: "shop", Reason: "child", Part: 1, Parts: 2, Consents: l.links(ids[5:6])},
			{Kind: ledger.SubjectErased, Source: "shop", Reason: "child", Part: 2, Parts: 2, Consents: l.links(ids[6:7])}}
	})
	l.shreds(5, time.Minute, c, parts, parts+1)
	l.add(ledger.Entry{Kind: ledger.RecipientNotified, Refers: []ledger.Index{parts + 1}, Processor: "mailer"})
	l.add(ledger.Entry{Kind: ledger.RequestAnswered, Refers: []ledger.Index{third}})
	e := l.report("erasures", Period{}).Figures.(*Erasures)
	if q := e.Requests; q.Late != 1 || q.Open != 0 || e.Erasures != 4 || e.Records != 6 || e.ByReason["child"] != 1 {
		t.Errorf("later: %+v", e)
	}
	if e.Recipients.Passed != 3 || e.Recipients.Told != 2 || e.Waiting != (Waiting{0, 3, 1}) || e.Contents.summary().Count != 4 {
		t.Errorf("later: %+v", e)
	}
	// Of a period only what began in it.
	e = l.report("erasures", Period{From: day(3)}).Figures.(*Erasures)
	if e.Erasures != 1 || e.Records != 2 || e.Requests.Received != 0 || e.Contents.summary().Count != 1 || e.Existence.summary().Count != 0 ||
		e.Recipients.Passed != 1 || e.Recipients.Told != 1 || e.RootGenerations["file"] != 2 || e.Waiting != (Waiting{0, 3, 1}) {
		t.Errorf("of a period: %+v", e)
	}
}
