package bundle

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/consentledger/consentledger/ledger"
)

// Kind says what a file of a container is. Its value is the template of the
// file's name.
type Kind string

// The kinds of files, in the order in which they stand in a container.
const (
	KindMimetype    Kind = "mimetype"
	KindCheckpoint  Kind = "checkpoint.note" // the newest checkpoint; the only file of its own at the root, which tools take for the stamped document
	KindCustody     Kind = "custody.json"
	KindVerify      Kind = "docs/VERIFY.txt"
	KindHTMLDe      Kind = "docs/report.de.html"
	KindPDFDe       Kind = "docs/report.de.pdf"
	KindHTMLEn      Kind = "docs/report.en.html"
	KindPDFEn       Kind = "docs/report.en.pdf"
	KindIndex       Kind = "evidence/bundle.json"
	KindEntry       Kind = "evidence/entries/<number>.txt"
	KindProof       Kind = "evidence/proofs/<number>.tlog-proof"
	KindDisclosure  Kind = "evidence/disclosures/<number>.<claim>.txt"
	KindFile        Kind = "evidence/files/<sha256>"
	KindNotice      Kind = "evidence/notices/<sha256>"
	KindState       Kind = "evidence/state/<number>.txt"
	KindBound       Kind = "evidence/checkpoints/<number>.note"
	KindBoundToken  Kind = "evidence/checkpoints/<number>.<n>.tst" // behind its checkpoint
	KindConsistency Kind = "evidence/consistency/<number>-<number>.txt"
	KindKeys        Kind = "trust/trust.keys"
	KindAuthority   Kind = "trust/tsa/<n>.pem"
	KindManifest    Kind = "META-INF/ASiCManifest001.xml"
	KindSignature   Kind = "META-INF/manifest.sig"
	KindToken       Kind = "META-INF/timestamp001.tst"

	// KindUnknown is a file that this version has no meaning for.
	KindUnknown Kind = ""
)

// maxToken is the largest time-stamp token, as package timestamp has it.
const maxToken = 256 << 10

// kindInfo is what holds for all files of a kind.
type kindInfo struct {
	kind    Kind
	rank    int    // kinds of equal rank are ordered by the numbers in their names
	media   string // as the manifest names it
	deflate bool   // whether the writer may compress it: text without a stranger's bytes
	max     int64  // bytes, unpacked
}

const (
	textMedia  = "text/plain"
	tokenMedia = "application/vnd.etsi.timestamp-token"
	jsonMedia  = "application/json"
	bytesMedia = "application/octet-stream"
)

// rankManifest is the rank of the manifest; what it lists stands before it.
const rankManifest = 19

var kindInfos = []kindInfo{
	{KindMimetype, 0, textMedia, false, int64(len(MediaType))},
	{KindCheckpoint, 1, textMedia, false, ledger.MaxNoteSize},
	{KindCustody, 2, jsonMedia, true, 1 << 20},
	{KindVerify, 3, textMedia, true, 1 << 20},
	{KindHTMLDe, 4, "text/html", true, MaxFileSize},
	{KindPDFDe, 5, "application/pdf", false, MaxFileSize},
	{KindHTMLEn, 6, "text/html", true, MaxFileSize},
	{KindPDFEn, 7, "application/pdf", false, MaxFileSize},
	{KindIndex, 8, "application/vnd.consent-ledger.bundle.v1+json", true, 16 << 20},
	{KindEntry, 9, textMedia, true, ledger.MaxEntrySize},
	{KindProof, 10, textMedia, true, ledger.MaxReceiptSize},
	{KindDisclosure, 11, textMedia, false, 1 << 20},
	{KindFile, 12, bytesMedia, false, MaxFileSize},
	{KindNotice, 13, bytesMedia, false, 1 << 20},
	{KindState, 14, textMedia, true, 128 << 10},
	{KindBound, 15, textMedia, true, ledger.MaxNoteSize},
	{KindBoundToken, 15, tokenMedia, false, maxToken},
	{KindConsistency, 16, textMedia, true, 64 << 10},
	{KindKeys, 17, textMedia, true, ledger.MaxKeyRingSize},
	{KindAuthority, 18, "application/x-pem-file", true, 1 << 20},
	{KindManifest, rankManifest, "text/xml", true, 12 << 20}, // a line has fewer than 600 bytes
	{KindSignature, rankManifest + 1, textMedia, false, 16 << 10},
	{KindToken, rankManifest + 2, tokenMedia, false, maxToken},
}

// unknownInfo holds for a file of [KindUnknown].
var unknownInfo = kindInfo{max: MaxFileSize}

// Path is the name of a file, taken apart.
type Path struct {
	Kind Kind
	// Numbers are the numbers in the name, in their order: the index of an entry,
	// the id of a consent, a size, the number of a token. Those that the name lacks
	// are zero.
	Numbers [2]int64
	// Text is the claim or the SHA-256, in hex, that the name has, or the whole name
	// if the kind is not known.
	Text string

	info *kindInfo
}

// Index is the entry that an entry, a proof or a disclosure is about.
func (p Path) Index() ledger.Index { return ledger.Index(p.Numbers[0]) }

// The names of files, one spelling each: decimal numbers without leading zeros,
// SHA-256 in lower-case hex, tokens and authorities counted from 1.

func EntryPath(i ledger.Index) string      { return fmt.Sprintf("evidence/entries/%d.txt", i) }
func ProofPath(i ledger.Index) string      { return fmt.Sprintf("evidence/proofs/%d.tlog-proof", i) }
func FilePath(sum ledger.Hash) string      { return "evidence/files/" + hex.EncodeToString(sum[:]) }
func NoticePath(sum ledger.Hash) string    { return "evidence/notices/" + hex.EncodeToString(sum[:]) }
func StatePath(id ledger.ConsentID) string { return fmt.Sprintf("evidence/state/%d.txt", id) }
func BoundPath(n ledger.Size) string       { return fmt.Sprintf("evidence/checkpoints/%d.note", n) }
func AuthorityPath(n int) string           { return fmt.Sprintf("trust/tsa/%d.pem", n) }

func DisclosurePath(i ledger.Index, claim string) string {
	return fmt.Sprintf("evidence/disclosures/%d.%s.txt", i, claim)
}

func BoundTokenPath(n ledger.Size, token int) string {
	return fmt.Sprintf("evidence/checkpoints/%d.%d.tst", n, token)
}

func ConsistencyPath(before, after ledger.Size) string {
	return fmt.Sprintf("evidence/consistency/%d-%d.txt", before, after)
}

// pattern recognises the names of a kind.
type pattern struct {
	prefix string // literal; most names are told apart by it
	re     *regexp.Regexp
	info   *kindInfo
}

var patterns = compile()

func compile() []pattern {
	places := strings.NewReplacer(
		regexp.QuoteMeta("<number>"), `(?P<number>0|[1-9][0-9]{0,17})`,
		regexp.QuoteMeta("<n>"), `(?P<number>[1-9][0-9]{0,3})`,
		regexp.QuoteMeta("<claim>"), `(?P<claim>[a-z0-9._-]+)`,
		regexp.QuoteMeta("<sha256>"), `(?P<text>[0-9a-f]{64})`)
	list := make([]pattern, len(kindInfos))
	for i := range kindInfos {
		info := &kindInfos[i]
		prefix, _, _ := strings.Cut(string(info.kind), "<")
		list[i] = pattern{prefix, regexp.MustCompile("^" + places.Replace(regexp.QuoteMeta(string(info.kind))) + "$"), info}
	}
	return list
}

// ParsePath takes a file's name apart. It refuses a name that no container may
// have; one that is merely not known here is of [KindUnknown].
func ParsePath(name string) (Path, error) {
	if err := checkPath(name); err != nil {
		return Path{}, err
	}
	for _, p := range patterns {
		if !strings.HasPrefix(name, p.prefix) {
			continue
		}
		if path, ok := p.parse(name); ok {
			return path, nil
		}
	}
	return Path{Text: name, info: &unknownInfo}, nil
}

func (p pattern) parse(name string) (Path, bool) {
	match := p.re.FindStringSubmatch(name)
	if match == nil {
		return Path{}, false
	}
	path := Path{Kind: p.info.kind, info: p.info}
	numbers := 0
	for i, place := range p.re.SubexpNames() {
		switch place {
		case "number":
			path.Numbers[numbers], _ = strconv.ParseInt(match[i], 10, 64) // at most 18 digits
			numbers++
		case "claim":
			if !ledger.IsReservedClaim(match[i]) && !ledger.IsDeclarableClaim(match[i]) {
				return Path{}, false
			}
			path.Text = match[i]
		case "text":
			path.Text = match[i]
		}
	}
	return path, p.info.kind != KindConsistency || path.Numbers[0] < path.Numbers[1]
}

// compare orders the names of a container. Neither may be of [KindUnknown].
func (p Path) compare(q Path) int {
	return cmp.Or(cmp.Compare(p.info.rank, q.info.rank), cmp.Compare(p.Numbers[0], q.Numbers[0]),
		cmp.Compare(p.Numbers[1], q.Numbers[1]), strings.Compare(p.Text, q.Text))
}

// checkPath refuses every name that does not stay where the container is unpacked,
// or that two systems could take for two names: segments of letters, digits, `.`,
// `_` and `-`, separated by `/`, that neither begin nor end with a dot.
func checkPath(name string) error {
	if len(name) > MaxPath {
		return fmt.Errorf("a file's name has %d bytes, more than %d", len(name), MaxPath)
	}
	for segment := range strings.SplitSeq(name, "/") {
		if segment == "" || strings.HasPrefix(segment, ".") || strings.HasSuffix(segment, ".") {
			return fmt.Errorf("file %q: its name is absolute, a directory's, or has a segment of dots", name)
		}
	}
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-', c == '/':
		default:
			return fmt.Errorf("file %q: its name has characters other than letters, digits and ._-/", name)
		}
	}
	return nil
}

// checkSize checks the size of a file's content against its kind.
func (p Path) checkSize(size int64) error {
	switch {
	case size > p.info.max:
		return fmt.Errorf("has %d bytes, more than %d", size, p.info.max)
	case size == 0 && p.Kind != KindFile && p.Kind != KindConsistency && p.Kind != KindUnknown:
		return errors.New("is empty")
	}
	return nil
}
