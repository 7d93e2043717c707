package attacks

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/consentledger/consentledger/internal/testauthority"
	"github.com/consentledger/consentledger/ledger"
)

// authorities do not do what they should; each is tried against a ledger that serves.
var authorities = []attack{
	{by: "a time-stamping authority", does: "stamps other bytes, repeats an old answer, or signs with a certificate that is expired, a stranger's or for another purpose",
		not: "the ledger, which records no such stamp", ends: "its status is bad_token, recording goes on", try: badToken},
	{by: "a time-stamping authority", does: "is dead, or answers with a page or without end",
		not: "the ledger", ends: "its status is unreachable, recording goes on, its status is bad_answer", try: noStamp},
	{by: "a time-stamping authority", does: "takes for ever to answer",
		not: "the ledger", ends: "recording goes on", try: slowStamp},
	{by: "a time-stamping authority", does: "dates its stamps ahead",
		not: "the operator; whoever verifies", ends: "its status shows the difference, the report names dated_before_stamp", try: stampedAhead},
	{by: "a time-stamping authority", does: "dates its stamps back",
		not: "the operator; whoever verifies", ends: "its status shows the difference, the report names dated_after_stamp", try: stampedBack},
}

// stamping serves a ledger whose log an authority is to stamp.
func (t *trial) stamping(a *testauthority.Authority) *testLedger {
	t.Helper()
	l := t.ledger()
	l.serve("--timestamp-authorities", t.file("authorities", []byte(a.Line("main"))))
	return l
}

// stamp asks for a stamp now, and demands how that ends: "" for stamped.
func (l *testLedger) stamp(want string) {
	l.Helper()
	code, answer := l.post("AnchorCheckpoint", "{}")
	if stamped := bytes.Contains(answer, []byte(`"error":""`)); code != http.StatusOK || stamped != (want == "") {
		l.Fatalf("asking for a stamp is answered with %d %s", code, answer)
	}
	if a := l.status().Authorities[0]; a.Error != want || want != "" && a.Size != 0 {
		l.Fatalf("the status is %+v, want %q", a, want)
	}
}

// unstamped demands that an authority is not believed, and that the ledger goes on.
func (t *trial) unstamped(want string, a *testauthority.Authority) {
	t.Helper()
	l := t.stamping(a)
	l.stamp(want)
	t.ends("its status is " + want)
	l.unanchored(a)
	l.stop()
}

// unanchored demands that recording goes on, without any stamp.
func (l *testLedger) unanchored(a *testauthority.Authority) {
	l.Helper()
	l.record(3, http.StatusOK)
	if out := l.sound("log", l.url+"/log", "--policy", l.dir+"/trust.policy", "--tsa", a.CAFile, "--json"); strings.Contains(out, "checkpoint.anchored") {
		l.Fatalf("a stamp is recorded:\n%s", out)
	}
	if s := l.status(); !s.Recording {
		l.Fatalf("the status is %+v", s)
	}
	l.ends("recording goes on")
}

// flipped changes a bit of what was asked, so far behind the head of the imprint: the
// imprint has 32 bytes, behind it stand the head of the nonce and the nonce.
func flipped(behind int) func([]byte) []byte {
	return func(query []byte) []byte {
		request := bytes.Clone(query)
		request[bytes.Index(request, []byte{0x04, 0x20})+behind] ^= 1
		return request
	}
}

func badToken(t *trial) {
	for _, opt := range []testauthority.Options{
		{Query: flipped(2)},              // of other bytes
		{Query: flipped(2 + 32 + 2 + 3)}, // to another request
		{Unknown: true},
		{Signer: func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }},
		{Signer: func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{testauthority.Purposes(true, testauthority.CodeSigning)}
		}},
	} {
		t.unstamped("bad_token", t.authority(opt))
	}
	var answer atomic.Pointer[[]byte] // once there is one, it is repeated
	old := t.authority(testauthority.Options{Between: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if repeated := answer.Load(); repeated != nil {
				w.Header().Set("Content-Type", "application/timestamp-reply")
				w.Write(*repeated)
				return
			}
			next.ServeHTTP(w, r)
		})
	}})
	first := old.Answer(t.query(ledger.TextHash([]byte("Newsletter\n"))))
	answer.Store(&first)
	t.unstamped("bad_token", old)
}

func noStamp(t *trial) {
	dead := t.authority(testauthority.Options{})
	dead.Stop()
	dead.URL = nobody
	t.unstamped("unreachable", dead)
	for _, body := range []string{"<html>\n", strings.Repeat("—", 1_000_000)} {
		for _, mediaType := range []string{"text/html", "application/timestamp-reply"} {
			t.unstamped("bad_answer", t.authority(testauthority.Options{Between: answering(200, mediaType, body)}))
		}
	}
}

func slowStamp(t *trial) {
	begun := make(chan struct{}, 1)
	a := t.authority(testauthority.Options{Between: func(http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			select {
			case begun <- struct{}{}:
			default:
			}
			<-r.Context().Done()
		})
	}})
	l := t.stamping(a)
	<-begun // by itself, at the start
	l.unanchored(a)
	l.stop()
}

// dated has a ledger stamped by an authority whose clock is wrong.
func (t *trial) dated(by time.Duration, name string) {
	t.Helper()
	a := t.authority(testauthority.Options{Time: time.Now().Add(by)})
	l := t.stamping(a)
	l.record(3, http.StatusOK)
	l.stamp("")
	if s := l.status().Authorities[0]; strings.HasPrefix(s.ClockDifference, "-") != (by < 0) || s.ClockDifference == "" {
		t.Fatalf("the status is %+v", s)
	}
	t.ends("its status shows the difference")
	l.record(3, http.StatusOK)
	out := t.sound("log", l.url+"/log", "--policy", l.dir+"/trust.policy", "--tsa", a.CAFile, "--json")
	for _, irregular := range []string{"dated_before_stamp", "dated_after_stamp"} {
		if strings.Contains(out, irregular) != (irregular == name) {
			t.Fatalf("the report does not name %s alone:\n%s", name, out)
		}
	}
	t.ends("the report names " + name)
}

func stampedAhead(t *trial) { t.dated(10*time.Minute, "dated_before_stamp") }
func stampedBack(t *trial)  { t.dated(-10*time.Minute, "dated_after_stamp") }
