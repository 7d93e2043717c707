package secondreader

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// TestRandomLogs has both verifiers judge histories that nobody wrote: entries of all kinds are drawn at random, and those that the
// first verifier's rules allow are recorded. Of the log they must say the same, down to every number; and of the log that ends with
// an entry that was refused, that it breaks the same rule.
func TestRandomLogs(t *testing.T) {
	r := startReader(t)
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	random := newRandom(t)
	kinds, rules := map[ledger.Kind]int{}, map[string]int{}
	for range rounds {
		h := newHistory(t, random)
		for len(h.texts) < 120 {
			before := slices.Clone(h.texts)
			text, rule := h.draw()
			// Some rules are broken all the time.
			if rule == "" || rules[rule] >= 8 {
				continue
			}
			rules[rule]++
			h.judge(r, append(before, text), rule)
		}
		h.judge(r, h.texts, "")
		for kind, n := range h.kinds {
			kinds[kind] += n
		}
	}
	t.Logf("recorded %v, broke %v", kinds, rules)
	for _, kind := range drawn {
		if kinds[kind] == 0 && !testing.Short() && os.Getenv("SECONDREADER_SEED") == "" {
			t.Errorf("no %s was ever recorded", kind)
		}
	}
}

// history is a log that is being drawn.
type history struct {
	t      *testing.T
	random *rand.Rand
	replay *ledger.Replay
	policy *ledger.Policy
	texts  []string
	kinds  map[ledger.Kind]int
	now    time.Time
	// The notices by their use.
	notices map[string]ledger.NoticeRef
	// What entries can be about, whether it still is open or not.
	consents, holds, erasures []ledger.Index
	rights, notifications     []ledger.Index
	about                     map[ledger.Index][]ledger.ConsentID // of the holds
	requests                  []*ledger.Entry                     // the newest consent.requested of each token drawn
	tokens                    int
	deciding                  bool              // only what bears on a decision is drawn, and much of it is recorded late
	rotated                   []ledger.Index    // where another of the pairs followed
	beside                    map[string][]byte // notices, and what was stamped
}

const wording = "Ja, ich möchte den Newsletter erhalten.\n"

func newHistory(t *testing.T, random *rand.Rand) *history {
	t.Helper()
	h := &history{beside: map[string][]byte{}, t: t, random: random, replay: ledger.NewReplay(), kinds: map[ledger.Kind]int{}, about: map[ledger.Index][]ledger.ConsentID{},
		now: time.Date(2026, 11, 21, 22, 36, 0, 0, time.UTC), notices: map[string]ledger.NoticeRef{}}
	h.keep("notices", []byte(wording))
	var err error
	if h.policy, err = ledger.ParsePolicy(ledger.NewPolicy(pairs[0].signer.Keys())); err != nil {
		t.Fatal(err)
	}
	first, err := ledger.NewLedger(pairs[0].signer, "shop.example.com", h.now)
	if err != nil {
		t.Fatal(err)
	}
	declare := func(name, role string) *ledger.Entry {
		return &ledger.Entry{Kind: ledger.SourceDeclared, Source: "ledger", Name: name, Role: role}
	}
	entries := []*ledger.Entry{first, declare("admin", "admin"), declare("shop", "app"), declare("desk", "legal"),
		{Kind: ledger.ClaimDeclared, Source: "admin", Claim: "x.ticket"}}
	for _, id := range purposes {
		e := h.definition(id)
		e.Version = 1
		entries = append(entries, e)
	}
	for _, use := range []string{"wording", "privacy", "mail"} {
		h.notices[use] = ledger.NoticeRef{ID: use + "-de", Version: 1, SHA256: ledger.TextHash([]byte(wording))}
		entries = append(entries, &ledger.Entry{Kind: ledger.NoticePublished, Source: "admin", Notice: h.notices[use], Language: "de", Use: use,
			Covers: []string{"email.open_tracking", "health", "newsletter", "offers", "orders"}, Facts: ledger.TextHash([]byte(wording))})
	}
	for _, e := range entries {
		if _, rule := h.record(e); rule != "" {
			t.Fatalf("%s breaks the rule %s", e.Kind, rule)
		}
	}
	return h
}

// purposes are defined in this order, because one lies under another.
var purposes = []string{"newsletter", "offers", "orders", "health", "email.open_tracking"}

// definition gives a definition of a purpose without its version.
func (h *history) definition(id string) *ledger.Entry {
	e := &ledger.Entry{Kind: ledger.PurposeDefined, Source: "admin", Purpose: id, Marketing: "yes", DoubleOptIn: "yes", Lifetime: 86400}
	switch id {
	case "newsletter":
		e.LockDays, e.UnusedDays, e.UnusedMeasure = 30, 730, "block"
	case "offers":
		e.IPPolicy, e.Bases = "full", []string{"consent", "existing_customer", "legitimate_interest"}
	case "orders":
		e.Marketing, e.IPPolicy, e.Bases = "no", "none", []string{"contract", "legitimate_interest"}
		if h.random.IntN(2) == 0 {
			e.Commits = []ledger.Commitment{{Claim: "document"}} // the balancing of interests
		}
	case "health":
		e.Parent, e.Explicit, e.MinimumAge, e.MinimumGrade = "offers", "yes", 16, "B"
	case "email.open_tracking":
		e.TrackingMode, e.EffectHours = "anonymous", 48
	}
	return e
}

// record records the entry, or names the rule that it breaks.
func (h *history) record(e *ledger.Entry) (text, rule string) {
	h.t.Helper()
	chain := h.replay.Chain()
	chain.Link(e)
	e.Time = h.now
	raw, err := e.Encode()
	if err != nil {
		h.t.Fatal(err)
	}
	if e, err = ledger.ParseEntry(raw); err != nil {
		h.t.Fatal(err)
	}
	eff, err := ledger.Step(e, h.replay)
	if root, rootErr := h.replay.StateRoot(); err == nil && e.Kind == ledger.StateCommitted && root != e.StateRoot {
		err = errors.Join(rootErr, &ledger.RuleError{Rule: "state_root"})
	}
	if err == nil {
		err = ledger.CheckRefers(e, h.replay, eff)
	}
	var violation *ledger.RuleError
	if errors.As(err, &violation) {
		return string(raw), violation.Rule
	}
	if err == nil {
		_, err = h.replay.Add(e, ledger.LeafHash(raw))
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.texts = append(h.texts, string(raw))
	h.kinds[e.Kind]++
	switch e.Kind {
	case ledger.ConsentRequested, ledger.ConsentGiven, ledger.ConsentRefused, ledger.ConsentImported, ledger.BasisAsserted:
		h.consents = append(h.consents, e.Index)
	case ledger.ObjectionRecorded:
		if len(e.Consents) == 0 {
			h.consents = append(h.consents, e.Index)
		}
	case ledger.KeyRotated:
		h.rotated = append(h.rotated, e.Index)
	case ledger.HoldSet:
		h.holds, h.about[e.Index] = append(h.holds, e.Index), e.About
	case ledger.SubjectErased:
		h.erasures = append(h.erasures, e.Index)
	case ledger.RequestReceived:
		h.rights = append(h.rights, e.Index)
	case ledger.RecipientNotified:
		h.notifications = append(h.notifications, e.Index)
	}
	return string(raw), ""
}

// drawn are the kinds that are drawn.
var drawn = []ledger.Kind{ledger.ConsentRequested, ledger.ConfirmationSent, ledger.ConsentConfirmed, ledger.ConfirmationRejected,
	ledger.ConfirmationRejected, ledger.BasisAsserted, ledger.RequestExpired, ledger.ConsentExpired, ledger.ConsentWithdrawn, ledger.ConsentRevoked, ledger.ObjectionRecorded, ledger.RestrictionSet,
	ledger.RestrictionLifted, ledger.ConsentUsed, ledger.SubjectLocked, ledger.SubjectErased, ledger.EvidenceShredded, ledger.SubjectRectified,
	ledger.HoldSet, ledger.HoldLifted, ledger.RetentionApplied, ledger.SuppressionAdded, ledger.SuppressionRemoved, ledger.StateCommitted,
	ledger.PurposeDefined, ledger.NoticePublished, ledger.ConsentGiven, ledger.ConsentRefused, ledger.ConsentImported, ledger.BasisAsserted,
	ledger.ConsentRenewed, ledger.ConsentInvalidated, ledger.ConfirmationResent, ledger.ConfirmationResent, ledger.ConfirmationFailed,
	ledger.ConfirmationOpened, ledger.ConfirmationAttached, ledger.TrackingChanged, ledger.EvidenceDisclosed, ledger.BundleExported, ledger.ClaimDeclared,
	ledger.ProcessorEngaged, ledger.ProcessorEnded, ledger.GuardianAuthorised, ledger.SignalReceived, ledger.WithdrawalEffected,
	ledger.IdentityVerified, ledger.RequestReceived, ledger.RequestReceived, ledger.RequestExtended, ledger.RequestExtended,
	ledger.RequestAnswered, ledger.RequestRefused, ledger.RecipientNotified, ledger.RecipientAcknowledged,
	ledger.RecipientAcknowledged, ledger.EntryCorrected, ledger.KeyRotated, ledger.CheckpointAnchored}

// often says whether what is likely to be allowed shall be drawn.
func (h *history) often() bool { return h.random.IntN(8) > 0 }

func pick[T any](h *history, list ...T) T { return list[h.random.IntN(len(list))] }

// draw draws an entry and records it, or names the rule that it breaks.
func (h *history) draw() (text, rule string) {
	h.now = h.now.Add(time.Duration(h.random.IntN(2 * int(time.Hour))).Truncate(time.Microsecond))
	if h.random.IntN(40) == 0 {
		h.now = h.now.AddDate(0, 0, h.random.IntN(40)) // so that something is late
	}
	kind := pick(h, drawn...)
	if h.random.IntN(3) == 0 || len(h.consents) == 0 {
		kind = pick(h, ledger.ConsentRequested, ledger.ConsentRequested, ledger.ConsentConfirmed)
	}
	if h.deciding && len(h.consents) > 0 {
		kind = h.decisive()
	}
	second := h.now.Truncate(time.Second)
	e := &ledger.Entry{Kind: kind, Source: "shop"}
	switch kind {
	case ledger.ConsentRequested, ledger.ConsentGiven, ledger.ConsentRefused, ledger.ConsentImported, ledger.BasisAsserted:
		h.open(e, second)
	case ledger.PurposeDefined:
		e = h.redefine()
	case ledger.KeyRotated:
		e = h.rotate()
	case ledger.CheckpointAnchored:
		e = h.stamp()
	case ledger.NoticePublished:
		e.Source, e.Language, e.Use = "admin", "de", pick(h, "", "wording", "privacy", "mail")
		e.Notice = ledger.NoticeRef{ID: "other", Version: 1 + int64(h.random.IntN(2)), SHA256: ledger.TextHash([]byte(wording))}
		if before, ok, _ := h.replay.Notice("other", 0); ok && h.often() {
			e.Notice.Version = before.Version + 1
		}
		e.Covers, e.ConditionalOn = []string{pick(h, "newsletter", "newsletter", "survey")}, pick(h, "", "none", "service")
	case ledger.ConsentConfirmed, ledger.ConfirmationRejected, ledger.RequestExpired:
		h.close(e)
	case ledger.EvidenceShredded:
		e.Source, e.Refers = "ledger", []ledger.Index{pick(h, append(h.erasures, ledger.Index(h.random.IntN(len(h.texts))))...)}
		e.Generation, e.Medium = 2, "file"
		if h.random.IntN(2) == 0 {
			e.Contents, e.ExistenceDue = second, second.Add(time.Duration(h.random.IntN(100)-20)*time.Hour)
		} else {
			e.Existence = second
		}
	case ledger.SuppressionAdded, ledger.SuppressionRemoved:
		e.Purpose = pick(h, ledger.AllMarketing, "newsletter", "newsletter", "survey")
	case ledger.StateCommitted:
		root, err := h.replay.StateRoot()
		if err != nil {
			h.t.Fatal(err)
		}
		if e.Source, e.StateRoot = "ledger", root; !h.often() {
			e.StateRoot[7] ^= 1
		}
	case ledger.ClaimDeclared, ledger.ProcessorEngaged, ledger.ProcessorEnded, ledger.RecipientNotified, ledger.RecipientAcknowledged,
		ledger.RequestReceived, ledger.RequestExtended, ledger.RequestAnswered, ledger.RequestRefused, ledger.EntryCorrected:
		h.rightsEntry(e, second)
	default:
		h.concern(e, second)
	}
	if h.random.IntN(30) == 0 {
		e.Source = pick(h, "admin", "shop", "desk", "ledger", "nobody")
	}
	if h.deciding {
		h.decide(e)
	}
	return h.record(e)
}

// redefine draws another version of a purpose, with one term changed.
func (h *history) redefine() *ledger.Entry {
	e := h.definition(pick(h, append(purposes, "shop")...))
	before, _, _ := h.replay.Purpose(e.Purpose)
	e.Version = before.Version + 1
	switch h.random.IntN(7) {
	case 0:
		e.Parent = pick(h, "", "offers", "orders", "nowhere", e.Purpose)
	case 1:
		e.TrackingMode = pick(h, ledger.Modes()...)
	case 2:
		e.Explicit = "yes"
	case 3:
		e.Bases = pick(h, []string{"existing_customer"}, []string{"consent"}, []string{"consent", "contract"})
	case 4:
		e.Version += 2
	case 5:
		e.IPPolicy = pick(h, ledger.IPPolicies()...)
	case 6:
		e.MinimumAge = 16
	}
	return e
}

// open draws what opens a record.
func (h *history) open(e *ledger.Entry, second time.Time) {
	e.Purpose, e.Channel = pick(h, "newsletter", "newsletter", "offers", "health", "email.open_tracking", "orders"), pick(h, "email", "email", "email", "sms", "post")
	if h.often() {
		e.Notice = h.notices["wording"]
	} else if e.Kind != ledger.ConsentRequested && e.Kind != ledger.ConsentGiven && h.often() {
		e.Notice = ledger.NoticeRef{}
	} else {
		e.Notice = h.notices[pick(h, "privacy", "mail")]
	}
	e.IPPolicy, e.Commits = pick(h, "none", "none", "truncated", "full"), h.commits(pick(h, "email", "email", "phone", "external_id"))
	if p, _, _ := h.replay.Purpose(e.Purpose); e.Kind != ledger.ConsentRefused && e.Kind != ledger.BasisAsserted && (h.often() == p.Explicit) {
		e.Explicit, e.Age = "yes", pick(h, "old_enough", "child")
	}
	switch e.Kind {
	case ledger.ConsentRequested:
		e.Method = "web_form"
		h.request(e, second)
	case ledger.ConsentImported:
		e.Method, e.Grade = "import", pick(h, "C", "D", "E")
	case ledger.BasisAsserted:
		e.Purpose, e.Basis = pick(h, "offers", "orders", "orders", "newsletter"), pick(h, ledger.Bases()[1:]...)
		if p, _, _ := h.replay.Purpose(e.Purpose); len(p.Bases) > 0 && h.often() {
			e.Basis = pick(h, p.Bases...).String()
		}
		if e.Basis == "consent" {
			e.Basis = "contract"
		}
		if e.Basis == "existing_customer" || !h.often() {
			e.Conditions = ledger.Conditions()[h.random.IntN(2)*h.random.IntN(3):]
		}
		e.Channel = pick(h, e.Channel, "post", "fax")
	default:
		e.Method = "oral"
	}
}

// commits draws what an entry commits to besides an identifier, if it names one.
func (h *history) commits(claims ...string) (list []ledger.Commitment) {
	for _, c := range []string{"document", "form_snapshot", "ip", "recording", "scanner", "user_agent", "x.ticket"} {
		if h.random.IntN(4) == 0 {
			claims = append(claims, c)
		}
	}
	if h.random.IntN(40) == 0 {
		claims = append(claims, pick(h, declarable...))
	}
	slices.Sort(claims)
	for _, c := range claims {
		list = append(list, ledger.Commitment{Claim: c})
	}
	return list
}

func (h *history) request(e *ledger.Entry, second time.Time) {
	h.tokens++
	token := h.tokens
	e.Expires = second.Add(time.Duration(h.random.IntN(30)-1) * time.Hour)
	if len(h.requests) > 0 && h.random.IntN(3) == 0 {
		before := h.requests[len(h.requests)-1]
		if token = len(h.requests); h.often() {
			e.Expires, e.Channel = before.Expires, before.Channel
		}
		h.tokens--
	}
	e.Lock = ledger.Lock(token32(token))
	if token > len(h.requests) {
		h.requests = append(h.requests, nil)
	}
	h.requests[token-1] = e
}

// resend gives a request another lock, mostly one that waits, and its consents.
func (h *history) resend(e *ledger.Entry, second time.Time) {
	former := max(1, len(h.requests)-h.random.IntN(3))
	e.Former = ledger.Lock(token32(former))
	h.tokens++
	e.Lock, e.Expires = ledger.Lock(token32(h.tokens)), second.Add(time.Duration(h.random.IntN(20))*time.Hour)
	open, ok, _ := h.replay.OpenRequest(e.Former)
	if ok && h.often() {
		e.Expires = open.Expires.Add(time.Duration(h.random.IntN(20)) * time.Hour)
	}
	if !h.often() {
		e.Lock = ledger.Lock(token32(max(1, former-1)))
	}
	var waiting []ledger.ConsentID
	for _, i := range h.consents {
		if c, _, _ := h.replay.Consent(ledger.ConsentID(i)); ok && c.Request == open.Request && c.State == ledger.Requested {
			waiting = append(waiting, c.ID)
		}
	}
	if waiting != nil && h.often() {
		e.About = waiting
	}
	// What closes a request takes its channel and end from here.
	for len(h.requests) < h.tokens {
		h.requests = append(h.requests, &ledger.Entry{Channel: "email", Expires: e.Expires})
	}
}

// token32 gives the token with a number.
func token32(number int) string {
	sum := sha256.Sum256(fmt.Append(nil, "token", number))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// close reveals a token, or records the expiry of its request, for some of its consents.
func (h *history) close(e *ledger.Entry) {
	token := 1 + h.random.IntN(max(1, len(h.requests)))
	if h.often() {
		token = max(1, len(h.requests)-h.random.IntN(3))
	}
	if e.Kind == ledger.RequestExpired && h.often() {
		for number := range h.tokens {
			open, ok, _ := h.replay.OpenRequest(ledger.Lock(token32(number + 1)))
			if ok && !open.Superseded && h.now.After(open.Expires) {
				token = number + 1
			}
		}
	}
	lock := ledger.Lock(token32(token))
	if e.Kind == ledger.RequestExpired {
		e.Source, e.Lock = "ledger", lock
	} else {
		e.Token = token32(token)
	}
	if e.Kind == ledger.ConsentConfirmed {
		e.Click, e.Commits = pick(h, "", "button", "button", "link", "script", "event"), h.commits()
	}
	open, ok, _ := h.replay.OpenRequest(lock)
	var ids []ledger.Index
	for _, i := range h.consents {
		if c, _, _ := h.replay.Consent(ledger.ConsentID(i)); ok && c.Request == open.Request && h.often() {
			ids = append(ids, i)
		}
	}
	h.links(e, ids)
}

// links gives the entry consents, any if ids is empty.
func (h *history) links(e *ledger.Entry, ids []ledger.Index) {
	if len(ids) == 0 {
		ids = []ledger.Index{pick(h, append(h.consents, 3)...)}
	}
	for _, i := range ids {
		c, _, _ := h.replay.Consent(ledger.ConsentID(i))
		e.Consents = append(e.Consents, ledger.Link{Consent: ledger.ConsentID(i), After: max(i, c.Last)})
		if !h.often() {
			e.Consents[0].After = e.Consents[0].After + ledger.Index(h.random.IntN(2))
		}
	}
}
