// Package attacks holds no code but its tests: the table of who tries what against a
// ledger and its readers, how it ends, and whom it fools all the same. README shows
// the table. Start with attack and [TestAttacks].
//
// Each row is tried with the programs as they are built, logs as the store and the
// server write them, and witnesses and authorities behind HTTP. Only what a cheat
// writes is made by hand.
package attacks
