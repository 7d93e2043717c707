package wire_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/metrics"
	"github.com/consentledger/consentledger/internal/server"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/internal/tlog"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/internal/wire"
	"github.com/consentledger/consentledger/ledger"
)

const (
	origin        = "ledger.example.com/wire"
	versionOfTest = "v0.0.0-test"
)

// running is a real ledger on a real directory behind a real listener.
type running struct {
	t       testing.TB
	url     string
	dir     string
	backups string // where key backups go
	service *service.Service
	keys    map[authn.Role]string
	revoked string // a key of role app that works no more
	log     *syncBuffer
	verbose bool // log everything there is, not only what production logs
	clock   *clock
	client  *http.Client
	metrics *metrics.Metrics

	authorities []tlog.Authority // which are asked for time stamps, when somebody calls for one
	stamper     *tlog.Stamper    // nil without them
}

// syncBuffer is a log that handlers and the test may use at the same time.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// clock is the ledger's: the wall clock, and what a test lets pass.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// passes lets days go by.
func (c *clock) passes(days int) { c.ahead.Add(int64(time.Duration(days) * 24 * time.Hour)) }

// start makes a ledger and serves it. When the test ends the whole log is
// verified.
func start(t testing.TB) *running {
	t.Helper()
	r := create(t)
	r.serve()
	return r
}

// create makes a ledger and its keys.
func create(t testing.TB) *running {
	t.Helper()
	base := t.TempDir()
	r := &running{t: t, dir: filepath.Join(base, "data"), backups: filepath.Join(base, "backups"), keys: map[authn.Role]string{},
		log: new(syncBuffer), clock: new(clock), client: &http.Client{Transport: newTransports(""), Timeout: time.Minute},
		authorities: []tlog.Authority{{Name: "dead", URL: "http://127.0.0.1:1/"}}}
	for _, dir := range []string{r.backups, filepath.Join(base, "identity")} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := service.Create(r.dir, origin, "", r.makeKeys); err != nil {
		t.Fatal(err)
	}
	return r
}

// serve opens the ledger and serves it until the test ends.
func (r *running) serve() {
	t := r.t
	t.Helper()
	level := slog.LevelInfo
	if r.verbose {
		level = math.MinInt
	}
	logger := slog.New(slog.NewJSONHandler(r.log, &slog.HandlerOptions{Level: level}))
	keys, err := authn.Load(filepath.Join(r.dir, "apikeys"), logger)
	if err != nil {
		t.Fatal(err)
	}
	backup := &vault.KeyBackup{Target: r.backups, IdentityPath: filepath.Join(filepath.Dir(r.backups), "identity", "backup.key")}
	opt := service.Options{Dir: r.dir, Memory: service.MinMemory, Logger: logger, KeyBackup: backup, Datacentres: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}
	opt.ReplaceClock(r.clock.now)
	if r.service, err = service.Open(opt); err != nil {
		t.Fatal(err)
	}
	if len(r.authorities) > 0 {
		r.stamper, err = tlog.NewStamper(tlog.StamperOptions{Log: r.service.Log(), Record: r.service, Authorities: r.authorities,
			File: filepath.Join(r.dir, "anchored.checkpoint"), Logger: logger})
		if err != nil {
			t.Fatal(err)
		}
	}
	r.metrics = metrics.New(versionOfTest, wire.Paths())
	s, err := server.New(server.Options{Requests: r.metrics,
		Handler: wire.Handler(r.service, wire.Options{Stamper: r.stamper, Logger: logger, Version: versionOfTest}), Keys: keys, Logger: logger, Listen: "127.0.0.1:0",
		Ready: func() server.Readiness { return server.Readiness{Recording: r.service.Fault() == nil} },
	})
	if err != nil {
		t.Fatal(err)
	}
	r.url = "http://" + s.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-stopped; err != nil {
			t.Errorf("Run: %v", err)
		}
		testledger.Verify(t, r.service.Log())
		if r.stamper != nil {
			r.stamper.Close()
		}
		if err := r.service.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

func (r *running) makeKeys(dir string) error {
	path := filepath.Join(dir, "apikeys")
	if err := authn.Create(path); err != nil {
		return err
	}
	for _, role := range []authn.Role{authn.App, authn.Auditor, authn.Legal, authn.Admin} {
		key, err := authn.Add(path, "the-"+string(role), role, authn.Options{})
		if err != nil {
			return err
		}
		r.keys[role] = key
	}
	var err error
	if r.revoked, err = authn.Add(path, "shop-revoked", authn.App, authn.Options{}); err != nil {
		return err
	}
	return authn.Revoke(path, "shop-revoked")
}

// size is the size of the log, past the API.
func (r *running) size() ledger.Size {
	_, size := r.service.Log().Checkpoint()
	return size
}

// roleOf gives the role whose keys may call a procedure.
func roleOf(procedure string) authn.Role {
	switch strings.Split(procedure, ".")[1] {
	case "app":
		return authn.App
	case "audit":
		return authn.Auditor
	case "evidence":
		return authn.Legal
	}
	return authn.Admin
}

// answer is an answer over plain HTTP.
type answer struct {
	status  int
	code    string   // "ok", or Connect's code
	message string   // of an error
	body    string   // everything that was sent
	stream  [][]byte // the messages of a stream and its end
}

// post sends a body as a call of the Connect protocol by HTTP alone.
func (r *running) post(procedure, key, contentType string, body []byte) answer {
	r.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, r.url+procedure, bytes.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	return r.send(req)
}

func (r *running) send(req *http.Request) answer {
	r.t.Helper()
	rsp, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer rsp.Body.Close()
	b, err := io.ReadAll(rsp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	a := answer{status: rsp.StatusCode, code: "ok", body: string(b)}
	for name, values := range rsp.Header {
		a.body += "\n" + name + ": " + strings.Join(values, ", ")
	}
	contentType := req.Header.Get("Content-Type")
	if !strings.HasPrefix(contentType, "application/connect+") || rsp.StatusCode != http.StatusOK {
		a.readError(b)
		return a
	}
	a.stream = envelopes(b)
	if a.readError(endOfStream(a.stream)); a.code == "ok" && server.IsStream(req.URL.Path) {
		a.code, a.message = itemError(methods()[req.URL.Path], contentType, a.stream)
	}
	return a
}

// endOfStream gives what the last envelope of a stream says as an error, in the
// form of an error of a unary call.
func endOfStream(stream [][]byte) []byte {
	var end struct{ Error json.RawMessage }
	if len(stream) == 0 || json.Unmarshal(stream[len(stream)-1], &end) != nil || end.Error == nil {
		return []byte("{}")
	}
	return end.Error
}

func (a *answer) readError(payload []byte) {
	var e struct{ Code, Message string }
	if a.status == http.StatusOK && !bytes.Contains(payload, []byte(`"code"`)) {
		return
	}
	if err := json.Unmarshal(payload, &e); err != nil || e.Code == "" {
		a.code = "http " + http.StatusText(a.status)
		return
	}
	a.code, a.message = e.Code, e.Message
}
