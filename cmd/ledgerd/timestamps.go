package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/tlog"
)

// stampFlags say who stamps the log that is served.
type stampFlags struct {
	TimestampAuthorities string `env:"LEDGERD_TIMESTAMP_AUTHORITIES" placeholder:"FILE" help:"Time-stamping authorities (RFC 3161) that are to stamp the log, one per line: \"authority NAME URL PEM-FILE [qualified]\", # begins a comment. Read at the start."`
	TimestampInterval    span   `default:"1h" env:"LEDGERD_TIMESTAMP_INTERVAL" placeholder:"TIME" help:"How often each of them is asked, if there is something new: 1m to 24h. Default: ${default}."`
}

// stamper prepares to have a ledger's log stamped; nil without authorities.
func (f *stampFlags) stamper(svc *service.Service, dir string, logger *slog.Logger) (*tlog.Stamper, error) {
	if f.TimestampAuthorities == "" {
		return nil, nil
	}
	return newStamper(svc, dir, f.TimestampAuthorities, time.Duration(f.TimestampInterval), logger)
}

// newStamper prepares to have a ledger's log stamped by the authorities in a file.
func newStamper(svc *service.Service, dir, file string, interval time.Duration, logger *slog.Logger) (*tlog.Stamper, error) {
	authorities, err := readAuthorities(file)
	if err != nil {
		return nil, err
	}
	return tlog.NewStamper(tlog.StamperOptions{Log: svc.Log(), Record: svc, Authorities: authorities,
		File: filepath.Join(dir, "anchored.checkpoint"), Interval: interval, Logger: logger})
}

// readAuthorities reads a file of time-stamping authorities. The certificates lie
// beside it, unless their paths say where.
func readAuthorities(file string) ([]tlog.Authority, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the time-stamping authorities: %w", err)
	}
	list, err := tlog.ParseAuthorities(text, func(name string) ([]byte, error) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(file), name)
		}
		return os.ReadFile(name)
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for _, a := range list {
		info, err := os.Stat(file)
		if err != nil {
			return nil, fmt.Errorf("reading the time-stamping authorities: %w", err)
		}
		if a.HasPassword() && info.Mode().Perm()&0o077 != 0 {
			return nil, fmt.Errorf("others may read %s, which holds a password; run `chmod 600 %s`", file, file)
		}
	}
	return list, nil
}
