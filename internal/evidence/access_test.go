package evidence

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/ledger"
)

// fieldsOf lists the fields of a type as JSON names them, with those above them.
func fieldsOf(t reflect.Type, above string) (list []string) {
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t == reflect.TypeFor[service.NoticeFacts]() {
		return nil
	}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		list = append(list, above+name)
		if above+name != "suppressed.identifier" { // as in identifiers
			list = append(list, fieldsOf(t.Field(i).Type, above+name+".")...)
		}
	}
	return list
}

// Every field of the report is documented, and none else.
func TestReportIsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("ACCESS.md")
	if err != nil {
		t.Fatal(err)
	}
	asJSON, asCSV, _ := strings.Cut(string(text), "\n## CSV\n")
	rows := regexp.MustCompile("(?m)^\\| `([^`]+)` \\|")
	var documented []string
	for _, m := range rows.FindAllStringSubmatch(asJSON, -1) {
		documented = append(documented, m[1])
	}
	want := append(fieldsOf(reflect.TypeFor[report](), ""), "files", "files.sha256", "files.size", "files.bytes")
	if !slices.Equal(documented, want) {
		t.Errorf("ACCESS.md documents\n%s\nthe report has\n%s", strings.Join(documented, "\n"), strings.Join(want, "\n"))
	}
	var columns []string
	for _, m := range rows.FindAllStringSubmatch(asCSV, -1) {
		columns = append(columns, m[1])
	}
	if !slices.Equal(columns, csvHeader) {
		t.Errorf("ACCESS.md documents the columns %v, the table has %v", columns, csvHeader)
	}
}

// formats writes a dossier in both formats.
func (f *fixture) formats(d *service.Dossier) (asJSON []byte, rows [][]string) {
	f.t.Helper()
	var j, c bytes.Buffer
	f.must(WriteAccessJSON(&j, d))
	f.must(WriteAccessCSV(&c, d))
	if bytes.Count(c.Bytes(), []byte("\r\n")) == 0 {
		f.t.Error("the table's lines do not end with CRLF")
	}
	rows, err := csv.NewReader(&c).ReadAll()
	f.must(err)
	return j.Bytes(), rows
}

// The sentences of a record's history tell what happened, and the table has what the
// document has.
func TestReportIsReadable(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.confirmed("erika@example.com")
	_, _, err := f.s.RecordUses(ctx, shop, service.Uses{ConsentIDs: []ledger.ConsentID{id}, Reference: "mailing 48", Processor: "mailhouse"})
	f.must(err)
	_, err = f.s.WithdrawConsent(ctx, shop, service.Withdrawal{ConsentIDs: []ledger.ConsentID{id}, Method: "one_click",
		Claims: map[string]string{"reason": "=HYPERLINK(\"x\")"}})
	f.must(err)
	d := f.report("erika@example.com")
	text, rows := f.formats(d)
	var r report
	f.must(json.Unmarshal(text, &r))
	if r.Format != AccessFormat || len(r.Consents) != 1 || r.Consents[0].InWords != "“Newsletter” by e-mail: You withdrew it." {
		t.Errorf("%+v", r.Consents)
	}
	var told []string
	for _, h := range r.Consents[0].History {
		_, what, _ := strings.Cut(h.InWords, " UTC: ")
		told = append(told, regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC`).ReplaceAllString(what, "T"))
	}
	want := []string{
		"You were asked, through a web form, for your consent to “Newsletter” by e-mail, with the notice newsletter-de@1. The link to confirm it was good until T.",
		"The consent was confirmed by the link: the button on the page behind the link was pressed.",
		"Your data were used for this purpose and passed to the processor Mail House GmbH (mailhouse).",
		"You withdrew by unsubscribing with one click.",
		"It was verified by a mail to your address who you are.",
		"Everything that is held about you was put together for you.",
	}
	if !slices.Equal(told, want) {
		t.Errorf("history:\n%s\nwant\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
	}
	if !slices.Equal(rows[0], csvHeader) {
		t.Errorf("the table begins with %v", rows[0])
	}
	cell := map[string]string{}
	for _, row := range rows[1:] {
		cell[row[0]+" "+row[5]] = row[6]
	}
	for item, value := range map[string]string{
		"consent state": "withdrawn", "consent passed_to": "mailhouse: 1 uses, the last in entry " + fmt.Sprint(r.Consents[0].PassedTo[0].Last),
		"entry claim reason": "'=HYPERLINK(\"x\")", "entry claim name": "Erika Mustermann", "processor mailhouse address": "Rue 1, Paris",
		"notice newsletter-de@1 text": "Ja, ich möchte den Newsletter.\n", "notice newsletter-de@1 authority": "BlnBDI", "notice privacy-de@1 shown": "no",
		"entry file form_snapshot": "18 bytes", "purpose newsletter 1 validity_days": "400", "report format": AccessFormat,
	} {
		if cell[item] != value {
			t.Errorf("the table says of %s %q, want %q", item, cell[item], value)
		}
	}
	// The same facts give the same bytes.
	if again, _ := f.formats(d); !bytes.Equal(text, again) {
		t.Error("the report written again is another")
	}
}

// The first part of a list that names somebody in a later part only does not say that
// it happened twice.
func TestSentenceOfFirstParts(t *testing.T) {
	t.Parallel()
	teller := newTeller(&service.Dossier{})
	e := &service.HeldEntry{Entry: &ledger.Entry{Kind: ledger.ConsentUsed, Part: 1, Parts: 2}}
	if got := teller.what(e); !strings.HasPrefix(got, "The first part of a list") {
		t.Errorf("%q", got)
	}
	e.About = []ledger.ConsentID{7}
	if got := teller.what(e); got != "Your data were used for this purpose." {
		t.Errorf("%q", got)
	}
}

func TestHarmlessCells(t *testing.T) {
	t.Parallel()
	for cell, want := range map[string]string{
		"": "", "a": "a", "=1+1": "'=1+1", "@sum": "'@sum", "-1": "'-1", "+491511234567": "+491511234567", "+49 151": "'+49 151", "+": "'+",
		"+1+1": "'+1+1", "\t=1": "'\t=1", "\r=1": "'\r=1", "'=1": "'=1", " =1": " =1", "Ω=": "Ω=",
	} {
		if got := harmless(cell); got != want {
			t.Errorf("%q becomes %q, want %q", cell, got, want)
		}
	}
}

// Every word that the log knows has words that people read.
func TestWordsAreComplete(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		table map[string]string
		names []string
	}{
		{groundWords, ledger.Grounds()}, {eraseWords, ledger.EraseReasons()}, {articleWords, ledger.Articles()}, {refusalWords, ledger.Refusals()},
		{meansWords, ledger.Means()}, {clickWords, ledger.Clicks()}, {basisWords, ledger.Bases()},
	} {
		if names := slices.Sorted(maps.Keys(v.table)); !slices.Equal(names, slices.Sorted(slices.Values(v.names))) {
			t.Errorf("there are words for %v, the log knows %v", names, v.names)
		}
	}
	for _, s := range ledger.States() {
		if stateWords[s.String()] == "" {
			t.Errorf("there are no words for the state %s", s)
		}
	}
	for table, known := range map[*map[string]string]func(string) bool{
		&methodWords: ledger.IsMethod, &causeWords: ledger.IsCause, &ruleWords: ledger.IsRetentionRule, &modeWords: ledger.IsMode,
		&measureWords: func(s string) bool { return ledger.IsRetentionMeasure(s) || ledger.IsUnusedMeasure(s) },
		&channelWords: func(s string) bool { return ledger.IsChannel(s) || s == ledger.AnyChannel },
	} {
		for name := range *table {
			if !known(name) {
				t.Errorf("%s is no word of the log", name)
			}
		}
	}
}

// About a stranger, and about whoever was erased, the report says that nothing is held.
func TestReportOfStrangers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	strangers := func(address string, summary int) {
		t.Helper()
		d, err := f.s.AccessReport(ctx, legal, service.AccessRequest{Subject: email(address)})
		f.must(err)
		text, _ := f.formats(d)
		var r report
		f.must(json.Unmarshal(text, &r))
		if r.Summary[0] != "Nothing is held about you in this ledger." || len(r.Summary) != summary || len(r.Consents)+len(r.Entries)+len(r.Made.RecordedBy) > 0 {
			t.Errorf("%s", text)
		}
	}
	strangers("nobody@example.com", 1)
	f.confirmed("erika@example.com")
	_, err := f.s.EraseSubject(ctx, shop, service.Erasure{Subject: email("erika@example.com"), Reason: "art17", Mode: "shred_now", KeepSuppression: true})
	f.must(err)
	strangers("erika@example.com", 2)
}

// Big files are written chunk by chunk, and a person who is erased meanwhile is not
// written any further.
func TestReportOfBigFiles(t *testing.T) {
	f := newFixture(t)
	const files = 6
	for range files {
		_, err := f.s.GiveConsent(ctx, shop, service.Giving{Subject: email("erika@example.com"), Purposes: []string{"newsletter"}, Channel: "email", Notice: wording,
			Method: "paper", Attachments: []service.Attachment{{Claim: "document", MediaType: "application/pdf", Bytes: randomBytes(service.MaxAttachment)}}})
		f.must(err)
	}
	d := f.report("erika@example.com")
	to := &memoryWriter{base: calmHeap(t)}
	f.must(WriteAccessJSON(to, d))
	if to.written < files*service.MaxAttachment || slices.Max(to.held) > 24<<20 {
		t.Errorf("%d bytes were written, and this many more held: %d", to.written, to.held)
	}
	erase := &hookWriter{after: 2 * service.MaxAttachment, hook: func() {
		_, err := f.s.EraseSubject(ctx, shop, service.Erasure{Subject: email("erika@example.com"), Reason: "art17", Mode: "shred_now"})
		f.must(err)
	}}
	var no *refusal.Error
	if err := WriteAccessJSON(erase, d); !errors.As(err, &no) || no.Code != refusal.NotFoundCode || erase.after > 0 {
		t.Errorf("a report of somebody who was erased meanwhile ends with %v", err)
	}
}

// randomBytes gives bytes that do not compress, and are others each time.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	x := uint64(len(seeds))*0x9e3779b97f4a7c15 + 1
	seeds = append(seeds, x)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return b
}

var seeds []uint64

// calmHeap waits until the databases have written their tables, which takes memory as
// long as it lasts, and gives the size of the heap.
func calmHeap(t *testing.T) (size int64) {
	t.Helper()
	for calm, tries := 0, 0; calm < 5; tries++ {
		if tries == 100 {
			t.Fatal("the heap does not come to rest")
		}
		time.Sleep(100 * time.Millisecond)
		now := heap()
		if calm++; max(now-size, size-now) > 1<<20 {
			calm = 0
		}
		size = now
	}
	return size
}

// heap gives the size of the heap without garbage.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse)
}

// memoryWriter throws away what is written, and looks how much memory is held.
type memoryWriter struct {
	written int
	looked  int
	base    int64
	held    []int64 // more than base, each time
}

func (w *memoryWriter) Write(p []byte) (int, error) {
	if w.written += len(p); w.written-w.looked > 4<<20 {
		w.looked = w.written
		w.held = append(w.held, heap()-w.base)
	}
	return len(p), nil
}

// hookWriter calls a hook once, after so many bytes.
type hookWriter struct {
	after int
	hook  func()
}

func (w *hookWriter) Write(p []byte) (int, error) {
	if w.after > 0 {
		if w.after -= len(p); w.after <= 0 {
			w.hook()
		}
	}
	return io.Discard.Write(p)
}
