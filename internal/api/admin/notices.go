package admin

import (
	"context"

	"github.com/consentledger/consentledger/internal/api/convert"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/ledger"
	adminv1 "github.com/consentledger/consentledger/proto/consent/admin/v1"
)

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
		ID:              req.GetId(),
		Insist:          req.GetInsist(),
		Language:        req.GetLanguage(),
		Text:            req.GetText(),
		Purposes:        req.GetPurposes(),
		Use:             req.GetUse(),
		CheckboxDefault: req.GetCheckboxDefault(),
		ConditionalOn:   req.GetConditionalOn(),
		Facts:           facts(req.GetFacts()),
		IdempotencyKey:  req.GetIdempotencyKey(),
		Proof:           proof,
	})
	if err != nil {
		return nil, err
	}
	return &adminv1.PublishNoticeResponse{
		Notice:   notice.Name,
		Sha256:   notice.SHA256[:],
		Entry:    convert.Entry(entry),
		Missing:  notice.Missing,
		Findings: notice.Findings,
	}, nil
}

// facts reads what a notice tells; nil tells nothing.
func facts(f *adminv1.NoticeFacts) service.NoticeFacts {
	if f == nil {
		return service.NoticeFacts{}
	}
	return service.NoticeFacts{
		Controller:         f.GetController(),
		Contact:            f.GetContact(),
		Recipients:         f.GetRecipients(),
		ThirdCountries:     f.GetThirdCountries(),
		Retention:          f.GetRetention(),
		Rights:             f.GetRights(),
		Refusal:            f.GetRefusal(),
		AutomatedDecisions: f.GetAutomatedDecisions(),
		Authority:          f.GetAuthority(),
		Companies:          f.GetCompanies(),
		Products:           f.GetProducts(),
		Contents:           f.GetContents(),
		Frequency:          f.GetFrequency(),
		Justification:      f.GetJustification(),
		AdvertisingFree:    f.AdvertisingFree,
	}
}

func showFacts(f *service.NoticeFacts) *adminv1.NoticeFacts {
	return &adminv1.NoticeFacts{
		Controller:         f.Controller,
		Contact:            f.Contact,
		Recipients:         f.Recipients,
		ThirdCountries:     f.ThirdCountries,
		Retention:          f.Retention,
		Rights:             f.Rights,
		Refusal:            f.Refusal,
		AutomatedDecisions: f.AutomatedDecisions,
		Authority:          f.Authority,
		Companies:          f.Companies,
		Products:           f.Products,
		Contents:           f.Contents,
		Frequency:          f.Frequency,
		Justification:      f.Justification,
		AdvertisingFree:    f.AdvertisingFree,
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
		rsp.Notices[i] = showNotice(n)
	}
	return rsp, nil
}

func showNotice(n *service.Notice) *adminv1.Notice {
	shown := &adminv1.Notice{
		Notice:          n.Name,
		Language:        n.Language,
		Sha256:          n.SHA256[:],
		Purposes:        n.Covers,
		Index:           int64(n.Index),
		Use:             n.Use,
		CheckboxDefault: n.Checkbox,
		ConditionalOn:   n.ConditionalOn,
		Missing:         n.Missing,
		Findings:        n.Findings,
	}
	if n.Notice.Facts != (ledger.Hash{}) {
		shown.Facts = showFacts(&n.Facts)
	}
	return shown
}
