package service

import (
	"maps"
	"net/netip"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

func networksOf(list ...string) (all []netip.Prefix) {
	for _, p := range list {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}

// afterNoon is a time within the minutes around noon, as a source's clock shows it.
func afterNoon(seconds int) time.Time { return on(noon).Add(time.Duration(seconds) * time.Second) }

// A click too soon after the mail. Times are seconds after noon: when something was
// recorded, and when its source says that it was, if it does.
func TestFastClicks(t *testing.T) {
	t.Parallel()
	unsaid := -1000
	for _, c := range []struct {
		name                                   string
		sentAt, sentSaid, clickAt, clickedSaid int
		signal                                 bool
		since                                  int
	}{
		{"nobody says when", 0, unsaid, 9, unsaid, true, 9},
		{"nobody says when, in time", 0, unsaid, 10, unsaid, false, 10},
		{"at once", 0, unsaid, 0, unsaid, true, 0},
		{"both say it", 40, 5, 50, 14, true, 9},
		{"both say it, in time", 40, 5, 41, 15, false, 10},
		{"both tell late of a fast click", 3600, 5, 7200, 10, true, 5},
		// One clock alone is not compared with the ledger's.
		{"only the mailer says it", 30, 0, 35, unsaid, true, 5},
		{"only the mailer says it, in time", 30, 0, 40, unsaid, false, 10},
		{"only the shop says it", 30, unsaid, 45, 31, false, 15},
		// Clocks that disagree: before the mail nobody clicks.
		{"the mailer is a minute ahead", 0, 60, 20, 20, false, 20},
		{"the mailer is a minute ahead, too soon", 0, 60, 5, 5, true, 5},
		{"the shop is a minute behind", 0, 0, 20, -40, false, 20},
		{"the shop is a minute behind, too soon", 0, 0, 5, -55, true, 5},
		// A limit: this cannot be seen in what the sources say.
		{"the mailer is a minute behind", 0, -60, 5, 5, false, 65},
		{"the shop is a minute ahead", 0, 0, 5, 65, false, 65},
		// The ledger's clock has the last word when it is all there is.
		{"the mail was recorded late", 100, unsaid, 101, unsaid, true, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f, cal := newDated(t)
			said := func(seconds int) time.Time {
				if seconds == unsaid {
					return time.Time{}
				}
				return afterNoon(seconds)
			}
			r := f.request("a@example.com")
			cal.set(afterNoon(c.sentAt))
			mail := mailOf(r, r.Token)
			mail.OccurredAt = said(c.sentSaid)
			f.sent(mail)
			cal.set(afterNoon(c.clickAt))
			done, err := f.s.ConfirmConsent(ctx, shop, Click{Token: r.Token, OccurredAt: said(c.clickedSaid)})
			if err != nil || done.SinceSent == nil || *done.SinceSent != time.Duration(c.since)*time.Second {
				t.Fatalf("%+v, %v, want %d s since the mail", done, err, c.since)
			}
			want := map[bool]string{true: "fast_click"}[c.signal]
			if got := f.value(done.Consents[0].Entry.Index, done.Consents[0].ID, "scanner"); got != want {
				t.Errorf("signals %q, want %q", got, want)
			}
			// A second click is answered alike, and the history tells the same.
			if again := f.confirm(r.Token); !again.AlreadyConfirmed || again.SinceSent == nil || *again.SinceSent != *done.SinceSent {
				t.Errorf("a second click: %+v", again)
			}
			h, err := f.s.History(ctx, legal, done.Consents[0].ID)
			if err != nil || h.SinceSent == nil || *h.SinceSent != *done.SinceSent {
				t.Errorf("the history tells another time: %v", err)
			}
		})
	}
}

// The newest mail counts, whichever consents of the request it was recorded for; a
// bounce and a resend are none.
func TestNewestMail(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	click := func(r *Requested, since time.Duration, signals string) {
		t.Helper()
		c := f.confirm(r.Token)
		if c.SinceSent == nil || *c.SinceSent != since {
			t.Errorf("since the mail %v, want %v", c.SinceSent, since)
		}
		if got := f.value(c.Consents[0].Entry.Index, c.Consents[0].ID, "scanner"); got != signals {
			t.Errorf("signals %q, want %q", got, signals)
		}
	}
	r := f.request("two@example.com", newsletter, offers)
	mail := mailOf(r, r.Token)
	f.sent(mail)
	cal.pass(time.Hour)
	mail.ConsentIDs = mail.ConsentIDs[1:]
	f.sent(mail)
	f.withdraw(Withdrawal{ConsentIDs: mail.ConsentIDs}) // of what the newest mail was recorded for
	cal.pass(5 * time.Second)
	click(r, 5*time.Second, "fast_click")

	r = f.request("bounced@example.com")
	f.sent(mailOf(r, r.Token))
	cal.pass(time.Hour)
	if _, _, err := f.s.RecordConfirmationFailed(ctx, other, FailedMail{ConsentIDs: ids(r.Consents), Permanent: true}); err != nil {
		t.Error(err)
	}
	if _, err := f.s.ResendConfirmation(ctx, shop, Resend{ConsentIDs: ids(r.Consents)}); err != nil {
		t.Error(err)
	}
	click(r, time.Hour, "")
}

// An opening from elsewhere within a minute of the click.
func TestManyAddresses(t *testing.T) {
	t.Parallel()
	human := map[string]string{"ip": "203.0.113.9", "user_agent": "Browser/1.0"}
	with := func(claims map[string]string, name, value string) map[string]string {
		changed := maps.Clone(claims)
		if changed[name] = value; value == "" {
			delete(changed, name)
		}
		return changed
	}
	type touch struct {
		at     int // seconds before the click
		claims map[string]string
		said   int // seconds before the click as it was said to be, both by the shop; 0 if nobody says it
	}
	for _, c := range []struct {
		name     string
		openings []touch
		click    map[string]string
		policy   string
		signal   bool
	}{
		{"no opening", nil, human, "", false},
		{"the same browser", []touch{{30, human, 0}}, human, "", false},
		{"another address of the network", []touch{{30, with(human, "ip", "203.0.113.200"), 0}}, human, "", false},
		{"another network", []touch{{30, with(human, "ip", "198.51.100.9"), 0}}, human, "", true},
		{"another family", []touch{{30, with(human, "ip", "2001:db8::9"), 0}}, human, "", true},
		{"the same address, spelt otherwise", []touch{{30, with(human, "ip", "::ffff:203.0.113.9"), 0}}, human, "", false},
		{"another browser", []touch{{30, with(human, "user_agent", "Scanner/2"), 0}}, human, "", true},
		{"a minute before", []touch{{60, with(human, "user_agent", "Scanner/2"), 0}}, human, "", true},
		{"more than a minute before", []touch{{61, with(human, "user_agent", "Scanner/2"), 0}}, human, "", false},
		{"one of several", []touch{{3600, human, 0}, {20, with(human, "ip", "198.51.100.9"), 0}, {5, human, 0}}, human, "", true},
		{"nothing is known of the opening", []touch{{30, nil, 0}}, human, "", false},
		{"nothing is known of the click", []touch{{30, human, 0}}, nil, "", false},
		{"one knows the address, the other the browser", []touch{{30, with(human, "ip", ""), 0}}, with(human, "user_agent", ""), "", false},
		{"told late, at once as is said", []touch{{3600, with(human, "user_agent", "Scanner/2"), 60}}, human, "", true},
		{"told late, after the click as is said", []touch{{30, with(human, "user_agent", "Scanner/2"), -60}}, human, "", true},
		{"told late, long after the click as is said", []touch{{30, with(human, "user_agent", "Scanner/2"), -61}}, human, "", false},
		{"full addresses of one network", []touch{{30, with(human, "ip", "203.0.113.200"), 0}}, human, "full", false},
		{"full addresses of two networks", []touch{{30, with(human, "ip", "198.51.100.9"), 0}}, human, "full", true},
		{"no address is kept", []touch{{30, with(human, "ip", "198.51.100.9"), 0}}, human, "none", false},
		{"no address is kept, another browser", []touch{{30, with(human, "user_agent", "Scanner/2"), 0}}, human, "none", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f, cal := newDated(t)
			f.define(PurposeDefinition{ID: "policy", DoubleOptIn: true, IPPolicy: c.policy})
			ask := asking("a@example.com", "policy")
			ask.Notice = f.covering("policy")
			r := f.ask(ask)
			click := on(noon).Add(2 * time.Hour)
			for i, o := range c.openings {
				cal.set(click.Add(-time.Duration(o.at) * time.Second))
				open := Opening{Token: r.Token, Claims: o.claims}
				if o.said != 0 {
					open.OccurredAt = click.Add(-time.Duration(o.said)*time.Second - time.Hour)
				}
				if i%2 == 1 {
					open.Token, open.ConsentIDs = "", ids(r.Consents)
				}
				if _, _, err := f.s.RecordConfirmationOpened(ctx, shop, open); err != nil {
					t.Fatal(err)
				}
			}
			cal.set(click)
			done, err := f.s.ConfirmConsent(ctx, shop, Click{Token: r.Token, Claims: c.click, OccurredAt: click.Add(-time.Hour)})
			if err != nil {
				t.Fatal(err)
			}
			entry := done.Consents[0].Entry.Index
			want := map[bool]string{true: "many_addresses"}[c.signal]
			if got := f.value(entry, done.Consents[0].ID, "scanner"); got != want {
				t.Errorf("signals %q, want %q", got, want)
			}
			kept := map[string]string{"": "203.0.113.0/24", "full": "203.0.113.9"}[c.policy]
			if c.click["ip"] == "" {
				kept = ""
			}
			if got := f.value(entry, done.Consents[0].ID, "ip"); got != kept {
				t.Errorf("of the address %q is kept, want %q", got, kept)
			}
		})
	}
}

// However many openings a machine leaves behind, the newest are looked at.
func TestManyOpenings(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	r := f.request("a@example.com", newsletter, offers)
	open := func(agent string) {
		t.Helper()
		cal.pass(time.Second / 10)
		if _, _, err := f.s.RecordConfirmationOpened(ctx, shop, Opening{Token: r.Token, Claims: map[string]string{"user_agent": agent}}); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 * maxOpeningsRead {
		open("Browser/1.0")
	}
	open("Scanner/2")
	for range maxOpeningsRead - 1 {
		open("Browser/1.0")
	}
	c, err := f.s.ConfirmConsent(ctx, shop, Click{Token: r.Token, Claims: map[string]string{"user_agent": "Browser/1.0"}})
	if err != nil || f.value(c.Consents[0].Entry.Index, c.Consents[0].ID, "scanner") != "many_addresses" {
		t.Errorf("%+v, %v", c, err)
	}
}

// The whole address is asked for among the data centres, before it is cut.
func TestDatacentres(t *testing.T) {
	t.Parallel()
	f := newService(t, func(o *Options) {
		o.Datacentres = networksOf("198.51.100.128/25", "192.0.2.7/32", "2001:db8:1::/48", "2001:db8::/64")
	})
	f.define(PurposeDefinition{ID: "traceless", DoubleOptIn: true, IPPolicy: "none"})
	traceless := f.covering("traceless")
	for ip, signal := range map[string]bool{
		"198.51.100.128": true, "198.51.100.255": true, "198.51.100.127": false, "192.0.2.7": true, "192.0.2.8": false,
		"::ffff:198.51.100.200": true, "2001:db8:1:2::3": true, "2001:db8:2::3": false, "2001:db8::1": true, "2001:db8:0:1::1": false,
		"2001:db8::1%eth0": true, "": false,
	} {
		want := map[bool]string{true: "datacentre"}[signal]
		claims := map[string]string{"ip": ip}
		if ip == "" {
			claims = nil
		}
		for _, kept := range []bool{true, false} {
			ask := asking("someone@example.com")
			if !kept {
				ask.Purposes, ask.Notice = []string{"traceless"}, traceless
			}
			r := f.ask(ask)
			id := r.Consents[0].ID
			opened, _, err := f.s.RecordConfirmationOpened(ctx, shop, Opening{ConsentIDs: ids(r.Consents), Claims: claims})
			if err != nil {
				t.Fatal(err)
			}
			c, err := f.s.ConfirmConsent(ctx, shop, Click{Token: r.Token, Claims: claims})
			if err != nil {
				t.Fatal(err)
			}
			for what, i := range map[string]ledger.Index{"opening": opened.Index, "click": c.Consents[0].Entry.Index} {
				if got := f.value(i, id, "scanner"); got != want {
					t.Errorf("%s from %q: signals %q, want %q", what, ip, got, want)
				}
				if got := f.value(i, id, "ip"); (got != "") != (kept && ip != "") {
					t.Errorf("%s from %q: kept %v, and the claim is %q", what, ip, kept, got)
				}
			}
		}
	}
}

func TestWrongDatacentres(t *testing.T) {
	t.Parallel()
	for _, p := range append(networksOf("192.0.2.1/24", "::ffff:192.0.2.0/120"), netip.Prefix{}) {
		opt := Options{Dir: t.TempDir(), Datacentres: []netip.Prefix{p}}
		if s, err := Open(opt); err == nil {
			t.Errorf("%v is accepted", p)
			s.Close()
		}
	}
}

// What the caller saw and what the ledger sees is one claim of sorted words.
func TestReportedSignals(t *testing.T) {
	t.Parallel()
	f := newService(t, func(o *Options) { o.Datacentres = networksOf("192.0.2.0/24") })
	r := f.request("a@example.com", newsletter, offers)
	f.sent(mailOf(r, r.Token))
	opened, _, err := f.s.RecordConfirmationOpened(ctx, shop, Opening{ConsentIDs: ids(r.Consents), Signals: []string{"honeypot"}})
	if err != nil || f.value(opened.Index, r.Consents[1].ID, "scanner") != "honeypot" {
		t.Errorf("opened %+v, %v", opened, err)
	}
	click := Click{Token: r.Token, Claims: map[string]string{"ip": "192.0.2.1"}}
	before := f.size()
	for path, signals := range map[string][]string{
		"signals[0]": {"scanner"}, "signals[1]": {"honeypot", "Honeypot"}, "signals[2]": {"honeypot", "every_link", "honeypot"},
	} {
		click.Signals = signals
		_, err := f.s.ConfirmConsent(ctx, shop, click)
		refused(t, err, refusal.InvalidArgument, path)
		_, _, err = f.s.RecordConfirmationOpened(ctx, shop, Opening{Token: r.Token, Signals: signals})
		refused(t, err, refusal.InvalidArgument, path)
	}
	click.Signals, click.Click = nil, "mouse"
	_, err = f.s.ConfirmConsent(ctx, shop, click)
	refused(t, err, refusal.InvalidArgument, "click")
	// Nobody sets the claim in any other way.
	click.Click, click.Claims["scanner"] = "", "none at all"
	_, err = f.s.ConfirmConsent(ctx, shop, click)
	refused(t, err, refusal.InvalidArgument, "claims")
	f.wrote(before, "")
	delete(click.Claims, "scanner")
	click.Signals = []string{"many_addresses", "fast_click", "every_link"}
	c, err := f.s.ConfirmConsent(ctx, shop, click)
	if err != nil || len(c.Consents) != 2 {
		t.Fatalf("%+v, %v", c, err)
	}
	for _, consent := range c.Consents {
		if got := f.value(consent.Entry.Index, consent.ID, "scanner"); got != "datacentre every_link fast_click many_addresses" {
			t.Errorf("signals %q", got)
		}
		if consent.Grade != "D" {
			t.Errorf("grade %s", consent.Grade)
		}
	}
}

// A scanner that clicks after the person changes nothing: no entry, no grade. One
// that clicks first is what is on record.
func TestScannerClicksSecond(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	o := fullOptIn("human@example.com")
	r, first := o.record(f, cal)
	before, humanClick := f.size(), Click{Token: r.Token}
	scan := Click{Token: r.Token, Claims: map[string]string{"ip": "192.0.2.1", "user_agent": "Scanner/2"}, Signals: []string{"every_link"}}
	again, err := f.s.ConfirmConsent(ctx, shop, scan)
	if err != nil || !again.AlreadyConfirmed || shows(again.Consents) != shows(first.Consents) || again.Consents[0].Grade != "A" {
		t.Errorf("%+v, %v", again, err)
	}
	f.wrote(before, "")
	f.grade("human@example.com", "A")

	o = fullOptIn("scanned@example.com")
	o.click = scan
	r, _ = o.record(f, cal)
	before = f.size()
	human, err := f.s.ConfirmConsent(ctx, shop, Click{Token: r.Token, Click: "button", Claims: o.ask.Claims})
	if err != nil || !human.AlreadyConfirmed || human.Consents[0].Grade != "D" {
		t.Errorf("%+v, %v", human, err)
	}
	f.wrote(before, "")
	f.grade("scanned@example.com", "D")
	// A restriction moved the consent since: its newest entry is not the click.
	f.restrict("human@example.com")
	if again, err = f.s.ConfirmConsent(ctx, shop, humanClick); err != nil || !again.AlreadyConfirmed || again.SinceSent != nil {
		t.Errorf("%+v, %v", again, err)
	}
	// Both at once: one of them is the click, the other one came second.
	r = f.request("race@example.com")
	scan.Token = r.Token
	var confirmed, already int
	f.together(func() { f.count(scan, &confirmed, &already) }, func() { f.count(Click{Token: r.Token, Click: "button"}, &confirmed, &already) })
	if confirmed != 1 || already != 1 {
		t.Errorf("%d confirmed, %d second", confirmed, already)
	}
}

// count counts what a click does; calls of one group come one after the other.
func (f *fixture) count(click Click, confirmed, already *int) {
	c, err := f.s.ConfirmConsent(ctx, shop, click)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err != nil:
		f.t.Error(err)
	case c.AlreadyConfirmed:
		*already++
	default:
		*confirmed++
	}
}
