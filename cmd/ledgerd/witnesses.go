package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/consentledger/consentledger/internal/history"
	"github.com/consentledger/consentledger/internal/tlog"
	"github.com/consentledger/consentledger/ledger"
)

// witnessFlags say who cosigns the log that is served.
type witnessFlags struct {
	WitnessPolicy   string `env:"LEDGERD_WITNESS_POLICY" placeholder:"FILE" help:"A trust policy (C2SP tlog-policy) whose witnesses, those with a URL, are to cosign the log. Auditors are then given the newest checkpoint that satisfies it."`
	PublishInterval span   `default:"1s" env:"LEDGERD_PUBLISH_INTERVAL" placeholder:"TIME" help:"How often the newest checkpoint is brought to the witnesses: 50ms to 1h. Default: ${default}."`
}

// collector begins to bring the log in dir to the witnesses; nil without a policy.
// setBack, if not nil, is told when they show that the log was set back.
func (f *witnessFlags) collector(log tlog.History, dir string, setBack func(reason string), logger *slog.Logger) (*tlog.Collector, error) {
	if f.WitnessPolicy == "" {
		return nil, nil
	}
	text, err := os.ReadFile(f.WitnessPolicy)
	if err != nil {
		return nil, fmt.Errorf("reading the witnesses' policy: %w", err)
	}
	policy, err := ledger.ParsePolicy(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.WitnessPolicy, err)
	}
	c, err := tlog.StartCollector(tlog.CollectorOptions{Log: log, Policy: policy, File: filepath.Join(dir, history.CosignedName),
		Interval: time.Duration(f.PublishInterval), SetBack: setBack, Logger: logger})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.WitnessPolicy, err)
	}
	return c, nil
}
