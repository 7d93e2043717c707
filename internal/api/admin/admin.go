// Package admin answers consent.admin.v1.AdminService: the purposes, the notices,
// the suppression list, retention, and how the ledger and its erasures are.
//
// Start with [Handler]. Methods are thin, as in internal/api/app; all of them are
// safe for concurrent use.
package admin

import (
	"context"
	"log/slog"
	"net/http"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/consentledger/consentledger/internal/api/calls"
	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/service"
	adminv1 "github.com/consentledger/consentledger/proto/consent/admin/v1"
	"github.com/consentledger/consentledger/proto/consent/admin/v1/adminv1connect"
)

// maxRequest is the largest request in bytes: a notice of 256 KiB, whose
// characters JSON may spell with up to six bytes each where they are not letters.
const maxRequest = 1 << 20

// handler implements adminv1connect.AdminServiceHandler.
type handler struct {
	adminv1connect.UnimplementedAdminServiceHandler // until every method is here

	service *service.Service
	version string
}

// Handler gives the path below which the service answers, and the handler. Keys
// of role admin may call it. version is what GetStatus says of the running
// program; faults are written to logger.
func Handler(s *service.Service, logger *slog.Logger, version string) (string, http.Handler) {
	options := append(calls.Options(authn.Admin, maxRequest), calls.Refusals(logger))
	return adminv1connect.NewAdminServiceHandler(&handler{service: s, version: version}, options...)
}

// GetStatus says how the ledger is.
func (h *handler) GetStatus(context.Context, *adminv1.GetStatusRequest) (*adminv1.GetStatusResponse, error) {
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
	}
	if status.Fault != nil {
		rsp.Fault = status.Fault.Error()
	}
	return rsp, nil
}
