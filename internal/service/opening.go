package service

import (
	"context"
	"net/netip"
	"slices"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
)

// opening is the records about one person that one decision opens, all with the
// same claims. What needs no state is done.
type opening struct {
	id          Identifier
	addr        netip.Addr         // as it came; the decision cuts it
	keys        []vault.ConsentKey // one per record
	claims      []claim            // of every record; the decision adds what only it knows
	attachments []Attachment       // their claims are among claims
	recorded    bool               // the newest run of the decision took the records
}

// prepareOpening checks whom so many records are about and what is claimed, and
// draws the records' keys.
func (s *Service) prepareOpening(subject Subject, claims map[string]string, attachments []Attachment, records int) (*opening, error) {
	o := &opening{attachments: attachments}
	var err error
	if o.id, err = subject.normalise("subject"); err != nil {
		return nil, err
	}
	if o.claims, o.addr, err = splitClaims(claims); err != nil {
		return nil, err
	}
	files, err := attachmentClaims(attachments, o.claims)
	if err != nil {
		return nil, err
	}
	o.claims = append(append(o.claims, files...), newClaim(string(o.id.Kind), o.id.Value))
	if typed := subject.typed(); typed != o.id.Value {
		o.claims = append(o.claims, newClaim("typed", typed))
	}
	if err := checkSealed(o.claims, records); err != nil {
		return nil, err
	}
	for range records {
		o.keys = append(o.keys, vault.NewConsentKey())
	}
	return o, nil
}

// typed gives the identifier as the caller spells it.
func (s Subject) typed() string { return s.Email + s.Phone + s.ExternalID }

// identity is what makes two openings the same one, besides the request itself:
// the person and the attachments, which a request leaves out of its JSON.
func (o *opening) identity() any {
	values := []string{string(o.id.Kind), o.id.Value}
	for _, a := range o.attachments {
		i := slices.IndexFunc(o.claims, func(c claim) bool { return c.disclosure.Claim == a.Claim })
		values = append(values, a.Claim, o.claims[i].disclosure.Value)
	}
	return values
}

// openRecords runs the decision that opens the records.
func (s *Service) openRecords(ctx context.Context, src Source, o *opening, decide func(*turn) error) error {
	return s.beginRecords(ctx, src, o, decide)()
}

// beginRecords hands over the decision that opens the records; wait gives what became
// of it. The attachments are stored before it, because they do not fit a group, and
// deleted if it opened none.
func (s *Service) beginRecords(ctx context.Context, src Source, o *opening, decide func(*turn) error) (wait func() error) {
	if err := s.putAttachments(o.claims, o.attachments); err != nil {
		return func() error { return err }
	}
	t := &task{source: src, decide: func(t *turn) error {
		o.recorded = false
		return decide(t)
	}}
	err := s.recorder.submit(ctx, t)
	return func() error {
		if err == nil {
			err = t.wait()
		}
		if err != nil || !o.recorded {
			s.dropBytes(o.claims, err)
		}
		return err
	}
}

// record completes the entries that open the records of somebody with the
// identifiers ids, gives the vault what belongs to them, and remembers the
// outcome. The decision's next entry must be the first of them.
func (o *opening) record(t *turn, who *vault.Subject, ids []vault.Identifier, once once, entries []*ledger.Entry) (*outcome, error) {
	purposes := make([]string, 0, len(entries))
	for _, e := range entries {
		purposes = append(purposes, e.Purpose)
	}
	policy, err := t.ipPolicy(purposes)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		e.IPPolicy = policy
	}
	first, err := t.next()
	if err != nil {
		return nil, err
	}
	out := new(outcome)
	if out.Touched, err = o.records(t, who, ids, first, policy, entries); err != nil {
		return nil, err
	}
	return out, once.remember(t, who, out)
}

// records gives the vault the keys and claims of the records that entries open,
// the first of them at index first, and sets the entries' commitments: an
// opening entry commits to each identifier of its person.
func (o *opening) records(t *turn, who *vault.Subject, ids []vault.Identifier, first ledger.Index, policy string,
	entries []*ledger.Entry) ([]touch, error) {
	late := ipClaim(policy, o.addr)
	for _, id := range ids {
		if id != o.id.inVault() {
			late = append(late, newClaim(id.Kind, id.Value))
		}
	}
	touched := make([]touch, 0, len(entries))
	for i, e := range entries {
		id := ledger.ConsentID(first) + ledger.ConsentID(i)
		if err := t.vault.AddConsent(who, id, o.keys[i]); err != nil {
			return nil, err
		}
		claims := slices.Concat(o.claims, late)
		if err := t.seal(o.keys[i], claims); err != nil {
			return nil, err
		}
		e.Commits = commitments(claims)
		touched = append(touched, touch{id, ledger.Index(id)})
	}
	o.recorded = true
	return touched, nil
}

// checkAge checks what a request says about the person's age.
func checkAge(age string) error {
	if age != "" && !ledger.IsAge(age) {
		return refusal.Invalid("age", "must be old_enough or child")
	}
	return nil
}

// onlyYes is the value of a line that is absent where it is not so.
func onlyYes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

// parseNotice reads the name of a notice that was shown.
func parseNotice(name string) (ref ledger.NoticeRef, err error) {
	if ref.ID, ref.Version, err = ledger.ParseNoticeName(name); err != nil {
		err = refusal.Invalid("notice", "is not a notice such as newsletter-de@3: %v", err)
	}
	return ref, err
}

// notice gives a notice with its hash, and refuses one that does not cover the
// purposes.
func (t *turn) notice(ref ledger.NoticeRef, purposes []ledger.Purpose) (ledger.NoticeRef, error) {
	notice, ok, err := t.log.Notice(ref.ID, ref.Version)
	if err != nil {
		return ref, err
	} else if !ok {
		return ref, refusal.Invalid("notice", "is not published")
	}
	for i, p := range purposes {
		if !slices.Contains(notice.Covers, p.ID) {
			return ref, refusal.Precondition("notice_coverage", "the notice does not cover purposes[%d]", i)
		}
	}
	return notice.NoticeRef, nil
}

// purposes gives the purposes that a request names.
func (t *turn) purposes(names []string) ([]ledger.Purpose, error) {
	list := make([]ledger.Purpose, 0, len(names))
	for i, name := range names {
		purpose, err := knownPurpose(t.log, path("purposes", i), name)
		if err != nil {
			return nil, err
		}
		list = append(list, purpose)
	}
	return list, nil
}

// knownPurpose refuses a purpose that no administrator defined.
func knownPurpose(h ledger.History, path, name string) (ledger.Purpose, error) {
	purpose, ok, err := h.Purpose(name)
	if err == nil && !ok {
		err = refusal.Invalid(path, "is not a purpose that is defined")
	}
	return purpose, err
}

// notSuppressed refuses purposes for which one of the identifiers stands on the
// suppression list: what somebody else than the person enters never gets past it.
func (t *turn) notSuppressed(ids []vault.Identifier, purposes []ledger.Purpose) error {
	if !t.s.vault.AnySuppressed() {
		return nil
	}
	for i, p := range purposes {
		names, err := suppressible(t.log, p.ID)
		if err != nil {
			return err
		}
		if listed, err := suppressed(t.vault, ids, names); err != nil {
			return err
		} else if len(listed) > 0 {
			return refusal.Precondition("suppressed",
				"the address is on the suppression list for purposes[%d]; only the person's own double opt-in lifts that", i)
		}
	}
	return nil
}

// subject finds the person of an identifier in the vault, with all identifiers,
// or makes a new one, who is known from the decision's first entry on.
func (t *turn) subject(id Identifier) (*vault.Subject, []vault.Identifier, error) {
	// Not through their consents: somebody's hundredth request must cost the one
	// writer no more than the first. Whoever is found here is neither erased nor
	// locked: a draft does not find people whose keys are about to change.
	who, ok, err := t.vault.FindSubject(id.inVault())
	if err != nil {
		return nil, nil, err
	}
	if ok {
		ids, err := t.vault.Identifiers(who)
		return who, ids, err
	}
	first, err := t.next()
	if err != nil {
		return nil, nil, err
	}
	ids := []vault.Identifier{id.inVault()}
	who, err = t.vault.NewSubject(ids, first)
	return who, ids, err
}
