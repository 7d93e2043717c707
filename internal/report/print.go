package report

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/plaintext"
	"github.com/consentledger/consentledger/ledger"
)

// WriteJSON writes the report as JSON.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// WriteText writes the report for people: the verdict first, then the figures, what
// cannot be shown last.
func (r *Report) WriteText(w io.Writer) error {
	p := &printer{plaintext.New(w)}
	name := strings.TrimSuffix(strings.TrimPrefix(r.Format, "consent-ledger/report-"), "/v1")
	verdict := r.Verdict
	if r.Reason != "" {
		verdict += ": " + r.Reason
	}
	p.Line("%s", verdict)
	if r.Origin != "" {
		p.Line("")
		p.Line("report      %s", name)
		p.Line("log         %s of %s", r.Origin, r.Controller)
		p.Line("checkpoint  %d entries, root %s", r.Size, r.Root)
		p.Line("anchors     %s", r.Anchors)
		if len(r.Witnesses) > 0 {
			p.Line("signed by   %s", strings.Join(r.Witnesses, ", "))
		}
		p.Line("recorded    %s to %s", moment(r.First), moment(r.Last))
		p.Line("period      %s", period(r.From, r.To))
	}
	p.Line("")
	if r.Figures != nil {
		r.Figures.text(p)
	} else {
		p.Line("No figures: they would say nothing, because the log was not verified.")
	}
	p.List("Not checked", r.NotChecked)
	p.List("What this report cannot show", r.CannotShow)
	return p.Flush()
}

func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func period(from, to time.Time) string {
	switch {
	case from.IsZero() && to.IsZero():
		return "all of it"
	case from.IsZero():
		return "until before " + moment(to)
	case to.IsZero():
		return "from " + moment(from)
	}
	return "from " + moment(from) + " until before " + moment(to)
}

// printer writes a report as text.
type printer struct{ *plaintext.Printer }

func (p *printer) counts(title string, m map[string]int64) {
	var lines []string
	for _, name := range sorted(m) {
		lines = append(lines, countLine(name, m[name]))
	}
	p.List(title, lines)
}

func countLine(name string, n int64) string { return fmt.Sprintf("%8d  %s", n, name) }

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// ids gives ids in lines of a readable length, and how many more there are.
func ids(first []ledger.ConsentID, of int64) (lines []string) {
	for some := range slices.Chunk(first, 10) {
		lines = append(lines, strings.Trim(fmt.Sprint(some), "[]"))
	}
	return more(lines, int(of)-len(first))
}

func useLines(first []UseAfter, of int) (lines []string) {
	for _, u := range first {
		lines = append(lines, fmt.Sprintf("entry %d, consent %d, %s", u.Entry, u.Consent, span(u.Seconds)))
	}
	return more(lines, of-len(first))
}

func more(lines []string, n int) []string {
	if n > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", n))
	}
	return lines
}
