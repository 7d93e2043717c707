package main

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/consentledger/consentledger/internal/history"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/tlog"
)

// othersFlags say to whom the log that is served is shown, and what it is held to.
type othersFlags struct {
	witnessFlags
	stampFlags
	Since []string `sep:"none" env:"LEDGERD_SINCE" placeholder:"FILE" help:"A checkpoint that somebody kept of this log, as a note or in the one-line form: the log must contain it, or nothing is served. Can be given several times."`
}

// firstAnswersWait is how long a start waits for what the witnesses hold of the log.
const firstAnswersWait = 3 * time.Second

// checkSince holds a log to the checkpoints that the operator gave.
func (f *othersFlags) checkSince(log history.Log) error {
	for _, file := range f.Since {
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("reading a checkpoint that the log must contain: %w", err)
		}
		kept, err := history.Open(log, text)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		found, err := history.Find(log, kept.Checkpoint)
		if err == nil {
			err = found.Err()
		}
		if err != nil {
			return fmt.Errorf("%s: %w. Bring back a newer copy of the directory; if there is none, begin a new ledger under another origin, "+
				"and keep this one to be read", file, err)
		}
	}
	return nil
}

// askWitnesses begins to bring a ledger's log to its witnesses, and waits a moment for
// what they hold of it, so that a copy that is older records nothing; nil without
// witnesses.
func (f *othersFlags) askWitnesses(svc *service.Service, dir string, logger *slog.Logger) (*tlog.Collector, error) {
	c, err := f.collector(svc.Log(), dir, svc.StopRecording, logger)
	if c != nil {
		c.FirstAnswers(firstAnswersWait)
	}
	return c, err
}
