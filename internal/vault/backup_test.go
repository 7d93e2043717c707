package vault

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"filippo.io/age"

	"github.com/consentledger/consentledger/internal/keyfile"
	"github.com/consentledger/consentledger/ledger"
)

// backedOptions gives options for a vault in base/data whose key backups go to
// base/target, under an identity in base/medium.
func backedOptions(base string) Options {
	opt := optionsIn(filepath.Join(base, "data"))
	opt.KeyBackup = &KeyBackup{Target: filepath.Join(base, "target"), IdentityPath: filepath.Join(base, "medium", "identity")}
	return opt
}

func makePlaces(t testing.TB) (base string) {
	t.Helper()
	base = t.TempDir()
	for _, dir := range []string{"data", "target", "medium"} {
		check(t, os.Mkdir(filepath.Join(base, dir), 0o700))
	}
	return base
}

// copyBase copies data, target and medium as they lie.
func copyBase(t testing.TB, base string) string {
	t.Helper()
	return copyOf(t, Options{Dir: filepath.Join(base, "vault")})
}

// story is a vault whose groups are those of a log.
type story struct {
	tb
	v      *Vault
	leaves []ledger.Hash // of the log's entries
	people []*person
}

func newStory(t tb, v *Vault) *story { return &story{t, v, make([]ledger.Hash, 1), nil} }

func (s *story) size() ledger.Size { return ledger.Size(len(s.leaves)) }

// leaf gives the log's leaf hashes as they are now.
func (s *story) leaf() func(ledger.Index) (ledger.Hash, error) {
	leaves := slices.Clone(s.leaves)
	return func(i ledger.Index) (ledger.Hash, error) {
		if i >= ledger.Index(len(leaves)) {
			return ledger.Hash{}, fmt.Errorf("entry %d of %d was asked for", i, len(leaves))
		}
		return leaves[i], nil
	}
}

// group commits what fn does as a group of one entry, whose index it gets.
func (s *story) group(fn func(d *Draft, at ledger.Index)) {
	s.Helper()
	b := s.v.Begin()
	defer b.Discard()
	d := b.Draft()
	fn(d, ledger.Index(len(s.leaves)))
	check(s, d.Keep())
	s.commit(b, 1)
}

func (s *story) commit(b *Batch, count int) {
	s.Helper()
	base := s.size()
	for range count {
		s.leaves = append(s.leaves, ledger.Hash(newSecret()))
	}
	must[GroupRecord](s)(b.Commit(base, count, s.leaves[len(s.leaves)-1]))
}

// add adds n people with one consent each, in groups of up to 100.
func (s *story) add(n int) (added []*person) {
	s.Helper()
	for len(added) < n {
		b := s.v.Begin()
		count := min(n-len(added), 100)
		for i := range count {
			id := ledger.ConsentID(len(s.leaves) + i)
			p := newPerson(int(id))
			p.ids = append(p.ids, Identifier{"phone", fmt.Sprintf("+49 %d", id)})
			d := b.Draft()
			p.insert(s, s.v, d, id)
			check(s, d.Keep())
			added = append(added, p)
		}
		s.commit(b, count)
	}
	s.people = append(s.people, added...)
	return added
}

// more gives people one more consent each.
func (s *story) more(people ...*person) {
	s.Helper()
	for _, p := range people {
		s.group(func(d *Draft, at ledger.Index) { p.insert(s, s.v, d, ledger.ConsentID(at)) })
	}
}

// plan plans changes in a group each.
func (s *story) plan(changes map[*person]Change) {
	s.Helper()
	for p, c := range changes {
		s.group(func(d *Draft, _ ledger.Index) {
			subject, ok, err := d.SubjectOf(p.consents[0])
			if !ok || err != nil {
				s.Fatalf("SubjectOf: %v, %v", ok, err)
			}
			check(s, d.Plan(subject, c))
		})
	}
}

// change plans changes and carries them out in one pass.
func (s *story) change(changes map[*person]Change) {
	s.Helper()
	s.plan(changes)
	carryOut(s, s.v)
	for p, c := range changes {
		p.changed(c)
	}
}

// all makes the same change of several people.
func all(people []*person, c Change) map[*person]Change {
	changes := make(map[*person]Change)
	for _, p := range people {
		changes[p] = c
	}
	return changes
}

func (s *story) verify() {
	s.Helper()
	for _, p := range s.people {
		p.verify(s, s.v)
	}
}

// clonePeople copies what is known of people, as it is now.
func clonePeople(people []*person) (clones []*person) {
	for _, p := range people {
		q := *p
		q.requests = maps.Clone(p.requests)
		clones = append(clones, &q)
	}
	return clones
}

// TestBackupOpensWithAge decrypts a key backup with age's own parser of
// identities, as its command does, and finds everybody's keys in it.
func TestBackupOpensWithAge(t *testing.T) {
	opt := backedOptions(makePlaces(t))
	s := newStory(t, newVault(t, opt))
	s.add(30)
	s.change(all(s.people[:3], Change{Erase: true}))
	generation, people, err := s.v.BackupKeys()
	check(t, err)
	if generation != 2 || people != 27 {
		t.Errorf("generation %d with %d people, want 2 with 27", generation, people)
	}
	text := must[[]byte](t)(os.ReadFile(opt.KeyBackup.IdentityPath))
	for _, want := range []string{"# generation 2\n", "# origin " + testOrigin + "\n", "\nAGE-SECRET-KEY-PQ-1"} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("the identity's file has no %q", want)
		}
	}
	ids, err := age.ParseIdentities(bytes.NewReader(text))
	check(t, err)
	file := must[*os.File](t)(os.Open(filepath.Join(opt.KeyBackup.Target, "keys-2.age")))
	defer file.Close()
	plain := must[[]byte](t)(io.ReadAll(must[io.Reader](t)(age.Decrypt(file, ids...))))
	h, totals, err := readBackup(bytes.NewReader(plain), nil)
	check(t, err)
	if h.origin != testOrigin || h.generation != 2 || h.group.record != s.v.Record() || totals.people != 27 {
		t.Errorf("the head is another, or counts %d people", totals.people)
	}
	for _, hidden := range []secret{s.v.root.key, s.v.tree.days[0].key, s.v.tree.days[1].key} {
		if bytes.Contains(plain, hidden[:]) {
			t.Error("ROOT or a key of the day is in the backup")
		}
	}
	for n := range s.v.tree.shards {
		if !bytes.Contains(plain, s.v.tree.shards[n].key[:]) {
			t.Fatalf("the key of shard %d is not in the backup", n)
		}
	}
	if status := s.v.KeyBackup(); !status.Target || status.Generation != 2 || !status.At.Equal(h.at) || len(status.Notes) != 3 {
		t.Errorf("KeyBackup: %+v", status)
	}
}

// The content of a key backup with any byte changed, cut anywhere or lengthened
// is refused, without age around it.
func TestBackupContentDamaged(t *testing.T) {
	v := newVault(t, testOptions(t))
	newStory(t, v).add(3)
	var good bytes.Buffer
	check(t, v.View(func(w View) error { _, err := writeBackup(&good, testOrigin, w); return err }))
	if _, _, err := readBackup(bytes.NewReader(good.Bytes()), nil); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, b []byte) {
		t.Helper()
		if _, _, err := readBackup(bytes.NewReader(b), nil); !errors.Is(err, ErrBackupContent) && !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("lengthened", append(bytes.Clone(good.Bytes()), 0))
	refused("empty", nil)
	refused("without its last byte", good.Bytes()[:good.Len()-1])
	head := len(backupMagic) + 16 + 2 + len(testOrigin) + groupRecordSize + 1
	for at := 0; at < good.Len(); at++ {
		if at >= head { // shard keys and rows are all alike
			at += 13
		}
		if at >= head+200 && at < head+shardCount*36 {
			at += 5000
		}
		b := bytes.Clone(good.Bytes())
		b[min(at, len(b)-1)] ^= 1
		refused(fmt.Sprint("byte ", at, " of ", len(b)), b)
		refused(fmt.Sprint("cut to ", at, " of ", len(b)), b[:min(at, len(b)-1)])
	}
}

func FuzzReadBackup(f *testing.F) {
	v := newVault(f, testOptions(f))
	newStory(f, v).add(1)
	var good bytes.Buffer
	check(f, v.View(func(w View) error { _, err := writeBackup(&good, testOrigin, w); return err }))
	f.Add(good.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		var rows []row
		h, totals, err := readBackup(bytes.NewReader(b), func(_ *backupHead, key, value []byte) error {
			rows = append(rows, row{bytes.Clone(key), bytes.Clone(value)})
			return nil
		})
		if err != nil {
			return
		}
		var again bytes.Buffer
		w := newBackupWriter(&again)
		w.head(h)
		for _, r := range rows {
			check(t, w.row(r.key, r.value))
		}
		if got := must[backupTotals](t)(w.end()); got != totals || !bytes.Equal(again.Bytes(), b) {
			t.Error("a backup parses and encodes differently")
		}
	})
}

func FuzzParseBackupIdentity(f *testing.F) {
	id := must[*backupIdentity](f)(newBackupIdentity(testOrigin, 3))
	f.Add(id.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if id, err := parseBackupIdentity(b); err == nil && !bytes.Equal(id.encode(), b) {
			t.Errorf("%q parses and encodes differently", b)
		}
	})
}

// A key backup whose rows are not those of a vault is refused, though its sum is
// right.
func TestBackupRowsRefused(t *testing.T) {
	v := newVault(t, testOptions(t))
	newStory(t, v).add(3)
	var good bytes.Buffer
	var rows []row
	check(t, v.View(func(w View) error { _, err := writeBackup(&good, testOrigin, w); return err }))
	h, _, err := readBackup(&good, func(_ *backupHead, key, value []byte) error {
		rows = append(rows, row{bytes.Clone(key), bytes.Clone(value)})
		return nil
	})
	check(t, err)
	shardRow := slices.IndexFunc(rows, func(r row) bool { return r.key[0] == rowShard })
	moved := func(at int) []row {
		r := row{bytes.Clone(rows[shardRow].key), rows[shardRow].value}
		r.key[at]++
		return []row{r}
	}
	for name, c := range map[string]struct {
		rows []row
		want error
	}{
		"as they are": {rows, nil},
		"swapped":     {append([]row{rows[1], rows[0]}, rows[2:]...), ErrBackupContent},
		"twice":       {append([]row{rows[0]}, rows...), ErrBackupContent},
		"a claim":     {[]row{{rowKey(rowClaim, make([]byte, 16)), nil}}, ErrBackupContent},
		"a root row":  {[]row{{keyRoot(), v.tree.encode(v.root)}}, ErrBackupContent},
		"token":       {[]row{h.tree.sealShardRow(rowManage, make([]byte, 32), u64(1))}, ErrBackupContent},
		"short":       {[]row{{rowKey(rowShard, u16(1), u32(1), []byte{rowIndex}), nil}}, ErrBackupContent},
		"shard":       {moved(2), ErrBackupContent},
		"generation":  {moved(6), ErrBackupContent},
		"slot":        {moved(8), ErrDamaged},
		"too long":    {[]row{{rows[0].key, make([]byte, backupMaxValue+1)}}, ErrBackupContent},
	} {
		var b bytes.Buffer
		w := newBackupWriter(&b)
		w.head(h)
		for _, r := range c.rows {
			check(t, w.row(r.key, r.value))
		}
		must[backupTotals](t)(w.end())
		if _, _, err := readBackup(&b, nil); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// TestBackupRefused opens a vault with key backups that cannot be made, or would
// not protect anybody.
func TestBackupRefused(t *testing.T) {
	base := makePlaces(t)
	opt := backedOptions(base)
	s := newStory(t, newVault(t, opt))
	s.add(3)
	_, _, err := s.v.BackupKeys()
	check(t, err)
	check(t, s.v.Close())
	good := must[[]byte](t)(os.ReadFile(opt.KeyBackup.IdentityPath))
	other := must[*backupIdentity](t)(newBackupIdentity("other.example/ledger", 1)).encode()
	with := func(path string, content []byte, mode fs.FileMode) func(*Options) {
		return func(*Options) {
			check(t, os.WriteFile(path, content, 0o600))
			check(t, os.Chmod(path, mode))
		}
	}
	identityAt := func(path string) func(*Options) { return func(o *Options) { o.KeyBackup.IdentityPath = path } }
	identity := opt.KeyBackup.IdentityPath
	for name, c := range map[string]struct {
		change func(o *Options)
		want   error
		says   string
	}{
		"no target":         {func(o *Options) { o.KeyBackup.Target = "" }, ErrBackupTarget, "required"},
		"no identity":       {identityAt(""), ErrBackupTarget, "required"},
		"target missing":    {func(o *Options) { o.KeyBackup.Target += "/none" }, ErrBackupTarget, "no such file"},
		"target a file":     {func(o *Options) { o.KeyBackup.Target = o.RootKeyPath }, ErrBackupTarget, "no directory"},
		"target read-only":  {func(o *Options) { o.KeyBackup.Target = "/proc" }, ErrBackupTarget, "/proc"},
		"target in vault":   {func(o *Options) { o.KeyBackup.Target = o.Dir }, ErrBackupTarget, "vault's own directory"},
		"in data":           {identityAt(base + "/data/identity"), ErrBackupIdentity, "ledger's directory"},
		"in vault":          {identityAt(base + "/data/vault/identity"), ErrBackupIdentity, "ledger's directory"},
		"in target":         {identityAt(base + "/target/identity"), ErrBackupIdentity, "among the backups"},
		"in data by a link": {func(o *Options) { o.KeyBackup.IdentityPath = base + "/link/identity" }, ErrBackupIdentity, "ledger's directory"},
		"root key":          {identityAt(opt.RootKeyPath), ErrBackupIdentity, "root key's file"},
		"no medium":         {identityAt(base + "/none/identity"), ErrBackupIdentity, "no such file"},
		"read by others":    {with(identity, good, 0o640), ErrBackupIdentity, "chmod 600"},
		"not writable":      {with(identity, good, 0o400), ErrBackupIdentity, "able to destroy"},
		"next by others":    {with(identity+".next", good, 0o604), ErrBackupIdentity, "chmod 600"},
		"a directory":       {identityAt(base + "/medium"), ErrBackupIdentity, "no regular file"},
		"empty":             {with(identity, nil, 0o600), ErrBackupIdentity, "not the file of a backup identity"},
		"damaged":           {with(identity, bytes.Replace(good, []byte("PQ-1"), []byte("PQ-2"), 1), 0o600), ErrBackupIdentity, "damaged"},
		"two lines":         {with(identity, append(bytes.Clone(good), '\n'), 0o600), ErrBackupIdentity, "damaged"},
		"other ledger":      {with(identity, other, 0o600), ErrBackupMismatch, "other.example"},
		"later generation": {with(identity, bytes.Replace(good, []byte("generation 1"), []byte("generation 7"), 1), 0o600),
			ErrBackupMismatch, "vault and root key were put back from a copy"},
		"stranger's backup": {with(base+"/target/keys-1.age", []byte("age-encryption.org/v1\n"), 0o600), ErrBackupContent, "directory of its own"},
	} {
		t.Run(name, func(t *testing.T) {
			base := base
			o := opt
			k := *opt.KeyBackup
			o.KeyBackup = &k
			files := map[string][]byte{identity: good, base + "/target/keys-1.age": must[[]byte](t)(os.ReadFile(base + "/target/keys-1.age"))}
			check(t, os.Symlink(base+"/data", base+"/link"))
			c.change(&o)
			v, err := Open(o)
			if err == nil {
				v.Close()
			}
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "AGE-SECRET") {
				t.Errorf("Open: %v, want %v with %q", err, c.want, c.says)
			}
			check(t, os.RemoveAll(base+"/link"))
			check(t, os.RemoveAll(identity+".next"))
			for path, content := range files {
				check(t, os.Remove(path))
				check(t, os.WriteFile(path, content, 0o600))
			}
		})
	}
	// Root keys replaced while there was no target.
	without := opt
	without.KeyBackup = nil
	s.v = openVault(t, without)
	s.change(all(s.people[:1], Change{Erase: true}))
	if _, _, err := s.v.BackupKeys(); !errors.Is(err, ErrBackupTarget) {
		t.Errorf("BackupKeys without a target: %v", err)
	}
	check(t, s.v.Close())
	if _, err := Open(opt); !errors.Is(err, ErrBackupMismatch) || !strings.Contains(err.Error(), "replaced without key backups") {
		t.Errorf("Open with an identity of an earlier generation: %v", err)
	}
	// What it says to do helps.
	check(t, keyfile.Destroy(identity))
	check(t, os.Remove(base+"/target/keys-1.age"))
	s.v = openVault(t, opt)
	if status := s.v.KeyBackup(); status.Generation != 0 {
		t.Errorf("KeyBackup: %+v", status)
	}
	if generation, people, err := s.v.BackupKeys(); err != nil || generation != 2 || people != 2 {
		t.Errorf("BackupKeys: %d, %d, %v", generation, people, err)
	}
}

// TestPassReplacesBackup carries out passes and sees that each leaves exactly
// one backup, which the identities before do not open.
func TestPassReplacesBackup(t *testing.T) {
	base := makePlaces(t)
	opt := backedOptions(base)
	s := newStory(t, newVault(t, opt))
	s.add(12)
	var before [][]byte
	var backups []string
	link := filepath.Join(base, "link")
	for generation := uint32(2); generation < 5; generation++ {
		if generation > 2 {
			check(t, os.Link(opt.KeyBackup.IdentityPath, link))
		}
		s.change(all(s.people[generation:generation+1], Change{Erase: true}))
		onePair(t, base, generation)
		if generation > 2 {
			if _, err := readBackupIdentity(link); !errors.Is(err, ErrBackupIdentity) {
				t.Errorf("the old identity was not overwritten where it lay: %v", err)
			}
			check(t, os.Remove(link))
		}
		for _, text := range before {
			old := must[*backupIdentity](t)(parseBackupIdentity(text))
			if _, err := readSealedHead(filepath.Join(base, "target", fmt.Sprintf("keys-%d.age", generation)), old); !errors.Is(err, ErrBackupContent) {
				t.Errorf("an identity of an earlier generation opens backup %d: %v", generation, err)
			}
			noBytes(t, copyOf(t, Options{Dir: filepath.Join(base, "medium", "vault")}), []byte(old.key.String()))
		}
		text := must[[]byte](t)(os.ReadFile(opt.KeyBackup.IdentityPath))
		for _, file := range backups {
			if _, err := readSealedHead(file, must[*backupIdentity](t)(parseBackupIdentity(text))); !errors.Is(err, ErrBackupContent) {
				t.Errorf("identity %d opens an earlier backup: %v", generation, err)
			}
		}
		before = append(before, text)
		backups = append(backups, filepath.Join(copyBase(t, base), "target", fmt.Sprintf("keys-%d.age", generation)))
	}
	s.verify()

	// Another ledger's backup is not overwritten.
	stranger := filepath.Join(base, "target", "keys-4.age")
	check(t, copyFile(backups[0], stranger+".tmp"))
	check(t, os.Rename(stranger+".tmp", stranger))
	want := must[[]byte](t)(os.ReadFile(stranger))
	if _, _, err := s.v.BackupKeys(); !errors.Is(err, ErrBackupContent) || !strings.Contains(err.Error(), "directory of its own") {
		t.Errorf("BackupKeys over a stranger's: %v", err)
	}
	if got := must[[]byte](t)(os.ReadFile(stranger)); !bytes.Equal(got, want) {
		t.Error("it was overwritten")
	}
}

// onePair makes sure that there is one backup and one identity, of the given
// generation, and that they open.
func onePair(t *testing.T, base string, generation uint32) {
	t.Helper()
	if got := names(t, base+"/target"); !slices.Equal(got, []string{fmt.Sprintf("keys-%d.age", generation)}) {
		t.Errorf("the target holds %v, want backup %d", got, generation)
	}
	if got := names(t, base+"/medium"); !slices.Equal(got, []string{"identity"}) {
		t.Errorf("the medium holds %v", got)
	}
	if got := pairs(t, base); !slices.Equal(got, []uint32{generation}) {
		t.Errorf("backups of the generations %v can be opened, want %d", got, generation)
	}
}

func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	for _, e := range must[[]fs.DirEntry](t)(os.ReadDir(dir)) {
		names = append(names, e.Name())
	}
	return names
}

// pairs gives the generations of which there is a whole backup with its
// identity.
func pairs(t *testing.T, base string) (generations []uint32) {
	t.Helper()
	for _, name := range names(t, base+"/target") {
		for _, identity := range []string{"identity", "identity.next"} {
			id, err := readBackupIdentity(filepath.Join(base, "medium", identity))
			if err != nil {
				continue
			}
			if h, _, err := readSealed(filepath.Join(base, "target", name), id, nil); err == nil && name != "keys.age.tmp" {
				generations = append(generations, h.generation)
			}
		}
	}
	return generations
}

// TestBackupCrashes ends a pass with a key backup at every step, and the
// recovery from that at every step of its own: at any moment there is a backup
// with its identity, and in the end there is the next one alone.
func TestBackupCrashes(t *testing.T) {
	base := makePlaces(t)
	s := newStory(t, newVault(t, backedOptions(base)))
	s.add(8)
	_, _, err := s.v.BackupKeys()
	check(t, err)
	planned := all(s.people[:2], Change{Erase: true})
	s.plan(planned)
	check(t, s.v.Close())
	seen := make(map[string]int)
	crashEverywhere(t, base, seen, func(v *Vault) error {
		_, err := v.CarryOut(v.Record().Seq)
		return err
	}, func(t *testing.T, left, at string) {
		recoverBackup(t, left, at, s, planned, seen)
	})
	for _, name := range []string{
		"identity.next made", "identity.next synced", "backup written", "backup in place", "old backup removed", "identity overwritten",
		"identity renamed", "identity promoted", "root promoted", "recovery: backup in place", "recovery: identity.next dropped",
		"recovery: identity overwritten", "recovery: old backup removed", "recovery: identity promoted",
	} {
		if seen[name] == 0 && !(testing.Short() && strings.HasPrefix(name, "recovery")) {
			t.Errorf("no crash at step %q", name)
		}
	}
	t.Logf("crashes: %v", seen)
}

// crashEverywhere does something to a copy of base, with a crash at every step,
// and hands what each left to then, with the step's name. If there was a backup
// with its identity, there must be one at any moment.
func crashEverywhere(t *testing.T, base string, seen map[string]int, do func(v *Vault) error, then func(t *testing.T, left, at string)) {
	for n := 0; ; n++ {
		at := copyBase(t, base)
		v := openVault(t, backedOptions(at))
		step, name := crashAt(n)
		v.opt.testOnlyStep, v.keeper.(*fileRoot).file.Step, v.backup.identity.Step = step, step, step
		err := do(v)
		if err == nil {
			check(t, v.Close())
			return
		}
		if !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		seen[*name]++
		left := copyBase(t, at)
		v.Close()
		os.RemoveAll(at)
		t.Run(fmt.Sprintf("%02d %s", n, *name), func(t *testing.T) {
			if len(pairs(t, left)) == 0 && len(pairs(t, base)) > 0 {
				t.Fatal("there is no backup that opens")
			}
			then(t, left, *name)
		})
		os.RemoveAll(left)
	}
}

// backupRecovered are the steps that leave a start most to do with a key backup; its
// own steps are the same after the others.
var backupRecovered = []string{"identity.next dropped", "backup written", "root overwritten", "old backup removed"}

// ofBackup tells whether a step has to do with key backups; the others have
// tests of their own.
func ofBackup(step string) bool {
	return strings.Contains(step, "backup") || strings.Contains(step, "identity") || strings.HasPrefix(step, "root")
}

func recoverBackup(t *testing.T, left, at string, s *story, planned map[*person]Change, seen map[string]int) {
	n := 0
	if !slices.Contains(backupRecovered, at) || testing.Short() {
		n = math.MaxInt // no crash of the recovery
	}
	for ; ; n++ {
		again := copyBase(t, left)
		opt := backedOptions(again)
		step, name := crashAt(n)
		opt.testOnlyStep = step
		v, err := Open(opt)
		if err != nil && !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		if err == nil {
			check(t, v.Close())
		} else {
			seen["recovery: "+*name]++
		}
		if err == nil || ofBackup(*name) {
			if len(pairs(t, again)) == 0 {
				t.Fatalf("after a crash of the recovery at %q there is no backup that opens", *name)
			}
			v = openVault(t, backedOptions(again))
			carryOut(t, v)
			for i, p := range clonePeople(s.people) {
				if c, ok := planned[s.people[i]]; ok {
					p.changed(c)
				}
				p.verify(t, v)
			}
			check(t, v.Close())
			onePair(t, again, 2)
		}
		os.RemoveAll(again)
		if err == nil {
			return
		}
	}
}

// TestFirstBackupCrashes ends the very first backup at every step: the vault
// opens after each, and the next one succeeds.
func TestFirstBackupCrashes(t *testing.T) {
	base := makePlaces(t)
	s := newStory(t, newVault(t, backedOptions(base)))
	s.add(2)
	check(t, s.v.Close())
	seen := make(map[string]int)
	backup := func(v *Vault) error { _, _, err := v.BackupKeys(); return err }
	crashEverywhere(t, base, seen, backup, func(t *testing.T, left, _ string) {
		v := openVault(t, backedOptions(left))
		check(t, backup(v))
		check(t, v.Close())
		onePair(t, left, 1)
	})
	if len(seen) != 8 {
		t.Errorf("crashes: %v", seen)
	}
	// And a later one, which replaces the file under the same identity.
	v := openVault(t, backedOptions(base))
	check(t, backup(v))
	check(t, v.Close())
	crashEverywhere(t, base, seen, backup, func(t *testing.T, left, _ string) {
		if got := pairs(t, left); !slices.Equal(got, []uint32{1}) {
			t.Errorf("backups of the generations %v can be opened", got)
		}
	})
}

// A backup beside writers is one moment of the vault.
func TestBackupBesideWriters(t *testing.T) {
	base := makePlaces(t)
	opt := backedOptions(base)
	s := newStory(t, newVault(t, opt))
	s.add(200)
	done := make(chan bool)
	go func() {
		defer close(done)
		for range 20 {
			s.add(20)
			s.more(s.people[:5]...)
		}
	}()
	for backing := true; backing; {
		_, people, err := s.v.BackupKeys()
		check(t, err)
		id := must[*backupIdentity](t)(readBackupIdentity(opt.KeyBackup.IdentityPath))
		h, totals, err := readSealed(filepath.Join(base, "target", "keys-1.age"), id, nil)
		check(t, err)
		// Each entry that opened a consent added a person's row and two of the index, or
		// the row of a consent.
		size := int(h.group.record.Base) + h.group.record.Count
		consents := size - 1
		if int(totals.people) != people || int(totals.rows) != 1+2*people+consents {
			t.Errorf("%d people and %d rows at log size %d", people, totals.rows, size)
		}
		select {
		case <-done:
			backing = false
		default:
		}
	}
	s.verify()
}

// Backups and passes take turns: neither writes what the other has destroyed.
func TestBackupBesidePasses(t *testing.T) {
	base := makePlaces(t)
	s := newStory(t, newVault(t, backedOptions(base)))
	s.add(20)
	done := make(chan error)
	var passed atomic.Bool
	go func() {
		var err error
		for err == nil && !passed.Load() {
			_, _, err = s.v.BackupKeys()
		}
		done <- err
	}()
	for _, p := range s.people[:8] {
		s.change(map[*person]Change{p: {Erase: true}})
	}
	passed.Store(true)
	check(t, <-done)
	s.verify()
	onePair(t, base, 9)
}
