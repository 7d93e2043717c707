package main

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// entriesFrom is the number of entries from which on a log takes long enough for
// a progress bar.
const entriesFrom = 20_000

// progress shows on a terminal how far a long command is, and nothing in a pipe.
// One goroutine uses it at a time.
type progress struct {
	terminal io.Writer // nil if there is none
	doing    string
	from     int64 // the total from which on there is a bar
	bar      *progressbar.ProgressBar
}

func newProgress(w io.Writer, doing string, from int64) *progress {
	p := &progress{doing: doing, from: from}
	if isTerminal(w) {
		p.terminal = w
	}
	return p
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// report notes how much is done; a total of 0 is not known.
func (p *progress) report(done, total int64) {
	if p.terminal == nil || total < p.from {
		return
	}
	if total == 0 {
		total = -1 // the bar has no end
	}
	if p.bar == nil {
		p.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(p.terminal),
			progressbar.OptionSetDescription(p.doing), progressbar.OptionShowCount(),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
	// Failing to draw must not fail the command.
	_ = p.bar.Set64(done)
}

// finish clears the bar, so that what was found stands alone.
func (p *progress) finish() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}
