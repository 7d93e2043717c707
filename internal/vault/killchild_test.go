package vault

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"

	"github.com/consentledger/consentledger/ledger"
)

// A child process does everything that a vault can do, with a writer beside it,
// and kills itself with SIGKILL at a step. It is this test binary, run again
// with these variables.
const (
	killDir  = "VAULT_KILL_DIR"  // the directory above the vault's
	killAt   = "VAULT_KILL_AT"   // the step's name; empty for never
	killSkip = "VAULT_KILL_SKIP" // how many times it is passed before
)

func init() {
	if dir := os.Getenv(killDir); dir != "" {
		new(child).run(dir)
		os.Exit(0)
	}
}

// child says on its standard output, a line each: "step" and the name of each
// step before it is killed there, "committed" and the id of a consent when the
// group with it is durable, and "done" at the end.
type child struct {
	v    *Vault
	mu   sync.Mutex // guards what follows
	at   string
	skip int
}

// As the tb of the helpers, a child that fails ends.
func (c *child) Helper() {}
func (c *child) Fatal(args ...any) {
	fmt.Fprintln(os.Stderr, append([]any{"child:"}, args...)...)
	os.Exit(3)
}
func (c *child) Fatalf(format string, args ...any) { c.Fatal(fmt.Sprintf(format, args...)) }

// step is the seam.
func (c *child) step(name string) error {
	if name == "erase begun" {
		c.crowd()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Println("step", name)
	if name != c.at {
		return nil
	}
	if c.skip--; c.skip < 0 {
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // until it takes effect
	}
	return nil
}

func (c *child) run(dir string) {
	c.at = os.Getenv(killAt)
	c.skip, _ = strconv.Atoi(os.Getenv(killSkip))
	opt := optionsIn(dir)
	opt.testOnlyTxnRows = 60
	opt.testOnlyStep = c.step
	c.v = must[*Vault](c)(Open(opt))
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() { c.write(stop) })
	c.work()
	close(stop)
	writer.Wait()
	inGroup(c, c.v, func(d *Draft) { check(c, d.Suppress(Identifier{"email", "dropped"}, "newsletter", "2026-11")) })
	check(c, c.v.DropNewestGroup())
	check(c, c.v.Close())
	fmt.Println("done")
}

// work does everything but to write groups.
func (c *child) work() {
	w := c.v.view()
	today := int(w.tree.days[0].day)
	w.release()
	check(c, c.v.RotateDayKeys(day(20).AddDate(0, 0, today+2-int(day(20).Unix()/86400))))
	ref := must[BlobRef](c)(c.v.PutBlob([]byte("nobody's")))
	check(c, c.v.DropBlob(ref))
	must[Shredded](c)(c.v.CarryOut(c.v.Record().Seq))
	must[Reindexed](c)(c.v.Reindex(context.Background(), nil))
}

// The people that a child inserts are known to the parent, because everything of
// them follows from numbers.
const (
	firstLate    = 200_000   // consents that the late person gets while a pass runs
	firstWritten = 2_000_000 // consents of new people, two each
)

// foretell adds to a person what a consent of theirs will have.
func (p *person) foretell(id ledger.ConsentID) {
	p.consents = append(p.consents, id)
	p.keys[id] = sha256.Sum256(fmt.Append(nil, "key ", id))
	for _, claim := range []string{"email", "name"} {
		salt := sha256.Sum256(fmt.Append(nil, claim, " ", id))
		p.claims[id] = append(p.claims[id], ledger.Disclosure{Salt: salt, Claim: claim, Value: claim + " of " + p.email})
	}
}

// insertForetold adds a consent of p, who may be new, with what was foretold.
func (p *person) insertForetold(t tb, v *Vault, d *Draft, id ledger.ConsentID) {
	t.Helper()
	s, ok, err := d.FindSubject(p.ids[0])
	check(t, err)
	if !ok {
		s = must[*Subject](t)(d.NewSubject(p.ids, ledger.Index(id)))
	}
	p.foretell(id)
	check(t, d.AddConsent(s, id, p.keys[id]))
	for _, disclosure := range p.claims[id] {
		check(t, d.AddClaims(p.keys[id], ledger.Index(id), Claim{Disclosure: disclosure}))
	}
	check(t, d.Remember(s, "shop", fmt.Sprint("request-", id), [32]byte{}, nil, nil))
}

// commit commits a consent of p and says so.
func (c *child) commit(p *person, id ledger.ConsentID) {
	inGroup(c, c.v, func(d *Draft) { p.insertForetold(c, c.v, d, id) })
	fmt.Println("committed", id)
}

// write inserts people, and their consents in two groups, until stop is closed.
func (c *child) write(stop chan struct{}) {
	var p *person
	for id := ledger.ConsentID(firstWritten); ; id++ {
		select {
		case <-stop:
			return
		default:
		}
		if id%2 == 0 {
			p = newPerson(int(id))
		}
		if !c.taken(id) {
			c.commit(p, id)
		}
	}
}

// taken tells whether a child before has committed a consent.
func (c *child) taken(id ledger.ConsentID) bool {
	_, ok, err := subjectOf(c.v, id)
	check(c, err)
	return ok
}

// crowd gives the late person a consent in each of the first shards that the
// pass touches, so that it has to catch up.
func (c *child) crowd() {
	p := newPerson(6)
	id := ledger.ConsentID(firstLate)
	check(c, c.v.View(func(w View) error { // behind those of the children before
		s, _, err := w.FindSubject(p.ids[0])
		check(c, err)
		return w.NewestConsents(s, func(newest ledger.ConsentID) bool {
			id = max(id, newest+1)
			return false
		})
	}))
	for n, s := range c.v.copying.touched() {
		if n == 3 {
			return
		}
		for ; shardOf(rowConsent, idConsent(id)) != s; id++ {
		}
		c.commit(p, id)
		id++
	}
}
