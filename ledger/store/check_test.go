package store_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/internal/badgerdb"
	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// tampering changes rows of a log's database. When it finds nothing to change,
// its error says so.
type tampering struct {
	name   string
	change func(txn *badger.Txn) error
}

// set replaces a row's value.
func set(name string, key, value []byte) tampering {
	return tampering{name, func(txn *badger.Txn) error { return txn.Set(key, value) }}
}

// remove deletes a row that is there.
func remove(name string, key []byte) tampering {
	return tampering{name, func(txn *badger.Txn) error {
		if _, err := txn.Get(key); err != nil {
			return err
		}
		return txn.Delete(key)
	}}
}

// edit replaces bytes in a row's value.
func edit(name string, key []byte, old, new string) tampering {
	return rewrite(name, key, func(b []byte) []byte { return bytes.Replace(b, []byte(old), []byte(new), 1) })
}

func rewrite(name string, key []byte, f func([]byte) []byte) tampering {
	return tampering{name, func(txn *badger.Txn) error {
		item, err := txn.Get(key)
		if err != nil {
			return err
		}
		before, err := item.ValueCopy(nil)
		if err != nil {
			return err
		}
		after := f(bytes.Clone(before))
		if bytes.Equal(before, after) {
			return errors.New("nothing was changed")
		}
		return txn.Set(key, after)
	}}
}

// flipByte inverts one byte of a row's value; from the end when i is negative.
func flipByte(name string, key []byte, i int) tampering {
	return rewrite(name, key, func(b []byte) []byte {
		if i < 0 {
			i += len(b)
		}
		b[i] ^= 1
		return b
	})
}

// editMeta changes a member of the row of the newest group.
func editMeta(member string, f func(any) any) tampering {
	return rewrite("meta: "+member, store.MetaKey, func(b []byte) []byte {
		var m map[string]any
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		if d.Decode(&m) != nil {
			return b
		}
		m[member] = f(m[member])
		b, err := json.Marshal(m)
		if err != nil {
			return nil
		}
		return b
	})
}

func plus(n int64) func(any) any {
	return func(v any) any { i, _ := v.(json.Number).Int64(); return i + n }
}

func earlier(v any) any {
	at, _ := time.Parse(time.RFC3339Nano, v.(string))
	return at.Add(-time.Microsecond)
}

// tampered is a log to be tampered with: two full tiles, a state that was
// committed, erasures in every phase, a hold that is open and one that is not.
func tampered(t testing.TB) (opt store.Options, list []tampering) {
	opt = options(t)
	opt.StateEntries, opt.StateInterval = 100, time.Minute
	s := open(t, opt)
	testledger.Fill(t, s, 598)
	add(t, s, &ledger.Entry{Kind: ledger.SourceDeclared, Source: ledger.SourceLedger, Name: "desk", Role: "legal"})
	g := begin(t, s)
	if err := g.CommitStateIfDue(g.Last()); err != nil || g.Count() != 1 {
		t.Fatal("no state was committed", err)
	}
	if err := g.Commit(nil); err != nil {
		t.Fatal(err)
	}
	id := ledger.ConsentID(size(s))
	for i := range ledger.Index(4) {
		add(t, s, testledger.Requested(ledger.Index(id)+i))
	}
	complete := add(t, s, erased(id, ledger.Index(id)))
	done := add(t, s, erased(id+1, ledger.Index(id+1)))
	pending := add(t, s, erased(id+2, ledger.Index(id+2)))
	add(t, s, shredded(complete, done))
	add(t, s, rekeyed(complete))
	bound := id + 3 // used, held once, and once no longer
	use := add(t, s, &ledger.Entry{Kind: ledger.ConsentUsed, Source: "shop", About: []ledger.ConsentID{bound}})
	hold, free := add(t, s, held(bound)), add(t, s, held(bound))
	add(t, s, lifted(free, bound))
	sum, facts := ledger.TextHash([]byte(testledger.NoticeText)), ledger.TextHash([]byte(testledger.NoticeFacts))
	add(t, s,
		&ledger.Entry{Kind: ledger.NoticePublished, Source: "admin", Language: "de", Covers: []string{"newsletter"}, Use: "mail", Facts: facts,
			Notice: ledger.NoticeRef{ID: "mail-de", Version: 1, SHA256: sum}},
		&ledger.Entry{Kind: ledger.PurposeDefined, Source: "admin", Purpose: "newsletter", Version: 2, Marketing: "yes", DoubleOptIn: "no", Lifetime: 60,
			MinimumAge: 16, IPPolicy: "none", Bases: []string{"consent", "contract"}})
	add(t, s, resent(800, ledger.Index(bound), testledger.Began.AddDate(100, 0, 0), bound))
	last := add(t, s, &ledger.Entry{Kind: ledger.ConsentGiven, Source: "shop", Purpose: "newsletter", Channel: "email", Method: "paper", IPPolicy: "none",
		Age: "child", Notice: testledger.Requested(1).Notice, Commits: testledger.Requested(1).Commits})
	given := ledger.ConsentID(last)
	superseded, newest := store.LockKey(ledger.Lock(testledger.Token(ledger.Index(bound)))), store.LockKey(ledger.Lock(testledger.Token(800)))
	asking, longer, silent := tamperedRights(t, s, bound)
	last = add(t, s, aged(testledger.Requested(700)))
	closeStore(t, s)

	const confirmed = 300 // an entry in the middle, of what kind ever
	revealed, open := store.LockKey(ledger.Lock(testledger.Token(5))), store.LockKey(ledger.Lock(testledger.Token(700)))
	return opt, []tampering{
		flipByte("entry: one bit", store.EntryKey(confirmed), 100),
		edit("entry: what still parses", store.EntryKey(confirmed), "source shop", "source shoq"),
		edit("entry: its index", store.EntryKey(confirmed), "index 300", "index 301"),
		edit("entry 0", store.EntryKey(0), "controller shop", "controller shoq"),
		flipByte("entry: the last one", store.EntryKey(last), -3),
		remove("entry: missing", store.EntryKey(confirmed)),
		remove("entry: the last one is missing", store.EntryKey(last)),
		remove("entry: in the edge", store.EntryKey(520)),
		flipByte("tile: one bit", store.TileKey(0, 0), 40),
		flipByte("tile: the last one, at its end", store.TileKey(0, 1), -1),
		remove("tile: missing", store.TileKey(0, 1)),
		rewrite("tile: short", store.TileKey(0, 0), func(b []byte) []byte { return b[:8160] }),
		flipByte("consent: last", store.ConsentKey(id), 7),
		flipByte("consent: request", store.ConsentKey(id), 15),
		flipByte("consent: state", store.ConsentKey(id), 16),
		flipByte("consent: overlays", store.ConsentKey(id), 17),
		edit("consent: purpose", store.ConsentKey(id), "newsletter", "newslettes"),
		edit("consent: channel", store.ConsentKey(5), "email", "emaim"),
		flipByte("consent: kept", store.ConsentKey(bound), 18),
		flipByte("consent: holds", store.ConsentKey(bound), 19),
		flipByte("consent: basis", store.ConsentKey(given), 20),
		flipByte("consent: mode", store.ConsentKey(given), 21),
		flipByte("consent: evidence, its first byte", store.ConsentKey(given), 22),
		flipByte("consent: evidence, its last byte", store.ConsentKey(given), 25),
		rewrite("consent: a basis that does not exist", store.ConsentKey(given), func(b []byte) []byte { b[20] = 6; return b }),
		rewrite("consent: a mode that does not exist", store.ConsentKey(given), func(b []byte) []byte { b[21] = 5; return b }),
		rewrite("consent: kept is neither", store.ConsentKey(bound), func(b []byte) []byte { b[18] = 2; return b }),
		rewrite("consent: a state that does not exist", store.ConsentKey(id), func(b []byte) []byte { b[16] = 200; return b }),
		rewrite("consent: short", store.ConsentKey(id), func(b []byte) []byte { return b[:21] }),
		remove("consent: missing", store.ConsentKey(id)),
		set("consent: one that no entry opened", store.ConsentKey(300_000), append(make([]byte, 16), 1, 0, 0, 0, 0, 0)),
		flipByte("lock: request", revealed, 7),
		flipByte("lock: expires", open, 15),
		flipByte("lock: revealed, made open again", revealed, 16),
		flipByte("lock: open, made revealed", open, 16),
		rewrite("lock: superseded, made the newest", superseded, func(b []byte) []byte { b[16] = 0; return b }),
		rewrite("lock: the newest, made superseded", newest, func(b []byte) []byte { b[16] = 2; return b }),
		rewrite("lock: superseded, made revealed, too", superseded, func(b []byte) []byte { b[16] = 3; return b }),
		rewrite("lock: a flag that does not exist", newest, func(b []byte) []byte { b[16] = 4; return b }),
		remove("lock: the newer one is missing", newest),
		remove("lock: the older one is missing", superseded),
		rewrite("lock: short", open, func(b []byte) []byte { return b[:16] }),
		remove("lock: missing", revealed),
		set("lock: one that no entry has", store.LockKey(sum), make([]byte, 17)),
		edit("purpose: another value", store.PurposeKey("newsletter", 1), `"Marketing":true`, `"Marketing":false`),
		remove("purpose: missing", store.PurposeKey("newsletter", 1)),
		edit("purpose: another term", store.PurposeKey("newsletter", 2), `"MinimumAge":16`, `"MinimumAge":18`),
		edit("purpose: other bases", store.PurposeKey("newsletter", 2), `"AQI="`, `"AQM="`),
		edit("purpose: an old version's value", store.PurposeKey("newsletter", 1), `"Lifetime":604800`, `"Lifetime":604801`),
		edit("purpose: of another entry", store.PurposeKey("newsletter", 1), `"Index":2`, `"Index":3`),
		remove("purpose: the newest version is missing", store.PurposeKey("newsletter", 2)),
		set("purpose: a version that nobody defined", store.PurposeKey("newsletter", 3), []byte(`{"ID":"newsletter","Version":3}`)),
		set("purpose: a gap between versions", store.PurposeKey("newsletter", 4), []byte(`{"ID":"newsletter","Version":4}`)),
		set("purpose: one that nobody defined", store.PurposeKey("survey", 1), []byte(`{"ID":"survey","Version":1}`)),
		edit("source: another role", store.SourceKey("shop"), `"app"`, `"admin"`),
		remove("source: missing", store.SourceKey("shop")),
		set("source: under another key, too", store.SourceKey("shoq"), []byte(`{"Name":"shop","Role":"app"}`)),
		remove("source: where it was declared is missing", store.SourceDeclaredKey("shop", 4)),
		set("source: declared by an entry that is none", store.SourceDeclaredKey("shop", 5), []byte{}),
		{"processor: ended by another entry", func(txn *badger.Txn) error {
			ended := silent + 5
			return errors.Join(txn.Delete(store.EngagementKey("printer", ended)), txn.Set(store.EngagementKey("printer", ended+1), []byte{}))
		}},
		set("source: one that nobody declared", store.SourceKey("desk"), []byte(`{"Name":"desk","Role":"app"}`)),
		edit("notice: another language", store.NoticeKey("newsletter-de", 1), `"de"`, `"en"`),
		edit("notice: covers another purpose", store.NoticeKey("newsletter-de", 1), `["newsletter"]`, `["survey"]`),
		remove("notice: missing", store.NoticeKey("newsletter-de", 1)),
		set("notice: a version that nobody published", store.NoticeKey("newsletter-de", 2), []byte(`{"ID":"newsletter-de","Version":2}`)),
		set("notice: a gap between versions", store.NoticeKey("newsletter-de", 3), []byte(`{"ID":"newsletter-de","Version":3}`)),
		set("registry: not JSON", store.PurposeKey("newsletter", 1), []byte("{")),
		edit("text: another word", store.TextKey(sum), "Ja", "Ha"),
		remove("text: missing", store.TextKey(sum)),
		set("text: empty", store.TextKey(sum), []byte{}),
		edit("facts: another word", store.TextKey(facts), "Shop", "Show"),
		remove("facts: missing", store.TextKey(facts)),
		set("facts: empty", store.TextKey(facts), []byte{}),
		edit("notice: of another use", store.NoticeKey("mail-de", 1), `"mail"`, `"wording"`),
		edit("notice: other facts", store.NoticeKey("mail-de", 1), `"Facts":"`+facts.String(), `"Facts":"`+sum.String()),
		remove("erasure: missing", store.ErasureKey(pending)),
		remove("erasure: missing, its existence waits", store.ErasureKey(done)),
		set("erasure: contents that are destroyed wait again", store.ErasureKey(done), make([]byte, 8)),
		set("erasure: contents are destroyed too early", store.ErasureKey(pending), []byte{0, 0, 0, 0, 0, 0, 0, 9}),
		flipByte("erasure: another entry destroyed the contents", store.ErasureKey(done), 7),
		set("erasure: one that is complete", store.ErasureKey(complete), make([]byte, 8)),
		rewrite("erasure: short", store.ErasureKey(done), func(b []byte) []byte { return b[:7] }),
		set("mention: of another kind", store.MentionKey(bound, use), []byte(ledger.HoldSet)),
		remove("reference: missing", store.ReferKey(free, free+1)),
		edit("reference: another kind", store.ReferKey(free, free+1), "hold.lifted", "hold.lifteb"),
		set("reference: to what the entry does not refer to", store.ReferKey(hold, free+1), []byte("hold.lifted")),
		set("reference: by what refers to nothing", store.ReferKey(hold, use), []byte("consent.used")),
		remove("mention: missing", store.MentionKey(bound, use)),
		set("mention: of a consent that the entry does not name", store.MentionKey(id, use), []byte(ledger.ConsentUsed)),
		set("mention: without a kind", store.MentionKey(bound, use), []byte{}),
		set("mention: by an entry that mentions nobody", store.MentionKey(bound, 2), []byte(ledger.ConsentUsed)),
		set("mention: by an entry to come", store.MentionKey(bound, 70_000), []byte(ledger.ConsentUsed)),
		{"mention: of the consent beside it", func(txn *badger.Txn) error {
			return errors.Join(txn.Delete(store.MentionKey(bound, use)), txn.Set(store.MentionKey(bound+1, use), []byte(ledger.ConsentUsed)))
		}},
		remove("hold: missing", store.HoldKey(hold)),
		set("hold: one that is lifted", store.HoldKey(free), []byte{}),
		set("hold: an entry that is none", store.HoldKey(use), []byte{}),
		{"hold: another", func(txn *badger.Txn) error {
			return errors.Join(txn.Delete(store.HoldKey(hold)), txn.Set(store.HoldKey(free), []byte{}))
		}},
		{"erasure: another entry", func(txn *badger.Txn) error {
			return errors.Join(txn.Delete(store.ErasureKey(pending)), txn.Set(store.ErasureKey(done), make([]byte, 8)))
		}},
		remove("request: missing", store.RightsKey(asking)),
		flipByte("request: received", store.RightsKey(asking), 7),
		flipByte("request: due", store.RightsKey(asking), 15),
		flipByte("request: extended all the same", store.RightsKey(asking), 16),
		flipByte("request: not extended", store.RightsKey(longer), 16),
		rewrite("request: extended is neither", store.RightsKey(longer), func(b []byte) []byte { b[16] = 2; return b }),
		rewrite("request: short", store.RightsKey(asking), func(b []byte) []byte { return b[:16] }),
		rewrite("request: long", store.RightsKey(asking), func(b []byte) []byte { return append(b, 0) }),
		set("request: one that is answered", store.RightsKey(asking+1), make([]byte, 17)),
		set("request: an entry that is none", store.RightsKey(use), make([]byte, 17)),
		{"request: another", func(txn *badger.Txn) error {
			return errors.Join(txn.Delete(store.RightsKey(asking)), txn.Set(store.RightsKey(asking+1), make([]byte, 17)))
		}},
		remove("notification: missing", store.NotificationKey(silent)),
		set("notification: one that is acknowledged", store.NotificationKey(silent+1), []byte{}),
		set("notification: an entry that is none", store.NotificationKey(use), []byte{}),
		{"notification: another", func(txn *badger.Txn) error {
			return errors.Join(txn.Delete(store.NotificationKey(silent)), txn.Set(store.NotificationKey(silent+1), []byte{}))
		}},
		remove("processor: missing", store.ProcessorKey("mailer")),
		edit("processor: another country", store.ProcessorKey("mailer"), `"DE"`, `"US"`),
		edit("processor: another purpose", store.ProcessorKey("mailer"), `["newsletter"]`, `["newslettes"]`),
		edit("processor: of another entry", store.ProcessorKey("mailer"), `"Index":`, `"Index":1`),
		edit("processor: ended, made engaged", store.ProcessorKey("printer"), `"Ended":"2`, `"ended_":"2`),
		edit("processor: another name", store.ProcessorKey("mailer"), `"mailer"`, `"nobody"`),
		set("processor: one that nobody engaged", store.ProcessorKey("nobody"), []byte(`{"ID":"nobody"}`)),
		{"processor: under another key, too", func(txn *badger.Txn) error {
			item, err := txn.Get(store.ProcessorKey("mailer"))
			if err != nil {
				return err
			}
			value, err := item.ValueCopy(nil)
			return errors.Join(err, txn.Set(store.ProcessorKey("nobody"), value))
		}},
		set("processor: not JSON", store.ProcessorKey("mailer"), []byte("{")),
		remove("claim: missing", store.ClaimKey("x.ticket")),
		set("claim: one that nobody declared", store.ClaimKey("x.tickey"), []byte("7")),
		set("claim: by another entry", store.ClaimKey("x.ticket"), []byte("7")),
		set("claim: not JSON", store.ClaimKey("x.ticket"), []byte("{")),
		editMeta("size", plus(1)),
		editMeta("size", plus(-1)),
		editMeta("count", plus(-1)),
		editMeta("last", earlier),
		editMeta("state", plus(1)),
		editMeta("root", func(any) any { return sum[:] }),
		editMeta("leaf", func(any) any { return sum[:] }),
		editMeta("leaf", func(any) any { return sum[:31] }),
		set("meta: not JSON", store.MetaKey, []byte("{")),
		remove("meta: missing", store.MetaKey),
	}
}

// tamperedRights adds what waits for an answer and what does not: three requests, of
// which one waits, one is answered and one is extended, and two notifications, of
// which the first waits; processors, and a claim.
func tamperedRights(t testing.TB, s *store.Store, id ledger.ConsentID) (asking, longer, silent ledger.Index) {
	asking = add(t, s, asked(id))
	answered := add(t, s, asked())
	longer = add(t, s, asked())
	add(t, s, follow(ledger.RequestAnswered, answered), follow(ledger.RequestExtended, longer))
	silent = add(t, s, follow(ledger.RecipientNotified, asking))
	told := add(t, s, follow(ledger.RecipientNotified, asking))
	add(t, s, follow(ledger.RecipientAcknowledged, told))
	add(t, s, engaged("mailer", "newsletter"), engaged("printer"), ended("printer"), declared("x.ticket"))
	return asking, longer, silent
}

// aged has a request say that the person is old enough.
func aged(e *ledger.Entry) *ledger.Entry {
	e.Age = "old_enough"
	return e
}

// TestMissingPurposeVersion: a log that would judge by version 2 of a purpose as
// version 1 does not open.
func TestMissingPurposeVersion(t *testing.T) {
	opt := options(t)
	s := open(t, opt)
	testledger.Fill(t, s, testledger.Prelude)
	g := begin(t, s)
	e := redefined(t, g)
	g.Discard()
	add(t, s, e)
	if err := s.DB().Update(remove("", store.PurposeKey("newsletter", 1)).change); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	refused(t, opt, "a version of purpose newsletter is missing")
}

// TestCheckFindsTampering changes rows behind the log's back. Either the log does
// not open, and then it is as it was, or Check finds it.
func TestCheckFindsTampering(t *testing.T) {
	opt, list := tampered(t)
	s := open(t, opt)
	n := size(s)
	closeStore(t, s)
	adopted(t, opt, n)
	refusedToOpen, found := 0, 0
	for _, how := range list {
		victim := opt
		victim.Dir = copyLog(t, opt.Dir)
		db, err := badgerdb.Open(badgerdb.Options{Dir: victim.Dir + "/log", Compress: true, MemTableBytes: badgerdb.MinMemTableBytes})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(db.Update(how.change), db.Close()); err != nil {
			t.Fatalf("%s: %v", how.name, err)
		}
		before := content(t, victim.Dir)
		s, err := store.Open(victim)
		if err != nil {
			refusedToOpen++
			if !sameContent(before, content(t, victim.Dir)) {
				t.Errorf("%s: refused, and files were changed", how.name)
			}
		} else {
			p := s.Snapshot()
			if _, err := p.Check(nil); err == nil {
				t.Errorf("%s: nobody noticed", how.name)
			} else {
				found++
			}
			p.Release()
			closeStore(t, s)
		}
		if err := os.RemoveAll(victim.Dir); err != nil {
			t.Fatal(err)
		}
	}
	if refusedToOpen < 5 || found < 20 {
		t.Errorf("of %d, %d were refused and %d found", len(list), refusedToOpen, found)
	}
}

// TestMissingNoticeVersion: a log that would serve version 2 of a notice as
// version 1 does not open.
func TestMissingNoticeVersion(t *testing.T) {
	opt := options(t)
	s := open(t, opt)
	testledger.Fill(t, s, testledger.Prelude)
	add(t, s, &ledger.Entry{Kind: ledger.NoticePublished, Source: "admin", Language: "de", Covers: []string{"newsletter"},
		Notice: ledger.NoticeRef{ID: "newsletter-de", Version: 2, SHA256: ledger.TextHash([]byte(testledger.NoticeText))}})
	err := s.DB().Update(remove("", store.NoticeKey("newsletter-de", 1)).change)
	if err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	refused(t, opt, "a version of notice newsletter-de is missing")
}

func TestCheckTellsItsProgress(t *testing.T) {
	s := testledger.New(t)
	testledger.Fill(t, s, 5000)
	p := s.Snapshot()
	defer p.Release()
	var seen []ledger.Size
	replay, err := p.Check(func(done ledger.Size) { seen = append(seen, done) })
	if err != nil || len(seen) != 2 || seen[1] != 4096 {
		t.Errorf("progress %v, %v", seen, err)
	}
	want := p.Chain()
	if chain := replay.Chain(); chain.Size() != p.Size() || chain.Head() != want.Head() {
		t.Error("the state that was derived is not the log's")
	}
}
