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
		Title:               req.GetTitle(),
		Marketing:           req.GetMarketing(),
		DoubleOptIn:         req.GetDoubleOptIn(),
		DoubleOptInChannels: req.GetDoubleOptInChannels(),
		UnusedMeasure:       req.GetUnusedMeasure(),
		IdempotencyKey:      req.GetIdempotencyKey(),
	}
	for i, c := range d.DoubleOptInChannels {
		if slices.Contains(d.DoubleOptInChannels[:i], c) {
			return d, refusal.Invalid(fmt.Sprintf("double_opt_in_channels[%d]", i), "stands twice in the list")
		}
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

// terms reads the terms of retention. One that is set to zero would pass for "not
// set", which means something else each time.
func terms(req *adminv1.DefinePurposeRequest, d *service.PurposeDefinition) error {
	for _, term := range []struct {
		path string
		from *int64
		to   *int64
	}{
		{"lock_days", req.LockDays, &d.LockDays},
		{"lapsed_days", req.LapsedDays, &d.LapsedDays},
		{"unused_days", req.UnusedDays, &d.UnusedDays},
		{"evidence_days", req.EvidenceDays, &d.EvidenceDays},
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

// PublishNotice publishes the next version of a notice.
func (h *handler) PublishNotice(ctx context.Context, req *adminv1.PublishNoticeRequest) (*adminv1.PublishNoticeResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	proof, err := convert.Proof(req.GetProof(), false)
	if err != nil {
		return nil, err
	}
	notice, entry, err := h.service.PublishNotice(ctx, src, service.NoticePublication{
		ID:             req.GetId(),
		Language:       req.GetLanguage(),
		Text:           req.GetText(),
		Purposes:       req.GetPurposes(),
		IdempotencyKey: req.GetIdempotencyKey(),
		Proof:          proof,
	})
	if err != nil {
		return nil, err
	}
	return &adminv1.PublishNoticeResponse{Notice: notice.Name, Sha256: notice.SHA256[:], Entry: convert.Entry(entry)}, nil
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
	return &adminv1.Purpose{
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
	}
}

// ListNotices lists every version of every notice.
func (h *handler) ListNotices(context.Context, *adminv1.ListNoticesRequest) (*adminv1.ListNoticesResponse, error) {
	list, err := h.service.ListNotices()
	if err != nil {
		return nil, err
	}
	rsp := &adminv1.ListNoticesResponse{Notices: make([]*adminv1.Notice, len(list))}
	for i, n := range list {
		rsp.Notices[i] = &adminv1.Notice{
			Notice:   n.Name,
			Language: n.Language,
			Sha256:   n.SHA256[:],
			Purposes: n.Covers,
			Index:    int64(n.Index),
		}
	}
	return rsp, nil
}
