package decision

import (
	"testing"

	"github.com/consentledger/consentledger/ledger"
)

const opens = "email.open_tracking"

// Which mode holds: the person's choice, else the default, else what consent
// allows; and never more than anonymous without consent. A record is given as its
// state and the choice on it; they are numbered from 1.
func TestWhichModeHolds(t *testing.T) {
	t.Parallel()
	type rec struct {
		state ledger.State
		mode  ledger.Mode
	}
	const signalled ledger.Mode = 0x80 // beside the choice: a signal said no
	const none, anonymous, pseudonymous, personal = ledger.ModeNone, ledger.Anonymous, ledger.Pseudonymous, ledger.Personal
	yes, no, was := ledger.Confirmed, ledger.Refused, ledger.Withdrawn
	for _, c := range []struct {
		name    string
		usual   ledger.Mode // the purpose's default
		records []rec
		want    ledger.Mode
		check   string // what a check of the tracking purpose says
	}{
		{"a stranger", 0, nil, none, "no unknown_subject"},
		{"a stranger, by default anonymous", anonymous, nil, anonymous, "no unknown_subject"},
		{"a stranger, by default personal", personal, nil, anonymous, "no unknown_subject"},
		{"a stranger, by default none", none, nil, none, "no unknown_subject"},
		{"asked", 0, []rec{{ledger.Requested, 0}}, none, "no pending 1"},
		{"consent", 0, []rec{{yes, 0}}, personal, "yes confirmed 1"},
		{"consent, by default pseudonymous", pseudonymous, []rec{{yes, 0}}, pseudonymous, "yes confirmed 1"},
		{"consent, by default anonymous", anonymous, []rec{{yes, 0}}, anonymous, "no no_consent"},
		{"consent, by default none", none, []rec{{yes, 0}}, none, "no no_consent"},
		{"consent, and a choice above the default", none, []rec{{yes, personal}}, personal, "yes confirmed 1"},
		{"consent, and a choice below it", personal, []rec{{yes, pseudonymous}}, pseudonymous, "yes confirmed 1"},
		{"consent, and then none", 0, []rec{{yes, none}}, none, "no refused 1"},
		{"consent, and then anonymous", 0, []rec{{yes, anonymous}}, anonymous, "no refused 1"},
		{"refused", anonymous, []rec{{no, none}}, none, "no refused 1"},
		{"refused by a form", anonymous, []rec{{no, 0}}, anonymous, "no refused 1"},
		{"anonymous is fine", none, []rec{{no, anonymous}}, anonymous, "no refused 1"},
		{"refused, then consent", 0, []rec{{no, none}, {yes, 0}}, personal, "yes confirmed 2"},
		{"refused, then consent and a choice", 0, []rec{{no, none}, {yes, pseudonymous}}, pseudonymous, "yes confirmed 2"},
		{"refused, then asked again", anonymous, []rec{{no, none}, {ledger.Requested, 0}}, none, "no pending 2"},
		{"withdrawn", anonymous, []rec{{was, 0}}, anonymous, "no withdrawn 1"},
		{"a choice that ended with its consent", 0, []rec{{was, personal}}, none, "no withdrawn 1"},
		{"the same, by default anonymous", anonymous, []rec{{was, personal}}, anonymous, "no withdrawn 1"},
		{"a choice of none outlives its consent", anonymous, []rec{{was, none}}, none, "no withdrawn 1"},
		{"a signal and nothing else", anonymous, []rec{{no, signalled}}, none, "no refused 1"},
		{"a signal, by default personal", personal, []rec{{no, signalled}}, none, "no refused 1"},
		{"a signal, then consent", 0, []rec{{no, signalled}, {yes, 0}}, personal, "yes confirmed 2"},
		{"a signal about a consent", 0, []rec{{yes, signalled}}, personal, "yes confirmed 1"},
		{"a signal about a consent and its choice", 0, []rec{{yes, signalled | pseudonymous}}, pseudonymous, "yes confirmed 1"},
		{"a signal, and by choice anonymous", none, []rec{{no, signalled | anonymous}}, anonymous, "no refused 1"},
		{"a signal about what was withdrawn", anonymous, []rec{{was, signalled}}, none, "no withdrawn 1"},
		{"a signal about the first of two", anonymous, []rec{{no, signalled}, {was, 0}}, none, "no withdrawn 2"},
		{"two consents, the choice lies on both", 0, []rec{{yes, none}, {yes, none}}, none, "no refused 2"},
	} {
		d := facts{purpose: ledger.Purpose{ID: opens, TrackingMode: c.usual}, stops: []string{opens}, channel: "email", at: on(noon)}
		for i, r := range c.records {
			one := held(ledger.ConsentID(i+1), "email", r.state)
			one.Purpose, one.Mode = opens, r.mode&^signalled
			if r.mode&signalled != 0 {
				one.Evidence |= ledger.EvSignalNo
			}
			d.records = append(d.records, one)
		}
		v, mode := judgeTracking(d)
		if mode != c.want || v.tells() != c.check {
			t.Errorf("%s: %s, %q, want %s, %q", c.name, mode, v.tells(), c.want, c.check)
		}
		if v.Consented != judge(d).Allowed {
			t.Errorf("%s: consented %v", c.name, v.Consented)
		}
		// What stops the person stops what leads to the person.
		for _, stop := range []func(*facts){
			func(d *facts) { d.suppressed = true },
			func(d *facts) {
				one := objected(9, opens, "any")
				d.records = append(d.records[:len(d.records):len(d.records)], one)
			},
		} {
			stopped := d
			stop(&stopped)
			if v, mode := judgeTracking(stopped); v.Allowed || mode > ledger.Anonymous || mode > c.want && c.want != none {
				t.Errorf("%s, stopped: %s, %q", c.name, mode, v.tells())
			}
		}
	}
}
