package ledger

import (
	"bytes"
	"slices"
)

// rotatedLog has two rotations, at 7 and 9, and ten entries.
func rotatedLog(l *logForTest) {
	l.prelude()
	l.rotate("second ")
	l.source("shop-backend", "app")
	l.rotate("third ")
}

// keyFile gives the first n key entries of the rotated log.
func keyFile(n int) func(*logForTest) []byte {
	return func(l *logForTest) []byte {
		r := newLogForTest(l)
		rotatedLog(r)
		return bytes.Join(r.keys[:n], nil)
	}
}

// signedAtSize gives the checkpoint of the rotated log at a size, by the pair that is
// named.
func signedAtSize(size Size, which string) func(*logForTest) []byte {
	return func(l *logForTest) []byte {
		r, then := newLogForTest(l), Tree{}
		rotatedLog(r)
		for _, text := range r.texts[:size] {
			then.Append(LeafHash(text), func(int, int64, Hash) {})
		}
		f := filesForTest{}
		signWith(pairForTest(l, which), Checkpoint{Size: size, Root: then.Root()})(l, f)
		return f["checkpoint"]
	}
}

// signedBy has another pair sign the log as it stands.
func signedBy(which string) func(*logForTest, filesForTest) {
	return func(l *logForTest, f filesForTest) { signWith(pairForTest(l, which), Checkpoint{Size: -1})(l, f) }
}

// forgedKeys is a trust.keys in which another pair follows the first.
func forgedKeys(l *logForTest) []byte {
	forged := newLogForTest(l)
	forged.prelude()
	forged.rotate("other ")
	return bytes.Join(forged.keys, nil)
}

// rotatedLogs are logs whose keys were rotated, and what a verifier is given for it.
var rotatedLogs = []logVector{
	{name: "rotated", build: rotatedLog, shipped: true, verdict: Verified, mention: "2 rotations of keys", reason: "the policy's keys lead to the newest by the log's own trust.keys"},
	{name: "rotated-keys-given", build: rotatedLog, keys: keyFile(3), verdict: Verified, reason: "the policy's keys lead to the newest by the keys file"},
	{name: "rotated-no-keys", build: rotatedLog, verdict: CannotTell, err: "give its newest key entries (trust.keys)", reason: "nothing leads from the policy's keys to those that signed"},
	{name: "rotated-older-keys", build: rotatedLog, keys: keyFile(2), verdict: CannotTell, err: "give its newest key entries (trust.keys)", reason: "the keys file ends before the second rotation"},
	{name: "rotated-older-keys-shipped", build: rotatedLog, keys: keyFile(2), shipped: true, verdict: Verified, reason: "the log's own trust.keys goes on from the keys file"},
	{name: "rotated-second-policy", build: rotatedLog, policy: "second.policy", shipped: true, verdict: Verified, reason: "a policy of the pair in the middle"},
	{name: "rotated-keys-without-the-policys", build: rotatedLog, policy: "other-keys.policy", keys: keyFile(3), verdict: CannotTell,
		err: "the keys file does not hold the policy's keys", reason: "nothing leads to the policy's keys"},
	{name: "rotated-older-copy", build: preludeLog, keys: keyFile(3), verdict: Verified, reason: "a copy from before the rotations, a keys file from after them"},
	{name: "rotated-older-copy-newer-policy", build: preludeLog, policy: "second.policy", keys: keyFile(3), verdict: CannotTell, err: "signed by keys that were retired with entry 7 or before",
		reason: "what a pair signed that was replaced does not count under a policy of the one that replaced it"},
	{name: "rotated-since-before", build: rotatedLog, shipped: true, since: signedAtSize(7, ""), verdict: Verified, mention: "contains the checkpoint you hold, of 7 entries",
		reason: "the first pair signed the size before its successor's entry"},
	{name: "rotated-since-between", build: rotatedLog, shipped: true, since: signedAtSize(9, "second "), verdict: Verified, mention: "contains the checkpoint you hold, of 9 entries",
		reason: "the second pair signed from its own entry to that of its successor"},
	{name: "rotated-since-by-retired", build: rotatedLog, shipped: true, since: signedAtSize(8, ""), verdict: CannotTell, err: "missing part: the checkpoint you hold: ",
		reason: "a pair does not sign a size with its successor's entry"},
}

// keyLogs are logs whose keys were rotated, signed by keys that are not in force, or
// with key entries that are not the log's.
var keyLogs = []logVector{
	{name: "rotated-signed-by-retired", build: rotatedLog, edit: signedBy("second "), shipped: true, verdict: Invalid, err: "no signature by the log's key",
		reason: "a pair that was retired signs no larger log"},
	{name: "rotated-signed-by-retired-alone", build: rotatedLog, edit: signedBy(""), verdict: Invalid, err: "the keys that signed the checkpoint are not those in force at its size",
		reason: "the policy's pair signed, but the log says that it was retired"},
	{name: "rotated-signed-by-both-halves", build: rotatedLog, shipped: true, edit: func(l *logForTest, f filesForTest) {
		note, retired := signedNotes(l, f["checkpoint"], pairForTest(l, "second "))
		note.Lines[1] = retired.Lines[1]
		f["checkpoint"] = note.Bytes()
	}, verdict: Invalid, err: "no signature by the log's key", reason: "Ed25519 by the pair in force, ML-DSA-44 by the one before"},
	{name: "rotated-signed-too-early", build: preludeLog, edit: signedBy("second "), keys: keyFile(3), verdict: Invalid, err: "no signature by the log's key",
		reason: "a pair signs nothing before its own entry"},
	{name: "rotated-signed-by-all", build: rotatedLog, shipped: true, edit: func(l *logForTest, f filesForTest) {
		note, retired := signedNotes(l, f["checkpoint"], pairForTest(l, "second "))
		note.Lines = slices.Concat(note.Lines, retired.Lines)
		f["checkpoint"] = note.Bytes()
	}, verdict: Verified, mention: "ledger.example.com/shop+", reason: "lines by a pair that is not in force are nobody's"},
	{name: "rotated-forged-keys-shipped", build: rotatedLog, edit: func(l *logForTest, f filesForTest) { f["trust.keys"] = forgedKeys(l) }, shipped: true,
		verdict: CannotTell, err: "give its newest key entries (trust.keys)", reason: "trust.keys leads elsewhere: the log's own keys are then unknown"},
	{name: "rotated-forged-keys-beside-given", build: rotatedLog, edit: func(l *logForTest, f filesForTest) { f["trust.keys"] = forgedKeys(l) }, shipped: true, keys: keyFile(3),
		verdict: Invalid, err: "trust.keys holds other key entries than the log", reason: "the keys file leads to the log's keys, and trust.keys elsewhere"},
	{name: "rotated-forged-keys-given", build: rotatedLog, keys: forgedKeys, shipped: true, verdict: CannotTell, err: "give its newest key entries (trust.keys)",
		reason: "the keys file leads elsewhere"},
	{name: "rotated-history-left-out", build: func(l *logForTest) {
		l.prelude()
		l.source("shop-backend", "app")
	}, keys: keyFile(3), verdict: Invalid, err: "no signature by the log's key", reason: "a retired pair that was stolen signs a history without the rotations"},
	{name: "rotated-history-replaced", build: func(l *logForTest) {
		l.prelude()
		l.rotate("other ")
	}, shipped: true, keys: keyFile(3), verdict: CannotTell, err: "give its newest key entries (trust.keys)",
		reason: "a retired pair that was stolen rotates to a thief's: nothing known signed"},
	{name: "rotated-trust-keys-cut", build: rotatedLog, edit: func(l *logForTest, f filesForTest) { f["trust.keys"] = f["trust.keys"][:len(f["trust.keys"])-1] }, shipped: true,
		keys: keyFile(3), verdict: Invalid, err: "trust.keys: key entry 3 of the file: ", reason: "a byte is missing"},
	{name: "rotated-trust-keys-empty", build: preludeLog, edit: func(l *logForTest, f filesForTest) { f["trust.keys"] = []byte{} }, shipped: true,
		verdict: Verified, reason: "an empty file says nothing"},
	{name: "rotated-then-unknown-kind", build: func(l *logForTest) {
		rotatedLog(l)
		l.rewrite(declared("x"), "kind source.declared", "kind source.retired")
	}, shipped: true, verdict: CannotTell, err: "entry 10: needs a newer verifier: unknown kind source.retired", reason: "a kind of a later version"},
}

// badRotation appends a rotation that is not what it should be, and signs with the
// pair that it names.
func badRotation(edit func(l *logForTest, e *Entry, next *Signer)) func(*logForTest) {
	return func(l *logForTest) {
		l.prelude()
		l.rotate("second ")
		e, next := l.rotated("third ")
		edit(l, e, next)
		l.add(e)
		l.signer = next
	}
}

// signAnew has two pairs sign a rotation as it stands.
func signAnew(e *Entry, before, next *Signer) {
	e.Sign = nil
	before.sign(e)
	next.sign(e)
}

// spoiled gives a rotation of which one signature does not hold.
func spoiled(n int) func(*logForTest) {
	return badRotation(func(_ *logForTest, e *Entry, _ *Signer) { e.Sign[n].Signature[9] ^= 1 })
}

// badRotations are rotations that break the rule keys, or another. Such key entries
// lead nowhere: the policy is that of the pair that signs at last.
var badRotations = []logVector{
	{name: "rotation-old-ed25519", build: spoiled(0), policy: "third.policy", verdict: Invalid, err: "entry 8: rule keys: Ed25519 signature over the key text", reason: "the pair before did not sign"},
	{name: "rotation-old-ml-dsa", build: spoiled(1), policy: "third.policy", verdict: Invalid, err: "entry 8: rule keys: ML-DSA-44 signature over the key text", reason: "the pair before did not sign"},
	{name: "rotation-new-ed25519", build: spoiled(2), policy: "third.policy", verdict: Invalid, err: "entry 8: rule keys: Ed25519 signature over the key text", reason: "the pair that follows did not sign"},
	{name: "rotation-new-ml-dsa", build: spoiled(3), policy: "third.policy", verdict: Invalid, err: "entry 8: rule keys: ML-DSA-44 signature over the key text", reason: "the pair that follows did not sign"},
	{name: "rotation-signed-by-the-first", build: badRotation(func(l *logForTest, e *Entry, next *Signer) { signAnew(e, l.first, next) }), policy: "third.policy",
		verdict: Invalid, err: "entry 8: rule keys: its signatures are not by the keys that it names", reason: "signed by a pair that was retired before"},
	{name: "rotation-new-signs-first", build: badRotation(func(l *logForTest, e *Entry, next *Signer) { signAnew(e, next, l.signer) }), policy: "third.policy",
		verdict: Invalid, err: "entry 8: rule keys: its signatures are not by the keys that it names", reason: "one order: the old pair, then the new"},
	{name: "rotation-signatures-swapped", build: badRotation(func(_ *logForTest, e *Entry, _ *Signer) { e.Sign[0], e.Sign[1] = e.Sign[1], e.Sign[0] }), policy: "third.policy",
		verdict: Invalid, err: "entry 8: rule keys: its signatures are not by the keys that it names", reason: "one order: Ed25519, then ML-DSA-44"},
	{name: "rotation-refers-to-entry-0", build: badRotation(func(_ *logForTest, e *Entry, _ *Signer) { e.Refers[0] = 0 }), policy: "third.policy",
		verdict: Invalid, err: "entry 8: rule keys: refers to entry 0, the key entry before it is 7", reason: "it follows the newest key entry, no other"},
	{name: "rotation-refers-to-another", build: badRotation(func(_ *logForTest, e *Entry, _ *Signer) { e.Refers[0] = 6 }), policy: "third.policy",
		verdict: Invalid, err: "entry 8: rule keys: refers to entry 6, the key entry before it is 7", reason: "it follows a key entry"},
	{name: "rotation-retires-the-first", build: badRotation(func(l *logForTest, e *Entry, next *Signer) {
		e.Retire = l.first.Keys().vkeys()
		signAnew(e, l.first, next)
	}), policy: "third.policy", verdict: Invalid, err: "entry 8: rule keys: the keys that it retires are not those in force", reason: "a pair that was retired cannot appoint its successor again"},
	{name: "rotation-retires-swapped", build: badRotation(func(l *logForTest, e *Entry, next *Signer) {
		e.Retire[0], e.Retire[1] = e.Retire[1], e.Retire[0]
		signAnew(e, l.signer, next)
	}), policy: "third.policy", verdict: Invalid, err: "entry 8: rule keys: the keys that it retires are not those in force", reason: "one order: type 0x01 first"},
	{name: "rotation-adds-swapped", build: badRotation(func(l *logForTest, e *Entry, next *Signer) {
		e.Add[0], e.Add[1] = e.Add[1], e.Add[0]
		signAnew(e, l.signer, next)
	}), policy: "third.policy", verdict: Invalid, err: "entry 8: rule keys: ", reason: "one order: type 0x01 first"},
	{name: "rotation-other-origin", build: badRotation(func(l *logForTest, e *Entry, _ *Signer) {
		stranger := strangerSigner(l)
		e.Add = stranger.Keys().vkeys()
		signAnew(e, l.signer, stranger)
	}), policy: "third.policy", verdict: Invalid, err: "entry 8: rule keys: its keys have another origin", reason: "the origin never changes"},
	{name: "rotation-keeps-ed25519", build: badRotation(func(l *logForTest, e *Entry, _ *Signer) {
		mixed, err := NewSigner(originForLog, seedForTest("second ed25519"), seedForTest("third ml-dsa-44"))
		if err != nil {
			l.Fatal(err)
		}
		e.Add = mixed.Keys().vkeys()
		signAnew(e, l.signer, mixed.Deterministic())
	}), policy: "third.policy", verdict: Invalid, err: "entry 8: rule keys: a key that it adds is one that it retires", reason: "both keys change"},
	{name: "rotation-to-the-first", build: badRotation(func(l *logForTest, e *Entry, _ *Signer) {
		e.Add = l.first.Keys().vkeys()
		signAnew(e, l.signer, l.first)
	}), policy: "third.policy", verdict: Invalid, err: "entry 8: a key that was retired with entry 0 comes back", reason: "what was retired stays so"},
	{name: "rotation-made-for-another-place", build: func(l *logForTest) {
		l.prelude()
		e, next := l.rotated("second ")
		l.source("shop-backend", "app")
		l.add(e)
		l.signer = next
	}, policy: "second.policy", verdict: Invalid, err: "entry 8: rule keys: Ed25519 signature over the key text", reason: "the signatures hold at one index and after one entry"},
	{name: "rotation-by-app", build: badRotation(func(_ *logForTest, e *Entry, _ *Signer) { e.Source = "shop-frontend" }), policy: "third.policy",
		verdict: Invalid, err: "entry 8: rule role: ", reason: "an administrator rotates"},
}
