package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/testauthority"
	"github.com/consentledger/consentledger/ledger"
)

// TestReadme types what README tells a newcomer to type, in its order, with the
// port replaced by a free one: build, init, serve, every call, the verifier, the
// erasure, the export and the backup.
func TestReadme(t *testing.T) {
	for _, need := range []string{"bash", "curl", "openssl"} {
		if _, err := exec.LookPath(need); err != nil {
			t.Skip(need + " is missing")
		}
	}
	r := newReader(t)
	build := exec.Command("go", "build", "-o", r.dir, "./cmd/ledgerd", "./cmd/verify")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	r.keep("ADMIN", keyPattern, r.run("./ledgerd init"))
	stop := r.serve("./ledgerd serve --data")
	r.keep("APP", keyPattern, r.run("./ledgerd apikey add --data data --role app"))
	r.keep("LEGAL", keyPattern, r.run("./ledgerd apikey add --data data --role legal"))
	r.keep("LEDGERD_KEY", keyPattern, r.bash("./ledgerd apikey add --data data --role auditor --name auditor"))
	time.Sleep(1100 * time.Millisecond) // the server re-reads the keys within a second
	r.consent()
	r.show()
	r.copy()
	r.run("./verify log http://")
	r.receipt()
	r.keepCheckpoint()
	r.erase()
	r.run("./ledgerd status")
	r.run("./ledgerd erasure-status")
	r.run("./ledgerd retention run")
	stop()
	r.run("openssl req -x509")
	stop = r.serve("./ledgerd serve --tls-cert")
	r.answers("curl --cacert", `"mode":"recording"`)
	stop()
	stamped := r.timeStamps()
	r.run("./ledgerd export")
	stamped()
	if out := r.run("./verify log export --policy data"); !strings.HasPrefix(out, "VERIFIED") {
		t.Errorf("verify says %s", out)
	}
	r.answers("./verify receipt", `^VERIFIED.*The log that it was held against:\n  VERIFIED`)
	r.answers("./ledgerd report population", `VERIFIED`)
	r.answers("./ledgerd report erasures", `VERIFIED`)
	r.witness()
	r.backUp()
	r.rotate()
	for _, c := range r.commands {
		if !r.ran[c] && regexp.MustCompile("^(admin|app|legal) ").MatchString(c) {
			t.Errorf("README has a call that this test does not make: %s", c)
		}
	}
}

// consent follows README from the first purpose to the withdrawal.
func (r *reader) consent() {
	for name, text := range map[string]string{"form.html": "<form></form>", "mail.eml": "Subject: Please confirm\r\n\r\n",
		"card.pdf": "%PDF-1.4", "agreement.pdf": "%PDF-1.4"} {
		if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o644); err != nil {
			r.Fatal(err)
		}
	}
	r.answers(`admin DefinePurpose '{"id":"newsletter"`, `"version":"1"`)
	r.answers(`admin PublishNotice '{"id":"newsletter-en"`, `"notice":"newsletter-en@1".*"missing":\["retention","refusal","automated_decisions","authority"\]`)
	r.answers(`admin PublishNotice '{"id":"confirm-en"`, `"notice":"confirm-en@1"`)
	r.answers("admin EngageProcessor", `"country":"IE"`)
	r.answers("admin DeclareClaim", `"id":"x.membership"`)
	requested := r.answers("app RequestConsent", `"state":"requested".*"manage_token":"`)
	r.keep("TOKEN", regexp.MustCompile(`"token":"([^"]+)"`), requested)
	r.keep("ID", regexp.MustCompile(`"consent_id":"([0-9]+)"`), requested)
	sent := time.Now().Add(-2 * time.Minute) // whoever confirms as fast as this test is a machine to the ledger
	r.at(sent, "app RecordConfirmationSent", `"irregular":\[\]`)
	r.answers("app RecordConfirmationFailed", `"irregular":\[\]`)
	r.answers("app ResendConfirmation", `"token":"`)
	r.answers("app RecordConfirmationOpened", `"irregular":\[\]`)
	r.answers("app CheckConsent", `"allowed":false,"reason":"pending"`)
	r.at(sent.Add(time.Minute), "app ConfirmConsent", `"grade":"A".*"since_sent":"60s"`)
	r.answers("app CheckConsent", `^{"allowed":true,"reason":"confirmed",.*"basis":"consent","grade":"A",.*"expires_at":"`)
	r.answers("app AuthoriseGuardian", `"irregular":\[\]`)
	r.answers("app GetConsentReceipt", `"receipt":"{.*dpv`)
	r.answers("app GiveConsent", `"state":"given".*"grade":"B"`)
	r.answers("app BatchImportConsents", `"state":"imported".*"grade":"C"`)
	r.answers("app RecordUses", `"irregular":\[\]`)
	r.answers("app WithdrawConsent", `"state":"withdrawn"`)
	r.answers("app RecordWithdrawalEffected", `"delays":\[{"consent_id":"[0-9]+","delay":"`)
}

// show follows README through what comes then.
func (r *reader) show() {
	r.answers("legal InvalidateConsents", `"consents":"1"`)
	r.answers(`admin DefinePurpose '{"id":"email.open_tracking"`, `"tracking_mode":"anonymous"`)
	r.answers("app SetTrackingMode", `"state":"refused"`)
	r.answers("app RecordSignal", `"says":"no"`)
	r.answers("app CheckConsent", `"allowed":false,"reason":"withdrawn".*"tracking_mode":"none"`)
	r.answers("legal GetConsentHistory", `consent\.requested.*a•••@example\.com.*confirmation\.sent.*confirmation\.failed.*confirmation\.resent.*consent\.confirmed`)
	r.answers("legal DiscloseClaims", `"claim":"message"`)
	r.answers("./ledgerd bundle --email", `^anna\.asice: .*, not cosigned by a witness`)
	r.answers("./verify bundle anna.asice --policy data/trust.policy", `^VERIFIED, UNANCHORED.*newsletter.*NO: withdrawn`)
}

// copy follows README where a person asks for a copy of everything.
func (r *reader) copy() {
	r.keep("REQUEST", regexp.MustCompile(`"request_id":"([0-9]+)"`), r.answers("legal OpenRequest", `"due":"20..-..-..T23:59:59Z"`))
	r.answers("legal VerifyIdentity", `"until":"`)
	r.run("./ledgerd access-report")
	report, err := os.ReadFile(filepath.Join(r.dir, "anna.json"))
	if err != nil || !bytes.Contains(report, []byte("anna@example.com")) || !bytes.Contains(report, []byte("Mailer Ltd")) {
		r.Errorf("the copy: %v\n%s", err, report)
	}
	r.answers("legal AnswerRequest", `"irregular":\[\]`)
}

// receipt keeps what proves an entry, as an auditor gets it.
func (r *reader) receipt() {
	ask := func(method, request, field string) []byte {
		answer := r.bash("call $LEDGERD_KEY audit.v1.AuditService/" + method + " '" + request + "'")
		found := regexp.MustCompile(`"` + field + `":("[^"]*")`).FindStringSubmatch(answer)
		var text string
		if found == nil || json.Unmarshal([]byte(found[1]), &text) != nil {
			r.Fatalf("no %s in %s", field, answer)
		}
		return []byte(text)
	}
	entry, err := base64.StdEncoding.DecodeString(string(ask("BatchListEntries", `{"start":"7","limit":"1"}`, "raw")))
	if err != nil {
		r.Fatal(err)
	}
	for name, b := range map[string][]byte{"entry.txt": entry, "receipt.txt": ask("GetInclusionProof", `{"index":"7"}`, "receipt")} {
		if err := os.WriteFile(filepath.Join(r.dir, name), b, 0o644); err != nil {
			r.Fatal(err)
		}
	}
}

// keepCheckpoint follows README where somebody keeps a checkpoint, and asks later.
func (r *reader) keepCheckpoint() {
	r.run("> newest.checkpoint")
	found := regexp.MustCompile(`^{"header_name":"([^"]+)","header_value":"([^"]+)","size":"[0-9]+"}`).FindStringSubmatch(r.run("app GetCheckpoint"))
	if found == nil {
		r.Fatal("no header")
	}
	header := found[1] + ": " + strings.ReplaceAll(found[2], " ", "\r\n ") + "\r\n" // as a mail may fold it
	if err := os.WriteFile(filepath.Join(r.dir, "header.txt"), []byte(header), 0o644); err != nil {
		r.Fatal(err)
	}
	r.answers("./verify log --since header.txt", `^VERIFIED.*history +contains the checkpoint you hold`)
	r.answers("CheckCheckpoint", `"verdict":"contained"`)
}

// erase follows README where a person is forgotten and the mailer told.
func (r *reader) erase() {
	r.keep("ERASED", regexp.MustCompile(`"entry":{"index":"([0-9]+)"`), r.answers("app EraseSubject", `"erasure_receipt":"consent-ledger/`))
	r.answers("legal ListRecipients", `"processor":"mailer","uses":"1"`)
	r.keep("TOLD", regexp.MustCompile(`"notification_id":"([0-9]+)"`), r.run("legal NotifyRecipient"))
	r.answers("legal AcknowledgeRecipient", `"index":"`)
}

// witness follows README where somebody else cosigns the log.
func (r *reader) witness() {
	r.answers("./ledgerd witness init", `witness witness\.example\.org/dpo/ml-dsa-44 `)
	stop := r.serve("./ledgerd witness serve")
	r.run("add-checkpoint")
	r.run("cat cosignatures")
	r.run("> witnessed.policy")
	r.answers("./verify log export --policy witnessed", `^VERIFIED.*anchors +WITNESSED 1`)
	r.run("> kept.checkpoint")
	r.answers("./verify fork", `^VERIFIED.*Both belong to the one history`)
	r.witnessed()
	stop()
}

// witnessed follows README where the ledger asks that witness.
func (r *reader) witnessed() {
	stop := r.serve("./ledgerd serve --witness-policy")
	fetch := r.find("> cosigned.checkpoint")
	r.bash("for i in $(seq 100); do " + strings.Split(fetch, "   #")[0] + " && break; sleep 0.1; done")
	r.answers("./verify log --policy witnessed.policy http://", `^VERIFIED.*anchors +WITNESSED 1`)
	if out := r.run("./ledgerd status"); !regexp.MustCompile(`(?m)^witness +http://127\.0\.0\.1:\d+: \d+ entries cosigned, last at `).MatchString(out) {
		r.Errorf("status says\n%s", out)
	}
	stop()
}

// timeStamps follows README where the log is stamped, with an authority of this test
// in the place of README's. What it gives follows README once the log is exported.
func (r *reader) timeStamps() (exported func()) {
	a := testauthority.New(r.T, testauthority.Options{})
	pem, err := os.ReadFile(a.CAFile)
	if err == nil {
		err = os.WriteFile(filepath.Join(r.dir, "example-ca.pem"), pem, 0o644)
	}
	if err != nil {
		r.Fatal(err)
	}
	r.bash(strings.Replace(r.find("> authorities"), "https://tsa.example.com/tsr", a.URL, 1))
	stop := r.serve("./ledgerd serve --timestamp-authorities")
	r.answers("./ledgerd anchor", `^example: [0-9]+ entries stamped at `)
	r.answers("./verify log --qualified-tsa", `^VERIFIED.*STAMPED_QUALIFIED`)
	stop()
	return func() {
		e := r.lastAnchor()
		name := func(sum ledger.Hash) string { return filepath.Base(ledger.AnchorPath(sum)) }
		command := strings.NewReplacer("CHECKPOINT", name(e.Checkpoint), "STAMP", name(e.Stamp)).Replace(r.find("openssl ts -verify -data export"))
		r.match("openssl", r.bash(command), "Verification: OK")
	}
}

// lastAnchor finds the entry about the last stamp in what was exported.
func (r *reader) lastAnchor() (last *ledger.Entry) {
	bundles, err := filepath.Glob(filepath.Join(r.dir, "export/tile/entries/000*/*"))
	if err != nil || len(bundles) != 1 {
		r.Fatalf("%q are exported: %v", bundles, err)
	}
	bundle, err := os.ReadFile(bundles[0])
	if err != nil {
		r.Fatal(err)
	}
	entries, err := ledger.ParseBundle(bundle)
	for _, text := range entries {
		e, parseErr := ledger.ParseEntry(text)
		if err = errors.Join(err, parseErr); err == nil && e.Kind == ledger.CheckpointAnchored {
			last = e
		}
	}
	if err != nil || last == nil {
		r.Fatalf("no time stamp in %d entries: %v", len(entries), err)
	}
	return last
}

// backUp follows README where it backs up and restores.
func (r *reader) backUp() {
	r.bash("mkdir backups stick")
	r.run("cp data/signing.keys safe/")
	stop := r.serve("./ledgerd serve --backup-target")
	r.run("./ledgerd backup --full")
	r.bash("LEDGERD_KEY=$ADMIN ./ledgerd backup")
	r.run("./ledgerd backup keys")
	r.run("./ledgerd vault rekey-index")
	stop()
	r.run("./ledgerd restore")
	r.run("./ledgerd check --data restored")
	stop = r.serve("./ledgerd serve --since")
	stop()
}

// rotate follows README where the log gets new keys.
func (r *reader) rotate() {
	stop := r.serve("./ledgerd serve --data")
	r.answers("./ledgerd rotate-key", `The log has new keys, since entry \d+`)
	r.answers("./verify log --policy data/trust.policy --keys data/trust.keys", `^VERIFIED`)
	stop()
}

var keyPattern = regexp.MustCompile(`(clk_[A-Za-z0-9_-]{43})`)

// reader is somebody who follows README.
type reader struct {
	*testing.T
	dir, port   string
	witnessPort string
	env         []string
	functions   string // of the shell, that README defines
	commands    []string
	ran         map[string]bool // of the commands
}

func newReader(t *testing.T) *reader {
	r := &reader{T: t, dir: t.TempDir(), port: freePort(t), witnessPort: freePort(t), ran: map[string]bool{}}
	r.env = append(os.Environ(), "LEDGERD_LISTEN=127.0.0.1:"+r.port, "LEDGERD_WITNESS_LISTEN=127.0.0.1:"+r.witnessPort, "LEDGERD_SERVER=http://127.0.0.1:"+r.port)
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for i, block := range strings.Split(string(text), "```") {
		if i%2 == 1 {
			r.learn(block)
		}
	}
	return r
}

// learn takes in the commands of one of README's blocks, without comments, and with
// variables for what the reader fills in.
func (r *reader) learn(block string) {
	block = strings.NewReplacer("127.0.0.1:8080", "127.0.0.1:"+r.port, "127.0.0.1:8081", "127.0.0.1:"+r.witnessPort, `"token":"…"`, `"token":"'$TOKEN'"`,
		`"consent_ids":["…"]`, `"consent_ids":["'$ID'"]`, `"consent_id":"…"`, `"consent_id":"'$ID'"`,
		`"request_id":"…"`, `"request_id":"'$REQUEST'"`, `"index":"…"`, `"index":"'$ERASED'"`, `"notification_id":"…"`, `"notification_id":"'$TOLD'"`).Replace(block)
	first := strings.TrimLeft(block, "\n")
	indent := first[:len(first)-len(strings.TrimLeft(first, " "))]
	for line := range strings.Lines(strings.TrimSpace(block)) {
		line, _, _ = strings.Cut(strings.TrimRight(strings.TrimPrefix(line, indent), "\n"), "   #")
		switch last := len(r.commands) - 1; {
		case regexp.MustCompile(`^\w+\(\) +\{`).MatchString(line):
			r.functions += line + "\n"
		case strings.HasPrefix(line, " ") && last >= 0:
			r.commands[last] += "\n" + line
		default:
			r.commands = append(r.commands, line)
		}
	}
}

// find gives the one command of README that holds the words.
func (r *reader) find(words string) string {
	r.Helper()
	found := ""
	for _, c := range r.commands {
		if strings.Contains(c, words) {
			if found != "" {
				r.Fatalf("README has several commands with %q", words)
			}
			found = c
		}
	}
	if found == "" {
		r.Fatalf("README has no command with %q", words)
	}
	r.ran[found] = true
	return found
}

func (r *reader) run(words string) string {
	r.Helper()
	return r.bash(r.find(words))
}

// answers runs a command and demands that its answer matches.
func (r *reader) answers(words, pattern string) string {
	r.Helper()
	return r.match(words, r.run(words), pattern)
}

// at runs a call that reports what happened at a moment.
func (r *reader) at(moment time.Time, words, pattern string) {
	r.Helper()
	occurred := `'{"occurred_at":"` + moment.UTC().Format(time.RFC3339) + `",`
	r.match(words, r.bash(strings.Replace(r.find(words), "'{", occurred, 1)), pattern)
}

func (r *reader) match(words, answer, pattern string) string {
	r.Helper()
	if !regexp.MustCompile("(?s)" + pattern).MatchString(answer) {
		r.Errorf("%s answers, not as %s says:\n%s", words, pattern, answer)
	}
	return answer
}

// bash runs a command as it is typed; a Connect error in its answer fails, too.
func (r *reader) bash(command string) string {
	r.Helper()
	cmd := exec.Command("bash", "-c", r.functions+command)
	cmd.Dir, cmd.Env = r.dir, r.env
	out, err := cmd.CombinedOutput()
	if err != nil || bytes.Contains(out, []byte(`"code":`)) {
		r.Fatalf("%s\n%v: %s", command, err, out)
	}
	return string(out)
}

func (r *reader) keep(name string, pattern *regexp.Regexp, out string) {
	r.Helper()
	found := pattern.FindStringSubmatch(out)
	if found == nil {
		r.Fatalf("no %s in: %s", name, out)
	}
	r.env = append(r.env, name+"="+found[1])
}

// serve starts the server as README does and waits until it says where it is.
func (r *reader) serve(words string) (stop func()) {
	cmd := exec.Command("bash", "-c", "exec "+r.find(words))
	cmd.Dir, cmd.Env = r.dir, r.env
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended, unless this test failed before its stop
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.Contains(line, r.port) && !strings.Contains(line, r.witnessPort) {
		r.Fatalf("serve says %q, %v", line, err)
	}
	return func() {
		cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			r.Errorf("serve ended with %v", err)
		}
	}
}

func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
