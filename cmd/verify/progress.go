package main

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/consentledger/consentledger/ledger"
)

// progressFrom is the number of entries from which on a log takes long enough
// for a progress bar.
const progressFrom = 100_000

// progress shows on a terminal how far the verification of a large log is, and
// nothing in a pipe. One goroutine uses it at a time.
type progress struct {
	terminal io.Writer // nil if there is none
	bar      *progressbar.ProgressBar
}

func newProgress(stderr io.Writer) *progress {
	if f, ok := stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return &progress{terminal: f}
	}
	return &progress{}
}

// report notes how many entries are checked.
func (p *progress) report(done, total ledger.Size) {
	if p.terminal == nil || total <= progressFrom {
		return
	}
	if p.bar == nil {
		p.bar = progressbar.NewOptions64(int64(total), progressbar.OptionSetWriter(p.terminal),
			progressbar.OptionSetDescription("checking entries"), progressbar.OptionShowCount(),
			progressbar.OptionShowIts(), progressbar.OptionSetItsString("entries"),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
	// Failing to draw must not fail the verification.
	_ = p.bar.Set64(int64(done))
}

// finish clears the bar, so that the report stands alone.
func (p *progress) finish() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}
