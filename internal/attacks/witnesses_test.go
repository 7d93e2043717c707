package attacks

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// witnesses do not do what they should, beside a good one of whom one is enough; each
// is tried against a ledger that serves.
var witnesses = []attack{
	{by: "a witness", does: "signs another root, another size, another log, or with another key",
		not: "the ledger, which counts no line that does not verify", ends: "its status is bad_signature, what others cosign is published", try: falseSignature},
	{by: "a witness", does: "dates its signature ahead, or before what it signs",
		not: "the ledger", ends: "its status is bad_time, what others cosign is published", try: datedWrongly},
	{by: "a witness", does: "and the operator date its signature back",
		not: "whoever demands two, and compares the times in the report", ends: "`verify log` 0",
		fools: "whoever takes the time from that witness alone", try: datedBack},
	{by: "a witness", does: "signs with one of its two keys",
		not: "whoever demands the witness", ends: "its status is incomplete, what others cosign is published", try: halfSigned},
	{by: "a witness", does: "answers with a page, or without end",
		not: "the ledger", ends: "its status is bad_answer, what others cosign is published", try: noSense},
	{by: "a witness", does: "says, after it has cosigned, that it holds more, or another history",
		not: "the ledger, which asks for the proof", ends: "its status is ahead, what others cosign is published, recording goes on, its status is inconsistent", try: aheadLater},
	{by: "a witness", does: "says at the start, without a proof, that it holds more, or another history",
		not:  "readers; what was published stays",
		ends: "it records nothing", fools: "the ledger, until the operator takes the witness out of the policy", try: aheadAtStart},
	{by: "a witness", does: "is dead", not: "the ledger",
		ends: "its status is unreachable, what others cosign is published, recording goes on", try: dead},
	{by: "a witness", does: "takes for ever to answer", not: "the ledger",
		ends: "its status is timeout, what others cosign is published, recording goes on", try: hanging},
	{by: "a witness", does: "sends the ledger elsewhere", not: "the ledger, which follows nobody",
		ends: "its status is refused, what others cosign is published", try: elsewhere},
}

// between stands between a witness and the ledger.
type between = func(http.Handler) http.Handler

// beside has a ledger cosigned by a witness that does this or by a good one, and by
// that witness alone: with the good one everything is published, with the other one
// nothing. The status of the bad one is taken down.
func (t *trial) beside(want string, change between) *testLedger {
	t.Helper()
	l := t.ledger()
	bad, good := t.witness("bad.example", l.keys(), change), t.witness("good.example", l.keys())
	lines := bad.lines + good.lines
	any := t.policy(l.keys(), lines+"group two any bad.example good.example\n", "two")
	alone := t.policy(l.keys(), bad.lines, bad.name)
	l.serve("--witness-policy", any)
	l.record(3, http.StatusOK)
	l.fails(want)
	l.cosigned()
	t.sound("log", l.url+"/log", "--policy", any)
	if code, out := t.verdict("log", l.url+"/log", "--policy", alone); code != 2 || !strings.Contains(out, "is not reached") {
		t.Fatalf("the bad witness counts: %d\n%s", code, out)
	}
	t.ends("what others cosign is published")
	return l
}

// fails waits until the first witness has failed for a reason.
func (l *testLedger) fails(why string) {
	l.Helper()
	l.until("the witness fails: "+why, func(s *status) bool { return s.Witnesses[0].Error == why })
	l.ends("its status is " + why)
}

// saying lets a witness answer something else than it would, signed or not.
func saying(t *trial, say func(asked ledger.Checkpoint, lines []ledger.SignatureLine) string) between {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			kept := httptest.NewRecorder()
			next.ServeHTTP(kept, r)
			answer := kept.Body.String()
			if _, n, err := ledger.ParseAddCheckpoint(body); err == nil && kept.Code == http.StatusOK {
				c, err1 := ledger.ParseCheckpoint(n.Text)
				signed, err2 := ledger.ParseSignedNote([]byte(n.Text + "\n" + answer))
				if err1 != nil || err2 != nil {
					t.Errorf("what the real witness signs: %v, %v", err1, err2)
					return
				}
				answer = say(c, signed.Lines)
			}
			out.Header().Set("Content-Type", kept.Header().Get("Content-Type"))
			out.WriteHeader(kept.Code)
			io.WriteString(out, answer)
		})
	}
}

// answering answers everything in the same way.
func answering(code int, mediaType, body string) between {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
			out.Header().Set("Content-Type", mediaType)
			out.WriteHeader(code)
			io.WriteString(out, body)
		})
	}
}

// once lets somebody lie from the moment at which lies is set.
func once(lies *atomic.Bool, lie between) between {
	return func(next http.Handler) http.Handler {
		changed := lie(next)
		return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
			if lies.Load() {
				changed.ServeHTTP(out, r)
			} else {
				next.ServeHTTP(out, r)
			}
		})
	}
}

func text(lines ...ledger.SignatureLine) string {
	var b strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&b, "%s\n", l)
	}
	return b.String()
}

// signing gives the lines that the keys of a witness sign over another checkpoint or
// with another time. The witness of these rows has keys that the test knows.
func (t *trial) signing(by *ledger.Cosigner, c ledger.Checkpoint, at time.Time) string {
	lines, err := by.Cosign(c, at.Unix())
	if err != nil {
		t.Error(err)
	}
	return text(lines...)
}

// liar has a ledger cosigned by a witness that answers what say gives, or by a good one.
func (t *trial) liar(want string, say func(by *ledger.Cosigner, asked ledger.Checkpoint) string) {
	t.Helper()
	l, by := t.ledger(), t.cosigner("bad.example")
	srv := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if _, n, err2 := ledger.ParseAddCheckpoint(body); err == nil && err2 == nil {
			if c, err := ledger.ParseCheckpoint(n.Text); err == nil {
				io.WriteString(out, say(by, c))
				return
			}
		}
		out.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(srv.Close)
	good := t.witness("good.example", l.keys())
	lines := string(by.Keys().PolicyLines(srv.URL)) + good.lines
	any := t.policy(l.keys(), lines+"group two any bad.example good.example\n", "two")
	l.serve("--witness-policy", any)
	l.record(3, http.StatusOK)
	l.fails(want)
	l.cosigned()
	t.sound("log", l.url+"/log", "--policy", any)
	alone := t.policy(l.keys(), lines, by.Name())
	if code, out := t.verdict("log", l.url+"/log", "--policy", alone); code != 2 || !strings.Contains(out, "is not reached") {
		t.Fatalf("the bad witness counts: %d\n%s", code, out)
	}
	t.ends("what others cosign is published")
	l.stop()
}

func falseSignature(t *trial) {
	for _, lie := range []func(by *ledger.Cosigner, c ledger.Checkpoint) string{
		func(by *ledger.Cosigner, c ledger.Checkpoint) string {
			c.Root[0] ^= 1
			return t.signing(by, c, time.Now())
		},
		func(by *ledger.Cosigner, c ledger.Checkpoint) string { c.Size++; return t.signing(by, c, time.Now()) },
		func(by *ledger.Cosigner, c ledger.Checkpoint) string {
			c.Origin += "x"
			return t.signing(by, c, time.Now())
		},
		func(by *ledger.Cosigner, c ledger.Checkpoint) string {
			other, own := t.cosignerOf(by.Name(), "other"), by.Keys()
			lines, err := other.Cosign(c, time.Now().Unix())
			if err != nil {
				t.Error(err)
				return ""
			}
			lines[0].KeyID, lines[1].KeyID = own.Ed25519.ID(), own.MLDSA44.ID()
			return text(lines...)
		},
	} {
		t.liar("bad_signature", lie)
	}
}

func datedWrongly(t *trial) {
	for _, away := range []time.Duration{6 * time.Minute, -24 * time.Hour} {
		t.liar("bad_time", func(by *ledger.Cosigner, c ledger.Checkpoint) string {
			return t.signing(by, c, time.Now().Add(away))
		})
	}
}

func datedBack(t *trial) {
	log, liar, honest := t.paper(60), t.cosigner("liar.example"), t.cosigner("honest.example")
	lines := string(liar.Keys().PolicyLines("")) + string(honest.Keys().PolicyLines(""))
	policy := t.policy(log.signer.Keys(), lines, liar.Name(), honest.Name())
	dir := log.export()
	long, now := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	t.change(dir, "checkpoint", func(b []byte) []byte { return t.cosign(t.cosign(b, liar, long), honest, now) })
	out := t.verify(0, "", "log", dir, "--policy", policy, "--json")
	for _, want := range []string{`"2001-01-01T00:00:00Z"`, `"2026-11-22T09:00:00Z"`} {
		if !strings.Contains(out, want) {
			t.Errorf("the report does not name the time %s\n%s", want, out)
		}
	}
	t.fools("log", dir, "--policy", t.policy(log.signer.Keys(), lines, liar.Name()))
}

func halfSigned(t *trial) {
	for i := range 2 {
		l := t.beside("incomplete", saying(t, func(_ ledger.Checkpoint, lines []ledger.SignatureLine) string { return text(lines[i]) }))
		l.stop()
	}
}

func noSense(t *trial) {
	for _, answer := range []between{
		answering(200, "text/html", "<html>\n"),
		answering(200, "text/plain", strings.Repeat("—", 1_000_000)),
		answering(409, "text/x.tlog.size", "07\n"),
		saying(t, func(_ ledger.Checkpoint, lines []ledger.SignatureLine) string { return "x\n\n" + text(lines...) }),
	} {
		t.beside("bad_answer", answer).stop()
	}
}

func aheadLater(t *trial) {
	for _, c := range []struct {
		code            int
		mediaType, body string
		want            string
	}{{409, "text/x.tlog.size", "1000000\n", "ahead"}, {422, "text/plain", "no\n", "inconsistent"}} {
		var lies atomic.Bool
		l := t.ledger()
		bad := t.witness("bad.example", l.keys(), once(&lies, answering(c.code, c.mediaType, c.body)))
		good := t.witness("good.example", l.keys())
		l.serve("--witness-policy", t.policy(l.keys(), bad.lines+good.lines+"group two any bad.example good.example\n", "two"))
		l.until("the liar has cosigned", func(s *status) bool { return bad.size() > 0 && s.CosignedSize == s.Size })
		lies.Store(true)
		l.record(3, http.StatusOK)
		l.fails(c.want)
		l.goesOn()
		l.stop()
	}
}

func aheadAtStart(t *trial) {
	for _, lie := range []between{answering(409, "text/x.tlog.size", "1000000\n"), answering(422, "text/plain", "no\n")} {
		var lies atomic.Bool
		l := t.ledger()
		w := t.witness("witness.example", l.keys(), once(&lies, lie))
		policy := t.policy(l.keys(), w.lines, w.name)
		l.serve("--witness-policy", policy)
		l.cosigned()
		l.stop()
		lies.Store(true)
		l.serve("--witness-policy", policy)
		l.refuses("without proof so far")
		t.fooled = true
		l.stop()
		l.serve()
		l.record(3, http.StatusOK)
		l.stop()
	}
}

// goesOn demands that more is recorded, and published.
func (l *testLedger) goesOn() {
	l.Helper()
	l.record(3, http.StatusOK)
	l.cosigned()
	if s := l.status(); !s.Recording || s.WitnessesFault != "" {
		l.Fatalf("the status is %+v", s)
	}
	l.ends("what others cosign is published")
	l.ends("recording goes on")
}

// nobody listens here.
const nobody = "http://127.0.0.1:1"

func dead(t *trial) {
	l := t.ledger()
	gone, good := t.cosigner("gone.example"), t.witness("good.example", l.keys())
	lines := string(gone.Keys().PolicyLines(nobody)) + good.lines
	l.serve("--witness-policy", t.policy(l.keys(), lines+"group two any gone.example good.example\n", "two"))
	l.fails("unreachable")
	l.goesOn()
}

func hanging(t *trial) {
	l := t.ledger()
	bad := t.witness("bad.example", l.keys(), func(http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		})
	})
	good := t.witness("good.example", l.keys())
	l.serve("--witness-policy", t.policy(l.keys(), bad.lines+good.lines+"group two any bad.example good.example\n", "two"))
	l.record(3, http.StatusOK)
	l.cosigned() // while the other one is at it
	l.fails("timeout")
	l.goesOn()
}

func elsewhere(t *trial) {
	followed := false
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed = true }))
	t.Cleanup(trap.Close)
	t.beside("refused", func(http.Handler) http.Handler {
		return http.RedirectHandler(trap.URL+"/add-checkpoint", http.StatusTemporaryRedirect)
	}).stop()
	trap.Close()
	if followed {
		t.Error("the ledger followed a redirect")
	}
}
