package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/consentledger/consentledger/internal/service"
)

type fillCmd struct {
	Dir     string `help:"A new directory for the ledger and its export." required:""`
	Entries int64  `help:"About how many entries." default:"1000000"`
	Callers int    `help:"How many callers post at once." default:"256"`
}

func (*fillCmd) Help() string {
	return `Sends the mix of a mailing system straight through the recorder, measures bytes on disk, and leaves an export for verify.

Example:

    go run ./internal/load fill --entries 100000 --dir /tmp/hundred-thousand`
}

// Run fills a ledger, measures it and exports it.
func (f *fillCmd) Run(ctx context.Context) error {
	if err := create(ctx, f.Dir); err != nil {
		return err
	}
	var size int64
	err := opened(service.Options{Dir: data(f.Dir), StateInterval: time.Second}, func(s *service.Service) error {
		start := time.Now()
		if err := tellStories(ctx, s, f.Callers, f.Entries*8/entriesOfEight, true); err != nil {
			return err
		}
		took := time.Since(start)
		snap := s.Log().Snapshot()
		defer snap.Release()
		size = int64(snap.Size())
		fmt.Printf("%d entries through the recorder with %d callers: %.0f entries/s\n", size, f.Callers, float64(size)/took.Seconds())
		return snap.Export(filepath.Join(f.Dir, "export"))
	})
	if err != nil {
		return err
	}
	for _, part := range []string{"log", "vault"} {
		n, err := diskBytes(filepath.Join(data(f.Dir), part))
		if err != nil {
			return err
		}
		fmt.Printf("%s: %d bytes on disk, %.0f per entry\n", part, n, float64(n)/float64(size))
	}
	fmt.Printf("next: go run ./cmd/verify log %s --policy %s\n", filepath.Join(f.Dir, "export"), filepath.Join(data(f.Dir), "trust.policy"))
	return nil
}
