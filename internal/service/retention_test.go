package service

import (
	"fmt"
	"strings"
)

// showsItems is a report in short: rule, measure, purpose and number of each item.
func showsItems(r *RetentionReport) string {
	var parts []string
	for _, i := range r.Items {
		parts = append(parts, fmt.Sprintf("%s %s %s %d", i.Rule, i.Measure, i.Purpose, i.Consents))
	}
	return strings.Join(parts, ", ")
}

// retain applies what is due and checks what that was.
func (f *fixture) retain(want string) *RetentionReport {
	f.t.Helper()
	r, err := f.s.RunRetention(ctx, RetentionRun{})
	if err != nil {
		f.t.Fatal(err)
	}
	if got := showsItems(r); got != want || !r.Applied {
		f.t.Errorf("retention did %q (applied %v), want %q", got, r.Applied, want)
	}
	return r
}
