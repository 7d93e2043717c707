package attacks

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// couriers hand over what somebody is to verify, and hold no key.
var couriers = []attack{
	{by: "whoever hands over a copy", does: "changes a byte of any file",
		not: "anybody", ends: "`verify log` 1", try: changedByte},
	{by: "whoever hands over a copy", does: "leaves a file out",
		not: "anybody", ends: "`verify log` 2", try: leftOut},
	{by: "whoever hands over a copy", does: "strips the Ed25519 signature of the log",
		not: "anybody; the witness", ends: "`verify log` 1, `verify receipt` 1, `verify fork` 1, the witness answers 403", try: stripped(0)},
	{by: "whoever hands over a copy", does: "strips the ML-DSA-44 signature of the log",
		not: "anybody; the witness", ends: "`verify log` 1, `verify receipt` 1, `verify fork` 1, the witness answers 403", try: stripped(1)},
	{by: "whoever hands over a copy", does: "strips a witness's signature, either of the two",
		not: "whoever demands the witness", ends: "`verify log` 2, `verify receipt` 2", try: strippedWitness},
	{by: "whoever hands over a copy", does: "signs in a witness's name, or takes its signature from another checkpoint",
		not: "whoever has the witness in their policy", ends: "`verify log` 1, `verify receipt` 1", try: forgedWitness},
	{by: "whoever hands over a copy", does: "passes off another log, with its own name or with this one's",
		not: "anybody; the witness", ends: "`verify log` 1, `verify receipt` 1, the witness answers 404, the witness answers 403", try: otherLog},
	{by: "whoever hands over a copy", does: "replays an old copy that the witnesses have cosigned",
		not: "whoever kept a checkpoint of more", ends: "`verify log --since` 3",
		fools: "whoever kept nothing: the time of the cosignatures, which the report prints, says how old it is", try: replayed},
	{by: "whoever hands over a copy", does: "hides that the keys were rotated, or leaves a rotation out of trust.keys",
		not: "anybody; the verdict says what to ask for", ends: "`verify log` 2, `verify log --keys` 2", try: hiddenRotation},
	{by: "whoever hands over a copy", does: "gives a receipt of another entry, or at another index",
		not: "anybody", ends: "`verify receipt` 1", try: otherReceipt},
	{by: "an accuser", does: "shows a checkpoint, or a mail's line, that the log never signed, as a proof against it",
		not: "anybody", ends: "`verify fork` 1, `verify log --since` 2", try: falseAccusation},
}

func changedByte(t *trial) {
	log := t.paper(300)
	policy := t.policy(log.signer.Keys(), "")
	dir := log.export()
	t.sound("log", dir, "--policy", policy)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		sound := t.read(path)
		for _, at := range []int{0, len(sound) / 2, len(sound) - 1} {
			bad := bytes.Clone(sound)
			bad[at] ^= 1
			if err := os.WriteFile(path, bad, 0o644); err != nil {
				return err
			}
			t.verify(1, "INVALID", "log", dir, "--policy", policy)
		}
		return os.WriteFile(path, sound, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func leftOut(t *trial) {
	log := t.paper(300)
	policy := t.policy(log.signer.Keys(), "")
	dir := log.export()
	left := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "trust.keys" { // a convenience copy, as long as nothing was rotated
			return err
		}
		if err := os.Rename(path, path+".left"); err != nil {
			return err
		}
		t.verify(2, "CANNOT TELL", "log", dir, "--policy", policy)
		left++
		return os.Rename(path+".left", path)
	})
	if err != nil || left < 8 {
		t.Fatalf("%d files left out: %v", left, err)
	}
	t.sound("log", dir, "--policy", policy)
}

func stripped(line int) func(*trial) {
	return func(t *trial) {
		log := t.paper(60)
		policy := t.policy(log.signer.Keys(), "")
		dir := log.export()
		whole := t.read(dir + "/checkpoint")
		rest := t.only(whole, func(i int, _ ledger.SignatureLine) bool { return i != line })
		t.change(dir, "checkpoint", func([]byte) []byte { return rest })
		const want = "no signature by the log's key"
		t.verify(1, want, "log", dir, "--policy", policy)
		receipt, entry := t.file("receipt", log.receipt(20, 60, rest)), t.file("entry", log.texts[20])
		t.verify(1, want, "receipt", receipt, "--entry", entry, "--policy", policy)
		t.verify(1, want, "fork", t.file("whole", whole), dir+"/checkpoint", "--policy", policy)
		t.witness("witness.example", log.signer.Keys()).cosigns(403, 0, rest)
		t.ends("the witness answers 403")
	}
}

func strippedWitness(t *trial) {
	log, w := t.paper(60), t.cosigner("witness.example")
	policy := t.policy(log.signer.Keys(), string(w.Keys().PolicyLines("")), w.Name())
	whole := t.cosign(log.checkpoint(60), w, time.Now())
	dir, entry := log.export(), t.file("entry", log.texts[20])
	t.change(dir, "checkpoint", func([]byte) []byte { return whole })
	t.sound("log", dir, "--policy", policy)
	for line := 2; line < 4; line++ {
		rest := t.only(whole, func(i int, _ ledger.SignatureLine) bool { return i != line })
		t.change(dir, "checkpoint", func([]byte) []byte { return rest })
		t.verify(2, "is not reached", "log", dir, "--policy", policy)
		t.verify(2, "is not reached", "receipt", t.file("receipt", log.receipt(20, 60, rest)), "--entry", entry, "--policy", policy)
	}
}

func forgedWitness(t *trial) {
	log, w := t.paper(60), t.cosigner("witness.example")
	policy := t.policy(log.signer.Keys(), string(w.Keys().PolicyLines("")), w.Name())
	dir, entry := log.export(), t.file("entry", log.texts[20])
	bare := t.read(dir + "/checkpoint")
	note := func(signed []byte) *ledger.SignedNote {
		n, err := ledger.ParseSignedNote(signed)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	other, now := t.cosign(log.checkpoint(59), w, time.Now()), time.Now()
	stranger := t.cosign(bare, t.cosignerOf("witness.example", "stranger"), now)
	for _, from := range [][]byte{other, stranger} {
		for line := 2; line < 4; line++ {
			forged := note(t.cosign(bare, w, now))
			forged.Lines[line].Signature = note(from).Lines[line].Signature
			t.change(dir, "checkpoint", func([]byte) []byte { return forged.Bytes() })
			t.verify(1, `witness "witness.example/`, "log", dir, "--policy", policy)
			receipt := t.file("receipt", log.receipt(20, 60, forged.Bytes()))
			t.verify(1, `witness "witness.example/`, "receipt", receipt, "--entry", entry, "--policy", policy)
		}
	}
}

func otherLog(t *trial) {
	log := t.paper(60)
	policy := t.policy(log.signer.Keys(), "")
	w := t.witness("witness.example", log.signer.Keys())
	other := log.copy()
	other.signer = t.signerOf("ledger.example.org/other", "other")
	entry := t.file("entry", other.texts[20])
	own := other.checkpoint(60)
	renamed := bytes.ReplaceAll(own, []byte(other.signer.Origin()), []byte(log.signer.Origin()))
	moved := bytes.Replace(log.checkpoint(60), []byte(log.signer.Origin()+"\n"), []byte(other.signer.Origin()+"\n"), 1)
	back := bytes.Replace(own, []byte(other.signer.Origin()+"\n"), []byte(log.signer.Origin()+"\n"), 1)
	for _, c := range []struct {
		checkpoint []byte
		code       int
		want       string
	}{{own, 1, "origin is "}, {moved, 1, "origin is "}, {back, 1, "no signature by the log's key"}} {
		dir := log.export()
		t.change(dir, "checkpoint", func([]byte) []byte { return c.checkpoint })
		t.verify(c.code, c.want, "log", dir, "--policy", policy)
		t.verify(c.code, c.want, "receipt", t.file("receipt", other.receipt(20, 60, c.checkpoint)), "--entry", entry, "--policy", policy)
	}
	w.cosigns(404, 0, own)
	t.ends("the witness answers 404")
	w.cosigns(403, 0, back)
	w.cosigns(403, 0, renamed)
	t.ends("the witness answers 403")
}

func replayed(t *trial) {
	log, w := t.paper(60), t.cosigner("witness.example")
	policy := t.policy(log.signer.Keys(), string(w.Keys().PolicyLines("")), w.Name())
	kept := t.file("kept", log.checkpoint(60))
	log.texts = log.texts[:50]
	dir := log.export()
	signed := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	t.change(dir, "checkpoint", func(b []byte) []byte { return t.cosign(b, w, signed) })
	t.fools("log", dir, "--policy", policy)
	if out := t.sound("log", dir, "--policy", policy, "--json"); !bytes.Contains([]byte(out), []byte(`"2026-11-22T09:00:00Z"`)) {
		t.Errorf("the report does not say when the witness signed:\n%s", out)
	}
	t.verify(3, "the log has 50 entries, the checkpoint you hold has 60", "log", dir, "--policy", policy, "--since", kept)
}

func hiddenRotation(t *trial) {
	log := t.paper(40)
	first := t.policy(log.signer.Keys(), "")
	log.rotate("second")
	once := t.file("keys", log.keys())
	log.rotate("third")
	log.keys()
	whole := log.export()
	t.sound("log", whole, "--policy", first)
	t.sound("log", whole, "--policy", first, "--keys", once)
	const hint = "if the log's keys were rotated, give its newest key entries"
	delete(log.files, "trust.keys")
	dir := log.export()
	t.verify(2, hint, "log", dir, "--policy", first)
	t.verify(2, hint, "log", dir, "--policy", first, "--keys", once)
	for _, left := range [][]byte{log.texts[0], t.read(once), append(bytes.Clone(log.texts[0]), log.texts[41]...)} {
		log.files["trust.keys"] = left
		t.verify(2, hint, "log", log.export(), "--policy", first)
	}
}

func otherReceipt(t *trial) {
	log := t.paper(60)
	policy := t.policy(log.signer.Keys(), "")
	entry := t.file("entry", log.texts[20])
	sound := log.receipt(20, 60, log.checkpoint(60))
	t.sound("receipt", t.file("receipt", sound), "--entry", entry, "--policy", policy)
	for _, bad := range [][]byte{
		log.receipt(21, 60, log.checkpoint(60)),
		bytes.Replace(log.receipt(21, 60, log.checkpoint(60)), []byte("index 21\n"), []byte("index 20\n"), 1),
		log.receipt(20, 59, log.checkpoint(60)),
		log.receipt(20, 60, log.checkpoint(59)),
	} {
		t.verify(1, "INVALID", "receipt", t.file("receipt", bad), "--entry", entry, "--policy", policy)
	}
	changed := bytes.Replace(log.texts[20], []byte("index 20\n"), []byte("index 21\n"), 1)
	t.verify(1, "INVALID", "receipt", t.file("receipt", sound), "--entry", t.file("entry", changed), "--policy", policy)
}

func falseAccusation(t *trial) {
	log, other := t.twoHistories()
	policy, dir := t.policy(log.signer.Keys(), ""), log.export()
	other.signer = t.signerOf(log.signer.Origin(), "accuser")
	strangers := other.checkpoint(60)
	forged, err := ledger.ParseSignedNote(strangers)
	if err != nil {
		t.Fatal(err)
	}
	own, err := ledger.ParseSignedNote(log.checkpoint(60))
	if err != nil {
		t.Fatal(err)
	}
	forged.Lines = own.Lines // the log's, about another root
	accusation := t.file("accusation", forged.Bytes())
	t.verify(1, "INVALID", "fork", dir+"/checkpoint", accusation, "--policy", policy)
	for _, held := range [][]byte{forged.Bytes(), t.line(forged.Bytes()), strangers, t.line(strangers)} {
		t.verify(2, "the checkpoint you hold: ", "log", dir, "--policy", policy, "--since", t.file("held", held))
	}
}
