package tlog_test

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/internal/tlog"
	"github.com/consentledger/consentledger/ledger"
)

// TestCosigned brings a growing log to two witnesses, both of whom are demanded.
func TestCosigned(t *testing.T) {
	a, b := newWitness(t, "a.example", nil), newWitness(t, "b.example/dpo", nil)
	k := newCollecting(t, 10, policyFor(t, a.lines+b.lines, "", "a.example b.example/dpo"))
	want := []string{"a.example/ed25519", "a.example/ml-dsa-44", "b.example/dpo/ed25519", "b.example/dpo/ml-dsa-44", "self-pq"}
	for _, n := range []int{0, 1, 300, 7} {
		testledger.Fill(t, k.store, n)
		if got := k.cosigned(); !slices.Equal(got.Witnesses, want) {
			t.Fatalf("signed by %q, want %q", got.Witnesses, want)
		}
	}
	signed, size := k.log.Checkpoint()
	if rsp, body := serve(t, k.log, slog.New(slog.DiscardHandler)).do("GET", "/log/checkpoint"); rsp.StatusCode != 200 || string(body) != string(signed) {
		t.Errorf("/log/checkpoint is %d\n%s", rsp.StatusCode, body)
	}
	for _, s := range k.c.Status().Witnesses {
		if s.Why != "" || s.Failures != 0 || s.Size != size || time.Since(s.LastSuccess) > time.Minute || len(s.Names) != 2 {
			t.Errorf("status %+v", s)
		}
	}
	// A log that stands still is left alone, and each checkpoint was asked for once;
	// the first request of a collector may be told a size.
	before := a.asked.Load()
	time.Sleep(5 * intervalOfTest)
	if after := a.asked.Load(); after != before || after > 5 {
		t.Errorf("asked %d times, and then %d", before, after)
	}
}

// TestReceipts shows what a receipt is worth under a policy that demands a witness:
// given at once it cannot be told, fetched again it verifies.
func TestReceipts(t *testing.T) {
	a := newWitness(t, "a.example", nil)
	k := newCollecting(t, 10, policyFor(t, a.lines, "", "a.example"))
	a.stop()
	testledger.Fill(t, k.store, 1)
	_, size := k.store.Checkpoint()
	index := ledger.Index(size - 1)
	pages, err := k.store.EntryPage(index, 1)
	if err != nil {
		t.Fatal(err)
	}
	verify := func(r *ledger.Receipt, _ ledger.Hash, err error) error {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		_, err = ledger.VerifyReceipt(r.Text(), pages[0], k.policy, nil)
		return err
	}
	if err := verify(k.log.Receipt(index, size)); !errors.Is(err, ledger.ErrPolicy) || ledger.VerdictOf(err) != ledger.CannotTell ||
		!strings.Contains(err.Error(), "fetch the receipt again when the witnesses have signed") {
		t.Errorf("given at once: %v", err)
	}
	a.restart(nil)
	k.cosigned()
	if err := verify(k.log.Receipt(index, size)); err != nil {
		t.Error(err)
	}
	// Whoever was told this size a moment ago still gets it cosigned.
	for range 5 {
		testledger.Fill(t, k.store, 1)
		k.cosigned()
	}
	if err := verify(k.log.Receipt(index, size)); err != nil {
		t.Errorf("of a size before the newest: %v", err)
	}
}

// TestNothingBeforeTheFirst: a log that demands witnesses has no checkpoint without
// them, and says so.
func TestNothingBeforeTheFirst(t *testing.T) {
	a := newWitness(t, "a.example", nil)
	a.stop()
	k := newCollecting(t, 10, policyFor(t, a.lines, "", "a.example"))
	k.fails(0, tlog.WhyUnreachable)
	rsp, body := serve(t, k.log, slog.New(slog.DiscardHandler)).do("GET", "/log/checkpoint")
	if rsp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "quorum of witnesses") || rsp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %s", rsp.StatusCode, body)
	}
	if _, size := k.log.Checkpoint(); size != 0 || k.c.Status().Size != 0 {
		t.Errorf("a checkpoint of %d entries", size)
	}
	a.restart(nil)
	k.cosigned()
}

// TestBadWitness is the table of witnesses that do not do what they should. Beside a
// good one, where one of two is enough, none of them keeps the log from being
// cosigned; alone, none of them has a checkpoint published.
func TestBadWitness(t *testing.T) {
	stranger, err := ledger.NewCosigner("stranger.example", [32]byte{1}, [32]byte{2})
	if err != nil {
		t.Fatal(err)
	}
	strangers := func(c ledger.Checkpoint) string {
		lines, err := stranger.Cosign(c, time.Now().Unix())
		if err != nil {
			t.Error(err)
		}
		return lines[0].String() + "\n" + lines[1].String() + "\n"
	}
	last := func(lines string) string { return lines[strings.Index(lines, "\n")+1:] }
	for _, bad := range []struct {
		name   string
		change func(http.Handler) http.Handler
		why    string
	}{
		{"hangs", hanging(t.Context(), make(chan struct{})), tlog.WhyTimeout},
		{"does not know the log", answer(404, "text/plain", "no\n"), tlog.WhyRefused},
		{"has stopped", answer(503, "text/plain", "no\n"), tlog.WhyRefused},
		{"sends us elsewhere", func(next http.Handler) http.Handler {
			mux := http.NewServeMux()
			mux.Handle("/elsewhere/", http.StripPrefix("/elsewhere", next))
			mux.Handle("/", http.RedirectHandler("/elsewhere/add-checkpoint", http.StatusTemporaryRedirect))
			return mux
		}, tlog.WhyRefused},
		{"says it has what we said", answer(409, "text/x.tlog.size", "0\n"), tlog.WhyBadAnswer},
		{"a conflict without a size", answer(409, "text/x.tlog.size", "7"), tlog.WhyBadAnswer},
		{"a conflict of another type", answer(409, "text/plain", "7\n"), tlog.WhyBadAnswer},
		{"a negative size", answer(409, "text/x.tlog.size", "-1\n"), tlog.WhyBadAnswer},
		{"a size in another spelling", answer(409, "text/x.tlog.size", "07\n"), tlog.WhyBadAnswer},
		{"nothing", answer(200, "text/plain", ""), tlog.WhyBadAnswer},
		{"a page", answer(200, "text/html", "<html>\n"), tlog.WhyBadAnswer},
		{"a page without end", answer(200, "text/html", strings.Repeat("—", 100_000)), tlog.WhyBadAnswer},
		{"another text and lines", rewriting(func(_ ledger.Checkpoint, lines string) string { return "x\n\n" + lines }), tlog.WhyBadAnswer},
		{"an unknown key", rewriting(func(c ledger.Checkpoint, _ string) string { return strangers(c) }), tlog.WhyIncomplete},
		{"stripped of ML-DSA-44", rewriting(func(_ ledger.Checkpoint, lines string) string { return strings.TrimSuffix(lines, last(lines)) }), tlog.WhyIncomplete},
		{"stripped of Ed25519", rewriting(func(_ ledger.Checkpoint, lines string) string { return last(lines) }), tlog.WhyIncomplete},
		{"a line twice", rewriting(func(_ ledger.Checkpoint, lines string) string { return lines + last(lines) }), tlog.WhyBadAnswer},
		{"a bit flipped in ML-DSA-44", rewriting(func(_ ledger.Checkpoint, lines string) string { return flip(t, lines, 1, 100) }), tlog.WhyBadSignature},
		{"a bit flipped in Ed25519", rewriting(func(_ ledger.Checkpoint, lines string) string { return flip(t, lines, 0, 20) }), tlog.WhyBadSignature},
		{"another time", rewriting(func(_ ledger.Checkpoint, lines string) string { return flip(t, lines, 0, 7) }), tlog.WhyBadSignature},
	} {
		t.Run(bad.name, func(t *testing.T) {
			t.Parallel()
			b, good := newWitness(t, "bad.example", bad.change), newWitness(t, "good.example", nil)
			quick := func(opt *tlog.CollectorOptions) { opt.Timeout = 300 * time.Millisecond }
			k := newCollecting(t, 10, policyFor(t, b.lines+good.lines, "group two any bad.example good.example", "two"), quick)
			for range 3 {
				got := k.cosigned()
				if slices.Contains(got.Witnesses, "bad.example/ed25519") && slices.Contains(got.Witnesses, "bad.example/ml-dsa-44") {
					t.Errorf("signed by %q", got.Witnesses)
				}
				testledger.Fill(t, k.store, 1)
			}
			k.fails(0, bad.why)
			s := k.c.Status()
			if s.Fault != nil || s.Witnesses[0].LastSuccess != (time.Time{}) {
				t.Errorf("status %+v", s)
			}
			other := newWitness(t, "other.example", bad.change)
			alone := newCollecting(t, 10, policyFor(t, other.lines, "", "other.example"), quick)
			alone.fails(0, bad.why)
			if _, size := alone.log.Checkpoint(); size != 0 {
				t.Errorf("a checkpoint of %d entries without the quorum", size)
			}
		})
	}
}

// flip changes one bit in the signature of one of two lines.
func flip(t *testing.T, lines string, line, at int) string {
	n, err := ledger.ParseSignedNote([]byte("x\n\n" + lines))
	if err != nil {
		t.Error(err)
		return lines
	}
	n.Lines[line].Signature[at] ^= 1
	return n.Lines[0].String() + "\n" + n.Lines[1].String() + "\n"
}

// TestLyingWitness signs other things than it was asked, soundly, with the key that
// the policy has.
func TestLyingWitness(t *testing.T) {
	private := ed25519.NewKeyFromSeed([]byte(strings.Repeat("s", 32)))
	key := ledger.VerifierKey{Name: "liar.example", Type: ledger.KeyTypeCosignatureEd25519, Key: private.Public().(ed25519.PublicKey)}
	sign := func(c ledger.Checkpoint, stamp uint64) string {
		signature := ed25519.Sign(private, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", stamp, c.Text()))
		return ledger.SignatureLine{Name: key.Name, KeyID: key.ID(), Signature: append(binary.BigEndian.AppendUint64(nil, stamp), signature...)}.String() + "\n"
	}
	now := uint64(time.Now().Unix())
	for _, lie := range []struct {
		name string
		say  func(ledger.Checkpoint) string
		why  string
	}{
		{"the truth", func(c ledger.Checkpoint) string { return sign(c, now) }, ""},
		{"the truth, and a stranger's line", func(c ledger.Checkpoint) string {
			return sign(c, now) + ledger.SignatureLine{Name: "x.example", KeyID: 7, Signature: []byte{1}}.String() + "\n"
		}, ""},
		{"another root", func(c ledger.Checkpoint) string { c.Root[0] ^= 1; return sign(c, now) }, tlog.WhyBadSignature},
		{"another size", func(c ledger.Checkpoint) string { c.Size++; return sign(c, now) }, tlog.WhyBadSignature},
		{"another log", func(c ledger.Checkpoint) string { c.Origin += "x"; return sign(c, now) }, tlog.WhyBadSignature},
		{"a time four minutes ahead", func(c ledger.Checkpoint) string { return sign(c, uint64(time.Now().Add(4*time.Minute).Unix())) }, ""},
		{"a time six minutes ahead", func(c ledger.Checkpoint) string { return sign(c, uint64(time.Now().Add(6*time.Minute).Unix())) }, tlog.WhyBadTime},
		{"a time four minutes ago", func(c ledger.Checkpoint) string { return sign(c, now-4*60) }, ""},
		{"a time long before the entries", func(c ledger.Checkpoint) string { return sign(c, 1_000_000_000) }, tlog.WhyBadTime},
		{"time 0", func(c ledger.Checkpoint) string { return sign(c, 0) }, tlog.WhyBadSignature},
		{"a time beyond 2^63-1", func(c ledger.Checkpoint) string { return sign(c, 1<<63) }, tlog.WhyBadSignature},
	} {
		t.Run(lie.name, func(t *testing.T) {
			t.Parallel()
			w := newWitness(t, "host.example", rewriting(func(c ledger.Checkpoint, _ string) string { return lie.say(c) }))
			k := newCollecting(t, 10, policyFor(t, "witness liar "+key.String()+" "+w.url()+"/\n", "", "liar"))
			if lie.why == "" {
				if got := k.cosigned(); len(got.Unchecked) > 0 {
					t.Errorf("the checkpoint has strangers' lines: %q", got.Unchecked)
				}
				return
			}
			k.fails(0, lie.why)
			if _, size := k.log.Checkpoint(); size != 0 {
				t.Errorf("a checkpoint of %d entries", size)
			}
		})
	}
}

// TestRestarts stops and starts either side, which changes nothing for readers.
func TestRestarts(t *testing.T) {
	a := newWitness(t, "a.example", nil)
	k := newCollecting(t, 10, policyFor(t, a.lines, "", "a.example"))
	k.cosigned()
	a.stop()
	testledger.Fill(t, k.store, 5)
	k.fails(0, tlog.WhyUnreachable)
	if _, size := k.log.Checkpoint(); size != 10 {
		t.Errorf("a checkpoint of %d entries, want the 10 that were cosigned", size)
	}
	a.restart(nil)
	k.cosigned()

	// Ours: what was cosigned is there at once, and the witness tells its size.
	if err := k.c.Close(); err != nil {
		t.Fatal(err)
	}
	testledger.Fill(t, k.store, 5)
	a.stop()
	k.begin()
	if _, size := k.log.Checkpoint(); size != 15 {
		t.Errorf("after a start a checkpoint of %d entries, want the 15 that were cosigned", size)
	}
	a.restart(nil)
	if k.cosigned(); k.c.Status().Witnesses[0].Size != 20 {
		t.Errorf("status %+v", k.c.Status())
	}
	// And with a file that is damaged or gone.
	for _, content := range []string{"", "x", "a\n1\nb\n\n— c d\n"} {
		if err := k.c.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(k.opt.File, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		k.begin()
		k.cosigned()
	}
}

// TestQuorumOfGroups: two of three machines, and in any case the one outside.
func TestQuorumOfGroups(t *testing.T) {
	var lines string
	var all [4]*testWitness
	for i := range all {
		all[i] = newWitness(t, fmt.Sprintf("w%d.example", i), nil)
		lines += all[i].lines
	}
	k := newCollecting(t, 10, policyFor(t, lines, "group inside 2 w0.example w1.example w2.example\ngroup both all inside w3.example", "both"))
	k.cosigned()
	all[1].stop()
	testledger.Fill(t, k.store, 1)
	if got := k.cosigned().Witnesses; slices.Contains(got, "w1.example/ed25519") {
		t.Errorf("signed by %q", got)
	}
	all[3].stop()
	testledger.Fill(t, k.store, 1)
	k.fails(3, tlog.WhyUnreachable)
	if _, size := k.log.Checkpoint(); size != 11 {
		t.Errorf("a checkpoint of %d entries without w3", size)
	}
	all[3].restart(nil)
	k.cosigned()
	all[0].stop()
	testledger.Fill(t, k.store, 1)
	k.fails(0, tlog.WhyUnreachable)
	if _, size := k.log.Checkpoint(); size != 12 {
		t.Errorf("a checkpoint of %d entries with one of three", size)
	}
	all[1].restart(nil)
	k.cosigned()
}

// TestSlowWitnessesMeet: two witnesses, each slower than the publish interval and
// out of step, still sign the same checkpoints of a log that never rests.
func TestSlowWitnessesMeet(t *testing.T) {
	a, b := newWitness(t, "a.example", slow(130*time.Millisecond)), newWitness(t, "b.example", slow(210*time.Millisecond))
	k := newCollecting(t, 10, policyFor(t, a.lines+b.lines, "", "a.example b.example"))
	sizes := map[ledger.Size]bool{}
	k.until("twelve checkpoints are cosigned", func() bool {
		testledger.Fill(t, k.store, 1)
		if _, size := k.log.Checkpoint(); size > 0 {
			sizes[size] = true
		}
		return len(sizes) >= 12
	})
	// Each answer of the slower one completes a checkpoint: besides those there is the
	// request that was told a size, and one on its way.
	if asked := b.asked.Load(); asked > 16 {
		t.Errorf("the slower one was asked %d times for 12 checkpoints", asked)
	}
}

// TestWitnessesNotDemanded: a policy may name witnesses without demanding them. Then
// no checkpoint waits for them, and their lines are added when they come.
func TestWitnessesNotDemanded(t *testing.T) {
	a := newWitness(t, "a.example", nil)
	a.stop()
	k := newCollecting(t, 10, policyFor(t, a.lines, "", ""))
	k.fails(0, tlog.WhyUnreachable)
	if got := k.cosigned(); len(got.Witnesses) != 1 {
		t.Errorf("signed by %q", got.Witnesses)
	}
	a.restart(nil)
	k.until("the witness's lines are there", func() bool { return len(k.cosigned().Witnesses) == 3 })
}

// TestRecordingWaitsForNobody appends while every witness has a request that it does
// not answer: not one commit waits for it.
func TestRecordingWaitsForNobody(t *testing.T) {
	hang, release := context.WithCancel(t.Context())
	defer release()
	begun := make(chan struct{}, 1)
	a := newWitness(t, "a.example", hanging(hang, begun))
	k := newCollecting(t, 10, policyFor(t, a.lines, "", "a.example"))
	<-begun
	for range 100 {
		testledger.Fill(t, k.store, 1)
	}
	if _, size := k.store.Checkpoint(); size != 110 {
		t.Errorf("the log has %d entries", size)
	}
	if _, size := k.log.Checkpoint(); size != 0 || a.asked.Load() != 1 {
		t.Errorf("%d entries are cosigned, after %d requests; the first should still hang", size, a.asked.Load())
	}
	// Nor does closing.
	before := time.Now()
	if err := k.c.Close(); err != nil || time.Since(before) > 5*time.Second {
		t.Errorf("closing took %v: %v", time.Since(before), err)
	}
}

func TestCollectorRefuses(t *testing.T) {
	s := testledger.New(t)
	w, err := ledger.NewCosigner("w.example", [32]byte{1}, [32]byte{2})
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := ledger.NewSigner(testledger.Origin, [32]byte{3}, [32]byte{4})
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := ledger.ParsePolicy(ledger.NewPolicy(stranger.Keys()))
	if err != nil {
		t.Fatal(err)
	}
	at := func(url string) *ledger.Policy {
		return policyFor(t, string(w.Keys().PolicyLines(url)), "", "w.example")
	}
	crowd, group := "", "group crowd any"
	for i := range tlog.MaxWitnessKeys/2 + 1 {
		c, err := ledger.NewCosigner(fmt.Sprintf("w%d.example", i), [32]byte{byte(i), 1}, [32]byte{byte(i), 2})
		if err != nil {
			t.Fatal(err)
		}
		crowd += string(c.Keys().PolicyLines("https://w.example"))
		group += " " + c.Name()
	}
	for _, c := range []struct {
		name     string
		policy   *ledger.Policy
		interval time.Duration
		want     string
	}{
		{"no witness", policyFor(t, "", "", ""), 0, "no witness with a URL"},
		{"no URL", at(""), 0, "no witness with a URL"},
		{"a quorum that nobody reaches", policyFor(t, string(w.Keys().PolicyLines(""))+
			"witness near "+ledger.VerifierKey{Name: "n.example", Type: ledger.KeyTypeCosignatureEd25519, Key: make([]byte, 32)}.String()+" https://n.example\n",
			"", "w.example near"), 0, "cannot be reached"},
		{"no http", at("ftp://w.example"), 0, "not an http or https URL"},
		{"no host", at("https:w.example"), 0, "not an http or https URL"},
		{"a password", at("https://me:secret@w.example"), 0, "holds a user name or a password"},
		{"a query", at("https://w.example?x"), 0, "has a query or a fragment"},
		{"another log", foreign, 0, "not one of this log"},
		{"too many", policyFor(t, crowd, group, "crowd"), 0, "a checkpoint has room for 16"},
		{"too often", at("https://w.example"), time.Millisecond, "must be 50ms to 1h"},
		{"too rarely", at("https://w.example"), 2 * time.Hour, "must be 50ms to 1h"},
	} {
		started, err := tlog.StartCollector(tlog.CollectorOptions{Log: s, Policy: c.policy, File: t.TempDir() + "/kept", Interval: c.interval,
			Logger: slog.New(slog.DiscardHandler)})
		if err == nil {
			started.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
