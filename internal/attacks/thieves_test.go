package attacks

import (
	"strings"

	"github.com/consentledger/consentledger/ledger"
)

// thieves want to sign in the log's name with keys that it does not use.
var thieves = []attack{
	{by: "a thief of retired keys", does: "goes on with the history as if they had never been rotated",
		not:  "whoever has the log's newest key entries; whoever kept a checkpoint that the new keys signed",
		ends: "`verify log --keys` 1, `verify receipt --keys` 1, `verify log --since` 2", fools: "whoever knows the first keys only, kept nothing and demands no witness",
		try: retired},
	{by: "a thief of retired keys", does: "rotates them to keys of their own, and ships the key entries",
		not:  "whoever has the log's newest key entries",
		ends: "`verify log --keys` 2, `verify receipt --keys` 2", fools: "whoever knows the first keys only, kept nothing and demands no witness",
		try: ownRotation},
	{by: "a thief of retired keys", does: "forks the history before the rotation, in front of whoever kept a checkpoint by the same keys",
		not: "that one", ends: "`verify log --since` 3, `verify fork --log` 3", try: retiredFork},
	{by: "a thief of retired keys", does: "makes a receipt of what was never recorded, of a size before the rotation",
		not:  "whoever holds it against the log; whoever has a policy of the newest keys",
		ends: "`verify receipt --log` 3, `verify receipt` 2, `verify receipt --keys` 2", fools: "whoever knows the first keys only and asks for no log", try: forgedReceipt},
	{by: "a thief of retired keys", does: "accuses the log of a fork by a checkpoint of a size before the rotation",
		not:  "whoever has a policy of the newest keys alone",
		ends: "`verify fork` 2", fools: "whoever takes it for the operator's doing: `verify fork` says that who signed cannot be proven", try: retiredAccusation},
	{by: "a stranger", does: "records a rotation to keys of their own that not both of the old keys signed",
		not: "anybody, even if one of the algorithms is broken", ends: "`verify log` 2, `verify log --keys` 2", try: notByTheOld},
	{by: "whoever holds the keys", does: "records a rotation to keys that they do not hold",
		not: "anybody", ends: "`verify log` 1, `verify log --keys` 2", try: notByTheNew},
	{by: "whoever holds the keys", does: "moves a rotation, or lets it follow or retire other keys than those in force",
		not: "anybody", ends: "`verify log` 1, `verify log --keys` 2", try: movedRotation},
}

// rotate appends a rotation to keys that follow from a name, which then sign.
func (p *paper) rotate(name string) {
	p.Helper()
	next := p.signerOf(p.signer.Origin(), name)
	p.add(p.rotation(next))
	p.signer = next
}

// rotation gives the rotation that may stand next.
func (p *paper) rotation(next *ledger.Signer) *ledger.Entry {
	p.Helper()
	before := ledger.Index(0)
	for i := range p.texts {
		if p.entry(i).Kind == ledger.KeyRotated {
			before = ledger.Index(i)
		}
	}
	e, err := ledger.Rotate(p.signer, next, before, ledger.Index(p.size()), ledger.LeafHash(p.texts[p.size()-1]))
	if err != nil {
		p.Fatal(err)
	}
	e.Source = "admin"
	return e
}

// keys gives the key entries as the file trust.keys, which export then writes.
func (p *paper) keys() []byte {
	p.Helper()
	var file []byte
	for i := range p.texts {
		if kind := p.entry(i).Kind; kind == ledger.LedgerCreated || kind == ledger.KeyRotated {
			file = append(file, p.texts[i]...)
		}
	}
	p.files["trust.keys"] = file
	return file
}

// stolen gives a sound log whose keys were rotated at entry 40, and what a thief of
// the keys before makes of its first 35 entries: n entries more.
func (t *trial) stolen(n int) (log, forged *paper) {
	t.Helper()
	full := t.paper(60)
	log, forged = full.copy(), full.copy()
	log.texts = log.texts[:40]
	log.rotate("next")
	for len(log.texts) < 60 {
		log.add(&ledger.Entry{Kind: ledger.SourceDeclared, Name: sourceName(log.size()), Role: "app"})
	}
	log.keys()
	forged.texts = forged.texts[:35]
	for range n {
		forged.add(&ledger.Entry{Kind: ledger.SourceDeclared, Name: sourceName(forged.size()), Role: "app"})
	}
	forged.keys()
	return log, forged
}

// sourceName is a name of letters alone for the source declared at an index.
func sourceName(i int) string { return "source-" + string(rune('a'+i/26)) + string(rune('a'+i%26)) }

func retired(t *trial) {
	log, forged := t.stolen(30)
	first := t.policy(forged.signer.Keys(), "")
	keys := t.file("keys", log.keys())
	t.sound("log", log.export(), "--policy", first, "--keys", keys)
	dir := forged.export()
	t.fools("log", dir, "--policy", first)
	t.verify(1, "no signature by the log's key", "log", dir, "--policy", first, "--keys", keys)
	receipt := t.file("receipt", forged.receipt(50, 65, forged.checkpoint(65)))
	entry := t.file("entry", forged.texts[50])
	t.verify(1, "no signature by the log's key", "receipt", receipt, "--entry", entry, "--policy", first, "--keys", keys)
	for _, held := range [][]byte{log.checkpoint(60), t.line(log.checkpoint(60))} {
		t.verify(2, "the checkpoint you hold: ", "log", dir, "--policy", first, "--since", t.file("kept", held))
	}
}

func ownRotation(t *trial) {
	log, forged := t.stolen(2)
	first := t.policy(forged.signer.Keys(), "")
	keys := t.file("keys", log.keys())
	forged.rotate("thief")
	for range 30 {
		forged.add(&ledger.Entry{Kind: ledger.SourceDeclared, Name: sourceName(forged.size()), Role: "app"})
	}
	forged.keys()
	dir := forged.export()
	t.fools("log", dir, "--policy", first)
	const hint = "if the log's keys were rotated, give its newest key entries"
	t.verify(2, hint, "log", dir, "--policy", first, "--keys", keys)
	receipt := t.file("receipt", forged.receipt(50, 65, forged.checkpoint(65)))
	t.verify(2, hint, "receipt", receipt, "--entry", t.file("entry", forged.texts[50]), "--policy", first, "--keys", keys)
}

func retiredFork(t *trial) {
	log, forged := t.stolen(30)
	first := t.policy(forged.signer.Keys(), "")
	before := log.copy()
	before.signer, before.texts = forged.signer, before.texts[:39]
	dir := forged.export()
	for _, held := range [][]byte{before.checkpoint(39), t.line(before.checkpoint(39))} {
		kept := t.file("kept", held)
		t.sound("log", log.export(), "--policy", first, "--since", kept)
		t.verify(3, "at 39 entries the root is", "log", dir, "--policy", first, "--since", kept)
	}
	kept := t.file("kept", before.checkpoint(39))
	t.verify(3, "DIVERGED", "fork", kept, dir+"/checkpoint", "--policy", first, "--log", dir)
}

func forgedReceipt(t *trial) {
	log, forged := t.stolen(5)
	first, newest := t.policy(forged.signer.Keys(), ""), t.policy(log.signer.Keys(), "")
	keys, dir := t.file("keys", log.keys()), log.export()
	args := []string{"receipt", t.file("receipt", forged.receipt(36, 40, forged.checkpoint(40))), "--entry", t.file("entry", forged.texts[36]), "--policy"}
	t.fools(append(args, first)...)
	t.fools(append(args, first, "--keys", keys)...)
	t.sound("log", dir, "--policy", first)
	t.verify(3, "at 40 entries the root is", append(args, first, "--log", dir)...)
	// Whoever knows that the keys are retired says nothing against the log.
	t.sound("log", dir, "--policy", newest)
	if code, out := t.verdict(append(args, newest, "--log", dir)...); code != 2 || !strings.Contains(out, "signed by keys that were retired") {
		t.Errorf("under the newest keys: %d\n%s", code, out)
	}
	t.verify(2, "CANNOT TELL", append(args, newest)...)
	t.verify(2, "CANNOT TELL", append(args, newest, "--keys", keys)...)
}

func retiredAccusation(t *trial) {
	log, forged := t.stolen(5)
	newest := t.policy(log.signer.Keys(), "")
	keys, dir := t.file("keys", log.keys()), log.export()
	accusation := t.file("accusation", forged.checkpoint(40))
	t.verify(2, "CANNOT TELL", "fork", accusation, dir+"/checkpoint", "--policy", newest)
	code, out := t.verdict("fork", accusation, dir+"/checkpoint", "--policy", newest, "--keys", keys, "--log", dir)
	if t.fooled = code == 3; !t.fooled || !strings.Contains(out, "who signed: only that it was done with the log's two keys") {
		t.Errorf("verify fork exits with %d\n%s", code, out)
	}
}

// forged demands that a log with a rotation that must not be is found out, whoever of
// the two signs it, and that its key entries are of no use. How it ends is taken down
// for this signer.
func (p *paper) forged(rotation *ledger.Entry, signer, next *ledger.Signer) {
	p.Helper()
	policy := p.policy(p.signer.Keys(), "")
	bad := p.copy()
	bad.add(rotation)
	keys := p.file("forged.keys", bad.keys())
	for _, by := range []*ledger.Signer{p.signer, next} {
		bad.signer = by
		dir := bad.export()
		code, want := 1, "INVALID: entry 40: "
		if by == next {
			code, want = 2, "by two others of its name" // nobody knows these keys
		}
		if by == signer {
			p.verify(code, want, "log", dir, "--policy", policy)
		} else if got, out := p.verdict("log", dir, "--policy", policy); got != code || !strings.Contains(out, want) {
			p.Errorf("verify log exits with %d, want %d and %q\n%s", got, code, want, out)
		}
	}
	p.verify(2, "the keys file", "log", bad.export(), "--policy", policy, "--keys", keys)
}

// unsigned replaces, in the rotation of a log of 40 entries, the signatures in each of
// these places, and then in all, by those of keys that anybody may make.
func (p *paper) unsigned(signer func(old, next *ledger.Signer) *ledger.Signer, places ...int) {
	p.Helper()
	next, stranger := p.signerOf(p.signer.Origin(), "next"), p.signerOf(p.signer.Origin(), "stranger")
	for _, replaced := range [][]int{places[:1], places[1:], places} {
		rotation := p.rotation(next)
		ed, ml := stranger.SignKeyText(rotation.KeyText())
		for _, i := range replaced {
			rotation.Sign[i].Signature = [][]byte{ed, ml}[i%2]
		}
		p.forged(rotation, signer(p.signer, next), next)
	}
}

func notByTheOld(t *trial) {
	t.paper(40).unsigned(func(_, next *ledger.Signer) *ledger.Signer { return next }, 0, 1)
}

func notByTheNew(t *trial) {
	t.paper(40).unsigned(func(old, _ *ledger.Signer) *ledger.Signer { return old }, 2, 3)
}

func movedRotation(t *trial) {
	log := t.paper(60)
	log.texts = log.texts[:40]
	next := t.signerOf(log.signer.Origin(), "next")
	stranger := t.signerOf(log.signer.Origin(), "stranger")
	at, prev := ledger.Index(40), ledger.LeafHash(log.texts[39])
	made := func(old *ledger.Signer, before, at ledger.Index, prev ledger.Hash) *ledger.Entry {
		e, err := ledger.Rotate(old, next, before, at, prev)
		if err != nil {
			t.Fatal(err)
		}
		e.Source = "admin"
		return e
	}
	log.forged(made(log.signer, 0, at, ledger.Hash{1}), log.signer, next)                   // behind another entry
	log.forged(made(log.signer, 0, at-1, ledger.LeafHash(log.texts[38])), log.signer, next) // elsewhere
	log.forged(made(log.signer, 1, at, prev), log.signer, next)                             // after what is no key entry
	log.forged(made(stranger, 0, at, prev), log.signer, next)                               // of keys that never were in force
	other := made(log.signer, 0, at, prev)                                                  // others than those in force, and signed so
	other.Retire = []string{stranger.Keys().Ed25519.String(), stranger.Keys().MLDSA44.String()}
	for i, signer := range []*ledger.Signer{log.signer, next} {
		other.Sign[2*i].Signature, other.Sign[2*i+1].Signature = signer.SignKeyText(other.KeyText())
	}
	log.forged(other, log.signer, next)
	// A second rotation that follows the first keys again.
	first := log.signer
	log.rotate("second")
	log.signer = first
	again := made(first, 0, 41, ledger.LeafHash(log.texts[40]))
	bad := log.copy()
	bad.add(again)
	bad.keys()
	bad.signer = next
	policy := t.policy(first.Keys(), "")
	if code, out := t.verdict("log", bad.export(), "--policy", policy); code == 0 {
		t.Errorf("a second rotation of the same keys is not found:\n%s", out)
	}
}
