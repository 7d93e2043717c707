package report

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/consentledger/consentledger/ledger"
)

// teller says in one language what entries record.
type teller struct {
	clock
	c *Case
}

// word gives the word for a name of a vocabulary, the name itself if it has none.
func (t *teller) word(list, name string) string {
	if w, ok := vocabulary[list][name]; ok {
		return w.in(t.l)
	}
	return name
}

func (t *teller) text(x text, pairs ...string) string { return fill(x.in(t.l), pairs...) }

// quoted puts a title into the quotation marks of the language.
func (t *teller) quoted(s string) string {
	if t.l == German {
		return "„" + s + "“"
	}
	return "“" + s + "”"
}

func (t *teller) purpose(id string) string {
	if id == ledger.AllMarketing {
		return t.text(texts.AllMarketing)
	}
	if title := t.c.Purposes[id]; title != "" {
		return t.quoted(title)
	}
	return t.quoted(id)
}

func (t *teller) purposes(ids []string) string {
	titles := make([]string, len(ids))
	for i, id := range ids {
		titles[i] = t.purpose(id)
	}
	return strings.Join(titles, ", ")
}

func (t *teller) processor(id string) string {
	if title := t.c.Processors[id]; title != "" {
		return title + " (" + id + ")"
	}
	return id
}

// maxValueTold is how many characters of a value are printed before the annex, which
// prints all.
const maxValueTold = 300

// short cuts a value.
func (t *teller) short(value string, atMost int) string {
	if r := []rune(value); len(r) > atMost {
		return string(r[:atMost]) + " … " + t.text(texts.ValueCut)
	}
	return value
}

// told gives a disclosed value as a sentence has it, "" if it is not disclosed.
func (t *teller) told(e *held, claim string) string { return t.short(e.claim(claim), maxValueTold) }

// claimName gives the word for a claim, with the name that the log has.
func (t *teller) claimName(name string) string {
	if w := t.word("claim", name); w != name {
		return w
	}
	return name
}

// irregularity says what a name such as consent.used.withdrawn means, and the name.
func (t *teller) irregularity(name string) string {
	last := name[strings.LastIndexByte(name, '.')+1:]
	if w, ok := vocabulary["irregular"][last]; ok {
		return w.in(t.l) + " (" + name + ")"
	}
	for _, list := range []string{"state", "overlay"} {
		if w, ok := vocabulary[list][last]; ok {
			return t.text(texts.IrregularState, "state", w.in(t.l)) + " (" + name + ")"
		}
	}
	return name
}

// sentence says what an entry records.
func (t *teller) sentence(e *held) string {
	pattern, ok := sentences[e.Kind]
	if !ok {
		pattern = unknownKind
	}
	return expand(pattern.in(t.l), func(name string) string { return t.value(e, name) })
}

// value gives what stands for a word in braces of a sentence.
func (t *teller) value(e *held, name string) string {
	switch name {
	case "origin", "controller", "name", "system", "grade", "country", "signal":
		return t.plain(e, name)
	case "method", "failure", "cause", "ground", "reason", "refusal", "means", "measure", "rule", "mode", "says", "change",
		"occasion", "role", "channel", "basis", "article", "medium":
		return t.listed(e, name)
	case "expires":
		return t.both(e.Expires)
	case "until":
		return t.both(e.Until)
	case "informed":
		return t.both(e.Informed)
	case "due":
		return t.both(e.Due)
	case "stamped":
		return t.both(e.Stamped)
	}
	return t.composed(e, name)
}

// plain values stand as the log has them.
func (t *teller) plain(e *held, name string) string {
	switch name {
	case "origin":
		return e.Origin
	case "controller":
		return e.Entry.Controller
	case "name":
		return e.Name
	case "system":
		return e.System
	case "grade":
		return e.Entry.Grade
	case "signal":
		return t.word("signal", e.Signal)
	}
	return t.optional(e.Country != "", texts.OptCountry, "country", e.Country)
}

// listed values stand in the vocabulary under the name.
func (t *teller) listed(e *held, name string) string {
	v := map[string]string{
		"method": e.Method, "failure": e.Failure, "cause": e.Cause, "ground": e.Ground, "reason": e.Reason, "refusal": e.Refusal,
		"means": e.Means, "measure": e.Measure, "rule": e.Rule, "mode": e.Mode, "says": e.Says, "change": e.Change,
		"occasion": e.Occasion, "role": e.Role, "channel": e.Channel, "basis": e.Basis, "article": e.Article,
	}[name]
	if name == "medium" {
		return t.word("media", e.Medium)
	}
	return t.word(name, v)
}

// composed values are made of several lines, or are parts that may be absent.
func (t *teller) composed(e *held, name string) string {
	switch name {
	case "kind":
		return string(e.Kind)
	case "purpose":
		return t.purpose(e.Purpose)
	case "version":
		return strconv.FormatInt(e.Version, 10)
	case "size":
		return strconv.FormatInt(int64(e.Size), 10)
	case "marketing":
		return t.word("says", cmp.Or(e.Marketing, "no"))
	case "doi":
		return t.word("says", cmp.Or(e.DoubleOptIn, "no"))
	case "noticename":
		return e.Entry.Notice.Name()
	case "covers":
		return t.purposes(e.Covers)
	case "claim":
		return e.Claim
	case "processor":
		return t.processor(e.Processor)
	case "refers":
		return refers(e.Refers)
	}
	return t.parts(e, name)
}

// parts are those of a sentence that may be absent.
func (t *teller) parts(e *held, name string) string {
	switch name {
	case "notice":
		return t.optional(e.Entry.Notice.ID != "", texts.OptNotice, "name", e.Entry.Notice.Name())
	case "age":
		if e.Age == "child" {
			return t.text(texts.OptAgeChild)
		}
		return t.optional(e.Age != "", texts.OptAge)
	case "explicit":
		return t.optional(e.Explicit != "", texts.OptExplicit)
	case "newlock":
		return t.optional(!e.Expires.IsZero(), texts.OptNewLock, "until", t.both(e.Expires))
	case "click":
		return t.optional(e.Click != "", texts.OptClick, "how", t.word("click", e.Click))
	case "bymethod":
		return t.optional(e.Method != "", texts.OptMethod, "how", t.word("method", e.Method))
	case "against":
		return t.optional(e.Purpose != "", texts.OptAgainst, "purpose", t.purpose(e.Purpose), "channel", t.word("channel", e.Channel))
	case "decision":
		return t.optional(e.Article != "", texts.OptDecision)
	case "passed":
		return t.optional(t.receiver(e) != "", texts.OptPassed, "to", t.receiver(e))
	case "told":
		return t.optional(t.receiver(e) != "", texts.OptTold, "to", t.receiver(e))
	case "to":
		return t.optional(e.claim("recipient") != "", texts.OptTo, "to", t.told(e, "recipient"))
	case "because":
		return t.optional(e.claim("reason") != "", texts.OptBecause, "why", t.told(e, "reason"))
	case "contents":
		return t.optional(!e.Contents.IsZero(), texts.OptContents, "time", t.both(e.Contents), "due", t.both(e.ExistenceDue))
	case "existence":
		return t.optional(!e.Existence.IsZero(), texts.OptExistence, "time", t.both(e.Existence))
	case "shown":
		return t.optional(len(e.Entry.Shown) > 0, texts.OptShown, "list", t.claimNames(e.Entry.Shown))
	case "country":
		return t.optional(e.Country != "", texts.OptCountry, "country", e.Country)
	case "forpurposes":
		return t.optional(len(e.Covers) > 0, texts.OptPurposes, "list", t.purposes(e.Covers))
	case "checkbox":
		return t.optional(e.Checkbox != "", texts.OptCheckbox, "how", t.word("checkbox", e.Checkbox))
	}
	return "{" + name + "}" // a test shows that there is none
}

func (t *teller) optional(there bool, x text, pairs ...string) string {
	if !there {
		return ""
	}
	return t.text(x, pairs...)
}

// receiver names who got data or was told.
func (t *teller) receiver(e *held) string {
	var who []string
	if e.Processor != "" {
		who = append(who, t.processor(e.Processor))
	}
	if r := t.told(e, "recipient"); r != "" {
		who = append(who, r)
	}
	return strings.Join(who, ", ")
}

func (t *teller) claimNames(names []string) string {
	list := make([]string, len(names))
	for i, n := range names {
		list[i] = t.claimName(n)
	}
	return strings.Join(list, ", ")
}

func refers(list []ledger.Index) string {
	s := make([]string, len(list))
	for i, r := range slices.Sorted(slices.Values(list)) {
		s[i] = number(r)
	}
	return strings.Join(s, ", ")
}

func number[N ~int | ~int64](n N) string { return strconv.FormatInt(int64(n), 10) }
