package admin

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/consentledger/consentledger/internal/api/calls"
	"github.com/consentledger/consentledger/internal/api/convert"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/tlog"
	adminv1 "github.com/consentledger/consentledger/proto/consent/admin/v1"
)

// GetStatus says how the ledger is, and what is due.
func (h *handler) GetStatus(ctx context.Context, req *adminv1.GetStatusRequest) (*adminv1.GetStatusResponse, error) {
	if req.GetRefresh() {
		if _, err := h.service.Watch(calls.Unlimited(ctx)); err != nil {
			return nil, err
		}
	}
	status, err := h.service.Status()
	if err != nil {
		return nil, err
	}
	rsp := &adminv1.GetStatusResponse{
		Origin:        status.Origin,
		Controller:    status.Controller,
		Size:          int64(status.Size),
		Root:          status.Root[:],
		LastEntryTime: timestamppb.New(status.LastEntry),
		Recording:     status.Fault == nil,
		Version:       h.version,
		Watch:         showWatch(status.Watch),
		BackupTarget:  status.KeyBackup.Target,
	}
	if b := status.Backup; b != nil {
		rsp.DataBackupTime, rsp.DataBackupSize = timestamppb.New(b.At), int64(b.To)
	}
	if status.Fault != nil {
		rsp.Fault = status.Fault.Error()
	}
	if h.witnesses != nil {
		showCosigning(rsp, h.witnesses.Status())
	}
	if h.stamper != nil {
		rsp.TimestampAuthorities = showAuthorities(h.stamper.Status())
	}
	return rsp, nil
}

// showCosigning shows how it stands with the witnesses.
func showCosigning(rsp *adminv1.GetStatusResponse, s tlog.Cosigning) {
	rsp.CosignedSize = int64(s.Size)
	if s.Fault != nil {
		rsp.WitnessesFault = s.Fault.Error()
	}
	for _, w := range s.Witnesses {
		rsp.Witnesses = append(rsp.Witnesses, &adminv1.Witness{Url: w.URL, Names: w.Names, Size: int64(w.Size),
			LastSuccess: convert.ShowTime(w.LastSuccess), Error: w.Why, Failures: int64(w.Failures)})
	}
}

// showWatch shows what is due; nil when nobody has looked.
func showWatch(w *service.Watch) *adminv1.Watch {
	if w == nil {
		return nil
	}
	shown := &adminv1.Watch{AsOf: timestamppb.New(w.AsOf), Size: int64(w.Size), Items: make([]*adminv1.WatchItem, len(w.Items))}
	for i, item := range w.Items {
		first := make([]*adminv1.WatchRef, len(item.First))
		for j, ref := range item.First {
			first[j] = &adminv1.WatchRef{Index: int64(ref.Index), Due: convert.ShowTime(ref.Due)}
		}
		shown.Items[i] = &adminv1.WatchItem{What: item.What, Count: int64(item.Count), Oldest: convert.ShowTime(item.Oldest), First: first}
	}
	return shown
}
