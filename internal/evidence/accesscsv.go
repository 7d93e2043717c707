package evidence

import (
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/ledger"
)

// csvHeader names the columns. ACCESS.md says what stands in them.
var csvHeader = []string{"section", "consent_id", "entry", "time", "occurred_at", "item", "value"}

// WriteAccessCSV writes an access report as one table (RFC 4180, UTF-8, CRLF): the
// content of the JSON document, of files their name, media type, size and SHA-256
// instead of the bytes. A cell that a spreadsheet would take for a formula begins with
// an apostrophe.
func WriteAccessCSV(w io.Writer, d *service.Dossier) error {
	t := &table{csv: csv.NewWriter(w), teller: newTeller(d)}
	t.csv.UseCRLF = true
	t.row(csvHeader...)
	t.report(d)
	t.csv.Flush()
	if err := t.csv.Error(); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	return nil
}

type table struct {
	csv    *csv.Writer
	teller *teller
}

// row writes cells; the error of a csv.Writer shows after Flush.
func (t *table) row(cells ...string) {
	for i, c := range cells {
		cells[i] = harmless(c)
	}
	_ = t.csv.Write(cells)
}

// harmless makes a cell one that no spreadsheet takes for a formula: those begin with
// =, +, -, @, a tab or a carriage return. A + before digits only is a telephone number
// and computes to itself.
func harmless(cell string) string {
	if cell == "" || !strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return cell
	}
	if cell[0] == '+' && len(cell) > 1 && strings.Trim(cell[1:], "0123456789") == "" {
		return cell
	}
	return "'" + cell
}

func (t *table) report(d *service.Dossier) {
	about := func(section, item, value string) { t.row(section, "", "", "", "", item, value) }
	about("report", "format", AccessFormat)
	about("report", "at", stamp(d.At))
	about("report", "controller", d.Controller)
	about("report", "ledger", d.Origin)
	about("report", "log_size", strconv.FormatInt(int64(d.Size), 10))
	for _, e := range d.Disclosed {
		about("report", "recorded_by", number(e.Index))
	}
	for _, s := range summary(d, t.teller) {
		about("report", "summary", s)
	}
	for _, id := range d.Identifiers {
		about("identifier", string(id.Kind), id.Value)
	}
	for _, l := range d.Suppressed {
		about("suppressed", l.Purpose, string(l.Identifier.Kind)+" "+l.Identifier.Value)
	}
	for i := range d.Consents {
		t.consent(&d.Consents[i])
	}
	for _, x := range d.Tracking {
		about("tracking", x.Purpose+" "+x.Channel, x.Mode)
	}
	for _, x := range d.Requests {
		t.request(x)
	}
	for _, p := range d.Purposes {
		t.purpose(p)
	}
	for _, p := range d.Processors {
		t.processor(p)
	}
	for _, n := range d.Notices {
		t.notice(n)
	}
	for i := range d.Entries {
		t.entry(&d.Entries[i])
	}
}

func number(i ledger.Index) string { return strconv.FormatInt(int64(i), 10) }

func (t *table) consent(c *service.HeldConsent) {
	id := strconv.FormatInt(int64(c.ID), 10)
	item := func(name, value string) {
		if value != "" {
			t.row("consent", id, "", "", "", name, value)
		}
	}
	item("in_words", inWords(c, t.teller))
	item("purpose", c.Purpose)
	item("channel", c.Channel)
	item("legal_basis", c.Basis)
	item("state", c.State.String())
	item("overlays", strings.Join(c.Overlays, " "))
	item("grade", c.Grade)
	item("notice", c.Notice)
	item("request", strconv.FormatInt(int64(c.Request), 10))
	item("granted_at", stamp(c.Granted))
	item("last_used_at", stamp(c.Used))
	item("ended_at", stamp(c.Ended))
	if c.SinceSent != nil {
		item("clicked_after_seconds", strconv.FormatFloat(c.SinceSent.Seconds(), 'f', -1, 64))
	}
	item("valid_until", stamp(c.ValidUntil))
	item("restricted_on", c.Restriction)
	for _, h := range c.Holds {
		item("hold", number(h))
	}
	item("locked_until", stamp(c.LockedUntil))
	item("evidence_until", stamp(c.EvidenceUntil))
	for _, x := range c.Due {
		item("next", fmt.Sprintf("%s %s %s", stamp(x.At), x.Rule, x.Measure))
	}
	for _, x := range c.Passed {
		item("passed_to", fmt.Sprintf("%s: %d uses, the last in entry %d", strings.Trim(x.Processor+" "+x.Recipient, " "), x.Uses, x.Last))
	}
	for _, i := range c.Entries {
		item("entry", number(i))
	}
}

func (t *table) request(x service.HeldRequest) {
	item := func(name, value string) {
		if value != "" {
			t.row("request", "", number(x.Index), "", "", name, value)
		}
	}
	item("article", x.Article)
	item("received_at", stamp(x.Received))
	item("due", stamp(x.Due))
	if x.Extended {
		item("extended", "yes")
	}
	item("outcome", x.Outcome)
	item("refusal", x.Refusal)
	item("closed_at", stamp(x.Closed))
	for _, i := range x.Entries {
		item("entry", number(i))
	}
}

func (t *table) purpose(p *service.Purpose) {
	item := func(name, value string) {
		if value != "" && value != "0" {
			t.row("purpose", "", number(p.Index), "", "", fmt.Sprintf("%s %d %s", p.ID, p.Version, name), value)
		}
	}
	days := func(name string, n int64) { item(name, strconv.FormatInt(n, 10)) }
	item("title", p.Title)
	item("parent", p.Parent)
	item("marketing", yesNo(p.Marketing))
	item("legal_bases", strings.Join(p.Bases, " "))
	item("explicit", yesNo(p.Explicit))
	item("double_opt_in", yesNo(p.DoubleOptIn))
	item("double_opt_in_channels", strings.Join(p.DoubleOptInChannels, " "))
	item("minimum_grade", p.MinimumGrade)
	days("minimum_age", p.MinimumAge)
	item("ip_policy", p.IPPolicy)
	item("tracking_mode", p.TrackingMode)
	days("validity_days", p.ValidityDays)
	days("unused_days", p.UnusedDays)
	item("unused_measure", p.UnusedMeasure)
	days("unused_warn_days", p.UnusedWarnDays)
	days("lock_days", p.LockDays)
	days("lapsed_days", p.LapsedDays)
	days("evidence_days", p.EvidenceDays)
	days("effect_hours", p.EffectHours)
}

func (t *table) processor(p *service.Processor) {
	item := func(name, value string) {
		if value != "" {
			t.row("processor", "", number(p.Index), "", "", p.ID+" "+name, value)
		}
	}
	item("name", p.Title)
	item("address", p.Claims["address"])
	item("country", p.Country)
	item("covers", strings.Join(p.Covers, " "))
	item("since", stamp(p.Since))
	item("ended_at", stamp(p.Ended))
}

func (t *table) notice(n service.HeldNotice) {
	item := func(name, value string) {
		if value != "" {
			t.row("notice", "", number(n.Index), "", "", n.Name+" "+name, value)
		}
	}
	item("shown", yesNo(n.Shown))
	item("language", n.Language)
	item("use", n.Use)
	item("checkbox", n.Checkbox)
	item("conditional_on", n.ConditionalOn)
	item("covers", strings.Join(n.Covers, " "))
	item("sha256", hex.EncodeToString(n.SHA256[:]))
	item("text", n.Text)
	for name, value := range n.Facts.All() {
		item(name, value)
	}
	item("missing", strings.Join(n.Missing, " "))
}

func (t *table) entry(e *service.HeldEntry) {
	var of []string
	for _, id := range e.Of {
		of = append(of, strconv.FormatInt(int64(id), 10))
	}
	item := func(name, value string) {
		t.row("entry", strings.Join(of, " "), number(e.Index), exact(e.Time), stamp(e.Occurred), name, value)
	}
	item("in_words", t.teller.sentence(e))
	item("kind", string(e.Kind))
	item("source", e.Source)
	item("leaf_hash", hash(e.Leaf))
	item("text", e.Text)
	if e.Omitted > 0 {
		item("lines_left_out", strconv.Itoa(e.Omitted))
	}
	for _, c := range e.Claims {
		item("claim "+c.Claim, c.Value)
		item("salt "+c.Claim, salt(c))
		if f := c.File; f != nil && f.Kept {
			item("file "+c.Claim, strconv.FormatInt(f.Size, 10)+" bytes")
		} else if f != nil {
			item("file "+c.Claim, "only its hash is known")
		}
	}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
