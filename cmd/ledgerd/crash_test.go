package main

import (
	"context"
	"testing"

	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/load/storm"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/testledger"
)

// TestKill kills a server with SIGKILL at random moments, also while it starts, and
// starts it again, while 16 clients post at full speed and repeat whatever was not
// answered. After every kill, every answer that anybody got stands in the log and nothing
// stands there twice; in the end check and verifier find nothing wrong.
//
// `go run ./internal/load kill` is the same with more of everything.
func TestKill(t *testing.T) {
	kills := 24
	if testing.Short() {
		kills = 6
	}
	dir, key := newLedger(t)
	auditor, err := authn.Add(apiKeys(dir), "auditor", authn.Auditor, authn.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, reader, compared := storm.New(key), storm.NewCaller(auditor), storm.NewComparison()
	server, err := s.Endings(t.Context(), storm.Ending{
		Launch: func() (*storm.Server, error) {
			server, err := launch(dir)
			if err == nil {
				t.Cleanup(server.Kill)
			}
			return server, err
		},
		Times: kills, Clients: 16,
		After: func(ctx context.Context, _ int, url string) error {
			reader.At(url)
			return compared.Continue(s, reader.Served(ctx))
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RepeatAll(t.Context(), 1000); err != nil {
		t.Error(err)
	}
	if err := server.Stop(); err != nil {
		t.Error(err)
	}
	opened(t, dir, func(svc *service.Service) {
		if _, err := s.Judge(svc); err != nil {
			t.Error(err)
		}
		testledger.Verify(t, svc.Log())
	})
	f := s.Figures()
	if f.Told < 100 || f.Unanswered == 0 {
		t.Error("that was no test")
	}
	t.Logf("%d kills, %d answers, %d tries without one", kills, f.Told, f.Unanswered)
}
