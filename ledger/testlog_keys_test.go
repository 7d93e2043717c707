package ledger

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"time"
)

// testdata/anchor keeps tokens that openssl ts made once, with policy 2.999.1:
// token.tst and another.tst over the checkpoint of the prelude, late.tst over the same
// that the log says it signed only later, other-bytes.tst over other bytes. All but
// another.tst are by whom authority.pem issued a certificate.
const tokensDir = "testdata/anchor"

// preludeSize is how many entries the prelude has.
const preludeSize = 7

// When the tokens say that they are from.
var (
	tokenTime      = time.Date(2026, 11, 22, 12, 50, 53, 941752000, time.UTC)
	otherBytesTime = time.Date(2026, 11, 22, 12, 50, 54, 3508000, time.UTC)
	lateTime       = time.Date(2026, 11, 22, 13, 23, 43, 469511000, time.UTC)
	anotherTime    = time.Date(2026, 11, 22, 12, 50, 54, 44589000, time.UTC)
)

// rotated gives the entry by which a pair follows the one that signs, and that pair;
// the caller may change the entry.
func (l *logForTest) rotated(which string) (*Entry, *Signer) {
	next, before := pairForTest(l, which), Index(0)
	for i, text := range l.texts {
		if e, err := ParseEntry(text); err == nil && e.Kind == KeyRotated {
			before = Index(i)
		}
	}
	e, err := Rotate(l.signer, next, before, Index(len(l.texts)), l.prev)
	if err != nil {
		l.Fatal(err)
	}
	e.Source = "admin"
	return e, next
}

// rotate lets another pair follow.
func (l *logForTest) rotate(which string) Index {
	e, next := l.rotated(which)
	l.signer = next
	return l.add(e)
}

// keep keeps bytes that were stamped, or a token.
func (l *logForTest) keep(content []byte) Hash {
	sum := TextHash(content)
	l.notices["anchors/"+hex.EncodeToString(sum[:])] = content
	return sum
}

// anchored gives the entry of a token over a checkpoint; the caller may change it.
func (l *logForTest) anchored(size Size, checkpoint, token []byte, at time.Time) *Entry {
	return &Entry{Kind: CheckpointAnchored, Source: SourceLedger, Size: size, Checkpoint: l.keep(checkpoint), Stamp: l.keep(token), Stamped: at}
}

// token gives one of the tokens that were kept.
func (l *logForTest) token(name string) []byte {
	token, err := os.ReadFile(filepath.Join(tokensDir, name))
	if err != nil {
		l.Fatal(err)
	}
	return token
}

// stamped gives the entry that records the good token over the checkpoint of the
// prelude; the caller may change it.
func (l *logForTest) stamped() *Entry {
	before := newLogForTest(l)
	before.prelude()
	return l.anchored(preludeSize, before.sign(), l.token("token.tst"), tokenTime)
}
