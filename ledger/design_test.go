package ledger

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// designKinds are the kinds that the design names, in its order: what leads where,
// overlays, registry, grounds, rights, accountability, log. Entry 0 is of none of
// these groups.
var designKinds = strings.Fields(`
ledger.created
consent.requested
confirmation.sent confirmation.resent confirmation.failed confirmation.opened
confirmation.rejected request.expired
consent.confirmed
consent.given consent.refused consent.imported
basis.asserted
objection.recorded
consent.used withdrawal.effected confirmation.attached retention.applied
consent.renewed
consent.expired
consent.withdrawn
consent.revoked consent.invalidated
restriction.set restriction.lifted subject.locked subject.erased
purpose.defined notice.published source.declared claim.declared key.rotated format.raised processor.engaged processor.ended
guardian.authorised signal.received tracking.changed
request.received request.extended request.answered request.refused identity.verified subject.rectified
recipient.notified recipient.acknowledged suppression.added suppression.removed hold.set hold.lifted
evidence.disclosed bundle.exported evidence.shredded entry.corrected
state.committed checkpoint.anchored`)

// reservedKinds are those of them that this version of the format leaves to later
// ones.
var reservedKinds = []string{"format.raised"}

// TestDesignKinds walks the kinds of the design: each stands in the code's table and
// in FORMAT.md's, or is reserved there and needs a newer verifier; and there is no
// other kind.
func TestDesignKinds(t *testing.T) {
	documented := map[string]bool{}
	for _, row := range formatTable(t, "kind", "written by", "effect", "list", "`occurred`", "own lines, in this order", "`commit`") {
		documented[strings.Trim(row[0], "`")] = true
	}
	reserved := formatReserved(t)
	if !slices.Equal(slices.Sorted(slices.Values(reserved)), slices.Sorted(slices.Values(reservedKinds))) {
		t.Errorf("FORMAT.md reserves %q, want %q", reserved, reservedKinds)
	}
	for _, kind := range designKinds {
		inCode := kindTable[Kind(kind)] != nil
		if later := slices.Contains(reservedKinds, kind); inCode == later || documented[kind] == later {
			t.Errorf("%s: in the code's table %v, in FORMAT.md's %v, reserved %v", kind, inCode, documented[kind], later)
		}
	}
	for kind := range kindTable {
		if !slices.Contains(designKinds, string(kind)) {
			t.Errorf("%s is a kind that the design does not name", kind)
		}
	}
	if len(documented) != len(kindTable) || len(designKinds) != len(kindTable)+len(reservedKinds) {
		t.Errorf("%d kinds in FORMAT.md, %d in the code, %d in the design", len(documented), len(kindTable), len(designKinds))
	}
	for _, kind := range reservedKinds {
		text := fmt.Sprintf("consent-ledger/entry/v1\nindex 1\nprev %s\ntime 2026-11-21T22:36:01.123456Z\nkind %s\nsource ledger\n", zeroHash, kind)
		if _, err := ParseEntry([]byte(text)); !errors.Is(err, ErrNewer) {
			t.Errorf("%s: %v, want that it needs a newer verifier", kind, err)
		}
		e := &Entry{Kind: Kind(kind), Source: SourceLedger, Index: 1, Time: newLogForTest(t).now}
		if text, err := e.Encode(); err == nil {
			t.Errorf("%s was written:\n%s", kind, text)
		}
	}
}

// formatReserved gives the kinds that FORMAT.md reserves for later versions.
func formatReserved(t *testing.T) (kinds []string) {
	t.Helper()
	for _, row := range formatTable(t, "reserved kind", "for") {
		kinds = append(kinds, strings.Trim(row[0], "`"))
	}
	return kinds
}
