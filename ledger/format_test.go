package ledger

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	goparser "go/parser"
	"go/token"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the derived parts of FORMAT.md and the golden vectors anew")

const formatFile = "FORMAT.md"

// grades are the words of Grade, the best first.
var grades = []string{"A", "B", "C", "D", "E"}

// kindOrder is the order in which FORMAT.md lists the kinds.
var kindOrder = []Kind{
	LedgerCreated, SourceDeclared, PurposeDefined, NoticePublished, ConsentRequested, ConsentGiven, ConsentRefused, ConsentImported,
	BasisAsserted, ConfirmationSent, ConfirmationResent, ConfirmationFailed, ConfirmationOpened, ConfirmationAttached, ConsentConfirmed,
	ConfirmationRejected, RequestExpired, ConsentRenewed, ConsentExpired, ConsentWithdrawn, ConsentRevoked, ConsentInvalidated,
	ObjectionRecorded, RestrictionSet, RestrictionLifted, ConsentUsed, TrackingChanged, GuardianAuthorised, SignalReceived, WithdrawalEffected,
	SubjectLocked, SubjectErased, EvidenceShredded, SubjectRectified, HoldSet, HoldLifted, RetentionApplied, EvidenceDisclosed, BundleExported,
	IdentityVerified, RequestReceived, RequestExtended, RequestAnswered, RequestRefused, RecipientNotified, RecipientAcknowledged,
	SuppressionAdded, SuppressionRemoved, ClaimDeclared, ProcessorEngaged, ProcessorEnded, EntryCorrected, KeyRotated,
	CheckpointAnchored, StateCommitted,
}

// derivedParts are the parts of FORMAT.md that the code's own tables print.
func derivedParts(t *testing.T) map[string]string {
	return map[string]string{
		"limits":       limitsTable(),
		"kinds":        kindsTable(t),
		"vocabularies": vocabulariesTable(),
		"states":       statesTable(),
		"transitions":  transitionsTable(),
		"irregular":    irregularTable(),
		"verdicts":     verdictsTable(),
		"example":      exampleText(t),
	}
}

var derivedMark = regexp.MustCompile(`(?s)<!-- derived:([a-z]+) -->\n(.*?)<!-- end -->\n`)

// TestFormatDerived fails when FORMAT.md and the code's tables come apart, in
// either direction.
func TestFormatDerived(t *testing.T) {
	text, err := os.ReadFile(formatFile)
	if err != nil {
		t.Fatal(err)
	}
	parts := derivedParts(t)
	seen := map[string]bool{}
	want := derivedMark.ReplaceAllFunc(text, func(part []byte) []byte {
		m := derivedMark.FindSubmatch(part)
		name := string(m[1])
		if _, ok := parts[name]; !ok || seen[name] {
			t.Errorf("FORMAT.md: part %q is unknown or stands twice", name)
		}
		seen[name] = true
		if got := string(m[2]); got != parts[name] && !*update {
			t.Errorf("FORMAT.md: part %q differs from the code: %s", name, firstDifference(got, parts[name]))
		}
		return []byte("<!-- derived:" + name + " -->\n" + parts[name] + "<!-- end -->\n")
	})
	for name := range parts {
		if !seen[name] {
			t.Errorf("FORMAT.md lacks the part %q", name)
		}
	}
	if *update && !bytes.Equal(text, want) && !t.Failed() {
		if err := os.WriteFile(formatFile, want, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d is\n%s\nwant\n%s", i+1, g[i], w[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}

func limitsTable() string {
	b := tableHead("limit", "value")
	for _, row := range [][2]any{
		{"bytes of an entry", MaxEntrySize},
		{"consents opened by one request", MaxPurposes},
		{"purposes covered by a notice", MaxPurposes},
		{"parts of a split list", maxParts},
		{"claims shown by one `evidence.disclosed`", maxShown},
		{"entries that one entry refers to", maxRefers},
		{"seconds that `occurred` may lie ahead", int(MaxClockAhead / time.Second)},
		{"holds on one consent at a time", MaxHolds},
		{"bytes of a disclosure's salt", SaltSize},
		{"bytes of a claim's value", MaxClaimValue},
		{"bytes of an origin", MaxOrigin},
		{"bytes of a key name", maxKeyName},
		{"bytes of a signed note", MaxNoteSize},
		{"signature lines of a note", MaxNoteLines},
		{"bytes of a policy", MaxPolicySize},
		{"bytes of a `trust.keys` file", MaxKeyRingSize},
		{"key entries of a log", MaxKeyEntries},
		{"bytes of a kept checkpoint's line", maxKeptLine},
		{"bytes of a receipt", MaxReceiptSize},
		{"bytes of an erasure receipt", MaxErasureReceiptSize},
		{"bytes of a state proof", MaxStateProofSize},
		{"hashes of an inclusion proof", MaxProofHashes},
		{"hashes of a full tile, entries of a full bundle", TileWidth},
		{"the format version", FormatVersion},
	} {
		b += tableRow(fmt.Sprint(row[0]), fmt.Sprint(row[1]))
	}
	return b
}

func kindsTable(t *testing.T) string {
	listed := slices.Sorted(slices.Values(kindOrder))
	if !slices.Equal(listed, slices.Sorted(maps.Keys(kindTable))) {
		t.Errorf("the kinds of this test are not those of the code: %v", listed)
	}
	effects := map[effect]string{concernsNone: "–", opens: "opens", changes: "changes", opensOrChanges: "opens or changes", mentions: "mentions"}
	lists := map[listRule]string{listNone: "–", listConsents: "consent", listConsentsOptional: "consent, optional", listAbout: "about",
		listAboutOptional: "about, optional"}
	may := map[bool]string{true: "may", false: "–"}
	b := tableHead("kind", "written by", "effect", "list", "`occurred`", "own lines, in this order", "`commit`")
	for _, k := range kindOrder {
		row := kindTable[k]
		var lines []string
		for _, s := range row.slots {
			lines = append(lines, slotText(s))
		}
		if lines == nil {
			lines = []string{"–"}
		}
		b += tableRow("`"+string(k)+"`", strings.Join(row.writers, ", "), effects[row.effect], lists[row.lists],
			may[row.occurred], strings.Join(lines, " "), may[row.commits == commitAny])
	}
	return b
}

func slotText(s slot) string {
	text := "`" + fields[s.field].name + "`"
	switch {
	case s.when == ifOpening:
		text += " (opening)"
	case s.when == ifWith:
		text += " (with `" + fields[s.of].name + "`)"
	case s.when == ifWithout:
		text += " (without `" + fields[s.of].name + "`)"
	case s.min == 0 && s.max == 1:
		text += "?"
	case s.max > 1:
		text += fmt.Sprintf(" %d–%d", s.min, s.max)
	}
	return text
}

func vocabulariesTable() string {
	b := tableHead("vocabulary", "words")
	for _, v := range []struct {
		name  string
		words []string
	}{
		{"channels", channels}, {"methods", methods}, {"roles", roles}, {"grounds of restriction", grounds},
		{"causes of revocation and invalidation", causes}, {"reasons of erasure", eraseReasons}, {"`ip_policy`", ipPolicies}, {"media", media},
		{"changes of an identifier", rectifications}, {"`unused_measure`", unusedMeasures}, {"rules of retention", retentionRules},
		{"measures of retention", retentionMeasures}, {"bases", bases[:]}, {"conditions", conditions}, {"grades", grades},
		{"grades of an import", importGrades}, {"ages", ages}, {"modes of tracking, from the least", modes[:]},
		{"purposes of tracking", trackingPurposes}, {"uses of a notice", noticeUses}, {"`checkbox`", checkboxes}, {"`conditional_on`", ties},
		{"`click`", clicks}, {"`failure`", failures}, {"signs of a machine", signals}, {"articles under which people ask", articles},
		{"refusals", refusals}, {"means of verifying who somebody is", means}, {"signals of preference", preferenceSignals},
		{"occasions of showing", occasions}, {"claims", claims},
		{"identifiers", identifiers}, {"overlays, in this order", overlayNames[:]},
		{"reserved", []string{AnyChannel, AllMarketing, SourceLedger}},
	} {
		b += tableRow(v.name, code(v.words))
	}
	return b
}

func statesTable() string {
	b := tableHead("state", "allows", "live", "DPV")
	yes := map[bool]string{true: "yes", false: "no"}
	for _, s := range States() {
		dpv := "–"
		if s.DPV() != "" {
			dpv = "`" + s.DPV() + "`"
		}
		b += tableRow("`"+s.String()+"`", yes[s.Allows()], yes[s.Live()], dpv)
	}
	return b
}

func transitionsTable() string {
	b := tableHead("kind", "from", "to", "overlay", "not under", "otherwise")
	for _, tr := range transitions {
		to, overlay, otherwise := "–", "–", "–"
		if tr.to != NoState {
			to = "`" + tr.to.String() + "`"
		}
		if tr.opens {
			to = "opens " + to
		}
		if tr.set != 0 {
			overlay = "sets " + code(tr.set.Names())
		} else if tr.lift != 0 {
			overlay = "lifts " + code(tr.lift.Names())
		}
		against := "–"
		if moves := tr.to != NoState || tr.set|tr.lift != 0; tr.from != 0 {
			forbids := tr.against
			if !tr.afterErasure {
				forbids |= Erased
			}
			if otherwise = "irregular"; moves {
				otherwise = "forbidden"
			}
			if names := forbids.Names(); len(names) > 0 {
				against = code(names)
			}
			if against == "–" && tr.from == anyState {
				otherwise = "–"
			}
		}
		b += tableRow("`"+string(tr.kind)+"`", fromText(tr.from), to, overlay, against, otherwise)
	}
	return b
}

func fromText(from states) string {
	var has, lacks []string
	for _, s := range States() {
		if from.has(s) {
			has = append(has, s.String())
		} else {
			lacks = append(lacks, s.String())
		}
	}
	switch {
	case len(has) == 0:
		return "–"
	case len(lacks) == 0:
		return "any"
	case len(lacks) < len(has):
		return "any but " + code(lacks)
	}
	return code(has)
}

// irregularTable lists what the transition table calls irregular, by asking it.
func irregularTable() string {
	b := tableHead("kind", "in a state", "under an overlay")
	for _, k := range kindOrder {
		tr := transitionOf(k)
		if tr == nil || kindTable[k].effect != mentions {
			continue
		}
		word := func(c Consent) []string {
			name := tr.irregular(k, c)
			if name == "" {
				return nil
			}
			return []string{strings.TrimPrefix(name, string(k)+".")}
		}
		var in, under []string
		regular := NoState
		for _, s := range States() {
			if word := word(Consent{State: s}); word != nil {
				in = append(in, word...)
			} else {
				regular = s
			}
		}
		for _, overlays := range []Overlays{Locked | Restricted, Restricted, Erased | Locked | Restricted} {
			under = append(under, word(Consent{State: regular, Overlays: overlays})...)
		}
		b += tableRow("`"+string(k)+"`", orNone(in), orNone(under))
	}
	return b
}

func orNone(words []string) string {
	if len(words) == 0 {
		return "–"
	}
	return code(words)
}

func verdictsTable() string {
	b := tableHead("exit code", "verdict")
	for v := Verified; v <= Diverged; v++ {
		b += tableRow(strconv.Itoa(int(v)), v.String())
	}
	return b
}

func code(words []string) string { return "`" + strings.Join(words, "` `") + "`" }

func tableHead(cells ...string) string {
	return tableRow(cells...) + "|" + strings.Repeat("---|", len(cells)) + "\n"
}

func tableRow(cells ...string) string { return "| " + strings.Join(cells, " | ") + " |\n" }

// formatTable gives the cells of the rows of the table with these column
// heads in FORMAT.md.
func formatTable(t *testing.T, heads ...string) [][]string {
	t.Helper()
	text, err := os.ReadFile(formatFile)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "\n"+tableHead(heads...))
	if !ok {
		t.Fatalf("FORMAT.md has no table with the columns %q", heads)
	}
	var rows [][]string
	for line := range strings.Lines(rest) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if len(cells) != len(heads) {
			t.Fatalf("FORMAT.md: row of %d cells, want %d: %s", len(cells), len(heads), line)
		}
		rows = append(rows, cells)
	}
	return rows
}

// TestFormatLines demands that FORMAT.md describes exactly the lines that the
// code knows, and that the examples in it are what the code says of them.
func TestFormatLines(t *testing.T) {
	documented := map[string]bool{}
	for _, row := range formatTable(t, "line", "value", "for example", "but not") {
		name := strings.Trim(row[0], "`")
		documented[name] = true
		i := slices.IndexFunc(fields[:], func(f field) bool { return f.name == name })
		if i < 0 {
			t.Errorf("FORMAT.md has the line %q, the code has not", name)
			continue
		}
		good, bad := strings.Trim(row[2], "`"), strings.Trim(row[3], "`")
		e := &Entry{Index: 8}
		if err := fields[i].get(e, good); err != nil {
			t.Errorf("%s: the example %q: %v", name, good, err)
		} else if got := string(fields[i].put(nil, e, 0)); got != good {
			t.Errorf("%s: the example %q is written back as %q", name, good, got)
		}
		if fields[i].get(&Entry{Index: 8}, bad) == nil {
			t.Errorf("%s: the code accepts %q", name, bad)
		}
	}
	for _, f := range fields {
		if !documented[f.name] {
			t.Errorf("FORMAT.md lacks the line %q", f.name)
		}
	}
}

// TestFormatRules demands that FORMAT.md explains exactly the rules that the
// source names: the first argument of every call of violates, the rule of every
// RuleError literal, and what transition.forbids returns.
func TestFormatRules(t *testing.T) {
	inCode := map[string]bool{}
	note := func(e ast.Expr) {
		if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if s, _ := strconv.Unquote(lit.Value); s != "" {
				inCode[s] = true
			}
		}
	}
	for _, name := range []string{"step.go", "stepregistry.go", "replay.go", "rules.go", "refers.go"} {
		file, err := goparser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if sel, ok := n.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "violates" {
					note(n.Args[0])
				}
			case *ast.CompositeLit:
				if id, ok := n.Type.(*ast.Ident); ok && id.Name == "RuleError" {
					note(n.Elts[0])
				}
			case *ast.FuncDecl:
				if n.Name.Name == "forbids" && name == "rules.go" {
					ast.Inspect(n, func(n ast.Node) bool {
						if ret, ok := n.(*ast.ReturnStmt); ok {
							note(ret.Results[0])
						}
						return true
					})
				}
			}
			return true
		})
	}
	documented := map[string]bool{}
	for _, row := range formatTable(t, "rule", "violated when") {
		documented[strings.Trim(row[0], "`")] = true
	}
	if len(inCode) < 15 {
		t.Fatalf("found only %d rules in the source", len(inCode))
	}
	for rule := range inCode {
		if !documented[rule] {
			t.Errorf("FORMAT.md lacks the rule %q", rule)
		}
	}
	for rule := range documented {
		if !inCode[rule] {
			t.Errorf("FORMAT.md has the rule %q, the code has not", rule)
		}
	}
}

// TestFormatVocabulary demands that every word of the vocabularies is one.
func TestFormatVocabulary(t *testing.T) {
	for _, words := range [][]string{channels, methods, roles, grounds, causes, eraseReasons, ipPolicies, media, rectifications, unusedMeasures,
		retentionRules, retentionMeasures, bases[:], conditions, ages, modes[:], trackingPurposes, noticeUses, checkboxes, ties, clicks, failures,
		signals, articles, refusals, means, preferenceSignals, occasions, identifiers, claims, overlayNames[:]} {
		for i, w := range words {
			if !IsIdentifier(w) || slices.Contains(words[:i], w) {
				t.Errorf("%q is no identifier or stands twice", w)
			}
		}
	}
	for _, w := range identifiers {
		if !IsReservedClaim(w) {
			t.Errorf("%q is no claim", w)
		}
	}
}
