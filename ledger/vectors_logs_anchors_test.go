package ledger

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// stampForTest stands in for the reader of tokens, which this package has not: it
// knows those of testdata/anchor, as somebody who trusts authority.pem does. The
// package that reads them judges the same rows by what they say.
func stampForTest(token []byte, imprint Hash) (Stamp, error) {
	l := &logForTest{}
	switch {
	case bytes.Equal(token, l.token("token.tst")):
		if hex.EncodeToString(imprint[:]) != preludeImprint {
			return Stamp{}, errors.New("the token is over other bytes")
		}
		return Stamp{tokenTime, time.Second, "Test vectors", false}, nil
	case bytes.Equal(token, l.token("late.tst")):
		return Stamp{lateTime, time.Second, "Test vectors", false}, nil
	case bytes.Equal(token, l.token("other-bytes.tst")):
		return Stamp{}, errors.New("the token is over other bytes")
	}
	return Stamp{}, fmt.Errorf("%w: by nobody who is trusted", ErrNotCounted)
}

// preludeImprint is the SHA-256 of the prelude's signed checkpoint.
const preludeImprint = "8aed0e5853b49ee5550862db746b792f5e0e4a03ca925a097dc8682f790da2c7"

// anchorLog has a token over the checkpoint of the prelude recorded; edit may change
// the entry and what is kept for it.
func anchorLog(edit func(l *logForTest, e *Entry)) func(*logForTest) {
	return func(l *logForTest) {
		l.prelude()
		l.now = l.now.AddDate(0, 0, 1)
		e := l.stamped()
		if edit != nil {
			edit(l, e)
		}
		l.add(e)
		l.source("shop-backend", "app")
	}
}

// recordToken has another token recorded.
func recordToken(name string, at time.Time) func(*logForTest, *Entry) {
	return func(l *logForTest, e *Entry) { e.Stamp, e.Stamped = l.keep(l.token(name)), at }
}

// recordCheckpoint has another checkpoint recorded as the one that was stamped.
func recordCheckpoint(edit func(l *logForTest, signed []byte) []byte) func(*logForTest) {
	return anchorLog(func(l *logForTest, e *Entry) {
		before := newLogForTest(l)
		before.prelude()
		e.Checkpoint = l.keep(edit(before, before.sign()))
	})
}

// editAnchor changes the file that the entry 7 names as its checkpoint or its token.
func editAnchor(of func(*Entry) Hash, edit func([]byte) []byte) func(*logForTest, filesForTest) {
	return func(l *logForTest, f filesForTest) {
		e, err := ParseEntry(l.texts[preludeSize])
		if err != nil {
			l.Fatal(err)
		}
		path := AnchorPath(of(e))
		if f[path] = edit(bytes.Clone(f[path])); f[path] == nil {
			delete(f, path)
		}
	}
}

func ofCheckpoint(e *Entry) Hash { return e.Checkpoint }
func ofToken(e *Entry) Hash      { return e.Stamp }
func gone([]byte) []byte         { return nil }
func flipped(b []byte) []byte    { b[len(b)/2] ^= 1; return b }

// anchorLogs record time stamps. Tokens are judged where the row has an authority.
var anchorLogs = []logVector{
	{name: "anchored", build: anchorLog(nil), verdict: Verified, mention: "1 time-stamp tokens: no authority is trusted", reason: "nobody is trusted to tell the time: the token is there, and that is all"},
	{name: "anchored-trusted", build: anchorLog(nil), tsa: true, verdict: Verified, mention: `"anchors":"STAMPED"`, reason: "the token is over the checkpoint, by an authority that is trusted"},
	{name: "anchored-by-a-stranger", build: anchorLog(recordToken("another.tst", anotherTime)), tsa: true, verdict: Verified, mention: `"stamps_not_counted":[{"index":7`,
		reason: "a token by somebody else counts for nothing, and is nothing against the log"},
	{name: "anchored-not-a-token", build: anchorLog(func(l *logForTest, e *Entry) { e.Stamp = l.keep([]byte("no token")) }), tsa: true, verdict: Verified,
		mention: `"stamps_not_counted":[{"index":7`, reason: "what cannot be read counts for nothing"},
	{name: "anchored-twice", build: func(l *logForTest) {
		anchorLog(nil)(l)
		e := l.stamped()
		recordToken("another.tst", anotherTime)(l, e)
		l.add(e)
	}, tsa: true, verdict: Verified, mention: `"anchors":"STAMPED"`, reason: "two tokens over one checkpoint"},
	{name: "anchored-dated-before", build: func(l *logForTest) {
		l.prelude()
		l.add(l.stamped())
		l.source("shop-backend", "app")
	}, tsa: true, verdict: Verified, mention: `"dated_before_stamp":1`, reason: "an entry that contains the token's hash says a time before the token's"},
	{name: "anchored-dated-after", build: anchorLog(func(l *logForTest, e *Entry) {
		before := newLogForTest(l)
		before.prelude()
		signed, err := l.first.SignCheckpoint(before.checkpoint(), time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC).Unix())
		if err != nil {
			l.Fatal(err)
		}
		e.Checkpoint = l.keep(signed)
		recordToken("late.tst", lateTime)(l, e)
	}), tsa: true, verdict: Verified, mention: `"dated_after_stamp":1`, reason: "the log says that it signed the checkpoint a week after somebody else has seen it"},
	{name: "anchored-then-rotated", build: func(l *logForTest) {
		anchorLog(nil)(l)
		l.rotate("second ")
		l.add(l.stamped())
	}, shipped: true, verdict: Verified, reason: "what was stamped was signed by the pair in force at its size"},
	{name: "anchored-then-rotated-newer-policy", build: func(l *logForTest) {
		anchorLog(nil)(l)
		l.rotate("second ")
		l.add(l.stamped())
	}, policy: "second.policy", verdict: Verified, reason: "the log itself names the keys of that time, and the newest pair has signed that"},

	{name: "anchored-other-imprint", build: anchorLog(recordToken("other-bytes.tst", otherBytesTime)), tsa: true, verdict: Invalid, err: "entry 7: ", reason: "a token over other bytes"},
	{name: "anchored-swapped", build: anchorLog(func(l *logForTest, e *Entry) { e.Checkpoint, e.Stamp = e.Stamp, e.Checkpoint }),
		verdict: Invalid, err: "entry 7: the checkpoint that was stamped: ", reason: "the token stands where the checkpoint should"},
	{name: "anchored-stamped-differs", build: anchorLog(func(_ *logForTest, e *Entry) { e.Stamped = e.Stamped.Add(time.Microsecond) }), tsa: true,
		verdict: Invalid, err: "entry 7: stamped is 2026-11-22T12:50:53.941753Z, the token says ", reason: "another time than the token's"},
	{name: "anchored-no-token", build: anchorLog(nil), edit: editAnchor(ofToken, gone), verdict: CannotTell, err: "entry 7: reading anchors/", reason: "a file is missing"},
	{name: "anchored-no-checkpoint", build: anchorLog(nil), edit: editAnchor(ofCheckpoint, gone), verdict: CannotTell, err: "entry 7: reading anchors/", reason: "a file is missing"},
	{name: "anchored-token-flipped", build: anchorLog(nil), edit: editAnchor(ofToken, flipped), verdict: Invalid, err: "its content has another hash", reason: "one bit flipped"},
	{name: "anchored-checkpoint-flipped", build: anchorLog(nil), edit: editAnchor(ofCheckpoint, flipped), verdict: Invalid, err: "its content has another hash", reason: "one bit flipped"},
	{name: "anchored-size-differs", build: anchorLog(func(_ *logForTest, e *Entry) { e.Size = 6 }), verdict: Invalid, err: "it is of 7 entries, the entry says 6", reason: "another size than the checkpoint's"},
	{name: "anchored-another-history", build: recordCheckpoint(func(l *logForTest, _ []byte) []byte {
		f := filesForTest{}
		signWith(nil, Checkpoint{Size: 7, Root: Hash{1}})(l, f)
		return f["checkpoint"]
	}), verdict: Invalid, err: "entry 7: the checkpoint that was stamped: at 7 entries the root is ", reason: "the log signed two histories"},
	{name: "anchored-cosigned", build: recordCheckpoint(func(l *logForTest, signed []byte) []byte {
		f := filesForTest{"checkpoint": signed}
		cosigned(l, f)
		return f["checkpoint"]
	}), verdict: Invalid, err: "it carries other signatures than the log's two", reason: "what is stamped is as the log alone signed it"},
	{name: "anchored-without-ml-dsa", build: recordCheckpoint(func(l *logForTest, signed []byte) []byte { return dropLine(l, signed, 1) }),
		verdict: Invalid, err: "no signature by the log's key", reason: "both keys must sign"},
	{name: "anchored-other-origin", build: recordCheckpoint(func(l *logForTest, _ []byte) []byte {
		f := filesForTest{}
		signWith(strangerSigner(l), Checkpoint{Size: -1})(l, f)
		return f["checkpoint"]
	}), verdict: Invalid, err: `origin is "ledger.example.org"`, reason: "another log's"},
	{name: "anchored-no-checkpoint-at-all", build: anchorLog(func(l *logForTest, e *Entry) { e.Checkpoint = l.keep([]byte("hello\n")) }),
		verdict: Invalid, err: "entry 7: the checkpoint that was stamped: ", reason: "no checkpoint"},
	{name: "anchored-by-retired", build: func(l *logForTest) {
		l.prelude()
		l.rotate("second ")
		f := filesForTest{}
		signWith(l.first, Checkpoint{Size: -1})(l, f)
		l.add(l.anchored(8, f["checkpoint"], l.token("token.tst"), tokenTime))
	}, shipped: true, verdict: Invalid, err: "no signature by the log's key", reason: "the pair that signed was not in force at that size"},
	{name: "anchored-by-other-keys", build: recordCheckpoint(func(l *logForTest, _ []byte) []byte {
		f := filesForTest{}
		signWith(otherSigner(l), Checkpoint{Size: -1})(l, f)
		return f["checkpoint"]
	}), verdict: Invalid, err: "no signature by the log's key", reason: "the log has named its keys, and these are others"},
	{name: "anchored-by-app", build: anchorLog(func(_ *logForTest, e *Entry) { e.Source = "shop-frontend" }),
		verdict: Invalid, err: "entry 7: rule role: ", reason: "the ledger records its time stamps itself"},
	{name: "anchored-size-above-index", build: anchorLog(func(_ *logForTest, e *Entry) { e.Size = 8 }),
		verdict: Invalid, err: "entry 7: rule size: a checkpoint of 8 entries in a log that has 7", reason: "what was stamped is an earlier state of the log"},
}
