package service

import (
	"bytes"
	"crypto/sha256"
	"maps"
	"reflect"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// mailhouse sends what the newsletter says.
func mailhouse() ProcessorEngagement {
	return ProcessorEngagement{ID: "mailhouse", Title: "Mail House GmbH", Country: "DE", Purposes: []string{newsletter, offers},
		Agreement: &Attachment{FileName: "avv.pdf", MediaType: "application/pdf", Bytes: []byte("We process on your instructions only.")},
		Claims:    map[string]string{"address": "Hauptstr. 1, 10115 Berlin", "reference": "2027/3"}}
}

func (f *fixture) engages(p ProcessorEngagement) (*Processor, *Entry) {
	f.t.Helper()
	done, e, err := f.s.EngageProcessor(ctx, admin, p)
	if err != nil {
		f.t.Fatal(err)
	}
	return done, e
}

func TestEngageProcessor(t *testing.T) {
	t.Parallel()
	f := newService(t)
	p := mailhouse()
	p.OccurredAt, p.Proof = on("2026-01-01T00:00:00Z"), true
	before := f.size()
	got, e := f.engages(p)
	f.wrote(before, "processor.engaged")
	want := &Processor{ledger.Processor{ID: "mailhouse", Index: e.Index, Country: "DE", Covers: []string{newsletter, offers}, Since: got.Since},
		p.Title, sha256.Sum256(p.Agreement.Bytes), p.Claims, p.OccurredAt}
	if !reflect.DeepEqual(got, want) || e.Receipt == "" {
		t.Errorf("%+v, want %+v", got, want)
	}
	// The same terms again write nothing, in whatever order they are said.
	again := p
	again.Purposes = []string{offers, newsletter}
	for range 2 {
		if same, at := f.engages(again); at.Index != e.Index || !reflect.DeepEqual(same, want) {
			t.Errorf("the same terms again: %+v", same)
		}
		f.reopen()
	}
	f.wrote(before, "processor.engaged")

	// Each other term is a new engagement, and the newest terms hold.
	sum := ledger.Hash(sha256.Sum256([]byte("another text")))
	for name, change := range map[string]func(*ProcessorEngagement){
		"title":        func(p *ProcessorEngagement) { p.Title = "Mail House AG" },
		"country":      func(p *ProcessorEngagement) { p.Country = "AT" },
		"no country":   func(p *ProcessorEngagement) { p.Country = "" },
		"purposes":     func(p *ProcessorEngagement) { p.Purposes = []string{newsletter} },
		"no purposes":  func(p *ProcessorEngagement) { p.Purposes = nil },
		"agreement":    func(p *ProcessorEngagement) { p.Agreement = nil; p.AgreementSHA256 = &sum },
		"bytes":        func(p *ProcessorEngagement) { p.Agreement.Bytes = []byte("We do as we like.") },
		"file":         func(p *ProcessorEngagement) { p.Agreement.FileName = "dpa.pdf" },
		"address":      func(p *ProcessorEngagement) { p.Claims["address"] = "Nebenstr. 2" },
		"no reference": func(p *ProcessorEngagement) { delete(p.Claims, "reference") },
		"since":        func(p *ProcessorEngagement) { p.OccurredAt = p.OccurredAt.Add(time.Second) },
		"now":          func(p *ProcessorEngagement) { p.OccurredAt = time.Time{} },
	} {
		f.engages(p)
		file := *p.Agreement
		other := p
		other.Agreement, other.Claims = &file, maps.Clone(p.Claims)
		change(&other)
		before := f.size()
		got, e := f.engages(other)
		f.wrote(before, "processor.engaged")
		list, err := f.s.ListProcessors()
		if err != nil || len(list) != 1 || !reflect.DeepEqual(list[0], got) || got.Index != e.Index || got.Title != other.Title {
			t.Errorf("%s: %+v, %v", name, list, err)
		}
	}
	f.checked()
}

// An agreement of which only the hash was known gets its bytes, and they outlive what
// becomes of people.
func TestAgreements(t *testing.T) {
	t.Parallel()
	f := newService(t)
	p := mailhouse()
	text := bytes.Repeat([]byte("whereas "), MaxAttachment/8)
	sum := ledger.Hash(sha256.Sum256(text))
	p.Agreement, p.AgreementSHA256 = nil, &sum
	got, e := f.engages(p)
	if got.Agreement != sum {
		t.Errorf("%+v", got)
	}
	_, err := f.s.Document(e.Index)
	refused(t, err, refusal.NotFoundCode, "index")
	p.Agreement, p.AgreementSHA256 = &Attachment{MediaType: "text/plain", Bytes: text}, nil
	got, e = f.engages(p)
	if got.Agreement != sum || got.Index != e.Index {
		t.Errorf("%+v", got)
	}
	// Bytes that nothing commits to are not kept: of the same terms again, of what is
	// refused.
	f.engages(p)
	bad := p
	bad.Purposes = []string{"never_defined"}
	_, _, err = f.s.EngageProcessor(ctx, admin, bad)
	refused(t, err, refusal.InvalidArgument, "purposes[0]")
	f.request("a@example.com")
	f.erase("a@example.com")
	f.close()
	if n := countRows(t, f.opt.Dir+"/vault", func(key []byte) bool { return key[0] == 'b' }); n != MaxAttachment/(512<<10) {
		t.Errorf("%d rows of bytes", n)
	}
	f.open()
	file, err := f.s.Document(e.Index)
	if err != nil || !bytes.Equal(file.Bytes, text) || file.MediaType != "text/plain" || file.Claim != "document" || file.FileName != "" {
		t.Errorf("%+v, %v", file, err)
	}
	for _, i := range []ledger.Index{-1, 0, e.Index + 1, ledger.Index(f.size())} {
		_, err := f.s.Document(i)
		refused(t, err, refusal.NotFoundCode, "index")
	}
	f.checked()
}

func TestEndProcessor(t *testing.T) {
	t.Parallel()
	f := newService(t)
	id := f.confirmed("a@example.com").Consents[0].ID
	_, _, err := f.s.EndProcessor(ctx, admin, ProcessorEnd{ID: "mailhouse"})
	refused(t, err, refusal.FailedPrecondition, "processor")
	f.engages(mailhouse())
	end := ProcessorEnd{ID: "mailhouse", IdempotencyKey: "bye", Claims: map[string]string{"reason": "too slow"}, Proof: true}
	before := f.size()
	done, e, err := f.s.EndProcessor(ctx, admin, end)
	if err != nil || done.Ended.IsZero() || done.Title != "Mail House GmbH" || e.Receipt == "" {
		t.Fatalf("%+v, %v", done, err)
	}
	if _, again, err := f.s.EndProcessor(ctx, admin, end); err != nil || again.Index != e.Index {
		t.Errorf("a retry answers %+v, %v", again, err)
	}
	end.IdempotencyKey = ""
	_, _, err = f.s.EndProcessor(ctx, admin, end)
	refused(t, err, refusal.FailedPrecondition, "processor")
	f.wrote(before, "processor.ended")
	for at, bad := range map[string]ProcessorEnd{
		"id":              {ID: "Mail House"},
		"claims":          {ID: "mailhouse", Claims: map[string]string{"address": "A"}},
		"claims.reason":   {ID: "mailhouse", Claims: map[string]string{"reason": ""}},
		"occurred_at":     {ID: "mailhouse", OccurredAt: on("1999-12-31T00:00:00Z")},
		"idempotency_key": {ID: "mailhouse", IdempotencyKey: string(make([]byte, 256))},
	} {
		_, _, err := f.s.EndProcessor(ctx, admin, bad)
		refused(t, err, refusal.InvalidArgument, at)
	}
	// What was passed on before still can be told; a new engagement begins anew.
	f.use(Uses{ConsentIDs: []ledger.ConsentID{id}, Processor: "mailhouse"})
	again, e := f.engages(mailhouse())
	if !again.Ended.IsZero() || again.Index != e.Index {
		t.Errorf("%+v", again)
	}
	f.checked()
}

func TestBadEngagements(t *testing.T) {
	t.Parallel()
	f := newService(t)
	sum := ledger.Hash{1}
	for _, c := range []struct {
		at     string
		change func(*ProcessorEngagement)
	}{
		{"id", func(p *ProcessorEngagement) { p.ID = "" }},
		{"id", func(p *ProcessorEngagement) { p.ID = "Mail House" }},
		{"id", func(p *ProcessorEngagement) { p.ID = "erika.mustermann" }},
		{"title", func(p *ProcessorEngagement) { p.Title = " " }},
		{"country", func(p *ProcessorEngagement) { p.Country = "de" }},
		{"country", func(p *ProcessorEngagement) { p.Country = "DEU" }},
		{"purposes[1]", func(p *ProcessorEngagement) { p.Purposes = []string{newsletter, "never_defined"} }},
		{"purposes[1]", func(p *ProcessorEngagement) { p.Purposes = []string{newsletter, newsletter} }},
		{"purposes[0]", func(p *ProcessorEngagement) { p.Purposes = []string{ledger.AllMarketing} }},
		{"agreement", func(p *ProcessorEngagement) { p.Agreement = nil }},
		{"agreement", func(p *ProcessorEngagement) { p.AgreementSHA256 = &sum }},
		{"agreement.bytes", func(p *ProcessorEngagement) { p.Agreement.Bytes = nil }},
		{"agreement", func(p *ProcessorEngagement) { p.Agreement.Bytes = make([]byte, MaxAttachment+1) }},
		{"agreement.media_type", func(p *ProcessorEngagement) { p.Agreement.MediaType = "pdf" }},
		{"agreement.file_name", func(p *ProcessorEngagement) { p.Agreement.FileName = "a\n" }},
		{"claims", func(p *ProcessorEngagement) { p.Claims["reason"] = "cheap" }},
		{"claims.address", func(p *ProcessorEngagement) { p.Claims["address"] = "a\x00" }},
		{"occurred_at", func(p *ProcessorEngagement) { p.OccurredAt = on("1999-12-31T00:00:00Z") }},
		{"occurred_at", func(p *ProcessorEngagement) { p.OccurredAt = f.clock.now().Add(time.Hour) }},
	} {
		bad := mailhouse()
		c.change(&bad)
		before := f.size()
		_, _, err := f.s.EngageProcessor(ctx, admin, bad)
		refused(t, err, refusal.InvalidArgument, c.at)
		f.wrote(before, "")
	}
	if list, err := f.s.ListProcessors(); err != nil || len(list) > 0 {
		t.Errorf("%v, %v", list, err)
	}
	insists := mailhouse()
	insists.ID, insists.Insist = "erika.mustermann", true
	f.engages(insists)
	f.engages(mailhouse())
	if list, err := f.s.ListProcessors(); err != nil || len(list) != 2 || list[0].ID != "erika.mustermann" || list[1].ID != "mailhouse" {
		t.Errorf("%v, %v", list, err)
	}
}

// Those who engage at once are decided one after the other: the same terms twice in
// one group are one engagement.
func TestEngagedAtOnce(t *testing.T) {
	t.Parallel()
	f := newService(t)
	entries := make([]*Entry, 4)
	var calls []func()
	for i, title := range []string{"A", "A", "B", "A"} {
		calls = append(calls, func() {
			p := mailhouse()
			p.Title = title
			var err error
			if _, entries[i], err = f.s.EngageProcessor(ctx, admin, p); err != nil {
				t.Error(err)
			}
		})
	}
	before := f.size()
	f.together(calls...)
	f.wrote(before, "processor.engaged processor.engaged processor.engaged")
	if entries[0].Index != entries[1].Index || entries[1].Index == entries[3].Index {
		t.Errorf("entries %v", entries)
	}
	list, err := f.s.ListProcessors()
	if err != nil || len(list) != 1 || list[0].Index != entries[3].Index {
		t.Errorf("%v, %v", list, err)
	}
	f.checked()
}
