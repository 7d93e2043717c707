package layout

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A parser is known by its name or by what it calls: a function is one if
//
//   - the first word of its name is one of parserWords, and it takes text, bytes or a reader
//     (Read and ReadAt fill what they are given, and are none); or
//   - it calls one of decoders, which take apart what they are given.
//
// Generated code, tests and outsideParsers are left out. Every parser stands in
// fuzzTargets under the target that feeds it, or is called, within its package, by
// one that does, or stands in unfuzzed with the reason.
var (
	parserWords = regexp.MustCompile(`^(?i:parse|read|decode|open|unmarshal|split|cut|normalise)([A-Z0-9]\w*)?$`)

	parserTakes = []string{"string", "[]byte", "[]string", "io.Reader", "io.ReaderAt", "io.ReadCloser", "*bufio.Reader", "*os.File", "asn1.RawValue"}

	// By import path; all functions and methods of values of that package whose
	// name matches.
	decoders = map[string]*regexp.Regexp{
		"encoding/json":   regexp.MustCompile(`^(Unmarshal|NewDecoder)$`),
		"encoding/base64": regexp.MustCompile(`^Decode`), "encoding/hex": regexp.MustCompile(`^Decode`),
		"encoding/binary": regexp.MustCompile(`^(Uint\d+|Uvarint|Varint|Read|Decode)$`),
		"encoding/asn1":   regexp.MustCompile(`^Unmarshal`), "encoding/pem": regexp.MustCompile(`^Decode$`),
		"encoding/csv": regexp.MustCompile(`^NewReader$`), "encoding/xml": regexp.MustCompile(`^(Unmarshal|NewDecoder)$`),
		"crypto/x509": regexp.MustCompile(`^Parse`), "crypto/tls": regexp.MustCompile(`^X509KeyPair$`),
		"strconv": regexp.MustCompile(`^(Parse|Atoi$|Unquote)`), "fmt": regexp.MustCompile(`^(Ss|Fs)can`),
		"time": regexp.MustCompile(`^(Parse|ParseDuration|LoadLocation)$`), "mime": regexp.MustCompile(`^Parse`),
		"net": regexp.MustCompile(`^(Parse|SplitHostPort)`), "net/netip": regexp.MustCompile(`^(Must)?Parse`),
		"net/url": regexp.MustCompile(`^(Parse|PathUnescape|QueryUnescape)`), "net/mail": regexp.MustCompile(`^Parse`),
		"archive/zip": regexp.MustCompile(`Reader$`), "compress/flate": regexp.MustCompile(`^NewReader`),
		"google.golang.org/protobuf/proto":              regexp.MustCompile(`^Unmarshal`),
		"google.golang.org/protobuf/encoding/protojson": regexp.MustCompile(`^Unmarshal`),
		"golang.org/x/net/idna":                         regexp.MustCompile(`^To`), "filippo.io/age": regexp.MustCompile(`^(Parse|Decrypt)`),
		"github.com/dgraph-io/badger/v4/fb": regexp.MustCompile(`^GetRoot`),
	}
)

// outsideParsers are packages whose parsers read what the same program wrote.
var outsideParsers = map[string]string{
	"internal/hostile":             "attacks a server and reads what it answers",
	"internal/load":                "measures a ledger that it made",
	"internal/load/storm":          "drives a ledger that it made",
	"internal/testauthority":       "makes what tests read",
	"internal/testbundle":          "makes what tests read",
	"internal/testbundle/exported": "makes what tests read",
	"internal/testledger":          "makes what tests read",
}

// fuzzTargets names the parsers by the fuzz target that feeds them. What these call
// within their packages they hold, too.
var fuzzTargets = map[string][]string{
	"cmd/ledgerd.FuzzConfig":   {"parseConfig"},
	"cmd/ledgerd.FuzzFlags":    {"date.UnmarshalText", "instant.UnmarshalText", "memory.UnmarshalText", "rate.UnmarshalText", "span.UnmarshalText", "zone.UnmarshalText"},
	"cmd/ledgerd.FuzzHosts":    {"isLoopback", "isLoopbackHost", "serverFlags.connect"},
	"cmd/ledgerd.FuzzNetworks": {"readNetworks"},

	"internal/api/codec.FuzzJSON":     {"jsonCodec.Unmarshal"},
	"internal/api/codec.FuzzRequests": {"jsonCodec.Unmarshal", "binaryCodec.Unmarshal"},

	"internal/authn.FuzzCaller":    {"ParseRole", "bearer", "network"},
	"internal/authn.FuzzParseFile": {"parseFile"},
	"internal/authn.FuzzParseUses": {"parseUses"},

	"internal/backup.FuzzRead": {"Read"},

	"internal/badgerdb.FuzzIdle":     {"checkIdle"},
	"internal/badgerdb.FuzzLog":      {"checkLog"},
	"internal/badgerdb.FuzzManifest": {"checkTables"},
	"internal/badgerdb.FuzzTable":    {"checkTable"},

	"internal/bundle.FuzzContainer":      {"Open"},
	"internal/bundle.FuzzIndex":          {"ParseCustody", "ParseIndex"},
	"internal/bundle.FuzzManifestLine":   {"parseManifestLine"},
	"internal/bundle.FuzzOpen":           {"Open"},
	"internal/bundle.FuzzSignatures":     {"parseSignatures"},
	"internal/bundle/report.FuzzValues":  {"Notice.facts", "namesFile"},
	"internal/bundle/verdict.FuzzVerify": {"Verify"},

	"internal/history.FuzzOpen":       {"Open", "CheckFile"},
	"internal/logfiles.FuzzDirectory": {"directory.ReadPath", "openDirectory", "readLimited", "ReadInput"},
	"internal/logfiles.FuzzRemote":    {"Source.openRemote", "remote.ReadPath"},

	"internal/server.FuzzCertificate": {"loadCertificate"},
	"internal/server.FuzzEnvelopes":   {"envelopes.follow"},

	"internal/service.FuzzClaimValues": {"splitClaims", "parseFile", "maskedValue", "networkOf"},
	"internal/service.FuzzCompanion":   {"decodeRecord", "parseNotice"},
	"internal/service.FuzzIdentifiers": {"NormaliseEmail", "NormaliseExternalID", "NormalisePhone", "Subject.normalise"},
	"internal/service.FuzzNoticeFacts": {"parseFacts"},
	"internal/service.FuzzPurposeOne":  {"purposeOne"},
	"internal/service.FuzzSigningKeys": {"readSigner"},

	"internal/timestamp.FuzzPins":  {"ParsePins"},
	"internal/timestamp.FuzzToken": {"ParseResponse", "ParseToken"},

	"internal/tlog.FuzzAnswer":      {"witnessClient.add", "authorityClient.stamp"},
	"internal/tlog.FuzzAuthorities": {"ParseAuthorities", "Authority.HasPassword", "Authority.shown"},
	"internal/tlog.FuzzPath":        {"handler.ServeHTTP"},
	"internal/tlog.FuzzWitnessURL":  {"checkWitnessURL"},

	"internal/vault.FuzzBackupRows":          {"readBackup"},
	"internal/vault.FuzzClaims":              {"parseAdded", "addedClaims.each"},
	"internal/vault.FuzzSubject":             {"parseSubject"},
	"internal/vault.FuzzParseBackupIdentity": {"parseBackupIdentity"},
	"internal/vault.FuzzParseChange":         {"parseChange"},
	"internal/vault.FuzzParseGroup":          {"parseGroup"},
	"internal/vault.FuzzParseRoot":           {"parseRoot"},
	"internal/vault.FuzzReadBackup":          {"readBackup"},
	"internal/vault.FuzzRemembered":          {"parseInner"},
	"internal/vault.FuzzRow":                 {"readVersion", "readGroup", "Vault.loadPlans", "writeBackup", "View.FindSubject", "View.Consents", "View.channels", "View.Recall", "View.FindLocked", "View.ManageToken", "tree.openSuppression"},
	"internal/vault.FuzzManageToken":         {"View.ManageToken"},
	"internal/vault.FuzzSealedBackup":        {"readSealed", "readSealedHead"},
	"internal/vault.FuzzTree":                {"decodeTree"},

	"internal/wire.FuzzAuditor": {}, // every door, with a key that does not open it

	"internal/witness.FuzzCalls": {"Witness.Handler"},
	"internal/witness.FuzzKeys":  {"readKeys"},
	"internal/witness.FuzzState": {"parseState"},

	"ledger.FuzzCosignature":         {"CosignerKeys.Verify", "VerifierKey.VerifyCosignature"},
	"ledger.FuzzOpenCheckpoint":      {"OpenCheckpoint"},
	"ledger.FuzzParseAddCheckpoint":  {"ParseAddCheckpoint"},
	"ledger.FuzzParseBundle":         {"ParseBundle"},
	"ledger.FuzzParseCheckpoint":     {"ParseCheckpoint"},
	"ledger.FuzzParseDisclosure":     {"ParseDisclosure"},
	"ledger.FuzzParseEntry":          {"ParseEntry"},
	"ledger.FuzzParseErasureReceipt": {"ParseErasureReceipt"},
	"ledger.FuzzParseForkProof":      {"ParseForkProof"},
	"ledger.FuzzParseKept":           {"ParseKept"},
	"ledger.FuzzParseKeyRing":        {"ParseKeyRing"},
	"ledger.FuzzParseLogs":           {"ParseLogs"},
	"ledger.FuzzParsePolicy":         {"ParsePolicy"},
	"ledger.FuzzParseReceipt":        {"ParseReceipt"},
	"ledger.FuzzParseSignedNote":     {"ParseSignedNote"},
	"ledger.FuzzParseStateProof":     {"ParseStateProof"},
	"ledger.FuzzParseTilePath":       {"ParseTilePath"},
	"ledger.FuzzParseVerifierKey":    {"ParseVerifierKey"},
	"ledger.FuzzSplitNotes":          {"SplitNotes"},
	"ledger.FuzzStep":                {"Step"},
	"ledger.FuzzValues":              {"IsToken", "ParseBasis", "ParseGrade", "ParseHash", "ParseKeyPair", "ParseMode", "ParseNoticeName", "parseNumber", "parseTime"},
	"ledger.FuzzVerifyFork":          {"VerifyFork"},
	"ledger.FuzzVerifyLog":           {"VerifyLog"},
	"ledger.FuzzVerifyReceipt":       {"VerifyReceipt"},

	"ledger/store.FuzzHead":     {"openHead"},
	"ledger/store.FuzzReadPath": {"Snapshot.ReadPath"},
	"ledger/store.FuzzRow":      {"Snapshot.load", "Snapshot.Check", "MentionWalk.Of", "eachMention", "Snapshot.Referring"},
}

// unfuzzed are parsers without a target, with the reason.
var unfuzzed = map[string]string{
	// They open a file and give its bytes to the parser in brackets.
	"cmd/ledgerd.readAuthorities":       "opens a file (tlog.ParseAuthorities)",
	"cmd/ledgerd.readConfig":            "opens a file (parseConfig)",
	"cmd/verify.open":                   "opens a policy and a log (ledger.ParsePolicy, internal/logfiles)",
	"cmd/verify.openBundle":             "opens a file (bundle.Open)",
	"internal/authn.readFile":           "opens a file (parseFile)",
	"internal/authn.readOpen":           "reads an open file to its limit (parseFile, parseUses)",
	"internal/authn.readUses":           "opens a file (parseUses)",
	"internal/backup.OpenChain":         "opens the files of a directory (Read)",
	"internal/backup.ReadFile":          "opens a file (Read)",
	"internal/backup.readEnds":          "opens a file and reads its head and its sum (Read)",
	"internal/service.OpenLog":          "opens a log (store.Open)",
	"internal/vault.readBack":           "opens a key backup that was just written (readSealed)",
	"internal/vault.readBackupIdentity": "opens a file (parseBackupIdentity)",
	"internal/vault.readRoot":           "opens a file (parseRoot)",
	"internal/witness.readState":        "opens a file (parseState)",
	"ledger/store.Store.open":           "opens the database (FuzzRow) under what the head file says (FuzzHead)",
	"ledger/store.Store.openOwn":        "verifies what the head file holds (ledger.OpenCheckpoint)",

	// What they take apart, this program made or sealed.
	"cmd/ledgerd.client.send":               "the demo asks the server that it started",
	"cmd/ledgerd.story.printHistory":        "the demo reads the report that it asked for",
	"internal/bundle/report.sheet.cut":      "shortens a text to a width",
	"internal/evidence.addEntries":          "a hash that the service gave",
	"internal/service.integrity.attachment": "the value of a sealed claim, compared with the bytes beside it",
	"internal/service.once.recall":          "what was remembered under seal; its frame is FuzzRemembered's",
	"internal/service.ownClaim.sha256":      "a claim that a request of this process made",
	"internal/service.turn.open":            "opens a claim in the vault",
	"internal/service.turn.sentMessage":     "the value of a sealed claim, compared with a hash",
	"internal/vault.Draft.Suppress":         "a month that the service gives",
	"internal/vault.Draft.freeSlot":         "eight random bytes",

	// Keys of rows that were looked up by a prefix.
	"internal/vault.Vault.deleteOldRows":    "generations in the keys of shard rows",
	"internal/vault.Vault.presentKey":       "a key that parseGroup let pass",
	"internal/vault.Vault.sweepIdempotency": "days in keys that eachShardKey gives",
	"internal/vault.epochOf":                "epochs in keys that eachShardKey gives",

	"internal/badgerdb.mappedBytes":     "what the kernel says of this process",
	"internal/badgerdb.Resident.tables": "what the kernel says of this process",

	// Names of files in a directory; of what is none nothing is read.
	"internal/badgerdb.logNumbers":        "the names of Badger's logs",
	"internal/vault.restore.checkTargets": "the names of key backups",
}

// TestParsers checks that every parser has a fuzz target that reaches it, and that
// every fuzz target has seeds and is named here.
func TestParsers(t *testing.T) {
	watchSources(t)
	c := readCode(t)
	held := map[string]bool{}
	for target, parsers := range fuzzTargets {
		f, ok := c.funcs[target]
		if !ok || !f.test {
			t.Errorf("fuzzTargets names %s, which is not there", target)
			continue
		}
		if !f.seeded && !c.hasCorpus(t, target) {
			t.Errorf("%s has no seed", target)
		}
		reached := c.reach([]string{target}, false)
		for _, p := range parsers {
			p = packageOf(target) + "." + p
			switch {
			case c.funcs[p] == nil || c.funcs[p].test:
				t.Errorf("fuzzTargets names %s, which is not there", p)
			case !reached[p]:
				t.Errorf("%s does not reach %s", target, p)
			}
			maps.Copy(held, c.reach([]string{p}, true))
		}
	}
	found := 0
	for _, name := range slices.Sorted(maps.Keys(c.funcs)) {
		f := c.funcs[name]
		_, exempt := unfuzzed[name]
		_, named := fuzzTargets[name]
		switch {
		case f.test && strings.HasPrefix(path.Ext(name), ".Fuzz") && !named:
			t.Errorf("fuzzTargets does not name %s", name)
		case !f.parser:
			if exempt {
				t.Errorf("unfuzzed names %s, which is no parser", name)
			}
		case held[name] && exempt:
			t.Errorf("unfuzzed names %s, which a fuzz target reaches", name)
		case !held[name] && !exempt:
			t.Errorf("%s parses (%s), and no fuzz target in fuzzTargets feeds it", name, f.why)
		}
		if f.parser {
			found++
		}
	}
	for name := range unfuzzed {
		if c.funcs[name] == nil {
			t.Errorf("unfuzzed names %s, which is not there", name)
		}
	}
	if found < 100 {
		t.Errorf("only %d parsers are recognised", found)
	}
}

// code is every function of the module, by its name.
type code struct {
	funcs   map[string]*function
	methods map[string][]string // by package.Name, without the type
}

// function is what is known of one.
type function struct {
	parser bool
	why    string // it is taken for one
	test   bool   // it stands in a test
	seeded bool   // a fuzz target that adds seeds

	calls, methods []string // package.Name of what it mentions; of methods without their type
}

// reach gives what functions mention, directly or not. Types are not looked at: a
// method of some name stands for all of its package. Inside says that only what
// stands in the same package, and in no test, is followed.
func (c *code) reach(from []string, inside bool) map[string]bool {
	seen := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		f := c.funcs[name]
		if f == nil || seen[name] {
			return
		}
		seen[name] = true
		next := slices.Clone(f.calls)
		for _, m := range f.methods {
			next = append(next, c.methods[m]...)
		}
		for _, to := range next {
			if g := c.funcs[to]; g != nil && (!inside || !g.test && packageOf(to) == packageOf(name)) {
				visit(to)
			}
		}
	}
	for _, name := range from {
		visit(name)
	}
	return seen
}

// packageOf gives the directory in "dir/pkg.Type.Name".
func packageOf(name string) string {
	dir, last := path.Split(name)
	pkg, _, _ := strings.Cut(last, ".")
	return dir + pkg
}

func (c *code) hasCorpus(t *testing.T, target string) bool {
	pkg := packageOf(target)
	seeds, err := filepath.Glob(filepath.Join(root, pkg, "testdata/fuzz", strings.TrimPrefix(target, pkg+"."), "*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(seeds) > 0
}

func readCode(t *testing.T) *code {
	c := &code{map[string]*function{}, map[string][]string{}}
	for _, top := range []string{"cmd", "internal", "ledger"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(name string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if e.IsDir() {
				// Another module has its own rules.
				if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil || e.Name() == "testdata" {
					return fs.SkipDir
				}
				return nil
			}
			if strings.HasSuffix(name, ".go") {
				c.file(t, name)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// file reads the functions of a file.
func (c *code) file(t *testing.T, name string) {
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution|parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	rel, err := filepath.Rel(root, filepath.Dir(name))
	if err != nil {
		t.Fatal(err)
	}
	pkg, test := filepath.ToSlash(rel), strings.HasSuffix(name, "_test.go")
	_, outside := outsideParsers[pkg]
	imports := map[string]string{}
	for _, spec := range file.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		local := path.Base(p)
		if version := regexp.MustCompile(`^v\d+$`); version.MatchString(local) {
			local = path.Base(path.Dir(p))
		}
		if spec.Name != nil {
			local = spec.Name.Name
		}
		imports[local] = p
	}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Body == nil {
			continue
		}
		full := pkg + "." + f.Name.Name
		if f.Recv != nil {
			kind := typeText(f.Recv.List[0].Type)
			full = pkg + "." + strings.TrimPrefix(kind, "*") + "." + f.Name.Name
			c.methods[pkg+"."+f.Name.Name] = append(c.methods[pkg+"."+f.Name.Name], full)
		}
		g := &function{test: test}
		g.read(f, pkg, imports)
		if test || outside || ast.IsGenerated(file) {
			g.parser = false
		}
		c.funcs[full] = g
	}
}

// read looks at one function.
func (g *function) read(f *ast.FuncDecl, pkg string, imports map[string]string) {
	if parserWords.MatchString(f.Name.Name) && !(f.Recv != nil && (f.Name.Name == "Read" || f.Name.Name == "ReadAt")) {
		for _, p := range f.Type.Params.List {
			if takes := typeText(p.Type); slices.Contains(parserTakes, takes) {
				g.parser, g.why = true, "its name, and it takes "+takes
			}
		}
	}
	var visit func(n ast.Node) bool
	visit = func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			if imports[n.Name] == "" {
				g.calls = append(g.calls, pkg+"."+n.Name)
			}
		case *ast.SelectorExpr:
			name := n.Sel.Name
			from, known := imports[baseName(n.X)]
			if !known && name == "DecodeString" {
				from, known = "encoding/base64", true // of an encoding that a variable holds
			}
			if d := decoders[from]; known && d != nil && d.MatchString(name) {
				g.parser, g.why = true, "it calls "+path.Base(from)+"'s "+name
			}
			if ours, ok := strings.CutPrefix(from, module+"/"); ok {
				g.calls = append(g.calls, ours+"."+name)
			} else {
				g.methods = append(g.methods, pkg+"."+name)
			}
			g.seeded = g.seeded || baseName(n.X) == "f" && name == "Add"
			ast.Inspect(n.X, visit)
			return false
		}
		return true
	}
	ast.Inspect(f.Body, visit)
}

// baseName gives the first name of a.b(c).d, which may be a package's.
func baseName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return baseName(e.X)
	case *ast.CallExpr:
		return baseName(e.Fun)
	}
	return ""
}

// typeText writes a type, as far as parserTakes and receivers need it.
func typeText(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.StarExpr:
		return "*" + typeText(e.X)
	case *ast.SelectorExpr:
		return typeText(e.X) + "." + e.Sel.Name
	case *ast.ArrayType:
		if e.Len == nil {
			return "[]" + typeText(e.Elt)
		}
	case *ast.Ellipsis:
		return "[]" + typeText(e.Elt)
	case *ast.IndexExpr:
		return typeText(e.X)
	}
	return ""
}
