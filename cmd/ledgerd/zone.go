package main

import (
	"errors"
	"time"
	_ "time/tzdata" // for machines that have no time zones
)

// zone is a time zone, by its name in the IANA's database.
type zone struct{ *time.Location }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (z *zone) UnmarshalText(text []byte) (err error) {
	name := string(text)
	if z.Location, err = time.LoadLocation(name); err != nil || name == "" || name == "Local" {
		return errors.New("not the name of a time zone, such as Europe/Berlin or UTC")
	}
	return nil
}
