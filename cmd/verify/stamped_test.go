package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/consentledger/consentledger/internal/testauthority"
	"github.com/consentledger/consentledger/internal/timestamp"
	"github.com/consentledger/consentledger/ledger"
)

// stamper is an authority that stamps the same bytes once, so that two logs can
// begin with the same entries.
type stamper struct {
	*testauthority.Authority
	tokens map[ledger.Hash][]byte
	times  map[ledger.Hash]time.Time
}

func newStamper(t testing.TB) *stamper {
	return &stamper{testauthority.New(t, testauthority.Options{}), map[ledger.Hash][]byte{}, map[ledger.Hash]time.Time{}}
}

// stamp gives a token over bytes with this hash, and its time.
func (s *stamper) stamp(imprint ledger.Hash) ([]byte, time.Time) {
	s.Helper()
	if s.tokens[imprint] != nil {
		return s.tokens[imprint], s.times[imprint]
	}
	query, err := timestamp.NewRequest(imprint, nil).Marshal()
	if err != nil {
		s.Fatal(err)
	}
	token, err := timestamp.ParseResponse(s.Answer(query))
	if err != nil {
		s.Fatal(err)
	}
	pins, err := timestamp.ParsePins(readFile(s, s.CAFile))
	if err != nil {
		s.Fatal(err)
	}
	stamp, err := timestamp.Verify(token, imprint, timestamp.Authority{Pins: pins}, nil)
	if err != nil {
		s.Fatal(err)
	}
	s.tokens[imprint], s.times[imprint] = token.Bytes(), stamp.Time
	return token.Bytes(), stamp.Time
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// anchor lets an authority stamp the checkpoint of this size, and records it;
// change, if set, changes what is recorded.
func (l *testLog) anchor(s *stamper, size int, change func(token *[]byte, at *time.Time)) {
	l.t.Helper()
	signed := l.checkpoint(size)
	token, at := s.stamp(sha256.Sum256(signed))
	if change != nil {
		change(&token, &at)
	}
	l.record(size, signed, token, at)
}

// record records that a checkpoint of this size was stamped.
func (l *testLog) record(size int, signed, token []byte, at time.Time) {
	l.t.Helper()
	e := &ledger.Entry{Kind: ledger.CheckpointAnchored, Size: ledger.Size(size), Checkpoint: sha256.Sum256(signed), Stamp: sha256.Sum256(token),
		Stamped: at.UTC().Truncate(time.Microsecond)}
	l.anchors[ledger.AnchorPath(e.Checkpoint)], l.anchors[ledger.AnchorPath(e.Stamp)] = signed, token
	if e.Stamped.After(l.now) {
		l.now = e.Stamped
	}
	l.add(e)
}

// stampedSize is the size of the log in the scripts about time stamps.
const stampedSize = 140

// scriptStamps writes:
//
//	stamped   a log that authorities stamped: one at 50 entries (entry 50), a qualified one at 105 (entry 120), the
//	          first one again at 130 (entry 130); its entry 103 is irregular, 104 and 105 are an erasure
//	plain.pem, qualified.pem, other.pem      the authorities' certificates, and that of a third
//	lies.imprint, lies.time, lies.rubbish    logs of which the last token is over other bytes, of another time, is none
//	stamped.receipt, stamped.entry           entry 60, proven at 110 entries
//	cosigned.receipt, cosigned.policy        the same, by a checkpoint that a witness cosigned; a policy that demands it
//	cosigned  the log stamped, with a checkpoint that this witness cosigned
//	erasure.grown                            the erasure, proven at 110 and at 115 entries
//	forked    the same log with another end from entry 113 on
//	forked.receipt, forked.erasure           entry 60 at 130 entries, and the erasure at 114 of that and 115 of this one
func scriptStamps(ts *testscript.TestScript, neg bool, args []string) {
	t, ok := ts.Value("t").(testing.TB)
	if neg || len(args) != 0 || !ok {
		ts.Fatalf("usage: stamps")
	}
	plain, qualified, other := newStamper(t), newStamper(t), newStamper(t)
	begin := time.Now().UTC().Add(-10 * time.Minute).Truncate(time.Second)
	build := func(forked bool, last func(token *[]byte, at *time.Time)) *testLog {
		l := newTestLogAt(t, begin)
		l.step = time.Millisecond // an entry must not be later than the stamps over it
		l.fill(50)
		l.anchor(plain, 50, nil)
		l.fill(100)
		l.story()
		l.fill(112)
		if forked {
			l.request()
		}
		l.fill(120)
		l.anchor(qualified, 105, nil)
		l.fill(130)
		l.anchor(plain, 130, last)
		l.fill(stampedSize)
		return l
	}
	write := func(name string, b []byte) { writeFile(t, ts.MkAbs(name), b) }
	write("plain.pem", readFile(t, plain.CAFile))
	write("qualified.pem", readFile(t, qualified.CAFile))
	write("other.pem", readFile(t, other.CAFile))
	l, forked := build(false, nil), build(true, nil)
	l.export(ts.MkAbs("stamped"), stampedSize)
	forked.export(ts.MkAbs("forked"), stampedSize)
	for name, lie := range map[string]func(token *[]byte, at *time.Time){
		"lies.imprint": func(token *[]byte, _ *time.Time) { *token, _ = plain.stamp(ledger.Hash{1}) },
		"lies.time":    func(_ *[]byte, at *time.Time) { *at = at.Add(time.Microsecond) },
		"lies.rubbish": func(token *[]byte, _ *time.Time) { *token = []byte("rubbish") },
	} {
		build(false, lie).export(ts.MkAbs(name), stampedSize)
	}
	write("stamped.receipt", l.receipt(60, 110))
	write("stamped.entry", l.texts[60])
	write("forked.receipt", forked.receipt(60, 130))
	write("erasure.grown", erasureOf(t, l.section(104, 110), l.section(105, 115)))
	write("forked.erasure", erasureOf(t, forked.section(104, 114), l.section(105, 115)))
	cosigned(t, l, write)
	l.export(ts.MkAbs("cosigned"), stampedSize)
	write("cosigned/checkpoint", cosign(t, l.checkpoint(stampedSize)))
}

// section proves an entry in the log of this size.
func (l *testLog) section(index, size int) ledger.ErasureSection {
	receipt, err := ledger.ParseReceipt(l.receipt(index, size))
	if err != nil {
		l.t.Fatal(err)
	}
	return ledger.ErasureSection{Entry: l.texts[index], Receipt: *receipt}
}

func erasureOf(t testing.TB, sections ...ledger.ErasureSection) []byte {
	t.Helper()
	return ledger.ErasureReceipt{Sections: sections}.Text()
}

// cosignedAt is when the witness of the scripts signs.
var cosignedAt = time.Date(2026, 11, 21, 11, 0, 0, 0, time.UTC)

func witness(t testing.TB) *ledger.Cosigner {
	t.Helper()
	w, err := ledger.NewCosigner("witness.example", [32]byte{1}, [32]byte{2})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// cosign adds the witness's lines to a checkpoint.
func cosign(t testing.TB, signed []byte) []byte {
	t.Helper()
	kept, err := ledger.ParseKept(signed)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := witness(t).Cosign(kept.Checkpoint, cosignedAt.Unix())
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		signed = fmt.Appendf(signed, "%v\n", line)
	}
	return signed
}

// cosigned writes a receipt of entry 60 by a checkpoint that the witness cosigned,
// and a policy that demands that.
func cosigned(t testing.TB, l *testLog, write func(string, []byte)) {
	t.Helper()
	receipt := l.section(60, 110).Receipt
	receipt.Checkpoint = cosign(t, receipt.Checkpoint)
	write("cosigned.receipt", receipt.Text())
	write("cosigned.policy", l.witnessPolicy())
}

// witnessPolicy demands that the witness has cosigned.
func (l *testLog) witnessPolicy() []byte {
	policy := ledger.NewPolicy(l.signer.Keys())
	policy = bytes.Replace(policy, []byte("group hybrid"), append(witness(l.t).Keys().PolicyLines(""), "group hybrid"...), 1)
	return bytes.Replace(policy, []byte("all self-pq\n"), []byte("all self-pq witness.example\n"), 1)
}
