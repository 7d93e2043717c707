package wire_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
)

// seed is the story of a system that people come from: what it sends becomes calls,
// as an adapter makes them.
type seed struct {
	*story
	personal []*planted // what must not be in the log
}

func newSeed(t *testing.T) *seed {
	t.Parallel()
	r := start(t)
	return &seed{story: &story{t, r, r.callJSON}}
}

// payload reads what a system sends.
func payload[T any](t *testing.T, name string) (p T) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "payloads", name))
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// knows notes personal values that the system hands over.
func (s *seed) knows(values ...string) {
	for _, text := range values {
		p := &planted{what: text, text: text}
		p.spell()
		s.personal = append(s.personal, p)
	}
}

// define defines purposes and publishes notices.
func (s *seed) define(purposes, notices []object) {
	s.t.Helper()
	for _, p := range purposes {
		s.do("AdminService/DefinePurpose", p)
	}
	for _, n := range notices {
		s.do("AdminService/PublishNotice", n)
	}
}

// may asks "may I?" and compares the answer.
func (s *seed) may(who object, purpose, channel string, allowed bool, reason string) object {
	s.t.Helper()
	rsp := s.do("ConsentService/CheckConsent", object{"subject": who, "purpose": purpose, "channel": channel})
	if rsp["allowed"] != allowed || rsp["reason"] != reason {
		s.t.Errorf("%s by %s: %v, %v, want %v, %s", purpose, channel, rsp["allowed"], rsp["reason"], allowed, reason)
	}
	return rsp
}

// tracked compares what may be measured about somebody.
func (s *seed) tracked(who object, purpose, channel, mode string) {
	s.t.Helper()
	rsp := s.do("ConsentService/CheckConsent", object{"subject": who, "purpose": purpose, "channel": channel})
	s.same("tracking of "+purpose, rsp["tracking_mode"], any(mode))
}

// disclosed gives one value of a consent as the legal role is shown it.
func (s *seed) disclosed(id any, claim string) any {
	s.t.Helper()
	rsp := s.do("EvidenceService/DiscloseClaims", object{"consent_id": id, "claims": []string{claim}, "reason": "a complaint", "recipient": "the authority"})
	return rsp["disclosures"].([]any)[0].(object)["value"]
}

// retain runs retention and gives what it did, as "rule measure purpose" and count.
func (s *seed) retain() map[string]any {
	s.t.Helper()
	done := map[string]any{}
	for _, item := range s.do("AdminService/RunRetention", object{"mode": "now"})["items"].([]any) {
		i := item.(object)
		done[i["rule"].(string)+" "+i["measure"].(string)+" "+i["purpose"].(string)] = i["consents"]
	}
	return done
}

// rekeys replaces the key of the blind index, as the server does by itself once the keys
// of the day on which somebody was erased are gone.
func (s *seed) rekeys() {
	s.t.Helper()
	s.r.clock.passes(2)
	s.do("AdminService/RekeyIndex", object{})
	for end := time.Now().Add(time.Minute); s.do("AdminService/GetErasureStatus", object{})["rekeying"] == true; {
		if time.Now().After(end) {
			s.t.Fatal("the index key is being replaced for a minute")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// ends verifies an auditor's copy of the log by the public verifier, compares what it
// finds irregular, and looks for the personal values in the copy and in what the
// server wrote to its own log.
func (s *seed) ends(irregular map[string]int64) *ledger.LogReport {
	s.t.Helper()
	dir := s.export()
	report := testledger.VerifyDir(s.t, dir)
	s.same("verdict", report.Verdict, ledger.Verified.String())
	s.same("irregular", report.Irregular, irregular)
	if len(s.personal) == 0 {
		s.t.Error("no personal value is looked for")
	}
	places := append(filesBelow(s.t, dir, nil), place{name: "the server's log", text: []byte(s.r.log.String())})
	for _, leak := range newSearch(s.personal).leaks(places) {
		s.t.Error(leak)
	}
	return report
}
