package admin

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/consentledger/consentledger/internal/api/convert"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/ledger"
	adminv1 "github.com/consentledger/consentledger/proto/consent/admin/v1"
)

// DefinePurpose defines a purpose or its next version.
func (h *handler) DefinePurpose(ctx context.Context, req *adminv1.DefinePurposeRequest) (*adminv1.DefinePurposeResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	definition, err := purposeDefinition(req)
	if err != nil {
		return nil, err
	}
	purpose, entry, err := h.service.DefinePurpose(ctx, src, definition)
	if err != nil {
		return nil, err
	}
	return &adminv1.DefinePurposeResponse{Purpose: showPurpose(purpose), Entry: convert.Entry(entry)}, nil
}

func purposeDefinition(req *adminv1.DefinePurposeRequest) (service.PurposeDefinition, error) {
	d := service.PurposeDefinition{
		ID:                  req.GetId(),
		Insist:              req.GetInsist(),
		Title:               req.GetTitle(),
		Marketing:           req.GetMarketing(),
		Parent:              req.GetParent(),
		Bases:               req.GetBases(),
		Explicit:            req.GetExplicit(),
		DoubleOptIn:         req.GetDoubleOptIn(),
		DoubleOptInChannels: req.GetDoubleOptInChannels(),
		MinimumGrade:        req.GetMinimumGrade(),
		IPPolicy:            req.GetIpPolicy(),
		TrackingMode:        req.GetTrackingMode(),
		UnusedMeasure:       req.GetUnusedMeasure(),
		Balancing:           document(req.GetBalancing()),
		IdempotencyKey:      req.GetIdempotencyKey(),
	}
	if err := eachOnce("double_opt_in_channels", d.DoubleOptInChannels); err != nil {
		return d, err
	}
	if err := eachOnce("bases", d.Bases); err != nil {
		return d, err
	}
	var err error
	if d.TokenLifetime, err = tokenLifetime(req.GetTokenLifetime()); err != nil {
		return d, err
	}
	if err := terms(req, &d); err != nil {
		return d, err
	}
	d.Proof, err = convert.Proof(req.GetProof(), false)
	return d, err
}

// eachOnce refuses a list in which something stands twice: it says less than its
// length, which may be a slip.
func eachOnce(field string, list []string) error {
	for i, word := range list {
		if slices.Contains(list[:i], word) {
			return refusal.Invalid(fmt.Sprintf("%s[%d]", field, i), "stands twice in the list")
		}
	}
	return nil
}

// tokenLifetime reads a lifetime; zero when it is not set. One that is set to
// zero would pass for that.
func tokenLifetime(d *durationpb.Duration) (time.Duration, error) {
	if d == nil {
		return 0, nil
	}
	if !d.IsValid() || d.AsDuration() == 0 {
		return 0, refusal.Invalid("token_lifetime", "must be at least a second; leave it out for the standard one")
	}
	return d.AsDuration(), nil
}

// terms reads the periods, the hours and the age. One that is set to zero would pass for "not
// set", which means something else each time.
func terms(req *adminv1.DefinePurposeRequest, d *service.PurposeDefinition) error {
	for _, term := range []struct {
		path string
		from *int64
		to   *int64
	}{
		{"validity_days", req.ValidityDays, &d.ValidityDays},
		{"lock_days", req.LockDays, &d.LockDays},
		{"lapsed_days", req.LapsedDays, &d.LapsedDays},
		{"unused_days", req.UnusedDays, &d.UnusedDays},
		{"unused_warn_days", req.UnusedWarnDays, &d.UnusedWarnDays},
		{"evidence_days", req.EvidenceDays, &d.EvidenceDays},
		{"minimum_age", req.MinimumAge, &d.MinimumAge},
		{"effect_hours", req.EffectHours, &d.EffectHours},
	} {
		if term.from == nil {
			continue
		}
		if *term.from == 0 {
			return refusal.Invalid(term.path, "must be at least 1; leave it out for the standard")
		}
		*term.to = *term.from
	}
	return nil
}

// ListPurposes lists the newest version of every purpose.
func (h *handler) ListPurposes(context.Context, *adminv1.ListPurposesRequest) (*adminv1.ListPurposesResponse, error) {
	list, err := h.service.ListPurposes()
	if err != nil {
		return nil, err
	}
	rsp := &adminv1.ListPurposesResponse{Purposes: make([]*adminv1.Purpose, len(list))}
	for i, p := range list {
		rsp.Purposes[i] = showPurpose(p)
	}
	return rsp, nil
}

func showPurpose(p *service.Purpose) *adminv1.Purpose {
	shown := &adminv1.Purpose{
		Id:                  p.ID,
		Title:               p.Title,
		Marketing:           p.Marketing,
		DoubleOptIn:         p.DoubleOptIn,
		DoubleOptInChannels: p.DoubleOptInChannels,
		TokenLifetime:       durationpb.New(p.TokenLifetime),
		Version:             p.Version,
		Index:               int64(p.Index),
		LockDays:            p.LockDays,
		LapsedDays:          p.LapsedDays,
		UnusedDays:          p.UnusedDays,
		UnusedMeasure:       p.UnusedMeasure,
		EvidenceDays:        p.EvidenceDays,
		ValidityDays:        p.ValidityDays,
		UnusedWarnDays:      p.UnusedWarnDays,
		MinimumGrade:        p.MinimumGrade,
		MinimumAge:          p.MinimumAge,
		Explicit:            p.Explicit,
		IpPolicy:            p.IPPolicy,
		Parent:              p.Parent,
		Bases:               p.Bases,
		TrackingMode:        p.TrackingMode,
		EffectHours:         p.EffectHours,
	}
	if p.BalancingSHA256 != (ledger.Hash{}) {
		shown.BalancingSha256 = p.BalancingSHA256[:]
	}
	return shown
}
