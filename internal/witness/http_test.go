package witness

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// served is a witness behind a real listener.
type served struct {
	t   *testing.T
	w   *Witness
	url string
}

func serve(t *testing.T, w *Witness) *served {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Serve(ctx, l, nil) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return &served{t, w, "http://" + l.Addr().String()}
}

// reply is an answer over HTTP.
type reply struct {
	status    int
	mediaType string
	body      string
	header    http.Header
}

func (s *served) do(method, path string, body io.Reader) reply {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header.Get("Content-Type"), string(b), resp.Header}
}

func (s *served) post(body []byte) reply {
	s.t.Helper()
	return s.do(http.MethodPost, "/add-checkpoint", bytes.NewReader(body))
}

// TestStatusCodes is the table of c2sp.org/tlog-witness. The witness has cosigned 10
// entries before each row, and nothing of log.example/fresh.
func TestStatusCodes(t *testing.T) {
	l, fresh := newTestLog(t, testOrigin).grow(20, "entry"), newTestLog(t, "log.example/fresh").grow(5, "entry")
	liar := l.fork(3, 20)
	stranger := newTestLog(t, "stranger.example").grow(5, "entry")
	impostor, err := ledger.NewSigner(testOrigin, [32]byte{7}, [32]byte{8})
	if err != nil {
		t.Fatal(err)
	}
	good := l.request(10, 20)
	// note gives a request whose signed note was changed.
	note := func(body []byte, change func(*ledger.SignedNote)) []byte {
		r, n, err := ledger.ParseAddCheckpoint(body)
		if err != nil {
			t.Fatal(err)
		}
		change(n)
		r.Checkpoint = n.Bytes()
		return r.Text()
	}
	// proof gives a request whose proof was changed.
	proof := func(body []byte, change func([]ledger.Hash) []ledger.Hash) []byte {
		r, _, err := ledger.ParseAddCheckpoint(body)
		if err != nil {
			t.Fatal(err)
		}
		r.Proof = change(r.Proof)
		return r.Text()
	}
	flip := func(line int) func(*ledger.SignedNote) {
		return func(n *ledger.SignedNote) {
			n.Lines[line].Signature = flipIn(n.Lines[line].Signature, len(n.Lines[line].Signature)-9)
		}
	}
	byImpostor, err := impostor.SignCheckpoint(mustCheckpoint(t, l.checkpoint(20)), 1)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		body   []byte
		status int
		want   string // in the body
	}{
		{"grown", good, 200, "\u2014 witness.example/dpo "},
		{"the same again", l.request(10, 10), 200, "\u2014 witness.example/dpo "},
		{"first contact", fresh.request(0, 5), 200, "\u2014 witness.example/dpo "},
		{"first contact, empty log", fresh.request(0, 0), 200, "\u2014 witness.example/dpo "},
		{"lines by others", note(good, func(n *ledger.SignedNote) {
			n.Lines = append(n.Lines, ledger.SignatureLine{Name: "other.example", KeyID: 7, Signature: []byte("whatever it is")})
		}), 200, "\u2014 witness.example/dpo "},

		{"nothing", nil, 400, "no blank line"},
		{"no request", []byte("hello\n\nworld\n"), 400, "does not begin with the old size"},
		{"size with a zero in front", bytes.Replace(good, []byte("old 10"), []byte("old 010"), 1), 400, "one spelling"},
		{"64 hashes", proof(good, func([]ledger.Hash) []ledger.Hash { return make([]ledger.Hash, 64) }), 400, "64 hashes are more than 63"},
		{"old above the checkpoint's size", ledger.AddCheckpoint{Old: 21, Checkpoint: l.checkpoint(20)}.Text(), 400, "old size 21 is above the checkpoint's, 20"},
		{"extension line", bytes.Replace(good, []byte("=\n\n\u2014"), []byte("=\nextension\n\n\u2014"), 1), 400, "not exactly three lines"},
		{"too large", bytes.Repeat([]byte("old 0\n"), ledger.MaxAddCheckpointSize/6+1), 400, "too large"},

		{"one key stripped", note(good, func(n *ledger.SignedNote) { n.Lines = n.Lines[:1] }), 403, "no signature by the key"},
		{"the other key stripped", note(good, func(n *ledger.SignedNote) { n.Lines = n.Lines[1:] }), 403, "no signature by the key"},
		{"Ed25519 signature broken", note(good, flip(0)), 403, "does not verify"},
		{"ML-DSA-44 signature broken", note(good, flip(1)), 403, "does not verify"},
		{"signed by other keys", ledger.AddCheckpoint{Old: 10, Checkpoint: byImpostor}.Text(), 403, "no signature by the key"},
		{"signature of another size", bytes.Replace(good, []byte("\n20\n"), []byte("\n19\n"), 1), 403, "does not verify"},

		{"unknown log", stranger.request(0, 5), 404, "does not know the log"},
		{"origin that no log of ours could have", bytes.Replace(good, []byte(testOrigin+"\n20"), []byte("Go.sum database tree\n20"), 1), 404, "does not know the log"},

		{"behind", l.request(5, 20), 409, "10\n"},
		{"ahead", l.request(15, 20), 409, "10\n"},
		{"asks for the size", l.request(0, 20), 409, "10\n"},
		{"an older checkpoint", l.request(5, 8), 409, "10\n"},
		{"ahead of nothing", fresh.request(3, 5), 409, "0\n"},
		{"behind, with another root", liar.request(5, 10), 409, "10\n"},

		{"proof cut", proof(good, func(p []ledger.Hash) []ledger.Hash { return p[1:] }), 422, "does not lead"},
		{"proof left out", proof(good, func([]ledger.Hash) []ledger.Hash { return nil }), 422, "does not lead"},
		{"proof longer", proof(good, func(p []ledger.Hash) []ledger.Hash { return append(p, ledger.Hash{}) }), 422, "does not lead"},
		{"proof where none belongs", ledger.AddCheckpoint{Old: 0, Proof: []ledger.Hash{{}}, Checkpoint: fresh.checkpoint(5)}.Text(), 422, "want none"},
		{"proof between equal sizes", ledger.AddCheckpoint{Old: 10, Proof: []ledger.Hash{{}}, Checkpoint: l.checkpoint(10)}.Text(), 422, "want none"},
		{"same size, another root", liar.request(10, 10), 422, "the roots differ"},
		{"larger, of another history", liar.request(10, 20), 422, "does not lead"},
		{"no entries, another root", bytes.Replace(fresh.request(0, 0), []byte("\n0\n47"), []byte("\n0\n48"), 1), 422, "not the empty tree's"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := open(t, makeWitness(t), l, fresh)
			add(t, w, l.request(0, 10))
			before := w.Checkpoint(originHash(testOrigin))
			got := serve(t, w).post(test.body)
			if got.status != test.status || !strings.Contains(got.body, test.want) {
				t.Fatalf("answer %d %q, want %d with %q", got.status, got.body, test.status, test.want)
			}
			media := mediaText
			if test.status == 409 {
				media = mediaSize
				if got.body != test.want {
					t.Errorf("body is %q, want %q", got.body, test.want)
				}
			}
			if got.mediaType != media || got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("headers %v", got.header)
			}
			if test.status == 200 {
				cosigned(t, w.cosigner.Keys(), withoutOthers(t, test.body), []byte(got.body))
			} else if !bytes.Equal(before, w.Checkpoint(originHash(testOrigin))) || strings.Contains(got.body, "\u2014") {
				t.Error("a refusal changed what is cosigned, or gave a cosignature")
			}
		})
	}
}

// TestWhatIsLogged checks that strangers do not write into the operator's log.
func TestWhatIsLogged(t *testing.T) {
	l, stranger := newTestLog(t, testOrigin).grow(20, "entry"), newTestLog(t, "stranger.example").grow(5, "entry")
	var out bytes.Buffer
	w, err := Open(Options{Dir: makeWitness(t), Logs: []ledger.LogKeys{l.keys()}, Logger: slog.New(slog.NewJSONHandler(&out, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	h := w.Handler()
	send := func(body []byte) {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/add-checkpoint", bytes.NewReader(body)))
	}
	send([]byte("old stranger\n\n"))
	send(stranger.request(0, 5))
	if out.Len() > 0 {
		t.Errorf("a stranger wrote %s", &out)
	}
	send(append(l.request(0, 5), "\u2014 stranger.example AAAAAAAA\n"...))
	send(bytes.Replace(l.request(0, 5), []byte("\n5\n"), []byte("\n6\n"), 1))
	if text := out.String(); !strings.Contains(text, `"msg":"cosigned"`) || !strings.Contains(text, `"msg":"refused","status":403,"origin":"log.example/shop"`) ||
		strings.Contains(text, "stranger") {
		t.Errorf("the log is %s", text)
	}
}

// withoutOthers gives a request with the two lines of the log alone.
func withoutOthers(t *testing.T, body []byte) []byte {
	r, n, err := ledger.ParseAddCheckpoint(body)
	if err != nil {
		t.Fatal(err)
	}
	n.Lines = n.Lines[:2]
	r.Checkpoint = n.Bytes()
	return r.Text()
}

func mustCheckpoint(t *testing.T, signed []byte) ledger.Checkpoint {
	t.Helper()
	n, err := ledger.ParseSignedNote(signed)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ledger.ParseCheckpoint(n.Text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestOtherPaths is everything but add-checkpoint.
func TestOtherPaths(t *testing.T) {
	l := newTestLog(t, testOrigin).grow(20, "entry")
	w := open(t, makeWitness(t), l)
	s := serve(t, w)
	sum := sha256.Sum256([]byte(testOrigin))
	name := hex.EncodeToString(sum[:])
	if got := s.do("GET", "/"+name+"/checkpoint", nil); got.status != 404 {
		t.Errorf("before the first cosignature: %+v", got)
	}
	add(t, w, l.request(0, 10))
	tests := []struct {
		method, path string
		status       int
	}{
		{"GET", "/" + name + "/checkpoint", 200},
		{"HEAD", "/" + name + "/checkpoint", 200},
		{"GET", "/" + strings.ToUpper(name) + "/checkpoint", 404},
		{"GET", "/" + name[:62] + "/checkpoint", 404},
		{"GET", "/" + name[:63] + "x/checkpoint", 404},
		{"GET", "/" + strings.Repeat("0", 64) + "/checkpoint", 404},
		{"GET", "/" + name, 404},
		{"GET", "/checkpoint", 404},
		{"GET", "/", 404},
		{"GET", "/add-checkpoint", 405},
		{"PUT", "/add-checkpoint", 405},
		{"POST", "/" + name + "/checkpoint", 405},
		{"POST", "/sign-subtree", 404},
	}
	for _, test := range tests {
		got := s.do(test.method, test.path, nil)
		if got.status != test.status {
			t.Errorf("%s %s answers %d, want %d: %s", test.method, test.path, got.status, test.status, got.body)
		}
		if test.status == 200 && (got.mediaType != mediaText || got.header.Get("Cache-Control") != "no-store" || got.header.Get("Access-Control-Allow-Origin") != "*") {
			t.Errorf("%s %s: headers %v", test.method, test.path, got.header)
		}
	}
	body := s.do("GET", "/"+name+"/checkpoint", nil).body
	p := l.policy(string(w.cosigner.Keys().PolicyLines("")))
	if o, err := ledger.OpenCheckpoint([]byte(body), p); err != nil || o.Size != 10 || len(o.Witnesses) != 3 {
		t.Errorf("a monitor reads %q: %v, %v", body, o, err)
	}
}

// TestKeepAlive checks that one connection serves requests of every outcome.
func TestKeepAlive(t *testing.T) {
	l := newTestLog(t, testOrigin).grow(20, "entry")
	s := serve(t, open(t, makeWitness(t), l))
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	connections := 0
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if !info.Reused {
			connections++
		}
	}}
	for i, body := range [][]byte{l.request(0, 5), l.request(0, 9), l.request(5, 9), l.fork(2, 9).request(9, 9), []byte("x"), l.request(9, 20)} {
		req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "POST", s.url+"/add-checkpoint", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if want := []int{200, 409, 200, 422, 400, 200}[i]; resp.StatusCode != want {
			t.Errorf("request %d answers %d, want %d", i, resp.StatusCode, want)
		}
	}
	if connections != 1 {
		t.Errorf("%d connections, want 1", connections)
	}
}

// TestConcurrent lets many clients of a log and of its other face race: whatever is
// cosigned is of one history, and every size is cosigned with one root only.
func TestConcurrent(t *testing.T) {
	const size, common = 120, 20
	l := newTestLog(t, testOrigin).grow(size, "entry")
	liar := l.fork(common, size)
	dir := makeWitness(t)
	s := serve(t, open(t, dir, l))
	keys := s.w.cosigner.Keys()
	var mu sync.Mutex
	roots := map[ledger.Size]map[ledger.Hash]bool{} // guarded by mu
	var clients sync.WaitGroup
	for i := range 8 {
		face := l
		if i%2 == 1 {
			face = liar
		}
		clients.Go(func() {
			old := 0
			for next := 1 + i; next <= size; {
				r := post(t, s.url, face.request(min(old, next), next))
				switch {
				case r.status == 200:
					c := cosigned(t, keys, face.request(old, next), []byte(r.body))
					mu.Lock()
					if roots[c.Size] == nil {
						roots[c.Size] = map[ledger.Hash]bool{}
					}
					roots[c.Size][c.Root] = true
					mu.Unlock()
					old, next = next, next+1+i
				case r.status == 409:
					if _, err := fmt.Sscan(r.body, &old); err != nil {
						t.Errorf("size %q: %v", r.body, err)
						return
					}
					next = max(next, old)
				case r.status == 422:
					return // this face has lost
				default:
					t.Errorf("answer %d %s", r.status, r.body)
					return
				}
			}
		})
	}
	clients.Wait()
	if len(roots) < 10 {
		t.Errorf("only %d sizes were cosigned", len(roots))
	}
	truth := 0
	for n, r := range roots {
		if len(r) != 1 {
			t.Errorf("%d roots were cosigned at %d entries", len(r), n)
		}
		if n > common && r[mustCheckpoint(t, l.checkpoint(int(n))).Root] {
			truth++
		}
	}
	after := 0
	for n := range roots {
		if n > common {
			after++
		}
	}
	if truth != 0 && truth != after {
		t.Errorf("of %d sizes after the fork, %d are of one face and the rest of the other", after, truth)
	}
	if after > 0 && len(evidence(t, dir)) == 0 {
		t.Error("no evidence was kept")
	}
}

// post is for goroutines: it does not end the test.
func post(t *testing.T, url string, body []byte) reply {
	resp, err := http.Post(url+"/add-checkpoint", "text/plain", bytes.NewReader(body))
	if err != nil {
		t.Error(err)
		return reply{}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return reply{status: resp.StatusCode, body: string(b)}
}

// TestSlowCaller checks that a request which never ends holds nobody up, and that
// the server stops all the same.
func TestSlowCaller(t *testing.T) {
	l := newTestLog(t, testOrigin).grow(20, "entry")
	s := serve(t, open(t, makeWitness(t), l))
	for range 5 {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := fmt.Fprintf(c, "POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 100\r\n\r\nold 0\n"); err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	if got := s.post(l.request(0, 5)); got.status != 200 || time.Since(begin) > 5*time.Second {
		t.Errorf("%+v after %v", got, time.Since(begin))
	}
}
