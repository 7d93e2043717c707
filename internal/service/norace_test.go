//go:build !race

package service

// underRace tells that the race detector is not at work.
const underRace = false
