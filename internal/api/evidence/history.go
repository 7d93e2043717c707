package evidence

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/consentledger/consentledger/internal/api/convert"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/ledger"
	evidencev1 "github.com/consentledger/consentledger/proto/consent/evidence/v1"
)

// GetConsentHistory answers what the log has about one consent.
func (h *handler) GetConsentHistory(ctx context.Context, req *evidencev1.GetConsentHistoryRequest) (*evidencev1.GetConsentHistoryResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	id, err := convert.ConsentID(req.GetConsentId())
	if err != nil {
		return nil, err
	}
	history, err := h.service.History(ctx, src, id)
	if err != nil {
		return nil, err
	}
	rsp := &evidencev1.GetConsentHistoryResponse{
		Consent: convert.Consent(history.Consent),
		Entries: make([]*evidencev1.HistoryEntry, len(history.Entries)),
	}
	if history.SinceSent != nil {
		rsp.SinceSent = durationpb.New(*history.SinceSent)
	}
	for i, e := range history.Entries {
		rsp.Entries[i] = &evidencev1.HistoryEntry{
			Entry:      convert.Entry(&e.Entry),
			Kind:       string(e.Kind),
			Time:       convert.ShowTime(e.Time),
			OccurredAt: convert.ShowTime(e.Occurred),
			Source:     e.Source,
			Claims:     masked(e.Claims),
		}
	}
	rsp.Notices, err = h.shownNotices(history.Entries)
	return rsp, err
}

// shownNotices gives the notices that entries name, by name. They are public, so the
// log has them, not the vault.
func (h *handler) shownNotices(entries []service.HistoryEntry) ([]*evidencev1.ShownNotice, error) {
	snap := h.service.Log().Snapshot()
	defer snap.Release()
	shown := map[string]*evidencev1.ShownNotice{}
	for _, e := range entries {
		parsed, err := ledger.ParseEntry([]byte(e.Text))
		if err != nil {
			return nil, fmt.Errorf("reading entry %d: %w", e.Index, err)
		}
		if parsed.Notice.ID == "" || shown[parsed.Notice.Name()] != nil {
			continue
		}
		n, _, err := snap.Notice(parsed.Notice.ID, parsed.Notice.Version)
		if err != nil {
			return nil, err
		}
		if shown[n.Name()], err = showNotice(snap, n); err != nil {
			return nil, err
		}
	}
	list := make([]*evidencev1.ShownNotice, 0, len(shown))
	for _, n := range shown {
		list = append(list, n)
	}
	slices.SortFunc(list, func(a, b *evidencev1.ShownNotice) int { return strings.Compare(a.Notice, b.Notice) })
	return list, nil
}

// noticeTexts gives the documents that notices consist of.
type noticeTexts interface {
	NoticeText(sum ledger.Hash) ([]byte, error)
}

func showNotice(texts noticeTexts, n ledger.Notice) (*evidencev1.ShownNotice, error) {
	text, err := texts.NoticeText(n.SHA256)
	if err != nil {
		return nil, err
	}
	shown := &evidencev1.ShownNotice{
		Notice:          n.Name(),
		Language:        n.Language,
		Text:            string(text),
		Sha256:          n.SHA256[:],
		Use:             n.Use,
		CheckboxDefault: n.Checkbox,
		ConditionalOn:   n.ConditionalOn,
		Index:           int64(n.Index),
	}
	if n.Facts != (ledger.Hash{}) {
		facts, err := texts.NoticeText(n.Facts)
		if err != nil {
			return nil, err
		}
		shown.Facts, shown.FactsSha256 = string(facts), n.Facts[:]
	}
	return shown, nil
}

// masked shows claims as far as they are shown without a disclosure.
func masked(list []service.MaskedClaim) []*evidencev1.MaskedClaim {
	shown := make([]*evidencev1.MaskedClaim, len(list))
	for i, m := range list {
		shown[i] = &evidencev1.MaskedClaim{Claim: m.Claim, Masked: m.Shown}
	}
	return shown
}
