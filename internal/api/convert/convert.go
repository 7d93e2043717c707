// Package convert turns what messages of several services have in common into
// the words of internal/service, and back.
//
// Start with [Source] and [Proof]. It refuses rather than repairs: a value that
// is not exactly right is a refusal with its field's path.
package convert

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/service"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
)

// Source gives who calls, as the log names them.
func Source(ctx context.Context) (service.Source, error) {
	id, ok := authn.FromContext(ctx)
	if !ok {
		return service.Source{}, &refusal.Error{Code: refusal.Unauthenticated, Reason: "an API key is needed"}
	}
	return service.Source{Name: id.Name, Role: string(id.Role)}, nil
}

// Proof reads the field proof: whether the answer is to carry receipts. standard
// is what an empty field means.
func Proof(value string, standard bool) (bool, error) {
	switch value {
	case "":
		return standard, nil
	case "none":
		return false, nil
	case "log":
		return true, nil
	}
	return false, refusal.Invalid("proof", "must be none or log")
}

// OccurredAt reads the field occurred_at; zero when it is not set.
func OccurredAt(ts *timestamppb.Timestamp) (time.Time, error) { return Time("occurred_at", ts) }

// Time reads the time at path; zero when it is not set.
func Time(path string, ts *timestamppb.Timestamp) (time.Time, error) {
	if ts == nil {
		return time.Time{}, nil
	}
	// The time that Go calls zero would pass for "not set".
	if !ts.IsValid() || ts.AsTime().IsZero() {
		return time.Time{}, refusal.Invalid(path, "must lie between the years 2000 and 9999")
	}
	return ts.AsTime(), nil
}

// ShowTime shows a time; the zero time is left out.
func ShowTime(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// Entry shows where something is recorded; nil when nothing was.
func Entry(e *service.Entry) *appv1.Entry {
	if e == nil {
		return nil
	}
	return &appv1.Entry{
		Index:    int64(e.Index),
		LeafHash: e.Leaf[:],
		Size:     int64(e.Size),
		Receipt:  e.Receipt,
		Text:     e.Text,
	}
}

// Entries shows where things are recorded, in the same order.
func Entries(list []service.Entry) []*appv1.Entry {
	shown := make([]*appv1.Entry, len(list))
	for i, e := range list {
		shown[i] = Entry(&e)
	}
	return shown
}
