package ledger

import (
	"bytes"
	"strings"
	"testing"
)

// receiptVector changes the receipt, the entry or the keys of a good receipt.
type receiptVector struct {
	name    string
	edit    func(l *logForTest, r *Receipt, f filesForTest) // f: receipt (when r is nil afterwards), entry, keys
	text    func(receipt string) string
	policy  string
	verdict Verdict
	err     string
	reason  string
}

var receiptVectors = []receiptVector{
	{name: "good", reason: "entry 6 of the worked example"},
	{name: "with-keys", edit: func(l *logForTest, _ *Receipt, f filesForTest) { f["keys"] = l.texts[0] }, reason: "the keys file leads to the policy's keys"},
	{name: "with-extra", edit: func(_ *logForTest, r *Receipt, _ filesForTest) { r.Extra = []byte("hello") }, reason: "extra bytes are nobody's word"},
	{name: "foreign-signature", edit: func(l *logForTest, r *Receipt, _ filesForTest) {
		f := filesForTest{"checkpoint": r.Checkpoint}
		foreignLine(l, f)
		r.Checkpoint = f["checkpoint"]
	}, reason: "a line by a key outside the policy is named, not checked"},
	{name: "other-entry", edit: func(l *logForTest, _ *Receipt, f filesForTest) { f["entry"] = l.texts[5] },
		verdict: Invalid, err: "the entry has index 5, the receipt 6", reason: "a receipt for another entry"},
	{name: "other-entry-same-index", edit: func(l *logForTest, _ *Receipt, f filesForTest) {
		f["entry"] = bytes.Replace(l.texts[6], []byte("consent.confirmed"), []byte("confirmation.rejected"), 1)
	}, verdict: Invalid, err: "does not prove that this entry is in the log", reason: "an entry that the log does not hold"},
	{name: "other-index", edit: func(_ *logForTest, r *Receipt, _ filesForTest) { r.Index = 5 },
		verdict: Invalid, err: "the entry has index 6, the receipt 5", reason: "a receipt for another entry"},
	{name: "entry-does-not-parse", edit: func(_ *logForTest, _ *Receipt, f filesForTest) { f["entry"] = append(f["entry"], '\n') },
		verdict: Invalid, err: "entry: line 11: unexpected line", reason: "no entry"},
	{name: "proof-too-short", edit: func(_ *logForTest, r *Receipt, _ filesForTest) { r.Proof = r.Proof[:2] },
		verdict: Invalid, err: "does not prove that this entry is in the log", reason: "a hash too few"},
	{name: "proof-too-long", edit: func(_ *logForTest, r *Receipt, _ filesForTest) { r.Proof = append(r.Proof, Hash{}) },
		verdict: Invalid, err: "does not prove that this entry is in the log", reason: "a hash too many"},
	{name: "proof-flipped", edit: func(_ *logForTest, r *Receipt, _ filesForTest) { r.Proof[1][9] ^= 4 },
		verdict: Invalid, err: "does not prove that this entry is in the log", reason: "one bit flipped"},
	{name: "proof-swapped", edit: func(_ *logForTest, r *Receipt, _ filesForTest) { r.Proof[0], r.Proof[1] = r.Proof[1], r.Proof[0] },
		verdict: Invalid, err: "does not prove that this entry is in the log", reason: "the leaf's sibling comes first"},
	{name: "index-beyond-size", edit: func(l *logForTest, r *Receipt, f filesForTest) {
		r.Index = 8
		f["entry"] = bytes.Replace(l.texts[6], []byte("index 6"), []byte("index 8"), 1)
	}, verdict: Invalid, err: "index 8 in a log of 8 entries", reason: "the checkpoint is older than the entry"},
	{name: "checkpoint-without-ml-dsa", edit: func(l *logForTest, r *Receipt, _ filesForTest) { r.Checkpoint = dropLine(l, r.Checkpoint, 1) },
		verdict: Invalid, err: "no signature by the log's key", reason: "both keys must sign"},
	{name: "other-keys", policy: "other-keys.policy", verdict: CannotTell, err: "give its newest key entries (trust.keys)",
		reason: "right origin, other keys: they may have been rotated"},
	{name: "quorum-not-reached", policy: "witnessed.policy", verdict: CannotTell, err: "fetch the receipt again when the witnesses have signed", reason: "the witness has not signed (yet)"},
	{name: "keys-of-another-log", edit: func(l *logForTest, _ *Receipt, f filesForTest) { f["keys"] = otherKeysFile(l) },
		verdict: CannotTell, err: "the keys file does not hold the policy's keys", reason: "the keys file does not lead from the policy's keys"},
	{name: "rotated-since", edit: func(l *logForTest, _ *Receipt, f filesForTest) { f["keys"] = rotatedKeys(l) }, reason: "a receipt from before the keys were rotated, and all key entries"},
	{name: "rotated-newer-policy", edit: func(l *logForTest, _ *Receipt, f filesForTest) { f["keys"] = rotatedKeys(l) }, policy: "second.policy",
		verdict: CannotTell, err: "signed by keys that were retired with entry 8 or before", reason: "what a pair signed that was replaced does not count under a policy of the one that replaced it"},
	{name: "rotated", edit: rotatedReceipt(true, ""), reason: "a receipt of today, by the pair that followed the policy's"},
	{name: "rotated-no-keys", edit: rotatedReceipt(false, ""), verdict: CannotTell, err: "give its newest key entries (trust.keys)", reason: "nothing leads from the policy's keys to those that signed"},
	{name: "rotated-by-retired", edit: rotatedReceipt(true, "first"), verdict: Invalid, err: "no signature by the log's key", reason: "a pair that was retired signs no larger log"},
	{name: "unknown-kind", edit: func(l *logForTest, r *Receipt, f filesForTest) {
		l.rewrite(declared("x"), "kind source.declared", "kind source.retired")
		again, err := ParseReceipt(l.receipt(8))
		if err != nil {
			l.Fatal(err)
		}
		*r, f["entry"] = *again, l.texts[8]
	}, verdict: CannotTell, err: "needs a newer verifier: unknown kind source.retired", reason: "it is in the log, but cannot be read"},
	{name: "version-2", text: func(r string) string { return strings.Replace(r, "proof@v1", "proof@v2", 1) },
		verdict: CannotTell, err: "needs a newer verifier: version 2 of tlog-proof", reason: "a later format"},
	{name: "version-0", text: func(r string) string { return strings.Replace(r, "proof@v1", "proof@v0", 1) },
		verdict: Invalid, err: "not a tlog-proof", reason: "versions count from 1"},
	{name: "index-leading-zero", text: func(r string) string { return strings.Replace(r, "index 6", "index 06", 1) },
		verdict: Invalid, err: "not in its one spelling", reason: "a number has no leading zeros"},
	{name: "hash-unused-bits", text: func(r string) string { return strings.Replace(r, "Iik=\n", "Iil=\n", 1) },
		verdict: Invalid, err: "receipt: ", reason: "the unused bits of the last character are zero"},
	{name: "no-blank-line", text: func(r string) string { return strings.Replace(r, "\n\n", "\n", 1) },
		verdict: Invalid, err: "receipt: ", reason: "a blank line separates proof and checkpoint"},
	{name: "trailing-line", text: func(r string) string { return r + "\n" }, verdict: Invalid, err: "receipt: ", reason: "nothing follows the checkpoint"},
}

// rotatedKeys gives the key entries of the log after a rotation.
func rotatedKeys(l *logForTest) []byte {
	l.rotate("second ")
	return bytes.Join(l.keys, nil)
}

// rotatedReceipt is a receipt from after a rotation, signed by the pair in force or by
// the first, with or without the keys file.
func rotatedReceipt(keys bool, by string) func(*logForTest, *Receipt, filesForTest) {
	return func(l *logForTest, r *Receipt, f filesForTest) {
		file := rotatedKeys(l)
		if keys {
			f["keys"] = file
		}
		if by != "" {
			l.signer = l.first
		}
		again, err := ParseReceipt(l.receipt(6))
		if err != nil {
			l.Fatal(err)
		}
		*r = *again
	}
}

func TestVectorsReceipts(t *testing.T) {
	files := logPolicies(t)
	for _, name := range []string{"no-ml-dsa.policy", "third.policy"} {
		delete(files, name)
	}
	var index []vector
	for _, v := range receiptVectors {
		l := exampleLog(t)
		r, err := ParseReceipt(l.receipt(6))
		if err != nil {
			t.Fatal(err)
		}
		f := filesForTest{"entry": bytes.Clone(l.texts[6])}
		if v.edit != nil {
			v.edit(l, r, f)
		}
		text := string(r.Text())
		if v.text != nil {
			before := text
			if text = v.text(before); text == before {
				t.Fatalf("%s is not bad", v.name)
			}
		}
		row := vector{Name: v.name, Files: []string{v.name + ".tlog-proof", v.name + ".txt"}, Policy: v.policy,
			Verdict: v.verdict.String(), Error: v.err, Reason: v.reason}
		if v.policy == "" {
			row.Policy = "trust.policy"
		}
		files[row.Files[0]], files[row.Files[1]] = []byte(text), f["entry"]
		if f["keys"] != nil {
			row.Keys = v.name + ".keys"
			files[row.Keys] = f["keys"]
		}
		index = append(index, row)
	}
	checkFamily(t, "receipts", index, files)
	rows, read := readFamily(t, "receipts")
	for _, v := range rows {
		policy, err := ParsePolicy(read(v.Policy))
		if err != nil {
			t.Fatal(err)
		}
		var keys []byte
		if v.Keys != "" {
			keys = read(v.Keys)
		}
		rep, err := VerifyReceipt(read(v.Files[0]), read(v.Files[1]), policy, keys)
		v.check(t, err, rep)
		if rep.Verdict != v.Verdict || (rep.Reason == "") != (err == nil) {
			t.Errorf("%s: the report says %s, %q", v.Name, rep.Verdict, rep.Reason)
		}
	}
}
