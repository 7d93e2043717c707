package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/ledger"
)

// TestServeDrains sends SIGTERM to a server under load: it ends in order, soon,
// and everything that was acknowledged is there.
func TestServeDrains(t *testing.T) {
	dir, key := newLedger(t)
	server, err := startChild(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.kill)
	shop := newShop(key)
	shop.url.Store(&server.url)

	const clients = 16
	var (
		mu       sync.Mutex // guards told and after
		told     []acknowledged
		stopping time.Time
		after    int // answers after the signal was sent
		wg       sync.WaitGroup
	)
	for c := range clients {
		wg.Go(func() {
			for n := 0; ; n++ {
				resp, err := shop.client().RequestConsent(t.Context(), request(fmt.Sprintf("c%d.%d@example.org", c, n), ""))
				if err != nil {
					mu.Lock()
					early := stopping.IsZero()
					mu.Unlock()
					if early || !unanswered(err) {
						t.Errorf("while serving: %v", err)
					}
					return
				}
				a, err := acknowledge(ledger.ConsentRequested, resp.Consents)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if told = append(told, a); !stopping.IsZero() {
					after++
				}
				mu.Unlock()
			}
		})
	}
	time.Sleep(time.Second)
	mu.Lock()
	stopping = time.Now()
	mu.Unlock()
	if err := server.stop(); err != nil {
		t.Fatal(err)
	}
	took := time.Since(stopping)
	wg.Wait()
	if len(told) < clients || took > 8*time.Second {
		t.Errorf("%d requests were acknowledged, the shutdown took %v", len(told), took)
	}
	t.Logf("%d requests acknowledged, %d of them after the signal; the shutdown took %v", len(told), after, took)

	opened(t, dir, func(s *service.Service) {
		compare(t, s, told)
		// What was recorded and not acknowledged was on its way: one per client.
		if r := sound(t, s); r.Held < len(told) || r.Held > len(told)+clients {
			t.Errorf("%d consents are recorded, %d were acknowledged", r.Held, len(told))
		}
	})
	checkServerLog(t, server.log.String())
}

// checkServerLog checks that every line is JSON and none holds an address.
func checkServerLog(t *testing.T, log string) {
	t.Helper()
	lines := 0
	for line := range strings.Lines(log) {
		if lines++; !json.Valid([]byte(line)) || strings.Contains(line, "@example.org") || strings.Contains(line, "203.0.113") {
			t.Errorf("logged: %s", line)
		}
	}
	if lines == 0 {
		t.Error("nothing was logged")
	}
}
