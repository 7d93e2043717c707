package ledger

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
)

// logVector builds one golden log. A bad one is signed as it should be, as if by
// a modified server, so that what is wrong with it is what is found.
type logVector struct {
	name    string
	build   func(l *logForTest)
	edit    func(l *logForTest, f filesForTest) // what happens to the files afterwards
	policy  string                              // name of the policy file; trust.policy when empty
	since   func(l *logForTest) []byte
	keys    func(l *logForTest) []byte
	shipped bool // the log has its trust.keys
	tsa     bool // the authority of testdata/anchor is trusted
	verdict Verdict
	err     string
	mention string
	reason  string
}

func (v logVector) files(t *testing.T) (log filesForTest, since, keys []byte) {
	l := newLogForTest(t)
	v.build(l)
	log = l.files()
	if v.edit != nil {
		v.edit(l, log)
	}
	if v.since != nil {
		since = v.since(l)
	}
	if v.keys != nil {
		keys = v.keys(l)
	}
	return log, since, keys
}

// otherSigner signs under the log's origin with keys of its own.
func otherSigner(t testing.TB) *Signer { return pairForTest(t, "other ") }

// logPolicies are the policies beside the logs.
func logPolicies(t *testing.T) filesForTest {
	keys := newLogForTest(t).signer.Keys()
	w, _ := cosign04("witness.example.com/1", 0x41, "", 1)
	head := "log " + keys.Ed25519.String() + "\nwitness self-pq " + keys.MLDSA44.String() + "\n"
	return filesForTest{
		"trust.policy":      NewPolicy(keys),
		"no-ml-dsa.policy":  []byte("log " + keys.Ed25519.String() + "\nquorum none\n"),
		"witnessed.policy":  []byte(head + "witness w1 " + w.String() + "\ngroup all-of-them all self-pq w1\nquorum all-of-them\n"),
		"other-keys.policy": NewPolicy(otherSigner(t).Keys()),
		"second.policy":     NewPolicy(pairForTest(t, "second ").Keys()),
		"third.policy":      NewPolicy(pairForTest(t, "third ").Keys()),
	}
}

// cosigned adds the line of the witness of witnessed.policy.
func cosigned(l *logForTest, f filesForTest) {
	_, line := cosign04("witness.example.com/1", 0x41, l.checkpoint().Text(), uint64(l.now.Unix()))
	f["checkpoint"] = append(f["checkpoint"], line.String()+"\n"...)
}

// foreignLine adds a line by a key that no policy here knows.
func foreignLine(l *logForTest, f filesForTest) {
	_, line := cosign04("stranger.example.com", 0x42, l.checkpoint().Text(), uint64(l.now.Unix()))
	f["checkpoint"] = append(f["checkpoint"], line.String()+"\n"...)
}

// dropLine removes the n-th signature line, from 0.
func dropLine(t testing.TB, signed []byte, n int) []byte {
	note, err := ParseSignedNote(signed)
	if err != nil {
		t.Fatal(err)
	}
	note.Lines = slices.Delete(note.Lines, n, n+1)
	return note.Bytes()
}

// rewrite encodes the entry and replaces something in its text before it is
// added.
func (l *logForTest) rewrite(e *Entry, old, new string) {
	e.Index, e.Prev, e.Time = Index(len(l.texts)), l.prev, l.now
	text, err := e.Encode()
	if err != nil {
		l.Fatal(err)
	}
	changed := bytes.Replace(text, []byte(old), []byte(new), 1)
	if bytes.Equal(changed, text) {
		l.Fatalf("%q does not stand in\n%s", old, text)
	}
	l.addText(changed, nil)
}

func TestVectorsLogs(t *testing.T) {
	files := logPolicies(t)
	files["authority.pem"] = newLogForTest(t).token("authority.pem")
	var index []vector
	for _, v := range slices.Concat(goodLogs, ruleLogs, definitionLogs, openingLogs, followingLogs, resendLogs, erasureLogs, rightsLogs, groundLogs, chainLogs, fileLogs, headLogs,
		rotatedLogs, keyLogs, badRotations, anchorLogs, keptLogs) {
		log, since, keys := v.files(t)
		if !v.shipped {
			delete(log, "trust.keys") // may be absent where no keys were rotated; a third of the size
		}
		row := vector{Name: v.name, Files: []string{v.name + ".tar"}, Policy: v.policy, Verdict: v.verdict.String(),
			Error: v.err, Mention: v.mention, Reason: v.reason}
		files[v.name+".tar"] = pack(t, log)
		if v.policy == "" {
			row.Policy = "trust.policy"
		}
		if since != nil {
			row.Since = v.name + ".since"
			files[row.Since] = since
		}
		if v.tsa {
			row.TSA = "authority.pem"
		}
		if keys != nil {
			row.Keys = v.name + ".keys"
			files[row.Keys] = keys
		}
		index = append(index, row)
	}
	checkFamily(t, "logs", index, files)
	rows, read := readFamily(t, "logs")
	named := map[string]bool{}
	for _, v := range rows {
		policy, err := ParsePolicy(read(v.Policy))
		if err != nil {
			v.check(t, err, nil)
			continue
		}
		opt := VerifyOptions{Policy: policy}
		if v.Since != "" {
			opt.Since = read(v.Since)
		}
		if v.Keys != "" {
			opt.Keys = read(v.Keys)
		}
		if v.TSA != "" {
			opt.Stamps = stampForTest
		}
		rep, err := VerifyLog(t.Context(), unpack(t, read(v.Files[0])), opt)
		v.check(t, err, rep)
		if rep.Verdict != v.Verdict || (rep.Reason == "") != (err == nil) {
			t.Errorf("%s: the report says %s, %q", v.Name, rep.Verdict, rep.Reason)
		}
		if _, rule, ok := strings.Cut(v.Error, "rule "); ok {
			rule, _, _ = strings.Cut(rule, ":")
			named[rule] = true
		}
	}
	for _, row := range formatTable(t, "rule", "violated when") {
		if rule := strings.Trim(row[0], "`"); !named[rule] {
			t.Errorf("no golden log violates the rule %s", rule)
		}
	}
}

var goodLogs = []logVector{
	{name: "story", build: (*logForTest).story, shipped: true, verdict: Verified, mention: `"consent.used.withdrawn":1`,
		reason: "every kind, and every state and overlay that this version's kinds reach"},
	{name: "smallest", build: (*logForTest).create, verdict: Verified, reason: "entry 0 alone"},
	{name: "foreign-signature", build: (*logForTest).create, edit: foreignLine, verdict: Verified, mention: "stranger.example.com+",
		reason: "a line by a key outside the policy is named, not checked"},
	{name: "witnessed", build: (*logForTest).create, edit: cosigned, policy: "witnessed.policy", verdict: Verified, mention: "WITNESSED 1",
		reason: "the quorum is reached"},
	{name: "since", build: func(l *logForTest) { l.prelude() }, verdict: Verified, mention: "contains the checkpoint you hold, of 1 entries",
		since: func(l *logForTest) []byte {
			older := newLogForTest(l)
			older.create()
			return older.sign()
		}, reason: "the log goes on from the checkpoint that was kept"},
	{name: "keys-file", build: (*logForTest).create, keys: func(l *logForTest) []byte { return l.texts[0] }, verdict: Verified,
		reason: "the keys file is entry 0"},
	{name: "lock-used-after-expiry", build: func(l *logForTest) {
		ref := l.prelude()
		l.request(1, ref)
		l.now = l.now.Add(8 * 24 * time.Hour)
		id := l.request(1, ref)
		l.reveal(ConsentConfirmed, 1, id)
	}, verdict: Verified, reason: "an expired request's lock counts as never used"},
	{name: "token-at-the-last-moment", build: func(l *logForTest) {
		ref := l.prelude()
		e := l.requested(1, "newsletter", ref)
		id := ConsentID(l.add(e))
		l.now = e.Expires
		l.reveal(ConsentConfirmed, 1, id)
	}, verdict: Verified, reason: "a token is good up to and including expires"},
	{name: "occurred-at-the-limit", build: func(l *logForTest) {
		ref := l.prelude()
		l.now = l.now.Truncate(time.Second).Add(time.Second)
		e := l.requested(1, "newsletter", ref)
		e.Occurred = l.now.Add(MaxClockAhead)
		l.add(e)
	}, verdict: Verified, reason: "exactly five minutes ahead is allowed"},
	{name: "occurred-ahead-irregular", build: func(l *logForTest) {
		id := l.request(1, l.prelude())
		for _, kind := range []Kind{RestrictionSet, ObjectionRecorded, ConsentWithdrawn} {
			e := l.changed(kind, id)
			e.Occurred = l.now.Add(time.Hour).Truncate(time.Second)
			l.add(e)
		}
	}, verdict: Verified, mention: `"occurred_ahead":3`, reason: "withdrawals, objections and restrictions are accepted with a clock ahead"},
	{name: "split-lists", build: func(l *logForTest) {
		ref := l.prelude()
		a, b := l.request(1, ref), l.request(2, ref)
		for _, kind := range []Kind{ConsentUsed, ConsentWithdrawn} {
			at := l.now.Add(time.Minute)
			for part, id := range []ConsentID{a, b} {
				e := l.changed(kind, id)
				e.Part, e.Parts, e.Time = part+1, 2, at
				l.add(e)
			}
			l.now = at
		}
	}, verdict: Verified, reason: "lists of both sorts in two parts"},
	{name: "some-confirmed", build: func(l *logForTest) {
		ref := l.prelude()
		e := l.requested(1, "newsletter", ref)
		l.add(e)
		second := l.requested(1, "email.open_tracking", ref)
		second.Expires = e.Expires
		l.reveal(ConsentConfirmed, 1, ConsentID(l.add(second)))
	}, verdict: Verified, mention: `"requested":1`, reason: "a token may confirm some of its request's consents"},
	{name: "used-after-erasure", build: func(l *logForTest) {
		id := l.request(1, l.prelude())
		l.change(SubjectErased, id)
		l.change(ConsentUsed, id)
		l.change(ConfirmationSent, id)
	}, verdict: Verified, mention: `"confirmation.sent.erased":1`, reason: "mentions are irregular, never forbidden"},
	{name: "unknown-kind", build: func(l *logForTest) {
		l.prelude()
		l.rewrite(&Entry{Kind: SourceDeclared, Source: SourceLedger, Name: "x", Role: "app"}, "kind source.declared", "kind source.retired")
		l.source("another", "app")
	}, verdict: CannotTell, err: "entry 7: needs a newer verifier: unknown kind source.retired", reason: "a kind of a later version"},
	{name: "later-format", build: func(l *logForTest) {
		l.prelude()
		l.rewrite(&Entry{Kind: SourceDeclared, Source: SourceLedger, Name: "x", Role: "app"}, "entry/v1\nindex", "entry/v2\nposition")
		l.addText([]byte("consent-ledger/entry/v2\nwhatever\n"), nil)
	}, verdict: CannotTell, err: "entry 7: needs a newer verifier: entry format version 2", mention: "the hash chain from entry 7 on",
		reason: "a later format"},
}
