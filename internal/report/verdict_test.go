package report

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
)

// A log that does not verify gives no figures: they would be taken for true.
func TestNoFiguresWithoutVerdict(t *testing.T) {
	l := newLogbook(t)
	l.gives(3)
	damaged, missing := l.exported(), l.exported()
	bundles, err := filepath.Glob(filepath.Join(damaged, "tile/entries/000.p/*"))
	if err != nil || len(bundles) != 1 {
		t.Fatal(bundles, err)
	}
	b, err := os.ReadFile(bundles[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bundles[0], bytes.Replace(b, []byte("paper"), []byte("phone"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(missing, "checkpoint")); err != nil {
		t.Fatal(err)
	}
	for _, name := range Names() {
		for dir, verdict := range map[string]ledger.Verdict{damaged: ledger.Invalid, missing: ledger.CannotTell} {
			r := reported(t, dir, name, Period{}, verdict)
			says(t, r, "No figures: they would say nothing, because the log was not verified.")
			if r.Reason == "" || strings.Contains(text(t, r), "Entries:") {
				t.Errorf("%s: %s", name, text(t, r))
			}
			var b bytes.Buffer
			if err := r.WriteJSON(&b); err != nil || strings.Contains(b.String(), `"figures"`) {
				t.Errorf("%s: %v, %s", name, err, &b)
			}
		}
	}
}

// Every report names the log that it is about, and what it does not show.
func TestHead(t *testing.T) {
	l := newLogbook(t)
	l.gives(1)
	dir := l.exported()
	v := testledger.VerifyDir(t, dir)
	notChecked := append([]string{"that no rotation of keys was left out (no keys file was given)"}, v.NotChecked...) // VerifyDir gives one
	for _, name := range Names() {
		r := reported(t, dir, name, Period{From: day(1), To: day(40)}, ledger.Verified)
		var b bytes.Buffer
		if err := r.WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
		var got struct {
			Format, Verdict, Origin, Controller, Root, Anchors string
			Size                                               ledger.Size
			First                                              time.Time `json:"first_entry_time"`
			Last                                               time.Time `json:"last_entry_time"`
			From, To                                           time.Time
			Figures                                            map[string]any
			NotChecked                                         []string `json:"not_checked"`
			CannotShow                                         []string `json:"cannot_show"`
		}
		if err := json.Unmarshal(b.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if got.Format != "consent-ledger/report-"+name+"/v1" || got.Verdict != "VERIFIED" || got.Origin != testledger.Origin || got.Controller != "shop.example.com" ||
			got.Size != v.Size || got.Root != v.Root || got.Anchors != v.Anchors || !got.First.Equal(testledger.Began) || !got.Last.Equal(v.Last) ||
			!got.From.Equal(day(1)) || !got.To.Equal(day(40)) || len(got.Figures) == 0 || !slices.Equal(got.NotChecked, notChecked) {
			t.Errorf("%s: %s", name, &b)
		}
		for _, limit := range v.CannotProve {
			if !slices.Contains(got.CannotShow, limit) || !strings.Contains(text(t, r), limit) {
				t.Errorf("%s does not say that it cannot show %s", name, limit)
			}
		}
		if len(got.CannotShow) <= len(v.CannotProve) {
			t.Errorf("%s has no limits of its own", name)
		}
	}
}

func TestNew(t *testing.T) {
	for _, p := range []Period{{day(2), day(2)}, {day(3), day(2)}} {
		if _, err := New("access", p); err == nil {
			t.Errorf("the period %v is accepted", p)
		}
	}
	if _, err := New("subjects", Period{}); err == nil {
		t.Error("there is a report that there is not")
	}
}

// A text that a stranger's log brings along moves no cursor.
func TestTextIsPrintable(t *testing.T) {
	r := &Report{Format: "consent-ledger/report-access/v1", Verdict: "INVALID", Reason: "it says \x1b[2J\n", Origin: "a\u202eb"}
	if got := text(t, r); !strings.HasPrefix(got, `INVALID: it says \x1b[2J\n`+"\n") || !strings.Contains(got, `a\u202eb`) {
		t.Errorf("%q", got)
	}
}

func TestDurations(t *testing.T) {
	d := new(Durations)
	if s := d.String(); s != "none" {
		t.Error(s)
	}
	for i := range 100 {
		d.add(time.Duration(100-i) * time.Second)
	}
	if s := d.summary(); s != (durationsJSON{100, 50, 95, 100}) {
		t.Errorf("of 1 to 100: %+v", s)
	}
	d.add(1000 * time.Hour)
	if s := d.summary(); s != (durationsJSON{101, 51, 96, 3_600_000}) {
		t.Errorf("of 101: %+v", s)
	}
	for seconds, want := range map[int64]string{0: "0 s", 59: "59 s", 60: "1 min", 61: "1 min 1 s", 3601: "1 h", 3660: "1 h 1 min", 90061: "1 d 1 h", 86460: "1 d", -61: "-1 min 1 s"} {
		if got := span(seconds); got != want {
			t.Errorf("%d seconds are %q, want %q", seconds, got, want)
		}
	}
}
