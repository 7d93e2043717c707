package badgerdb

import (
	"fmt"
	"log/slog"
	"strings"
)

// logAdapter hands Badger's warnings and errors to slog. Badger's information
// and debug lines are dropped: they tell about Badger and not about this
// program, and some quote keys.
type logAdapter struct{ log *slog.Logger }

func (a logAdapter) Errorf(format string, args ...any) {
	a.log.Error(oneLine(format, args), "from", "badger")
}

func (a logAdapter) Warningf(format string, args ...any) {
	a.log.Warn(oneLine(format, args), "from", "badger")
}

func (logAdapter) Infof(string, ...any)  {}
func (logAdapter) Debugf(string, ...any) {}

// oneLine formats a message of Badger's, many of which end in a line feed.
func oneLine(format string, args []any) string {
	return strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " ")
}
