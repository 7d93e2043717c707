package service

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// canaries plants values that can be told from everything else, and looks for
// them in all the ways in which a value might have been written down.
type canaries struct {
	search *search
	said   []string // errors and answers that callers were given
}

// text makes a canary of its own for a place, and watches for it.
func (c *canaries) text(place string) string {
	var b [10]byte
	rand.Read(b[:])
	text := "Canary" + hex.EncodeToString(b[:])
	c.watch(place, text)
	return text
}

// watch looks for a value that holds a canary, or is one as a whole.
func (c *canaries) watch(place, value string) {
	for form, text := range map[string]string{"": value, " in upper case": strings.ToUpper(value), " in lower case": strings.ToLower(value), " reversed": reversed(value)} {
		for encoding, needle := range encodings(text) {
			c.search.add(place+form+encoding, needle)
		}
	}
}

func reversed(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

// encodings gives the ways in which a text may have been written down.
func encodings(text string) map[string]string {
	all := map[string]string{
		"":               text,
		" in hex":        hex.EncodeToString([]byte(text)),
		" in upper hex":  strings.ToUpper(hex.EncodeToString([]byte(text))),
		" with JSON's <": strings.ReplaceAll(text, "<", `\u003c`),
	}
	for name, enc := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
		for k := range 3 { // where it stands in what was encoded
			long := enc.EncodeToString(append(make([]byte, k), text...))
			all[fmt.Sprintf(" in %s+%d", name, k)] = long[(8*k+5)/6 : 8*(k+len(text))/6]
		}
	}
	s256, s1, m5 := sha256.Sum256([]byte(text)), sha1.Sum([]byte(text)), md5.Sum([]byte(text))
	for name, sum := range map[string][]byte{"SHA-256": s256[:], "SHA-1": s1[:], "MD5": m5[:]} {
		all[" as "+name] = string(sum)
		all[" as "+name+" in hex"] = hex.EncodeToString(sum)
		all[" as "+name+" in upper hex"] = strings.ToUpper(hex.EncodeToString(sum))
		all[" as "+name+" in base64"] = base64.RawStdEncoding.EncodeToString(sum)
		all[" as "+name+" in base64url"] = base64.RawURLEncoding.EncodeToString(sum)
	}
	return all
}

// says keeps what a caller was told.
func (c *canaries) says(answer any, err error) {
	c.said = append(c.said, fmt.Sprintf("%+v %v %+v", answer, err, err))
}

// refusedSays keeps what a caller was told about a request that must not be
// accepted.
func (c *canaries) refusedSays(t testing.TB, doing string, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s was accepted", doing)
	}
	c.says(nil, err)
}

// claimNames lists the claims that callers may set.
var claimNames = []string{"name", "ip", "user_agent", "page_url", "referrer", "form_snapshot", "checkbox_state", "language", "session",
	"captcha", "origin", "operator", "reference", "recipient", "reason", "address", "form", "guardian", declared}

// declared is one that is none of the reserved.
const declared = "x.shoe_size"

func (c *canaries) claims(place string) map[string]string {
	claims := map[string]string{}
	for _, name := range claimNames {
		if claims[name] = c.text(place + " claim " + name); name == "ip" {
			claims[name] = "203.0.113.77"
		}
	}
	return claims
}

// plant lives the lives of three people with canaries in every field that a
// caller can set and that is accepted, and gives how to name them.
func (c *canaries) plant(t testing.TB, f *fixture) (people []Subject) {
	t.Helper()
	s := f.s
	local, id := c.text("e-mail"), c.text("external id")
	var digits [1]byte
	rand.Read(digits[:])
	phone := fmt.Sprintf("+4917%03d555%03d1", digits[0], digits[0])
	c.watch("phone", phone)
	c.watch("phone as it was spelt", phone[:3]+" (17"+phone[5:8]+") "+phone[8:])
	address := local + "@example.com"
	c.watch("whole address", address)
	c.watch("address in the index", "email\x00"+strings.ToLower(address))
	c.watch("IP address", "203.0.113.77")
	c.watch("network", "203.0.113.0/24")
	c.registry(t, f)
	people = []Subject{{Email: address}, {Phone: phone[:3] + " (17" + phone[5:8] + ") " + phone[8:]}, {ExternalID: id}}
	for i, who := range people {
		channel, second := []string{"email", "sms", "email"}[i], []string{"post", "phone", "phone"}[i]
		place := fmt.Sprint("person ", i)
		key := func(what string) string { return c.text(place+" key of "+what) + "@example.com" }
		file := []byte("<html>" + c.text(place+" attachment") + "</html>")
		c.watch(place+" whole attachment", string(file))
		ask := ConsentRequest{Subject: who, Purposes: []string{newsletter, account}, Channel: channel, Notice: wording, Method: "web_form",
			Claims: c.claims(place + " request"), IdempotencyKey: key("request"), Proof: true}
		delete(ask.Claims, "form_snapshot")
		ask.Attachments = []Attachment{{Claim: "form_snapshot", FileName: c.text(place+" file name") + ".html",
			MediaType: "text/" + c.text(place+" media type"), Bytes: file}}
		r, err := s.RequestConsent(ctx, shop, ask)
		c.says(r, err)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.RequestConsent(ctx, shop, ask) // a retry
		c.says(nil, err)
		mail := []byte("To: " + c.text(place+" mail") + "\r\n\r\n" + r.Token)
		c.watch(place+" whole mail", string(mail))
		sent, irregular, err := s.RecordConfirmationSent(ctx, shop, SentMail{ConsentIDs: ids(r.Consents), Message: mail, SHA256: sha256.Sum256(mail),
			MediaType: []string{"", "text/plain", ""}[i], MTAResponse: "250 " + c.text(place+" MTA"), IdempotencyKey: key("sent")})
		c.says([]any{sent, irregular}, err)
		done, err2 := s.ConfirmConsent(ctx, shop, Click{Token: r.Token, Claims: c.claims(place + " click"), Proof: true})
		c.says(done, err2)
		used, irregular, err3 := s.RecordUses(ctx, shop, Uses{Reference: c.text(place + " reference"), Recipient: c.text(place + " recipient"),
			Processor: "mailhouse", ConsentIDs: ids(r.Consents), IdempotencyKey: key("use")})
		c.says([]any{used, irregular}, err3)
		signal := gpc(who)
		signal.Claims, signal.IdempotencyKey, signal.Proof = c.claims(place+" signal"), key("signal"), true
		received, err10 := s.RecordSignal(ctx, shop, signal)
		c.says(received, err10)
		slip := []byte(c.text(place + " slip"))
		authorised, irregular, err11 := s.AuthoriseGuardian(ctx, shop, Guardian{ConsentIDs: ids(r.Consents), Method: "paper", Claims: c.claims(place + " guardian"),
			Attachments: []Attachment{{Claim: "document", FileName: c.text(place + " slip's name"), MediaType: "text/plain", Bytes: slip}}, IdempotencyKey: key("guardian")})
		c.says([]any{authorised, irregular}, err11)
		set, err4 := s.SetRestriction(ctx, shop, Restriction{Subject: who, Ground: "art18_1_a", Claims: c.claims(place + " restriction"), IdempotencyKey: key("restriction")})
		c.says(set, err4)
		lifted, err5 := s.LiftRestriction(ctx, shop, Restriction{Subject: who, InformedAt: f.clock.now(), Claims: c.claims(place + " lifting"), IdempotencyKey: key("lifting")})
		c.says(lifted, err5)
		decided, err6 := s.CheckConsent(ctx, Question{Subject: who, Purpose: newsletter, Channel: channel})
		c.says(decided, err6)
		open, err7 := s.RequestConsent(ctx, shop, ConsentRequest{Subject: who, Purposes: []string{offers}, Channel: second, Notice: wording, Method: "phone"})
		if err7 == nil {
			_, err7 = s.RejectConfirmation(ctx, shop, Click{Token: open.Token, Claims: c.claims(place + " rejection")})
		}
		gone, err8 := s.WithdrawConsent(ctx, shop, Withdrawal{ManageToken: r.ManageToken, Purposes: []string{newsletter, offers}, Method: "link",
			Claims: c.claims(place + " withdrawal"), IdempotencyKey: key("withdrawal"), Proof: true})
		c.says(gone, err8)
		effected, err12 := s.RecordWithdrawalEffected(ctx, shop, Effected{ConsentIDs: ids(gone.Consents), System: shop.Name,
			Claims: c.claims(place + " effect"), IdempotencyKey: key("effect"), Proof: true})
		c.says(effected, err12)
		c.rights(t, f, who, r.Consents[0].ID, place)
		list, err9 := s.ListConsents(ctx, who)
		c.says(list, err9)
		for _, err := range []error{err, err2, err3, err4, err5, err6, err7, err8, err9, err10, err11, err12} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	_, _, err := s.DefinePurpose(ctx, admin, PurposeDefinition{ID: "titled", Title: c.text("title"), IdempotencyKey: c.text("key of a purpose")})
	if err == nil {
		_, _, err = s.PublishNotice(ctx, admin, NoticePublication{ID: "titled", Language: "de", Text: "public", Purposes: []string{"titled"}, IdempotencyKey: c.text("key of a notice")})
	}
	if err != nil {
		t.Fatal(err)
	}
	return people
}

// registry plants canaries in what an administrator declares.
func (c *canaries) registry(t testing.TB, f *fixture) {
	t.Helper()
	f.define(PurposeDefinition{ID: opens})
	_, _, err := f.s.DeclareClaim(ctx, admin, ClaimDeclaration{ID: declared, Title: c.text("title of a claim"), IdempotencyKey: c.text("key of a claim")})
	if err == nil {
		p := mailhouse()
		p.Title, p.Claims["address"], p.Claims["reference"] = c.text("title of a processor"), c.text("address of a processor"), c.text("reference of a processor")
		p.Agreement.FileName, p.Agreement.Bytes, p.IdempotencyKey = c.text("name of an agreement"), []byte(c.text("agreement")), c.text("key of an engagement")
		_, _, err = f.s.EngageProcessor(ctx, admin, p)
	}
	if err == nil {
		file := Attachment{FileName: c.text("name of a balancing"), MediaType: "text/plain", Bytes: []byte(c.text("balancing"))}
		_, _, err = f.s.DefinePurpose(ctx, admin, PurposeDefinition{ID: "surveys", Title: "Surveys", Bases: []string{"legitimate_interest"}, Balancing: &file})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// refuse plants canaries where they are refused; answers may not repeat them.
func (c *canaries) refuse(t testing.TB, f *fixture) {
	t.Helper()
	s := f.s
	for _, change := range []func(*ConsentRequest){
		func(r *ConsentRequest) { r.Subject = email(c.text("no address")) },
		func(r *ConsentRequest) { r.Subject = email(c.text("an address and more") + "@example.com <") },
		func(r *ConsentRequest) { r.Subject = email("a@" + c.text("a domain") + "_.example") },
		func(r *ConsentRequest) { r.Subject = Subject{Phone: c.text("no number")} },
		func(r *ConsentRequest) { r.Subject = Subject{ExternalID: c.text("no id") + " "} },
		func(r *ConsentRequest) {
			r.Subject = Subject{Email: c.text("two identifiers") + "@example.com", ExternalID: c.text("two identifiers, 2")}
		},
		func(r *ConsentRequest) { r.Purposes = []string{newsletter, c.text("no purpose")} },
		func(r *ConsentRequest) { r.Purposes = []string{strings.ToLower(c.text("an undefined purpose"))} },
		func(r *ConsentRequest) { r.Channel = c.text("no channel") },
		func(r *ConsentRequest) { r.Method = c.text("no method") },
		func(r *ConsentRequest) { r.Notice = c.text("no notice") },
		func(r *ConsentRequest) { r.Notice = strings.ToLower(c.text("no version")) + "@" + c.text("a version") },
		func(r *ConsentRequest) { r.Notice = strings.ToLower(c.text("an unknown notice")) + "@1" },
		func(r *ConsentRequest) { r.Claims = map[string]string{c.text("a claim's name"): "v"} },
		func(r *ConsentRequest) { r.Claims = map[string]string{"email": c.text("an identifier claimed")} },
		func(r *ConsentRequest) { r.Claims = map[string]string{"name": c.text("control characters") + "\x00"} },
		func(r *ConsentRequest) { r.Claims = map[string]string{"name": c.text("no UTF-8") + "\xff"} },
		func(r *ConsentRequest) { r.Claims = map[string]string{"ip": c.text("no IP address")} },
		func(r *ConsentRequest) {
			r.Claims = map[string]string{"name": strings.Repeat(c.text("too long"), 10000)}
		},
		func(r *ConsentRequest) {
			r.Attachments = []Attachment{{Claim: c.text("an attachment's claim"), MediaType: "a/b", Bytes: []byte("x")}}
		},
		func(r *ConsentRequest) {
			r.Attachments = []Attachment{{Claim: "reference", MediaType: c.text("no media type"), Bytes: []byte(c.text("bytes"))}}
		},
		func(r *ConsentRequest) {
			r.Attachments = []Attachment{{Claim: "reference", MediaType: "a/b", FileName: c.text("a file's name") + "\n", Bytes: []byte("x")}}
		},
		func(r *ConsentRequest) { r.IdempotencyKey = strings.Repeat(c.text("a long key"), 20) },
		func(r *ConsentRequest) {
			r.Subject, r.OccurredAt = email(c.text("an address too early")+"@example.com"), time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
		},
		func(r *ConsentRequest) {
			r.Subject, r.OccurredAt = email(c.text("an address too late")+"@example.com"), f.clock.now().Add(time.Hour)
		},
	} {
		ask := asking("a@example.com")
		change(&ask)
		_, err := s.RequestConsent(ctx, shop, ask)
		c.refusedSays(t, "a request", err)
	}
	_, err := s.ConfirmConsent(ctx, shop, Click{Token: c.text("no token")})
	c.refusedSays(t, "a click", err)
	_, err = s.WithdrawConsent(ctx, shop, Withdrawal{ManageToken: c.text("no manage token")})
	c.refusedSays(t, "a withdrawal", err)
	_, err = s.WithdrawConsent(ctx, shop, Withdrawal{Subject: email(c.text("a channel's address") + "@example.com"), Channel: c.text("no channel, 2")})
	c.refusedSays(t, "a withdrawal", err)
	_, err = s.WithdrawConsent(ctx, shop, Withdrawal{Subject: email("a@example.com"), Method: c.text("no method, 2")})
	c.refusedSays(t, "a withdrawal", err)
	_, _, err = s.RecordUses(ctx, shop, Uses{ConsentIDs: []ledger.ConsentID{1 << 40}, Reference: c.text("a reference to nobody")})
	c.refusedSays(t, "a use", err)
	_, _, err = s.RecordConfirmationSent(ctx, shop, SentMail{ConsentIDs: []ledger.ConsentID{1 << 40}, MTAResponse: c.text("an answer"), Message: []byte(c.text("a mail"))})
	c.refusedSays(t, "a mail", err)
	for _, x := range []PreferenceSignal{{Signal: "tcf", Value: c.text("no TC string")}, {Signal: "gpc", Value: c.text("no value")}, {Signal: c.text("no signal"), Value: "1"},
		{Signal: "gpc", Value: "1", Purposes: []string{c.text("no tracking")}}} {
		x.Subject = email("a@example.com")
		_, err = s.RecordSignal(ctx, shop, x)
		c.refusedSays(t, "a signal", err)
	}
	_, err = s.RecordWithdrawalEffected(ctx, shop, Effected{ConsentIDs: []ledger.ConsentID{1}, System: c.text("no system")})
	c.refusedSays(t, "an effect", err)
	_, _, err = s.AuthoriseGuardian(ctx, shop, Guardian{ConsentIDs: []ledger.ConsentID{1 << 40}, Method: "paper", Claims: map[string]string{"guardian": c.text("nobody's guardian")}})
	c.refusedSays(t, "a guardian", err)
	_, _, err = s.DeclareClaim(ctx, admin, ClaimDeclaration{ID: "x." + c.text("no claim"), Title: "t"})
	c.refusedSays(t, "a claim", err)
	undeclared := asking("a@example.com")
	undeclared.Claims = map[string]string{"x." + strings.ToLower(c.text("an undeclared claim")): c.text("an undeclared value")}
	_, err = s.RequestConsent(ctx, shop, undeclared)
	c.refusedSays(t, "a request", err)
	for _, change := range []func(*ProcessorEngagement){func(p *ProcessorEngagement) { p.ID = c.text("no processor") }, func(p *ProcessorEngagement) { p.Country = c.text("no country") },
		func(p *ProcessorEngagement) { p.Claims[c.text("a processor's claim")] = "v" }, func(p *ProcessorEngagement) { p.Agreement.MediaType = c.text("no media type, 2") }} {
		p := mailhouse()
		change(&p)
		_, _, err = s.EngageProcessor(ctx, admin, p)
		c.refusedSays(t, "an engagement", err)
	}
	_, err = s.SetRestriction(ctx, shop, Restriction{Subject: email("a@example.com"), Ground: c.text("no ground")})
	c.refusedSays(t, "a restriction", err)
	_, err = s.SetRestriction(ctx, shop, Restriction{Subject: email(c.text("a stranger") + "@example.com"), Ground: "art18_1_a"})
	c.refusedSays(t, "a restriction", err)
	_, err = s.EraseSubject(ctx, shop, Erasure{Subject: email(c.text("another stranger") + "@example.com"), Reason: "art17", Mode: "shred_now"})
	c.refusedSays(t, "an erasure", err)
	_, err = s.EraseSubject(ctx, shop, Erasure{Subject: email("a@example.com"), Reason: c.text("no reason"), Mode: c.text("no mode")})
	c.refusedSays(t, "an erasure", err)
	_, err = s.CheckConsent(ctx, Question{Subject: email("a@example.com"), Purpose: c.text("no purpose to check"), Channel: "email"})
	c.refusedSays(t, "a check", err)
	d, err := s.CheckConsent(ctx, Question{Subject: email(c.text("a stranger to check") + "@example.com"), Purpose: newsletter, Channel: "email"})
	c.says(d, err)
	c.refuseRights(t, f)
	for _, p := range []PurposeDefinition{{ID: c.text("no purpose's id"), Title: "t"}, {ID: "p", Title: c.text("a title") + "\x00"},
		{ID: "p", Title: "t", DoubleOptIn: true, DoubleOptInChannels: []string{c.text("no channel, 3")}}} {
		_, _, err = s.DefinePurpose(ctx, admin, p)
		c.refusedSays(t, "a purpose", err)
	}
	for _, n := range []NoticePublication{{ID: c.text("no notice's id"), Language: "de", Text: "t", Purposes: []string{newsletter}},
		{ID: "n", Language: c.text("no language"), Text: "t", Purposes: []string{newsletter}},
		{ID: "n", Language: "de", Text: c.text("a text") + "\x00", Purposes: []string{newsletter}},
		{ID: "n", Language: "de", Text: "t", Purposes: []string{c.text("no purpose, 4")}}} {
		_, _, err = s.PublishNotice(ctx, admin, n)
		c.refusedSays(t, "a notice", err)
	}
}

// TestCanaries plants canaries in every field that a caller can set, and finds
// none of them: not in the log's directory, nor as plain text in the vault's,
// not in an export, in what was logged, in errors or in answers.
func TestCanaries(t *testing.T) {
	t.Parallel()
	f := newService(t)
	c := &canaries{search: newSearch()}
	people := c.plant(t, f)
	c.refuse(t, f)
	// While the write-ahead logs are as they were written, not yet in tables.
	c.search.files(t, f.opt.Dir)
	c.search.files(t, f.export())
	c.everywhere(t, f)
	for _, who := range people {
		e, err := f.s.EraseSubject(ctx, shop, Erasure{Subject: who, Reason: "art17", Mode: "shred_now", IdempotencyKey: c.text("key of an erasure"), Proof: true})
		c.says(e, err)
		if err != nil {
			t.Fatal(err)
		}
	}
	c.everywhere(t, f)
	c.search.files(t, f.export())
	c.fault(t, f)
	c.search.text("what was logged", f.log.String())
	c.search.text("what callers were told", strings.Join(c.said, "\n"))
	for name, where := range c.search.found {
		t.Errorf("found the canary %q in %s", name, where)
	}
	if f.log.String() == "" {
		t.Error("nothing was logged: the search of the log finds nothing either")
	}

	// The control: an id is public, and is found in the log and in an export.
	public := &canaries{search: newSearch()}
	id := strings.ToLower(public.text("id"))
	if _, _, err := f.s.DefinePurpose(ctx, admin, PurposeDefinition{ID: id, Title: "Public"}); err != nil {
		t.Fatal(err)
	}
	public.everywhere(t, f)
	if len(public.search.found) == 0 {
		t.Error("the search finds nothing in the ledger's directory that is there")
	}
	public.search.found = map[string]string{}
	if public.search.files(t, f.export()); len(public.search.found) == 0 {
		t.Error("the search finds nothing in an export that is there")
	}
}

// everywhere searches the closed ledger's directory, and opens it again.
func (c *canaries) everywhere(t testing.TB, f *fixture) {
	t.Helper()
	f.close()
	c.search.directory(t, f.opt.Dir)
	f.open()
}

// fault lets a commit fail that is full of canaries, and a vault be unreadable.
func (c *canaries) fault(t testing.TB, f *fixture) {
	t.Helper()
	ask := asking(c.text("an address in a fault") + "@example.com")
	ask.Claims = c.claims("fault")
	for _, step := range []string{"before vault", "after vault", "before head"} {
		f.setFault(failAt(step, 1))
		r, err := f.s.RequestConsent(ctx, shop, ask)
		c.refusedSays(t, "a request while the disk fails", err)
		c.says(r, f.s.Fault())
		f.setFault(nil)
		f.reopen()
	}
	f.close()
	good := f.opt.Dir
	f.opt.Dir = copyDir(t, good)
	damageRows(t, filepath.Join(f.opt.Dir, "vault"), func(key []byte) bool { return isShardRow(key, 'i') })
	f.open()
	d, err := f.s.CheckConsent(ctx, Question{Subject: ask.Subject, Purpose: newsletter, Channel: "email"})
	c.says(d, err)
	_, err = f.s.WithdrawConsent(ctx, shop, Withdrawal{Subject: ask.Subject})
	c.refusedSays(t, "a withdrawal from a damaged vault", err)
	f.close()
	f.opt.Dir = good
	f.open()
}

// Every way of writing a canary down is found.
func TestCanariesAreFound(t *testing.T) {
	t.Parallel()
	c := &canaries{search: newSearch()}
	text := c.text("it")
	dir := t.TempDir()
	n := 0
	for form, s := range map[string]string{"plain": text, "upper": strings.ToUpper(text), "lower": strings.ToLower(text), "reversed": reversed(text)} {
		sum := sha256.Sum256([]byte(s))
		for _, content := range []string{
			s, "\x00" + s + "\xff", hex.EncodeToString([]byte("x" + s + "y")), strings.ToUpper(hex.EncodeToString([]byte(s))),
			base64.StdEncoding.EncodeToString([]byte(s + "y")), base64.StdEncoding.EncodeToString([]byte("x" + s)),
			base64.URLEncoding.EncodeToString([]byte("xx" + s + "yy")), base64.RawURLEncoding.EncodeToString([]byte("xxx" + s + "\xff\xff")),
			string(sum[:]), hex.EncodeToString(sum[:]), base64.URLEncoding.EncodeToString(sum[:]),
			fmt.Sprintf("%x", md5.Sum([]byte(s))), fmt.Sprintf("%X", sha1.Sum([]byte(s))),
		} {
			n++
			name := filepath.Join(dir, fmt.Sprint("file ", n))
			if err := os.WriteFile(name, append([]byte(content), make([]byte, 4096)...), 0o600); err != nil {
				t.Fatal(err)
			}
			c.search.found = map[string]string{}
			if c.search.files(t, dir); len(c.search.found) == 0 {
				t.Errorf("%s, content %d: not found", form, n)
			}
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
}
