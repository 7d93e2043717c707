package admin

import (
	"context"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/consentledger/consentledger/internal/api/calls"
	"github.com/consentledger/consentledger/internal/api/convert"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/tlog"
	adminv1 "github.com/consentledger/consentledger/proto/consent/admin/v1"
)

// AnchorCheckpoint has the newest checkpoint stamped now.
func (h *handler) AnchorCheckpoint(ctx context.Context, _ *adminv1.AnchorCheckpointRequest) (*adminv1.AnchorCheckpointResponse, error) {
	if h.stamper == nil {
		return nil, refusal.Precondition("timestamp_authorities", "the server is configured with no time-stamping authority; "+
			"start it with --timestamp-authorities")
	}
	rsp := &adminv1.AnchorCheckpointResponse{}
	// The stamper waits no longer than for an authority.
	for _, o := range h.stamper.StampNow(calls.Unlimited(ctx)) {
		rsp.Outcomes = append(rsp.Outcomes, &adminv1.AnchorOutcome{Authority: o.Authority, Index: int64(o.Index), Size: int64(o.Size),
			Time: convert.ShowTime(o.Time), Error: o.Why, Detail: o.Detail})
	}
	return rsp, nil
}

// showAuthorities shows how it stands with the time-stamping authorities.
func showAuthorities(list []tlog.AuthorityStatus) []*adminv1.TimestampAuthority {
	var shown []*adminv1.TimestampAuthority
	for _, a := range list {
		s := &adminv1.TimestampAuthority{Name: a.Name, Url: a.URL, Qualified: a.Qualified, Size: int64(a.Size), LastStamp: convert.ShowTime(a.Time),
			Error: a.Why, Detail: a.Detail, Failures: int64(a.Failures)}
		if a.ClockDifference != 0 {
			s.ClockDifference = durationpb.New(a.ClockDifference)
		}
		shown = append(shown, s)
	}
	return shown
}
