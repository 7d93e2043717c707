package vault

import (
	"testing"
)

func suppressed(t tb, v *Vault, id Identifier, purpose string) (on bool) {
	t.Helper()
	check(t, v.View(func(w View) (err error) { on, err = w.Suppressed(id, purpose); return err }))
	return on
}

func suppressionRows(t tb, v *Vault) (n int) {
	for key := range dump(t, v) {
		if key[0] == rowSuppression {
			n++
		}
	}
	return n
}

func TestSuppression(t *testing.T) {
	opt := testOptions(t)
	v := newVault(t, opt)
	p := addPeople(t, v, 2, 5)[0]
	id := p.ids[0]
	want := func(on bool, rows int) {
		t.Helper()
		if got := suppressed(t, v, id, "newsletter"); got != on {
			t.Errorf("suppressed %v, want %v", got, on)
		}
		if n := suppressionRows(t, v); n != rows {
			t.Errorf("%d rows, want %d", n, rows)
		}
	}
	want(false, 0)
	inVain(v, func(d *Draft) {
		if d.Suppress(id, "newsletter", "November") == nil {
			t.Error("a month that is none")
		}
	})
	inGroup(t, v, func(d *Draft) {
		check(t, d.Unsuppress(id, "newsletter")) // who is not on it
		check(t, d.Suppress(id, "newsletter", "2026-11"))
		check(t, d.Suppress(id, "newsletter", "2026-12")) // who is on it
		if on, err := d.Suppressed(id, "newsletter"); !on || err != nil {
			t.Errorf("in the draft: %v, %v", on, err)
		}
	})
	want(true, 1)
	for _, other := range []struct {
		id      Identifier
		purpose string
	}{{id, "review_request"}, {Identifier{"phone", id.Value}, "newsletter"}, {Identifier{"email", "x" + id.Value}, "newsletter"}} {
		if suppressed(t, v, other.id, other.purpose) {
			t.Errorf("%s %s is suppressed, too", other.id.Kind, other.purpose)
		}
	}
	// It outlives the person's keys, a pass and a start.
	erase(t, v, p)
	p.verify(t, v)
	want(true, 1)
	check(t, v.Close())
	v = openVault(t, opt)
	want(true, 1)
	inGroup(t, v, func(d *Draft) { check(t, d.Unsuppress(id, "newsletter")) })
	want(false, 2)
	inGroup(t, v, func(d *Draft) { check(t, d.Suppress(id, "newsletter", "2027-01")) })
	want(true, 3)
	check(t, v.DropNewestGroup())
	want(false, 2)
}
