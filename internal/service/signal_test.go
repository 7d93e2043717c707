package service

import (
	"fmt"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// TC strings of version 2, as consent tools make them.
const (
	tcYes  = "COxR03kOxR1CqBcABCENAgCMAP_AAH_AAAqIF3EXySoGY2thI2YVFxBEIYwfJxyigMgChgQIsSwNQIeFLBoGLiAAHBGYJAQAGBAEEACBAQIkHGBMCQAAgAgBiRCMQEGMCzNIBIBAggEbY0FACCVmHkHSmZCY7064O__QLuIJEFQMAkSBAIACLECIQwAQDiAAAYAlAAABAhIaAAgIWBQEeAAAACAwAAgAAABBAAACAAQAAICIAAABAAAgAiAQAAAAGgIQAACBABACRIAAAEANCAAgiCEAQg4EAo4AAA.IF3EXySoGY2tho2YVFzBEIYwfJxyigMgShgQIsS0NQIeFLBoGPiAAHBGYJAQAGBAkkACBAQIsHGBMCQABgAgRiRCMQEGMDzNIBIBAggkbY0FACCVmnkHS3ZCY70-6u__QA.elAAAAAAAWA"
	tcYes2 = "CLcVDxRMWfGmWAVAHCENAXCkAKDAADnAABRgA5mdfCKZuYJez-NQm0TBMYA4oCAAGQYIAAAAAAEAIAEgAA.argAC0gAAAAAAAAAAAA"
	tcNo   = "COrVd1pOrVd1pACABCENAHCAAAAAAAAAAAiQAAAAAAAA"
)

func gpc(who Subject, purposes ...string) PreferenceSignal {
	return PreferenceSignal{Subject: who, Signal: "gpc", Value: "1", Purposes: purposes}
}

func tcString(who Subject, value string) PreferenceSignal {
	return PreferenceSignal{Subject: who, Signal: "tcf", Value: value}
}

// signals records a signal and checks what it says and what it wrote.
func (f *fixture) signals(x PreferenceSignal, says, kinds string) *SignalReceived {
	f.t.Helper()
	before := f.size()
	got, err := f.s.RecordSignal(ctx, shop, x)
	if err != nil {
		f.t.Fatal(err)
	}
	f.wrote(before, kinds)
	if got.Says != says {
		f.t.Errorf("it says %s, want %s", got.Says, says)
	}
	return got
}

// gives lets somebody consent to a tracking purpose on paper.
func (f *fixture) gives(who Subject, notice string, purposes ...string) []Consent {
	f.t.Helper()
	g := giving(who, "email", purposes...)
	g.Notice = notice
	given, err := f.s.GiveConsent(ctx, shop, g)
	if err != nil {
		f.t.Fatal(err)
	}
	return given.Consents
}

// Whoever says no without a record refuses first, once per purpose.
func TestSignalOfAStranger(t *testing.T) {
	t.Parallel()
	f, _ := withTracking(t)
	f.define(PurposeDefinition{ID: opens, DoubleOptIn: true, TrackingMode: "anonymous"})
	f.define(PurposeDefinition{ID: clicks, TrackingMode: "pseudonymous"})
	f.request("somebody@example.com") // so that the source is declared
	a := Subject{Email: "A.Stranger@Example.com"}
	f.tracks(a, "anonymous")
	x := gpc(a)
	x.Claims, x.IdempotencyKey, x.Proof = map[string]string{"ip": "203.0.113.7", "user_agent": "Browser/1"}, "one", true
	before := f.size()
	got := f.signals(x, "no", "consent.refused consent.refused signal.received")
	if len(got.Consents) != 2 || got.Consents[0].Purpose != opens || got.Consents[1].Purpose != clicks || got.Consents[1].State != ledger.Refused ||
		got.Entry.Index != ledger.Index(before)+2 || got.Entry.Receipt == "" || got.Consents[0].Entry.Index != got.Entry.Index {
		t.Errorf("%+v", got)
	}
	for i, c := range got.Consents {
		opened := f.entry(ledger.Index(before) + ledger.Index(i))
		if opened.Method != "api" || opened.Channel != "email" || fmt.Sprint(f.opened(opened, c.ID)) != "map[email:a.stranger@example.com typed:A.Stranger@Example.com]" {
			t.Errorf("%+v", opened)
		}
		said := f.entry(got.Entry.Index)
		if said.Signal != "gpc" || said.Says != "no" || fmt.Sprint(f.opened(said, c.ID)) != "map[ip:203.0.113.0/24 signal:1 user_agent:Browser/1]" {
			t.Errorf("%+v", said)
		}
	}
	f.tracks(a, "none")
	f.decides(a, opens, "email", "refused")
	f.decides(a, newsletter, "email", "no_consent")
	if again := f.signals(x, "no", ""); again.Entry.Index != got.Entry.Index || len(again.Consents) != 2 {
		t.Errorf("a retry answers %+v", again)
	}
	x.Value, x.Signal = tcNo, "tcf"
	_, err := f.s.RecordSignal(ctx, shop, x)
	refused(t, err, refusal.FailedPrecondition, "idempotency_key")

	// Saying yes without a record says nothing new.
	b := email("b@example.com")
	if got := f.signals(tcString(b, tcYes), "yes", ""); len(got.Consents) > 0 || got.Entry.Size != 0 {
		t.Errorf("%+v", got)
	}
	f.decides(b, opens, "email", "unknown_subject")
	f.tracks(b, "anonymous")
	f.checked()
}

// What was consented to by a click stays allowed, whichever came first; without it
// the newest signal counts.
func TestSignalsAndClicks(t *testing.T) {
	t.Parallel()
	f, notice := withTracking(t)
	f.define(PurposeDefinition{ID: opens, TrackingMode: "anonymous"})
	f.define(PurposeDefinition{ID: clicks, TrackingMode: "personal"})
	first, then := email("first@example.com"), email("then@example.com")

	f.signals(gpc(first), "no", "source.declared consent.refused consent.refused signal.received")
	f.tracks(first, "none")
	f.gives(first, notice, opens, clicks)
	f.setMode(TrackingChange{Subject: first, Purpose: opens, Mode: "personal"}, "tracking.changed")
	f.tracks(first, "personal")
	f.decides(first, opens, "email", "given")

	f.gives(then, notice, opens, clicks)
	f.setMode(TrackingChange{Subject: then, Purpose: opens, Mode: "personal"}, "tracking.changed")
	f.signals(gpc(then), "no", "signal.received")
	f.tracks(then, "personal")
	f.decides(then, clicks, "email", "given")

	for _, who := range []Subject{first, then} {
		f.withdraw(Withdrawal{Subject: who, Purposes: []string{opens, clicks}})
		f.tracks(who, "none")
		f.signals(tcString(who, tcYes), "yes", "signal.received")
		f.tracks(who, "anonymous") // the default again: yes grants nothing
		f.decides(who, clicks, "email", "withdrawn")
		// Of the two purposes the lower mode is told.
		f.signals(gpc(who, clicks), "no", "signal.received")
		f.tracks(who, "none")
		f.setMode(TrackingChange{Subject: who, Purpose: clicks, Mode: "anonymous"}, "tracking.changed")
		f.tracks(who, "anonymous") // by their own hand
	}
	f.checked()
}

// The same signal again writes nothing; another one does, and so does the same one
// when there is something new to say it about.
func TestSignalAgain(t *testing.T) {
	t.Parallel()
	f, notice := withTracking(t)
	a := email("a@example.com")
	first := f.signals(gpc(a, opens), "no", "source.declared consent.refused signal.received")
	same := func(want *SignalReceived, x PreferenceSignal) {
		t.Helper()
		if got := f.signals(x, want.Says, ""); got.Entry.Index != want.Entry.Index || len(got.Consents) != len(want.Consents) {
			t.Errorf("again: %+v, want %+v", got, want)
		}
	}
	same(first, gpc(a, opens))
	f.signals(tcString(a, tcNo), "no", "consent.refused signal.received") // the other purpose is new to it
	second := f.signals(gpc(a), "no", "signal.received")
	same(second, gpc(a))
	third := f.signals(tcString(a, tcYes), "yes", "signal.received")
	same(third, tcString(a, tcYes))
	fourth := f.signals(tcString(a, tcYes2), "yes", "signal.received") // another string
	same(fourth, tcString(a, tcYes2))
	f.reopen()
	same(fourth, tcString(a, tcYes2))
	f.gives(a, notice, opens)
	f.signals(tcString(a, tcYes2), "yes", "signal.received") // about the new record, too

	// Of several entries that stand the newest is answered.
	b := email("b@example.com")
	f.signals(gpc(b, clicks), "no", "consent.refused signal.received")
	newer := f.signals(gpc(b, opens), "no", "consent.refused signal.received")
	if got := f.signals(gpc(b), "no", ""); got.Entry.Index != newer.Entry.Index || len(got.Consents) != 2 {
		t.Errorf("%+v, want entry %d", got, newer.Entry.Index)
	}
	f.checked()
}

// A signal about more records than an entry holds, told and told again.
func TestSignalAboutMany(t *testing.T) {
	t.Parallel()
	f := newService(t)
	f.define(PurposeDefinition{ID: opens})
	notice := f.covering(opens)
	a := email("a@example.com")
	each(aboutPerEntry+1, func(int) {
		g := giving(a, "email", opens)
		g.Notice = notice
		if _, err := f.s.GiveConsent(ctx, shop, g); err != nil {
			t.Error(err)
		}
	})
	got := f.signals(gpc(a), "no", "signal.received signal.received")
	if n := len(got.Consents); n != aboutPerEntry+1 || got.Consents[n-1].Entry.Index != got.Entry.Index+1 || got.Consents[0].Entry.Index != got.Entry.Index {
		t.Errorf("%d consents", n)
	}
	again := f.signals(gpc(a), "no", "")
	if n := len(got.Consents); len(again.Consents) != n || again.Entry.Index != got.Entry.Index || again.Consents[n-1].Entry.Index != got.Entry.Index+1 {
		t.Errorf("again %d consents, entry %d", len(again.Consents), again.Entry.Index)
	}
	f.checked()
}

// The channels of a purpose have one record of a refusal.
func TestSignalOnTheWeb(t *testing.T) {
	t.Parallel()
	f := newService(t)
	f.define(PurposeDefinition{ID: web, TrackingMode: "anonymous"})
	a := external("visitor-7")
	got := f.signals(gpc(a), "no", "source.declared consent.refused signal.received")
	if got.Consents[0].Channel != "web" {
		t.Errorf("%+v", got.Consents)
	}
	f.tracksOn(a, "web", "none")
	f.tracksOn(a, "app", "none")
	f.tracksOn(external("visitor-8"), "app", "anonymous")
}

func TestBadSignals(t *testing.T) {
	t.Parallel()
	f, _ := withTracking(t)
	const secret = "COxR03kOxR1CqBcABCENAgCMAP-PERSONAL"
	a := email("a@example.com")
	for _, c := range []struct {
		at     string
		change func(*PreferenceSignal)
	}{
		{"subject", func(x *PreferenceSignal) { x.Subject = Subject{} }},
		{"subject.email", func(x *PreferenceSignal) { x.Subject.Email = "nobody" }},
		{"signal", func(x *PreferenceSignal) { x.Signal = "dnt" }},
		{"signal", func(x *PreferenceSignal) { x.Signal = "" }},
		{"value", func(x *PreferenceSignal) { x.Value = "" }},
		{"value", func(x *PreferenceSignal) { x.Value = "0" }},
		{"value", func(x *PreferenceSignal) { x.Value = "true" }},
		{"value", func(x *PreferenceSignal) { x.Signal = "tcf" }},
		{"value", func(x *PreferenceSignal) { x.Signal, x.Value = "tcf", secret }},
		{"value", func(x *PreferenceSignal) { x.Signal, x.Value = "tcf", tcNo+"\n" }},
		{"purposes[1]", func(x *PreferenceSignal) { x.Purposes = []string{opens, newsletter} }},
		{"purposes[0]", func(x *PreferenceSignal) { x.Purposes = []string{web} }}, // not defined
		{"purposes[1]", func(x *PreferenceSignal) { x.Purposes = []string{opens, opens} }},
		{"claims", func(x *PreferenceSignal) { x.Claims = map[string]string{"signal": "1"} }},
		{"occurred_at", func(x *PreferenceSignal) { x.OccurredAt = on("1999-12-31T00:00:00Z") }},
	} {
		bad := gpc(a)
		c.change(&bad)
		before := f.size()
		_, err := f.s.RecordSignal(ctx, shop, bad)
		refused(t, err, refusal.InvalidArgument, c.at)
		if strings.Contains(err.Error(), "PERSONAL") {
			t.Errorf("the refusal quotes the string: %v", err)
		}
		f.wrote(before, "")
	}
	f.decides(a, opens, "email", "unknown_subject")
	plain := newService(t)
	_, err := plain.s.RecordSignal(ctx, shop, gpc(a))
	refused(t, err, refusal.FailedPrecondition, "tracking")
}

// What TC strings say of purpose 1, and what is none.
func TestPurposeOne(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		tcYes: "yes", tcYes2: "yes", tcNo: "no",
		tcYes[:strings.IndexByte(tcYes, '.')]: "yes", // the core alone
		"":                                    "",
		"C":                                   "",
		"BOEFEAyOEFEAyAHABDENAI4AAAB9vABAASA": "", // version 1
		"D" + tcNo[1:]:                        "", // version 3
		tcNo[:len(tcNo)-16]:                   "",
		tcNo + "=":                            "",
		"C0000000000000000000000000000000000AA5A000000000000000000000": "", // ends before its flags
		"COrVd1pOrVd1pACABCENAHCAAAAAAAAAAAiQ\nAAAAAAAA":               "",
		strings.Repeat("C", ledger.MaxClaimValue+1):                    "",
	} {
		allowed, ok := purposeOne(s)
		if got := map[bool]string{true: yesNo(allowed)}[ok]; got != want {
			t.Errorf("%.60q: %q, want %q", s, got, want)
		}
	}
}

// No string stops the reader, and what it says of purpose 1 is bit 152 of the core, by
// the table of fields of the IAB's Consent string format v2.
func FuzzPurposeOne(f *testing.F) {
	for _, s := range []string{tcYes, tcYes2, tcNo, "C0000000000000000000000000000000000AA5A000000000000000000000"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		allowed, ok := purposeOne(s)
		if !ok {
			if allowed {
				t.Error("allowed by what is none")
			}
			return
		}
		core, _, _ := strings.Cut(s, ".")
		if len(core) <= 152/6 {
			t.Fatalf("the core %q ends before its purposes", core)
		}
		const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		if version := strings.IndexByte(digits, core[0]); version != 2 {
			t.Errorf("it is of version %d", version)
		}
		if want := strings.IndexByte(digits, core[152/6])>>(5-152%6)&1 == 1; allowed != want {
			t.Errorf("purpose 1 is allowed: %v, the bit says %v", allowed, want)
		}
	})
}
