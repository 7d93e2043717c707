package service

import (
	"fmt"
	"path/filepath"

	loghistory "github.com/consentledger/consentledger/internal/history"
	"github.com/consentledger/consentledger/internal/refusal"
)

// errSetBack refuses what would be recorded in a log of which others hold more, or
// other entries. Callers are strangers to who holds what, so it names nobody and no
// sizes; [Service.Status] does.
var errSetBack = refusal.Unavailable("nothing is recorded: somebody holds more of this ledger's log than it does, or other entries; "+
	"it was set back to an older copy, or a second copy of it is running. %s. `ledgerd status` says who holds what", setBackAdvice)

// setBackAdvice says what can be done then.
const setBackAdvice = "Bring back the newest copy of the directory; or, if it is a witness that is wrong, take it out of --witness-policy; " +
	"or, if there is no newer copy, begin a new ledger under another origin and keep this one to be read"

// StopRecording ends all recording until the ledger is opened anew, because somebody
// holds more of its log than it does, or other entries: whatever it signed from here
// on would contradict what they hold. reason says who shows what; administrators read
// it. What is being committed is finished. Reading goes on.
func (s *Service) StopRecording(reason string) {
	s.recorder.barred.Store(&reason)
	s.logger.Error("recording is stopped: somebody holds more of the log, or other entries", "reason", reason, "what_to_do", setBackAdvice)
}

// holdTo holds the log to the checkpoints that the ledger's own directory keeps.
func (s *Service) holdTo(dir string) error {
	keys, err := s.log.Keys()
	if err != nil {
		return err
	}
	for _, name := range []string{loghistory.CosignedName, loghistory.AnchoredName} {
		if err := loghistory.Unreadable(filepath.Join(dir, name), keys); err != nil {
			s.logger.Warn("a kept checkpoint does not protect from being set back", "reason", err.Error())
		}
	}
	reason, err := loghistory.CheckDir(s.log, dir)
	if reason != nil {
		s.StopRecording(reason.Error())
	}
	return err
}

// explained is the fault as administrators are told it.
func (s *Service) explained() error {
	fault := s.Fault()
	if reason := s.recorder.barred.Load(); reason != nil && fault == errSetBack {
		return fmt.Errorf("%s. %s", *reason, setBackAdvice)
	}
	return fault
}
