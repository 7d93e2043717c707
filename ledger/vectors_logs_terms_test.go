package ledger

import "slices"

// terms begins a log with the purposes and notices of every sort; the next entry
// has the index 15.
func (l *logForTest) terms() (wording, privacy, mail NoticeRef) {
	l.prelude()
	l.source("legal-desk", "legal")
	return l.otherPurposes()
}

// defined gives the entry that defines a purpose with few terms; the caller may
// change it before adding it.
func (l *logForTest) defined(id string, version int64) *Entry {
	return &Entry{Kind: PurposeDefined, Source: "admin", Purpose: id, Version: version, Marketing: "yes", DoubleOptIn: "no", Lifetime: 60}
}

// termsCase adds an opening entry of a log that has all terms.
func termsCase(kind Kind, purpose string, change func(*logForTest, *Entry)) func(*logForTest) {
	return func(l *logForTest) {
		wording, _, _ := l.terms()
		var e *Entry
		if kind == ConsentRequested {
			e = l.requested(1, purpose, wording)
			e.IPPolicy, e.Commits = "none", l.commits("email")
		} else {
			e = l.opened(kind, purpose, wording)
		}
		change(l, e)
		l.add(e)
	}
}

// definedCase adds a definition to a log that has all terms.
func definedCase(id string, version int64, change func(e *Entry)) func(*logForTest) {
	return func(l *logForTest) {
		l.terms()
		e := l.defined(id, version)
		change(e)
		l.add(e)
	}
}

// asHealth has an entry say all that the purpose health demands.
func asHealth(l *logForTest, e *Entry) {
	e.Explicit, e.Age = "yes", "old_enough"
}

// definitionLogs are about what purposes and notices say.
var definitionLogs = []logVector{
	{name: "parent-undefined", build: definedCase("shop", 1, func(e *Entry) { e.Parent = "mails" }),
		err: "entry 15: rule parent: ", reason: "the purpose above it was not defined"},
	{name: "parent-itself", build: definedCase("shop", 1, func(e *Entry) { e.Parent = "shop" }),
		err: "entry 15: rule parent: ", reason: "a purpose is not above itself"},
	{name: "parent-not-marketing", build: definedCase("shop", 1, func(e *Entry) { e.Parent = "orders" }),
		err: "entry 15: rule parent: ", reason: "marketing lies under marketing only"},
	{name: "parent-marketing", build: definedCase("shop", 1, func(e *Entry) { e.Parent, e.Marketing = "offers", "no" }),
		err: "entry 15: rule parent: ", reason: "what is not marketing does not lie under marketing"},
	{name: "parent-changed", build: definedCase("health", 2, func(e *Entry) { e.Parent = "newsletter" }),
		err: "entry 15: rule parent: a purpose keeps its parent", reason: "a withdrawal would reach other consents than before"},
	{name: "parent-lost", build: definedCase("health", 2, func(*Entry) {}),
		err: "entry 15: rule parent: a purpose keeps its parent", reason: "a withdrawal would reach fewer consents than before"},
	{name: "parent-gained", build: definedCase("survey", 2, func(e *Entry) { e.Parent = "newsletter" }),
		err: "entry 15: rule parent: a purpose keeps its parent", reason: "a withdrawal would reach more consents than before"},
	{name: "parent-of-parent", build: definedCase("health.teeth", 1, func(e *Entry) { e.Parent = "health" }),
		verdict: Verified, reason: "purposes lie under each other as deep as they like"},
	{name: "parent-kept", build: definedCase("health", 2, func(e *Entry) { e.Parent = "offers" }),
		verdict: Verified, reason: "a new version with the same parent"},
	{name: "tracking-mode-elsewhere", build: definedCase("newsletter", 2, func(e *Entry) { e.TrackingMode = "none" }),
		err: "entry 15: rule tracking: ", reason: "only purposes of tracking have a mode"},
	{name: "basis-explicit-contract", build: definedCase("health", 2, func(e *Entry) {
		e.Parent, e.Explicit, e.Bases = "offers", "yes", []string{"consent", "contract"}
	}), err: "entry 15: rule basis: ", reason: "explicit consent is one basis, not one of several"},
	{name: "basis-customers-not-marketing", build: definedCase("orders", 2, func(e *Entry) { e.Marketing, e.Bases = "no", []string{"existing_customer"} }),
		err: "entry 15: rule basis: ", reason: "§ 7(3) UWG is about advertising"},
	{name: "version-gap-purpose-before-parent", build: definedCase("health", 4, func(*Entry) {}),
		err: "entry 15: rule version: version is 4, want 2", reason: "of two rules that it breaks, the one that is checked first"},
	{name: "facts-missing", build: (*logForTest).otherNotice, edit: func(l *logForTest, f filesForTest) { delete(f, l.factsPath()) },
		verdict: CannotTell, err: "entry 7: reading notices/", reason: "a file is missing"},
	{name: "facts-differ", build: (*logForTest).otherNotice, edit: func(l *logForTest, f filesForTest) { flip(l.factsPath(), 3)(l, f) },
		verdict: Invalid, err: "its content has another hash", reason: "other facts than those published"},
	{name: "facts-not-json", build: (*logForTest).otherNotice, verdict: Verified, reason: "what the document says is for people"},
	{name: "tied", build: (*logForTest).otherNotice, verdict: Verified, mention: `"irregular":{"notice.published.tied":1}`,
		reason: "a service depends on the consent"},
}

const factsOfOtherNotice = "hello"

// otherNotice publishes a notice with facts, under which a service depends on the
// consent.
func (l *logForTest) otherNotice() {
	l.prelude()
	e := l.noticed("shop-de", 1, "newsletter")
	e.Facts, e.ConditionalOn = l.document(factsOfOtherNotice), "service"
	l.add(e)
}

func (l *logForTest) factsPath() string {
	return "notices/" + hexOf(TextHash([]byte(factsOfOtherNotice)))
}

// openingLogs are about what a purpose demands of what opens a record.
var openingLogs = []logVector{
	{name: "basis-not-allowed", build: termsCase(BasisAsserted, "newsletter", func(*logForTest, *Entry) {}),
		err: "entry 15: rule basis: the purpose does not rest on contract", reason: "a purpose that says nothing rests on consent"},
	{name: "basis-no-consent", build: termsCase(ConsentGiven, "orders", func(*logForTest, *Entry) {}),
		err: "entry 15: rule basis: the purpose does not rest on consent", reason: "nobody can consent to what needs no consent"},
	{name: "basis-no-refusal", build: termsCase(ConsentRefused, "orders", func(*logForTest, *Entry) {}),
		err: "entry 15: rule basis: the purpose does not rest on consent", reason: "nor refuse it"},
	{name: "basis-no-request", build: termsCase(ConsentRequested, "orders", func(*logForTest, *Entry) {}),
		err: "entry 15: rule basis: the purpose does not rest on consent", reason: "nor be asked for it"},
	{name: "basis-no-import", build: termsCase(ConsentImported, "orders", func(*logForTest, *Entry) {}),
		err: "entry 15: rule basis: the purpose does not rest on consent", reason: "nor have been"},
	{name: "basis-channel-customers-phone", build: termsCase(BasisAsserted, "offers", func(_ *logForTest, e *Entry) {
		e.Basis, e.Conditions, e.Channel = "existing_customer", Conditions(), "phone"
	}), err: "entry 15: rule basis_channel: existing_customer", reason: "nobody is called as a customer"},
	{name: "basis-channel-customers-fax", build: termsCase(BasisAsserted, "offers", func(_ *logForTest, e *Entry) {
		e.Basis, e.Conditions, e.Channel = "existing_customer", Conditions(), "fax"
	}), err: "entry 15: rule basis_channel: existing_customer", reason: "nor faxed"},
	{name: "basis-channel-interest-email", build: termsCase(BasisAsserted, "offers", func(_ *logForTest, e *Entry) { e.Basis = "legitimate_interest" }),
		err: "entry 15: rule basis_channel: legitimate_interest", reason: "advertising by e-mail needs consent"},
	{name: "basis-channel-interest-messenger", build: termsCase(BasisAsserted, "offers", func(_ *logForTest, e *Entry) {
		e.Basis, e.Channel = "legitimate_interest", "messenger"
	}), err: "entry 15: rule basis_channel: legitimate_interest", reason: "advertising by messenger needs consent"},
	{name: "basis-channel-interest-post", build: termsCase(BasisAsserted, "offers", func(l *logForTest, e *Entry) {
		e.Basis, e.Channel, e.Commits = "legitimate_interest", "post", l.commits("document", "email")
	}), verdict: Verified, mention: `"asserted":1`, reason: "advertising by post does not"},
	{name: "basis-channel-interest-orders", build: termsCase(BasisAsserted, "orders", func(_ *logForTest, e *Entry) { e.Basis = "legitimate_interest" }),
		verdict: Verified, mention: `"asserted":1`, reason: "nor does what is no advertising"},
	{name: "basis-channel-customers-sms", build: termsCase(BasisAsserted, "offers", func(_ *logForTest, e *Entry) {
		e.Basis, e.Conditions, e.Channel = "existing_customer", Conditions(), "sms"
	}), verdict: Verified, mention: `"asserted":1`, reason: "electronic mail is more than e-mail"},
	{name: "conditions-three", build: termsCase(BasisAsserted, "offers", func(_ *logForTest, e *Entry) {
		e.Basis, e.Conditions = "existing_customer", Conditions()[1:]
	}), err: "entry 15: rule conditions: ", reason: "all four conditions of § 7(3) UWG"},
	{name: "conditions-none", build: termsCase(BasisAsserted, "offers", func(_ *logForTest, e *Entry) { e.Basis = "existing_customer" }),
		err: "entry 15: rule conditions: ", reason: "all four conditions of § 7(3) UWG"},
	{name: "conditions-of-a-contract", build: termsCase(BasisAsserted, "orders", func(_ *logForTest, e *Entry) { e.Conditions = Conditions() }),
		err: "entry 15: rule conditions: ", reason: "a contract has no such conditions"},
	{name: "explicit-requested", build: termsCase(ConsentRequested, "health", func(_ *logForTest, e *Entry) { e.Age = "child" }),
		err: "entry 15: rule explicit: ", reason: "Art. 9(2)(a) GDPR"},
	{name: "explicit-given", build: termsCase(ConsentGiven, "health", func(_ *logForTest, e *Entry) { e.Age = "child" }),
		err: "entry 15: rule explicit: ", reason: "Art. 9(2)(a) GDPR"},
	{name: "explicit-imported", build: termsCase(ConsentImported, "health", func(_ *logForTest, e *Entry) { e.Age = "child" }),
		err: "entry 15: rule explicit: ", reason: "Art. 9(2)(a) GDPR"},
	{name: "explicit-refused", build: termsCase(ConsentRefused, "health", func(*logForTest, *Entry) {}),
		verdict: Verified, mention: `"refused":1`, reason: "nobody refuses explicitly, at any age"},
	{name: "explicit-not-demanded", build: termsCase(ConsentGiven, "offers", asHealth),
		verdict: Verified, mention: `"given":1`, reason: "what is not demanded may be said"},
	{name: "age-requested", build: termsCase(ConsentRequested, "health", func(_ *logForTest, e *Entry) { e.Explicit = "yes" }),
		err: "entry 15: rule age: ", reason: "Art. 8 GDPR"},
	{name: "age-given", build: termsCase(ConsentGiven, "health", func(_ *logForTest, e *Entry) { e.Explicit = "yes" }),
		err: "entry 15: rule age: ", reason: "Art. 8 GDPR"},
	{name: "age-imported", build: termsCase(ConsentImported, "health", func(_ *logForTest, e *Entry) { e.Explicit = "yes" }),
		err: "entry 15: rule age: ", reason: "Art. 8 GDPR"},
	{name: "age-child", build: termsCase(ConsentGiven, "health", func(_ *logForTest, e *Entry) { e.Explicit, e.Age = "yes", "child" }),
		verdict: Verified, mention: `"given":1`, reason: "whether a guardian agreed is another question"},
	{name: "channel-proof-sms", build: termsCase(ConsentRequested, "offers", func(_ *logForTest, e *Entry) { e.Channel = "sms" }),
		err: "entry 15: rule channel_proof: ", reason: "a click in a mail says nothing about a telephone number"},
	{name: "channel-proof-phone", build: termsCase(ConsentRequested, "offers", func(_ *logForTest, e *Entry) { e.Channel = "phone" }),
		err: "entry 15: rule channel_proof: ", reason: "a click in a mail says nothing about a telephone number"},
	{name: "channel-proof-email", build: termsCase(ConsentRequested, "offers", func(l *logForTest, e *Entry) { e.Commits = l.commits("phone") }),
		err: "entry 15: rule channel_proof: ", reason: "nor a code in a text message about an address"},
	{name: "channel-proof-fax", build: termsCase(ConsentRequested, "offers", func(l *logForTest, e *Entry) {
		e.Channel, e.Commits = "fax", l.commits("email", "phone")
	}), verdict: Verified, reason: "one of the identifiers is enough"},
	{name: "channel-proof-customer", build: termsCase(ConsentRequested, "offers", func(l *logForTest, e *Entry) {
		e.Channel, e.Commits = "messenger", l.commits("external_id")
	}), verdict: Verified, reason: "what belongs to a customer number, the sender knows"},
	{name: "channel-proof-post", build: termsCase(ConsentRequested, "offers", func(_ *logForTest, e *Entry) { e.Channel = "post" }),
		verdict: Verified, reason: "post reaches no address and no number"},
	{name: "channel-proof-given", build: termsCase(ConsentGiven, "offers", func(_ *logForTest, e *Entry) { e.Channel = "sms" }),
		verdict: Verified, reason: "only requests are confirmed"},
	{name: "ip-policy-laxer", build: termsCase(ConsentGiven, "health", func(l *logForTest, e *Entry) { asHealth(l, e); e.IPPolicy = "full" }),
		err: "entry 15: rule ip_policy: ", reason: "a purpose that says nothing allows truncated addresses"},
	{name: "ip-policy-kept", build: termsCase(BasisAsserted, "orders", func(_ *logForTest, e *Entry) { e.IPPolicy = "truncated" }),
		err: "entry 15: rule ip_policy: ", reason: "the purpose allows none"},
	{name: "ip-policy-none-and-kept", build: termsCase(ConsentRequested, "offers", func(l *logForTest, e *Entry) { e.Commits = l.commits("email", "ip") }),
		err: "entry 15: rule ip_policy: ", reason: "an address is kept although none is"},
	{name: "ip-policy-full", build: termsCase(ConsentRequested, "offers", func(l *logForTest, e *Entry) {
		e.IPPolicy, e.Commits = "full", l.commits("email", "ip")
	}), verdict: Verified, reason: "the purpose allows whole addresses"},
	{name: "notice-use-requested", build: func(l *logForTest) {
		_, privacy, _ := l.terms()
		l.add(l.requested(1, "newsletter", privacy))
	}, err: "entry 15: rule notice_use: ", reason: "nobody consents under a privacy notice"},
	{name: "notice-use-given", build: func(l *logForTest) {
		_, _, mail := l.terms()
		l.add(l.opened(ConsentGiven, "newsletter", mail))
	}, err: "entry 15: rule notice_use: ", reason: "nor under a mail"},
	{name: "notice-use-asserted", build: func(l *logForTest) {
		wording, _, mail := l.terms()
		l.add(l.opened(BasisAsserted, "orders", wording))
		l.add(l.opened(BasisAsserted, "orders", mail))
	}, verdict: Verified, mention: `"asserted":2`, reason: "any notice can inform of a basis"},
	{name: "notice-of-an-import-unpublished", build: func(l *logForTest) {
		ref := l.prelude()
		ref.SHA256[5] ^= 1
		l.add(l.opened(ConsentImported, "newsletter", ref))
	}, err: "entry 7: rule notice: ", reason: "no words at all, or words that were published"},
	{name: "notice-of-a-refusal-elsewhere", build: func(l *logForTest) { l.add(l.opened(ConsentRefused, "survey", l.prelude())) },
		err: "entry 7: rule notice_coverage: ", reason: "the words shown do not speak of the purpose"},
}

// followingLogs are about what may follow on a consent besides its end.
var followingLogs = []logVector{
	{name: "renewed-by-api", build: func(l *logForTest) {
		e := l.changed(ConsentRenewed, l.confirmed())
		e.Method = "api"
		l.add(e)
	}, err: "entry 10: consent 7: rule method: ", reason: "never by the operator alone"},
	{name: "renewed-by-import", build: func(l *logForTest) {
		e := l.changed(ConsentRenewed, l.confirmed())
		e.Method = "import"
		l.add(e)
	}, err: "entry 10: consent 7: rule method: ", reason: "never by the operator alone"},
	{name: "renewed-asserted", build: func(l *logForTest) {
		l.terms()
		l.change(ConsentRenewed, ConsentID(l.add(l.opened(BasisAsserted, "orders", NoticeRef{}))))
	}, err: "entry 16: consent 15: rule transition: consent.renewed may not follow asserted", reason: "only consent is renewed"},
	{name: "renewed-after-withdrawal", build: func(l *logForTest) {
		id := l.confirmed()
		l.change(ConsentWithdrawn, id)
		l.change(ConsentRenewed, id)
	}, err: "entry 11: consent 7: rule transition: consent.renewed may not follow withdrawn", reason: "only a new consent leaves withdrawn"},
	{name: "renewed-under-a-lock", build: func(l *logForTest) {
		id := l.confirmed()
		l.change(SubjectLocked, id)
		l.change(ConsentRenewed, id)
	}, err: "entry 11: consent 7: rule locked: ", reason: "nothing is granted under a lock"},
	{name: "renewed-with-more-address", build: func(l *logForTest) {
		e := l.changed(ConsentRenewed, l.confirmed())
		e.IPPolicy = "full"
		l.add(e)
	}, err: "entry 10: consent 7: rule ip_policy: ", reason: "no more of an address than the purpose allows"},
	{name: "renewed-under-a-privacy-notice", build: func(l *logForTest) {
		_, privacy, _ := l.terms()
		e := l.changed(ConsentRenewed, ConsentID(l.add(l.opened(ConsentImported, "newsletter", NoticeRef{}))))
		e.Notice = privacy
		l.add(e)
	}, err: "entry 16: rule notice_use: ", reason: "nobody consents under a privacy notice"},
	{name: "renewed-under-other-words", build: func(l *logForTest) {
		ref := l.prelude()
		l.purpose("catalogue", 1)
		id := ConsentID(l.add(l.opened(ConsentImported, "catalogue", NoticeRef{})))
		e := l.changed(ConsentRenewed, id)
		e.Notice = ref
		l.add(e)
	}, err: "entry 9: consent 8: rule notice_coverage: ", reason: "the words shown do not speak of the purpose"},
	{name: "renewed-again", build: func(l *logForTest) {
		id := l.confirmed()
		l.change(ConsentRenewed, id)
		l.change(ConsentRenewed, id)
		l.change(ConsentUsed, id)
		l.change(ConsentExpired, id)
	}, verdict: Verified, mention: `"expired":1`, reason: "as often as the person likes"},
	{name: "sent-under-a-wording", build: func(l *logForTest) {
		ref := l.prelude()
		e := l.changed(ConfirmationSent, l.request(1, ref))
		e.Notice = ref
		l.add(e)
	}, err: "entry 8: rule notice_use: ", reason: "a mail is made from a mail"},
	{name: "sent-about-another-purpose", build: func(l *logForTest) {
		ref := l.prelude()
		m := l.noticed("mail-de", 1, "survey")
		m.Use = "mail"
		e := l.changed(ConfirmationSent, l.request(1, ref))
		e.Notice = l.publish(m)
		e.About = []ConsentID{7}
		l.add(e)
	}, err: "entry 9: consent 7: rule notice_coverage: ", reason: "the mail does not speak of the purpose"},
	{name: "invalidated-after-withdrawal", build: func(l *logForTest) {
		id := l.confirmed()
		l.change(ConsentWithdrawn, id)
		l.change(ConsentInvalidated, id)
	}, err: "entry 11: consent 7: rule transition: consent.invalidated may not follow withdrawn", reason: "the person's word stands"},
	{name: "invalidated-by-app", build: func(l *logForTest) {
		e := l.changed(ConsentInvalidated, l.confirmed())
		e.Source = "shop-frontend"
		l.add(e)
	}, err: "entry 10: rule role: a source of role app may not write consent.invalidated", reason: "an app key does the legal team's work"},
	{name: "invalidated-then-used", build: func(l *logForTest) {
		id := l.confirmed()
		l.change(ConsentInvalidated, id)
		l.change(ConsentUsed, id)
		l.change(ConsentRevoked, id)
	}, verdict: Verified, mention: `"consent.used.invalidated":1`, reason: "it is no consent any more"},
	{name: "refused-then-used", build: func(l *logForTest) {
		l.change(ConsentUsed, ConsentID(l.add(l.opened(ConsentRefused, "newsletter", l.prelude()))))
	}, verdict: Verified, mention: `"consent.used.refused":1`, reason: "it never was one"},
	{name: "tracking-of-another-purpose", build: func(l *logForTest) { l.change(TrackingChanged, l.confirmed()) },
		err: "entry 10: consent 7: rule tracking: ", reason: "the record is of another purpose"},
	{name: "tracking-of-no-tracking", build: func(l *logForTest) {
		e := l.changed(TrackingChanged, l.confirmed())
		e.Purpose = "newsletter"
		l.add(e)
	}, err: "entry 10: consent 7: rule tracking: ", reason: "a newsletter is no tracking"},
	{name: "tracking-after-erasure", build: func(l *logForTest) {
		id := ConsentID(l.add(l.opened(ConsentRefused, "email.open_tracking", l.prelude())))
		l.change(TrackingChanged, id)
		l.change(SubjectErased, id)
		l.change(TrackingChanged, id)
	}, verdict: Verified, mention: `"tracking.changed.erased":1`, reason: "mentions are irregular, never forbidden"},
	{name: "disclosed-by-app", build: func(l *logForTest) {
		e := l.changed(EvidenceDisclosed, l.confirmed())
		e.Source = "shop-frontend"
		l.add(e)
	}, err: "entry 10: rule role: a source of role app may not write evidence.disclosed", reason: "an app key does the legal team's work"},
	{name: "confirmation-too-late", build: func(l *logForTest) {
		id := l.confirmed()
		for _, kind := range []Kind{ConfirmationResent, ConfirmationFailed, ConfirmationOpened, ConfirmationAttached} {
			l.change(kind, id)
		}
	}, verdict: Verified, mention: `"irregular":{"confirmation.failed.confirmed":1,"confirmation.opened.confirmed":1,"confirmation.resent.confirmed":1}`,
		reason: "what happens after the click is irregular, but that the mail is handed in"},
	{name: "grades", build: (*logForTest).everyGrade, verdict: Verified, mention: `"consents_by_grade":{"A":1,"B":4,"C":7,"D":5,"E":2}`,
		reason: "every way to every grade"},
}

// everyGrade opens consents of every grade, in as many ways as the rule has, and
// two that have none.
func (l *logForTest) everyGrade() {
	wording, _, mail := l.terms()
	request := 0
	click := func(form, sent bool, mailed, button string, at, clicked []string) {
		request++
		e := l.requested(request, "offers", wording)
		e.IPPolicy, e.Commits = "full", l.commits("email")
		if form {
			e.Commits = append(e.Commits, l.commits("form_snapshot")...)
		}
		e.Commits = append(e.Commits, l.commits(at...)...)
		id := ConsentID(l.add(e))
		if sent {
			m := l.changed(ConfirmationSent, id)
			m.Notice, m.Mail = mail, mailed
			l.add(m)
		}
		c := l.changed(ConsentConfirmed, id)
		c.Token, c.Click, c.Commits = tokenForTest(request), button, l.commits(clicked...)
		l.add(c)
	}
	ip, agent, scanner := []string{"ip"}, []string{"user_agent"}, []string{"scanner", "user_agent"}
	click(true, true, "kept", "button", ip, agent)   // A
	click(true, true, "", "button", agent, agent)    // B: no mail
	click(true, true, "kept", "button", nil, agent)  // B: no address or browser at the request
	click(true, true, "kept", "button", ip, nil)     // B: … at the click
	click(false, true, "kept", "button", ip, agent)  // C: no form
	click(true, false, "", "button", ip, agent)      // C: no mail was sent
	click(true, true, "kept", "link", ip, agent)     // C: no button
	click(true, true, "kept", "script", ip, agent)   // C: pressed by the page
	click(true, true, "kept", "button", ip, scanner) // C: signs of a machine, and a button
	click(true, true, "kept", "", ip, scanner)       // D: … and none
	click(true, true, "kept", "event", ip, scanner)  // D: another system says so
	given := func(claims ...string) ConsentID {
		e := l.opened(ConsentGiven, "offers", wording)
		claims = append(claims, "email")
		slices.Sort(claims)
		e.IPPolicy, e.Commits = "full", l.commits(claims...)
		return ConsentID(l.add(e))
	}
	given("document")            // B
	given("form_snapshot", "ip") // C
	given("form_snapshot")       // D
	given("user_agent")          // D
	given("page_url")            // E
	for _, grade := range importGrades {
		e := l.opened(ConsentImported, "offers", NoticeRef{})
		e.Grade = grade
		l.add(e)
	}
	l.request(99, wording)
	l.add(l.opened(ConsentRefused, "offers", wording))
}
