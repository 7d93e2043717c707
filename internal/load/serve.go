package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/consentledger/consentledger/internal/api/codec"
	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/server"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/wire"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
	"github.com/consentledger/consentledger/proto/consent/app/v1/appv1connect"
)

type serveCmd struct {
	Dir string `required:""`
}

// empty answers RequestConsent with a message of the usual size and does
// nothing: what is left is the cost of HTTP, keys and codec.
type empty struct {
	appv1connect.UnimplementedConsentServiceHandler
	answer *appv1.RequestConsentResponse
}

func (e *empty) RequestConsent(context.Context, *appv1.RequestConsentRequest) (*appv1.RequestConsentResponse, error) {
	return e.answer, nil
}

// Run serves a fresh ledger and the empty handler, each on a port of its own,
// behind the same keys, until it is interrupted.
func (c *serveCmd) Run(ctx context.Context) error {
	dir := filepath.Join(c.Dir, "data")
	var key string
	err := service.Create(dir, "load.example/ledger", "", func(dir string) (err error) {
		path := filepath.Join(dir, "apikeys")
		if err = authn.Create(path); err == nil {
			key, err = authn.Add(path, "load", "app", false)
		}
		return err
	})
	if err != nil {
		return err
	}
	s, err := service.Open(service.Options{Dir: dir})
	if err != nil {
		return err
	}
	defer s.Close()
	if err := prepare(ctx, s); err != nil {
		return err
	}
	r, err := s.RequestConsent(ctx, service.Source{Name: "load", Role: "app"}, request(0))
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle(appv1connect.NewConsentServiceHandler(&empty{answer: answer(r)}, codec.HandlerOptions(16<<20)...))
	logger := slog.New(slog.DiscardHandler)
	if os.Getenv("LOAD_LOG") != "" {
		logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	keys, err := authn.Load(filepath.Join(dir, "apikeys"), logger)
	if err != nil {
		return err
	}
	real, err := listen(wire.Handler(s, logger, "load"), keys, logger)
	if err != nil {
		return err
	}
	idle, err := listen(mux, keys, logger)
	if err != nil {
		return err
	}
	fmt.Printf("http://%s http://%s %s\n", real.Addr(), idle.Addr(), key)
	go idle.Run(ctx)
	return real.Run(ctx)
}

func listen(h http.Handler, keys *authn.Keys, logger *slog.Logger) (*server.Server, error) {
	return server.New(server.Options{Handler: h, Keys: keys, Logger: logger, Listen: "127.0.0.1:0",
		Ready: func() server.Readiness { return server.Readiness{Recording: true} }})
}

func answer(r *service.Requested) *appv1.RequestConsentResponse {
	a := &appv1.RequestConsentResponse{Token: &r.Token, ManageToken: r.ManageToken, ExpiresAt: timestamppb.New(r.ExpiresAt)}
	for _, c := range r.Consents {
		a.Consents = append(a.Consents, &appv1.Consent{ConsentId: int64(c.ID), Purpose: c.Purpose, Channel: c.Channel,
			Notice: c.Notice, State: c.State.String(), Entry: &appv1.Entry{Index: int64(c.Entry.Index), LeafHash: c.Entry.Leaf[:], Size: int64(c.Entry.Size)}})
	}
	return a
}
