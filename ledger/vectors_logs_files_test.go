package ledger

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

// declared is some entry that any log can hold.
func declared(name string) *Entry {
	return &Entry{Kind: SourceDeclared, Source: SourceLedger, Name: name, Role: "app"}
}

// parts gives a subject.erased whose list is split, over two new requests.
func (l *logForTest) parts() (first, second *Entry) {
	ref := l.prelude()
	a, b := l.request(1, ref), l.request(2, ref)
	first, second = l.changed(SubjectErased, a), l.changed(SubjectErased, b)
	first.Part, first.Parts, first.Time = 1, 2, l.now
	second.Part, second.Parts, second.Time = 2, 2, l.now
	return first, second
}

// chainLogs break what every entry owes to the one before it.
var chainLogs = []logVector{
	{name: "index-skips", build: func(l *logForTest) { l.create(); l.rewrite(declared("x"), "index 1\n", "index 2\n") },
		verdict: Invalid, err: "entry 1: index is 2", reason: "indexes count up by one"},
	{name: "prev-differs", build: func(l *logForTest) {
		l.create()
		l.source("admin", "admin")
		l.prev[0] ^= 1
		l.source("shop-frontend", "app")
	}, verdict: Invalid, err: "entry 2: prev is ", reason: "not the leaf hash of the entry before"},
	{name: "prev-of-entry-0", build: func(l *logForTest) { l.prev[31] = 1; l.create() },
		verdict: Invalid, err: "entry 0: prev is ", reason: "before entry 0 there are 32 zero bytes"},
	{name: "time-backwards", build: func(l *logForTest) {
		l.create()
		l.now = l.now.Add(-time.Hour)
		l.source("admin", "admin")
	}, verdict: Invalid, err: "entry 1: time is before that of the entry before it", reason: "time never decreases"},
	{name: "created-twice", build: func(l *logForTest) { l.create(); l.create() },
		verdict: Invalid, err: "entry 1: ledger.created stands at index 0 and only there", reason: "a log is created once"},
	{name: "not-created", build: func(l *logForTest) { l.add(declared("admin")) },
		verdict: Invalid, err: "entry 0: ledger.created stands at index 0 and only there", reason: "a log begins with its creation"},
	{name: "part-2-alone", build: func(l *logForTest) { _, second := l.parts(); l.add(second) },
		verdict: Invalid, err: "entry 9: part 2 of 2 without the parts before it", reason: "part 1 is missing"},
	{name: "part-1-twice", build: func(l *logForTest) { first, _ := l.parts(); l.add(first); again := *first; l.add(&again) },
		verdict: Invalid, err: "entry 10: is not part 2 of 2 of entry 9", reason: "part 2 is missing"},
	{name: "part-interrupted", build: func(l *logForTest) {
		first, second := l.parts()
		l.add(first)
		e := declared("x")
		e.Time = first.Time
		l.add(e)
		second.Time = l.now
		l.add(second)
	}, verdict: Invalid, err: "entry 10: is not part 2 of 2 of entry 9", reason: "parts follow each other directly"},
	{name: "part-interrupted-by-unknown-kind", build: func(l *logForTest) {
		first, _ := l.parts()
		l.add(first)
		l.rewrite(declared("x"), "kind source.declared", "kind source.retired")
	}, verdict: Invalid, err: "entry 10: is not part 2 of 2 of entry 9", reason: "parts follow each other directly, whatever the kind"},
	{name: "part-descends", build: func(l *logForTest) {
		first, second := l.parts()
		first.Consents, second.Consents = second.Consents, first.Consents
		l.add(first)
		l.add(second)
	}, verdict: Invalid, err: "entry 10: its list does not go on where part 1 ended", reason: "ids ascend from part to part"},
	{name: "part-other-line", build: func(l *logForTest) {
		first, second := l.parts()
		second.Reason = "retention"
		l.add(first)
		l.add(second)
	}, verdict: Invalid, err: "entry 10: is not part 2 of 2 of entry 9", reason: "parts have equal lines"},
	{name: "part-other-time", build: func(l *logForTest) {
		first, second := l.parts()
		second.Time = first.Time.Add(time.Microsecond)
		l.add(first)
		l.add(second)
	}, verdict: Invalid, err: "entry 10: is not part 2 of 2 of entry 9", reason: "parts have one time"},
	{name: "part-other-source", build: func(l *logForTest) {
		first, second := l.parts()
		l.source("shop-backend", "app")
		first.Time, second.Time, second.Source = l.now, l.now, "shop-backend"
		l.add(first)
		l.add(second)
	}, verdict: Invalid, err: "entry 11: is not part 2 of 2 of entry 10", reason: "parts have one source"},
	{name: "part-other-count", build: func(l *logForTest) {
		first, second := l.parts()
		second.Parts = 3
		l.add(first)
		l.add(second)
	}, verdict: Invalid, err: "entry 10: is not part 2 of 2 of entry 9", reason: "parts agree on how many they are"},
	{name: "part-other-occurred", build: func(l *logForTest) {
		first, second := l.parts()
		for _, e := range []*Entry{first, second} {
			e.Kind, e.Reason = ConsentWithdrawn, ""
		}
		second.Occurred = l.now.Truncate(time.Second)
		l.add(first)
		l.add(second)
	}, verdict: Invalid, err: "entry 10: is not part 2 of 2 of entry 9", reason: "occurred stands in all parts or in none"},
	{name: "part-about-repeats", build: func(l *logForTest) {
		id := l.request(1, l.prelude())
		for part := range 2 {
			e := l.changed(ConsentUsed, id)
			e.Part, e.Parts, e.Time = part+1, 2, l.now.Add(time.Duration(1-part)*(time.Second+time.Microsecond))
			l.add(e)
		}
	}, verdict: Invalid, err: "entry 9: its list does not go on where part 1 ended", reason: "ids ascend from part to part"},
	{name: "part-missing-at-the-end", build: func(l *logForTest) { first, _ := l.parts(); l.add(first) },
		verdict: Invalid, err: "the log ends within a list that was split", reason: "part 2 is missing"},
	{name: "part-with-token", build: func(l *logForTest) {
		ref := l.prelude()
		e := l.requested(1, "newsletter", ref)
		a := ConsentID(l.add(e))
		second := l.requested(1, "email.open_tracking", ref)
		second.Expires = e.Expires
		b := ConsentID(l.add(second))
		for i, id := range []ConsentID{a, b} {
			c := l.changed(ConsentConfirmed, id)
			c.Part, c.Parts, c.Token, c.Time = i+1, 2, tokenForTest(1), e.Time.Add(time.Minute)
			l.add(c)
		}
	}, verdict: Invalid, err: "entry 10: rule token: no open request", reason: "an entry that reveals a token is never split"},
	{name: "entry-does-not-parse", build: func(l *logForTest) {
		l.create()
		l.rewrite(declared("x"), "role app\n", "role app\nnote hello\n")
	}, verdict: Invalid, err: "entry 1: line 9: unexpected line", reason: "signed, but no entry"},
	{name: "entry-empty", build: func(l *logForTest) { l.create(); l.addText(nil, nil) },
		verdict: Invalid, err: "entry 1: line 1: not a consent ledger entry", reason: "signed, but no entry"},
	{name: "unknown-kind-broken-chain", build: func(l *logForTest) {
		l.create()
		l.rewrite(declared("x"), "kind source.declared", "kind source.retired")
		l.prev[0] ^= 1
		l.source("admin", "admin")
	}, verdict: Invalid, err: "entry 2: prev is ", reason: "an unknown kind does not excuse what can be checked"},
	{name: "later-format-then-no-entry", build: func(l *logForTest) {
		l.create()
		l.addText([]byte("consent-ledger/entry/v2\n"), nil)
		l.addText([]byte("hello\n"), nil)
	}, verdict: Invalid, err: "entry 2: line 1: not a consent ledger entry", reason: "a later format does not excuse what can be checked"},
}

// flip changes one bit of a file.
func flip(path string, at int) func(*logForTest, filesForTest) {
	return func(l *logForTest, f filesForTest) {
		b, ok := f[path]
		if !ok || at >= len(b) {
			l.Fatalf("no byte %d in %s", at, path)
		}
		b = bytes.Clone(b)
		b[at] ^= 1
		f[path] = b
	}
}

func without(path string) func(*logForTest, filesForTest) {
	return func(l *logForTest, f filesForTest) {
		if _, ok := f[path]; !ok {
			l.Fatalf("no file %s", path)
		}
		delete(f, path)
	}
}

func noticePath(f filesForTest) string {
	for path := range f {
		if strings.HasPrefix(path, "notices/") {
			return path
		}
	}
	return ""
}

func preludeLog(l *logForTest) { l.prelude() }

// fileLogs have files that are missing or not what they should be.
var fileLogs = []logVector{
	{name: "no-checkpoint", build: preludeLog, edit: without("checkpoint"), verdict: CannotTell, err: "reading checkpoint: missing part", reason: "a file is missing"},
	{name: "no-tile", build: preludeLog, edit: without("tile/0/000.p/7"), verdict: CannotTell, err: "reading tile/0/000.p/7: missing part", reason: "a file is missing"},
	{name: "no-entries", build: preludeLog, edit: without("tile/entries/000.p/7"), verdict: CannotTell, err: "reading tile/entries/000.p/7: missing part", reason: "a file is missing"},
	{name: "no-notice", build: preludeLog, edit: func(l *logForTest, f filesForTest) { delete(f, noticePath(f)) },
		verdict: CannotTell, err: "entry 5: reading notices/", reason: "a file is missing"},
	{name: "tile-flipped", build: preludeLog, edit: flip("tile/0/000.p/7", 32), verdict: Invalid, err: "tile/0/000.p/7: its hashes are not those of the entries", reason: "one bit flipped"},
	{name: "tile-short", build: preludeLog, edit: func(_ *logForTest, f filesForTest) {
		f["tile/0/000.p/7"] = f["tile/0/000.p/7"][:6*32]
	}, verdict: Invalid, err: "tile/0/000.p/7: its hashes are not those of the entries", reason: "a hash too few"},
	{name: "entry-flipped", build: preludeLog, edit: flip("tile/entries/000.p/7", 5500), verdict: Invalid, err: "tile/0/000.p/7: its hashes", reason: "one bit flipped"},
	{name: "entries-too-few", build: preludeLog, edit: func(l *logForTest, f filesForTest) {
		b := f["tile/entries/000.p/7"]
		f["tile/entries/000.p/7"] = b[:len(b)-2-len(l.texts[6])]
	}, verdict: Invalid, err: "tile/entries/000.p/7: 6 entries, want 7", reason: "an entry too few"},
	{name: "entries-cut", build: preludeLog, edit: func(_ *logForTest, f filesForTest) {
		f["tile/entries/000.p/7"] = f["tile/entries/000.p/7"][:6000]
	}, verdict: Invalid, err: "tile/entries/000.p/7: ", reason: "cut within an entry"},
	{name: "entry-and-tile-replaced", build: preludeLog, edit: func(l *logForTest, f filesForTest) {
		other := newLogForTest(l)
		for _, text := range l.texts[:6] {
			other.addText(text, nil)
		}
		other.source("shop-backend", "app")
		for _, path := range []string{"tile/0/000.p/7", "tile/entries/000.p/7"} {
			f[path] = other.files()[path]
		}
	}, verdict: Invalid, err: "the entries' root is ", reason: "tile and entries agree, but the checkpoint signs others"},
	{name: "later-format-root-differs", build: preludeLog, edit: func(l *logForTest, f filesForTest) {
		other := newLogForTest(l)
		for _, text := range l.texts[:6] {
			other.addText(text, nil)
		}
		other.addText([]byte("consent-ledger/entry/v2\n"), nil)
		for _, path := range []string{"tile/0/000.p/7", "tile/entries/000.p/7"} {
			f[path] = other.files()[path]
		}
	}, verdict: Invalid, err: "the entries' root is ", reason: "a later format that nobody signed"},
	{name: "notice-text-differs", build: preludeLog, edit: func(l *logForTest, f filesForTest) { flip(noticePath(f), 3)(l, f) },
		verdict: Invalid, err: "its content has another hash", reason: "other words than those published"},
	{name: "trust-keys-differ", build: preludeLog, edit: flip("trust.keys", 100), shipped: true, verdict: Invalid, err: "trust.keys: key entry 1 of the file: ", reason: "one bit flipped"},
}

func otherKeysFile(l *logForTest) []byte {
	e, err := NewLedger(otherSigner(l), "shop.example.com", l.now)
	if err != nil {
		l.Fatal(err)
	}
	text, err := e.Encode()
	if err != nil {
		l.Fatal(err)
	}
	return text
}

// otherKeyEntry is the key entry of another log that has the same keys.
func otherKeyEntry(l *logForTest) []byte {
	e, err := NewLedger(l.signer, "another.example.com", l.now)
	if err != nil {
		l.Fatal(err)
	}
	text, err := e.Encode()
	if err != nil {
		l.Fatal(err)
	}
	return text
}

func signWith(s *Signer, c Checkpoint) func(*logForTest, filesForTest) {
	return func(l *logForTest, f filesForTest) {
		if s == nil {
			s = l.signer
		}
		if c.Size < 0 {
			c = l.checkpoint()
		}
		c.Origin = s.Origin()
		signed, err := s.SignCheckpoint(c, l.now.Unix())
		if err != nil {
			l.Fatal(err)
		}
		f["checkpoint"] = signed
	}
}

// signedNotes gives a signed checkpoint of the log, and the same by another pair.
func signedNotes(l *logForTest, signed []byte, by *Signer) (note, other *SignedNote) {
	f := filesForTest{}
	signWith(by, Checkpoint{Size: -1})(l, f)
	note, err1 := ParseSignedNote(signed)
	other, err2 := ParseSignedNote(f["checkpoint"])
	if err := errors.Join(err1, err2); err != nil {
		l.Fatal(err)
	}
	return note, other
}

func strangerSigner(t testing.TB) *Signer {
	s, err := NewSigner("ledger.example.org", seedForTest("ed25519"), seedForTest("ml-dsa-44"))
	if err != nil {
		t.Fatal(err)
	}
	return s.Deterministic()
}

// headLogs have a checkpoint, keys or a policy that do not fit.
var headLogs = []logVector{
	{name: "checkpoint-without-ed25519", build: preludeLog, edit: func(l *logForTest, f filesForTest) { f["checkpoint"] = dropLine(l, f["checkpoint"], 0) },
		verdict: Invalid, err: "no signature by the log's key", reason: "both keys must sign"},
	{name: "checkpoint-without-ml-dsa", build: preludeLog, edit: func(l *logForTest, f filesForTest) { f["checkpoint"] = dropLine(l, f["checkpoint"], 1) },
		verdict: Invalid, err: "no signature by the log's key", reason: "both keys must sign"},
	{name: "checkpoint-by-other-keys", build: preludeLog, edit: func(l *logForTest, f filesForTest) { signWith(otherSigner(l), Checkpoint{Size: -1})(l, f) },
		verdict: CannotTell, err: "give its newest key entries (trust.keys)", reason: "right origin, other keys: they may have been rotated"},
	{name: "checkpoint-by-one-other-key", build: preludeLog, edit: func(l *logForTest, f filesForTest) {
		_, other := signedNotes(l, f["checkpoint"], otherSigner(l))
		other.Lines = other.Lines[1:]
		f["checkpoint"] = other.Bytes()
	}, verdict: Invalid, err: "no signature by the log's key", reason: "one line is no pair's, so no rotation explains it"},
	{name: "checkpoint-by-other-ml-dsa", build: preludeLog, edit: func(l *logForTest, f filesForTest) {
		note, other := signedNotes(l, f["checkpoint"], otherSigner(l))
		note.Lines[1] = other.Lines[1]
		f["checkpoint"] = note.Bytes()
	}, verdict: Invalid, err: "no signature by the log's key", reason: "one of the two keys signed, the other line is another key's"},
	{name: "policy-of-other-keys", build: preludeLog, policy: "other-keys.policy", verdict: CannotTell, err: "give its newest key entries (trust.keys)",
		reason: "right origin, other keys: they may have been rotated"},
	{name: "checkpoint-of-other-origin", build: preludeLog, edit: func(l *logForTest, f filesForTest) { signWith(strangerSigner(l), Checkpoint{Size: -1})(l, f) },
		verdict: Invalid, err: `origin is "ledger.example.org"`, reason: "another log"},
	{name: "checkpoint-flipped", build: preludeLog, edit: flip("checkpoint", 30), verdict: Invalid, err: "does not verify", reason: "one bit of the root flipped"},
	{name: "checkpoint-root-differs", build: preludeLog, edit: signWith(nil, Checkpoint{Size: 7, Root: Hash{1}}), verdict: Invalid, err: "the entries' root is ", reason: "signed over another root"},
	{name: "checkpoint-larger", build: preludeLog, edit: signWith(nil, Checkpoint{Size: 8, Root: Hash{1}}), verdict: CannotTell, err: "reading tile/entries/000.p/8: missing part", reason: "an entry that is not there"},
	{name: "checkpoint-empty-log", build: preludeLog, edit: signWith(nil, Checkpoint{Root: emptyRoot}), verdict: Invalid, err: "at least one entry", reason: "a log begins with its creation"},
	{name: "policy-without-ml-dsa", build: preludeLog, policy: "no-ml-dsa.policy", verdict: CannotTell, err: "policy has no ML-DSA-44 key", reason: "the policy cannot decide"},
	{name: "quorum-not-reached", build: preludeLog, policy: "witnessed.policy", verdict: CannotTell, err: `quorum "all-of-them" is not reached`, reason: "the witness has not signed (yet)"},
	{name: "witness-line-flipped", build: preludeLog, policy: "witnessed.policy", edit: func(l *logForTest, f filesForTest) {
		cosigned(l, f)
		note, err := ParseSignedNote(f["checkpoint"])
		if err != nil {
			l.Fatal(err)
		}
		note.Lines[2].Signature[20] ^= 1
		f["checkpoint"] = note.Bytes()
	}, verdict: Invalid, err: `witness "w1"`, reason: "a known key's line must verify"},
	{name: "entry-0-other-keys", build: func(l *logForTest) {
		e, err := NewLedger(otherSigner(l), "shop.example.com", l.now)
		if err != nil {
			l.Fatal(err)
		}
		l.add(e)
	}, verdict: Invalid, err: "the log does not name the policy's keys as its own", reason: "the log names other keys as its own"},
	{name: "entry-0-signature-flipped", build: func(l *logForTest) {
		e, err := NewLedger(l.signer, "shop.example.com", l.now)
		if err != nil {
			l.Fatal(err)
		}
		e.Sign[1].Signature[7] ^= 1
		l.add(e)
	}, verdict: Invalid, err: "entry 0: rule keys: ML-DSA-44 signature over the key text", reason: "a key did not sign its entry"},
	{name: "entry-0-signatures-swapped", build: func(l *logForTest) {
		e, err := NewLedger(l.signer, "shop.example.com", l.now)
		if err != nil {
			l.Fatal(err)
		}
		e.Sign[0], e.Sign[1] = e.Sign[1], e.Sign[0]
		l.add(e)
	}, verdict: Invalid, err: "entry 0: rule keys: its signatures are not by the keys that it names, in their order", reason: "one spelling"},
	{name: "entry-0-keys-swapped", build: func(l *logForTest) {
		e, err := NewLedger(l.signer, "shop.example.com", l.now)
		if err != nil {
			l.Fatal(err)
		}
		e.Add[0], e.Add[1] = e.Add[1], e.Add[0]
		l.add(e)
	}, verdict: Invalid, err: "entry 0: rule keys: ", reason: "one spelling: type 0x01 first"},
	{name: "entry-0-other-ml-dsa-key", build: func(l *logForTest) {
		s, err := NewSigner(originForLog, seedForTest("ed25519"), seedForTest("other ml-dsa-44"))
		if err != nil {
			l.Fatal(err)
		}
		e, err := NewLedger(s.Deterministic(), "shop.example.com", l.now)
		if err != nil {
			l.Fatal(err)
		}
		l.add(e)
	}, verdict: Invalid, err: "the log does not name the policy's keys as its own", reason: "one of the two keys is another"},
	{name: "entry-0-other-origin", build: func(l *logForTest) {
		e, err := NewLedger(l.signer, "shop.example.com", l.now)
		if err != nil {
			l.Fatal(err)
		}
		e.Origin = "ledger.example.org"
		e.Sign[0].Signature, e.Sign[1].Signature = l.signer.SignKeyText(e.KeyText())
		l.add(e)
	}, verdict: Invalid, err: "entry 0: rule keys: its keys have another origin", reason: "a log has one origin"},
	{name: "entry-0-wrong-key-id", build: func(l *logForTest) {
		e, err := NewLedger(l.signer, "shop.example.com", l.now)
		if err != nil {
			l.Fatal(err)
		}
		e.Sign[1].KeyID++
		l.add(e)
	}, verdict: Invalid, err: "entry 0: rule keys: its signatures are not by the keys that it names", reason: "the second signature names another key"},
	{name: "keys-file-differs", build: preludeLog, keys: otherKeysFile, verdict: CannotTell, err: "the keys file does not hold the policy's keys", reason: "the keys file is another log's"},
	{name: "keys-file-other-entry", build: preludeLog, keys: otherKeyEntry, verdict: Invalid, err: "the keys file given holds other key entries than the log", reason: "the keys file is that of another log under the same keys"},
	{name: "since-older", build: preludeLog, since: func(l *logForTest) []byte {
		newer := newLogForTest(l)
		newer.prelude()
		newer.source("another", "app")
		return newer.sign()
	}, verdict: Diverged, err: "diverged: the log has 7 entries, the checkpoint you hold has 8", reason: "an older copy"},
	{name: "since-forked", build: preludeLog, since: func(l *logForTest) []byte {
		fork := newLogForTest(l)
		fork.create()
		fork.source("admin-2", "admin")
		fork.source("admin-3", "admin")
		return fork.sign()
	}, verdict: Diverged, err: "diverged: at 3 entries the root is ", reason: "another history"},
	{name: "since-same-size", build: preludeLog, since: func(l *logForTest) []byte {
		f := filesForTest{}
		signWith(nil, Checkpoint{Size: 7, Root: Hash{1}})(l, f)
		return f["checkpoint"]
	}, verdict: Diverged, err: "diverged: at 7 entries the root is ", reason: "another history"},
	{name: "since-unsigned", build: preludeLog, since: func(l *logForTest) []byte { return dropLine(l, l.sign(), 1) },
		verdict: CannotTell, err: "missing part: the checkpoint you hold: ", reason: "a checkpoint that proves nothing"},
	{name: "since-of-later-format", build: func(l *logForTest) {
		l.create()
		l.addText([]byte("consent-ledger/entry/v2\n"), nil)
	}, since: func(l *logForTest) []byte {
		f := filesForTest{}
		signWith(nil, Checkpoint{Size: 2, Root: Hash{1}})(l, f)
		return f["checkpoint"]
	}, verdict: Diverged, err: "diverged: at 2 entries the root is ", reason: "a later format does not excuse what can be checked"},
}
