// Package prove holds no code but its tests: what whole proof bundles, exported by a real
// ledger, prove to somebody who trusts nobody, and what becomes of that when somebody
// changes them.
package prove
