package store

import (
	"errors"
	"fmt"
)

// maxFindings is how many findings are named; the others are counted.
const maxFindings = 100

// Findings collects what a check finds wrong. The zero value is ready.
type Findings struct {
	list []error
	more int
}

// Add takes a finding; nil is none.
func (f *Findings) Add(err error) {
	switch several, ok := err.(*Found); {
	case ok:
		for _, e := range several.list {
			f.Add(e)
		}
		f.more += several.more
	case err == nil:
	case len(f.list) == maxFindings:
		f.more++
	default:
		f.list = append(f.list, err)
	}
}

// Err gives what was found as a *[Found], or nil.
func (f *Findings) Err() error {
	if len(f.list) == 0 {
		return nil
	}
	return &Found{*f}
}

// Found is an error of one or more findings, one a line.
type Found struct{ Findings }

func (f *Found) Error() string {
	text := errors.Join(f.list...).Error()
	if f.more > 0 {
		text += fmt.Sprintf("\nand %d more", f.more)
	}
	return text
}

func (f *Found) Unwrap() []error { return f.list }
