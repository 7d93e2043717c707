package service

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
)

// papers are the claims and attachments of a call that may concern several people.
// Each of them is given the attachments' bytes for their own, because whoever is
// erased takes their bytes along.
type papers struct {
	claims      []claim    // those of the attachments among them, without bytes
	addr        netip.Addr // as it came; the decision cuts it
	attachments []Attachment
	copies      [][]claim // the attachments' claims with their bytes, for one person each
	used        int       // how many copies the newest run of the decision gave out
}

// maxCopies bounds the bytes of a call's attachments times the people for whom
// they are kept.
const maxCopies = 64 << 20

// preparePapers checks what needs no state.
func preparePapers(values map[string]string, attachments []Attachment) (*papers, error) {
	p := &papers{attachments: attachments}
	var err error
	if p.claims, p.addr, err = splitClaims(values); err != nil {
		return nil, err
	}
	files, err := attachmentClaims(attachments, p.claims)
	p.claims = append(p.claims, files...)
	return p, err
}

// isAttachment reports whether a claim's value is the bytes of an attachment.
func (p *papers) isAttachment(c claim) bool {
	return slices.ContainsFunc(p.attachments, func(a Attachment) bool { return a.Claim == c.disclosure.Claim })
}

// identity is what makes two calls the same one besides the request itself, which
// leaves the attachments out of its JSON: their names and what they hash to.
func (p *papers) identity() (values []string) {
	for _, c := range p.claims {
		if p.isAttachment(c) {
			values = append(values, c.disclosure.Claim, c.disclosure.Value)
		}
	}
	return values
}

// need refuses papers without a claim.
func (p *papers) need(name string) error {
	if !slices.ContainsFunc(p.claims, func(c claim) bool { return c.disclosure.Claim == name }) {
		return refusal.Invalid("claims."+name, "is required")
	}
	return nil
}

// only refuses papers with other claims, and attachments.
func (p *papers) only(names ...string) error {
	for _, c := range p.claims {
		if !slices.Contains(names, c.disclosure.Claim) || p.isAttachment(c) {
			return errImpersonal(names)
		}
	}
	if p.addr.IsValid() {
		return errImpersonal(names)
	}
	return nil
}

func errImpersonal(names []string) error {
	return refusal.Precondition("stranger", "nobody is known under whose key a claim could be kept and one day erased; "+
		"only %s, without anything personal", strings.Join(names, " and "))
}

// morePeople says for how many people a decision needs attachments.
type morePeople int

func (n morePeople) Error() string {
	return fmt.Sprintf("the attachments are needed for %d people", int(n))
}

// doWith runs a decision that keeps papers. The attachments are stored before it,
// because they do not fit a group: once, and again for as many people as the
// decision finds. What it gives to nobody is deleted.
func (s *Service) doWith(ctx context.Context, src Source, p *papers, decide func(*turn) error) error {
	for people := morePeople(1); ; {
		err := p.store(s, int(people))
		if err == nil {
			err = s.do(ctx, src, func(t *turn) error {
				p.used = 0
				return decide(t)
			})
		}
		if errors.As(err, &people) {
			continue
		}
		if err != nil {
			p.used = 0
		}
		for _, unused := range p.copies[p.used:] {
			s.dropBytes(unused, err)
		}
		return err
	}
}

// store stores the attachments for so many people.
func (p *papers) store(s *Service, people int) error {
	total := 0
	for _, a := range p.attachments {
		total += len(a.Bytes)
	}
	if total*people > maxCopies {
		return refusal.Invalid("attachments", "have %d bytes, kept for %d people; together at most %d", total, people, maxCopies)
	}
	for total > 0 && len(p.copies) < people {
		own := slices.DeleteFunc(slices.Clone(p.claims), func(c claim) bool { return !p.isAttachment(c) })
		if err := s.putAttachments(own, p.attachments); err != nil {
			return err
		}
		p.copies = append(p.copies, own)
	}
	return nil
}

// keep seals the claims under the key of each consent, the address cut as the
// consents' purposes demand, and gives their commitments. With no consents they
// are about nobody: then only those of the names are taken, and kept in the
// ledger's own slot, which no erasure reaches.
func (p *papers) keep(t *turn, consents []ledger.Consent, impersonal ...string) ([]ledger.Commitment, error) {
	if len(consents) == 0 {
		if err := p.only(impersonal...); err != nil {
			return nil, err
		}
		return commitments(p.claims), t.seal(t.s.vault.LedgerKey(), p.claims)
	}
	claims, err := t.withIP(p.claims, p.addr, purposesOf(consents))
	if err != nil {
		return nil, err
	}
	if err := checkSealed(claims, len(consents)); err != nil {
		return nil, err
	}
	people := map[vault.Slot]int{}
	for _, c := range consents {
		own, err := p.forOwner(t, claims, c.ID, people)
		if err != nil {
			return nil, err
		}
		if err := t.addClaims(c.ID, own); err != nil {
			return nil, err
		}
	}
	if p.used = len(people); p.used > len(p.copies) {
		return nil, morePeople(p.used)
	}
	return commitments(claims), nil
}

// forOwner gives the claims with the bytes that are the consent's owner's; people
// numbers the owners seen so far.
func (p *papers) forOwner(t *turn, claims []claim, id ledger.ConsentID, people map[vault.Slot]int) ([]claim, error) {
	if len(p.attachments) == 0 {
		return claims, nil
	}
	owner, ok, err := t.vault.SubjectOf(id)
	if err != nil {
		return nil, err
	} else if !ok {
		return nil, refusal.NotFound("consent_ids", "there is no such consent")
	}
	n, seen := people[owner.Slot]
	if !seen {
		n = len(people)
		people[owner.Slot] = n
	}
	if n >= len(p.copies) {
		return claims, nil // the decision fails, and is made again with enough
	}
	own := slices.DeleteFunc(slices.Clone(claims), p.isAttachment)
	return append(own, p.copies[n]...), nil
}
