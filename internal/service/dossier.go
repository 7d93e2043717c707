package service

import (
	"context"
	"slices"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
)

// AccessRequest asks for everything that is held about a person, for the person
// (Art. 15, 20 GDPR).
type AccessRequest struct {
	Subject Subject
	// Recipient is to whom it goes if not to the person, such as their lawyer or
	// another controller; optional, at most [ledger.MaxClaimValue] bytes.
	Recipient      string
	IdempotencyKey string `json:"-"`
}

// Dossier is everything that is held about a person, with the personal values. It
// is made for the person and names nobody else's records.
//
// It holds no bytes of attachments and mails: [Dossier.WriteFile] reads them from
// the vault one after the other.
type Dossier struct {
	Origin, Controller string
	At                 time.Time   // when it was put together
	Size               ledger.Size // of the log that was read
	// Disclosed are the evidence.disclosed entries that record it, with text and
	// receipt; none about a stranger, of whom there is nothing to name.
	Disclosed []Entry
	// Unverified is how many records are kept under the identifier of people who
	// were not verified. It is for the legal role and no part of what is handed out.
	Unverified int

	Identifiers []Identifier // under which the person is known, or was when locked
	Suppressed  []Listed
	Consents    []HeldConsent // ascending
	Entries     []HeldEntry   // everything recorded about them, each once, ascending
	Notices     []HeldNotice  // by name
	Purposes    []*Purpose    // by id and version: in force now, and when a record was opened
	Processors  []*Processor  // that cover a purpose of the person, or got their data; by id
	Requests    []HeldRequest
	Tracking    []HeldTracking

	s *Service
}

// Held reports whether anything is held about the person besides a place on the
// suppression list.
func (d *Dossier) Held() bool { return len(d.Consents) > 0 }

// Listed is a place on the suppression list.
type Listed struct {
	Identifier Identifier
	Purpose    string // or all-marketing
}

// HeldConsent is one record of a person. Times are the zero time where the thing
// did not happen.
type HeldConsent struct {
	Consent
	Basis          string
	PurposeVersion int64            // of the purpose in force when it was opened; 0 for what no purpose defines
	Request        ledger.ConsentID // of the request that opened it, perhaps together with others
	Granted, Used  time.Time        // the newest, by the ledger's clock
	Ended          time.Time
	// ValidUntil is until when the consent counts by the terms of its purpose if it
	// is neither used nor renewed; the zero time for ever.
	ValidUntil  time.Time
	SinceSent   *time.Duration // see [ConsentHistory]
	Restriction string         // the ground on which it is restricted, "" if it is not
	Holds       []ledger.Index // that keep it from being erased
	LockedUntil time.Time
	// EvidenceUntil is until when its evidence would be kept if it were locked now.
	EvidenceUntil time.Time
	Due           []HeldDue
	Passed        []Passed
	Entries       []ledger.Index // about it, ascending
}

// HeldDue is what retention will do to a record, and when, if nothing happens.
type HeldDue struct {
	Rule, Measure string
	At            time.Time
}

// Passed says to whom uses of a consent passed data on.
type Passed struct {
	Processor string // "" for somebody who is none
	Recipient string // as whoever recorded the use calls them, "" if they did not
	Uses      int
	Last      ledger.Index
}

// HeldEntry is an entry about a person.
type HeldEntry struct {
	*ledger.Entry // what the text says
	Leaf          ledger.Hash
	// Text is the entry verbatim if Omitted is 0. Otherwise so many lines are left
	// out that name records of others or records that are erased, and Leaf cannot be
	// recomputed from it.
	Text    string
	Omitted int
	Of      []ledger.ConsentID // the person's records that it is about, ascending
	Claims  []HeldClaim        // in the order of the commit lines
}

// HeldClaim is a personal value, as the disclosure whose digest the entry has.
type HeldClaim struct {
	ledger.Disclosure
	File *HeldFile // nil where the value does not name bytes
}

// HeldFile is the bytes of an attachment or a mail.
type HeldFile struct {
	Name, MediaType string
	SHA256          string // lower-case hex
	Size            int64
	Kept            bool // false: only the hash is known

	blob vault.BlobRef
}

// HeldNotice is a notice with its text.
type HeldNotice struct {
	*Notice
	Text string
	// Shown: an entry about the person names it. The others are the privacy notices
	// in force for their purposes.
	Shown bool
}

// HeldRequest is a request of the person under Art. 15 to 22 GDPR.
type HeldRequest struct {
	Index    ledger.Index
	Article  string
	Received time.Time
	Due      time.Time
	Extended bool
	Outcome  string // "", answered or refused
	Refusal  string
	Closed   time.Time
	Entries  []ledger.Index
}

// HeldTracking is how far a person is tracked.
type HeldTracking struct{ Purpose, Channel, Mode string }

// AccessReport gathers everything that is held about a person. That it does is on
// record before it answers. It is for the legal role, and demands that who asks was
// verified ([Service.VerifyIdentity]): of several people who are or were known
// under the identifier it is about those who were, whole, also what is locked. About
// a stranger, or somebody who was erased, it says that nothing is held, and for what
// the address stands on the suppression list; nobody needs to be verified for that.
// A retry is about the same records, as they are then.
func (s *Service) AccessReport(ctx context.Context, src Source, r AccessRequest) (*Dossier, error) {
	id, err := r.Subject.normalise("subject")
	if err != nil {
		return nil, err
	}
	var claims []claim
	if r.Recipient != "" {
		if err := checkValue("recipient", r.Recipient); err != nil {
			return nil, err
		}
		claims = append(claims, newClaim("recipient", r.Recipient))
	}
	once, err := s.once(src, r.IdempotencyKey, []any{"AccessReport", r, id})
	if err != nil {
		return nil, err
	}
	var out *outcome
	err = s.do(ctx, src, func(t *turn) (err error) {
		if out, _, err = once.recall(t); out != nil || err != nil {
			return err
		}
		ids, err := t.reported(id)
		if err != nil || len(ids) == 0 {
			return err
		}
		if checkSealed(claims, len(ids)) != nil {
			return refusal.Invalid("recipient", "is kept with each of %d records, so it may have %d bytes", len(ids), maxSealed/len(ids))
		}
		base := ledger.Entry{Kind: ledger.EvidenceDisclosed, Occasion: "access_report", Commits: commitments(claims)}
		out, err = t.recordAbout(base, ids, func(out *outcome) error {
			return t.keepClaims(ids, claims, once, out)
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	d, err := s.dossier(ctx, id, out)
	if err != nil {
		return nil, s.unreadable(err)
	}
	return d, nil
}

// reported gives the records of everybody who is or was known under an identifier
// and was verified; none for a stranger. It refuses if somebody is held and nobody
// of them was.
func (t *turn) reported(id Identifier) (ids []ledger.ConsentID, err error) {
	all, err := everybody(t.vault, t.log, t.log.Size(), id)
	if err != nil {
		return nil, err
	}
	for _, who := range all {
		until, err := verifiedUntil(deciding{t}, who.all())
		if err != nil {
			return nil, err
		}
		if until.Before(t.now) {
			continue
		}
		for _, c := range who.all() {
			ids = append(ids, c.ID)
		}
	}
	if len(all) > 0 && len(ids) == 0 {
		return nil, notVerified()
	}
	slices.Sort(ids)
	return ids, nil
}

// errGoneMeanwhile answers whoever asks about a person who is being erased.
var errGoneMeanwhile = refusal.NotFound("subject", "the person, or a record of theirs, was erased meanwhile; ask again")
