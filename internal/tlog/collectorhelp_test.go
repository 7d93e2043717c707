package tlog_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/testauthority"
	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/internal/tlog"
	"github.com/consentledger/consentledger/internal/witness"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// interval of every collector of these tests, and how long they wait at most.
const (
	intervalOfTest = 50 * time.Millisecond
	patience       = 20 * time.Second
)

// testWitness is a real witness behind a listener, which may be stopped and started
// at the same address.
type testWitness struct {
	testing.TB
	dir, name, addr string
	lines           string // for policies
	trust           []byte // the log's trust.keys, if it was told of rotations
	asked           atomic.Int64
	stop            func()
}

// newWitness makes a witness and starts it. change, which may be nil, stands
// between it and its callers.
func newWitness(t testing.TB, name string, change func(http.Handler) http.Handler) *testWitness {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &testWitness{TB: t, dir: t.TempDir(), name: name, addr: l.Addr().String()}
	lines, err := witness.Create(w.dir, name, w.url())
	if err != nil {
		t.Fatal(err)
	}
	w.lines = string(lines)
	w.start(l, change)
	return w
}

func (w *testWitness) url() string { return "http://" + w.addr }

func (w *testWitness) restart(change func(http.Handler) http.Handler) {
	w.Helper()
	w.start(testauthority.ListenAgain(w, w.addr), change)
}

func (w *testWitness) start(l net.Listener, change func(http.Handler) http.Handler) {
	w.Helper()
	pair := testledger.Signer(w).Keys()
	log := ledger.LogKeys{Ed25519: pair.Ed25519, MLDSA44: pair.MLDSA44}
	if w.trust != nil {
		var err error
		if log, err = log.WithKeys(w.trust); err != nil {
			w.Fatal(err)
		}
	}
	opened, err := witness.Open(witness.Options{Dir: w.dir, Logs: []ledger.LogKeys{log}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.Fatal(err)
	}
	handler := opened.Handler()
	if change != nil {
		handler = change(handler)
	}
	var handling sync.RWMutex // closing a server does not wait for its handlers
	stopped := false          // guarded by handling
	srv := &http.Server{Handler: http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		handling.RLock()
		defer handling.RUnlock()
		if stopped {
			return
		}
		if r.Method == http.MethodPost {
			w.asked.Add(1)
		}
		handler.ServeHTTP(out, r)
	})}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	w.stop = sync.OnceFunc(func() {
		srv.Close()
		<-done
		handling.Lock()
		defer handling.Unlock()
		stopped = true
		if err := opened.Close(); err != nil {
			w.Error(err)
		}
	})
	w.Cleanup(w.stop)
}

// collecting is a log with a collector.
type collecting struct {
	testing.TB
	store  *store.Store
	policy *ledger.Policy
	opt    tlog.CollectorOptions
	c      *tlog.Collector
	log    *tlog.Cosigned
}

// policyFor gives a policy with the witnesses' lines and groups; the last group is
// joined to the log's own.
func policyFor(t testing.TB, lines, groups, last string) *ledger.Policy {
	t.Helper()
	text := strings.Replace(string(ledger.NewPolicy(testledger.Signer(t).Keys())), "group hybrid all self-pq",
		lines+groups+"\ngroup hybrid all self-pq "+last, 1)
	p, err := ledger.ParsePolicy([]byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return p
}

// newCollecting makes a log of n entries with a collector that has begun.
func newCollecting(t testing.TB, n int, policy *ledger.Policy, change ...func(*tlog.CollectorOptions)) *collecting {
	t.Helper()
	s := testledger.New(t)
	testledger.Fill(t, s, n-1)
	return collect(t, s, policy, change...)
}

func collect(t testing.TB, s *store.Store, policy *ledger.Policy, change ...func(*tlog.CollectorOptions)) *collecting {
	t.Helper()
	k := &collecting{TB: t, store: s, policy: policy, opt: tlog.CollectorOptions{Log: s, Policy: policy,
		File: filepath.Join(t.TempDir(), "cosigned.checkpoint"), Interval: intervalOfTest,
		RetryMin: 20 * time.Millisecond, RetryMax: 100 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)}}
	for _, f := range change {
		f(&k.opt)
	}
	k.begin()
	t.Cleanup(func() {
		if err := k.c.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

// begin starts a collector with the same file.
func (k *collecting) begin() {
	k.Helper()
	var err error
	if k.c, err = tlog.StartCollector(k.opt); err != nil {
		k.Fatal(err)
	}
	k.log = k.c.Over(k.store)
}

// stop ends the collector.
func (k *collecting) stop() {
	k.Helper()
	if err := k.c.Close(); err != nil {
		k.Error(err)
	}
}

// until waits for something to be so.
func (k *collecting) until(what string, ok func() bool) {
	k.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			k.Fatalf("not within %v: %s; the status is %+v", patience, what, k.c.Status())
		}
	}
}

// cosigned waits until the newest checkpoint is cosigned, and opens it.
func (k *collecting) cosigned() *ledger.OpenedCheckpoint {
	k.Helper()
	_, want := k.store.Checkpoint()
	k.until("the newest checkpoint is cosigned", func() bool { _, size := k.log.Checkpoint(); return size == want })
	signed, _ := k.log.Checkpoint()
	opened, err := ledger.OpenCheckpoint(signed, k.policy)
	if err != nil {
		k.Fatal(err)
	}
	return opened
}

// fails waits until a witness fails for a reason, twice.
func (k *collecting) fails(i int, why string) {
	k.Helper()
	k.until("witness fails: "+why, func() bool { s := k.c.Status().Witnesses[i]; return s.Why == why && s.Failures > 1 })
}

// answer stands in for a witness.
func answer(status int, mediaType, body string) func(http.Handler) http.Handler {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
			out.Header().Set("Content-Type", mediaType)
			out.WriteHeader(status)
			io.WriteString(out, body)
		})
	}
}

// rewriting changes the lines that a witness answers.
func rewriting(change func(asked ledger.Checkpoint, lines string) string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			r.Body = io.NopCloser(strings.NewReader(string(body)))
			kept := &keptAnswer{header: http.Header{}}
			next.ServeHTTP(kept, r)
			if _, n, err := ledger.ParseAddCheckpoint(body); err == nil && kept.status == http.StatusOK {
				c, _ := ledger.ParseCheckpoint(n.Text)
				kept.body = change(c, kept.body)
			}
			out.Header().Set("Content-Type", kept.header.Get("Content-Type"))
			out.WriteHeader(kept.status)
			io.WriteString(out, kept.body)
		})
	}
}

type keptAnswer struct {
	header http.Header
	status int
	body   string
}

func (k *keptAnswer) Header() http.Header { return k.header }
func (k *keptAnswer) WriteHeader(n int)   { k.status = n }
func (k *keptAnswer) Write(b []byte) (int, error) {
	k.body += string(b)
	return len(b), nil
}

// slow lets a witness take its time.
func slow(pause time.Duration) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(pause):
				next.ServeHTTP(out, r)
			case <-r.Context().Done():
			}
		})
	}
}

// hanging lets no request be answered before ctx is done; begun gets one value when
// the first is there.
func hanging(ctx context.Context, begun chan<- struct{}) func(http.Handler) http.Handler {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			select {
			case begun <- struct{}{}:
			default:
			}
			select {
			case <-ctx.Done():
			case <-r.Context().Done():
			}
		})
	}
}
