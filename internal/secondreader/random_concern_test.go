package secondreader

import (
	"maps"
	"slices"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// concern draws an entry that changes or mentions one to three consents.
func (h *history) concern(e *ledger.Entry, second time.Time) {
	chosen := map[ledger.Index]bool{}
	for range 1 + h.random.IntN(3) {
		chosen[pick(h, h.consents...)] = true
	}
	ids := slices.Sorted(maps.Keys(chosen))
	for _, i := range h.consents {
		c, _, _ := h.replay.Consent(ledger.ConsentID(i))
		fits := map[ledger.Kind]bool{ledger.ConsentRenewed: c.State.Allows(), ledger.ConsentExpired: c.State.Allows(),
			ledger.RestrictionLifted: c.Overlays == ledger.Restricted}[e.Kind]
		if fits && h.often() {
			ids = []ledger.Index{i}
		}
	}
	switch e.Kind {
	case ledger.ConsentExpired, ledger.RetentionApplied:
		e.Source, ids = "ledger", ids[:1]
	case ledger.HoldSet, ledger.HoldLifted, ledger.BundleExported:
		e.Source = "desk"
	case ledger.EvidenceDisclosed:
		e.Source, e.Occasion, e.Shown = "desk", pick(h, ledger.Occasions()...), pick(h, nil, []string{"email", "x.ticket"})
	case ledger.IdentityVerified:
		e.Source, e.Means = "desk", pick(h, ledger.Means()...)
	case ledger.GuardianAuthorised:
		e.Method, e.Commits = "paper", h.commits()
	case ledger.SignalReceived:
		e.Signal, e.Says = pick(h, ledger.PreferenceSignals()...), pick(h, "yes", "no")
		ids = h.tracked(ids)
	case ledger.WithdrawalEffected:
		e.System = pick(h, "shop", "desk", "mailer", "mailer", "printer", "ledger", "nobody")
	case ledger.ConsentUsed:
		e.Processor = pick(h, "", "", "mailer", "printer", "nobody")
	case ledger.RestrictionLifted:
		e.Source, e.Informed = pick(h, "shop", "desk"), second.Add(time.Duration(h.random.IntN(20)-18)*time.Second)
	case ledger.ConsentRevoked, ledger.ConsentInvalidated:
		e.Source, e.Cause = pick(h, "admin", "desk"), pick(h, "rectified", "scanner", "other")
	case ledger.ConsentRenewed:
		e.Method, e.IPPolicy, e.Commits = pick(h, "link", "oral", "web_form", "api", "import"), pick(h, "none", "none", "truncated"), h.commits()
		if h.random.IntN(2) == 0 {
			e.Notice = h.notices[pick(h, "wording", "wording", "wording", "mail")]
		}
	case ledger.ConfirmationSent:
		if e.Mail = pick(h, "", "kept"); h.random.IntN(2) == 0 {
			e.Notice = h.notices[pick(h, "mail", "mail", "mail", "wording")]
		}
	case ledger.ConfirmationFailed:
		e.Failure = pick(h, "permanent", "temporary")
	case ledger.TrackingChanged:
		e.Purpose, e.Mode = pick(h, "email.open_tracking", "email.open_tracking", "newsletter"), pick(h, ledger.Modes()...)
		ids = h.tracked(ids)
	case ledger.RestrictionSet:
		e.Source, e.Ground = pick(h, "shop", "desk"), pick(h, ledger.Grounds()...)
	case ledger.SubjectLocked:
		e.Source, e.Reason, e.Until = pick(h, "shop", "ledger"), "retention", second
	case ledger.SubjectErased:
		e.Source, e.Reason = pick(h, "shop", "ledger"), "art17"
	case ledger.SubjectRectified:
		e.Change = "removed"
	case ledger.ObjectionRecorded:
		if e.Article = pick(h, "", "art22"); h.random.IntN(2) == 0 {
			e.Purpose, e.Channel, e.Commits = pick(h, ledger.AllMarketing, "newsletter", "survey"), ledger.AnyChannel, []ledger.Commitment{{Claim: "phone"}}
			return
		}
	}
	switch e.Kind {
	case ledger.ConfirmationSent, ledger.ConsentUsed, ledger.SubjectRectified, ledger.HoldSet, ledger.HoldLifted, ledger.RetentionApplied,
		ledger.ConfirmationResent, ledger.ConfirmationFailed, ledger.ConfirmationOpened, ledger.ConfirmationAttached, ledger.TrackingChanged,
		ledger.EvidenceDisclosed, ledger.BundleExported, ledger.IdentityVerified, ledger.GuardianAuthorised, ledger.SignalReceived, ledger.WithdrawalEffected:
		for _, i := range ids {
			e.About = append(e.About, ledger.ConsentID(i))
		}
	default:
		h.links(e, ids[:1+h.random.IntN(len(ids))])
	}
	switch e.Kind {
	case ledger.ConfirmationResent:
		if h.random.IntN(4) > 0 {
			h.resend(e, second)
		}
	case ledger.RetentionApplied:
		e.Rule, e.Measure = "lapsed", "shred"
	case ledger.HoldLifted:
		e.Refers = []ledger.Index{pick(h, append(h.holds, 1)...)}
		if about := h.about[e.Refers[0]]; about != nil && h.often() {
			e.About = about
		}
	}
}
