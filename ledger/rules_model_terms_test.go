package ledger

import "slices"

// modelPurpose is the newest definition of a purpose.
type modelPurpose struct {
	version             int64
	marketing, explicit bool
	age                 bool // a minimum age
	parent, ip          string
	bases               []string
	balanced            bool
}

type modelNotice struct {
	sum    Hash
	use    string
	covers []string
}

// newModel knows what [logForTest.prelude] and [logForTest.otherPurposes] say.
func newModel(l *logForTest) *model {
	m := &model{consents: map[int]*modelConsent{}, holds: map[int][]ConsentID{}, erasures: map[int]*modelErasure{},
		notices: map[string]*modelNotice{}, claims: map[string]bool{}, processors: map[string]*modelProcessor{}, rights: map[int]*modelRights{},
		notified: map[int]bool{}}
	consent := []string{"consent"}
	m.purposes = map[string]*modelPurpose{
		"newsletter":          {version: 1, marketing: true, ip: "truncated", bases: consent},
		"survey":              {version: 1, marketing: true, ip: "truncated", bases: consent},
		"email.open_tracking": {version: 2, marketing: true, ip: "truncated", bases: consent},
		"offers":              {version: 1, marketing: true, ip: "full", bases: []string{"consent", "existing_customer", "legitimate_interest"}},
		"orders":              {version: 1, ip: "none", bases: []string{"contract", "legal_obligation", "legitimate_interest"}, balanced: true},
		"health":              {version: 1, marketing: true, ip: "truncated", bases: consent, parent: "offers", explicit: true, age: true},
	}
	for name, n := range map[string]*modelNotice{
		"newsletter-de@1": {use: "wording", covers: []string{"email.open_tracking", "newsletter"}},
		"shop-de@1":       {use: "wording", covers: []string{"health", "newsletter", "offers", "orders"}},
		"privacy-de@1":    {use: "privacy", covers: []string{"health", "newsletter", "offers", "orders"}},
		"mail-de@1":       {use: "mail", covers: []string{"health", "newsletter", "offers", "orders"}},
	} {
		id, version, _ := ParseNoticeName(name)
		published, ok, _ := l.replay.Notice(id, version)
		if !ok {
			l.Fatalf("no notice %s", name)
		}
		n.sum, m.notices[name] = published.SHA256, n
	}
	return m
}

// define gives the rule that a definition violates, and records it.
func (m *model) define(e *Entry) string {
	before, again := m.purposes[e.Purpose]
	if !again {
		before = &modelPurpose{}
	}
	customers := slices.Contains(e.Bases, "existing_customer")
	switch {
	case e.Purpose == "all-marketing":
		return "purpose"
	case e.Version != before.version+1:
		return "version"
	case again && e.Parent != before.parent:
		return "parent"
	case e.TrackingMode != "" && e.Purpose != "email.open_tracking" && e.Purpose != "email.click_tracking" && e.Purpose != "web.tracking":
		return "tracking"
	case e.Explicit == "yes" && len(e.Bases) > 0 && (len(e.Bases) > 1 || e.Bases[0] != "consent"), customers && e.Marketing == "no":
		return "basis"
	}
	if e.Parent != "" {
		parent := m.purposes[e.Parent]
		if parent == nil || e.Parent == e.Purpose || parent.marketing != (e.Marketing == "yes") {
			return "parent"
		}
	}
	p := &modelPurpose{e.Version, e.Marketing == "yes", e.Explicit == "yes", e.MinimumAge > 0, e.Parent, e.IPPolicy, e.Bases, commits(e, "document")}
	if p.ip == "" {
		p.ip = "truncated"
	}
	if len(p.bases) == 0 {
		p.bases = []string{"consent"}
	}
	m.purposes[e.Purpose] = p
	return ""
}

// publish gives the rule that a publication violates and the irregular fact that
// it makes, and records it.
func (m *model) publish(e *Entry) (rule string, irregular []string) {
	next := int64(1)
	for name := range m.notices {
		if id, version, _ := ParseNoticeName(name); id == e.Notice.ID {
			next = max(next, version+1)
		}
	}
	if e.Notice.Version != next {
		return "version", nil
	}
	for _, p := range e.Covers {
		if m.purposes[p] == nil {
			return "purpose", nil
		}
	}
	if e.ConditionalOn == "service" {
		irregular = []string{"notice.published.tied"}
	}
	n := &modelNotice{e.Notice.SHA256, e.Use, e.Covers}
	if n.use == "" {
		n.use = "wording"
	}
	m.notices[e.Notice.Name()] = n
	return "", irregular
}

// shown gives the rule that naming the notice violates.
func (m *model) shown(e *Entry) string {
	if e.Notice.ID == "" {
		return ""
	}
	n := m.notices[e.Notice.Name()]
	switch {
	case n == nil || n.sum != e.Notice.SHA256:
		return "notice"
	case e.Kind == ConfirmationSent && n.use != "mail", e.Kind != ConfirmationSent && e.Kind != BasisAsserted && n.use != "wording":
		return "notice_use"
	}
	return ""
}

// covers reports whether the entry's notice, if there is one, covers the purpose.
func (m *model) covers(e *Entry, purpose string) bool {
	return e.Notice.ID == "" || slices.Contains(m.notices[e.Notice.Name()].covers, purpose)
}

// keepsLess reports whether no more of an address is kept than the purpose allows.
func (p *modelPurpose) keepsLess(e *Entry) bool {
	much := map[string]int{"none": 0, "truncated": 1, "full": 2}
	return much[e.IPPolicy] <= much[p.ip] && (e.IPPolicy != "none" || !commits(e, "ip"))
}

func commits(e *Entry, claims ...string) bool {
	return slices.ContainsFunc(e.Commits, func(c Commitment) bool { return slices.Contains(claims, c.Claim) })
}

// renews gives the rule that forbids to renew a consent that could be renewed.
func (m *model) renews(c *modelConsent, e *Entry) string {
	switch {
	case e.Method == "api" || e.Method == "import":
		return "method"
	case !m.purposes[c.purpose].keepsLess(e):
		return "ip_policy"
	case !m.covers(e, c.purpose):
		return "notice_coverage"
	}
	return ""
}

// opens gives the rule that an opening entry violates, and records it.
func (m *model) opens(index, token int, e *Entry) string {
	c := &modelConsent{last: index, request: index, purpose: e.Purpose, channel: e.Channel, has: map[string]bool{}}
	c.state = map[Kind]string{ConsentRequested: "requested", ConsentGiven: "given", ConsentRefused: "refused", ConsentImported: "imported",
		BasisAsserted: "asserted", ObjectionRecorded: "objected"}[e.Kind]
	p := m.purposes[e.Purpose]
	if e.Kind == ObjectionRecorded {
		if p == nil && e.Purpose != "all-marketing" {
			return "purpose"
		}
		m.consents[index] = c
		return ""
	}
	switch {
	case p == nil:
		return "purpose"
	case e.Channel == "any":
		return "channel"
	case !m.covers(e, e.Purpose):
		return "notice_coverage"
	}
	if c.basis = e.Basis; c.basis == "" {
		c.basis = "consent"
	}
	if rule := p.grants(c, e); rule != "" {
		return rule
	}
	if e.Kind == ConsentRequested {
		var rule string
		if rule, c.request = m.request(index, token, e); rule != "" {
			return rule
		}
	}
	c.learn(e)
	m.consents[index] = c
	return ""
}

// grants gives the rule of what a purpose demands that the entry violates.
func (p *modelPurpose) grants(c *modelConsent, e *Entry) string {
	asks := e.Kind == ConsentRequested || e.Kind == ConsentGiven || e.Kind == ConsentImported
	calls := slices.Contains([]string{"phone", "sms", "messenger", "fax"}, c.channel)
	switch {
	case !slices.Contains(p.bases, c.basis):
		return "basis"
	case c.basis == "existing_customer" && (c.channel == "phone" || c.channel == "fax"),
		c.basis == "legitimate_interest" && p.marketing && (calls || c.channel == "email"):
		return "basis_channel"
	case c.basis == "existing_customer" && len(e.Conditions) != 4, c.basis != "existing_customer" && len(e.Conditions) != 0:
		return "conditions"
	case c.basis == "legitimate_interest" && !p.balanced && !commits(e, "document"):
		return "balancing"
	case asks && p.explicit && e.Explicit == "":
		return "explicit"
	case asks && p.age && e.Age == "":
		return "age"
	case e.Kind == ConsentRequested && c.channel == "email" && !commits(e, "email", "external_id"),
		e.Kind == ConsentRequested && calls && !commits(e, "phone", "external_id"):
		return "channel_proof"
	case !p.keepsLess(e):
		return "ip_policy"
	}
	return ""
}
