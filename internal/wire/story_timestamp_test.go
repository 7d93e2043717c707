package wire_test

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/testauthority"
	"github.com/consentledger/consentledger/internal/timestamp"
	"github.com/consentledger/consentledger/internal/tlog"
	"github.com/consentledger/consentledger/ledger"
)

// timeStamps asks for a time stamp where the one authority is dead.
func (s *story) timeStamps() {
	outcome := s.do("AdminService/AnchorCheckpoint", object{})["outcomes"].([]any)[0].(object)
	s.same("the authority", outcome["authority"], any("dead"))
	s.same("why not", outcome["error"], any("unreachable"))
	status := s.do("AdminService/GetStatus", object{})["timestamp_authorities"].([]any)[0].(object)
	s.same("why not, in the status", status["error"], any("unreachable"))
	s.same("stamped", status["size"], any("0"))
}

// trusted gives an authority of the tests, as it is configured where it is believed.
func trusted(a *testauthority.Authority) tlog.Authority {
	pem, err := os.ReadFile(a.CAFile)
	if err != nil {
		a.Fatal(err)
	}
	pins, err := timestamp.ParsePins(pem)
	if err != nil {
		a.Fatal(err)
	}
	return tlog.Authority{Name: "x", URL: a.URL, Authority: timestamp.Authority{Pins: pins, Qualified: true}}
}

// TestAnchorCheckpoint has the log stamped over the API, and finds the stamp in the
// status and below /log/.
func TestAnchorCheckpoint(t *testing.T) {
	x, early := testauthority.New(t, testauthority.Options{}), testauthority.New(t, testauthority.Options{Time: time.Now().Add(-time.Hour)})
	stranger := trusted(x)
	stranger.Name, stranger.URL = "stranger", early.URL
	r := create(t)
	r.authorities = []tlog.Authority{trusted(x), stranger}
	r.serve()
	s := &story{t, r, callers(t, r)["Connect"]}
	outcomes := s.do("AdminService/AnchorCheckpoint", object{})["outcomes"].([]any)
	good, bad := outcomes[0].(object), outcomes[1].(object)
	if good["authority"] != "x" || good["index"] != "1" || good["size"] != "1" || good["error"] != "" || time.Since(s.time(good["time"])) > time.Minute {
		t.Errorf("got %v", good)
	}
	if bad["authority"] != "stranger" || bad["index"] != "0" || bad["error"] != "bad_token" || bad["detail"] == "" || bad["time"] != nil {
		t.Errorf("got %v", bad)
	}
	shown := s.do("AdminService/GetStatus", object{})["timestamp_authorities"].([]any)
	first, second := shown[0].(object), shown[1].(object)
	if first["name"] != "x" || first["url"] != x.URL || first["qualified"] != true || first["size"] != "1" || first["last_stamp"] != good["time"] ||
		first["error"] != "" || first["failures"] != "0" || first["clock_difference"] != nil {
		t.Errorf("status %v", first)
	}
	if second["failures"] != "1" || second["error"] != "bad_token" || second["detail"] != bad["detail"] || second["last_stamp"] != nil {
		t.Errorf("status %v", second)
	}
	snap := r.service.Log().Snapshot()
	defer snap.Release()
	text, err := snap.Entry(1)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ledger.ParseEntry(text)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodGet, r.url+"/log/"+ledger.AnchorPath(e.Stamp), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.keys[authn.Auditor])
	rsp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer rsp.Body.Close()
	if token, err := io.ReadAll(rsp.Body); err != nil || rsp.StatusCode != 200 || ledger.TextHash(token) != e.Stamp {
		t.Errorf("%s, %d bytes, %v", rsp.Status, len(token), err)
	}
}

// TestNoAuthority: a server that knows no authority says how it would.
func TestNoAuthority(t *testing.T) {
	r := create(t)
	r.authorities = nil
	r.serve()
	a := r.post(admin+"AnchorCheckpoint", r.keys[authn.Admin], "application/json", []byte("{}"))
	if a.code != "failed_precondition" || !strings.HasPrefix(a.message, "timestamp_authorities: ") || !strings.Contains(a.message, "--timestamp-authorities") {
		t.Errorf("%s: %s", a.code, a.message)
	}
}
