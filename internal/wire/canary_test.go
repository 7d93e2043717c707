package wire_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/badgerdb"
	"github.com/consentledger/consentledger/ledger"
)

// TestCanaries puts values that look like personal data wherever a caller can
// put anything, in requests that succeed and in requests that are refused, and
// then looks for them in everything that the ledger keeps, writes and answers,
// in many encodings: while the persons are there and after their erasure.
func TestCanaries(t *testing.T) {
	t.Parallel()
	g := newGarden(t)
	g.controlMasks()
	g.world = newWorld(t, g.r)
	g.tell()
	g.everyFieldIsPlanted(t)
	refused := g.tryEveryField()
	g.tryEverythingAround()
	for _, key := range g.r.keys {
		g.remember(&planted{what: "an API key", text: key, secret: true})
	}
	g.remember(&planted{what: "the token of an open request", text: g.frozen.token, secret: true})
	for _, c := range []consent{g.open, g.frozen, g.confirmed, g.held, g.misspelt, g.phoned} {
		g.remember(&planted{what: "a manage token", text: c.manage, secret: true})
	}
	t.Logf("%d canaries, %d requests refused for or with one", len(g.canaries), refused)

	s := newSearch(g.canaries)
	t.Logf("%d forms", len(s.needles))
	g.onlyWhatWasAsked(s)
	g.harvest(s, "")
	g.eraseEverybody()
	g.harvest(s, "after the erasures, ")
}

// onlyWhatWasAsked: DiscloseClaims is the one door through which personal values leave,
// and those that were not asked for stay.
func (g *garden) onlyWhatWasAsked(s *search) {
	found := map[string]int{}
	for _, h := range s.in(g.shown.Bytes()) {
		found[h.of.what]++
	}
	asked := []string{" claims.name,", " claims.user_agent,", " claims.form_snapshot,", " file_name,", " media_type,", " bytes,"}
	for what := range found {
		if !slices.ContainsFunc(asked, func(part string) bool { return strings.Contains(what, part) }) {
			g.t.Errorf("DiscloseClaims shows what was sent as %s", what)
		}
	}
	if len(found) < len(asked) {
		g.t.Errorf("DiscloseClaims shows %d of the values that were asked for", len(found))
	}
}

// harvest looks for canaries everywhere.
func (g *garden) harvest(s *search, when string) {
	g.t.Helper()
	places := g.places(g.export())
	for i := range places {
		places[i].name = when + places[i].name
	}
	for _, leak := range s.leaks(places) {
		g.t.Error(leak)
	}
}

// export copies the log as auditors get it.
func (s *story) export() (dir string) {
	dir = filepath.Join(s.t.TempDir(), "export")
	snap := s.r.service.Log().Snapshot()
	defer snap.Release()
	if err := snap.Export(dir); err != nil {
		s.t.Fatal(err)
	}
	return dir
}

// places gives everything that the ledger keeps, writes and answers. What came
// back since the last time is forgotten then.
func (g *garden) places(export string) []place {
	g.visit()
	public := func(n needle) bool { return n.of.public }
	hash := func(n needle) bool { return n.of.public && strings.HasPrefix(n.form, "SHA-256") }
	list := filesBelow(g.t, g.r.dir, public)
	for _, db := range []string{"log", "vault"} {
		list = append(list, place{"the rows of DIR/" + db, rowsOf(g.t, filepath.Join(g.r.dir, db)), public})
	}
	list = append(list, filesBelow(g.t, export, public)...)
	for start := int64(0); start < int64(g.r.size()); start += 5000 {
		file := g.r.fileOf(audit+"ExportRange", object{"start": fmt.Sprint(start), "limit": "5000"})
		list = append(list, g.unpacked("the auditor's bundle", file, public)...)
	}
	list = append(list, filesBelow(g.t, g.r.backups, nil)...)
	g.mu.Lock()
	defer g.mu.Unlock()
	defer g.answers.Reset()
	defer g.masked.Reset()
	defer g.refusals.Reset()
	return append(list,
		place{"the server's log", []byte(g.r.log.String()), hash},
		place{"refusals", bytes.Clone(g.refusals.Bytes()), nil},
		place{"masked answers", bytes.Clone(g.masked.Bytes()), func(n needle) bool { return n.of.public || n.of.secret || mayBeMasked(n) }},
		place{"answers", bytes.Clone(g.answers.Bytes()), func(n needle) bool {
			return n.of.public || n.of.secret || n.of.shown
		}})
}

// filesBelow gives the files of a directory as they lie. A file's name is a
// place, too.
func filesBelow(t testing.TB, dir string, allowed func(needle) bool) []place {
	t.Helper()
	var list []place
	var names strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := filepath.Join(filepath.Base(dir), strings.TrimPrefix(path, dir))
		fmt.Fprintln(&names, name)
		if d.IsDir() {
			return nil
		}
		text, err := os.ReadFile(path)
		list = append(list, place{"the file " + name, text, allowed})
		return err
	})
	if err != nil || len(list) == 0 {
		t.Fatalf("%d files in %s: %v", len(list), dir, err)
	}
	return append(list, place{"names of files", []byte(names.String()), allowed})
}

// rowsOf gives the keys and values of a database, in all versions that are
// left. It reads a copy: tables of the log are compressed, and the server holds
// the original.
func rowsOf(t testing.TB, dir string) []byte {
	t.Helper()
	scratch := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(scratch, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	db, err := badgerdb.Open(badgerdb.Options{Dir: scratch, Compress: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var rows []byte
	count := 0
	err = db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{AllVersions: true, PrefetchValues: true, PrefetchSize: 100})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			count++
			rows = append(append(rows, it.Item().Key()...), '\n')
			err := it.Item().Value(func(value []byte) error {
				rows = append(append(rows, value...), '\n')
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || count < 10 {
		t.Fatalf("%d rows in %s: %v", count, dir, err)
	}
	return rows
}

// visit asks for everything that can be read without naming a person. The spy
// keeps the answers.
func (g *garden) visit() {
	g.t.Helper()
	get := func(path string, role authn.Role) {
		g.t.Helper()
		if a := g.r.get(path, g.r.keys[role]); a.status != http.StatusOK {
			g.t.Errorf("GET %s: %d", path, a.status)
		}
	}
	get("/healthz", "")
	get("/readyz", "")
	for _, method := range []string{"ListPurposes", "ListNotices", "GetStatus", "GetErasureStatus"} {
		g.do("AdminService/"+method, object{})
	}
	g.do("AdminService/RunRetention", object{"mode": "dry_run", "ahead": "315360000s"})
	g.do("EvidenceService/ListRequests", object{})
	get("/log/checkpoint", authn.Auditor)
	get("/log/trust.keys", authn.Auditor)
	size := g.r.size()
	for level := 0; int64(size)>>(ledger.TileHeight*level) > 0; level++ {
		full, partial := ledger.TileRange(size, level)
		for n := range full + 1 {
			width := ledger.TileWidth
			if n == full {
				width = partial
			}
			if width == 0 {
				continue
			}
			get("/log/"+ledger.TilePath(level, n, width), authn.Auditor)
			if level == 0 {
				get("/log/"+ledger.EntriesPath(n, width), authn.Auditor)
			}
		}
	}
	snap := g.r.service.Log().Snapshot()
	defer snap.Release()
	snap.Notices(func(n ledger.Notice) {
		get("/log/notices/"+hex.EncodeToString(n.SHA256[:]), authn.Auditor)
		g.do("AuditService/GetNotice", object{"sha256": n.SHA256[:]})
	})
	for i := ledger.Size(0); i < size; i += 1000 {
		g.do("AuditService/BatchListEntries", object{"start": fmt.Sprint(i)})
	}
}

// eraseEverybody erases every person who was named in any request, once nothing
// keeps them any more.
func (g *garden) eraseEverybody() {
	g.t.Helper()
	erased := 0
	g.liftHolds()
	for _, c := range []consent{g.open, g.other, g.spare, g.locked, g.confirmed, g.withdrawn, g.rejected, g.expired, g.frozen, g.held, g.misspelt, g.asker, g.iced, g.child, g.ended} {
		g.persons = append(g.persons, c.who)
	}
	for _, who := range g.persons {
		switch _, f := g.call(g.t, "ConsentService/EraseSubject", object{"subject": who, "reason": "art17", "mode": "shred_now"}); {
		case f == nil:
			erased++
		case f.code != "not_found":
			g.t.Errorf("an erasure: %s: %s", f.code, f.message)
		}
	}
	g.t.Logf("%d persons erased", erased)
	if erased < 10 {
		g.t.Errorf("%d persons were erased, want everybody", erased)
	}
}

// liftHolds lifts every hold that any request set.
func (g *garden) liftHolds() {
	g.t.Helper()
	snap := g.r.service.Log().Snapshot()
	defer snap.Release()
	holds, err := snap.OpenHolds()
	if err != nil || len(holds) == 0 {
		g.t.Errorf("%d open holds: %v", len(holds), err)
	}
	for _, hold := range holds {
		g.do("EvidenceService/LiftHold", object{"hold_id": fmt.Sprint(hold)})
	}
}
