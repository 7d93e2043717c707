package attacks

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/testauthority"
	"github.com/consentledger/consentledger/internal/timestamp"
	"github.com/consentledger/consentledger/ledger"
)

// stampers want a time to be believed that was another.
var stampers = []attack{
	{by: "the operator", does: "files a stamp of another log, of another history, or of another size than it says",
		not: "anybody", ends: "`verify log` 1", try: stampOfAnother},
	{by: "the operator", does: "files a token about other bytes, or says another time than the token",
		not: "whoever trusts the authority", ends: "`verify log --tsa` 1", try: otherToken},
	{by: "the operator", does: "changes an entry that was stamped",
		not: "anybody who is shown the stamp, too", ends: "`verify log` 1", try: changedAfterStamp},
	{by: "the operator", does: "makes the stamps, or pays an authority that nobody else trusts",
		not: "whoever chooses the authorities", ends: "UNANCHORED, and the report says why the stamps do not count", try: ownAuthority},
	{by: "the operator", does: "dates an entry before a stamp that it was made after",
		not: "whoever trusts the authority", ends: "the report names dated_before_stamp", try: backdated},
	{by: "the operator", does: "sets the clock ahead to date entries after their stamp",
		not: "whoever trusts the authority", ends: "the report names dated_after_stamp", try: postdated},
	{by: "the operator", does: "hands out a receipt, and changes the log before it is stamped",
		not: "whoever holds the receipt; whoever reads its interval", ends: "`verify receipt --log --tsa` 3", try: changedBeforeStamp},
	{by: "whoever hands over a copy", does: "leaves out a stamped checkpoint or its token",
		not: "anybody", ends: "`verify log` 2", try: leftOutToken},
	{by: "whoever hands over a copy", does: "swaps a token for another good one of the same log",
		not: "anybody", ends: "`verify log` 1", try: swappedToken},
}

// authority gives a time-stamping authority that runs.
func (t *trial) authority(opt testauthority.Options) *testauthority.Authority {
	t.Helper()
	return testauthority.New(t.T, opt)
}

// token has bytes with this SHA-256 stamped.
func (t *trial) token(a *testauthority.Authority, imprint ledger.Hash) *timestamp.Token {
	t.Helper()
	token, err := timestamp.ParseResponse(a.Answer(t.query(imprint)))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (t *trial) query(imprint ledger.Hash) []byte {
	t.Helper()
	query, err := timestamp.NewRequest(imprint, nil).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return query
}

// stampedAt gives when a token was made.
func (t *trial) stampedAt(a *testauthority.Authority, token *timestamp.Token, imprint ledger.Hash) time.Time {
	t.Helper()
	pins, err := timestamp.ParsePins(t.read(a.CAFile))
	if err != nil {
		t.Fatal(err)
	}
	stamp, err := timestamp.Verify(token, imprint, timestamp.Authority{Pins: pins}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return stamp.Time
}

// anchor has the log's first size entries stamped and files the stamp as the ledger
// does. change, if any, spoils the entry.
func (p *paper) anchor(a *testauthority.Authority, size int, change ...func(*ledger.Entry)) {
	p.Helper()
	p.fileStamp(a, p.checkpoint(size), size, change...)
}

// fileStamp files a stamp over these bytes.
func (p *paper) fileStamp(a *testauthority.Authority, signed []byte, size int, change ...func(*ledger.Entry)) {
	p.Helper()
	imprint := ledger.TextHash(signed)
	token := p.token(a, imprint)
	at := p.stampedAt(a, token, imprint)
	e := &ledger.Entry{Kind: ledger.CheckpointAnchored, Time: at.Add(time.Second).UTC().Truncate(time.Microsecond), Size: ledger.Size(size), Checkpoint: imprint,
		Stamp: ledger.TextHash(token.Bytes()), Stamped: at.UTC().Truncate(time.Microsecond)}
	p.files[ledger.AnchorPath(e.Checkpoint)], p.files[ledger.AnchorPath(e.Stamp)] = signed, token.Bytes()
	for _, f := range change {
		f(e)
	}
	p.add(e)
}

func stampOfAnother(t *trial) {
	a, log := t.authority(testauthority.Options{}), t.paper(60)
	policy := t.policy(log.signer.Keys(), "")
	good := log.copy()
	good.anchor(a, 50)
	if out := t.sound("log", good.export(), "--policy", policy, "--tsa", a.CAFile); !strings.Contains(out, "STAMPED") {
		t.Errorf("a good stamp does not count:\n%s", out)
	}
	other := log.copy()
	other.signer = t.signerOf("ledger.example.org/other", "other")
	twin := log.copy() // the same name and other keys
	twin.signer = t.signerOf(log.signer.Origin(), "twin")
	history := log.copy()
	history.rewrite(40, func(e *ledger.Entry) { e.Time = e.Time.Add(time.Microsecond) })
	cosigned := t.cosign(log.checkpoint(50), t.cosigner("witness.example"), time.Now())
	half := t.only(log.checkpoint(50), func(i int, _ ledger.SignatureLine) bool { return i == 0 })
	for _, c := range []struct {
		signed []byte
		want   string
	}{
		{other.checkpoint(50), "the checkpoint that was stamped: origin is"},
		{twin.checkpoint(50), "the checkpoint that was stamped: no signature"},
		{history.checkpoint(50), "at 50 entries the root is"},
		{log.checkpoint(49), "it is of 49 entries, the entry says 50"},
		{cosigned, "it carries other signatures than the log's two"},
		{half, "the checkpoint that was stamped: no signature"},
		{[]byte("Newsletter\n"), "the checkpoint that was stamped: "},
	} {
		bad := log.copy()
		bad.fileStamp(a, c.signed, 50)
		t.verify(1, c.want, "log", bad.export(), "--policy", policy)
	}
}

func otherToken(t *trial) {
	a, log := t.authority(testauthority.Options{}), t.paper(60)
	policy := t.policy(log.signer.Keys(), "")
	for _, spoil := range []func(p *paper, e *ledger.Entry){
		func(_ *paper, e *ledger.Entry) { e.Stamped = e.Stamped.Add(-time.Hour) },
		func(_ *paper, e *ledger.Entry) { e.Stamped = e.Stamped.Add(time.Microsecond) },
		func(p *paper, e *ledger.Entry) {
			other := p.token(a, ledger.TextHash([]byte("Newsletter\n"))).Bytes()
			e.Stamp = ledger.TextHash(other)
			p.files[ledger.AnchorPath(e.Stamp)] = other
		},
	} {
		bad := log.copy()
		bad.anchor(a, 60, func(e *ledger.Entry) { spoil(bad, e) })
		t.verify(1, "INVALID: entry 60: ", "log", bad.export(), "--policy", policy, "--tsa", a.CAFile)
	}
}

func changedAfterStamp(t *trial) {
	a, log := t.authority(testauthority.Options{}), t.paper(60)
	policy := t.policy(log.signer.Keys(), "")
	log.anchor(a, 60)
	log.rewrite(30, func(e *ledger.Entry) { e.Time = e.Time.Add(time.Microsecond) })
	t.verify(1, "at 60 entries the root is", "log", log.export(), "--policy", policy)
}

func ownAuthority(t *trial) {
	own, good, log := t.authority(testauthority.Options{}), t.authority(testauthority.Options{}), t.paper(60)
	policy := t.policy(log.signer.Keys(), "")
	log.anchor(own, 60)
	dir := log.export()
	for _, args := range [][]string{{}, {"--tsa", good.CAFile}, {"--qualified-tsa", good.CAFile}} {
		out := t.sound(append([]string{"log", dir, "--policy", policy}, args...)...)
		if !strings.Contains(out, "UNANCHORED") || strings.Contains(out, "STAMPED") {
			t.Errorf("with %q:\n%s", args, out)
		}
		if len(args) > 0 && !strings.Contains(out, "entry 60") {
			t.Errorf("the report does not say which stamp does not count:\n%s", out)
		}
	}
	t.ends("UNANCHORED, and the report says why the stamps do not count")
}

// irregular demands that a log verifies and that its report names an irregular fact
// about these entries and no others.
func (p *paper) irregular(name string, a *testauthority.Authority, at ...int) {
	p.Helper()
	out := p.sound("log", p.export(), "--policy", p.policy(p.signer.Keys(), ""), "--tsa", a.CAFile, "--json")
	var report ledger.LogReport
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		p.Fatal(err)
	}
	var found []int
	for _, irr := range report.IrregularFirst {
		if irr.Name == name {
			found = append(found, int(irr.Index))
		}
	}
	if !slices.Equal(found, at) {
		p.Fatalf("%s is found of entries %v, want %v", name, found, at)
	}
	p.ends("the report names " + name)
}

func backdated(t *trial) {
	a, log := t.authority(testauthority.Options{}), t.paper(60)
	log.anchor(a, 60)
	for range 3 {
		log.add(&ledger.Entry{Kind: ledger.SourceDeclared, Name: sourceName(log.size()), Role: "app"})
	}
	log.irregular("dated_before_stamp", a)
	// A chain whose times do not decrease: the stamp's entry has to be backdated, too.
	log.texts = log.texts[:60]
	log.anchor(a, 60, func(e *ledger.Entry) { e.Time = log.entry(59).Time.Add(time.Second) })
	log.add(&ledger.Entry{Kind: ledger.SourceDeclared, Name: "late", Role: "app"})
	log.irregular("dated_before_stamp", a, 61)
}

func postdated(t *trial) {
	a, log := t.authority(testauthority.Options{}), t.paper(60)
	ahead := time.Now().Add(time.Hour)
	log.add(&ledger.Entry{Kind: ledger.SourceDeclared, Name: "ahead", Role: "app", Time: ahead.UTC().Truncate(time.Microsecond)})
	sound := log.copy()
	sound.anchor(a, 60, func(e *ledger.Entry) { e.Time = ahead.Add(time.Second).UTC().Truncate(time.Microsecond) })
	sound.irregular("dated_after_stamp", a)
	signed, err := log.signer.SignCheckpoint(log.head(61), ahead.Unix())
	if err != nil {
		t.Fatal(err)
	}
	log.fileStamp(a, signed, 61, func(e *ledger.Entry) { e.Time = ahead.Add(time.Second).UTC().Truncate(time.Microsecond) })
	log.irregular("dated_after_stamp", a, 61)
}

func changedBeforeStamp(t *trial) {
	a, log := t.authority(testauthority.Options{}), t.paper(60)
	policy := t.policy(log.signer.Keys(), "")
	receipt, entry := t.file("receipt", log.receipt(30, 60, log.checkpoint(60))), t.file("entry", log.texts[30])
	kept := log.copy()
	kept.anchor(a, 60)
	if out := t.sound("receipt", receipt, "--entry", entry, "--policy", policy, "--log", kept.export(), "--tsa", a.CAFile); !strings.Contains(out, "STAMPED") {
		t.Errorf("the receipt of a stamped entry:\n%s", out)
	}
	log.rewrite(30, func(e *ledger.Entry) { e.Time = e.Time.Add(time.Microsecond) })
	log.anchor(a, 60)
	t.verify(3, "DIVERGED", "receipt", receipt, "--entry", entry, "--policy", policy, "--log", log.export(), "--tsa", a.CAFile)
}

func leftOutToken(t *trial) {
	a, log := t.authority(testauthority.Options{}), t.paper(60)
	policy := t.policy(log.signer.Keys(), "")
	log.anchor(a, 60)
	anchors, err := filepath.Glob(filepath.Join(log.export(), "anchors", "*"))
	if err != nil || len(anchors) != 2 {
		t.Fatalf("%q: %v", anchors, err)
	}
	for _, path := range anchors {
		content := t.read(path)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Dir(filepath.Dir(path))
		t.verify(2, "CANNOT TELL: entry 60: reading anchors/", "log", dir, "--policy", policy)
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func swappedToken(t *trial) {
	a, log := t.authority(testauthority.Options{}), t.paper(60)
	policy := t.policy(log.signer.Keys(), "")
	log.anchor(a, 50)
	log.anchor(a, 60)
	first, second := log.entry(60), log.entry(61)
	for _, swap := range [][2]ledger.Hash{{first.Stamp, second.Stamp}, {first.Checkpoint, second.Checkpoint}} {
		bad := log.copy()
		one, other := ledger.AnchorPath(swap[0]), ledger.AnchorPath(swap[1])
		bad.files[one], bad.files[other] = bytes.Clone(log.files[other]), bytes.Clone(log.files[one])
		t.verify(1, "its content has another hash", "log", bad.export(), "--policy", policy)
	}
}
