package attacks

import (
	"time"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
)

// operators hold both keys of the log, and write what they like.
var operators = []attack{
	{by: "the operator", does: "shows two readers two histories",
		not:  "the two, once they compare; whoever kept a checkpoint, or a mail with one in its header",
		ends: "`verify fork` 3, `verify log --since` 3, `verify fork --log` 3", fools: "each of them, alone and empty-handed", try: splitView},
	{by: "the operator", does: "sets the log back to fewer entries",
		not:  "whoever kept a checkpoint of more",
		ends: "`verify log --since` 3", fools: "whoever kept nothing: a witness's signature only tells when it was the newest", try: rollback},
	{by: "the operator", does: "changes an entry, and chains and signs everything after it anew",
		not:  "whoever kept a checkpoint with it",
		ends: "`verify log --since` 3, `verify fork --log` 3", fools: "whoever kept nothing and demands no witness", try: rewrite},
	{by: "the operator", does: "records what the rules forbid, such as a confirmation without the token",
		not: "anybody who has a copy", ends: "`verify log` 1", try: forbidden},
	{by: "the operator", does: "shows a witness another history than the one it cosigned",
		not:  "the witness, which keeps both checkpoints as a proof; whoever demands it",
		ends: "the witness answers 422, `verify fork` 3, `verify log` 2", try: splitWitness},
	{by: "the operator", does: "shows a witness fewer entries than it cosigned, or says that it had cosigned fewer",
		not: "the witness", ends: "the witness answers 409", try: rollbackWitness},
	{by: "the operator", does: "makes one of two witnesses sign anything",
		not: "whoever demands both", ends: "`verify log` 2, `verify receipt` 2", try: oneOfTwo},
	{by: "the operator", does: "hands out a receipt that the witnesses never sign",
		not: "whoever demands them; the verdict says to fetch it again when they have signed", ends: "`verify receipt` 2", try: uncosigned},
}

// twoHistories gives two logs of one size under the same keys, which have the first
// entries in common.
func (t *trial) twoHistories() (first, second *paper) {
	t.Helper()
	first = t.paper(60)
	second = first.copy()
	second.rewrite(40, func(e *ledger.Entry) { e.Time = e.Time.Add(time.Microsecond) })
	return first, second
}

func splitView(t *trial) {
	first, second := t.twoHistories()
	policy := t.policy(first.signer.Keys(), "")
	one, other := first.export(), second.export()
	t.fools("log", one, "--policy", policy)
	t.fools("log", other, "--policy", policy)
	t.verify(3, "two histories", "fork", one+"/checkpoint", other+"/checkpoint", "--policy", policy)
	kept := t.file("kept", first.checkpoint(50))
	mail := t.file("mail", t.line(first.checkpoint(50)))
	for _, held := range []string{kept, mail} {
		t.sound("log", one, "--policy", policy, "--since", held)
		t.verify(3, "at 50 entries the root is", "log", other, "--policy", policy, "--since", held)
	}
	t.sound("fork", kept, one+"/checkpoint", "--policy", policy, "--log", one)
	t.verify(3, "DIVERGED", "fork", kept, other+"/checkpoint", "--policy", policy, "--log", other)
}

func rollback(t *trial) {
	log := t.paper(60)
	policy := t.policy(log.signer.Keys(), "")
	kept := []string{t.file("kept", log.checkpoint(60)), t.file("mail", t.line(log.checkpoint(60)))}
	log.texts = log.texts[:50]
	shorter := log.export()
	t.fools("log", shorter, "--policy", policy)
	for _, held := range kept {
		t.verify(3, "the log has 50 entries, the checkpoint you hold has 60", "log", shorter, "--policy", policy, "--since", held)
	}
}

func rewrite(t *trial) {
	log := t.paper(60)
	policy := t.policy(log.signer.Keys(), "")
	kept := []string{t.file("kept", log.checkpoint(60)), t.file("mail", t.line(log.checkpoint(60)))}
	log.rewrite(20, func(e *ledger.Entry) { e.Time = e.Time.Add(time.Microsecond) })
	changed := log.export()
	t.fools("log", changed, "--policy", policy)
	for _, held := range kept {
		t.verify(3, "at 60 entries the root is", "log", changed, "--policy", policy, "--since", held)
	}
	t.verify(3, "DIVERGED", "fork", kept[0], kept[0], "--policy", policy, "--log", changed)
}

func forbidden(t *trial) {
	log := t.paper(testledger.Prelude + 1)
	policy := t.policy(log.signer.Keys(), "")
	id := ledger.ConsentID(log.size())
	log.add(testledger.Requested(ledger.Index(id)))
	confirmed := log.copy()
	confirmation := func(token string) *ledger.Entry {
		return &ledger.Entry{Kind: ledger.ConsentConfirmed, Source: "shop", Token: token, Consents: []ledger.Link{{Consent: id, After: ledger.Index(id)}}}
	}
	confirmed.add(confirmation(testledger.Token(ledger.Index(id))))
	t.sound("log", confirmed.export(), "--policy", policy)
	log.add(confirmation(testledger.Token(1)))
	t.verify(1, "INVALID", "log", log.export(), "--policy", policy)
}

func splitWitness(t *trial) {
	first, second := t.twoHistories()
	w := t.witness("witness.example", first.signer.Keys())
	policy := t.policy(first.signer.Keys(), w.lines, w.name)
	lines := w.cosigns(200, 0, first.checkpoint(60))
	one := first.export()
	t.change(one, "checkpoint", func(b []byte) []byte { return append(b, lines...) })
	t.sound("log", one, "--policy", policy)
	w.cosigns(422, 60, second.checkpoint(60))
	t.ends("the witness answers 422")
	t.verify(3, "two histories", "fork", w.evidence(), "--policy", policy)
	t.verify(2, "quorum", "log", second.export(), "--policy", policy)
}

func rollbackWitness(t *trial) {
	log := t.paper(60)
	w := t.witness("witness.example", log.signer.Keys())
	w.cosigns(200, 0, log.checkpoint(60))
	w.cosigns(409, 50, log.checkpoint(50))
	w.cosigns(409, 0, log.checkpoint(50))
	t.ends("the witness answers 409")
	if size := w.size(); size != 60 {
		t.Errorf("the witness remembers %d entries", size)
	}
}

func oneOfTwo(t *trial) {
	log := t.paper(60)
	bought, honest := t.cosigner("bought.example"), t.cosigner("honest.example")
	lines := string(bought.Keys().PolicyLines("")) + string(honest.Keys().PolicyLines(""))
	both := t.policy(log.signer.Keys(), lines, bought.Name(), honest.Name())
	any := t.policy(log.signer.Keys(), lines+"group one any bought.example honest.example\n", "one")
	dir := log.export()
	t.change(dir, "checkpoint", func(b []byte) []byte { return t.cosign(b, bought, time.Now()) })
	receipt := t.file("receipt", log.receipt(20, 60, t.read(dir+"/checkpoint")))
	entry := t.file("entry", log.texts[20])
	t.sound("log", dir, "--policy", any) // it is the quorum that counts
	t.verify(2, `no cosignature by ["honest.example/`, "log", dir, "--policy", both)
	t.verify(2, "honest.example", "receipt", receipt, "--entry", entry, "--policy", both)
	t.change(dir, "checkpoint", func(b []byte) []byte { return t.cosign(b, honest, time.Now()) })
	t.sound("log", dir, "--policy", both)
}

func uncosigned(t *trial) {
	log := t.paper(60)
	w := t.cosigner("witness.example")
	demanding := t.policy(log.signer.Keys(), string(w.Keys().PolicyLines("")), w.Name())
	entry := t.file("entry", log.texts[20])
	bare := t.file("receipt", log.receipt(20, 60, log.checkpoint(60)))
	t.sound("receipt", bare, "--entry", entry, "--policy", t.policy(log.signer.Keys(), ""))
	t.verify(2, "fetch the receipt again when the witnesses have signed", "receipt", bare, "--entry", entry, "--policy", demanding)
	signed := t.file("signed", log.receipt(20, 60, t.cosign(log.checkpoint(60), w, time.Now())))
	t.sound("receipt", signed, "--entry", entry, "--policy", demanding)
}
