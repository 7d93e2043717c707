package ledger

import "slices"

// registry: purposes, notices and sources are declared before they are used,
// and versions count up.
func (s *step) registry() error {
	e := s.e
	switch e.Kind {
	case SourceDeclared:
		if _, ok, err := s.h.Source(e.Name); err != nil {
			return err
		} else if ok {
			return s.violates("source", -1, "the source is declared already")
		}
		s.eff.Source = &Source{e.Name, e.Role}
	case PurposeDefined:
		return s.purpose()
	case NoticePublished:
		before, _, err := s.h.Notice(e.Notice.ID, 0)
		if err != nil {
			return err
		} else if e.Notice.Version != before.Version+1 {
			return s.violates("version", -1, "version is %d, want %d", e.Notice.Version, before.Version+1)
		}
		if err := s.coversDefined(); err != nil {
			return err
		}
		if e.ConditionalOn == tieService {
			s.irregular("notice.published.tied", -1)
		}
		n := noticeOf(e)
		s.eff.Notice = &n
	case SuppressionAdded, SuppressionRemoved:
		if _, ok, err := s.h.Purpose(e.Purpose); err != nil {
			return err
		} else if !ok && e.Purpose != AllMarketing {
			return s.violates("purpose", -1, "the purpose is not defined")
		}
	}
	return nil
}

// coversDefined: the purposes that the entry covers are defined.
func (s *step) coversDefined() error {
	for _, p := range s.e.Covers {
		if _, ok, err := s.h.Purpose(p); err != nil {
			return err
		} else if !ok {
			return s.violates("purpose", -1, "covers a purpose that is not defined")
		}
	}
	return nil
}

// claims: claims that are not reserved are declared, once, before an entry commits
// to them.
func (s *step) claims() error {
	for _, c := range s.e.Commits {
		if !IsDeclarableClaim(c.Claim) { // it is a reserved one
			continue
		}
		if ok, err := s.h.Claim(c.Claim); err != nil {
			return err
		} else if !ok {
			return s.violates("claim", -1, "commits to a claim that is not declared")
		}
	}
	if s.e.Kind != ClaimDeclared {
		return nil
	}
	if ok, err := s.h.Claim(s.e.Claim); err != nil {
		return err
	} else if ok {
		return s.violates("claim", -1, "the claim is declared already")
	}
	s.eff.Claim = s.e.Claim
	return nil
}

// system: what ends a consent takes effect in a declared source, or at a processor
// that was ever engaged.
func (s *step) system() error {
	if s.e.Kind != WithdrawalEffected {
		return nil
	}
	_, source, err := s.h.Source(s.e.System)
	if source || err != nil {
		return err
	}
	if _, processor, err := s.h.Processor(s.e.System); processor || err != nil {
		return err
	}
	return s.violates("system", -1, "the system is no declared source and no processor that was ever engaged")
}

// processors: they are engaged before they are ended or named.
func (s *step) processors() error {
	e := s.e
	if e.Processor == "" {
		return nil
	}
	p, ok, err := s.h.Processor(e.Processor)
	switch {
	case err != nil:
		return err
	case e.Kind == ProcessorEngaged:
		since := e.Time
		if ok && p.Ended.IsZero() {
			since = p.Since // new terms, no new beginning
		}
		s.eff.Processor = &Processor{ID: e.Processor, Index: e.Index, Country: e.Country, Covers: append([]string(nil), e.Covers...), Since: since}
		return s.coversDefined()
	case !ok || e.Kind == ProcessorEnded && !p.Ended.IsZero():
		return s.violates("processor", -1, "the processor is not engaged")
	case e.Kind == ProcessorEnded:
		p.Ended = e.Time
		s.eff.Processor = &p
	}
	return nil
}

// purpose: what a purpose says agrees with itself, with its parent and with its
// earlier version.
func (s *step) purpose() error {
	e, p := s.e, purposeOf(s.e)
	if p.ID == AllMarketing {
		return s.violates("purpose", -1, "%s is reserved", AllMarketing)
	}
	before, again, err := s.h.Purpose(p.ID)
	switch {
	case err != nil:
		return err
	case p.Version != before.Version+1:
		return s.violates("version", -1, "version is %d, want %d", p.Version, before.Version+1)
	case again && p.Parent != before.Parent:
		return s.violates("parent", -1, "a purpose keeps its parent")
	case p.TrackingMode != NoMode && !IsTracking(p.ID):
		return s.violates("tracking", -1, "the purpose is none of tracking")
	case p.Explicit && (len(p.Bases) > 0 && !slices.Equal(p.Bases, []Basis{ByConsent})):
		return s.violates("basis", -1, "what needs explicit consent rests on nothing else")
	case p.Allows(ExistingCustomer) && !p.Marketing:
		return s.violates("basis", -1, "existing customers are a basis of marketing only")
	}
	if p.Parent != "" {
		parent, ok, err := s.h.Purpose(p.Parent)
		if err != nil {
			return err
		} else if !ok || parent.Marketing != (e.Marketing == "yes") {
			return s.violates("parent", -1, "the parent is not defined, or one of the two is marketing and the other is not")
		}
	}
	s.eff.Purpose = &p
	return nil
}
