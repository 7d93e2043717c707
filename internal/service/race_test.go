//go:build race

package service

// underRace: the race detector makes everything ten times slower; what it looks
// for does not need every case.
const underRace = true
