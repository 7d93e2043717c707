package wire_test

import (
	"encoding/base64"
	"fmt"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// retention asks what will be due, and what is due now, which is nothing.
func (s *story) retention() {
	dry := object{"mode": "dry_run", "ahead": "2678400s"} // 31 days
	due := func() map[string]string {
		rsp := s.do("AdminService/RunRetention", dry)
		s.same("applied", rsp["applied"], any(false))
		counts := map[string]string{}
		for _, item := range rsp["items"].([]any) {
			i := item.(object)
			counts[fmt.Sprint(i["rule"], " ", i["measure"], " ", i["purpose"])] = i["consents"].(string)
			if first := s.time(i["first_due"]); first.Before(time.Now()) || first.After(time.Now().AddDate(0, 0, 31)) {
				s.t.Errorf("%v is due on %v", i, first)
			}
		}
		return counts
	}
	before := due()
	eve := s.ask(s.address("eve"), "email", "web_form")
	s.do("ConsentService/RejectConfirmation", object{"token": eve["token"]})
	gone := s.signUp(s.address("fred"), "email")
	s.do("ConsentService/WithdrawConsent", object{"manage_token": gone.manage})
	size := s.r.size()
	after := due()
	for _, what := range []string{"lapsed shred newsletter", "withdrawn lock newsletter"} {
		var was, is int
		fmt.Sscan(before[what], &was)
		fmt.Sscan(after[what], &is)
		s.same(what, is, was+1)
	}
	delete(dry, "ahead")
	s.same("due now", s.do("AdminService/RunRetention", dry)["items"], any([]any{}))
	now := s.do("AdminService/RunRetention", object{"mode": "now"})
	s.same("applied", now["applied"], any(true))
	s.same("done", now["items"], any([]any{}))
	s.same("the size after retention", s.r.size(), size)
}

// erasureStatus watches the key of the blind index being replaced, while
// everybody is found.
func (s *story) erasureStatus() {
	gina, hans := s.signUp(s.address("gina"), "email"), s.signUp(s.address("hans"), "email")
	s.erased(s.do("ConsentService/EraseSubject", shred(gina.who)), 1)
	before := s.do("AdminService/GetErasureStatus", object{})
	s.same("medium", before["medium"], any("file"))
	s.same("pending", before["pending"], any("0"))
	for _, field := range []string{"guarantee", "existence_due", "next_unlock", "backup_at", "last_retention"} {
		if text, ok := before[field].(string); !ok || text == "" {
			s.t.Errorf("%s is missing: %v", field, before)
		}
	}
	if before["locked"] == "0" || before["existence_pending"] == "0" {
		s.t.Errorf("somebody is locked, somebody was erased: %v", before)
	}
	s.same("backup_target", before["backup_target"], any(true))
	s.same("the backup's generation", before["backup_generation"], before["generation"])
	if due := s.time(before["existence_due"]); due.Before(time.Now()) || due.After(time.Now().Add(72*time.Hour)) {
		s.t.Errorf("existence_due %v", due)
	}

	s.do("AdminService/RekeyIndex", object{})
	after := s.do("AdminService/GetErasureStatus", object{})
	for end := time.Now().Add(time.Minute); after["rekeying"] == true; {
		if time.Now().After(end) {
			s.t.Fatalf("after a minute: %v", after)
		}
		s.same("who is found meanwhile", s.consents(hans.who), []any{hans.id})
		time.Sleep(10 * time.Millisecond)
		after = s.do("AdminService/GetErasureStatus", object{})
	}
	var epochs [2]int
	fmt.Sscan(before["index_epoch"].(string), &epochs[0])
	fmt.Sscan(after["index_epoch"].(string), &epochs[1])
	s.same("the index key's epoch", epochs[1], epochs[0]+1)
	// The keys of the day live on, so that the traces of today's erasures do.
	s.same("existence_pending", after["existence_pending"], before["existence_pending"])
	if at := s.time(after["index_replaced_at"]); time.Since(at) > time.Minute {
		s.t.Errorf("index_replaced_at %v", at)
	}
	s.check(hans.who, true, "confirmed")
	s.check(gina.who, false, "unknown_subject")

	backup := s.do("AdminService/BackupKeys", object{})
	s.same("the backup's generation", backup["generation"], s.do("AdminService/GetErasureStatus", object{})["backup_generation"])
	if backup["people"] == "0" {
		s.t.Errorf("a backup of nobody: %v", backup)
	}
}

// kinds gives the kinds of the entries from an index on, past what the ledger
// commits by itself.
func (s *story) kinds(from ledger.Size) (kinds []string) {
	s.t.Helper()
	for _, e := range s.do("AuditService/BatchListEntries", object{"start": fmt.Sprint(from)})["entries"].([]any) {
		raw, err := base64.StdEncoding.DecodeString(e.(object)["raw"].(string))
		if err != nil {
			s.t.Fatal(err)
		}
		entry, err := ledger.ParseEntry(raw)
		if err != nil {
			s.t.Fatal(err)
		}
		if entry.Kind != ledger.StateCommitted {
			kinds = append(kinds, string(entry.Kind))
		}
	}
	return kinds
}
