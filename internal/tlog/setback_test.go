package tlog_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/badgerdb"
	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/internal/tlog"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// otherHistory appends n entries that Fill would have dated otherwise.
func otherHistory(t *testing.T, s *store.Store, n int) {
	t.Helper()
	for range n {
		g, err := s.Begin()
		if err == nil {
			_, err = g.Append(g.Last().Add(time.Second), testledger.Next(t, g))
		}
		if err == nil {
			err = g.Commit(nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// restored gives a log of 20 entries, and the copy of its directory that was made when
// there were 10.
func restored(t *testing.T) (log, copied *store.Store) {
	t.Helper()
	open := func(dir string) *store.Store {
		s, err := store.Open(store.Options{Dir: dir, Signer: testledger.Signer(t), MemTableBytes: badgerdb.MinMemTableBytes})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			testledger.Verify(t, s)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	}
	dir, older := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	opt := store.Options{Dir: dir, Signer: testledger.Signer(t), MemTableBytes: badgerdb.MinMemTableBytes}
	if err := store.Create(opt, "shop.example.com", testledger.Began); err != nil {
		t.Fatal(err)
	}
	first, err := store.Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	testledger.Fill(t, first, 9)
	if err := errors.Join(first.Close(), os.CopyFS(older, os.DirFS(dir))); err != nil {
		t.Fatal(err)
	}
	log, copied = open(dir), open(older)
	testledger.Fill(t, log, 10)
	return log, copied
}

// TestSetBack is the table of logs of which somebody has seen more, or other, than
// they hold: no witness is asked any more, and status says so.
func TestSetBack(t *testing.T) {
	for _, c := range []struct {
		name string
		more int // entries of the copy since
		want string
	}{
		{"an older copy", 0, "has signed 20 entries and holds 10"},
		{"an older copy that has gone on a little", 6, "has signed 20 entries and holds 16"},
		{"an older copy that has gone on as far", 10, "two histories of 20 entries"},
		{"an older copy that has gone on further", 20, "two histories of 20 entries"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a, b := newWitness(t, "a.example", nil), newWitness(t, "b.example", nil)
			policy := policyFor(t, a.lines+b.lines, "group two any a.example b.example", "two")
			log, copied := restored(t)
			k := collect(t, log, policyFor(t, a.lines, "", "a.example"))
			k.cosigned()
			otherHistory(t, copied, c.more)

			// As a witness finds it: a knows, b does not.
			r := collect(t, copied, policy)
			r.until("it is noticed, with the proof", func() bool {
				fault := r.c.Status().Fault
				return fault != nil && strings.Contains(fault.Error(), "proves it")
			})
			if fault := r.c.Status().Fault.Error(); !strings.Contains(fault, c.want) || !strings.Contains(fault, a.url()) || !strings.Contains(fault, "Bring back") {
				t.Errorf("the fault is %s", fault)
			}
			asked := a.asked.Load() + b.asked.Load()
			otherHistory(t, copied, 40)
			time.Sleep(5 * intervalOfTest)
			if again := a.asked.Load() + b.asked.Load(); again > asked+1 { // one may have been on its way
				t.Errorf("witnesses were asked %d times after that", again-asked)
			}

			// As the checkpoint that was kept shows it, before anybody is asked.
			asked = a.asked.Load() + b.asked.Load()
			kept, size := k.log.Checkpoint()
			if size != 20 {
				t.Fatalf("the log has a checkpoint of %d entries", size)
			}
			_, second := restored(t)
			otherHistory(t, second, c.more)
			file := t.TempDir() + "/kept"
			if err := os.WriteFile(file, kept, 0o644); err != nil {
				t.Fatal(err)
			}
			s := collect(t, second, policy, func(opt *tlog.CollectorOptions) { opt.File = file })
			time.Sleep(3 * intervalOfTest)
			if fault := s.c.Status().Fault; fault == nil || !strings.Contains(fault.Error(), c.want) {
				t.Errorf("the fault is %v", fault)
			}
			if _, size := s.log.Checkpoint(); size != 0 || a.asked.Load()+b.asked.Load() != asked {
				t.Errorf("a checkpoint of %d entries, or somebody was asked", size)
			}
		})
	}
}

// heard is what a collector has told of a log that was set back.
type heard struct {
	mu      sync.Mutex
	reasons []string // guarded by mu
}

func (h *heard) listen(opt *tlog.CollectorOptions) {
	opt.SetBack = func(reason string) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.reasons = append(h.reasons, reason)
	}
}

func (h *heard) all() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.reasons, "; ")
}

// noMonitors lets a witness answer logs alone, as one does whose checkpoints monitors
// find elsewhere.
func noMonitors(next http.Handler) http.Handler {
	return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			http.NotFound(out, r)
			return
		}
		next.ServeHTTP(out, r)
	})
}

// TestFirstAnswers is the table of what a log hears when it has just been started: of
// a copy that is older than what a witness has seen the bare word is enough, and it is
// known when the waiting ends.
func TestFirstAnswers(t *testing.T) {
	for _, c := range []struct {
		name   string
		older  bool // a copy of 10 entries is started; the witnesses have seen 20
		more   int  // entries that it has recorded since
		change func(http.Handler) http.Handler
		want   string // "" for nothing
		proof  bool
	}{
		{"the same", false, 0, nil, "", false},
		{"more", false, 5, nil, "", false},
		{"an older copy", true, 0, noMonitors, "it has cosigned 20 entries of this log, which holds 10", false},
		{"an older copy, and the proof", true, 0, nil, "the log has signed 20 entries and holds 10", true},
		{"an older copy that has gone on", true, 15, noMonitors, "it has cosigned another history of this log", false},
		{"an older copy that has gone on, and the proof", true, 15, nil, "the log has signed two histories of 20 entries", true},
		{"a lie", false, 0, answer(409, "text/x.tlog.size", "1000000\n"), "it has cosigned 1000000 entries of this log, which holds 20", false},
		{"another lie", false, 0, answer(422, "text/plain", "no\n"), "it has cosigned another history of this log", false},
		{"a witness that has forgotten", false, 0, answer(404, "text/plain", "no\n"), "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a, b := newWitness(t, "a.example", nil), newWitness(t, "b.example", nil)
			policy := policyFor(t, a.lines+b.lines, "group two any a.example b.example", "two")
			log, copied := restored(t)
			first := collect(t, log, policyFor(t, a.lines+b.lines, "", "a.example b.example"))
			first.cosigned()
			first.stop()
			a.stop()
			a.restart(c.change)
			s := log
			if c.older {
				s = copied
			}
			otherHistory(t, s, c.more)
			_, size := s.Checkpoint()
			b.stop()
			var told heard
			k := collect(t, s, policy, told.listen)
			k.c.FirstAnswers(time.Hour)
			if c.want == "" {
				if told.all() != "" || k.c.Status().Fault != nil {
					t.Errorf("told %q", told.all())
				}
				if st := k.c.Status().Witnesses; st[0].Why == "" && st[0].Size != size || st[1].Why != tlog.WhyUnreachable {
					t.Errorf("the waiting ended with %+v", st)
				}
				return
			}
			if told.all() == "" || k.c.Status().Fault == nil {
				t.Fatalf("the waiting ended, and nothing was told; the status is %+v", k.c.Status())
			}
			k.until("it is said what is wrong", func() bool { return strings.Contains(told.all(), c.want) })
			if c.proof != strings.Contains(told.all(), "proves it") || !strings.Contains(told.all(), a.url()) {
				t.Errorf("told %q", told.all())
			}
			if fault := k.c.Status().Fault.Error(); !strings.Contains(fault, c.want) || !strings.Contains(fault, "Bring back the newest copy") {
				t.Errorf("the fault is %s", fault)
			}
			k.stop() // closing waits for who is being asked
			asked := a.asked.Load()
			k.begin()
			k.c.FirstAnswers(time.Hour)
			if again := a.asked.Load() - asked; told.all() == "" || again < 1 || again > 2 { // the second with the size that it said
				t.Errorf("after a start it was asked %d times", again)
			}
		})
	}
}

// TestFirstAnswerComesLate: the waiting ends without an answer, and the first one
// counts whenever it comes.
func TestFirstAnswerComesLate(t *testing.T) {
	a := newWitness(t, "a.example", nil)
	policy := policyFor(t, a.lines, "", "a.example")
	log, s := restored(t)
	first := collect(t, log, policy)
	first.cosigned()
	first.stop()
	a.stop()
	release := make(chan struct{})
	a.restart(func(next http.Handler) http.Handler {
		return noMonitors(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
			select {
			case <-release:
				next.ServeHTTP(out, r)
			case <-r.Context().Done():
			}
		}))
	})
	var told heard
	k := collect(t, s, policy, told.listen)
	k.c.FirstAnswers(time.Millisecond)
	if told.all() != "" || k.c.Status().Fault != nil {
		t.Fatalf("told %q before there was an answer", told.all())
	}
	close(release)
	k.until("it is told", func() bool { return told.all() != "" })
}

// TestKnownBeforeAnybodyIsAsked: a checkpoint that was kept is enough.
func TestKnownBeforeAnybodyIsAsked(t *testing.T) {
	a := newWitness(t, "a.example", nil)
	policy := policyFor(t, a.lines, "", "a.example")
	log, s := restored(t)
	first := collect(t, log, policy)
	first.cosigned()
	first.stop()
	asked := a.asked.Load()
	var told heard
	k := collect(t, s, policy, told.listen, func(opt *tlog.CollectorOptions) { opt.File = first.opt.File })
	k.c.FirstAnswers(time.Hour)
	if want := "the checkpoint in cosigned.checkpoint proves it: the log has signed 20 entries and holds 10"; told.all() != want {
		t.Errorf("told %q, want %q", told.all(), want)
	}
	if a.asked.Load() != asked {
		t.Error("the witness was asked")
	}
}

// TestFalseProof is the table of what a witness that has agreed once may show, when it
// says that it is ahead or that the history is another, without being believed: the
// log goes on with others.
func TestFalseProof(t *testing.T) {
	own := testledger.Signer(t)
	stranger, err := ledger.NewSigner(testledger.Origin, [32]byte{3}, [32]byte{4})
	if err != nil {
		t.Fatal(err)
	}
	sign := func(s *ledger.Signer, size ledger.Size) *ledger.SignedNote {
		signed, err := s.SignCheckpoint(ledger.Checkpoint{Origin: s.Origin(), Size: size, Root: ledger.Hash{1}}, 1_790_000_000)
		if err != nil {
			t.Fatal(err)
		}
		n, err := ledger.ParseSignedNote(signed)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	half := func(i int) *ledger.SignedNote {
		n := sign(own, 1000)
		n.Lines = n.Lines[i : i+1]
		return n
	}
	other, err := ledger.NewSigner("other.example", [32]byte{3}, [32]byte{4})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		shown func(k *collecting) []byte
	}{
		{"nothing", func(*collecting) []byte { return nil }},
		{"no checkpoint", func(*collecting) []byte { return []byte("x\n\n— a b\n") }},
		{"signed by others", func(*collecting) []byte { return sign(stranger, 1000).Bytes() }},
		{"signed with Ed25519 alone", func(*collecting) []byte { return half(0).Bytes() }},
		{"signed with ML-DSA-44 alone", func(*collecting) []byte { return half(1).Bytes() }},
		{"another log's", func(*collecting) []byte { return sign(other, 1000).Bytes() }},
		{"the log's own newest", func(k *collecting) []byte { signed, _ := k.store.Checkpoint(); return signed }},
		{"an older one of the log", func(k *collecting) []byte {
			r, _, err := k.store.Receipt(0, 5)
			if err != nil {
				t.Error(err)
				return nil
			}
			return r.Checkpoint
		}},
	} {
		for _, says := range []struct {
			status               int
			mediaType, body, why string
		}{{409, "text/x.tlog.size", "1000\n", tlog.WhyAhead}, {422, "text/plain", "no\n", tlog.WhyInconsistent}} {
			t.Run(fmt.Sprint(c.name, " ", says.status), func(t *testing.T) {
				t.Parallel()
				shown := make(chan struct{}, 1)
				var k *collecting // set before the witness lies
				bad := turning(t, "bad.example", answer(says.status, says.mediaType, says.body)(nil), func(out http.ResponseWriter) {
					out.Write(c.shown(k))
					select {
					case shown <- struct{}{}:
					default:
					}
				})
				good := newWitness(t, "good.example", nil)
				var told heard
				k = newCollecting(t, 10, policyFor(t, bad.lines+good.lines, "group two any bad.example good.example", "two"), told.listen)
				bad.turn(k)
				<-shown
				k.fails(0, says.why)
				testledger.Fill(t, k.store, 1)
				k.cosigned()
				if fault := k.c.Status().Fault; fault != nil || told.all() != "" {
					t.Errorf("believed: %v; told %q", fault, told.all())
				}
			})
		}
	}
	// The same witness, when what it shows is signed by the log.
	w := turning(t, "true.example", answer(409, "text/x.tlog.size", "1000\n")(nil), func(out http.ResponseWriter) { out.Write(sign(own, 1000).Bytes()) })
	var told heard
	k := newCollecting(t, 10, policyFor(t, w.lines, "", "true.example"), told.listen)
	w.turn(k)
	k.until("it is believed", func() bool { return told.all() != "" })
	if fault := k.c.Status().Fault; fault == nil || !strings.Contains(told.all(), "proves it: the log has signed 1000 entries and holds 11") {
		t.Errorf("told %q, the fault is %v", told.all(), fault)
	}
}

// turningWitness is a real witness that answers otherwise from some moment on.
type turningWitness struct {
	*testWitness
	turned atomic.Bool
	change func(http.Handler) http.Handler
}

// turning makes one; refuse answers logs then, and show monitors.
func turning(t *testing.T, name string, refuse http.Handler, show func(http.ResponseWriter)) *turningWitness {
	w := new(turningWitness)
	w.change = func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
			switch {
			case !w.turned.Load():
				next.ServeHTTP(out, r)
			case r.Method == http.MethodPost:
				refuse.ServeHTTP(out, r)
			default:
				show(out)
			}
		})
	}
	w.testWitness = newWitness(t, name, w.change)
	return w
}

// turn waits until the witness, the first of the policy, has agreed with the log, lets
// it lie from then on, and gives the log an entry to ask it for.
func (w *turningWitness) turn(k *collecting) {
	w.Helper()
	k.until("the witness agrees", func() bool { return !k.c.Status().Witnesses[0].LastSuccess.IsZero() })
	w.turned.Store(true)
	testledger.Fill(w, k.store, 1)
}
